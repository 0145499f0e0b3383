// Routes to keepers: the first two hops do not depend on the keeper, and the third is one of two.
#include "netmap/fixture.h"
#include "netmap/routes/route.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

const NodeId kSelf = id_of(200);
constexpr std::uint64_t kKeepers = 4;  // the first of the relays

View network() {
  std::vector<EntryPtr> all;
  for (std::uint64_t i = 1; i <= 60; ++i) {
    auto entry = entry_of(i);
    entry->descriptor.keeper = i <= kKeepers;
    all.push_back(std::move(entry));
  }
  return View(std::move(all));
}

class Keepers : public ::testing::Test {
 protected:
  using Entries = std::vector<EntryPtr>;
  Entries draw(const NodeId& keeper) {
    auto route = draw_keeper_route(view, kSelf, keeper, policy, guards, history, now, rng);
    EXPECT_TRUE(route);
    return route ? *route : Entries{};
  }
  /// Who stands there in that many circuits to a keeper.
  std::map<NodeId, int> census(const NodeId& keeper, std::size_t position, int draws) {
    std::map<NodeId, int> out;
    for (int i = 0; i < draws; ++i) {
      const Entries route = draw(keeper);
      if (route.size() == 4) ++out[route[position]->descriptor.id];
    }
    return out;
  }

  const View view = network();
  RoutePolicy policy{.second_guards = 4};
  Guards guards;
  RelayHistory history;
  Now now = at(1000s);
  SeededRng rng{42};
};

TEST_F(Keepers, TheThirdHopIsOneOfTwoForEachKeeper) {
  std::set<NodeId> thirds;
  for (std::uint64_t k = 1; k <= kKeepers; ++k) {
    const auto third = census(id_of(k), 2, 300);
    // A second guard or the guard may be what was kept: then another stands in.
    EXPECT_GE(third.size(), 2u);
    int most = 0, next = 0;
    for (const auto& [id, count] : third) {
      if (count > most) {
        next = std::exchange(most, count);
      } else {
        next = std::max(next, count);
      }
    }
    EXPECT_GE(most + next, 290) << "keeper " << k;
    for (const NodeId& id : guards.thirds.of(id_of(k), now)) thirds.insert(id);
  }
  EXPECT_GT(thirds.size(), 2u) << "they are those of one keeper";
}

/// The relay before a third says that it does not reach it: the other one is drawn then, and one
/// more beside it, but no others, whatever is said of them.
TEST_F(Keepers, AThirdThatIsNotReachedIsPassedOverForAWhile) {
  const NodeId keeper = id_of(1);
  static_cast<void>(census(keeper, 2, 50));
  const auto before = guards.thirds.of(keeper, now);
  ASSERT_EQ(before.size(), Thirds::kForEach);
  guards.thirds.not_reached(keeper, before[0], now);
  EXPECT_EQ(census(keeper, 2, 300).count(before[0]), 0u);
  const auto beside = guards.thirds.of(keeper, now);
  ASSERT_EQ(beside.size(), Thirds::kForEach + 1);
  for (const NodeId& id : beside) guards.thirds.not_reached(keeper, id, now);
  static_cast<void>(census(keeper, 2, 300));
  EXPECT_EQ(guards.thirds.of(keeper, now), beside);
  now.mono += Thirds::kPassedMin;
  EXPECT_GT(census(keeper, 2, 300).count(before[0]), 0u) << "it is asked again";
  guards.thirds.not_reached(keeper, before[0], now);
  now.mono += Thirds::kPassedMin;
  EXPECT_EQ(census(keeper, 2, 300).count(before[0]), 0u) << "and then later";
  now.mono += 2 * Thirds::kPassedMin;
  for (const NodeId& id : beside) guards.thirds.reached(keeper, id);
  const auto after = census(keeper, 2, 300);
  EXPECT_GT(after.count(before[0]), 0u);
  // A second guard or the guard may be what was kept: then another stands in.
  EXPECT_LE(after.count(beside[2]) == 0 ? 0 : after.at(beside[2]), 20)
      << "the two are in use again";
}

TEST_F(Keepers, ThirdHopsLastForHours) {
  const NodeId keeper = id_of(1);
  static_cast<void>(census(keeper, 2, 50));
  const auto before = guards.thirds.of(keeper, now);
  ASSERT_EQ(before.size(), Thirds::kForEach);
  now.mono += 59min;
  EXPECT_EQ(guards.thirds.of(keeper, now), before);
  now.mono += 48h;
  EXPECT_TRUE(guards.thirds.of(keeper, now).empty());
}

/// 4 x 1,000 draws: for each keeper the first two hops are spread alike over the same relays.
TEST_F(Keepers, TheFirstTwoHopsDoNotDependOnTheKeeper) {
  std::map<NodeId, std::array<int, 5>> first, second;
  for (std::uint64_t k = 1; k <= kKeepers; ++k) {
    for (int i = 0; i < 1'000; ++i) {
      const Entries route = draw(id_of(k));
      ASSERT_EQ(route.size(), 4u);
      ++first[route[0]->descriptor.id][k];
      ++second[route[1]->descriptor.id][k];
    }
  }
  EXPECT_EQ(first.size(), 2u);
  EXPECT_EQ(second.size(), 4u);
  for (const auto* hops : {&first, &second}) {
    for (const auto& [id, counts] : *hops) {
      for (std::uint64_t k = 1; k <= kKeepers; ++k) {
        EXPECT_NEAR(counts[k], 1'000 / static_cast<int>(hops->size()), 80) << "keeper " << k;
      }
    }
  }
}

TEST_F(Keepers, AGuardThatIsTheKeeperIsReplacedByAnotherOfTheList) {
  static_cast<void>(draw(id_of(1)));
  const NodeId guard = guards.ids().front();
  const auto first = census(guard, 0, 50);
  EXPECT_FALSE(first.contains(guard));
  EXPECT_EQ(first.size(), 1u);
}

TEST_F(Keepers, KeepersAreDrawnFromThoseThatAreSome) {
  std::set<NodeId> drawn;
  for (int i = 0; i < 200; ++i) {
    const std::array others{id_of(1)};
    const EntryPtr keeper = draw_keeper(view, kSelf, others, policy, history, now, rng);
    ASSERT_NE(keeper, nullptr);
    EXPECT_TRUE(keeper->descriptor.keeper);
    drawn.insert(keeper->descriptor.id);
  }
  EXPECT_EQ(drawn.size(), kKeepers - 1);
  EXPECT_FALSE(drawn.contains(id_of(1)));
}

}  // namespace
}  // namespace qudag::netmap
