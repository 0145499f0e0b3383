#include "link/net.h"

#include <algorithm>

namespace qudag::link::testing {

void Net::carry(const SocketAddress& from, const SocketAddress& to, Bytes datagram,
                std::uint8_t ecn) {
  ++carried;
  carried_bytes += datagram.size();
  if (tap) tap(from, to, datagram);
  if (lose && lose(from, to, datagram)) return;
  if (datagram.size() > faults.datagram_bytes_max || chance_.unit() < faults.loss) return;
  TimePoint sent = time_;
  if (faults.bytes_per_second > 0) {
    TimePoint& free = bottleneck_free_[faults.one_line ? to : from];
    sent = std::max(free, time_);
    if (sent - time_ > faults.queue_time_max) return;
    sent += Duration(static_cast<Duration::rep>(static_cast<double>(datagram.size()) * 1e9 /
                                                faults.bytes_per_second));
    free = sent;
  }
  const int copies = chance_.unit() < faults.duplicate ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    TimePoint at = sent + faults.latency;
    if (chance_.unit() < faults.reorder) {
      at += Duration(
          static_cast<Duration::rep>(chance_.unit() * static_cast<double>(faults.jitter.count())));
    }
    inject(at, from, to, datagram, ecn);
  }
}

void Net::inject(TimePoint at, const SocketAddress& from, const SocketAddress& to, Bytes datagram,
                 std::uint8_t ecn) {
  flying_.push({at, order_++, from, to, {datagram.begin(), datagram.end()}, ecn});
}

bool Net::run(Duration limit, const std::function<bool()>& done) {
  const TimePoint end = time_ + limit;
  for (;;) {
    for (auto& peer : peers_) {
      if (peer->endpoint) peer->endpoint->flush(*peer, now());
    }
    if (done()) return true;
    if (!step(end)) return false;
  }
}

bool Net::step(TimePoint end) {
  TimePoint next = std::min(workers.next(), flying_.empty() ? kNever : flying_.top().at);
  for (auto& peer : peers_) {
    if (peer->endpoint) next = std::min(next, peer->endpoint->next_deadline());
  }
  if (next > end) {
    time_ = end;
    return false;
  }
  time_ = std::max(time_, next);
  workers.run();
  while (!flying_.empty() && flying_.top().at <= time_) {
    Flying datagram = flying_.top();
    flying_.pop();
    deliver(datagram);
  }
  for (auto& peer : peers_) {
    if (peer->endpoint && peer->endpoint->next_deadline() <= time_) {
      peer->endpoint->on_time(now());
    }
  }
  return true;
}

bool Workers::submit(std::function<void()> work, runtime::Executor&,
                     std::function<void(WorkEnd, Now)> done) {
  if (jobs_.size() >= waiting_max) {
    ++refused;
    return false;
  }
  jobs_.push_back({net_.now().mono + delay, std::move(work), std::move(done)});
  return true;
}

bool Workers::post(std::function<void(Now)> task) {
  task(net_.now());
  return true;
}

void Workers::run() {
  while (next() <= net_.now().mono) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    const bool expires = to_expire > 0;
    if (expires) {
      --to_expire;
    } else {
      job.work();
    }
    job.done(expires ? WorkEnd::expired : WorkEnd::ran, net_.now());
  }
}

void Net::deliver(Flying& datagram) {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    Peer& peer = *peers_[i];
    if (!peer.endpoint || !peer.is_at(datagram.to)) continue;
    if (i < shards && i != shard_of(datagram.data)) continue;
    runtime::Received received{datagram.from, datagram.to, datagram.data, datagram.data.size(),
                               datagram.ecn};
    peer.endpoint->receive({&received, 1}, peer.address, now());
  }
}

std::size_t Net::shard_of(Bytes datagram) const {
  if (datagram.size() < 7) return 0;
  const bool long_header = (datagram[0] & std::byte{0x80}) != std::byte{0};
  return std::to_integer<std::size_t>(datagram[long_header ? 6 : 1]) % shards;
}

namespace {

crypto::Identity make_identity(Rng& rng) {
  const auto seed = rng.bytes<crypto::kIdentitySeedSize>();
  return std::move(*crypto::Identity::from_seed(seed));
}

}  // namespace

Peer::Peer(Net& network, std::uint64_t seed, std::uint8_t host, EndpointOptions options)
    : net(network),
      rng(seed),
      identity(make_identity(rng)),
      address(SocketAddress::v4(10, 0, 0, host, 4433)) {
  auto made = Endpoint::create(std::move(options), identity, pool, rng, events, nullptr);
  EXPECT_TRUE(made) << made.error().message();
  if (made) endpoint = std::move(*made);
}

Peer& Net::add_twin(const Peer& of, EndpointOptions options) {
  Peer& out = add(options);
  out.endpoint.reset();
  const Secret<crypto::kIdentitySeedSize> seed = of.identity.seed();
  out.identity =
      std::move(*crypto::Identity::from_seed(seed.span().first<crypto::kIdentitySeedSize>()));
  out.endpoint = std::move(
      *Endpoint::create(std::move(options), out.identity, out.pool, out.rng, out.events, nullptr));
  return out;
}

std::size_t Peer::send(std::span<const runtime::Train> trains) {
  const std::size_t count = std::min(trains.size(), trains_accepted);
  for (const runtime::Train& train : trains.first(count)) {
    for (Bytes rest = train.data; !rest.empty();) {
      const Bytes datagram = rest.first(std::min(train.segment, rest.size()));
      rest = rest.subspan(datagram.size());
      net.carry(is_at(train.from) ? train.from : address, train.to, datagram, train.ecn);
    }
  }
  return count;
}

memory::Block Peer::block(Bytes data) {
  const auto size = data.size() <= 1024 ? memory::BlockSize::cell : memory::BlockSize::bulk;
  memory::Block out = pool.take(size);
  EXPECT_TRUE(out);
  out.append(data.size());
  std::memcpy(out.data(), data.data(), data.size());
  return out;
}

}  // namespace qudag::link::testing
