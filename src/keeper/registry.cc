#include "keeper/registry.h"

#include "keeper/hail.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace qudag::keeper {
namespace {

/// What the owner asks for, within the keeper's own limit; 0: all of it.
std::uint64_t within(std::uint64_t wanted, std::uint64_t most) {
  return wanted == 0 ? most : std::min(wanted, most);
}

}  // namespace

// ---- control circuits ---------------------------------------------------------------------------

Registry::Added Registry::add(const EndRef& control, std::span<const wire::InboxEntry> inboxes,
                              Now now) {
  const std::lock_guard lock(mutex_);
  Added out;
  auto at = controls_.find(control);
  if (at == controls_.end()) {
    if (controls_.size() >= bounds_.controls) {
      out.answer.status = wire::RegisterStatus::no_room;
      return out;
    }
    at = controls_.try_emplace(control).first;
    rng_.fill(at->second.binding);
    bindings_[at->second.binding] = control;
  }
  Control& record = at->second;
  out.answer.binding = record.binding;
  out.answer.standbys = static_cast<std::uint8_t>(bounds_.standbys);
  out.answer.valid_seconds = static_cast<std::uint32_t>(kAwayMax.count());
  for (const wire::InboxEntry& entry : inboxes) {
    const wire::InboxId id = inbox_id(keeper_, entry.owner);
    auto held = inboxes_.find(id);
    const bool mine = held != inboxes_.end() && held->second.control == control;
    const bool room = (held != inboxes_.end() || make_room()) &&
                      (mine || record.inboxes.size() < wire::kInboxesMax);
    out.answer.inboxes.push_back(
        {room ? wire::RegisterStatus::taken : wire::RegisterStatus::no_room, 0});
    if (!room) continue;
    if (held == inboxes_.end()) held = insert(id, entry, now);
    Inbox& inbox = held->second;
    inbox.joins.set_rate(within(entry.joins_per_second, bounds_.joins_per_second),
                         within(entry.burst, bounds_.joins_burst), now.mono);
    inbox.splices_max = static_cast<std::size_t>(within(entry.splices, bounds_.splices));
    if (mine) continue;
    if (inbox.control) {  // the later one stands
      out.replaced.push_back(*inbox.control);
      std::erase(controls_.at(*inbox.control).inboxes, id);
    } else {
      away_.erase({inbox.until, id});
    }
    inbox.control = control;
    record.inboxes.push_back(id);
  }
  std::ranges::sort(out.replaced);
  const auto [first, last] = std::ranges::unique(out.replaced);
  out.replaced.erase(first, last);
  return out;
}

std::map<wire::InboxId, Registry::Inbox>::iterator Registry::insert(const wire::InboxId& id,
                                                                    const wire::InboxEntry& limits,
                                                                    Now now) {
  const std::uint64_t rate = within(limits.joins_per_second, bounds_.joins_per_second);
  const std::uint64_t burst = within(limits.burst, bounds_.joins_burst);
  return inboxes_
      .emplace(id, Inbox{.control = {},
                         .splices_max =
                             static_cast<std::size_t>(within(limits.splices, bounds_.splices)),
                         .joins = sync::TokenBucket(rate, burst, now.mono),
                         .waiting = {}})
      .first;
}

bool Registry::revoke(const EndRef& control, const wire::OwnerSecret& owner) {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(inbox_id(keeper_, owner));
  if (at == inboxes_.end() || at->second.control != control) return false;
  std::erase(controls_.at(control).inboxes, at->first);
  erase(at);
  return true;
}

std::vector<EndRef> Registry::drop_control(const EndRef& control, Now now) {
  const std::lock_guard lock(mutex_);
  const auto at = controls_.find(control);
  if (at == controls_.end()) return {};
  for (const wire::InboxId& id : at->second.inboxes) {
    Inbox& inbox = inboxes_.at(id);
    inbox.control.reset();
    inbox.until = now.mono + kAwayMax;
    away_.emplace(inbox.until, id);
  }
  std::vector<EndRef> idle = std::move(at->second.idle[0]);
  idle.insert(idle.end(), at->second.idle[1].begin(), at->second.idle[1].end());
  for (const EndRef& one : idle) standbys_.erase(one);
  bindings_.erase(at->second.binding);
  controls_.erase(at);
  return idle;
}

