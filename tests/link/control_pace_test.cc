#include "link/path/control_pace.h"

#include <gtest/gtest.h>

namespace qudag::link {
namespace {

using namespace std::chrono_literals;

TEST(ControlPace, WhatIsRareIsGivenBackAtOnce) {
  ControlPace pace(TimePoint{});
  pace.note(5'000, 1);
  EXPECT_EQ(pace.pay(TimePoint{}), 5'000u);
  EXPECT_EQ(pace.due(), kNever);
  pace.note(100, 0);  // a part of a frame
  EXPECT_EQ(pace.pay(TimePoint{}), 100u);
}

TEST(ControlPace, AboveTheRateTheWindowWaitsAndNothingIsLost) {
  ControlPace pace(TimePoint{});
  TimePoint now{};
  std::uint64_t frames = 0, given = 0;
  const std::uint64_t window = 64 * 1024;
  std::uint64_t sent = 0;
  while (now < TimePoint{} + 20s) {
    while (sent - given + 5 <= window) {
      pace.note(5, 1);
      sent += 5;
      ++frames;
    }
    given += pace.pay(now);
    EXPECT_NE(pace.due(), TimePoint{});
    now = pace.due() == kNever ? now : std::max(now + 1ns, pace.due());
  }
  const std::uint64_t most = ControlPace::kFramesAtOnce + 20 * ControlPace::kFramesPerSecond;
  EXPECT_LE(frames, most + window / 5);
  EXPECT_GE(frames, most - window / 5);
}

}  // namespace
}  // namespace qudag::link
