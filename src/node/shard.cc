#include "node/shard.h"

#include "node/buffer.h"
#include "node/cipher.h"

#include <algorithm>
#include <utility>

namespace qudag::node {

namespace {

using namespace std::chrono_literals;

// What a turn reads before timers and writes: about a millisecond's work, so that what is urgent
// and came meanwhile does not wait for a flood.
constexpr int kBatchesPerTurn = 64;
constexpr std::size_t kReadBytesPerTurn = 1024 * 1024;
constexpr std::size_t kReadDatagramsPerTurn = 4'096;  // of garbage, which is small
constexpr Duration kClosingTime = 500ms;
constexpr Duration kRenewRetry = 10s;
/// An address that comes brings others, and a route; what is said before they are there is lost.
constexpr Duration kAddressSettles = 20ms;

// Maintenance: what a burst needed goes back to the system (docs/design/memory.md).
constexpr Duration kMaintainEvery = 5s;
constexpr Duration kMaintainNext = 10ms;          // while there is more to trim
constexpr std::size_t kTrimPieces = 1'024;        // at once, of each size: about 0.2 ms
constexpr std::uint64_t kQuietDatagrams = 1'000;  // in kMaintainEvery: buffers may go
// What ends leave behind in the process allocator, for the decision whether to trim that.
constexpr std::uint64_t kRestedBytes = 3'500;      // key contexts of a circuit
constexpr std::uint64_t kHandshakeBytes = 50'000;  // TLS objects of a link

// The memory bound, in 64ths of it: from the first on free memory goes back, and if the second is
// reached, circuits end until the third.
constexpr std::uint64_t kRelieveAt = 54;  // 84 %
constexpr std::uint64_t kReclaimAt = 58;  // 90 %
constexpr std::uint64_t kReclaimTo = 51;  // 80 %
constexpr Duration kWatchEvery = 1s;      // what the process holds; only in turns that are anyway
constexpr Duration kWatchNearly = 100ms;
// Windows of streams: a peer may fill them all. They shrink as the bound comes nearer.
constexpr std::size_t kWindowMin = 64 * 1024;
constexpr std::size_t kWindowMax = 512 * 1024;
constexpr std::uint64_t kWindowOneIn = 256;  // of the room there is
constexpr Duration kRelieveEvery = 20ms;
constexpr Duration kReclaimEvery = 100ms;  // what a round freed is measured before the next
constexpr std::size_t kReplayEntryBytes = 10;

std::size_t share(std::size_t total, unsigned shards) {
  return std::max<std::size_t>(1, (total + shards - 1) / shards);
}

// No shard has a fixed part of the node's memory: any one may fill all that the bound has room for.
memory::PoolOptions pool_options(const ShardSetup& setup) {
  const std::uint64_t memory = setup.options->limits.memory;
  memory::PoolOptions out;
  for (std::size_t i = 0; i < memory::kBlockSizeCount; ++i) {
    out.blocks_max[i] = static_cast<std::size_t>(memory / memory::kBlockCapacity[i]);
  }
  out.budget = memory::share(setup.bound, memory::Part::blocks);
  out.high_budget = memory::share(setup.bound, memory::Part::high_blocks);
  return out;
}

crypto::Cipher cipher_of(const ShardSetup& setup) {
  return cipher_named(setup.options->cipher).value_or(crypto::Cipher::aes_256_gcm);
}

/// The same for a bound that may be none.
template <class T>
T share_of_bound(T total, unsigned shards) {
  return total == 0 ? 0 : std::max<T>(1, (total + shards - 1) / shards);
}

BuildGateOptions gate_options(const ShardSetup& setup) {
  const Limits& limits = setup.options->limits;
  return {.per_second = share_of_bound(limits.builds_per_second, setup.shards),
          .per_link_per_second = limits.builds_per_link};
}

circuit::CircuitsOptions circuit_options(const ShardSetup& setup, onion::KeyStock& stock) {
  circuit::CircuitsOptions out;
  out.stock = &stock;
  out.self = setup.identity->id();
  out.memory = &setup.bound->part(memory::Part::circuits);
  out.relay = setup.options->relay;
  out.replays = setup.replays;
  out.circuits_max = share(setup.options->limits.circuits, setup.shards);
  out.building_max = share(setup.options->limits.circuits_building, setup.shards);
  return out;
}

link::EndpointOptions endpoint_options(const ShardSetup& setup) {
  link::EndpointOptions out;
  out.shard = static_cast<std::uint8_t>(setup.index);
  out.shards = static_cast<std::uint8_t>(setup.shards);
  out.links_max = share(setup.options->limits.links, setup.shards);
  out.half_open_max = share(setup.options->limits.half_open, setup.shards);
  const Limits& limits = setup.options->limits;
  out.prefix_links_max = share_of_bound(limits.links_per_prefix, setup.shards);
  out.prefix_half_open_max = share_of_bound(limits.half_open_per_prefix, setup.shards);
  out.handshakes_per_second = share_of_bound(limits.handshakes_per_second, setup.shards);
  out.prefix_handshakes_per_second = share_of_bound(limits.handshakes_per_prefix, setup.shards);
  out.link_bytes_per_second = limits.link_bytes_per_second;
  out.streams_per_link_max = limits.circuits_per_link;
  out.silence_max = 1'500ms;
  out.memory = &setup.bound->part(memory::Part::quic);
  out.handshake_memory = &setup.bound->part(memory::Part::handshakes);
  out.link_memory = &setup.bound->part(memory::Part::links);
  const std::uint64_t memory = setup.options->limits.memory;
  out.stream_window_bytes = std::clamp<std::size_t>(memory / 1024, kWindowMin, kWindowMax);
  out.link_window_bytes = std::clamp<std::size_t>(memory / 16, 16 * kWindowMin, 32 * kWindowMax);
  out.workers = &setup.host->workers();
  out.executor = &setup.host->executor(setup.index);
  out.known = setup.options->known;
  out.cipher = cipher_of(setup);
  out.packet_bytes_max = setup.options->packet_bytes_max;
  out.congestion = setup.options->congestion;
  out.handshake_timeout = 5s;
  out.idle_timeout = 30s;
  out.keepalive = 10s;
  return out;
}

message::MessagesOptions message_options(const ShardSetup& setup) {
  const Limits& limits = setup.options->limits;
  message::MessagesOptions out;
  out.self = setup.identity->id();
  out.delivered = setup.delivered;
  out.offload = [host = setup.host, index = setup.index](std::function<void()> work,
                                                         std::function<void(Now)> done) {
    return host->workers().submit(std::move(work), host->executor(index), std::move(done));
  };
  const auto most = messages_max(limits, setup.shards);
  std::ranges::copy(most, out.waiting_max.begin());
  // A part of the bound for each shard, but room for the largest message.
  const auto bytes = [&](std::uint64_t total) {
    return std::max(limits::kMessageBytesMax, share(total, setup.shards));
  };
  out.waiting_bytes_max = {bytes(limits.queue_high_bytes), bytes(limits.queue_normal_bytes),
                           bytes(limits.queue_low_bytes)};
  for (std::size_t i = 0; i < kClassCount; ++i) out.claims[i] = &setup.bound->claim(i);
  return out;
}

message::Taken to_taken(Accept accept) {
  switch (accept) {
    case Accept::taken:
      return message::Taken::yes;
    case Accept::no_receiver:
      return message::Taken::no_receiver;
    case Accept::queue_full:
      return message::Taken::queue_full;
  }
  return message::Taken::no_receiver;
}

}  // namespace

std::array<std::uint64_t, kClassCount> messages_max(const Limits& limits, unsigned shards) {
  return {share(limits.queue_high, shards), share(limits.queue_normal, shards),
          share(limits.queue_low, shards)};
}

Delivery refusal(const Error& error) {
  const bool limit = error.code >= Errc::refused_memory && error.code < Errc::unknown_destination;
  return {.outcome = limit ? Outcome::refused : Outcome::failed, .reason = error};
}

Shard::Shard(const ShardSetup& setup)
    : setup_(setup),
      pool_(pool_options(setup)),
      joint_(setup.identity->id(), *this, gate_options(setup), *setup.rng),
      routes_(
          setup.identity->id(), cipher_of(setup),
          {.distinct_networks = setup.options->distinct_networks, .guards = setup.options->guards},
          *setup.rng),
      circuits_(circuit_options(setup, stock_), pool_, *setup.rng, joint_),
      memory_max_(setup.bound->node().bytes_max()) {}

Shard::~Shard() = default;

Result<std::unique_ptr<Shard>> Shard::create(const ShardSetup& setup) {
  std::unique_ptr<Shard> shard(new Shard(setup));
  auto endpoint = link::Endpoint::create(endpoint_options(setup), *setup.identity, shard->pool_,
                                         *setup.rng, shard->joint_, shard.get());
  if (!endpoint) return std::unexpected(endpoint.error());
  shard->endpoint_ = std::move(*endpoint);
  shard->joint_.attach(*shard->endpoint_, shard->circuits_);
  shard->joint_.set_local(setup.socket->local());
  shard->messages_ = std::make_unique<message::Messages>(
      message_options(setup), shard->circuits_, shard->routes_, shard->pool_,
      setup.bound->messages(), *setup.rng, setup.identity, static_cast<message::Events&>(*shard));
  shard->circuits_.set_events(*shard->messages_);
  shard->protection_ = std::make_unique<Protection>(ProtectionSetup{.shard = setup.index,
                                                                    .bound = *setup.bound,
                                                                    .pool = shard->pool_,
                                                                    .endpoint = *shard->endpoint_,
                                                                    .circuits = shard->circuits_,
                                                                    .messages = *shard->messages_,
                                                                    .joint = shard->joint_,
                                                                    .host = *setup.host});
  return shard;
}

// ---- The turn
// -------------------------------------------------------------------------------------

bool Shard::on_readable(Now now) {
  std::size_t bytes = 0;
  std::size_t datagrams = 0;
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    const auto batch = setup_.socket->receive();
    if (batch.empty()) {
      protection_->note_read(false, now);
      return false;
    }
    endpoint_->receive(batch, setup_.socket->local(), now);
    for (const runtime::Received& one : batch) {
      bytes += one.data.size();
      datagrams += one.segment == 0 ? 1 : (one.data.size() + one.segment - 1) / one.segment;
    }
    if (bytes >= kReadBytesPerTurn || datagrams >= kReadDatagramsPerTurn) break;
  }
  ++turns_reading_used_up_;
  protection_->note_read(true, now);
  return true;
}