/// For one more inbox. Those whose receivers are away give theirs, the one first whose time is over
/// first; one with a conversation that goes on stays.
bool Registry::make_room() {
  constexpr int kLooksAt = 16;
  if (inboxes_.size() < bounds_.inboxes) return true;
  int looked = 0;
  for (const auto& [until, id] : away_) {
    if (++looked > kLooksAt) return false;
    const auto at = inboxes_.find(id);
    if (at->second.splices > 0) continue;
    if (letters_ && letters_->waiting(box_of(id)) > 0) continue;
    if (letters_ && letters_->keeps()) letters_->store().drop_registered(id);
    erase(at);
    return true;
  }
  return false;
}

void Registry::erase(std::map<wire::InboxId, Inbox>::iterator at) {
  waiting_ -= at->second.waiting.size();
  splices_ -= at->second.splices;
  if (!at->second.control) away_.erase({at->second.until, at->first});
  drop_card(at->second);
  if (letters_) letters_->forget(box_of(at->first));
  inboxes_.erase(at);
}

Registry::Control* Registry::control_of(const wire::Binding& binding) {
  const auto at = bindings_.find(binding);
  return at == bindings_.end() ? nullptr : &controls_.at(at->second);
}

// ---- letters ------------------------------------------------------------------------------------

void Registry::restore(const wire::InboxId& id, const wire::InboxEntry& limits, TimePoint until,
                       Now now) {
  const std::lock_guard lock(mutex_);
  if (inboxes_.size() >= bounds_.inboxes || inboxes_.contains(id)) return;
  insert(id, limits, now)->second.until = until;
  away_.emplace(until, id);
}

Registry::Keeps Registry::may_deposit(const wire::InboxId& id, Now now) {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(id);
  if (at == inboxes_.end()) return Keeps::no_inbox;
  return at->second.joins.take(1, now.mono) ? Keeps::yes : Keeps::too_fast;
}

std::optional<EndRef> Registry::control_of_inbox(const wire::InboxId& id) const {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(id);
  return at == inboxes_.end() ? std::nullopt : at->second.control;
}

wire::InboxId Registry::id_of(const wire::OwnerSecret& owner) const {
  return inbox_id(keeper_, owner);
}

std::vector<wire::InboxId> Registry::inboxes_of(const EndRef& control) const {
  const std::lock_guard lock(mutex_);
  const auto at = controls_.find(control);
  return at == controls_.end() ? std::vector<wire::InboxId>{} : at->second.inboxes;
}

// ---- standbys -----------------------------------------------------------------------------------

Registry::Waits Registry::wait(const EndRef& standby, const wire::Binding& binding, bool low) {
  const std::lock_guard lock(mutex_);
  Control* control = control_of(binding);
  if (control == nullptr) return {};
  auto at = standbys_.find(standby);
  if (at == standbys_.end()) {
    if (control->standbys >= bounds_.standbys) return {};
    at = standbys_.emplace(standby, Standby{.binding = binding, .low = low}).first;
    ++control->standbys;
  } else if (at->second.binding != binding) {
    return {};
  }
  return wait_with(*control, standby, at->second);
}

Registry::Waits Registry::wait_again(const EndRef& standby) {
  const std::lock_guard lock(mutex_);
  const auto at = standbys_.find(standby);
  if (at == standbys_.end()) return {};
  Control* control = control_of(at->second.binding);
  return control == nullptr ? Waits{} : wait_with(*control, standby, at->second);
}

/// Of the callers that wait for one of its inboxes, any that is first in its line; else it is idle.
Registry::Waits Registry::wait_with(Control& control, const EndRef& standby, Standby& record) {
  for (const wire::InboxId& id : control.inboxes) {
    Inbox& inbox = inboxes_.at(id);
    const auto next = std::ranges::find(inbox.waiting, record.low, &Join::low);
    if (next == inbox.waiting.end()) continue;
    Join join = std::move(*next);
    inbox.waiting.erase(next);
    --waiting_;
    return {.ok = true, .join = std::move(join)};  // its splice was counted when it began to wait
  }
  record.idle = true;
  control.idle[record.low ? 1 : 0].push_back(standby);
  return {.ok = true, .join = {}};
}

