// New circuits go to the least loaded of the guards in use, and to loaded relays more rarely (P10).
// Each figure stands beside the same circuits with the choice off, and is printed.
#include "netmap/fixture.h"
#include "netmap/routes/route.h"

#include <cmath>
#include <map>
#include <vector>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

const NodeId kSelf = id_of(200);
constexpr std::uint64_t kTarget = 100;
constexpr int kCircuits = 1'000;

View network(std::size_t count) {
  std::vector<EntryPtr> all;
  for (std::size_t i = 1; i <= count; ++i) all.push_back(entry_of(i));
  auto target = entry_of(kTarget);
  target->descriptor.relay = false;
  all.push_back(target);
  return View(std::move(all));
}

/// A source with four guards and the circuits that it has.
class Source {
 public:
  explicit Source(bool by_load, std::uint64_t seed = 7) : rng_(seed) {
    policy_.guards = 4;
    policy_.by_load = by_load;
  }

  std::vector<EntryPtr> draw() {
    auto route = draw_route(view_, kSelf, id_of(kTarget), 3, policy_, guards, history, now, rng_);
    EXPECT_TRUE(route);
    return route ? *route : std::vector<EntryPtr>{};
  }
  const NodeId& build() {
    const NodeId first = draw().front()->descriptor.id;
    guards.circuits.began(first, now);
    circuits.push_back(first);
    began_.push_back(now.mono);
    return circuits.back();
  }
  void end(std::size_t which, bool by_us) {
    guards.circuits.ended(circuits[which], by_us, now.mono - began_[which], now);
    circuits[which] = circuits.back();
    circuits.pop_back();
    began_[which] = began_.back();
    began_.pop_back();
  }
  void end_any(bool by_us) { end(rng_.below(circuits.size()), by_us); }
  void report(const NodeId& relay, std::uint16_t load) {
    EXPECT_TRUE(history.loads().heard(relay, link_number(1), load, now));
  }
  double count(const NodeId& guard) const {
    return static_cast<double>(std::ranges::count(circuits, guard));
  }
  double max_over_mean() const {
    double most = 0;
    for (const NodeId& guard : guards.ids()) most = std::max(most, count(guard));
    return most * static_cast<double>(guards.ids().size()) / static_cast<double>(circuits.size());
  }

  Guards guards;
  RelayHistory history;
  Now now = at(1000s);
  std::vector<NodeId> circuits;  // their first hops

 private:
  std::vector<TimePoint> began_;
  View view_ = network(40);
  RoutePolicy policy_;
  SeededRng rng_;
};

/// A thousand circuits, and with `ending` another three thousand while as many end, any of them.
double spread(bool by_load, int circuits, bool ending, std::uint64_t seed = 7) {
  Source source(by_load, seed);
  for (int i = 0; i < circuits; ++i) source.build();
  for (int i = 0; ending && i < 3 * circuits; ++i) {
    source.end_any(true);
    source.build();
  }
  EXPECT_EQ(source.guards.ids().size(), 4u);
  return source.max_over_mean();
}

TEST(Balance, AThousandCircuitsOverFourGuards) {
  for (const int circuits : {20, 100, kCircuits}) {
    const double least = spread(true, circuits, false);
    const double ending = spread(true, circuits, true);
    std::printf(
        "%d circuits over 4 links, max/mean: least loaded %.3f (any of them ending %.3f), "
        "at random %.3f (%.3f)\n",
        circuits, least, ending, spread(false, circuits, false), spread(false, circuits, true));
    EXPECT_LE(least, 1.2);
    EXPECT_LE(ending, 1.2);
  }
  double worst = 0;
  double worst_random = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    worst = std::max(worst, spread(true, 100, true, seed));
    worst_random = std::max(worst_random, spread(false, 100, true, seed));
  }
  std::printf("worst of 50 seeds, 100 circuits: %.3f, at random %.3f\n", worst, worst_random);
  EXPECT_LE(worst, 1.2);
  EXPECT_GT(worst_random, 1.2) << "the choice makes no difference";
}