void Shard::hand_over(std::uint8_t shard, const runtime::Received& datagram) {
  // Rare: the kernel steers by connection id; only a socket without that program gets here.
  Shard* owner = setup_.hub->shard(shard);
  auto copy = std::make_shared<std::vector<std::byte>>(datagram.data.begin(), datagram.data.end());
  setup_.host->executor(shard).post([owner, copy, meta = datagram](Now now) mutable {
    meta.data = *copy;
    owner->endpoint_->receive({&meta, 1}, owner->setup_.socket->local(), now);
  });
}

void Shard::on_writable(Now) { wants_writable_ = false; }

void Shard::on_time(Now now) {
  endpoint_->on_time(now);
  circuits_.on_time(now);
  messages_->on_time(now);
  protection_->on_time(now);
  if (now.mono >= maintain_at_) maintain(now);
  if (now.mono >= show_at_) {
    show_at_ = kNever;
    endpoint_->show(now);
  }
  if (setup_.index == 0) {
    setup_.hub->on_time(now);
    if (bootstrap_ && phase_ == Phase::running) bootstrap_->on_time(now, *view_, may_open_ahead());
    if (now.mono >= renew_at_) renew(now);
  }
}

void Shard::flush(Now now) {
  messages_->pump(now);
  if (may_open_ahead()) fill_stock();
  watch_memory(now);
  advance_stop(now);
  tell_ended();
  if (!wants_writable_) wants_writable_ = !endpoint_->flush(*setup_.socket, now);
  protection_->note_written(wants_writable_, now);
}