void Registry::forget(const EndRef& standby) {
  const std::lock_guard lock(mutex_);
  const auto at = standbys_.find(standby);
  if (at == standbys_.end()) return;
  if (Control* control = control_of(at->second.binding)) {
    --control->standbys;
    if (at->second.idle) std::erase(control->idle[at->second.low ? 1 : 0], standby);
  }
  standbys_.erase(at);
}

void Registry::splice_ended(const wire::InboxId& id) {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(id);
  if (at == inboxes_.end() || at->second.splices == 0) return;
  --at->second.splices;
  --splices_;
}

// ---- callers ------------------------------------------------------------------------------------

/// One of the caller's shard, if there is one.
std::optional<EndRef> Registry::take_idle(Control& control, bool low, unsigned shard) {
  std::vector<EndRef>& idle = control.idle[low ? 1 : 0];
  if (idle.empty()) return std::nullopt;
  auto at = std::ranges::find(idle, shard, &EndRef::shard);
  if (at == idle.end()) at = idle.begin();
  const EndRef out = *at;
  idle.erase(at);
  standbys_.at(out).idle = false;
  return out;
}

Registry::Joining Registry::join(Join&& join, Now now) {
  using How = Joining::How;
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(join.inbox);
  if (at == inboxes_.end()) return {.how = How::no_inbox};
  Inbox& inbox = at->second;
  if (!inbox.control && inbox.until <= now.mono) {
    erase(at);
    return {.how = How::no_inbox};
  }
  if (!inbox.joins.take(1, now.mono)) {
    const Duration wait = inbox.joins.ready_at(1, now.mono) - now.mono;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    return {.how = How::too_fast,
            .wait_seconds = static_cast<std::uint16_t>(
                std::clamp<std::int64_t>(seconds, 1, std::numeric_limits<std::uint16_t>::max()))};
  }
  if (!inbox.control) return {.how = How::away};
  if (inbox.splices >= inbox.splices_max) return {.how = How::busy, .wait_seconds = 1};
  Control& control = controls_.at(*inbox.control);
  if (const auto standby = take_idle(control, join.low, join.caller.shard)) {
    ++inbox.splices;
    ++splices_;
    return {.how = How::offered, .join = std::move(join), .standby = *standby};
  }
  if (inbox.waiting.size() >= bounds_.joins_inbox || waiting_ >= bounds_.joins) {
    return {.how = How::busy, .wait_seconds = 1};
  }
  ++inbox.splices;
  ++splices_;
  ++waiting_;
  inbox.waiting.push_back(std::move(join));
  wire::KnockFrame knock;
  for (const Join& one : inbox.waiting) ++(one.low ? knock.low : knock.normal);
  return {.how = How::waits, .control = inbox.control, .knock = knock};
}

bool Registry::give_up(const EndRef& caller, const wire::InboxId& id) {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(id);
  if (at == inboxes_.end()) return false;
  auto& waiting = at->second.waiting;
  const auto one = std::ranges::find(waiting, caller, &Join::caller);
  if (one == waiting.end()) return false;
  waiting.erase(one);
  --waiting_;
  --at->second.splices;
  --splices_;
  return true;
}

RegistryStats Registry::stats() const {
  const std::lock_guard lock(mutex_);
  RegistryStats out{.inboxes = inboxes_.size(),
                    .controls = controls_.size(),
                    .splices = splices_ - waiting_,
                    .joins_waiting = waiting_,
                    .cards = spots_.size()};
  for (const auto& [ref, control] : controls_) {
    out.standbys_idle += control.idle[0].size() + control.idle[1].size();
  }
  return out;
}

void Registry::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  const std::lock_guard lock(mutex_);
  out.push_back(bounded(Kind::table, "inboxes at this keeper", "REGISTER: no room", inboxes_.size(),
                        bounds_.inboxes, sizeof(Inbox)));
  out.push_back(bounded(Kind::table, "control circuits at this keeper", "REGISTER: no room",
                        controls_.size(), bounds_.controls, sizeof(Control)));
  out.push_back(bounded(Kind::table, "cards at this keeper", "PUT: no room", spots_.size(),
                        bounds_.cards, wire::kCardBlobBytes));
  out.push_back(bounded(Kind::queue, "callers that wait for a standby", "NO: busy", waiting_,
                        bounds_.joins, wire::kHailBytes));
  out.back().age_max = std::chrono::seconds(10);
}

}  // namespace qudag::keeper