TEST(Balance, AGuardThatSaysItIsFullGetsAQuarterOfTheOthers) {
  for (const bool by_load : {true, false}) {
    Source source(by_load);
    source.draw();
    const NodeId full = source.guards.ids()[2];
    source.report(full, 65'535);
    for (int i = 0; i < kCircuits; ++i) source.build();
    const double share = source.count(full) / kCircuits;
    std::printf("share of the full one of 4: %.3f%s\n", share,
                by_load ? "" : " with the choice off");
    if (by_load) {
      EXPECT_NEAR(share, 0.25 / 3.25, 0.01);
    } else {
      EXPECT_NEAR(share, 0.25, 0.05);
    }
    double others = 0;
    for (const NodeId& guard : source.guards.ids()) {
      if (!(guard == full)) others = std::max(others, source.count(guard));
    }
    if (by_load) {
      EXPECT_LE(others * 3 / (kCircuits * (1 - share)), 1.01) << "the rest is even";
    }
  }
}

TEST(Balance, AReportOfNothingIsAsNoReport) {
  Source silent(true);
  Source idle(true);
  silent.draw();
  idle.draw();
  for (std::uint64_t relay = 1; relay <= 40; ++relay) idle.report(id_of(relay), 0);
  for (int i = 0; i < kCircuits; ++i) {
    const auto one = silent.draw();
    const auto other = idle.draw();
    ASSERT_EQ(one.size(), other.size());
    for (std::size_t hop = 0; hop < one.size(); ++hop) {
      ASSERT_EQ(one[hop]->descriptor.id, other[hop]->descriptor.id);
    }
    ASSERT_EQ(silent.build(), idle.build());
  }
}

/// Whatever one relay reports, at the first hop and behind it: never more than without a report.
TEST(Balance, NoReportRaisesARelaysShare) {
  constexpr int kDraws = 20'000;
  const auto shares = [](std::uint16_t load) {
    Source source(true);
    source.draw();
    const NodeId guard = source.guards.ids()[0];
    const NodeId middle = [&] {
      for (std::uint64_t i = 1;; ++i) {
        if (!source.guards.contains(Layer::first, id_of(i))) return id_of(i);
      }
    }();
    for (const NodeId& relay : {guard, middle}) {
      if (load > 0) source.report(relay, load);
    }
    int first = 0;
    int behind = 0;
    for (int i = 0; i < kDraws; ++i) {
      const auto route = source.draw();
      behind += route[1]->descriptor.id == middle || route[2]->descriptor.id == middle;
      first += source.build() == guard;
    }
    return std::pair(first, behind);
  };
  const auto [first_before, behind_before] = shares(0);
  for (const int load : {4'096, 32'768, 65'535}) {
    const auto [first, behind] = shares(static_cast<std::uint16_t>(load));
    EXPECT_LT(first, first_before);
    EXPECT_LE(behind, behind_before + 3 * std::sqrt(behind_before));
    if (load == 65'535) {
      EXPECT_LT(behind, 0.35 * behind_before);
    }
  }
}

/// The share of new circuits that a guard is given when all that begin there are ended at once, by
/// it or by somebody further on. Ours live for about a hundred seconds.
double share_when_ended(bool by_load) {
  Source source(by_load);
  for (int i = 0; i < 100; ++i) source.build();
  const NodeId hit = source.guards.ids()[0];
  int given = 0;
  constexpr int kBefore = 1'000;
  constexpr int kRounds = 4'000;
  for (int i = 0; i < kBefore + kRounds; ++i) {
    const bool there = source.build() == hit;
    if (i >= kBefore && there) {
      source.end(source.circuits.size() - 1, false);
      ++given;
    }
    if (source.circuits.size() > 100) source.end_any(true);
    source.now.mono += 1s;
  }
  return static_cast<double>(given) / kRounds;
}

TEST(Balance, WhoEndsCircuitsIsNotGivenMoreAndDrivesNoneElsewhere) {
  const double share = share_when_ended(true);
  std::printf(
      "a guard whose circuits are all ended is given %.3f of the new ones, at random %.3f\n", share,
      share_when_ended(false));
  EXPECT_LE(share, 0.30) << "it could look through many";
  EXPECT_GE(share, 0.20) << "others could drive us away from it";
}

}  // namespace
}  // namespace qudag::netmap
