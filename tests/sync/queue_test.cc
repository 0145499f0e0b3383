#include "sync/queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>
#include <vector>

namespace qudag::sync {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kHigh = 0, kNormal = 1, kLow = 2;

TimePoint at(Duration d) { return TimePoint(d); }

Bounds<kPriorityCount> all(std::size_t items, std::size_t bytes, WhenFull policy,
                           Duration age = 1h) {
  const LevelBounds level(items, bytes, age, policy);
  return priority_bounds("test", level, level, level);
}

struct Drop {
  int item;
  std::size_t level;
  DropReason reason;
  bool operator==(const Drop&) const = default;
};

/// A queue of numbers and what it dropped.
struct Numbers {
  explicit Numbers(const Bounds<kPriorityCount>& bounds)
      : queue(bounds, [this](int&& item, std::size_t level, DropReason reason) {
          drops.push_back({item, level, reason});
        }) {}
  std::vector<int> pop_all(TimePoint now) {
    std::vector<int> out;
    while (auto popped = queue.pop(now)) out.push_back(popped->item);
    return out;
  }
  std::vector<Drop> drops;
  Queue<int> queue;
};

TEST(Queue, HigherLevelsFirstAndFifoWithin) {
  Numbers n(all(10, 1000, WhenFull::refuse_new));
  int number = 0;
  for (const std::size_t level : {kLow, kNormal, kHigh, kLow, kHigh}) {
    EXPECT_FALSE(n.queue.push(level, int{++number}, 1, at(0ns)));
  }
  EXPECT_EQ(n.pop_all(at(0ns)), (std::vector<int>{3, 5, 2, 1, 4}));
  EXPECT_TRUE(n.queue.empty());
}

TEST(Queue, TellsHowLongItemsWaited) {
  Numbers n(all(10, 1000, WhenFull::refuse_new));
  EXPECT_EQ(n.queue.oldest(kNormal, at(9ms)), 0ns);
  n.queue.push(kNormal, 1, 7, at(5ms));
  n.queue.push(kNormal, 2, 7, at(8ms));
  EXPECT_EQ(n.queue.oldest(kNormal, at(9ms)), 4ms);
  const auto popped = n.queue.pop(at(15ms));
  ASSERT_TRUE(popped);
  EXPECT_EQ(popped->waited, 10ms);
  EXPECT_EQ(popped->bytes, 7u);
  EXPECT_EQ(popped->level, kNormal);

  BoundedList rows;
  n.queue.report(rows, at(15ms));
  ASSERT_EQ(rows.size(), kPriorityCount);
  const Bounded& row = rows[kNormal];
  EXPECT_EQ(row.name, "test");
  EXPECT_EQ(row.level, "normal");
  EXPECT_EQ(row.items, 1u);
  EXPECT_EQ(row.items_max, 10u);
  EXPECT_EQ(row.bytes, 7u);
  EXPECT_EQ(row.bytes_max, 1000u);
  EXPECT_EQ(row.age_max, 1h);
  EXPECT_EQ(row.oldest, 7ms);
  EXPECT_EQ(row.waited_max, 10ms);
  EXPECT_GE(row.waited_p50, 10ms);
  EXPECT_EQ(row.entered, 2u);
  EXPECT_EQ(row.left, 1u);
}

TEST(Queue, RefuseNewLeavesTheItemToThePusher) {
  Queue<std::unique_ptr<int>> queue(all(2, 100, WhenFull::refuse_new),
                                    [](auto&&, std::size_t, DropReason) { FAIL(); });
  auto item = std::make_unique<int>(1);
  EXPECT_EQ(queue.push(kLow, std::move(item), 101, at(0ns)), DropReason::too_large);
  ASSERT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(kLow, std::move(item), 60, at(0ns)));
  item = std::make_unique<int>(2);
  EXPECT_EQ(queue.push(kLow, std::move(item), 41, at(0ns)), DropReason::bytes_full);
  ASSERT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(kLow, std::move(item), 40, at(0ns)));
  item = std::make_unique<int>(3);
  EXPECT_EQ(queue.push(kLow, std::move(item), 0, at(0ns)), DropReason::items_full);
  EXPECT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(kHigh, std::move(item), 60, at(0ns))) << "levels do not share bounds";
  const Ledger& ledger = queue.ledger(kLow);
  EXPECT_EQ(ledger.drops(DropReason::too_large), 1u);
  EXPECT_EQ(ledger.drops(DropReason::bytes_full), 1u);
  EXPECT_EQ(ledger.drops(DropReason::items_full), 1u);
  EXPECT_EQ(ledger.entered(), 2u);
  EXPECT_EQ(ledger.bytes(), 100u);
}

