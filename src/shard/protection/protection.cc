#include "shard/protection/protection.h"

#include <algorithm>
#include <string>
#include <utility>

namespace qudag::shard {
namespace {

using namespace std::chrono_literals;
using overload::Action;
using overload::Pressure;

/// Below it, and without traffic, it is enough to look now and then.
constexpr double kCalm = 0.3;

// shrink: in small pieces, ten times a second.
constexpr std::size_t kTrimPieces = 256;
constexpr Duration kLinkQuiet = 5s;
constexpr std::size_t kLinksAtOnce = 8;
constexpr Duration kCircuitQuiet = 30s;
constexpr std::size_t kCircuitVisits = 512;
constexpr Duration kShrinkAllEvery = 1s;
constexpr std::uint64_t kFreedEnough = 1 << 20;  // so that the process allocator is trimmed, too

// Memory. From the first share on what is free goes back at every look; circuits that end because
// of memory end until there is as much room as there.
constexpr double kNear = overload::threshold(Action::refuse_circuits, Pressure::memory);
constexpr double kShort = overload::threshold(Action::pause_low, Pressure::memory);
constexpr std::size_t kGivePieces = 1'024;  // at once, of each size: about 0.2 ms
constexpr Duration kWatchEvery = 1s;        // what the process holds
constexpr Duration kWatchOften = 100ms;     // above two thirds
constexpr Duration kReclaimEvery = 100ms;   // what a round freed is measured before the next

constexpr std::uint64_t kWaitingOneIn = 16;  // of the bound: cells that may wait when it is near
constexpr std::uint64_t kWindowOneIn = 256;  // of the room there is: the window of a stream
constexpr std::uint64_t kLinkOneIn = 4;      // and of a link

// pause_low: a sixteenth of the time is low's, as it has a sixteenth of every link, so that it goes
// on however long the pressure lasts. What came through in that time is gone before the next.
constexpr Duration kShareEvery = 1'600ms;
constexpr Duration kShareTime = 100ms;
bool is_share(Now now) { return now.mono.time_since_epoch() % kShareEvery < kShareTime; }

// drop: so many at the threshold, and so many more when a pressure is at its bound.
constexpr double kMessagesAtOnce = 64, kMessagesMore = 1'000;
constexpr double kCircuitsAtOnce = 1, kCircuitsMore = 15;

double share(Duration value, Duration bound) {
  return static_cast<double>(value.count()) / static_cast<double>(bound.count());
}

double share(std::size_t value, std::size_t bound) {
  return static_cast<double>(value) / static_cast<double>(bound);
}

std::size_t at(Priority priority) { return static_cast<std::size_t>(priority); }
std::size_t at(Pressure pressure) { return static_cast<std::size_t>(pressure); }
std::size_t at(Action action) { return static_cast<std::size_t>(action); }

double queue_delay_of(const Measured& m) {
  double out = share(m.blocked, kBlockedTarget);
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    out = std::max(out, share(m.waiting[i], kWaitTargets[i]));
  }
  // Nobody can see whose datagrams wait unread: the most urgent priority in use decides. Bulk alone
  // may keep a shard as busy as it likes.
  if (m.in_use[at(Priority::high)]) {
    out = std::max(out, share(m.behind, kBehindHighTarget));
  } else if (m.in_use[at(Priority::normal)]) {
    const double normal = share(m.behind, kBehindNormalTarget);
    out = std::max(out, std::min(normal, kBehindMaxNormal));
  }
  return out;
}

}  // namespace

overload::Pressures pressures_of(const Measured& measured) {
  overload::Pressures out{};
  out[at(Pressure::memory)] = measured.memory;
  out[at(Pressure::queue_delay)] = queue_delay_of(measured);
  out[at(Pressure::loop_lag)] = share(measured.loop_lag, kLagTarget);
  out[at(Pressure::descriptors)] = measured.descriptors;
  out[at(Pressure::handshakes)] = measured.handshakes;
  out[at(Pressure::circuits)] = measured.circuits;
  out[at(Pressure::builds)] = measured.builds;
  return out;
}

static std::uint64_t near_bytes(const memory::Bound& bound) {
  return static_cast<std::uint64_t>(kNear * static_cast<double>(bound.node().bytes_max()));
}

Protection::Protection(const ProtectionSetup& setup)
    : setup_(setup), near_bytes_(near_bytes(setup.bound)) {}

// ---- Memory -------------------------------------------------------------------------------------

