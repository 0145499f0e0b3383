#include "node/joining.h"

#include "runtime/clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace qudag::node {

void Joining::begin(unsigned shards, bool has_bootstrap) {
  const std::lock_guard lock(mutex_);
  shards_.resize(shards);
  has_bootstrap_ = has_bootstrap;
}

void Joining::entry(const std::string& which, std::string_view problem) {
  const std::lock_guard lock(mutex_);
  if (problem.empty()) {
    entries_.erase(which);
  } else {
    entries_[which] = problem;
  }
}

void Joining::update(unsigned shard, const shard::Means& means, netmap::ViewPtr view) {
  const std::lock_guard lock(mutex_);
  shards_[shard] = {means, std::move(view)};
  changed_.notify_all();
  const bool joined = look(kRelaysDefault).joined;
  if (std::exchange(joined_, joined) != joined) ++changes_;
}

void Joining::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

JoinState Joining::look(unsigned relays) const {
  JoinState out;
  out.relays_wanted = relays;
  out.relays = shards_.empty() ? 0 : kRelaysMax + 1;
  bool rests = false;
  for (const OfShard& one : shards_) {
    out.links += one.means.links;
    rests = rests || one.means.rests;
    out.relays = std::min(out.relays, one.means.relays);
  }
  if (closed_) {
    out.reason = "the node is stopping";
  } else if (relays > kRelaysMax) {
    out.reason = fmt::format("a circuit has at most {} relays", kRelaysMax);
  } else if (out.links == 0 && !rests) {
    out.reason = has_bootstrap_
                     ? "no link is ready: no bootstrap entry has answered yet"
                     : "no link is ready: there is no bootstrap entry, and nobody dialed";
    for (const auto& [which, problem] : entries_) out.reason += "; " + problem;
  } else if (out.relays < relays) {
    out.reason =
        fmt::format("{} relays are wanted, {} known ones can be used together", relays, out.relays);
  }
  out.joined = out.reason.empty();
  return out;
}

JoinState Joining::state(unsigned relays) const {
  const std::lock_guard lock(mutex_);
  return look(relays);
}

JoinState Joining::wait(unsigned relays, Duration timeout) const {
  std::unique_lock lock(mutex_);
  JoinState out = look(relays);
  const auto over = [&] {
    out = look(relays);
    return out.joined || closed_ || relays > kRelaysMax;
  };
  if (timeout > Duration{}) changed_.wait_for(lock, timeout, over);
  return out;
}

bool Joining::find(const NodeId& id) const {
  const UnixSeconds now = runtime::system_now().unix_seconds;
  return !shards_.empty() && std::ranges::all_of(shards_, [&](const OfShard& one) {
    const netmap::Entry* entry = one.view ? one.view->find(id) : nullptr;
    return entry != nullptr && entry->descriptor.expires > now;
  });
}

bool Joining::knows(const NodeId& id) const {
  const std::lock_guard lock(mutex_);
  return find(id);
}

bool Joining::wait_known(const NodeId& id, Duration timeout) const {
  std::unique_lock lock(mutex_);
  bool known = find(id);
  if (!known && timeout > Duration{}) {
    changed_.wait_for(lock, timeout, [&] { return (known = find(id)) || closed_; });
  }
  return known;
}

std::vector<KnownNode> Joining::nodes() const {
  netmap::ViewPtr view;
  {
    const std::lock_guard lock(mutex_);
    if (!shards_.empty()) view = shards_[0].view;
  }
  std::vector<KnownNode> out;
  if (!view) return out;
  const std::int64_t now = runtime::system_now().unix_seconds;
  out.reserve(view->entries().size());
  for (const netmap::EntryPtr& entry : view->entries()) {
    const netmap::DescriptorFacts& facts = entry->descriptor;
    const auto usable =
        std::ranges::lower_bound(view->relays(), facts.id, {},
                                 [](const netmap::EntryPtr& one) { return one->descriptor.id; });
    out.push_back(
        {.id = facts.id,
         .addresses = facts.addresses,
         .relay = facts.relay,
         .keeper = facts.keeper,
         .usable = usable != view->relays().end() && *usable == entry,
         .published = std::chrono::seconds(now - static_cast<std::int64_t>(facts.published)),
         .expires = std::chrono::seconds(static_cast<std::int64_t>(facts.expires) - now)});
  }
  return out;
}

std::optional<JoinState> Joining::take_change(std::uint64_t& taken) {
  const std::lock_guard lock(mutex_);
  if (closed_ || std::exchange(taken, changes_) == changes_) return std::nullopt;
  return look(kRelaysDefault);
}

}  // namespace qudag::node