TEST(Queue, DropOldestMakesRoomFromTheFront) {
  Numbers n(all(4, 100, WhenFull::drop_oldest));
  for (int i = 1; i <= 4; ++i) EXPECT_FALSE(n.queue.push(kLow, int{i}, 25, at(0ns)));
  EXPECT_FALSE(n.queue.push(kLow, 5, 60, at(0ns)));
  EXPECT_EQ(n.drops, (std::vector<Drop>{{1, kLow, DropReason::oldest},
                                        {2, kLow, DropReason::oldest},
                                        {3, kLow, DropReason::oldest}}));
  EXPECT_EQ(n.queue.push(kLow, 6, 101, at(0ns)), DropReason::too_large);
  EXPECT_EQ(n.queue.ledger(kLow).bytes(), 85u);
  EXPECT_EQ(n.pop_all(at(0ns)), (std::vector<int>{4, 5}));
  EXPECT_EQ(n.queue.ledger(kLow).drops(DropReason::oldest), 3u);
}

TEST(Queue, DropExpiredMakesRoomOfWhatIsOverAndOfNothingElse) {
  Numbers n(all(3, 100, WhenFull::drop_expired));
  n.queue.push(kLow, 1, 10, at(0ns), at(1s));
  n.queue.push(kLow, 2, 10, at(0ns), at(5ms));  // in the middle of its line
  n.queue.push(kLow, 3, 10, at(0ns), at(1s));
  EXPECT_EQ(n.queue.push(kLow, 4, 10, at(4ms)), DropReason::items_full);
  EXPECT_FALSE(n.queue.push(kLow, 5, 10, at(6ms)));
  EXPECT_EQ(n.drops, (std::vector<Drop>{{2, kLow, DropReason::expired}}));
  EXPECT_EQ(n.pop_all(at(6ms)), (std::vector<int>{1, 3, 5}));
}

