// The overload table row by row: every threshold starts its action, alone and with those above it,
// and hysteresis ends it.
#include "overload/rules.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace qudag::overload {
namespace {

using namespace std::chrono_literals;

TimePoint at(Duration since) { return TimePoint(since); }

Pressures only(std::size_t pressure, double value) {
  Pressures out{};
  out[pressure] = value;
  return out;
}

TEST(Overload, NothingIsActiveAtRest) {
  Overload overload;
  overload.update({}, at(0s));
  for (const OverloadRule& rule : kOverloadRules) {
    EXPECT_FALSE(overload.active(rule.action)) << name_of(rule.action);
    EXPECT_EQ(overload.level(rule.action), 0);
  }
  EXPECT_FALSE(overload.refuses_circuit(0));
}

/// The table is the specification here, so the numbers stand in it once more, by hand.
TEST(Overload, TheTableIsWhatWasDecided) {
  const double no = kNotDriven;
  const double expected[kActionCount][kPressureCount] = {
      {0.70, 0.60, 0.60, 0.70, 0.40, 0.70, no}, {0.75, 0.70, 0.70, 0.75, 0.45, 0.75, 0.50},
      {0.80, 0.80, 0.80, 0.80, no, no, no},     {0.85, no, 0.85, 0.85, 0.50, 0.85, 0.75},
      {0.90, 0.85, 0.90, no, no, no, no},       {0.93, 0.90, 0.95, no, no, no, no},
      {0.96, 0.97, no, no, no, no, no},
  };
  for (std::size_t row = 0; row < kActionCount; ++row) {
    for (std::size_t p = 0; p < kPressureCount; ++p) {
      EXPECT_EQ(kOverloadRules[row].on[p], expected[row][p]) << row << " " << p;
    }
  }
}

struct Cell {
  std::size_t row;
  std::size_t pressure;
};

std::vector<Cell> cells(bool driven) {
  std::vector<Cell> out;
  for (std::size_t row = 0; row < kActionCount; ++row) {
    for (std::size_t p = 0; p < kPressureCount; ++p) {
      if ((kOverloadRules[row].on[p] != kNotDriven) == driven) out.push_back({row, p});
    }
  }
  return out;
}

TEST(Overload, DocumentationHasTheTable) {
  std::ifstream in(QUDAG_TEST_DATA "/../../docs/reference/limits.md");
  std::vector<std::string> rows;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("| action | memory |")) {
      std::getline(in, line);  // the rule below the head
      while (std::getline(in, line) && line.starts_with("|")) rows.push_back(line);
    }
  }
  ASSERT_EQ(rows.size(), kActionCount);
  for (std::size_t i = 0; i < kActionCount; ++i) {
    std::string expected = "| " + std::string(name_of(kOverloadRules[i].action)) + " |";
    for (const double on : kOverloadRules[i].on) {
      std::array<char, 16> text{};
      std::snprintf(text.data(), text.size(), " %.2f |", on);
      expected += on == kNotDriven ? " - |" : text.data();
    }
    EXPECT_EQ(rows[i], expected);
  }
}

TEST(Overload, APressureStartsOnlyWhatItDrives) {
  for (const Cell& cell : cells(false)) {
    Overload overload;
    overload.update(only(cell.pressure, 1), at(0s));
    EXPECT_FALSE(overload.active(kOverloadRules[cell.row].action)) << cell.row;
  }
}

class EveryThreshold : public ::testing::TestWithParam<Cell> {
 protected:
  std::size_t row() const { return GetParam().row; }
  std::size_t pressure() const { return GetParam().pressure; }
  double on() const { return kOverloadRules[row()].on[pressure()]; }
  Action action() const { return kOverloadRules[row()].action; }
};

TEST_P(EveryThreshold, StartsItsActionAndNoLaterOne) {
  Overload overload;
  overload.update(only(pressure(), on() - 0.001), at(0s));
  EXPECT_FALSE(overload.active(action()));
  overload.update(only(pressure(), on()), at(0s));
  EXPECT_TRUE(overload.active(action()));
  EXPECT_EQ(overload.started(action()), 1u);
  for (std::size_t other = 0; other < kActionCount; ++other) {
    const bool expected = other <= row() && kOverloadRules[other].on[pressure()] != kNotDriven;
    EXPECT_EQ(overload.active(kOverloadRules[other].action), expected) << other;
  }
}

