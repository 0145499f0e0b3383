// Tables of metrics, and the page that is made from them.
#include "telemetry/page.h"

#include <gmock/gmock.h>

#include <array>

namespace qudag::telemetry {
namespace {

using ::testing::HasSubstr;

struct Counts {
  std::uint64_t seen = 0;
  std::array<std::uint64_t, 3> by_priority{};
  double level = 0;
  Histogram took_us;
  TimeHistogram waited;
  std::array<TimeHistogram, 3> each_waited;
};

constexpr Metric<Counts> kTable[] = {
    {{"qudag_seen_total", "Things seen."}, label("way", "in"), &Counts::seen},
    {same, label("way", "out"), [](const Counts& c) { return static_cast<double>(c.seen) / 2; }},
    {{"qudag_kept", "Things kept, by priority.", Kind::gauge},
     each("priority", kPriorityNames),
     [](const Counts& c, std::size_t i) { return static_cast<double>(c.by_priority[i]); }},
    {{"qudag_level", "The highest level.", Kind::highest},
     no_label,
     [](const Counts& c) { return c.level; }},
    {{"qudag_took_seconds", "How long it took.", Kind::seconds}, no_label, &Counts::took_us},
    {{"qudag_waited_seconds", "How long it waited.", Kind::seconds}, no_label, &Counts::waited},
    {{"qudag_each_waited_seconds", "The same, by priority.", Kind::seconds},
     each("priority", kPriorityNames),
     [](const Counts& c, std::size_t i) -> const TimeHistogram& { return c.each_waited[i]; }},
};
static_assert(valid(kTable));

Counts counts(std::uint64_t seen, std::array<std::uint64_t, 3> by_priority, double level) {
  Counts out;
  out.seen = seen;
  out.by_priority = by_priority;
  out.level = level;
  return out;
}

std::string page_of(const std::vector<Counts>& shards) {
  Page page;
  page.add(kTable, shards, [](const Counts& c) -> const Counts& { return c; });
  return prometheus(page.take());
}

/// https://prometheus.io/docs/specs/om/open_metrics_spec/: a counter's family goes without _total,
/// its samples have it, and the text ends with a mark.
TEST(Page, OpenMetricsHasItsOwnNamesAndAnEnd) {
  Page page;
  page.add(kTable, counts(4, {1, 0, 2}, 0.25));
  const std::string text = openmetrics(page.take());
  EXPECT_THAT(text, HasSubstr("# HELP qudag_seen Things seen.\n"
                              "# TYPE qudag_seen counter\n"
                              "qudag_seen_total{way=\"in\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE qudag_level gauge\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE qudag_took_seconds histogram\n"));
  EXPECT_THAT(text, ::testing::EndsWith("\n# EOF\n"));
}

TEST(Page, AddsTheShardsUpAndTakesTheHighest) {
  const std::string page = page_of({counts(4, {1, 0, 2}, 0.25), counts(6, {1, 5, 0}, 0.75)});
  EXPECT_THAT(page, HasSubstr("# HELP qudag_seen_total Things seen.\n"
                              "# TYPE qudag_seen_total counter\n"
                              "qudag_seen_total{way=\"in\"} 10\n"
                              "qudag_seen_total{way=\"out\"} 5\n"));
  EXPECT_THAT(page, HasSubstr("# TYPE qudag_kept gauge\n"
                              "qudag_kept{priority=\"high\"} 2\n"
                              "qudag_kept{priority=\"normal\"} 5\n"
                              "qudag_kept{priority=\"low\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("# TYPE qudag_level gauge\nqudag_level 0.75\n"));
}

TEST(Page, HistogramsAreBucketsThatMayBeAdded) {
  std::vector<Counts> shards(2);
  shards[0].took_us.record(50);
  shards[0].took_us.record(100);
  shards[1].took_us.record(1'000'000);
  const std::string page = page_of(shards);
  EXPECT_THAT(page, HasSubstr("# TYPE qudag_took_seconds histogram\n"
                              "qudag_took_seconds_bucket{le=\"6.4e-05\"} 1\n"
                              "qudag_took_seconds_bucket{le=\"0.000128\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("qudag_took_seconds_bucket{le=\"0.524288\"} 2\n"
                              "qudag_took_seconds_bucket{le=\"1.048576\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("qudag_took_seconds_bucket{le=\"+Inf\"} 3\n"
                              "qudag_took_seconds_sum 1.00015\n"
                              "qudag_took_seconds_count 3\n"));
}

TEST(Page, HistogramsOfEitherKindHaveTheSameBuckets) {
  using std::chrono::microseconds;
  std::vector<Counts> shards(2);
  shards[0].waited.record(microseconds(64));
  shards[1].waited.record(microseconds(1'000'000), 2);
  shards[1].each_waited[2].record(microseconds(3));
  const std::string page = page_of(shards);
  EXPECT_THAT(page, HasSubstr("# TYPE qudag_waited_seconds histogram\n"
                              "qudag_waited_seconds_bucket{le=\"6.4e-05\"} 0\n"
                              "qudag_waited_seconds_bucket{le=\"0.000128\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("qudag_waited_seconds_bucket{le=\"1.048576\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("qudag_waited_seconds_bucket{le=\"+Inf\"} 3\n"
                              "qudag_waited_seconds_sum 2.000064\n"
                              "qudag_waited_seconds_count 3\n"));
  EXPECT_THAT(page,
              HasSubstr("qudag_each_waited_seconds_bucket{priority=\"low\",le=\"6.4e-05\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("qudag_each_waited_seconds_count{priority=\"high\"} 0\n"));
}

MetricSample sample(std::string name, std::string labels, std::string help, double value) {
  MetricSample out;
  out.family = name;
  out.name = std::move(name);
  out.labels = std::move(labels);
  out.help = std::move(help);
  out.value = value;
  return out;
}

TEST(Page, FamiliesStandTogetherAndLabelsAreQuoted) {
  const std::string page = prometheus({sample("b", "x=\"1\"", "B.", 1), sample("a", "", "A.", 2.5),
                                       sample("b", "x=\"2\"", "B.", 3)});
  EXPECT_EQ(page,
            "# HELP a A.\n# TYPE a counter\na 2.5\n"
            "# HELP b B.\n# TYPE b counter\nb{x=\"1\"} 1\nb{x=\"2\"} 3\n");

  static constexpr Metric<Counts> kOdd[] = {
      {{"qudag_odd_total", "An odd label."}, label("path", "a\"b\\c\nd"), &Counts::seen}};
  Page odd;
  odd.add(kOdd, counts(1, {}, 0));
  EXPECT_THAT(prometheus(odd.take()), HasSubstr(R"(qudag_odd_total{path="a\"b\\c\nd"} 1)"));
}

TEST(Metric, PrioritiesHaveTheNamesThatTheyHaveEverywhere) {
  ASSERT_EQ(std::size(kPriorityNames), kPriorityCount);
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    EXPECT_EQ(kPriorityNames[i], name_of(static_cast<Priority>(i)));
  }
}

TEST(Metric, WhatIsWrongWithANameOrASentenceIsSaid) {
  EXPECT_EQ(fault_of({"qudag_things_total", "Things."}), "");
  EXPECT_NE(fault_of({"things_total", "Things."}), "") << "whose";
  EXPECT_NE(fault_of({"qudag_Things_total", "Things."}), "");
  EXPECT_NE(fault_of({"qudag_things", "Things."}), "") << "a counter";
  EXPECT_NE(fault_of({"qudag_things_total", "Things.", Kind::gauge}), "");
  EXPECT_NE(fault_of({"qudag_took", "Time.", Kind::seconds}), "");
  EXPECT_NE(fault_of({"qudag_things_total", "things."}), "");
  EXPECT_NE(fault_of({"qudag_things_total", "Things"}), "");
}

}  // namespace
}  // namespace qudag::telemetry
