#include "testing/world.h"

#include <algorithm>
#include <utility>

namespace qudag::testing {

namespace {

using namespace std::chrono_literals;

// 2026-01-01 00:00:00 UTC: the wall clock of every simulated run starts here.
constexpr UnixSeconds kEpoch = 1'767'225'600;
constexpr Duration kWorkerDelay = 2ms;
constexpr std::size_t kKeptMax = 2 * limits::kWorkerJobsMax;

}  // namespace

// ---- Host ---------------------------------------------------------------------------------------

std::span<runtime::Received> Host::receive() {
  reading_.clear();
  views_.clear();
  while (!inbox_.empty() && reading_.size() < kBatch) {
    reading_.push_back(std::move(inbox_.front()));
    inbox_.pop_front();
  }
  for (Datagram& datagram : reading_) {
    views_.push_back({.from = datagram.from,
                      .to = local_,
                      .data = datagram.data,
                      .segment = datagram.data.size(),
                      .ecn = 0});
    stats_.received_bytes += datagram.data.size();
  }
  ++stats_.receive_calls;
  stats_.received_datagrams += reading_.size();
  return views_;
}

std::size_t Host::send(std::span<const runtime::Train> trains) {
  ++stats_.send_calls;
  for (const runtime::Train& train : trains) {
    Bytes left = train.data;
    const std::size_t segment = train.segment == 0 ? left.size() : train.segment;
    while (!left.empty()) {
      const Bytes datagram = left.first(std::min(segment, left.size()));
      left = left.subspan(datagram.size());
      ++stats_.sent_datagrams;
      stats_.sent_bytes += datagram.size();
      world_.transmit(*this, train.to, datagram);
    }
  }
  return trains.size();
}

bool Host::post(std::function<void(Now)> task) {
  if (driven_ == nullptr || mailbox_full_) return false;
  run_soon(std::move(task));
  return true;
}

void Host::run_soon(std::function<void(Now)> task) {
  world_.at(world_.time_, [this, life = life_, task = std::move(task)] {
    if (life != life_) return;
    if (suspended_) return put_off_.push_back(task);
    task(now());
    world_.turn(*this, false);
  });
}

Now Host::now() const {
  Now out = world_.now();
  out.unix_seconds += static_cast<UnixSeconds>(wall_ahead_.count());  // modulo 2^64: behind
  return out;
}

/// As a kernel does: what waited runs, and timers that are due.
void Host::resume() {
  suspended_ = false;
  if (driven_ == nullptr) return;
  for (const auto& task : std::exchange(put_off_, {})) task(now());
  world_.turn(*this, true);
}

bool Host::keep() {
  if (kept_ >= kKeptMax) return false;
  ++kept_;
  return true;
}

void Host::post_kept(std::function<void(Now)> task) {
  if (driven_ == nullptr) return give_back();
  run_soon([this, task = std::move(task)](Now now) {
    give_back();
    task(now);
  });
}

bool Host::submit(std::function<void()> work, runtime::Executor& shard,
                  std::function<void(WorkEnd, Now)> done) {
  auto home = shard.keep_place();
  if (!home) return false;
  const bool expires = jobs_to_expire_ > 0;
  if (expires) {
    --jobs_to_expire_;
  } else {
    work();
  }
  const WorkEnd how = expires ? WorkEnd::expired : WorkEnd::ran;
  // std::function wants what it holds to be copied; the place is not.
  const auto place = std::make_shared<runtime::Executor::Place>(std::move(*home));
  world_.at(world_.time_ + kWorkerDelay, [place, life = life_, this, how, done = std::move(done)] {
    if (life != life_) return;
    std::move(*place).post([how, done](Now now) { done(how, now); });
  });
  return true;
}

// ---- World --------------------------------------------------------------------------------------

World::World(std::uint64_t seed, Faults faults) : openssl_(seed), rng_(seed), faults_(faults) {}
World::~World() { events_ = {}; }  // some have a place at a host

Now World::now() const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time_.time_since_epoch());
  return {.mono = time_, .unix_seconds = kEpoch + static_cast<UnixSeconds>(seconds.count())};
}

Host& World::host(const SocketAddress& at) {
  auto& slot = hosts_[at];
  if (!slot) slot.reset(new Host(*this, at));
  return *slot;
}

void World::attach(Host& host, runtime::Driven* driven) {
  host.driven_ = driven;
  ++host.life_;
  ++host.timer_generation_;
  host.timer_at_ = kNever;
  host.inbox_.clear();
  host.put_off_.clear();
  if (driven != nullptr) wake(host);
}

