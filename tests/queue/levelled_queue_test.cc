#include "queue/levelled_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>
#include <vector>

namespace qudag::queue {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration d) { return TimePoint(d); }

LevelledQueueOptions options_of(std::size_t items, std::size_t bytes, WhenFull when_full) {
  LevelledQueueOptions options = default_levels();
  for (LevelOptions& level : options) {
    level.items_max = items;
    level.bytes_max = bytes;
    level.when_full = when_full;
  }
  return options;
}

std::uint64_t drops(const LevelStats& stats, DropReason reason) {
  return stats.drops[static_cast<std::size_t>(reason)];
}

TEST(LevelledQueue, HigherLevelsFirstAndFifoWithin) {
  LevelledQueue<int> queue(options_of(10, 1000, WhenFull::refuse_new));
  int number = 0;
  for (const Class cls : {Class::low, Class::normal, Class::high, Class::low, Class::high}) {
    EXPECT_FALSE(queue.push(cls, int{++number}, 1, at(0ns)));
  }
  std::vector<int> order;
  while (auto popped = queue.pop(at(0ns))) order.push_back(popped->item);
  EXPECT_EQ(order, (std::vector<int>{3, 5, 2, 1, 4}));
  EXPECT_TRUE(queue.empty());
}

TEST(LevelledQueue, TellsHowLongItemsWaited) {
  LevelledQueue<int> queue(options_of(10, 1000, WhenFull::refuse_new));
  EXPECT_EQ(queue.oldest(Class::normal, at(9ms)), 0ns);
  queue.push(Class::normal, 1, 7, at(5ms));
  queue.push(Class::normal, 2, 7, at(8ms));
  EXPECT_EQ(queue.oldest(Class::normal, at(9ms)), 4ms);
  const auto popped = queue.pop(at(15ms));
  ASSERT_TRUE(popped);
  EXPECT_EQ(popped->waited, 10ms);
  EXPECT_EQ(popped->bytes, 7u);
  EXPECT_EQ(popped->cls, Class::normal);
  EXPECT_EQ(queue.oldest(Class::normal, at(15ms)), 7ms);
}

TEST(LevelledQueue, RefusingLevelLeavesTheItemToThePusher) {
  LevelledQueue<std::unique_ptr<int>> queue(options_of(2, 100, WhenFull::refuse_new));
  auto item = std::make_unique<int>(1);
  EXPECT_EQ(queue.push(Class::low, std::move(item), 101, at(0ns)), DropReason::too_large);
  ASSERT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(Class::low, std::move(item), 60, at(0ns)));
  item = std::make_unique<int>(2);
  EXPECT_EQ(queue.push(Class::low, std::move(item), 41, at(0ns)), DropReason::bytes_full);
  ASSERT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(Class::low, std::move(item), 40, at(0ns)));
  item = std::make_unique<int>(3);
  EXPECT_EQ(queue.push(Class::low, std::move(item), 0, at(0ns)), DropReason::items_full);
  EXPECT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(Class::high, std::move(item), 60, at(0ns)))
      << "levels do not share bounds";
  const LevelStats& stats = queue.stats(Class::low);
  EXPECT_EQ(drops(stats, DropReason::too_large), 1u);
  EXPECT_EQ(drops(stats, DropReason::bytes_full), 1u);
  EXPECT_EQ(drops(stats, DropReason::items_full), 1u);
  EXPECT_EQ(stats.pushed, 2u);
  EXPECT_EQ(stats.bytes_peak, 100u);
}

