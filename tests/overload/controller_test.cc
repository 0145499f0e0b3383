// The adaptive controller: the band, both responses, ends, holds, and that it settles.
#include "overload/controller.h"

#include <gtest/gtest.h>

namespace qudag::overload {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration since) { return TimePoint(since); }

constexpr ControllerOptions kBatch{.floor = 8,
                                   .ceiling = 64,
                                   .start = 32,
                                   .sample_low = 1,
                                   .sample_high = 2,
                                   .raise_step = 4,
                                   .smoothing = 1};
static_assert(is_valid(kBatch));

TEST(Controller, StaysInsideTheBand) {
  ControllerState state = start(kBatch);
  for (const double sample : {1.0, 1.5, 2.0}) {
    state = step(kBatch, state, sample, at(1s));
    EXPECT_EQ(state.setting, 32);
  }
}

TEST(Controller, AddsUpwardAndMultipliesDownward) {
  EXPECT_EQ(step(kBatch, start(kBatch), 0.5, at(1s)).setting, 36);
  EXPECT_EQ(step(kBatch, start(kBatch), 2.5, at(1s)).setting, 16);
  ControllerOptions need = kBatch;
  need.above = Response::raise;
  EXPECT_EQ(step(need, start(need), 2.5, at(1s)).setting, 36);
  EXPECT_EQ(step(need, start(need), 0.5, at(1s)).setting, 16);
}

TEST(Controller, FloorAndCeilingHold) {
  ControllerState state = start(kBatch);
  for (int i = 1; i < 100; ++i) state = step(kBatch, state, 0, at(i * 1s));
  EXPECT_EQ(state.setting, 64);
  const TimePoint last_move = state.moved_at;
  state = step(kBatch, state, 0, at(100s));
  EXPECT_EQ(state.moved_at, last_move) << "at the end there is nothing to move";
  for (int i = 200; i < 300; ++i) state = step(kBatch, state, 9, at(i * 1s));
  EXPECT_EQ(state.setting, 8);
}

TEST(Controller, MovesNoFasterThanHoldAndTurnsSlower) {
  ControllerState state = step(kBatch, start(kBatch), 0, at(10s));
  EXPECT_EQ(state.setting, 36);
  state = step(kBatch, state, 0, at(10s + 99ms));
  EXPECT_EQ(state.setting, 36);
  state = step(kBatch, state, 0, at(10s + 100ms));
  EXPECT_EQ(state.setting, 40);
  state = step(kBatch, state, 9, at(10s + 1099ms));
  EXPECT_EQ(state.setting, 40) << "a turn waits longer";
  state = step(kBatch, state, 9, at(10s + 1100ms));
  EXPECT_EQ(state.setting, 20);
}

TEST(Controller, SmoothingIgnoresASpike) {
  ControllerOptions options = kBatch;
  options.smoothing = 0.1;
  ControllerState state = step(options, start(options), 1.5, at(1s));
  state = step(options, state, 6, at(2s));
  EXPECT_NEAR(state.smoothed, 1.95, 1e-9);
  EXPECT_EQ(state.setting, 32);
  state = step(options, state, 6, at(3s));
  EXPECT_EQ(state.setting, 16) << "but not a second one";
}

TEST(Controller, SettlesWhereTheSampleIsInTheBand) {
  // A cost of 0.05 per unit: the band [1, 2] is the settings 20 to 40.
  for (const double first : {8.0, 64.0}) {
    ControllerOptions options = kBatch;
    options.start = first;
    ControllerState state = start(options);
    int moves = 0;
    for (int i = 1; i <= 600; ++i) {
      const double before = state.setting;
      state = step(options, state, state.setting * 0.05, at(i * 100ms));
      if (state.setting != before) ++moves;
    }
    EXPECT_GE(state.setting, 20);
    EXPECT_LE(state.setting, 40);
    EXPECT_LE(moves, 8) << "it does not swing";
  }
}

TEST(Controller, OptionsAreChecked) {
  ControllerOptions options = kBatch;
  options.start = 100;
  EXPECT_FALSE(is_valid(options));
  options = kBatch;
  options.lower_factor = 1;
  EXPECT_FALSE(is_valid(options));
  options = kBatch;
  options.sample_low = 3;
  EXPECT_FALSE(is_valid(options));
  options = kBatch;
  options.smoothing = 0;
  EXPECT_FALSE(is_valid(options));
  options = kBatch;
  options.turn_hold = 0s;
  EXPECT_FALSE(is_valid(options));
}

}  // namespace
}  // namespace qudag::overload
