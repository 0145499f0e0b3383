// Steps of serve(): close what has drained or is idle -> build what is missing -> give the ready
// circuit ends a turn -> set the flow's next deadline.
#include "message/circuit_pool.h"

#include "base/secret.h"
#include "message/packing.h"
#include "message/pipe/pipes.h"

#include <algorithm>
#include <utility>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstWait = 50ms;
constexpr Duration kLongestWait = 2s;
/// A flow that was used so lately gets a circuit for a worn one before it is used again.
constexpr Duration kInUse = 5s;
/// So long large messages are not offered to a receiver that is away, but left at its keeper.
constexpr Duration kAwayFor = 60s;
/// Who waits for one asks again, twice as late each time: a receiver that has lost a keeper, or a
/// hop on the way to one, is there again within seconds.
constexpr Duration kAskFirst = 1s, kAskLongest = 30s;
/// Of one flow: one, and those that are begun because it is late. Those that wait for our own dial
/// are counted apart, since nobody behind the first hop heard of them.
constexpr std::ptrdiff_t kBuildsAtOnce = 6;
/// Refs are 32 bits; a circuit that comes near their end is worn as well.
constexpr std::uint32_t kRefsMax = 0xf000'0000;

/// Between three quarters and five quarters of it.
std::uint64_t about(std::uint64_t value, Rng& rng) {
  return value - value / 4 + rng.below(value / 2 + 1);
}

