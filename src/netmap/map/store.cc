// What is held. Everything iterates by id, so that two nodes with the same input do the same.
#include "netmap/map/store.h"

#include "base/assert.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace qudag::netmap {
namespace {

// A descriptor, what is known of links, its places in the views and among the tries. Measured by
// netmap.Store.AnEntryTakesWhatItIsReckonedAt.
constexpr std::uint64_t kEntryBytes = 8 * 1024;

/// Of two valid ones the higher rank stands; but one that a wrong clock took, and that now lies
/// further ahead than is valid, gives way to any.
bool supersedes(std::uint64_t rank, const Record& held, UnixSeconds now) {
  const UnixSeconds published = held.entry->descriptor.published;
  return rank > held.rank() || (published > now && published - now > kPublishedAheadMax);
}

/// Of its addresses, each once.
template <class KeyOf>
std::vector<std::uint64_t> keys_of(const DescriptorFacts& d, KeyOf&& key_of) {
  std::vector<std::uint64_t> out;
  for (const SocketAddress& address : d.addresses) {
    const auto key = key_of(address);
    if (key && std::ranges::find(out, *key) == out.end()) out.push_back(*key);
  }
  return out;
}

std::uint8_t first_byte(const NodeId& id) { return std::to_integer<std::uint8_t>(id.bytes[0]); }

}  // namespace

Store::Store(const StoreRules& rules)
    : rules_(rules), memory_(rules.memory), view_(std::make_shared<const View>()) {}

// ---- Places -------------------------------------------------------------------------------------

bool Store::is_proven(const Record& held) const {
  return !rules_.only_reached || held.reached || is_kept(held.entry->descriptor.id) ||
         (held.counts && held.entry->descriptor.relay) || held.source == kOwnSource;
}

void Store::recount(const Record& held, bool in) {
  const auto change = [in](auto& of, const auto& key) {
    if (in) {
      ++of[key];
    } else if (const auto at = of.find(key); at != of.end() && --at->second == 0) {
      of.erase(at);
    }
  };
  const DescriptorFacts& d = held.entry->descriptor;
  if (held.reached) {
    for (const std::uint64_t one : keys_of(d, network_of)) change(reached_of_network_, one);
    for (const std::uint64_t one : keys_of(d, host_of)) change(reached_of_host_, one);
  }
  if (is_proven(held)) return;
  change(unproven_of_source_, held.source);
  for (const std::uint64_t one : keys_of(d, network_of)) change(unproven_of_network_, one);
  unproven_ += in ? 1 : SIZE_MAX;
}

bool Store::may_be_reached(const Record& held) const {
  const DescriptorFacts& d = held.entry->descriptor;
  if (held.reached || is_kept(d.id)) return true;
  const auto has_place = [](const Counts& counts, std::size_t most) {
    return [&counts, most](std::uint64_t one) {
      const auto at = counts.find(one);
      return at == counts.end() || at->second < most;
    };
  };
  return std::ranges::all_of(keys_of(d, network_of),
                             has_place(reached_of_network_, kReachedOfNetworkMax)) &&
         std::ranges::all_of(keys_of(d, host_of), has_place(reached_of_host_, kReachedOfHostMax));
}

Store::Judgement Store::judge(const NodeId& id, std::uint64_t rank, UnixSeconds now,
                              NodeLink source, std::size_t share) const {
  const Record* held = find(id);
  if (held != nullptr) {
    return supersedes(rank, *held, now) ? Judgement::newer : Judgement::old;
  }
  if (is_kept(id)) return Judgement::newcomer;
  if (rules_.only_reached && source != kOwnSource) {
    const auto has = unproven_of_source_.find(source);
    if (has != unproven_of_source_.end() && has->second >= share) return Judgement::full;
    if (unproven_ > 0) return Judgement::newcomer;  // put() decides whose place it takes
  }
  const bool room = held_.size() < rules_.descriptors_max && has_room();
  return room ? Judgement::newcomer : Judgement::full;
}

// What is free after this is there for the put() that follows.
bool Store::has_room() const {
  if (!memory_.take(kEntryBytes)) return false;
  memory_.give(kEntryBytes);
  return true;
}

/// Of the unproven ones there that are `in`, one of the source that has most of them goes: the
/// youngest. None if that would be the newcomer's own source: so who floods stands in its own way.
template <class In>
bool Store::evict_for(NodeLink source, In&& in) {
  std::map<NodeLink, std::size_t> of_source;
  for_all([&](const Record& held) {
    if (!is_proven(held) && in(held)) ++of_source[held.source];
  });
  if (of_source.empty()) return false;
  const auto most =
      std::ranges::max_element(of_source, {}, [](const auto& one) { return one.second; });
  const auto own = of_source.find(source);
  if (own != of_source.end() && own->second + 1 > most->second) return false;
  const Record* youngest = nullptr;
  for_all([&](const Record& held) {
    if (is_proven(held) || !in(held) || held.source != most->first) return;
    if (youngest == nullptr || held.since >= youngest->since) youngest = &held;
  });
  remove(held_.find(youngest->entry->descriptor.id));
  ++evicted_;
  return true;
}

/// Places for one more, in the network that it names, and in all.
bool Store::make_room(const Entry& entry, NodeLink source) {
  if (rules_.only_reached && source != kOwnSource) {
    for (const std::uint64_t network : keys_of(entry.descriptor, network_of)) {
      const auto there = unproven_of_network_.find(network);
      if (there == unproven_of_network_.end() || there->second < kNetworkMax) continue;
      const auto in = [&](const Record& held) {
        const auto has = keys_of(held.entry->descriptor, network_of);
        return std::ranges::find(has, network) != has.end();
      };
      if (!evict_for(source, in)) return false;
    }
  }
  if (held_.size() < rules_.descriptors_max && has_room()) return true;
  return evict_for(source, [](const Record&) { return true; });
}

