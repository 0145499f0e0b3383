// What a node says of its load: the fullest resource, smoothed, in steps that do not flap.
#include "overload/meter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace qudag::overload {
namespace {

using namespace std::chrono_literals;

/// A meter that has seen `load` for long, sampled ten times a second.
struct Metered {
  void pass(double load, Duration time) {
    for (const TimePoint end = now + time; now < end; now += 100ms) meter.add({.busy = load}, now);
  }
  LoadMeter meter;
  TimePoint now{1s};
};

TEST(LoadMeter, TheFullestResourceCounts) {
  EXPECT_EQ(load_of({}), 0);
  EXPECT_EQ(load_of({.busy = 0.4, .circuits = 0.3}), 0.4);
  EXPECT_EQ(load_of({.circuits = 0.7}), 0.7);
  EXPECT_EQ(load_of({.queue_delay = 0.6}), 0.6);
  EXPECT_EQ(load_of({.loop_lag = 3}), 1);
  EXPECT_EQ(load_of({.memory = 0.5, .descriptors = 0.5}), 0) << "half of it costs nobody anything";
  EXPECT_DOUBLE_EQ(load_of({.memory = 0.8}), 0.6);
  EXPECT_DOUBLE_EQ(load_of({.descriptors = 1}), 1);
  EXPECT_DOUBLE_EQ(load_of({.quota = 0.25}), 0.25);
  EXPECT_DOUBLE_EQ(load_of({.quota = 1.5}), 1) << "a burst";
  EXPECT_EQ(load_of({.busy = -1}), 0);
  EXPECT_EQ(load_of({.busy = std::numeric_limits<double>::quiet_NaN()}), 1);
}

TEST(LoadMeter, ASecondOfWorkIsNotFullAndTheNumberFollows) {
  Metered node;
  node.pass(0, 5s);
  EXPECT_EQ(node.meter.load(), 0);
  node.pass(1, 1s);
  EXPECT_LT(node.meter.load(), 65'535 / 3);
  node.pass(1, 20s);
  EXPECT_EQ(node.meter.load(), 65'535);
  node.pass(0, 30s);
  EXPECT_EQ(node.meter.load(), 0);
}

TEST(LoadMeter, ItSaysSixteenthsOnly) {
  Metered node;
  std::set<std::uint16_t> said;
  for (double load = 0; load <= 1.0; load += 0.003) {
    node.pass(load, 1s);
    said.insert(node.meter.load());
  }
  node.pass(1, 20s);
  said.insert(node.meter.load());
  EXPECT_EQ(said.size(), LoadMeter::kSteps + 1);
  for (const unsigned load : said) EXPECT_TRUE(load % 4096 == 0 || load == 65'535) << load;
}

TEST(LoadMeter, AtTheEdgeOfAStepNothingFlaps) {
  Metered node;
  node.pass(8.5 / 16, 60s);
  const std::uint16_t before = node.meter.load();
  unsigned changes = 0;
  for (int i = 0; i < 600; ++i) {  // a tenth of the load up and down, around the edge
    node.pass((i % 2 == 0 ? 7.7 : 9.3) / 16, 500ms);
    changes += node.meter.load() != before;
  }
  EXPECT_EQ(changes, 0u);
  node.pass(12.0 / 16, 30s);
  EXPECT_NE(node.meter.load(), before);
}

TEST(LoadMeter, HowOftenItIsAskedDoesNotMatter) {
  LoadMeter often;
  LoadMeter rarely;
  for (TimePoint t{1s}; t <= TimePoint{9s}; t += 50ms) often.add({.busy = 0.5}, t);
  for (TimePoint t{1s}; t <= TimePoint{9s}; t += 2s) rarely.add({.busy = 0.5}, t);
  EXPECT_NEAR(often.smoothed(), rarely.smoothed(), 1e-9);
}

}  // namespace
}  // namespace qudag::overload
