#include "base/counters.h"

#include <gtest/gtest.h>

#include <thread>

namespace qudag {
namespace {

enum class M { seen, open, longest, kCount };
constexpr MetricTable<M> kTable{{
    {"things_seen", "things", "Things seen since the start", MetricKind::counter},
    {"things_open", "things", "Things held now", MetricKind::gauge},
    {"queue_longest", "items", "Longest queue so far", MetricKind::peak, false},
}};
static_assert(metric_table_is_valid(kTable));

constexpr std::array<MetricInfo, 2> kTwice{{{"a", "b", "c"}, {"a", "b", "c"}}};
static_assert(!metric_table_is_valid(kTwice));
constexpr std::array<MetricInfo, 1> kBadName{{{"Has-Dash", "b", "c"}}};
static_assert(!metric_table_is_valid(kBadName));
constexpr std::array<MetricInfo, 2> kMissingRow{{{"a", "b", "c"}}};
static_assert(!metric_table_is_valid(kMissingRow));

TEST(Counters, CountSetAndRaise) {
  Counters<M> c;
  c.add(M::seen);
  c.add(M::seen, 4);
  c.add(M::open, 3);
  c.sub(M::open);
  c.raise(M::longest, 9);
  c.raise(M::longest, 5);
  EXPECT_EQ(c.snapshot(), (MetricValues<M>{5, 2, 9}));
  c.set(M::open, 1);
  EXPECT_EQ(c.get(M::open), 1u);
}

TEST(Counters, ShardsAddUpAndPeaksDoNot) {
  MetricValues<M> total{};
  merge_metrics<M>(kTable, total, {1, 2, 30});
  merge_metrics<M>(kTable, total, {10, 20, 3});
  EXPECT_EQ(total, (MetricValues<M>{11, 22, 30}));
}

TEST(Counters, NoIncrementIsLostBetweenThreads) {
  Counters<M> c;
  const auto work = [&c] {
    for (std::uint64_t i = 0; i < 10'000; ++i) {
      c.add(M::seen);
      c.raise(M::longest, i);
    }
  };
  std::thread a(work), b(work);
  a.join();
  b.join();
  EXPECT_EQ(c.get(M::seen), 20'000u);
  EXPECT_EQ(c.get(M::longest), 9'999u);
}

}  // namespace
}  // namespace qudag