TimePoint Shard::next_deadline() const {
  TimePoint due =
      std::min({endpoint_->next_deadline(), circuits_.next_deadline(), messages_->next_deadline(),
                phase_end_, maintain_at_, show_at_, protection_->next_deadline()});
  if (setup_.index == 0) {
    due = std::min({due, setup_.hub->next_deadline(), renew_at_});
    if (bootstrap_ && phase_ == Phase::running) due = std::min(due, bootstrap_->next_deadline());
  }
  return due;
}

/// Builds take keys that a worker made: four at a time, half a millisecond of its other work.
void Shard::fill_stock() {
  constexpr std::size_t kPairsAtOnce = 4;
  const std::size_t wanted = std::min(stock_.wanted(), kPairsAtOnce);
  if (wanted == 0 || filling_stock_ || phase_ != Phase::running) return;
  const auto made = std::make_shared<std::vector<crypto::KemKeyPair>>();  // owners: the two steps
  filling_stock_ = setup_.host->workers().submit(
      [made, wanted] {
        while (made->size() < wanted) {
          auto pair = crypto::KemKeyPair::generate();
          if (!pair) return;
          made->push_back(std::move(*pair));
        }
      },
      setup_.host->executor(setup_.index),
      [this, made](Now) {
        filling_stock_ = false;
        for (crypto::KemKeyPair& pair : *made) stock_.put(std::move(pair));
      });
}

