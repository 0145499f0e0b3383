#include "queue/expiry_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace qudag::queue {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration d) { return TimePoint(d); }

using Wheel = ExpiryWheel<int>;

std::vector<int> expired_at(Wheel& wheel, TimePoint now) {
  std::vector<int> out;
  const std::size_t n = wheel.expire(now, [&](int&& v) { out.push_back(v); });
  EXPECT_EQ(n, out.size());
  return out;
}

TEST(ExpiryWheel, ExpiresAtTheDeadlineAndNotBefore) {
  Wheel wheel(10, 1ms);
  wheel.schedule(at(10ms), 1);
  wheel.schedule(at(10ms + 1ns), 2);
  EXPECT_TRUE(expired_at(wheel, at(10ms - 1ns)).empty());
  EXPECT_EQ(expired_at(wheel, at(10ms)), std::vector<int>{1});
  EXPECT_TRUE(expired_at(wheel, at(11ms - 1ns)).empty()) << "late by less than a resolution";
  EXPECT_EQ(expired_at(wheel, at(11ms)), std::vector<int>{2});
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), kNever);
}

TEST(ExpiryWheel, CancelledAndExpiredHandlesAreDead) {
  Wheel wheel(10, 1ms);
  const auto a = wheel.schedule(at(5ms), 1);
  const auto b = wheel.schedule(at(5ms), 2);
  EXPECT_EQ(*wheel.find(a), 1);
  EXPECT_TRUE(wheel.cancel(a));
  EXPECT_FALSE(wheel.cancel(a));
  EXPECT_EQ(wheel.find(a), nullptr);
  EXPECT_EQ(expired_at(wheel, at(1s)), std::vector<int>{2});
  EXPECT_FALSE(wheel.cancel(b));
  const auto c = wheel.schedule(at(2s), 3);  // takes a slot that was used
  EXPECT_FALSE(wheel.cancel(a));
  EXPECT_FALSE(wheel.cancel(b));
  EXPECT_TRUE(wheel.cancel(c));
  EXPECT_FALSE(wheel.cancel({}));
}

TEST(ExpiryWheel, CancelledEntriesWakeNobody) {
  Wheel wheel(10, 1ms);
  const auto a = wheel.schedule(at(5ms), 1);
  const auto b = wheel.schedule(at(5ms), 2);
  wheel.schedule(at(40ms), 3);
  wheel.cancel(a);
  EXPECT_EQ(wheel.next_deadline(), at(5ms));
  wheel.cancel(b);
  EXPECT_EQ(wheel.next_deadline(), at(40ms));
}

TEST(ExpiryWheel, BoundsItsEntries) {
  Wheel wheel(2, 1ms);
  const auto a = wheel.schedule(at(1ms), 1);
  EXPECT_TRUE(a);
  EXPECT_TRUE(wheel.schedule(at(1ms), 2));
  EXPECT_FALSE(wheel.schedule(at(1ms), 3));
  wheel.cancel(a);
  EXPECT_TRUE(wheel.schedule(at(1ms), 4));
  EXPECT_EQ(wheel.size(), 2u);
}

