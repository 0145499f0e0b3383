#include "shard/route_source.h"

#include "base/limits.h"

#include <algorithm>
#include <array>

namespace qudag::shard {

using namespace std::chrono_literals;

namespace {

std::span<const NodeId> ids_of(std::span<const onion::RouteHop> route, std::span<NodeId> room) {
  QUDAG_ASSERT(!route.empty() && route.size() <= room.size());
  std::ranges::transform(route, room.begin(), &onion::RouteHop::id);
  return room.first(route.size());
}

}  // namespace

Result<std::vector<onion::RouteHop>> RouteSource::draw(const NodeId& destination, unsigned relays,
                                                       Now now) {
  const keeper::KnownCardPtr known = cards_ == nullptr ? nullptr : cards_->find(destination);
  if (known != nullptr) {
    if (relays != netmap::kKeeperRelays) {
      return fail(Errc::invalid_argument, "a receiver is called over 3 relays");
    }
    return to_receiver(*known, now);
  }
  return hops_of(guards_->with([&](netmap::Guards& guards) {
    return netmap::draw_route(*view_, self_, destination, relays, policy_, guards, history_, now,
                              rng_);
  }),
                 now);
}

Result<std::vector<onion::RouteHop>> RouteSource::hops_of(
    Result<std::vector<netmap::EntryPtr>> entries, Now now) {
  if (!entries) return std::unexpected(entries.error());
  std::vector<onion::RouteHop> hops;
  hops.reserve(entries->size() + 1);
  for (const netmap::EntryPtr& entry : *entries) {
    auto key = key_of(*entry, now);
    if (!key) return fail(Errc::no_route, "a hop has no valid onion key");
    hops.push_back({.id = entry->descriptor.id, .onion_key = std::move(key), .cipher = cipher_});
  }
  return hops;
}

std::shared_ptr<const crypto::KemPublicKey> RouteSource::key_of(const netmap::Entry& entry,
                                                                Now now) {
  const NodeId& id = entry.descriptor.id;
  const Bytes newest = entry.newest_key(now.unix_seconds);
  const auto at = keys_.find(id);
  if (at != keys_.end() && std::ranges::equal(newest, at->second->bytes())) return at->second;
  auto key = entry.onion_key(now.unix_seconds);
  if (key == nullptr) return nullptr;
  if (at == keys_.end() && keys_.size() >= kKeysMax) {
    keys_.erase(std::next(keys_.begin(), static_cast<std::ptrdiff_t>(rng_.below(kKeysMax))));
  }
  return keys_.insert_or_assign(id, std::move(key)).first->second;
}

/// One of its keepers, and behind it the receiver itself (keeper::Ports::build). A keeper that is
/// not known, or not any more, is no reason to fail while there is another.
Result<std::vector<onion::RouteHop>> RouteSource::to_receiver(const keeper::KnownCard& known,
                                                              Now now) {
  Result<std::vector<onion::RouteHop>> hops = fail(Errc::unknown_destination);
  for (std::size_t tried = 0; tried < known.card.places.size() && !hops; ++tried) {
    const NodeId keeper = cards_->pick(known, rng_, now).keeper;
    hops = to_keeper(keeper, true, now);
    if (!hops) cards_->failed(known.card.receiver, keeper, now);
  }
  if (!hops && hops.error() == Errc::unknown_destination) {
    return fail(Errc::unreachable, "no keeper of the receiver is known");  // one may come
  }
  if (hops) {
    hops->push_back({.id = known.card.receiver, .onion_key = known.key, .cipher = cipher_});
  }
  return hops;
}

Result<std::vector<onion::RouteHop>> RouteSource::to_keeper(const NodeId& keeper, bool hidden,
                                                            Now now) {
  return hops_of(guards_->with([&](netmap::Guards& guards) {
    return hidden
               ? netmap::draw_keeper_route(*view_, self_, keeper, policy_, guards, history_, now,
                                           rng_)
               : netmap::draw_route(*view_, self_, keeper, 0, policy_, guards, history_, now, rng_);
  }),
                 now);
}

std::optional<NodeId> RouteSource::draw_keeper(std::span<const NodeId> others, Now now) {
  const auto entry = netmap::draw_keeper(*view_, self_, others, policy_, history_, now, rng_);
  return entry == nullptr ? std::nullopt : std::optional(entry->descriptor.id);
}

void RouteSource::built(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
                        Duration took, Now now) {
  report(route, ok, failed_hop, took, now);
}

/// While nothing is known: so many round trips, as far as the links that we dialed tell.
Duration RouteSource::unknown(int round_trips) const {
  constexpr Duration kLeast = 100ms, kMost = 400ms;
  return rtt_ == Duration{} ? kMost : std::clamp(round_trips * rtt_, kLeast, kMost);
}

/// Nineteen of twenty builds of the last minutes were faster; asked for often, found out each
/// second.
Duration RouteSource::late_after(bool at_first_link, Now now) {
  constexpr std::uint64_t kEnough = 20;
  constexpr Duration kLeast = 50ms, kMost = 2s;
  constexpr int kOfDial = 6, kOfBuild = 12;  // some of its links have to be dialed
  if (at_first_link) return unknown(kOfDial);
  if (late_after_ != Duration{} && now.mono - late_at_ < 1s) return late_after_;
  late_at_ = now.mono;
  const Histogram recent = build_us_.recent(now.mono);
  late_after_ = unknown(kOfBuild);
  if (recent.count() >= kEnough) {
    const auto p95 = std::chrono::microseconds(recent.percentile(95));
    late_after_ = std::clamp<Duration>(p95, kLeast, kMost);
  }
  return late_after_;
}

/// Others are asked for a while. The first hop answers for its own link only; for the rest nobody
/// knows whose fault it is, and nothing is held against them.
void RouteSource::late(std::span<const onion::RouteHop> route, bool at_first_link, Now now) {
  if (route.size() < 2) return;
  if (at_first_link) return history_.unanswered(route.front().id, now);
  std::array<NodeId, limits::kRelaysMax + 1> all;
  const auto ids = ids_of(route, all);
  if (RouteStats::Builds* const builds = builds_like(ids, now)) ++builds->late;
  for (const NodeId& relay : ids.subspan(1, ids.size() - 2)) history_.late(relay, now);
}

void RouteSource::report(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
                         Duration took, Now now) {
  std::array<NodeId, limits::kRelaysMax + 1> all;
  const auto ids = ids_of(route, all);
  RouteStats::Builds* const builds = builds_like(ids, now);
  if (builds != nullptr) ++(ok ? builds->built : builds->failed);
  if (ok) {
    const auto us = static_cast<std::uint64_t>(took / std::chrono::microseconds(1));
    if (builds != nullptr) builds->us.record(us);
    build_us_.record(us, now.mono);
    history_.succeeded(ids, took, now);
    if (ids.size() > 1) history_.answered(ids[0]);
  } else {
    history_.broke(ids, failed_hop, now);
  }
  if (ids.size() < 2) return;
  guards_->with([&](netmap::Guards& guards) {
    if (ok) {
      guards.confirmed(ids[0], now);
      guards.reached(ids[0], ids[1], now);
      if (ids.size() > netmap::kKeeperRelays) guards.thirds.reached(ids[3], ids[2]);
    } else if (failed_hop == 1) {
      guards.not_reached(ids[0], ids[1], now);
    } else if (failed_hop == 2 && ids.size() > netmap::kKeeperRelays) {
      guards.thirds.not_reached(ids[3], ids[2], now);
    }
  });
}

/// As they are known before this build: what it proves counts for the next ones. The first hop is a
/// guard, and no part of the choice; null if there is no other relay.
RouteStats::Builds* RouteSource::builds_like(std::span<const NodeId> hops, Now now) {
  if (hops.size() < 3) return nullptr;
  const auto drawn = hops.subspan(1, hops.size() - 2);
  const bool all =
      std::ranges::all_of(drawn, [&](const NodeId& relay) { return history_.proven(relay, now); });
  return all ? &stats_.proven : &stats_.unproven;
}

// A route without relays has no first hop to choose.
void RouteSource::circuit_began(std::span<const onion::RouteHop> route, Now now) {
  if (route.size() < 2) return;
  guards_->with([&](netmap::Guards& g) { g.circuits.began(route.front().id, now); });
}

void RouteSource::circuit_ended(std::span<const onion::RouteHop> route, bool by_us, Duration lived,
                                Now now) {
  if (route.size() < 2) return;
  guards_->with([&](netmap::Guards& g) { g.circuits.ended(route.front().id, by_us, lived, now); });
}

}  // namespace qudag::shard
