// Steps of serve(): close what has drained or is idle -> build what is missing -> give the ready
// channels a turn -> set the flow's next deadline.
#include "message/circuit_pool.h"

#include <algorithm>
#include <utility>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstWait = 50ms;
constexpr Duration kLongestWait = 2s;
/// A flow that was used so lately gets a circuit for a worn one before it is used again.
constexpr Duration kInUse = 5s;
/// Refs are 32 bits; a circuit that comes near their end is worn as well.
constexpr std::uint32_t kRefsMax = 0xf000'0000;

/// Between three quarters and five quarters of it.
std::uint64_t about(std::uint64_t value, Rng& rng) {
  return value - value / 4 + rng.below(value / 2 + 1);
}

/// A limit of this node, which says nothing about the route.
bool is_local(const Error& why) {
  const auto group = static_cast<unsigned>(why.code) / 100;
  return (group == 2 && why.code != Errc::refused_by_peer) || why.code == Errc::shutting_down;
}

}  // namespace

Flow* CircuitPool::flow(const FlowKey& key, Now now) {
  if (last_ != nullptr && last_->key == key) {
    last_->active = now.mono;
    return last_;
  }
  auto at = flows_.find(key);
  if (at == flows_.end()) {
    if (flows_.size() >= context_.options.flows_max) return nullptr;
    at = flows_.emplace(key, std::make_unique<Flow>(key)).first;
    at->second->build_after = now.mono;
  }
  at->second->active = now.mono;
  last_ = at->second.get();
  return last_;
}

Duration CircuitPool::oldest_waiting(Class cls, Now now) const {
  Duration oldest{};
  for (const auto& [key, flow] : flows_) {
    if (key.cls != cls || flow->waiting.empty()) continue;
    oldest = std::max(oldest, now.mono - flow->waiting.front()->accepted);
  }
  return oldest;
}