// What is free here and elsewhere goes back, so that only what is needed counts as pressure.
void Protection::watch_memory(Now now) {
  const bool near = setup_.bound.node().used() >= near_bytes_;
  if (near) {
    give_free();
    // The first to go, before anybody is refused: who asks and takes no answer.
    reclaim(now, [&](std::size_t bytes) { return setup_.messages.reclaim(bytes, now); });
  }
  const std::uint64_t max = setup_.bound.node().bytes_max();
  const std::uint64_t used = setup_.bound.node().used();
  // Before anybody else loses a circuit: who sends more than is his share of our time, and has it
  // wait in our memory.
  if (setup_.bound.pressure() >= kShort) {
    const std::size_t waiting_max = setup_.bound.node().bytes_max() / kWaitingOneIn;
    reclaimed_bytes_ += setup_.circuits.reclaim_waiting(waiting_max / setup_.shards, now);
  }
  if (near || now.mono >= watch_at_) {
    watch_at_ = now.mono + (used >= max / 3 * 2 ? kWatchOften : kWatchEvery);
    setup_.environment.on_memory_watch(setup_.shard, near);
  }
  const std::uint64_t room = max - std::min(max, used);
  setup_.endpoint.set_stream_window(
      std::clamp<std::size_t>(room / kWindowOneIn, kWindowMin, kWindowMax));
  setup_.endpoint.set_link_window(
      std::clamp<std::size_t>(room / kLinkOneIn, kLinkWindowMin, kLinkWindowMax));
  setup_.endpoint.set_long_windows(long_windows(setup_.limits, room, setup_.shards));
}

void Protection::give_free() {
  static_cast<void>(setup_.pool.release_free(kGivePieces));
  setup_.endpoint.trim_heap();
}

/// Has what is too much, or this shard's part of it, taken back: `take_back` of so many bytes says
/// how many it took.
template <class TakeBack>
void Protection::reclaim(Now now, TakeBack&& take_back) {
  const std::uint64_t used = setup_.bound.node().used();
  if (used <= near_bytes_ || now.mono < reclaim_at_) return;
  const std::size_t bytes = take_back((used - near_bytes_) / setup_.shards + 1);
  if (bytes == 0) return;
  reclaimed_bytes_ += bytes;
  reclaim_at_ = now.mono + kReclaimEvery;
  give_free();
}

// ---- Measuring ----------------------------------------------------------------------------------

Measured Protection::measure(Now now) {
  Measured out;
  out.memory = setup_.bound.pressure();
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    out.waiting[i] = setup_.messages.waiting_time(static_cast<Priority>(i), now);
  }
  const link::EndpointStats links = setup_.endpoint.stats();
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    const std::size_t level = link::level_of(static_cast<Priority>(i));
    out.in_use[i] = links.bytes_in[level] != bytes_seen_[level];
  }
  bytes_seen_ = links.bytes_in;
  quiet_ = links.datagrams_in == datagrams_seen_;
  datagrams_seen_ = links.datagrams_in;
  if (behind_since_ != kNever) out.behind = now.mono - behind_since_;
  if (blocked_since_ != kNever) out.blocked = now.mono - blocked_since_;
  // Late once may be anybody's fault; late twice in a row is ours.
  const Duration lag = due_ == TimePoint{} ? Duration{} : std::max(now.mono - due_, Duration{});
  out.loop_lag = std::min(lag, last_lag_);
  last_lag_ = lag;
  out.handshakes = setup_.endpoint.handshake_pressure(now);
  out.circuits = setup_.circuits.fullness();
  out.builds = share(setup_.circuits.building(), setup_.building_max);
  setup_.environment.measure(setup_.shard, out);
  return out;
}

/// Of all shards together: each says how full the node's rate is.
double Protection::quota_use(Now now) {
  if (setup_.quota == nullptr) return 0;
  const std::uint64_t taken = setup_.quota->rate().taken();
  const std::chrono::duration<double> time = now.mono - std::exchange(quota_at_, now.mono);
  const std::uint64_t before = std::exchange(quota_taken_, taken);
  if (setup_.quota->per_second() == 0 || taken <= before) return 0;  // shards give some back
  const auto bytes = static_cast<double>(taken - before);
  return bytes / (static_cast<double>(setup_.quota->per_second()) * std::max(1e-3, time.count()));
}

void Protection::weigh(const Measured& measured, Now now) {
  load_.add({.busy = measured.busy,
             .circuits = measured.circuits,
             .memory = pressures_[at(Pressure::memory)],
             .queue_delay = pressures_[at(Pressure::queue_delay)],
             .loop_lag = pressures_[at(Pressure::loop_lag)],
             .descriptors = pressures_[at(Pressure::descriptors)],
             .quota = quota_use(now)},
            now.mono);
}

void Protection::on_time(Now now) {
  if (now.mono < due_) return;
  watch_memory(now);
  setup_.circuits.look_at_places(now);
  setup_.endpoint.look_at_places(now);
  const Measured measured = measure(now);
  pressures_ = pressures_of(measured);
  weigh(measured, now);
  overload_.update(pressures_, now.mono);
  const bool calm = quiet_ && !overload_.active(Action::shrink) &&
                    *std::max_element(pressures_.begin(), pressures_.end()) < kCalm;
  looked_at_ = now.mono;
  due_ = now.mono + (calm ? kEveryIdle : kEvery);
  tell_changes();
  act(now);
}