TEST(LevelledQueue, DropOldestMakesRoomFromTheFront) {
  LevelledQueue<int> queue(options_of(4, 100, WhenFull::drop_oldest));
  std::vector<int> dropped;
  const auto on_drop = [&](int&& item, DropReason reason) {
    EXPECT_EQ(reason, DropReason::oldest);
    dropped.push_back(item);
  };
  for (int i = 1; i <= 4; ++i) {
    EXPECT_FALSE(queue.push(Class::low, int{i}, 25, at(0ns), on_drop));
  }
  EXPECT_FALSE(queue.push(Class::low, 5, 60, at(0ns), on_drop));
  EXPECT_EQ(dropped, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(queue.push(Class::low, 6, 101, at(0ns), on_drop), DropReason::too_large);
  EXPECT_EQ(queue.items(Class::low), 2u);
  EXPECT_EQ(queue.bytes(Class::low), 85u);
  EXPECT_EQ(queue.pop(at(0ns))->item, 4);
  EXPECT_EQ(queue.pop(at(0ns))->item, 5);
  EXPECT_EQ(drops(queue.stats(Class::low), DropReason::oldest), 3u);
}

TEST(LevelledQueue, LowerLevelsGetTheirShareUnderConstantHighLoad) {
  LevelledQueue<int> queue(options_of(2000, 10'000, WhenFull::refuse_new));
  std::array<int, kClassCount> served{};
  int longest_gap_low = 0, gap = 0;
  for (int i = 0; i < 1000; ++i) {
    queue.push(Class::normal, 0, 1, at(0ns));
    queue.push(Class::low, 0, 1, at(0ns));
  }
  for (int i = 0; i < 1600; ++i) {
    queue.push(Class::high, 0, 1, at(0ns));
    const auto popped = queue.pop(at(0ns));
    ++served[static_cast<std::size_t>(popped->cls)];
    gap = popped->cls == Class::low ? 0 : gap + 1;
    longest_gap_low = std::max(longest_gap_low, gap);
  }
  EXPECT_GE(served[2], 1600 / 17);
  EXPECT_LE(served[2], 1600 / 16);
  EXPECT_GE(served[1], 1600 / 9);
  EXPECT_LE(served[1], 1600 / 8);
  EXPECT_EQ(served[0] + served[1] + served[2], 1600);
  EXPECT_LE(longest_gap_low, 16);
  EXPECT_EQ(queue.stats(Class::low).guaranteed, static_cast<std::uint64_t>(served[2]));
}

TEST(LevelledQueue, WithoutGuaranteePriorityIsStrict) {
  LevelledQueueOptions options = options_of(100, 1000, WhenFull::refuse_new);
  for (LevelOptions& level : options) level.serve_every = 0;
  LevelledQueue<int> queue(options);
  queue.push(Class::low, 1, 1, at(0ns));
  for (int i = 0; i < 1000; ++i) {
    queue.push(Class::high, 0, 1, at(0ns));
    ASSERT_EQ(queue.pop(at(0ns))->cls, Class::high);
  }
  EXPECT_EQ(queue.pop(at(0ns))->item, 1);
}

TEST(LevelledQueue, ClearHandsOutEverythingOfOneLevel) {
  LevelledQueue<int> queue(options_of(100, 1000, WhenFull::refuse_new));
  queue.push(Class::low, 1, 5, at(0ns));
  queue.push(Class::low, 2, 5, at(0ns));
  queue.push(Class::high, 3, 5, at(0ns));
  std::vector<int> dropped;
  queue.clear(Class::low, [&](int&& item, DropReason reason) {
    EXPECT_EQ(reason, DropReason::cleared);
    dropped.push_back(item);
    queue.push(Class::low, 9, 1, at(0ns));  // stays
  });
  EXPECT_EQ(dropped, (std::vector<int>{1, 2}));
  EXPECT_EQ(queue.items(Class::low), 2u);
  EXPECT_EQ(queue.items(), 3u);
}

// Against a deque per level that knows nothing of rings, byte sums or counters.
TEST(LevelledQueue, AgreesWithANaiveModel) {
  for (const WhenFull policy : {WhenFull::refuse_new, WhenFull::drop_oldest}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE(seed);
      std::mt19937_64 random(seed);
      struct Item {
        int number;
        std::size_t bytes;
      };
      const std::size_t items_max = 1 + random() % 20, bytes_max = 1 + random() % 200;
      LevelledQueue<int> queue(options_of(items_max, bytes_max, policy));
      std::array<std::deque<Item>, kClassCount> model;
      std::array<unsigned, kClassCount> passed{};
      const auto sum = [](const std::deque<Item>& level) {
        std::size_t bytes = 0;
        for (const Item& item : level) bytes += item.bytes;
        return bytes;
      };
      for (int step = 0; step < 3000; ++step) {
        if (random() % 5 < 3) {
          const auto c = static_cast<std::size_t>(random() % kClassCount);
          const Item item{step, static_cast<std::size_t>(random() % 60)};
          std::vector<int> expected_drops, drops_seen;
          bool fits = item.bytes <= bytes_max;
          while (fits && (model[c].size() == items_max || sum(model[c]) + item.bytes > bytes_max)) {
            if (policy == WhenFull::refuse_new) {
              fits = false;
            } else {
              expected_drops.push_back(model[c].front().number);
              model[c].pop_front();
            }
          }
          if (fits) model[c].push_back(item);
          const auto refused =
              queue.push(static_cast<Class>(c), int{item.number}, item.bytes, at(Duration(step)),
                         [&](int&& n, DropReason) { drops_seen.push_back(n); });
          ASSERT_EQ(!refused, fits);
          ASSERT_EQ(drops_seen, expected_drops);
        } else {
          // In words: normal if its turn has come, else low if its turn has come, else the first.
          const auto waits = [&](std::size_t c) { return !model[c].empty(); };
          const auto turn = [&](std::size_t c, unsigned every) {
            return waits(c) && passed[c] + 1 >= every;
          };
          const std::size_t chosen = waits(0) && turn(1, 8)    ? 1
                                     : waits(0) && turn(2, 16) ? 2
                                     : waits(0)                ? 0
                                     : waits(1) && turn(2, 16) ? 2
                                     : waits(1)                ? 1
                                     : waits(2)                ? 2
                                                               : kClassCount;
          const auto popped = queue.pop(at(Duration(step)));
          ASSERT_EQ(popped.has_value(), chosen != kClassCount);
          for (std::size_t c = 0; c < kClassCount && popped; ++c) {
            passed[c] = c == chosen || model[c].empty() ? 0 : passed[c] + 1;
          }
          if (popped) {
            ASSERT_EQ(static_cast<std::size_t>(popped->cls), chosen);
            ASSERT_EQ(popped->item, model[chosen].front().number);
            ASSERT_EQ(popped->waited, Duration(step - popped->item));
            model[chosen].pop_front();
          }
        }
        for (std::size_t c = 0; c < kClassCount; ++c) {
          ASSERT_EQ(queue.items(static_cast<Class>(c)), model[c].size());
          ASSERT_EQ(queue.bytes(static_cast<Class>(c)), sum(model[c]));
        }
      }
    }
  }
}

}  // namespace
}  // namespace qudag::queue
