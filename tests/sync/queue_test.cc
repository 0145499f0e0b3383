#include "sync/queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <random>
#include <vector>

namespace qudag::sync {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration d) { return TimePoint(d); }

Bounds room(std::size_t items, std::size_t bytes, Duration age = 1h) {
  return {items, bytes, age, WhenFull::drop_expired};
}

/// A queue of numbers and what expired in it.
struct Numbers {
  explicit Numbers(const Bounds& bounds)
      : queue("test", bounds, [this](int&& item) { expired.push_back(item); }) {}
  std::vector<int> pop_all(TimePoint now) {
    std::vector<int> out;
    while (auto popped = queue.pop(now)) out.push_back(*popped);
    return out;
  }
  std::vector<int> expired;
  Queue<int> queue;
};

Bounded row_of(const Queue<int>& queue, TimePoint now) {
  BoundedList rows;
  queue.report(rows, now);
  EXPECT_EQ(rows.size(), 1u);
  return rows.front();
}

TEST(Queue, IsFifo) {
  Numbers n(room(10, 1000));
  for (const int number : {1, 2, 3, 4, 5}) {
    EXPECT_FALSE(n.queue.push(int{number}, 1, at(0ns)));
  }
  EXPECT_EQ(n.pop_all(at(0ns)), (std::vector<int>{1, 2, 3, 4, 5}));
  EXPECT_TRUE(n.queue.empty());
}

TEST(Queue, TellsHowLongItemsWaited) {
  Numbers n(room(10, 1000));
  EXPECT_EQ(row_of(n.queue, at(9ms)).oldest, 0ns);
  n.queue.push(1, 7, at(5ms));
  n.queue.push(2, 7, at(8ms));
  EXPECT_EQ(row_of(n.queue, at(9ms)).oldest, 4ms);
  EXPECT_EQ(n.queue.pop(at(15ms)), 1);

  const Bounded row = row_of(n.queue, at(15ms));
  EXPECT_EQ(row.name, "test");
  EXPECT_EQ(row.when_full, "drop expired, refuse new");
  EXPECT_EQ(row.items, 1u);
  EXPECT_EQ(row.items_max, 10u);
  EXPECT_EQ(row.bytes, 7u);
  EXPECT_EQ(row.bytes_max, 1000u);
  EXPECT_EQ(row.age_max, 1h);
  EXPECT_EQ(row.oldest, 7ms);
  EXPECT_EQ(row.waited.max(), 10ms);
  EXPECT_GE(row.waited.percentile(50), 10ms);
  EXPECT_EQ(row.entered, 2u);
  EXPECT_EQ(row.left, 1u);
}

TEST(Queue, ARefusalLeavesTheItemToThePusher) {
  Queue<std::unique_ptr<int>> queue("test", room(2, 100), [](auto&&) { FAIL(); });
  auto item = std::make_unique<int>(1);
  EXPECT_EQ(queue.push(std::move(item), 101, at(0ns)), DropReason::too_large);
  ASSERT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(std::move(item), 60, at(0ns)));
  item = std::make_unique<int>(2);
  EXPECT_EQ(queue.push(std::move(item), 41, at(0ns)), DropReason::bytes_full);
  ASSERT_NE(item, nullptr);
  EXPECT_FALSE(queue.push(std::move(item), 40, at(0ns)));
  item = std::make_unique<int>(3);
  EXPECT_EQ(queue.push(std::move(item), 0, at(0ns)), DropReason::items_full);
  EXPECT_NE(item, nullptr);
  const Ledger& ledger = queue.ledger();
  EXPECT_EQ(ledger.drops(DropReason::too_large), 1u);
  EXPECT_EQ(ledger.drops(DropReason::bytes_full), 1u);
  EXPECT_EQ(ledger.drops(DropReason::items_full), 1u);
  EXPECT_EQ(ledger.entered(), 2u);
  EXPECT_EQ(ledger.bytes(), 100u);
}

TEST(Queue, MakesRoomOfWhatIsOverAndOfNothingElse) {
  Numbers n(room(3, 100));
  n.queue.push(1, 10, at(0ns), at(1s));
  n.queue.push(2, 10, at(0ns), at(5ms));  // in the middle of the line
  n.queue.push(3, 10, at(0ns), at(1s));
  EXPECT_EQ(n.queue.push(4, 10, at(4ms)), DropReason::items_full);
  EXPECT_FALSE(n.queue.push(5, 10, at(6ms)));
  EXPECT_EQ(n.expired, (std::vector<int>{2}));
  EXPECT_EQ(n.pop_all(at(6ms)), (std::vector<int>{1, 3, 5}));
}