/// For one that is kept, where all the others are proven: the youngest of those goes.
void Store::make_room_anyway() {
  if (held_.size() < rules_.descriptors_max) return;  // only memory is short
  const Record* youngest = nullptr;
  for_all([&](const Record& held) {
    if (is_kept(held.entry->descriptor.id)) return;
    if (youngest == nullptr || held.since >= youngest->since) youngest = &held;
  });
  if (youngest == nullptr) return;
  remove(held_.find(youngest->entry->descriptor.id));
  ++evicted_;
}

Record* Store::find(const NodeId& id) {
  const auto at = held_.find(id);
  return at == held_.end() ? nullptr : &at->second;
}

const Record* Store::find(const NodeId& id) const {
  const auto at = held_.find(id);
  return at == held_.end() ? nullptr : &at->second;
}

Record* Store::put(EntryPtr entry, Now now, NodeLink source) {
  const NodeId id = entry->descriptor.id;
  if (Record* held = find(id)) {
    QUDAG_ASSERT(supersedes(entry->descriptor.rank, *held, now.unix_seconds));
    recount(*held, false);
    held->rank_before = held->rank();
    held->entry = std::move(entry);
    held->has = held->owed = held->sent = {};  // what links had, or were owed, was the old one
    held->dropped = {};                        // it has spoken since
    held->doubted = 0;
    recount(*held, true);
    changed();
    return held;
  }
  if (id != rules_.self && !make_room(*entry, source)) {
    if (!is_kept(id)) return nullptr;
    make_room_anyway();
  }
  Record& held = held_.try_emplace(id).first->second;
  held.entry = std::move(entry);
  held.source = source;
  held.since = now.mono;
  ++per_byte_[first_byte(id)];
  memory_.take_anyway(kEntryBytes);  // our own is never refused
  recount(held, true);
  changed();
  return &held;
}

void Store::set_reached(Record& held, bool reached) {
  if (held.reached == reached) return;
  recount(held, false);
  held.reached = reached;
  recount(held, true);
  changed();
}

void Store::set_counts(Record& held, bool counts) {
  if (held.counts == counts) return;
  recount(held, false);
  held.counts = counts;
  recount(held, true);
  changed();
}

void Store::set_doubted(Record& held, unsigned doubted) {
  if (held.doubted == doubted) return;
  held.doubted = doubted;
  changed();
}

void Store::keep(std::set<NodeId> ids) {
  if (ids == kept_) return;
  const auto recount_all = [this](const std::set<NodeId>& of, bool in) {
    for (const NodeId& id : of) {
      if (const Record* held = find(id)) recount(*held, in);
    }
  };
  std::set<NodeId> all = kept_;
  all.insert(ids.begin(), ids.end());
  recount_all(all, false);
  kept_ = std::move(ids);
  recount_all(all, true);
}

void Store::remove(Map::iterator at) {
  recount(at->second, false);
  --per_byte_[first_byte(at->first)];
  memory_.give(kEntryBytes);
  held_.erase(at);
  changed();
}

std::size_t Store::expire(UnixSeconds now) {
  std::size_t removed = 0;
  for (auto at = held_.begin(); at != held_.end();) {
    const auto next = std::next(at);
    if (at->second.entry->descriptor.expires <= now) {
      remove(at);
      ++removed;
    }
    at = next;
  }
  return removed;
}

void Store::forget_link(NodeLink link, std::size_t slot) {
  for (auto& [id, held] : held_) {
    held.has.erase(slot);
    held.owed.erase(slot);
    held.sent.erase(slot);
    held.shown.erase(slot);
    held.dropped.erase(slot);
    if (held.source != link) continue;
    recount(held, false);
    held.source = kGoneSource;
    recount(held, true);
  }
}

// ---- What others see ----------------------------------------------------------------------------

std::size_t Store::count(const wire::IdRange& range) const {
  constexpr unsigned kKnown = 2;  // nibbles
  if (range.depth <= kKnown) {
    const std::size_t from = range.prefix >> 56, many = 256u >> (4 * range.depth);
    const auto begin = per_byte_.begin() + static_cast<std::ptrdiff_t>(from);
    return std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(many), std::size_t{0});
  }
  std::size_t out = 0;
  for (auto at = held_.lower_bound(range.first()); at != held_.end(); ++at, ++out) {
    if (!range.contains(at->first)) break;
  }
  return out;
}

wire::IdRange Store::around(const NodeId& id, std::size_t most) const {
  std::uint8_t depth = 0;
  while (depth < wire::IdRange::kDepthMax && count(wire::IdRange::around(id, depth)) > most) {
    ++depth;
  }
  return wire::IdRange::around(id, depth);
}

ViewPtr Store::view() {
  if (view_version_ != version_) {
    std::vector<EntryPtr> entries, withdrawn;
    std::vector<bool> counts;
    std::vector<std::uint8_t> doubted;
    entries.reserve(held_.size());
    for (const auto& [id, held] : held_) {
      if (held.entry->descriptor.withdrawn) {
        withdrawn.push_back(held.entry);
        continue;
      }
      entries.push_back(held.entry);
      if (!rules_.only_reached) continue;
      counts.push_back(held.counts);
      doubted.push_back(static_cast<std::uint8_t>(held.doubted));
    }
    view_ = std::make_shared<const View>(std::move(entries), std::move(counts),
                                         std::move(withdrawn), std::move(doubted));
    view_version_ = version_;
  }
  return view_;
}

}  // namespace qudag::netmap
