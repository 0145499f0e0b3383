#include "shard/route_source.h"

#include "base/limits.h"

#include <algorithm>
#include <array>

namespace qudag::shard {

Result<std::vector<onion::RouteHop>> RouteSource::draw(const NodeId& destination, unsigned relays,
                                                       Now now) {
  auto entries = guards_->with([&](netmap::Guards& guards) {
    return netmap::draw_route(*view_, self_, destination, relays, policy_, guards, history_, now,
                              rng_);
  });
  if (!entries) return std::unexpected(entries.error());
  std::vector<onion::RouteHop> hops;
  hops.reserve(entries->size());
  for (const netmap::EntryPtr& entry : *entries) {
    auto key = entry->onion_key(now.unix_seconds);
    if (!key) return fail(Errc::no_route, "a hop has no valid onion key");
    hops.push_back({.id = entry->descriptor.id, .onion_key = std::move(key), .cipher = cipher_});
  }
  return hops;
}

void RouteSource::report(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
                         Duration took, Now now) {
  std::array<NodeId, limits::kRelaysMax + 1> all;
  QUDAG_ASSERT(!route.empty() && route.size() <= all.size());
  std::ranges::transform(route, all.begin(), &onion::RouteHop::id);
  const auto ids = std::span<const NodeId>(all).first(route.size());
  if (ok) {
    build_us_.record(static_cast<std::uint64_t>(took / std::chrono::microseconds(1)), now.mono);
    history_.succeeded(ids, took, now);
  } else {
    history_.broke(ids, failed_hop, now);
  }
  if (ids.size() < 2) return;
  guards_->with([&](netmap::Guards& guards) {
    if (ok) {
      guards.confirmed(ids[0], now);
      guards.reached(ids[0], ids[1]);
    } else if (failed_hop == 1) {
      guards.not_reached(ids[0], ids[1], now);
    }
  });
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