TEST(Queue, ExpiredItemsAreDroppedInTimeAndNeverServed) {
  Numbers n(room(10, 1000, 1s));
  n.queue.push(1, 1, at(0ns), at(10ms));
  n.queue.push(2, 1, at(0ns), at(30ms));
  n.queue.push(3, 1, at(0ns));  // by the age of the bounds
  EXPECT_EQ(n.queue.expire(at(9ms)), 0u);
  EXPECT_EQ(n.queue.expire(at(10ms)), 1u);
  EXPECT_EQ(n.expired.back(), 1);
  EXPECT_FALSE(n.queue.pop(at(1s))) << "nobody called expire(), and yet";
  EXPECT_EQ(n.expired.size(), 3u);
  EXPECT_EQ(n.queue.ledger().left(), 0u);
  EXPECT_EQ(n.queue.ledger().drops(DropReason::expired), 3u);
}

TEST(Queue, DroppingTheExpiredCostsWhatExpires) {
  // 100,000 wait, one in a hundred with a short life: the wheel gives exactly those.
  std::size_t dropped = 0;
  Queue<int> queue("test", room(100'000, 100'000), [&](int&& item) {
    EXPECT_EQ(item % 100, 0);
    ++dropped;
  });
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_FALSE(queue.push(int{i}, 1, at(0ns), i % 100 == 0 ? at(50ms) : kNever));
  }
  EXPECT_EQ(queue.expire(at(49ms)), 0u);
  EXPECT_EQ(queue.expire(at(50ms)), 1'000u);
  EXPECT_EQ(dropped, 1'000u);
  EXPECT_EQ(queue.ledger().items(), 99'000u);
}

TEST(Queue, WhoHearsOfTheExpiredMayPush) {
  std::vector<int> expired;
  Queue<int>* self = nullptr;
  Queue<int> queue("test", room(100, 1000), [&](int&& item) {
    expired.push_back(item);
    self->push(9, 1, at(10ms));  // stays
  });
  self = &queue;
  queue.push(1, 5, at(0ns), at(10ms));
  queue.push(2, 5, at(0ns), at(10ms));
  queue.push(3, 5, at(0ns));
  queue.expire(at(10ms));
  std::ranges::sort(expired);
  EXPECT_EQ(expired, (std::vector<int>{1, 2}));
  EXPECT_EQ(queue.ledger().items(), 3u);
}

TEST(Queue, WhatIsLeftInsideEndsWithIt) {
  auto shared = std::make_shared<int>(1);
  {
    Queue<std::shared_ptr<int>> queue("test", room(4, 100), [](auto&&) {});
    queue.push(std::shared_ptr<int>(shared), 1, at(0ns));
    queue.push(std::shared_ptr<int>(shared), 1, at(0ns));
    queue.pop(at(0ns));
    EXPECT_EQ(shared.use_count(), 2);
  }
  EXPECT_EQ(shared.use_count(), 1);
}

// Against a deque that knows nothing of slots, lists, wheels, byte sums or counters.
struct Model {
  struct Item {
    int number;
    std::size_t bytes;
    int expires;  // ms
  };
  std::size_t items_max, bytes_max;
  std::deque<Item> line{};
  std::vector<int> expired{};

  std::size_t sum() const {
    std::size_t bytes = 0;
    for (const Item& item : line) bytes += item.bytes;
    return bytes;
  }
  bool fits(std::size_t bytes) const {
    return line.size() < items_max && sum() + bytes <= bytes_max;
  }
  void expire(int now) {
    std::erase_if(line, [&](const Item& item) {
      if (item.expires <= now) expired.push_back(item.number);
      return item.expires <= now;
    });
  }
  bool push(const Item& item, int now) {
    if (item.bytes > bytes_max) return false;
    if (!fits(item.bytes)) expire(now);
    if (!fits(item.bytes)) return false;
    line.push_back(item);
    return true;
  }
  std::optional<int> pop(int now) {
    while (!line.empty()) {
      const Item item = line.front();
      line.pop_front();
      if (item.expires > now) return item.number;
      expired.push_back(item.number);
    }
    return std::nullopt;
  }
};

TEST(Queue, AgreesWithANaiveModel) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Model model{1 + random() % 20, 1 + random() % 200};
    Numbers n(room(model.items_max, model.bytes_max));
    for (int now = 0; now < 3000; ++now) {
      const auto choice = random() % 10;
      if (choice < 6) {
        const Model::Item item{now, random() % 60, now + 1 + static_cast<int>(random() % 60)};
        const bool accepted = model.push(item, now);
        ASSERT_EQ(!n.queue.push(int{now}, item.bytes, at(now * 1ms), at(item.expires * 1ms)),
                  accepted);
      } else if (choice < 9) {
        ASSERT_EQ(n.queue.pop(at(now * 1ms)), model.pop(now));
      } else {
        model.expire(now);
        n.queue.expire(at(now * 1ms));
      }
      std::vector<int> expired = n.expired;
      std::ranges::sort(expired);
      std::ranges::sort(model.expired);
      ASSERT_EQ(expired, model.expired);
      ASSERT_EQ(n.queue.ledger().items(), model.line.size());
      ASSERT_EQ(n.queue.ledger().bytes(), model.sum());
    }
  }
}

}  // namespace
}  // namespace qudag::sync