// One load and a comparison or two in a turn, unless the bound is near.
void Shard::watch_memory(Now now) {
  const std::uint64_t used = setup_.bound->node().used();
  const bool is_short = used >= memory_max_ / 64 * (reclaiming_ ? kReclaimTo : kRelieveAt);
  if (is_short && now.mono >= relieve_at_) return relieve(now);
  if (!is_short) reclaiming_ = false;
  if (now.mono < watch_at_) return;
  watch_at_ = now.mono + (used >= memory_max_ / 3 * 2 ? kWatchNearly : kWatchEvery);
  size_windows(used);
  setup_.host->on_memory_watch(setup_.index, false);
}

// 1. what is free here and elsewhere goes back; 2. if the bound is still near, circuits end, whole,
// the one with the oldest queued data first, until there is room again.
void Shard::relieve(Now now) {
  give_free();
  relieve_at_ = now.mono + kRelieveEvery;
  watch_at_ = now.mono + kWatchNearly;
  size_windows(setup_.bound->node().used());
  setup_.host->on_memory_watch(setup_.index, true);
  const std::uint64_t used = setup_.bound->node().used();
  if (used >= memory_max_ / 64 * kReclaimAt) reclaiming_ = true;
  const std::uint64_t wanted = memory_max_ / 64 * kReclaimTo;
  if (used < wanted) reclaiming_ = false;
  if (!reclaiming_) return;
  reclaimed_bytes_ += circuits_.reclaim((used - wanted) / setup_.shards + 1, now);
  relieve_at_ = now.mono + kReclaimEvery;
  give_free();
}

void Shard::size_windows(std::uint64_t used) {
  const std::uint64_t room = memory_max_ - std::min(memory_max_, used);
  endpoint_->set_stream_window(
      std::clamp<std::size_t>(room / kWindowOneIn, kWindowMin, kWindowMax));
}

void Shard::give_free() {
  static_cast<void>(pool_.empty(kTrimPieces));
  endpoint_->trim_heap();
}

void Shard::addresses_changed(Now now) {
  if (show_at_ == kNever) show_at_ = now.mono + kAddressSettles;
}

// Trims in small parts, so that no turn is long. What is busy is left alone: pools keep what the
// last seconds needed, buffers go only when hardly anything came.
void Shard::maintain(Now now) {
  const bool more = pool_.trim(kTrimPieces);
  maintain_at_ = now.mono + (more ? kMaintainNext : kMaintainEvery);
  if (more) return;
  stock_.rest();

  const link::EndpointStats links = endpoint_->stats();
  const runtime::SocketStats socket = setup_.socket->stats();
  Seen seen{.datagrams = socket.received_datagrams + socket.sent_datagrams,
            .handshakes = links.handshakes_done + links.handshakes_failed,
            .rested = circuits_.stats().rested,
            .trimmed = pool_.stats().trimmed};
  if (seen.datagrams - seen_.datagrams < kQuietDatagrams) {
    endpoint_->trim();
    setup_.socket->trim();
  }
  const std::uint64_t freed = (seen.handshakes - seen_.handshakes) * kHandshakeBytes +
                              (seen.rested - seen_.rested) * kRestedBytes +
                              (seen.trimmed - seen_.trimmed) * memory::kBlockCapacity[0];
  seen_ = seen;
  setup_.host->on_maintained(setup_.index, freed);
}

