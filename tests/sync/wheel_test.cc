#include "sync/wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <vector>

namespace qudag::sync {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration d) { return TimePoint(d); }

struct Alarm : Timer {
  explicit Alarm(int n) : number(n) {}
  int number;
};

int number_of(const Timer& timer) { return static_cast<const Alarm&>(timer).number; }

std::vector<int> expired_at(Wheel& wheel, TimePoint now) {
  std::vector<int> out;
  const std::size_t n = wheel.expire(now, [&](Timer& t) {
    EXPECT_FALSE(t.is_set());
    out.push_back(number_of(t));
  });
  EXPECT_EQ(n, out.size());
  return out;
}

TEST(Wheel, ExpiresAtTheDeadlineAndNotBefore) {
  Wheel wheel(1ms);
  Alarm one(1), two(2);
  wheel.set(one, at(10ms));
  wheel.set(two, at(10ms + 1ns));
  EXPECT_TRUE(expired_at(wheel, at(10ms - 1ns)).empty());
  EXPECT_EQ(expired_at(wheel, at(10ms)), std::vector<int>{1});
  EXPECT_TRUE(expired_at(wheel, at(11ms - 1ns)).empty()) << "late by less than a resolution";
  EXPECT_EQ(expired_at(wheel, at(11ms)), std::vector<int>{2});
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), kNever);
}

TEST(Wheel, ClearedTimersWakeNobody) {
  Wheel wheel(1ms);
  Alarm a(1), b(2), c(3);
  wheel.set(a, at(5ms));
  wheel.set(b, at(5ms));
  wheel.set(c, at(40ms));
  wheel.clear(a);
  wheel.clear(a);
  EXPECT_EQ(wheel.next_deadline(), at(5ms));
  wheel.clear(b);
  EXPECT_EQ(wheel.next_deadline(), at(40ms));
  EXPECT_EQ(wheel.size(), 1u);
}

TEST(Wheel, SettingAgainMoves) {
  Wheel wheel(1ms);
  Alarm a(1);
  wheel.set(a, at(5ms));
  wheel.set(a, at(20ms));
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_TRUE(expired_at(wheel, at(19ms)).empty());
  EXPECT_FALSE(wheel.is_due(a, at(19ms)));
  EXPECT_TRUE(wheel.is_due(a, at(20ms)));
  wheel.set(a, kNever);
  EXPECT_FALSE(a.is_set());
  EXPECT_TRUE(wheel.empty());
}