Duration CircuitPool::waiting_time(Class cls, Now now) const {
  constexpr Duration kLately = 1s;
  Duration least = Duration::max();
  for (const auto& [key, flow] : flows_) {
    if (key.cls != cls) continue;
    const bool can_send = std::ranges::any_of(flow->circuits, [](const Channel* channel) {
      return channel->takes_new() && channel->sent < channel->credit;
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
  build_if_needed(flow, now);
  if (!flow.waiting.empty()) {
    for (Channel* channel : flow.circuits) {
      if (channel->takes_new()) context_.channels.mark(*channel);
    }
  }
  set_deadline(flow, now);
}

// ---- life ---------------------------------------------------------------------------------------

void CircuitPool::wear(Channel& channel, bool stops, Now now) {
  Flow& flow = *channel.flow;
  if (stops) {
    if (channel.route.size() == 1) return;  // it is the destination: there is no other way
    context_.routes.refused(channel.route, 0, now);
  }
  channel.worn = true;
  flow.build_ahead = now.mono - std::max(flow.active, channel.active) < kInUse;
  mark(flow);
}

bool CircuitPool::worn(const Channel& channel, Now now) const {
  return channel.worn || now.mono - channel.asked >= channel.age_max ||
         channel.sent + channel.received >= channel.bytes_max || channel.next_ref >= kRefsMax ||
         channel.next_ref_in >= kRefsMax;
}

void CircuitPool::drain_worn(Flow& flow, Now now) {
  for (Channel* channel : flow.circuits) {
    if (channel->ready && worn(*channel, now)) channel->draining = true;
  }
}

void CircuitPool::close_drained(Flow& flow, Now now) {
  for (std::size_t i = 0; i < flow.circuits.size();) {
    Channel& channel = *flow.circuits[i];
    const bool over = channel.draining || channel.closing;
    if (over && channel.quiet() && now.mono - channel.active >= context_.options.flow_idle) {
      close(flow, channel, now);
    } else {
      ++i;
    }
  }
}

bool CircuitPool::close_idle(Flow& flow, Now now) {
  if (!flow.waiting.empty()) return false;
  for (const Channel* channel : flow.circuits) {
    if (!channel->quiet()) return false;
    flow.active = std::max(flow.active, channel->active);
  }
  if (now.mono - flow.active < context_.options.flow_idle) return false;
  while (!flow.circuits.empty()) close(flow, *flow.circuits.back(), now);
  context_.deadlines.clear(flow);
  const FlowKey key = flow.key;
  if (last_ != nullptr && last_->key == key) last_ = nullptr;
  flows_.erase(key);
  return true;
}

void CircuitPool::close(Flow& flow, Channel& channel, Now now) {
  std::erase(flow.circuits, &channel);
  context_.routes.circuit_ended(channel.route, true, now.mono - channel.asked, now);
  context_.channels.retire(channel);
  context_.port.close(channel.circuit, now);
}

// ---- building -----------------------------------------------------------------------------------

void CircuitPool::build_if_needed(Flow& flow, Now now) {
  const bool ahead = std::exchange(flow.build_ahead, false);
  if ((flow.waiting.empty() && !ahead) || now.mono < flow.build_after) return;
  std::size_t young = 0;
  bool building = false;
  bool all_full = true;
  for (const Channel* channel : flow.circuits) {
    building = building || !channel->ready;
    if (!channel->takes_new() || worn(*channel, now)) continue;
    ++young;
    const bool full = context_.port.sendable(channel->circuit) == 0 ||
                      channel->sent >= channel->credit || channel->started.size() >= kUnackedMax;
    all_full = all_full && full;
  }
  if (building) return;
  const std::size_t parallel = std::max(context_.options.circuits_per_flow_max, 1u);
  if (young == 0 || (all_full && young < parallel)) build(flow, now);
}

void CircuitPool::build(Flow& flow, Now now) {
  auto route = context_.routes.draw(flow.key.destination, flow.key.relays, now);
  if (!route) {
    const bool served = std::ranges::any_of(
        flow.circuits, [](const Channel* channel) { return channel->takes_new(); });
    wait_before_next(flow, now);
    if (!served) listener_.on_no_way(flow, route.error(), now);
    return;
  }
  in_build_ = true;
  auto circuit = context_.port.build(*route, flow.key.cls, now);
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

  Channel& channel =
      context_.channels.add(*circuit, flow.key.cls, context_.options.credit_bytes, now);
  channel.flow = &flow;
  context_.rng.fill(channel.scope);
  const Duration age = context_.options.circuit_age_max;
  channel.age_max = Duration(
      static_cast<Duration::rep>(about(static_cast<std::uint64_t>(age.count()), context_.rng)));
  channel.bytes_max = about(context_.options.circuit_bytes_max, context_.rng);
  channel.route = std::move(*route);
  flow.circuits.push_back(&channel);
  context_.routes.circuit_began(channel.route, now);
  for (const auto& [id, took] : built) {
    if (id == *circuit) on_built(id, took, now);
  }
  for (const auto& [id, why, hop] : ended) {
    if (id != *circuit) continue;
    context_.channels.retire(channel);
    on_ended(channel, why, hop, now);
    return;
  }
}

void CircuitPool::on_built(circuit::CircuitId circuit, Duration took, Now now) {
  Channel* channel = context_.channels.find(circuit);
  if (channel == nullptr) {
    if (in_build_) built_early_.emplace_back(circuit, took);
    return;
  }
  if (!channel->is_source() || channel->ready) return;
  Flow& flow = *channel->flow;
  channel->ready = true;
  channel->active = now.mono;
  drain_worn(flow, now);  // they have a successor now
  context_.routes.report(channel->route, true, SIZE_MAX, took, now);
  context_.channels.mark(*channel);
  mark(flow);
}

void CircuitPool::on_ended_early(circuit::CircuitId circuit, const Error& why) {
  if (in_build_) ended_early_.push_back({circuit, why, context_.port.failed_hop()});
}

void CircuitPool::on_ended(Channel& channel, const Error& why, std::size_t failed_hop, Now now) {
  Flow& flow = *channel.flow;
  std::erase(flow.circuits, &channel);
  context_.routes.circuit_ended(channel.route, false, now.mono - channel.asked, now);
  if (!channel.ready) {
    const bool told = failed_hop < channel.route.size();
    if (why == Errc::refused_by_peer && told) {
      context_.routes.refused(channel.route, failed_hop, now);
    } else if (!is_local(why)) {
      context_.routes.report(channel.route, false, failed_hop, now.mono - channel.asked, now);
      // Who asks for that link again waits for its dial: the next builds go elsewhere.
      if (failed_hop == 0 && why == Errc::unreachable) {
        context_.routes.refused(channel.route, 0, now);
      }
    }
    build_failed(flow, why, now);
  } else if (!channel.proven && !channel.draining) {
    wait_before_next(flow, now);  // it never worked: do not try again at once
  }
  mark(flow);
}

void CircuitPool::build_failed(Flow& flow, const Error& why, Now now) {
  wait_before_next(flow, now);
  const bool served = std::ranges::any_of(
      flow.circuits, [](const Channel* channel) { return channel->takes_new(); });
  if (!served) listener_.on_build_failed(flow, why, now);
}

void CircuitPool::wait_before_next(Flow& flow, Now now) {
  const Duration whole = std::min(kFirstWait * (1L << std::min(flow.failures, 8u)), kLongestWait);
  ++flow.failures;
  // About so long, so that many flows do not try together.
  const auto wait = about(static_cast<std::uint64_t>(whole.count()), context_.rng);
  flow.build_after = now.mono + Duration(static_cast<Duration::rep>(wait));
}

void CircuitPool::set_deadline(Flow& flow, Now now) {
  TimePoint wanted = flow.active + context_.options.flow_idle;
  for (const Channel* channel : flow.circuits) {
    const bool over = channel->draining || channel->closing;
    const TimePoint idle = channel->active + context_.options.flow_idle;
    wanted = over ? std::min(wanted, idle) : std::max(wanted, idle);
  }
  // Not quiet yet at its time: look again after another such while.
  if (wanted <= now.mono) wanted = now.mono + std::max<Duration>(context_.options.flow_idle, 1s);
  const bool waits = !flow.waiting.empty() && flow.build_after > now.mono;
  if (waits) wanted = std::min(wanted, flow.build_after);
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