// ---- Sending and receiving
// ------------------------------------------------------------------------

void Shard::send(SendRequest request, Now now) {
  const Class cls = request.options.cls;
  protection_->note_work(now);
  enqueueing_ = true;
  auto id = phase_ == Phase::running ? enqueue(request, now)
                                     : Result<message::SendId>(fail(Errc::shutting_down));
  enqueueing_ = false;
  if (!id) {
    ++ended_[static_cast<std::size_t>(cls)];
    if (request.done) request.done(refusal(id.error()));
    return;
  }
  pending_.emplace(id->value, Pending{std::move(request.done), std::move(request.progress), cls});
  // Outcomes that came before we knew the id.
  for (auto& [early_id, delivery] : std::exchange(early_, {})) {
    on_outcome({early_id}, delivery, now);
  }
}

Result<message::SendId> Shard::enqueue(SendRequest& request, Now now) {
  if (request.reply_to) {
    return messages_->reply({request.reply_to->circuit}, request.reply_to->message,
                            std::move(request.payload), std::move(request.reservation),
                            request.options.ttl, now);
  }
  if (auto ok = protection_->admit(request.options.cls); !ok) return std::unexpected(ok.error());
  return messages_->send(request.destination, std::move(request.payload),
                         std::move(request.reservation), request.options, now);
}

message::Taken Shard::on_message(message::Received&& received, Now) {
  Message message;
  message.id = received.id;
  message.cls = received.cls;
  message.sender = received.sender;
  message.in_reply_to = received.in_reply_to;
  if (received.reply_circuit) {
    message.reply_to = ReplyTo{
        .shard = setup_.index, .circuit = received.reply_circuit->value, .message = received.id};
  }
  auto payload = Buffer::Impl::make(pool_, received.payload, received.reservation, setup_.bound,
                                    onion::block_use(received.cls));
  if (!payload) return message::Taken::memory;
  message.payload = Buffer(std::move(payload));
  return to_taken(setup_.host->on_message(std::move(message)));
}

void Shard::on_outcome(message::SendId id, const Delivery& delivery, Now) {
  const auto found = pending_.find(id.value);
  if (found == pending_.end()) {
    QUDAG_ASSERT(enqueueing_);
    early_.emplace_back(id.value, delivery);
    return;
  }
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  if (delivery.outcome == Outcome::delivered) {
    delivery_us_[static_cast<std::size_t>(pending.cls)].record(
        static_cast<std::uint64_t>(delivery.elapsed / 1us));
  }
  ++ended_[static_cast<std::size_t>(pending.cls)];
  if (pending.done) pending.done(delivery);
}

void Shard::tell_ended() {
  if (std::ranges::all_of(ended_, [](std::uint64_t count) { return count == 0; })) return;
  setup_.host->on_ended(setup_.index, std::exchange(ended_, {}));
}

void Shard::on_progress(message::SendId id, std::size_t done, std::size_t all, Now) {
  const auto found = pending_.find(id.value);
  if (found != pending_.end() && found->second.progress) found->second.progress(done, all);
}

// ---- Links and gossip
// -----------------------------------------------------------------------------

void Shard::post_to_hub(std::function<void(GossipHub&, Now)> task, Now now) {
  GossipHub& hub = *setup_.hub;
  if (setup_.index == 0) return task(hub, now);
  // A full mailbox drops this; the next digest repeats what it said.
  setup_.host->executor(0).post([&hub, task = std::move(task)](Now then) { task(hub, then); });
}

void Shard::link_ready(link::LinkId link, Now now) {
  post_to_hub(
      [index = setup_.index, link](GossipHub& hub, Now then) { hub.link_ready(index, link, then); },
      now);
}

void Shard::link_closed(link::LinkId link, Now now) {
  post_to_hub([index = setup_.index, link](GossipHub& hub,
                                           Now then) { hub.link_closed(index, link, then); },
              now);
}

void Shard::gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) {
  if (setup_.index == 0) return setup_.hub->frame(0, link, type, body, now);
  post_to_hub(
      [index = setup_.index, link, type, copy = std::vector<std::byte>(body.begin(), body.end())](
          GossipHub& hub, Now then) { hub.frame(index, link, type, copy, then); },
      now);
}

