// Relays that circuits have proven lately are drawn more often (N4): how much more, for how long,
// what takes the proof away, and what of the openness of the draw is kept.
#include "netmap/fixture.h"
#include "netmap/routes/route.h"

#include <cmath>
#include <map>
#include <vector>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

const NodeId kSelf = id_of(5'000);
constexpr std::uint64_t kTarget = 4'000, kRelays = 100;
constexpr unsigned kHops = 3;
constexpr int kDraws = 10'000;

View all_relays() {
  std::vector<EntryPtr> all;
  for (std::uint64_t i = 1; i <= kRelays; ++i) all.push_back(entry_of(i));
  auto target = entry_of(kTarget);
  target->descriptor.relay = false;
  target->descriptor.addresses = {SocketAddress::v4(11, 1, 0, 1, 1)};
  all.push_back(target);
  return View(std::move(all));
}

struct Draw {
  std::array<std::map<NodeId, double>, kHops> seen;

  double bits(unsigned hop) const {
    double out = 0;
    for (const auto& [id, count] : seen[hop]) out -= count / kDraws * std::log2(count / kDraws);
    return out;
  }
  double most(unsigned hop) const {
    double out = 0;
    for (const auto& [id, count] : seen[hop]) out = std::max(out, count / kDraws * kRelays);
    return out;
  }
  /// That two circuits have the same relay there, in parts of that of an even draw.
  double met(unsigned hop) const {
    double out = 0;
    for (const auto& [id, count] : seen[hop]) out += count / kDraws * count / kDraws;
    return out * kRelays;
  }
  double share(unsigned hop, std::uint64_t first_ones) const {
    double out = 0;
    for (std::uint64_t i = 1; i <= first_ones; ++i) {
      const auto at = seen[hop].find(id_of(i));
      if (at != seen[hop].end()) out += at->second / kDraws;
    }
    return out;
  }
};

/// As many nodes with the same knowledge would, each with guards of its own.
Draw draws(const View& view, const RelayHistory& history, bool by_proof, Now now) {
  SeededRng rng(3);
  Draw out;
  for (int i = 0; i < kDraws; ++i) {
    Guards guards;
    const auto route = draw_route(view, kSelf, id_of(kTarget), kHops, {.by_proof = by_proof},
                                  guards, history, now, rng);
    EXPECT_TRUE(route);
    for (unsigned hop = 0; hop < kHops; ++hop) ++out.seen[hop][(*route)[hop]->descriptor.id];
  }
  return out;
}

/// Each of the first ones once, as a relay of a build that took as long as all do.
RelayHistory proven(std::uint64_t first_ones, Now now) {
  RelayHistory history;
  for (std::uint64_t i = 1; i <= first_ones; ++i) {
    history.succeeded(std::array{id_of(i), id_of(kTarget)}, 100ms, now);
  }
  return history;
}

TEST(Proof, OpennessIsKept) {
  const View view = all_relays();
  const Now now = at(1000s);
  for (const std::uint64_t many : {3, 10, 30, 50, 90}) {
    const RelayHistory history = proven(many, now);
    const Draw with = draws(view, history, true, now), without = draws(view, history, false, now);
    for (const unsigned hop : {1u, 2u}) {
      const double kept = with.bits(hop) / without.bits(hop);
      std::printf(
          "%2d of %d proven, hop %u: share of these %.2f, without %.2f; entropy %.2f of "
          "%.2f bits (%.0f %%), most drawn %.2f x even, met again %.2f x even\n",
          static_cast<int>(many), static_cast<int>(kRelays), hop + 1, with.share(hop, many),
          without.share(hop, many), with.bits(hop), without.bits(hop), 100 * kept, with.most(hop),
          with.met(hop));
      EXPECT_GE(kept, 0.8);
      EXPECT_LE(with.most(hop), 2.3) << "twice its equal share, and chance";
      EXPECT_LE(with.met(hop), 1.8 + 0.1)
          << "two isolation tags have one last relay by chance only";
      EXPECT_GT(with.share(hop, many), without.share(hop, many));
    }
    EXPECT_NEAR(with.share(0, many), without.share(0, many), 0.05) << "guards do not depend on it";
  }
}

TEST(Proof, HoldsForTenMinutesAndIsOfRelaysOnly) {
  RelayHistory history;
  history.succeeded(std::array{id_of(1), id_of(2), id_of(kTarget)}, 100ms, at(10s));
  for (const std::uint64_t relay : {1, 2}) {
    EXPECT_TRUE(history.proven(id_of(relay), at(609s)));
    EXPECT_FALSE(history.proven(id_of(relay), at(611s)));
  }
  EXPECT_FALSE(history.proven(id_of(kTarget), at(10s))) << "whom we talk to moves no draw";
  EXPECT_FALSE(history.proven(id_of(3), at(10s)));
}

TEST(Proof, WhoAccusesARelayLosesItsOwn) {
  const std::array route{id_of(1), id_of(2), id_of(3), id_of(kTarget)};
  const auto built = [&] {
    RelayHistory history;
    history.succeeded(route, 100ms, at(10s));
    return history;
  };
  RelayHistory between = built();
  between.broke(route, 2, at(11s));
  EXPECT_TRUE(between.proven(id_of(1), at(11s)));
  EXPECT_FALSE(between.proven(id_of(2), at(11s)));
  EXPECT_FALSE(between.proven(id_of(3), at(11s)));
  RelayHistory own = built();
  own.broke(route, 0, at(11s));
  EXPECT_FALSE(own.proven(id_of(1), at(11s)));
  // A destination, or who says nothing, takes nobody's: else it would choose our relays.
  for (const std::size_t failed : {std::size_t{3}, SIZE_MAX}) {
    RelayHistory other = built();
    other.broke(route, failed, at(11s));
    for (const std::uint64_t relay : {1, 2, 3}) EXPECT_TRUE(other.proven(id_of(relay), at(11s)));
  }
}

}  // namespace
}  // namespace qudag::netmap