void World::wake(Host& host) {
  at(time_, [this, &host, life = host.life_] {
    if (life == host.life_) turn(host, false);
  });
}

void World::at(TimePoint when, std::function<void()> step) {
  events_.push({.when = std::max(when, time_), .order = order_++, .run = std::move(step)});
}

void World::set_line(const SocketAddress& to, double bytes_per_second, Duration queue) {
  lines_.erase(to);
  if (bytes_per_second > 0) lines_[to] = {bytes_per_second, queue, time_};
}

std::optional<Duration> World::wait_at_line(const SocketAddress& to, std::size_t bytes) {
  const auto found = lines_.find(to);
  if (found == lines_.end()) return Duration::zero();
  Line& line = found->second;
  const TimePoint begin = std::max(line.free_at, time_);
  if (begin - time_ > line.queue) return std::nullopt;
  line.free_at = begin + Duration(static_cast<Duration::rep>(static_cast<double>(bytes) * 1e9 /
                                                             line.bytes_per_second));
  return line.free_at - time_;
}

void World::transmit(Host& from, const SocketAddress& to, Bytes datagram) {
  ++stats_.sent;
  const auto group = [this](const SocketAddress& at) {
    const auto found = groups_.find(at);
    return found == groups_.end() ? 0 : found->second;
  };
  if (group(from.local_) != group(to)) {
    ++stats_.partitioned;
    return;
  }
  if (datagram.size() > faults_.datagram_bytes_max) {
    ++stats_.too_long;
    return;
  }
  if (rng_.unit() < faults_.loss) {
    ++stats_.lost;
    return;
  }
  const std::optional<Duration> waits = wait_at_line(to, datagram.size());
  if (!waits) {
    ++stats_.lost_at_line;
    return;
  }
  const auto delay = [this, &waits] {
    Duration d = faults_.delay_min + *waits;
    if (faults_.delay_jitter > Duration::zero()) {
      d += Duration(static_cast<Duration::rep>(
          rng_.below(static_cast<std::uint64_t>(faults_.delay_jitter.count()))));
    }
    if (rng_.unit() < faults_.reorder) {
      ++stats_.reordered;
      d += faults_.reorder_delay;
    }
    return d;
  };
  const std::vector<std::byte> copy(datagram.begin(), datagram.end());
  if (rng_.unit() < faults_.duplicate) {
    ++stats_.duplicated;
    deliver_after(delay(), from.local_, to, copy);
  }
  deliver_after(delay(), from.local_, to, copy);
}

void World::deliver_after(Duration delay, const SocketAddress& from, const SocketAddress& to,
                          std::vector<std::byte> data) {
  at(time_ + delay, [this, from, to, data = std::move(data)]() mutable {
    const auto found = hosts_.find(to);
    if (found == hosts_.end() || found->second->driven_ == nullptr || found->second->suspended_ ||
        found->second->inbox_.size() >= Host::kInboxMax) {
      ++stats_.no_listener;
      return;
    }
    ++stats_.delivered;
    found->second->inbox_.push_back({.from = from, .data = std::move(data)});
    turn(*found->second, false);
  });
}

void World::turn(Host& host, bool timer) {
  if (host.driven_ == nullptr || host.suspended_) return;
  runtime::Driven& driven = *host.driven_;
  const Now now = host.now();
  while (driven.on_readable(now)) {
  }
  if (timer || driven.next_deadline() <= time_) driven.on_time(now);
  driven.flush(now);

  // A deadline that stays in the past would stop time: the shard gets another turn a little later.
  const TimePoint wanted = driven.next_deadline();
  if (wanted == kNever) {
    host.timer_at_ = kNever;
    ++host.timer_generation_;
    return;
  }
  const TimePoint due = std::max(wanted, time_ + 1us);
  if (due == host.timer_at_) return;
  host.timer_at_ = due;
  at(due, [this, &host, generation = ++host.timer_generation_] {
    if (generation != host.timer_generation_) return;
    host.timer_at_ = kNever;
    turn(host, true);
  });
}

bool World::step(TimePoint end) {
  if (events_.empty() || events_.top().when > end) return false;
  // The queue gives only const access; the event is ours as it is popped right after.
  auto run = std::move(const_cast<Event&>(events_.top()).run);
  time_ = events_.top().when;
  events_.pop();
  run();
  return true;
}

void World::run_until(TimePoint end) {
  while (step(end)) {
  }
  time_ = std::max(time_, end);
}

bool World::run_until(TimePoint end, const std::function<bool()>& condition) {
  while (!condition()) {
    if (!step(end)) {
      time_ = std::max(time_, end);
      return condition();
    }
  }
  return true;
}

}  // namespace qudag::testing