namespace {

link::LinkId link_of(std::uint64_t gossip_key) {
  return {.slot = static_cast<std::uint32_t>(gossip_key & 0xff'ffff),
          .generation = static_cast<std::uint32_t>(gossip_key >> 24)};
}

}  // namespace

bool Shard::send_gossip(std::uint64_t gossip_key, std::uint8_t type, Bytes body) {
  return endpoint_->send_control(link_of(gossip_key), type, body);
}

void Shard::close_link(std::uint64_t gossip_key, link::Code code, Now now) {
  endpoint_->close(link_of(gossip_key), code, now);
}

void Shard::set_view(netmap::ViewPtr view, Now now) {
  view_ = view;
  // Gossip may hold a descriptor that an earlier run of this identity made a moment ago, or with a
  // clock ahead of ours: its keys are gone, so ours must supersede it.
  if (const netmap::Entry* own = view_->find(setup_.identity->id());
      own != nullptr && setup_.index == 0 && !keys_.empty() &&
      own->onion_key(now.unix_seconds) != nullptr &&
      own->onion_key(now.unix_seconds)->bytes() != keys_.front().pair->public_bytes()) {
    renew_at_ = now.mono;
  }
  joint_.set_view(view);
  routes_.set_view(std::move(view));
}

void Shard::set_onion_keys(std::vector<onion::OnionKey> keys) {
  circuits_.set_onion_keys(std::move(keys));
}

// ---- Shard 0: keys, descriptor, bootstrap
// ---------------------------------------------------------

void Shard::start(std::vector<SocketAddress> addresses, Now now) {
  addresses_ = std::move(addresses);
  bootstrap_.emplace(
      setup_.identity->id(), setup_.options->bootstrap, setup_.options->gossip_interval,
      *setup_.rng, [this](const PeerAddress& peer, Now then) {
        // A refusal or failure shows as no link; the next round tries again.
        static_cast<void>(endpoint_->dial(peer.id, peer.at, setup_.socket->local(), then));
      });
  renew(now);
}

UnixSeconds Shard::published_before() const {
  const netmap::Entry* own = view_->find(setup_.identity->id());
  return own == nullptr ? 0 : own->descriptor.published;
}

void Shard::renew(Now now) {
  renew_at_ = now.mono + kRenewRetry;  // until the announcement is there
  auto input = std::make_shared<AnnouncementInput>(
      AnnouncementInput{.identity = setup_.identity,
                        .keys = keys_,
                        .addresses = addresses_,
                        .relay = setup_.options->relay,
                        .descriptor_lifetime_s =
                            static_cast<std::uint64_t>(setup_.options->descriptor_lifetime.count()),
                        .onion_key_lifetime_s =
                            static_cast<std::uint64_t>(setup_.options->onion_key_lifetime.count()),
                        .now = now.unix_seconds,
                        .published_before = published_before()});
  auto result = std::make_shared<Result<Announcement>>(fail(Errc::internal));
  setup_.host->workers().submit(
      [input, result] { *result = announce(*input); }, setup_.host->executor(0),
      [this, result](Now then) {
        if (!*result) return;  // tried again at renew_at_
        Announcement& made = **result;
        keys_ = made.keys;
        set_onion_keys(keys_);
        for (unsigned i = 1; i < setup_.shards; ++i) setup_.hub->give_keys(i, keys_);
        if (setup_.options->known) {
          static_cast<void>(setup_.hub->add(made.descriptor, then));
        }
        renew_at_ = then.mono + std::chrono::seconds(made.renew_at - then.unix_seconds);
      });
}

// ---- Stopping
// -------------------------------------------------------------------------------------

void Shard::stop(Duration grace, Now now) {
  if (phase_ != Phase::running) return;
  phase_ = Phase::draining;
  phase_end_ = now.mono + grace;
}

void Shard::advance_stop(Now now) {
  if (phase_ == Phase::draining) {
    const auto stats = messages_->stats();
    if (stats.waiting + stats.in_flight > 0 && now.mono < phase_end_) return;
    phase_ = Phase::closing;
    phase_end_ = now.mono + kClosingTime;
    messages_->shutdown(now);
    circuits_.shutdown(now);
    endpoint_->shutdown(now);
  }
  if (phase_ == Phase::closing && (endpoint_->links().empty() || now.mono >= phase_end_)) {
    phase_ = Phase::stopped;
    phase_end_ = kNever;
    setup_.host->on_stopped(setup_.index);
  }
}

// ---- What it tells
// --------------------------------------------------------------------------------

std::size_t Shard::relays_known() const {
  const auto entries = view_->entries();
  return static_cast<std::size_t>(std::count_if(entries.begin(), entries.end(),
                                                [](const auto& e) { return e->descriptor.relay; }));
}

ShardReport Shard::report() const {
  ShardReport out;
  out.links = endpoint_->links().size();
  out.circuits = circuits_.size();
  out.nodes_known = nodes_known();
  out.relays_known = relays_known();
  out.endpoint = endpoint_->stats();
  out.circuit = circuits_.stats();
  out.build_keys_ahead = stock_.taken();
  out.build_keys_made = stock_.missed();
  out.message = messages_->stats();
  if (setup_.index == 0) {
    out.netmap = setup_.hub->stats();
    out.gossip = setup_.hub->hub_stats();
  }
  out.gate = joint_.gate().stats();
  out.protection = protection_->report();
  out.turns_reading_used_up = turns_reading_used_up_;
  out.socket = setup_.socket->stats();
  out.pool = pool_.stats();
  out.reclaimed_bytes = reclaimed_bytes_;
  out.build_us = routes_.build_us();
  out.delivery_us = delivery_us_;
  return out;
}

void Shard::report(BoundedList& out, Now now) const {
  using Kind = Bounded::Kind;
  messages_->report(out, now);
  circuits_.report(out);
  endpoint_->report(out);
  joint_.report(out, 2 * share(setup_.options->limits.circuits_building, setup_.shards));
  memory::report("blocks of a shard", pool_options(setup_), pool_.stats(), out);
  const std::size_t sends = message_options(setup_).sends_max();
  out.push_back(bounded(Kind::table, "completions of sends", "one for each message",
                        pending_.size(), sends, sizeof(Pending)));
  setup_.socket->report(out);
  if (setup_.index != 0) return;
  setup_.hub->report(out, now);
  if (setup_.replays) {
    out.push_back(bounded(Kind::table, "builds seen (replay window)", "refuse",
                          setup_.replays->size(), setup_.replays->entries_max(), kReplayEntryBytes));
  }
}

std::vector<PeerStatus> Shard::peers() const {
  std::vector<PeerStatus> out;
  for (const link::LinkInfo& info : endpoint_->links()) {
    out.push_back({.id = info.peer,
                   .address = info.remote,
                   .state = std::string(link::name_of(info.state)),
                   .dialed = info.dialer,
                   .tls_group = info.tls_group,
                   .tls_signature = info.tls_signature,
                   .shard = setup_.index,
                   .age = info.age,
                   .rtt = info.smoothed_rtt,
                   .bytes_in = info.bytes_in,
                   .bytes_out = info.bytes_out,
                   .circuits = info.streams});
  }
  return out;
}

std::vector<CircuitStatus> Shard::circuits() const {
  const auto role_name = [](circuit::CircuitRole role) {
    switch (role) {
      case circuit::CircuitRole::source:
        return "source";
      case circuit::CircuitRole::relay:
        return "relay";
      case circuit::CircuitRole::destination:
        return "destination";
    }
    return "";
  };
  std::vector<CircuitStatus> out;
  for (const circuit::CircuitInfo& info : circuits_.list()) {
    CircuitStatus status;
    status.id = info.id.value;
    status.shard = setup_.index;
    status.role = role_name(info.role);
    status.cls = info.cls;
    status.ready = info.ready;
    status.age = info.age;
    status.cells_forward = info.cells_forward;
    status.cells_backward = info.cells_backward;
    if (info.previous.index >= 0) {
      if (const auto link = endpoint_->info(unpack_link(info.previous.link))) {
        status.previous = link->peer;
        status.previous_address = link->remote;
      }
    }
    if (info.next.index >= 0) {
      if (const auto link = endpoint_->info(unpack_link(info.next.link))) {
        status.next = link->peer;
        status.next_address = link->remote;
      }
    }
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace qudag::node