TEST(Wheel, PastAndFarFutureAreBothFine) {
  Wheel wheel(1ms);
  expired_at(wheel, at(1h));
  Alarm one(1), two(2), three(3), four(4);
  wheel.set(one, at(1s));
  wheel.set(two, at(-5s));
  wheel.set(three, at(87'600h));
  wheel.set(four, kNever - 1ns);
  EXPECT_LE(wheel.next_deadline(), at(1h));
  EXPECT_EQ(expired_at(wheel, at(1h)), (std::vector<int>{1, 2}));
  EXPECT_EQ(expired_at(wheel, at(87'600h)), std::vector<int>{3});
  EXPECT_TRUE(expired_at(wheel, kNever - 1s).empty());
  wheel.clear(four);
}

TEST(Wheel, ExpireMaySetAndClear) {
  Wheel wheel(1ms);
  Alarm victim(100), one(1), twin(2), three(3), four(4);
  wheel.set(victim, at(20ms));
  wheel.set(one, at(10ms));
  wheel.set(twin, at(10ms));
  std::vector<int> seen;
  wheel.expire(at(30ms), [&](Timer& t) {
    seen.push_back(number_of(t));
    if (number_of(t) == 1) {
      EXPECT_TRUE(twin.is_set()) << "same tick, not called yet";
      wheel.clear(twin);
      wheel.clear(victim);
      wheel.set(three, at(25ms));  // within this call's span
      wheel.set(four, at(5ms));    // past: next call
    }
  });
  EXPECT_EQ(seen, (std::vector<int>{1, 3}));
  EXPECT_EQ(expired_at(wheel, at(30ms)), std::vector<int>{4});
}

// Driving the wheel by its own next_deadline() alone must meet every deadline, in few wakes.
TEST(Wheel, NextDeadlineIsNeverLateAndSeldomEarly) {
  std::mt19937_64 random(3);
  Wheel wheel(1ms);
  std::deque<Alarm> alarms;
  std::map<int, Duration> deadlines;
  for (int i = 0; i < 1000; ++i) {
    const Duration d(static_cast<Duration::rep>(random() % 10'000'000'000'000));
    deadlines[i] = d;
    wheel.set(alarms.emplace_back(i), at(d));
  }
  std::size_t wakes = 0;
  while (!wheel.empty()) {
    const TimePoint now = wheel.next_deadline();
    ++wakes;
    wheel.expire(now, [&](Timer& t) {
      EXPECT_GE(now, at(deadlines[number_of(t)]));
      EXPECT_LT(now, at(deadlines[number_of(t)] + 1ms));
      deadlines.erase(number_of(t));
    });
  }
  EXPECT_TRUE(deadlines.empty());
  EXPECT_LT(wakes, 4000u);
}

TEST(Wheel, IdleTimeCostsNothing) {
  // Two hours of microseconds in one step, a million times: would not end if ticks were walked.
  Wheel wheel(1us);
  Alarm alarm(1);
  TimePoint now{};
  for (int i = 0; i < 1'000'000; ++i) {
    now += 2h;
    wheel.set(alarm, now + 1h);
    EXPECT_LE(wheel.expire(now, [](Timer&) {}), 1u);
  }
  wheel.clear(alarm);
}

TEST(Wheel, AgreesWithANaiveModel) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const Duration resolution = seed % 3 == 0 ? Duration(1) : seed % 3 == 1 ? Duration(1'000) : 1ms;
    Wheel wheel(resolution);
    std::deque<Alarm> alarms;
    std::map<int, Duration::rep> model;  // ticks
    Duration::rep now = static_cast<Duration::rep>(random() % 1'000'000);
    wheel.expire(at(Duration(now)), [](Timer&) {});
    for (int step = 0; step < 5000; ++step) {
      const auto choice = random() % 10;
      if (choice < 5) {
        // Spans of every size, also backwards; sometimes one that is set already.
        const auto span = static_cast<Duration::rep>(random() >> (1 + random() % 63) >> 10);
        const Duration::rep deadline = random() % 10 == 0 ? now - span % 1000 : now + span;
        const bool again = !alarms.empty() && random() % 8 == 0;
        Alarm& alarm = again ? alarms[random() % alarms.size()]
                             : alarms.emplace_back(static_cast<int>(alarms.size()));
        wheel.set(alarm, at(Duration(deadline)));
        model[alarm.number] = deadline <= 0 ? 0 : (deadline - 1) / resolution.count() + 1;
      } else if (choice < 7 && !model.empty()) {
        auto it = model.lower_bound(static_cast<int>(random() % alarms.size()));
        if (it == model.end()) it = model.begin();
        Alarm& alarm = alarms[static_cast<std::size_t>(it->first)];
        ASSERT_TRUE(alarm.is_set());
        wheel.clear(alarm);
        ASSERT_FALSE(alarm.is_set());
        model.erase(it);
      } else {
        now += static_cast<Duration::rep>(random() >> (1 + random() % 63) >> 12);
        std::vector<int> expected;
        for (const auto& [number, tick] : model) {
          if (tick <= now / resolution.count()) expected.push_back(number);
        }
        auto seen = expired_at(wheel, at(Duration(now)));
        std::sort(seen.begin(), seen.end());
        ASSERT_EQ(seen, expected);
        for (const int number : expected) model.erase(number);
      }
      ASSERT_EQ(wheel.size(), model.size());
      Duration::rep earliest = INT64_MAX;
      for (const auto& [number, tick] : model) earliest = std::min(earliest, tick);
      if (!model.empty()) {
        ASSERT_LE(wheel.next_deadline().time_since_epoch().count() / resolution.count(),
                  std::max(earliest, now / resolution.count()));
      }
    }
    for (Alarm& alarm : alarms) wheel.clear(alarm);
  }
}

}  // namespace
}  // namespace qudag::sync