TEST_P(EveryThreshold, EndsOnlyWellBelowAndAfterAWhile) {
  Overload overload;
  overload.update(only(pressure(), on()), at(10s));
  overload.update(only(pressure(), on() - kHysteresis + 0.001), at(20s));
  EXPECT_TRUE(overload.active(action())) << "inside the hysteresis";
  overload.update(only(pressure(), on() - kHysteresis - 0.001), at(20s + 999ms));
  EXPECT_TRUE(overload.active(action())) << "not long enough";
  overload.update(only(pressure(), on() - kHysteresis - 0.001), at(21s));
  EXPECT_FALSE(overload.active(action()));
  overload.update(only(pressure(), on() - 0.001), at(22s));
  EXPECT_FALSE(overload.active(action())) << "starts again at its threshold only";
  overload.update(only(pressure(), on()), at(23s));
  EXPECT_EQ(overload.started(action()), 2u);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryThreshold, ::testing::ValuesIn(cells(true)),
                         [](const auto& param) {
                           const auto action = static_cast<Action>(param.param.row);
                           const auto pressure = static_cast<Pressure>(param.param.pressure);
                           return std::string(name_of(action)) + "_by_" +
                                  std::string(name_of(pressure));
                         });

TEST(Overload, RefusesCircuitsWithRisingProbability) {
  Overload overload;
  double last = -1;
  for (const double memory : {0.80, 0.85, 0.90, 0.95, 1.0}) {
    overload.update(only(0, memory), at(0s));
    const double level = overload.level(Action::refuse_circuits);
    EXPECT_NEAR(level, (memory - 0.8) / 0.2, 1e-9);
    EXPECT_GT(level, last);
    last = level;
  }
  EXPECT_TRUE(overload.refuses_circuit(0.999));
  overload.update(only(0, 0.9), at(0s));
  EXPECT_TRUE(overload.refuses_circuit(0.49));
  EXPECT_FALSE(overload.refuses_circuit(0.51));
  overload.update(only(0, 0.79), at(0s));
  EXPECT_TRUE(overload.active(Action::refuse_circuits)) << "hysteresis";
  EXPECT_FALSE(overload.refuses_circuit(0)) << "but none is refused below the threshold";
}

TEST(Overload, TheWorstPressureCounts) {
  Overload overload;
  Pressures pressures{};
  pressures[static_cast<std::size_t>(Pressure::memory)] = 0.85;
  pressures[static_cast<std::size_t>(Pressure::queue_delay)] = 0.9;
  overload.update(pressures, at(0s));
  EXPECT_NEAR(overload.level(Action::refuse_circuits), 0.5, 1e-9);
  EXPECT_TRUE(overload.active(Action::drop_low));
  pressures[static_cast<std::size_t>(Pressure::queue_delay)] = 0;
  overload.update(pressures, at(10s));
  EXPECT_FALSE(overload.active(Action::drop_low));
  EXPECT_TRUE(overload.active(Action::refuse_circuits)) << "memory still asks for it";
}

TEST(Overload, ValuesOutsideTheRange) {
  Overload overload;
  overload.update(only(0, -5), at(0s));
  EXPECT_FALSE(overload.active(Action::shrink));
  overload.update(only(0, std::nan("")), at(0s));
  EXPECT_TRUE(overload.active(Action::drop_normal));
  EXPECT_EQ(overload.level(Action::drop_normal), 1);
  overload.update(only(0, 17), at(0s));
  EXPECT_EQ(overload.level(Action::drop_normal), 1);
}

TEST(Overload, ATableThatIsNotGradedIsFound) {
  auto rules = kOverloadRules;
  EXPECT_TRUE(rules_are_graded(rules));
  rules[2].on[0] = 0.75;  // as early as the row before
  EXPECT_FALSE(rules_are_graded(rules));
  rules = kOverloadRules;
  std::swap(rules[0].action, rules[1].action);
  EXPECT_FALSE(rules_are_graded(rules));
  rules = kOverloadRules;
  rules[6].on[0] = 1;
  EXPECT_FALSE(rules_are_graded(rules));
}

}  // namespace
}  // namespace qudag::overload