TEST(ExpiryWheel, PastAndFarFutureAreBothFine) {
  Wheel wheel(10, 1ms);
  expired_at(wheel, at(1h));
  wheel.schedule(at(1s), 1);
  wheel.schedule(at(-5s), 2);
  wheel.schedule(at(87'600h), 3);
  wheel.schedule(kNever, 4);
  EXPECT_LE(wheel.next_deadline(), at(1h));
  EXPECT_EQ(expired_at(wheel, at(1h)), (std::vector<int>{1, 2}));
  EXPECT_EQ(expired_at(wheel, at(87'600h)), std::vector<int>{3});
  EXPECT_TRUE(expired_at(wheel, kNever - 1s).empty());
}

TEST(ExpiryWheel, ExpireMayScheduleAndCancel) {
  Wheel wheel(10, 1ms);
  const auto victim = wheel.schedule(at(20ms), 100);
  Wheel::Handle twin;
  wheel.schedule(at(10ms), 1);
  twin = wheel.schedule(at(10ms), 2);
  std::vector<int> seen;
  wheel.expire(at(30ms), [&](int&& v) {
    seen.push_back(v);
    if (v == 1) {
      EXPECT_TRUE(wheel.cancel(twin)) << "same tick, not called yet";
      EXPECT_TRUE(wheel.cancel(victim));
      wheel.schedule(at(25ms), 3);  // within this call's span
      wheel.schedule(at(5ms), 4);   // past: next call
    }
  });
  EXPECT_EQ(seen, (std::vector<int>{1, 3}));
  EXPECT_EQ(expired_at(wheel, at(30ms)), std::vector<int>{4});
}

// Driving the wheel by its own next_deadline() alone must meet every deadline, in few wakes.
TEST(ExpiryWheel, NextDeadlineIsNeverLateAndSeldomEarly) {
  std::mt19937_64 random(3);
  Wheel wheel(1000, 1ms);
  std::map<int, Duration> deadlines;
  for (int i = 0; i < 1000; ++i) {
    const Duration d(static_cast<Duration::rep>(random() % 10'000'000'000'000));
    deadlines[i] = d;
    wheel.schedule(at(d), i);
  }
  std::size_t wakes = 0;
  while (!wheel.empty()) {
    const TimePoint now = wheel.next_deadline();
    ++wakes;
    wheel.expire(now, [&](int&& v) {
      EXPECT_GE(now, at(deadlines[v]));
      EXPECT_LT(now, at(deadlines[v] + 1ms));
      deadlines.erase(v);
    });
  }
  EXPECT_TRUE(deadlines.empty());
  EXPECT_LT(wakes, 4000u);
}

TEST(ExpiryWheel, IdleTimeCostsNothing) {
  // Two hours of microseconds in one step, a million times: would not end if ticks were walked.
  Wheel wheel(4, 1us);
  TimePoint now{};
  for (int i = 0; i < 1'000'000; ++i) {
    now += 2h;
    wheel.schedule(now + 1h, i);
    EXPECT_LE(wheel.expire(now, [](int&&) {}), 1u);
  }
}

TEST(ExpiryWheel, AgreesWithANaiveModel) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const Duration resolution = seed % 3 == 0 ? Duration(1) : seed % 3 == 1 ? Duration(1'000) : 1ms;
    const std::size_t entries_max = 1 + random() % 300;
    Wheel wheel(entries_max, resolution);
    struct Item {
      Wheel::Handle handle;
      Duration::rep tick;
    };
    std::map<int, Item> model;
    Duration::rep now = static_cast<Duration::rep>(random() % 1'000'000);
    wheel.expire(at(Duration(now)), [](int&&) {});
    for (int step = 0; step < 5000; ++step) {
      const auto choice = random() % 10;
      if (choice < 5) {
        // Spans of every size, also backwards.
        const auto span = static_cast<Duration::rep>(random() >> (1 + random() % 63) >> 10);
        const Duration::rep deadline = random() % 10 == 0 ? now - span % 1000 : now + span;
        const auto handle = wheel.schedule(at(Duration(deadline)), step);
        ASSERT_EQ(static_cast<bool>(handle), model.size() < entries_max);
        const auto r = resolution.count();
        if (handle) model[step] = {handle, deadline <= 0 ? 0 : (deadline - 1) / r + 1};
      } else if (choice < 7 && !model.empty()) {
        auto it = model.lower_bound(static_cast<int>(random() % static_cast<unsigned>(step + 1)));
        if (it == model.end()) it = model.begin();
        ASSERT_TRUE(wheel.cancel(it->second.handle));
        ASSERT_FALSE(wheel.cancel(it->second.handle));
        model.erase(it);
      } else {
        now += static_cast<Duration::rep>(random() >> (1 + random() % 63) >> 12);
        std::vector<int> expected;
        for (const auto& [number, item] : model) {
          if (item.tick <= now / resolution.count()) expected.push_back(number);
        }
        auto seen = expired_at(wheel, at(Duration(now)));
        std::sort(seen.begin(), seen.end());
        ASSERT_EQ(seen, expected);
        for (const int number : expected) model.erase(number);
      }
      ASSERT_EQ(wheel.size(), model.size());
      Duration::rep earliest = INT64_MAX;
      for (const auto& [number, item] : model) earliest = std::min(earliest, item.tick);
      if (!model.empty()) {
        ASSERT_LE(wheel.next_deadline().time_since_epoch().count() / resolution.count(),
                  std::max(earliest, now / resolution.count()));
      }
    }
  }
}

}  // namespace
}  // namespace qudag::queue
