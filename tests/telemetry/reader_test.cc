// A page is read back row by row, and percentiles of its histograms lie where they were counted.
#include "telemetry/reader.h"

#include "telemetry/page.h"

#include <gtest/gtest.h>

#include <limits>

namespace qudag::telemetry {
namespace {

std::vector<Row> rows_of(std::string_view page) {
  std::vector<Row> out;
  while (const auto row = next_row(page)) out.push_back(*row);
  return out;
}

TEST(Reader, RowsAreReadAndWhatIsNoRowIsPassedOver) {
  const auto rows = rows_of(
      "# HELP a Things.\n# TYPE a counter\na 1\n\nb{x=\"y z\",of=\"2\"} 2.5e3\nc{x=\"y\" 3\nd "
      "four\n"
      "e\n 7\nf +Inf\ng 1 ");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name, "a");
  EXPECT_EQ(rows[0].labels, "");
  EXPECT_EQ(rows[0].value, 1);
  EXPECT_EQ(rows[1].name, "b");
  EXPECT_EQ(rows[1].value, 2'500);
  EXPECT_EQ(label_of(rows[1].labels, "x"), "y z");
  EXPECT_EQ(label_of(rows[1].labels, "of"), "2");
  EXPECT_EQ(label_of(rows[1].labels, "o"), "");
  EXPECT_EQ(rows[2].name, "f");
  EXPECT_EQ(rows[2].value, std::numeric_limits<double>::infinity());
}

TEST(Reader, LabelsThatAreCutOffHaveNoValue) {
  for (const char* labels : {"", "x", "x=", "x=\"", "x=\"y", ",x=\"y\"", "=\"y\""}) {
    EXPECT_EQ(label_of(labels, "x"), "") << labels;
  }
}

struct Counts {
  Histogram took_us;
};
constexpr Metric<Counts> kTable[] = {
    {{"qudag_took_seconds", "How long it took.", Kind::seconds}, no_label, &Counts::took_us}};

Buckets buckets_of(const Counts& counts) {
  Page page;
  page.add(kTable, counts);
  const std::string text = prometheus(page.take());
  Buckets out;
  for (const Row& row : rows_of(text)) {
    if (row.name == "qudag_took_seconds_bucket") out.add(row);
  }
  return out;
}

TEST(Reader, PercentilesLieInTheBucketThatHasThem) {
  Counts counts;
  EXPECT_FALSE(buckets_of(counts).quantile(0.5));
  for (int i = 0; i < 98; ++i) counts.took_us.record(3'000);  // below 4096 us
  for (int i = 0; i < 2; ++i) counts.took_us.record(90'000);  // below 131072 us
  const Buckets all = buckets_of(counts);
  EXPECT_EQ(all.count(), 100);
  EXPECT_NEAR(*all.quantile(0.5), 0.0030, 0.001);
  EXPECT_GT(*all.quantile(0.99), 0.065);
  EXPECT_LT(*all.quantile(0.99), 0.132);
  const Buckets before = all;
  for (int i = 0; i < 10; ++i) counts.took_us.record(500);
  const Buckets lately = buckets_of(counts).since(before);
  EXPECT_EQ(lately.count(), 10);
  EXPECT_LT(*lately.quantile(0.99), 0.001);
}

/// Beyond the last end nothing is known but that end.
TEST(Reader, WhatIsBeyondTheLastBucketIsItsEnd) {
  Buckets all;
  all.add({"t_bucket", "le=\"0.5\"", 1});
  all.add({"t_bucket", "le=\"+Inf\"", 10});
  EXPECT_EQ(*all.quantile(0.99), 0.5);
}

}  // namespace
}  // namespace qudag::telemetry