// Served one every 10 ms while one comes every 5 ms: without CoDel the wait grows without end.
TEST(Queue, DropByWaitingTimeKeepsAStandingQueueShort) {
  Duration worst[2] = {};
  for (const bool codel : {false, true}) {
    Numbers n(all(10'000, 100'000, codel ? WhenFull::drop_waited : WhenFull::refuse_new));
    for (int ms = 0; ms < 20'000; ++ms) {
      if (ms % 5 == 0) n.queue.push(kNormal, int{ms}, 1, at(ms * 1ms));
      if (ms % 10 != 0) continue;
      const auto popped = n.queue.pop(at(ms * 1ms));
      if (popped && ms > 15'000) worst[codel] = std::max(worst[codel], popped->waited);
    }
    EXPECT_EQ(n.queue.ledger(kNormal).drops(DropReason::waited), n.drops.size());
  }
  EXPECT_GT(worst[0], 7s);
  EXPECT_LT(worst[1], 1s);
}

TEST(Queue, DropByWaitingTimeLeavesABurstAlone) {
  Numbers n(all(100, 1000, WhenFull::drop_waited));
  for (int i = 0; i < 90; ++i) n.queue.push(kNormal, int{i}, 1, at(0ns));
  for (int i = 0; i < 90; ++i) EXPECT_EQ(n.queue.pop(at(i * 1ms))->item, i);
  EXPECT_TRUE(n.drops.empty()) << "90 ms above the target, less than the interval";
}

TEST(Queue, ExpiredItemsAreDroppedInTimeAndNeverServed) {
  Numbers n(all(10, 1000, WhenFull::refuse_new, 1s));
  n.queue.push(kHigh, 1, 1, at(0ns), at(10ms));
  n.queue.push(kHigh, 2, 1, at(0ns), at(30ms));
  n.queue.push(kLow, 3, 1, at(0ns));  // by the age of the level
  EXPECT_EQ(n.queue.expire(at(9ms)), 0u);
  EXPECT_EQ(n.queue.expire(at(10ms)), 1u);
  EXPECT_EQ(n.drops.back(), (Drop{1, kHigh, DropReason::expired}));
  EXPECT_LE(n.queue.next_deadline(), at(30ms));
  EXPECT_FALSE(n.queue.pop(at(1s))) << "nobody called expire(), and yet";
  EXPECT_EQ(n.drops.size(), 3u);
  EXPECT_EQ(n.queue.next_deadline(), kNever);
  EXPECT_EQ(n.queue.ledger(kHigh).left(), 0u);
}

TEST(Queue, PurgingTheExpiredCostsWhatExpires) {
  // 100,000 wait, one in a hundred with a short life: the wheel gives exactly those.
  const LevelBounds level(100'000, 100'000, 1h, WhenFull::refuse_new);
  std::size_t dropped = 0;
  Queue<int, 1> queue({"test", {level}}, [&](int&& item, std::size_t, DropReason reason) {
    EXPECT_EQ(item % 100, 0);
    EXPECT_EQ(reason, DropReason::expired);
    ++dropped;
  });
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_FALSE(queue.push(0, int{i}, 1, at(0ns), i % 100 == 0 ? at(50ms) : kNever));
  }
  EXPECT_EQ(queue.expire(at(49ms)), 0u);
  EXPECT_EQ(queue.expire(at(50ms)), 1'000u);
  EXPECT_EQ(dropped, 1'000u);
  EXPECT_EQ(queue.items(), 99'000u);
}

TEST(Queue, LowerLevelsGetTheirShareUnderConstantHighLoad) {
  Numbers n(all(2000, 10'000, WhenFull::refuse_new));
  std::array<int, kPriorityCount> served{};
  int longest_gap_low = 0, gap = 0;
  for (int i = 0; i < 1000; ++i) {
    n.queue.push(kNormal, 0, 1, at(0ns));
    n.queue.push(kLow, 0, 1, at(0ns));
  }
  for (int i = 0; i < 1600; ++i) {
    n.queue.push(kHigh, 0, 1, at(0ns));
    const auto popped = n.queue.pop(at(0ns));
    ++served[popped->level];
    gap = popped->level == kLow ? 0 : gap + 1;
    longest_gap_low = std::max(longest_gap_low, gap);
  }
  EXPECT_GE(served[2], 1600 / 17);
  EXPECT_LE(served[2], 1600 / 16);
  EXPECT_GE(served[1], 1600 / 9);
  EXPECT_LE(served[1], 1600 / 8);
  EXPECT_EQ(served[0] + served[1] + served[2], 1600);
  EXPECT_LE(longest_gap_low, 16);
  EXPECT_EQ(n.queue.guaranteed(kLow), static_cast<std::uint64_t>(served[2]));
}

TEST(Queue, WithoutAShareTheOrderIsStrict) {
  const LevelBounds level(100, 1000, 1h, WhenFull::refuse_new);
  Queue<int, 2> queue({"test", {level, level}}, [](int&&, std::size_t, DropReason) {});
  queue.push(1, 1, 1, at(0ns));
  for (int i = 0; i < 1000; ++i) {
    queue.push(0, 0, 1, at(0ns));
    ASSERT_EQ(queue.pop(at(0ns))->level, 0u);
  }
  EXPECT_EQ(queue.pop(at(0ns))->item, 1);
}

TEST(Queue, PurgeHandsOutEverythingOfOneLevel) {
  std::vector<int> dropped;
  Queue<int>* self = nullptr;
  Queue<int> queue(all(100, 1000, WhenFull::refuse_new),
                   [&](int&& item, std::size_t level, DropReason reason) {
                     EXPECT_EQ(reason, DropReason::purged);
                     dropped.push_back(item);
                     self->push(level, 9, 1, at(0ns));  // stays
                   });
  self = &queue;
  queue.push(kLow, 1, 5, at(0ns));
  queue.push(kLow, 2, 5, at(0ns));
  queue.push(kHigh, 3, 5, at(0ns));
  queue.purge(kLow);
  EXPECT_EQ(dropped, (std::vector<int>{1, 2}));
  EXPECT_EQ(queue.items(kLow), 2u);
  EXPECT_EQ(queue.items(), 3u);
}

TEST(Queue, BatchesKeepTheOrderAndTheBound) {
  Numbers n(all(100, 1000, WhenFull::refuse_new));
  for (int i = 0; i < 10; ++i) n.queue.push(kNormal, int{i}, 1, at(0ns));
  std::vector<int> seen;
  const auto take = [&](Queue<int>::Popped&& popped) { seen.push_back(popped.item); };
  EXPECT_EQ(n.queue.pop_batch(4, at(0ns), take), 4u);
  EXPECT_EQ(n.queue.pop_batch(100, at(0ns), take), 6u);
  EXPECT_EQ(n.queue.pop_batch(100, at(0ns), take), 0u);
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(Queue, WhatIsLeftInsideEndsWithIt) {
  auto shared = std::make_shared<int>(1);
  {
    Queue<std::shared_ptr<int>> queue(all(4, 100, WhenFull::refuse_new),
                                      [](auto&&, std::size_t, DropReason) {});
    queue.push(kLow, std::shared_ptr<int>(shared), 1, at(0ns));
    queue.push(kHigh, std::shared_ptr<int>(shared), 1, at(0ns));
    queue.pop(at(0ns));
    EXPECT_EQ(shared.use_count(), 2);
  }
  EXPECT_EQ(shared.use_count(), 1);
}

// Against a deque per level that knows nothing of slots, lists, wheels, byte sums or counters.
struct Model {
  struct Item {
    int number;
    std::size_t bytes;
    int expires;  // ms
  };
  std::size_t items_max, bytes_max;
  WhenFull policy;
  std::array<std::deque<Item>, kPriorityCount> levels{};
  std::array<unsigned, kPriorityCount> passed{};
  std::vector<int> drops{};

  static std::size_t sum(const std::deque<Item>& level) {
    std::size_t bytes = 0;
    for (const Item& item : level) bytes += item.bytes;
    return bytes;
  }
  bool fits(std::size_t c, std::size_t bytes) const {
    return levels[c].size() < items_max && sum(levels[c]) + bytes <= bytes_max;
  }
  void expire(int now) {
    for (auto& level : levels) {
      std::erase_if(level, [&](const Item& item) {
        if (item.expires <= now) drops.push_back(item.number);
        return item.expires <= now;
      });
    }
  }
  bool push(std::size_t c, const Item& item, int now) {
    if (item.bytes > bytes_max) return false;
    if (!fits(c, item.bytes) && policy == WhenFull::drop_expired) expire(now);
    while (!fits(c, item.bytes)) {
      if (policy != WhenFull::drop_oldest) return false;
      drops.push_back(levels[c].front().number);
      levels[c].pop_front();
    }
    levels[c].push_back(item);
    return true;
  }
  std::optional<int> pop(int now) {
    while (true) {
      // In words: normal if its turn has come, else low if its turn has come, else the first.
      const auto waits = [&](std::size_t c) { return !levels[c].empty(); };
      const auto turn = [&](std::size_t c, unsigned every) {
        return waits(c) && passed[c] + 1 >= every;
      };
      const std::size_t chosen = waits(0) && turn(1, 8)    ? 1
                                 : waits(0) && turn(2, 16) ? 2
                                 : waits(0)                ? 0
                                 : waits(1) && turn(2, 16) ? 2
                                 : waits(1)                ? 1
                                 : waits(2)                ? 2
                                                           : kPriorityCount;
      if (chosen == kPriorityCount) return std::nullopt;
      const Item item = levels[chosen].front();
      if (item.expires <= now) {
        drops.push_back(item.number);
        levels[chosen].pop_front();
        continue;
      }
      for (std::size_t c = 0; c < kPriorityCount; ++c) {
        passed[c] = c == chosen || levels[c].empty() ? 0 : passed[c] + 1;
      }
      levels[chosen].pop_front();
      return item.number;
    }
  }
};

TEST(Queue, AgreesWithANaiveModel) {
  for (const WhenFull policy :
       {WhenFull::refuse_new, WhenFull::drop_oldest, WhenFull::drop_expired}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE(seed);
      std::mt19937_64 random(seed);
      Model model{1 + random() % 20, 1 + random() % 200, policy};
      Numbers n(all(model.items_max, model.bytes_max, policy));
      for (int now = 0; now < 3000; ++now) {
        const auto choice = random() % 10;
        if (choice < 6) {
          const auto c = static_cast<std::size_t>(random() % kPriorityCount);
          const Model::Item item{now, random() % 60, now + 1 + static_cast<int>(random() % 60)};
          const bool accepted = model.push(c, item, now);
          ASSERT_EQ(!n.queue.push(c, int{now}, item.bytes, at(now * 1ms), at(item.expires * 1ms)),
                    accepted);
        } else if (choice < 9) {
          const auto popped = n.queue.pop(at(now * 1ms));
          const auto expected = model.pop(now);
          ASSERT_EQ(popped.has_value(), expected.has_value());
          if (popped) {
            ASSERT_EQ(popped->item, *expected);
            ASSERT_EQ(popped->waited, (now - popped->item) * 1ms);
          }
        } else {
          model.expire(now);
          n.queue.expire(at(now * 1ms));
        }
        std::vector<int> dropped;
        for (const Drop& drop : n.drops) dropped.push_back(drop.item);
        std::sort(dropped.begin(), dropped.end());
        std::sort(model.drops.begin(), model.drops.end());
        ASSERT_EQ(dropped, model.drops);
        for (std::size_t c = 0; c < kPriorityCount; ++c) {
          ASSERT_EQ(n.queue.items(c), model.levels[c].size());
          ASSERT_EQ(n.queue.ledger(c).bytes(), Model::sum(model.levels[c]));
        }
      }
    }
  }
}

}  // namespace
}  // namespace qudag::sync