/// What rides in a deposit, until it is sealed.
class SecretBytes {
 public:
  explicit SecretBytes(std::size_t bytes = 0) : bytes_(bytes) {}
  ~SecretBytes() { wipe(bytes_); }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  MutableBytes span() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

Flow* CircuitPool::flow(const FlowKey& key, Now now) {
  if (last_ != nullptr && last_->key == key) {
    last_->active = now.mono;
    return last_;
  }
  auto at = flows_.find(key);
  if (at == flows_.end()) {
    if (flows_.size() >= context_.options.flows_max) return nullptr;
    at = flows_.emplace(key, std::make_unique<Flow>(key, now.mono)).first;
    at->second->build_after = now.mono;
  }
  at->second->active = now.mono;
  last_ = at->second.get();
  return last_;
}

Duration CircuitPool::oldest_waiting(Priority priority, Now now) const {
  Duration oldest{};
  for (const auto& [key, flow] : flows_) {
    if (key.priority != priority || flow->waiting.empty()) continue;
    oldest = std::max(oldest, now.mono - flow->waiting.front()->accepted);
  }
  return oldest;
}

Duration CircuitPool::waiting_time(Priority priority, Now now) const {
  constexpr Duration kLately = 1s;
  Duration least = Duration::max();
  for (const auto& [key, flow] : flows_) {
    if (key.priority != priority) continue;
    const bool can_send = std::ranges::any_of(flow->circuits, [](const CircuitEnd* circuit_end) {
      return circuit_end->takes_new() && circuit_end->sent < circuit_end->credit;
    });
    const Envelope* first = flow->waiting.front();
    if (first == nullptr ? now.mono - flow->active > kLately : !can_send) continue;
    if (first != nullptr && first->sent_before > 0) continue;
    least = std::min(least, first == nullptr ? Duration{} : now.mono - first->accepted);
  }
  return least == Duration::max() ? Duration{} : least;
}

void CircuitPool::serve_marked(Now now) {
  // A flow that is marked again meanwhile waits for the next pump: no turn lasts for ever.
  for (std::size_t n = marked_.size(); n > 0; --n) {
    Flow* flow = marked_.pop_front();
    if (flow == nullptr) break;
    serve(*flow, now);
  }
}

void CircuitPool::serve(Flow& flow, Now now) {
  if (List<Flow, &Flow::marked>::contains(flow)) marked_.erase(flow);
  if (context_.stopping) return;
  close_drained(flow, now);
  if (close_idle(flow, now)) return;
  context_.pipes->serve(flow, now);
  build_if_needed(flow, now);
  if (!flow.waiting.empty()) {
    for (CircuitEnd* circuit_end : flow.circuits) {
      if (circuit_end->takes_new()) context_.circuit_ends.mark(*circuit_end);
    }
  }
  set_deadline(flow, now);
}

// ---- life ---------------------------------------------------------------------------------------

void CircuitPool::wear(CircuitEnd& circuit_end, bool stops, Now now) {
  Flow& flow = *circuit_end.flow;
  if (stops) {
    if (circuit_end.route.size() == 1) return;  // it is the destination: there is no other way
    context_.routes.refused(circuit_end.route, 0, now);
  }
  if (!std::exchange(circuit_end.worn, true)) count_loss(circuit_end, now);
  flow.build_ahead =
      now.mono - std::max(flow.active, circuit_end.active) < kInUse || flow.pipes > 0;
  mark(flow);
}

namespace {

/// So much may be under way to the other end of one that is watched.
constexpr std::uint64_t kWatchedMax = 16 * 1'024;

/// Somebody waits there for answers to the little that was sent. What is much stands in queues on
/// its way, with the question behind it, and low priority may be paused: no answer says nothing
/// there, nor where our own link, which is watched itself, is all there is.
bool is_watched(const CircuitEnd& one) {
  if (!one.ready || one.dead || one.route.size() == 1 || one.priority == Priority::low) return false;
  if (!one.has_pipes() || one.partial() > 0) return false;
  std::uint64_t under_way = 0;
  for (const PipeRecord* pipe = one.pipes->here.front(); pipe != nullptr;
       pipe = PipesInPlace::next(*pipe)) {
    under_way += pipe->out.at() - std::min(pipe->out.at(), pipe->out.taken());
    if (under_way > kWatchedMax) return false;
  }
  return true;
}

}  // namespace

void CircuitPool::await_answer(const CircuitEnd& circuit_end) {
  if (!is_watched(circuit_end)) return;
  Flow& flow = *circuit_end.flow;
  const TimePoint at = circuit_end.answering.deadline(flow.silent);
  if (!flow.timed() || flow.deadline > at) context_.deadlines.set(flow, at);
}

CircuitEnd* CircuitPool::find_silent(Flow& flow, Now now) {
  for (CircuitEnd* one : flow.circuits) {
    if (!is_watched(*one)) continue;
    switch (one->answering.due(now.mono, flow.silent)) {
      case Answering::Due::nothing:
        break;
      case Answering::Due::ask:
        if (!context_.circuit_ends.ping(*one, context_.tables(), now)) {
          one->answering.put_off(now.mono);
        }
        break;
      case Answering::Due::silent:
        ++flow.silent;
        ++context_.stats.circuits_silent;
        context_.routes.late(one->route, context_.port.is_first_link_silent(one->circuit, now),
                             now);
        return one;
    }
  }
  return nullptr;
}

void CircuitPool::close_by_peer(CircuitEnd& circuit_end, Now now) {
  if (circuit_end.closing) return;
  count_loss(circuit_end, now);
  circuit_end.closing = true;
  mark(*circuit_end.flow);
}

bool CircuitPool::worn(const CircuitEnd& circuit_end, Now now) const {
  return circuit_end.worn || now.mono - circuit_end.asked >= circuit_end.age_max ||
         circuit_end.sent + circuit_end.received >= circuit_end.bytes_max ||
         circuit_end.next_ref >= kRefsMax || circuit_end.next_ref_in >= kRefsMax;
}

/// All but their successor, which may be worn already: its first link, while it was being built.
void CircuitPool::drain_worn(Flow& flow, const CircuitEnd& successor, Now now) {
  for (CircuitEnd* circuit_end : flow.circuits) {
    if (circuit_end == &successor) continue;
    if (circuit_end->ready && worn(*circuit_end, now)) circuit_end->draining = true;
  }
}

void CircuitPool::close_drained(Flow& flow, Now now) {
  for (std::size_t i = 0; i < flow.circuits.size();) {
    CircuitEnd& circuit_end = *flow.circuits[i];
    const bool over = circuit_end.draining || circuit_end.closing;
    if (over && circuit_end.quiet() &&
        now.mono - circuit_end.active >= context_.options.flow_idle) {
      close(flow, circuit_end, now);
    } else {
      ++i;
    }
  }
}

bool CircuitPool::close_idle(Flow& flow, Now now) {
  if (!flow.waiting.empty() || flow.pipes > 0) return false;
  for (const CircuitEnd* circuit_end : flow.circuits) {
    if (!circuit_end->quiet()) return false;
    flow.active = std::max(flow.active, circuit_end->active);
  }
  if (now.mono - flow.active < context_.options.flow_idle) return false;
  while (!flow.circuits.empty()) close(flow, *flow.circuits.back(), now);
  context_.deadlines.clear(flow);
  const FlowKey key = flow.key;
  if (last_ != nullptr && last_->key == key) last_ = nullptr;
  flows_.erase(key);
  return true;
}

void CircuitPool::close(Flow& flow, CircuitEnd& circuit_end, Now now, bool lost_race) {
  std::erase(flow.circuits, &circuit_end);
  context_.routes.circuit_ended(circuit_end.route, true, now.mono - circuit_end.asked, now);
  context_.circuit_ends.retire(circuit_end);
  if (lost_race) return context_.port.lost_race(circuit_end.circuit, now);
  context_.port.close(circuit_end.circuit, now);
}

// ---- building -----------------------------------------------------------------------------------

void CircuitPool::build_if_needed(Flow& flow, Now now) {
  const bool ahead = std::exchange(flow.build_ahead, false);
  if (flow.waiting.empty() && flow.pipes == 0 && !ahead) return;
  if (now.mono < flow.may_build_at()) return;
  std::size_t young = 0;
  bool building = false;
  bool all_full = true, no_place = !flow.pipes_waiting.empty();
  for (const CircuitEnd* circuit_end : flow.circuits) {
    building = building || !circuit_end->ready;
    if (!circuit_end->takes_new() || worn(*circuit_end, now)) continue;
    ++young;
    const bool full = context_.port.sendable(circuit_end->circuit) == 0 ||
                      circuit_end->sent >= circuit_end->credit ||
                      circuit_end->started.size() >= kUnackedMax;
    all_full = all_full && full && !flow.waiting.empty();
    no_place = no_place && circuit_end->pipes != nullptr &&
               circuit_end->pipes->here.size() >= PipesOnCircuit::kPipesMax;
  }
  if (building) {
    if (now.mono >= late_at(flow, now)) hedge(flow, now);
    return;
  }
  const std::size_t parallel = std::max(context_.options.circuits_per_flow_max, 1u);
  if (young != 0 && !(all_full && young < parallel) && !no_place) return;
  hedges_left_ = std::min(hedges_left_ + 1, kHedgesBurst * kHedgeCost);
  build(flow, now);
}

namespace {

/// A pipe that was open waits for another circuit.
bool is_moving(const Flow& flow) {
  const PipeRecord* const first = flow.pipes_waiting.front();
  return first != nullptr && first->answered;
}

}  // namespace

/// When another build is begun beside those that are under way; kNever if none may be.
TimePoint CircuitPool::late_at(const Flow& flow, Now now) const {
  const auto serves = [](const CircuitEnd* one) { return one->takes_new(); };
  if (flow.key.relays == 0 || (flow.waiting.empty() && flow.pipes_waiting.empty())) return kNever;
  if (std::ranges::any_of(flow.circuits, serves)) return kNever;
  std::ptrdiff_t left = 0, dialing = 0;
  const CircuitEnd* newest = nullptr;
  for (const CircuitEnd* one : flow.circuits) {
    if (one->ready) continue;
    if (one->deposits) return kNever;  // another one would leave the same letter twice
    ++(context_.port.has_left(one->circuit) ? left : dialing);
    if (newest == nullptr || one->asked >= newest->asked) newest = one;
  }
  if (newest == nullptr || std::max(left, dialing) >= kBuildsAtOnce) return kNever;
  // The last hop may be what makes all of them late: one flow leaves as many to the others.
  if (left > 0 && hedges_left_ < (flow.hedged + 1) * kHedgeCost) return kNever;
  const bool at_first_link = !context_.port.has_left(newest->circuit);
  Duration late = context_.routes.late_after(at_first_link, now);
  if (late == Duration::max()) return kNever;
  if (!at_first_link) late *= context_.port.legs(newest->circuit);
  // Somebody waits for each of its bytes, and one circuit has just failed him.
  if (!at_first_link && is_moving(flow)) late /= 2;
  return std::max({newest->asked + late, flow.hedge_after, flow.may_build_at()});
}

/// Whoever holds those that have left is given another draw by this one: the hedges are for that.
void CircuitPool::hedge(Flow& flow, Now now) {
  bool any_left = false;
  for (CircuitEnd* one : flow.circuits) {
    if (one->ready) continue;
    const bool left = context_.port.has_left(one->circuit);
    const bool first = !left || context_.port.is_first_link_silent(one->circuit, now);
    context_.routes.late(one->route, first, now);
    any_left = any_left || left;
  }
  const std::size_t before = flow.circuits.size();
  build(flow, now);
  if (!any_left || flow.circuits.size() == before) return;
  hedges_left_ -= kHedgeCost;
  ++flow.hedged;
  ++context_.stats.builds_hedged;
}

bool CircuitPool::is_dialed(const Flow& flow, const NodeId& first) const {
  return std::ranges::any_of(flow.circuits, [&](const CircuitEnd* one) {
    return !one->ready && one->route.front().id == first && !context_.port.has_left(one->circuit);
  });
}

/// One of them is ready: the others have lost.
void CircuitPool::drop_late(Flow& flow, const CircuitEnd& ready, Now now) {
  for (std::size_t i = 0; i < flow.circuits.size();) {
    CircuitEnd& one = *flow.circuits[i];
    if (one.ready || &one == &ready) {
      ++i;
      continue;
    }
    close(flow, one, now, true);
  }
}

namespace {

/// Whether messages that wait there are sent without another circuit.
bool is_served(const Flow& flow) {
  return std::ranges::any_of(
      flow.circuits, [](const CircuitEnd* circuit_end) { return circuit_end->takes_new(); });
}

}  // namespace

Result<std::vector<onion::RouteHop>> CircuitPool::draw(Flow& flow, Now now) {
  auto route = context_.routes.draw(flow.key.destination, flow.key.relays, now);
  if (route) return route;
  wait_before_next(flow, now);
  // While another build is under way, what rides in it may be there already.
  const bool hopes = std::ranges::any_of(flow.circuits, [](const CircuitEnd* circuit_end) {
    return circuit_end->takes_new() || !circuit_end->ready;
  });
  if (route.error() == Errc::unreachable) {
    flow.last_failure = route.error();  // it may come back
  } else if (!hopes) {
    listener_.on_no_way(flow, route.error(), now);
    context_.pipes->on_no_way(flow, route.error(), now);
  }
  return route;
}

/// What of this build a keeper may keep. While another one is under way its messages may be taken
/// there, so then nothing is kept.
CircuitPool::Plan CircuitPool::plan(const Flow& flow, std::span<const onion::RouteHop> route,
                                    Now now) const {
  Plan out{.keep = Port::Keep::no, .room = context_.port.rider_room_of(route)};
  const bool alone = std::ranges::none_of(
      flow.circuits, [](const CircuitEnd* one) { return !one->ready || one->takes_new(); });
  if (!alone || flow.waiting.empty() || flow.key.if_away != IfAway::store ||
      !flow.pipes_waiting.empty() || !context_.port.may_be_away(route)) {
    return out;
  }
  const Envelope& first = *flow.waiting.front();
  if (whole_bytes(first) <= out.room) {
    out.keep = Port::Keep::if_away;
  } else if (now.mono < flow.deposits_until) {
    if (const std::size_t room = context_.port.deposit_room(whole_bytes(first))) {
      out = {.keep = Port::Keep::always, .room = room};
    }
  }
  return out;
}

void CircuitPool::build(Flow& flow, Now now) {
  pay(flow, now);
  auto route = draw(flow, now);
  if (!route) return;
  if (is_dialed(flow, route->front().id)) {  // the same dial would hold it
    flow.hedge_after = now.mono + context_.routes.late_after(true, now);
    return;
  }
  wire::Scope scope;
  context_.rng.fill(scope);
  Secret<onion::kRiderBytes> place;
  Rider rider;
  Plan how = plan(flow, *route, now);
  const bool deposits = how.keep == Port::Keep::always;
  SecretBytes large(deposits ? how.room : 0);
  QUDAG_ASSERT(deposits || how.room <= place.size());
  const MutableBytes seat = deposits ? large.span() : place.span().first(how.room);
  if (!seat.empty() && !is_served(flow)) {
    rider = pack_rider(flow, scope, seat, context_, how.keep != Port::Keep::no);
  }
  if (rider.ridden.empty()) how.keep = Port::Keep::no;
  const Bytes rides = rider.empty() ? Bytes{} : Bytes(seat);
  in_build_ = true;
  auto circuit = how.keep == Port::Keep::no
                     ? context_.port.build(*route, flow.key.priority, now, rides)
                     : context_.port.build_kept(*route, flow.key.priority, now, rides, how.keep);
  in_build_ = false;
  const auto ended = std::exchange(ended_early_, {});
  const auto built = std::exchange(built_early_, {});
  if (!circuit && circuit.error() == Errc::unreachable) {
    // The first hop did not answer a moment ago, and nothing was tried: so it is nobody's attempt,
    // and others are asked for a while.
    context_.routes.refused(*route, 0, now);
    return wait_before_next(flow, now);
  }
  if (!circuit) return build_failed(flow, circuit.error(), now);

  CircuitEnd& circuit_end =
      context_.circuit_ends.add(*circuit, flow.key.priority, context_.options.credit_bytes, now);
  circuit_end.flow = &flow;
  circuit_end.kept_if_away = how.keep == Port::Keep::if_away;
  circuit_end.deposits = how.keep == Port::Keep::always;
  circuit_end.payload_bytes = context_.port.payload_bytes(*circuit, flow.key.priority);
  circuit_end.scope = scope;
  circuit_end.told = rider.told;
  circuit_end.next_ref = static_cast<std::uint32_t>(rider.ridden.size());
  circuit_end.sent = rider.bytes;
  circuit_end.ridden = std::move(rider.ridden);
  if (!rider.pipes.empty()) {
    circuit_end.pipes = std::make_unique<PipesOnCircuit>(true, now.mono);
    circuit_end.pipes->ridden = std::move(rider.pipes);
  }
  listener_.on_ridden(circuit_end, now);
  const Duration age = context_.options.circuit_age_max;
  circuit_end.age_max = Duration(
      static_cast<Duration::rep>(about(static_cast<std::uint64_t>(age.count()), context_.rng)));
  circuit_end.bytes_max = about(context_.options.circuit_bytes_max, context_.rng);
  circuit_end.route = std::move(*route);
  flow.circuits.push_back(&circuit_end);
  context_.routes.circuit_began(circuit_end.route, now);
  for (const auto& [id, took] : built) {
    if (id == *circuit) on_built(id, took, now);
  }
  for (const auto& [id, why, hop] : ended) {
    if (id != *circuit) continue;
    context_.circuit_ends.retire(circuit_end);
    on_ended(circuit_end, why, hop, now);
    return;
  }
}

void CircuitPool::on_built(circuit::CircuitId circuit, Duration took, Now now) {
  CircuitEnd* circuit_end = context_.circuit_ends.find(circuit);
  if (circuit_end == nullptr) {
    if (in_build_) built_early_.emplace_back(circuit, took);
    return;
  }
  if (!circuit_end->is_source() || circuit_end->ready) return;
  Flow& flow = *circuit_end->flow;
  circuit_end->ready = true;
  circuit_end->answering.built(took);
  flow.hedged = 0;
  circuit_end->active = now.mono;
  drain_worn(flow, *circuit_end, now);
  drop_late(flow, *circuit_end, now);
  listener_.on_ready(*circuit_end, now);
  context_.pipes->on_ready(*circuit_end, now);
  const bool goes_on = circuit_end->has_pipes() || flow.pipes > 0 || !flow.waiting.empty();
  if (goes_on && circuit_end->takes_new()) {  // beside the first bytes
    context_.circuit_ends.ping(*circuit_end, context_.tables(), now);
  }
  context_.routes.report(circuit_end->route, true, SIZE_MAX, took, now);
  context_.circuit_ends.mark(*circuit_end);
  mark(flow);
}

void CircuitPool::on_ended_early(circuit::CircuitId circuit, const Error& why) {
  if (in_build_) ended_early_.push_back({circuit, why, context_.port.failed_hop()});
}

void CircuitPool::on_ended(CircuitEnd& circuit_end, const Error& why, std::size_t failed_hop,
                           Now now) {
  Flow& flow = *circuit_end.flow;
  std::erase(flow.circuits, &circuit_end);
  if (!circuit_end.ready && ended_kept(circuit_end, why, now)) return;
  context_.routes.circuit_ended(circuit_end.route, false, now.mono - circuit_end.asked, now);
  // Only for what somebody behind the first link may have brought about.
  const bool first_link = !circuit_end.ready && failed_hop == 0 && why != Errc::refused_by_peer;
  // As one of its relays says, it did not reach the next one.
  const bool got_nowhere = !circuit_end.ready && why == Errc::unreachable && failed_hop > 0 &&
                           failed_hop < circuit_end.route.size() - 1;
  const bool is_free = got_nowhere && flow.unreached.take(kUnreachedCost, now.mono);
  if (!is_free && !first_link && !is_local(why)) count_loss(circuit_end, now);
  if (!circuit_end.ready) {
    const bool told = failed_hop < circuit_end.route.size();
    if (why == Errc::refused_by_peer && told) {
      context_.routes.refused(circuit_end.route, failed_hop, now);
    } else if (!is_local(why)) {
      context_.routes.report(circuit_end.route, false, failed_hop, now.mono - circuit_end.asked,
                             now);
      // Who asks for that link again waits for its dial: the next builds go elsewhere.
      if (failed_hop == 0 && is_gone(why)) context_.routes.gone(circuit_end.route, now);
    }
    build_failed(flow, why, now, is_free);
  } else {
    if (why == Errc::link_closed) context_.routes.late(circuit_end.route, true, now);
    if (!circuit_end.proven && !circuit_end.draining) {
      wait_before_next(flow, now);  // it never worked: do not try again at once
    }
  }
  mark(flow);
}

/// The circuit did what it could: a keeper has answered for a receiver that is away. That is no
/// failure of a relay, and no attempt of a message.
bool CircuitPool::ended_kept(CircuitEnd& circuit_end, const Error& why, Now now) {
  const Port::KeptEnd end = context_.port.kept_end();
  if (end == Port::KeptEnd::none && why != Errc::away) return false;
  Flow& flow = *circuit_end.flow;
  context_.routes.circuit_ended(circuit_end.route, true, now.mono - circuit_end.asked, now);
  if (end != Port::KeptEnd::none) {
    flow.failures = 0;
    listener_.on_kept(circuit_end, end, now);
    flow.build_after = std::max(flow.build_after, now.mono);
    if (flow.deposits_until < now.mono + kAwayFor) flow.deposits_until = now.mono + kAwayFor;
  } else {
    on_away(flow, circuit_end, why, now);
  }
  context_.pipes->on_build_failed(flow, why);
  mark(flow);
  return true;
}

/// All its keepers say that it is not there.
void CircuitPool::on_away(Flow& flow, const CircuitEnd& circuit_end, const Error& why, Now now) {
  if (flow.last_failure != Errc::away) flow.failures = 0;
  flow.last_failure = why;
  if (flow.key.if_away == IfAway::refuse) return listener_.on_no_way(flow, why, now);
  const Envelope* const first = flow.waiting.front();
  const bool deposits = flow.key.if_away == IfAway::store && first != nullptr &&
                        !circuit_end.kept_if_away &&
                        context_.port.deposit_room(whole_bytes(*first)) > 0;
  if (deposits) flow.deposits_until = now.mono + kAwayFor;
  // While another build is under way nothing is left at a keeper (plan()).
  if (!deposits || !flow.circuits.empty()) {
    const Duration wait = std::min(kAskFirst * (1L << std::min(flow.failures, 5u)), kAskLongest);
    ++flow.failures;
    flow.build_after = std::max(flow.build_after, now.mono + wait);
  }
}

/// Another circuit takes its place, and others wanted it so. One that drains or that its peer
/// closes has been counted, or is over by our own wish.
void CircuitPool::count_loss(CircuitEnd& circuit_end, Now now) {
  if (circuit_end.route.size() == 1 || circuit_end.draining || circuit_end.closing) return;
  charge(*circuit_end.flow, now);
}

void CircuitPool::charge(Flow& flow, Now now) {
  ++flow.unpaid;
  pay(flow, now);
}

void CircuitPool::pay(Flow& flow, Now now) {
  while (flow.unpaid > 0 && flow.losses.take(kLossCost, now.mono)) --flow.unpaid;
  const std::uint64_t wanted = std::min((flow.unpaid + 1) * kLossCost, kLossBurst);
  flow.loss_after = flow.losses.ready_at(wanted, now.mono);
}

void CircuitPool::build_failed(Flow& flow, const Error& why, Now now, bool is_free) {
  if (!is_free) wait_before_next(flow, now);  // else the next one knows what to avoid
  flow.last_failure = why;
  const bool served = std::ranges::any_of(flow.circuits, [](const CircuitEnd* circuit_end) {
    return circuit_end->takes_new() || !circuit_end->ready;
  });
  context_.pipes->on_build_failed(flow, why);
  if (!served) listener_.on_build_failed(flow, why, now);
}

void CircuitPool::wait_before_next(Flow& flow, Now now) {
  const Duration whole = std::min(kFirstWait * (1L << std::min(flow.failures, 8u)), kLongestWait);
  ++flow.failures;
  // About so long, so that many flows do not try together.
  const auto wait = about(static_cast<std::uint64_t>(whole.count()), context_.rng);
  flow.build_after =
      std::max(flow.build_after, now.mono + Duration(static_cast<Duration::rep>(wait)));
}

void CircuitPool::set_deadline(Flow& flow, Now now) {
  TimePoint wanted = flow.active + context_.options.flow_idle;
  for (const CircuitEnd* circuit_end : flow.circuits) {
    const bool over = circuit_end->draining || circuit_end->closing;
    const TimePoint idle = circuit_end->active + context_.options.flow_idle;
    wanted = over ? std::min(wanted, idle) : std::max(wanted, idle);
  }
  // Not quiet yet at its time: look again after another such while.
  if (wanted <= now.mono) wanted = now.mono + std::max<Duration>(context_.options.flow_idle, 1s);
  const bool waits = (!flow.waiting.empty() || flow.pipes > 0) && flow.may_build_at() > now.mono;
  if (waits) wanted = std::min(wanted, flow.may_build_at());
  wanted = std::min(wanted, late_at(flow, now));
  for (const CircuitEnd* one : flow.circuits) {
    if (!is_watched(*one)) continue;
    wanted = std::min(wanted, std::max(one->answering.deadline(flow.silent), now.mono));
  }
  if (flow.pipes > 0) wanted = std::min(wanted, context_.pipes->next_look(flow, now));
  // An earlier deadline that stands only leads here again; most calls leave the wheel alone.
  if (flow.timed() && flow.deadline <= wanted && flow.deadline > now.mono) return;
  context_.deadlines.set(flow, wanted);
}

void CircuitPool::clear() {
  for (auto& [key, flow] : flows_) context_.deadlines.clear(*flow);
  while (marked_.pop_front() != nullptr) {
  }
  last_ = nullptr;
  flows_.clear();
}

}  // namespace qudag::message