std::string_view Protection::worst() const {
  const auto* const found = std::max_element(pressures_.begin(), pressures_.end());
  return name_of(static_cast<Pressure>(found - pressures_.begin()));
}

void Protection::tell_changes() {
  for (std::size_t i = 0; i < overload::kActionCount; ++i) {
    const auto action = static_cast<Action>(i);
    const bool active = overload_.active(action);
    if (active == was_active_[i]) continue;
    was_active_[i] = active;
    setup_.environment.on_action(setup_.shard, action, active, worst(),
                                 *std::max_element(pressures_.begin(), pressures_.end()));
  }
}

// ---- Acting -------------------------------------------------------------------------------------

void Protection::act(Now now) {
  if (overload_.active(Action::shrink)) shrink(now);
  const auto refusal = [this](std::initializer_list<Pressure> pressures) {
    return circuit::Refusal{level_by(Action::refuse_circuits, pressures),
                            level_by(Action::drop_normal, pressures)};
  };
  setup_.circuits.set_refusal(refusal({Pressure::memory, Pressure::descriptors}),
                              refusal({Pressure::queue_delay, Pressure::loop_lag}));
  setup_.endpoint.require_proof(overload_.active(Action::require_retry));
  setup_.endpoint.pause(Priority::low, overload_.active(Action::pause_low) && !is_share(now));
  if (overload_.active(Action::drop_low)) drop(Priority::low, Action::drop_low, now);
  if (overload_.active(Action::drop_normal)) drop(Priority::normal, Action::drop_normal, now);
}

/// The chance is how far one of these pressures is on its way to the bound; high is refused when
/// all others are given up.
double Protection::level_by(Action action, std::initializer_list<Pressure> pressures) const {
  double out = 0;
  if (!overload_.active(action)) return out;
  for (const Pressure one : pressures) {
    out = std::max(out, overload::level_of(action, one, pressures_[at(one)]));
  }
  return out;
}

void Protection::shrink(Now now) {
  setup_.pool.trim(kTrimPieces);
  setup_.circuits.end_idle(kCircuitQuiet, kCircuitVisits, now);
  // Idle circuits need nobody's link.
  const auto& on = overload::kOverloadRules[at(Action::shrink)].on;
  bool others = false;
  for (std::size_t p = 0; p < overload::kPressureCount; ++p) {
    others |= p != at(Pressure::circuits) && pressures_[p] >= on[p];
  }
  if (others) setup_.endpoint.close_unused(kLinkQuiet, kLinksAtOnce, now);
  if (now.mono < shrink_all_at_) return;
  shrink_all_at_ = now.mono + kShrinkAllEvery;
  setup_.endpoint.trim();
  setup_.environment.on_maintained(setup_.shard, kFreedEnough);
}

/// Only while a pressure still is where the action starts: in the hold time after it nothing more
/// is lost.
void Protection::drop(Priority priority, Action action, Now now) {
  const double level = overload_.level(action);
  const auto& on = overload::kOverloadRules[at(action)].on;
  bool pressed = false;
  for (std::size_t p = 0; p < overload::kPressureCount; ++p) pressed |= pressures_[p] >= on[p];
  if (!pressed) return;
  const Error why(Errc::refused_overload, "shed: " + std::string(worst()));
  messages_dropped_[at(priority)] += setup_.messages.shed(
      priority, static_cast<std::size_t>(kMessagesAtOnce + level * kMessagesMore), why, now);
  if (pressures_[at(Pressure::memory)] >= on[at(Pressure::memory)]) {
    return reclaim(now, [&](std::size_t bytes) {
      std::size_t freed = setup_.circuits.reclaim(priority, bytes, now);
      // Messages of high priority are not given up; what circuits hold that do not come on is.
      if (priority == Priority::normal && freed < bytes) {
        freed += setup_.circuits.reclaim(Priority::high, bytes - freed, now);
      }
      return freed;
    });
  }
  setup_.circuits.shed(priority, static_cast<std::size_t>(kCircuitsAtOnce + level * kCircuitsMore),
                       now);
}

Status Protection::admit(Priority priority) {
  const Action action = priority == Priority::low ? Action::drop_low : Action::drop_normal;
  if (priority == Priority::high || !overload_.active(action)) return {};
  ++sends_refused_[at(priority)];
  return fail(Errc::refused_overload, std::string(worst()));
}

ProtectionReport Protection::report() const {
  ProtectionReport out;
  out.pressures = pressures_;
  for (std::size_t i = 0; i < overload::kActionCount; ++i) {
    const auto action = static_cast<Action>(i);
    // An action at its threshold has level 0: visible all the same.
    if (overload_.active(action)) out.levels[i] = std::max(0.01, overload_.level(action));
    out.started[i] = overload_.started(action);
  }
  out.messages_dropped = messages_dropped_;
  out.sends_refused = sends_refused_;
  out.reclaimed_bytes = reclaimed_bytes_;
  return out;
}

}  // namespace qudag::shard
