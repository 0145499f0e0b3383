// What a node says of itself by the way: each thing once, with its counts, and no more often.
#include "node/process/notices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qudag::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

class NoticesTest : public ::testing::Test {
 protected:
  NoticesTest()
      : log_({.level = LogLevel::info,
              .scrub = true,
              .sink = [this](LogLevel, std::string_view line) { lines_.emplace_back(line); }}),
        notices_(log_, start_) {
    totals_.refusals = {{.what = "links", .by_reason = {{"rate", 0}, {"memory", 0}}}};
  }
  std::vector<std::string> look(Duration at) {
    lines_.clear();
    notices_.look(totals_, start_ + at);
    return lines_;
  }
  std::uint64_t& refused(std::size_t reason) {
    return totals_.refusals[0].by_reason[reason].second;
  }

  const TimePoint start_{};
  std::vector<std::string> lines_;
  Log log_;
  Notices notices_;
  Totals totals_;
};

TEST_F(NoticesTest, RefusalsAreSaidAtOnceAndThenOnceAnHourWithTheCountsSince) {
  refused(0) = Notices::kRefusedLeast - 1;
  EXPECT_THAT(look(1min), IsEmpty());
  refused(1) = 1;
  EXPECT_THAT(look(2min),
              ElementsAre(HasSubstr("limits refused 10 links in the last 2 min: rate 9, "
                                    "memory 1; ")));
  refused(0) = 5'000;
  EXPECT_THAT(look(3min), IsEmpty());
  EXPECT_THAT(look(61min), IsEmpty());
  EXPECT_THAT(
      look(62min),
      ElementsAre(HasSubstr("limits refused 4991 links in the last 1 h 0 min: rate 4991; ")));
  EXPECT_THAT(look(200min), IsEmpty()) << "nothing was refused since";
}

TEST_F(NoticesTest, TheHeartbeatComesEverySixHours) {
  totals_.links = 3;
  totals_.relays = 33;
  totals_.bytes_in = 1'234'567;
  totals_.memory_limit = 512u << 20;
  EXPECT_THAT(look(359min), IsEmpty());
  EXPECT_THAT(look(360min),
              ElementsAre("up 6 h 0 min: 3 links, 0 circuits, 0 nodes and 33 relays known; 1.2MiB "
                          "in, 0B out, 0B relayed; memory 0B of 512MiB"));
  EXPECT_THAT(look(361min), IsEmpty());
  EXPECT_THAT(look(721min), ElementsAre(HasSubstr("up 12 h 1 min: ")));
}

TEST_F(NoticesTest, GuardsThatAreGoneAreSaidOnceAndThatTheyAreBack) {
  EXPECT_THAT(look(1min), IsEmpty()) << "none was chosen yet";
  totals_.guards = 4;
  EXPECT_THAT(look(2min), ElementsAre(HasSubstr("none of the 4 guards is among the known relays")));
  EXPECT_THAT(look(3min), IsEmpty());
  totals_.guards_there = 1;
  EXPECT_THAT(look(4min), ElementsAre("1 of 4 guards are among the known relays again"));
  EXPECT_THAT(look(5min), IsEmpty());
}

TEST_F(NoticesTest, ALookIsDueOnceAMinute) {
  EXPECT_TRUE(notices_.due(start_));
  EXPECT_FALSE(notices_.due(start_ + 59s));
  EXPECT_TRUE(notices_.due(start_ + 60s));
}

TEST(Texts, SpansAndAmountsHaveTwoUnitsAtMost) {
  EXPECT_EQ(span_text(0s), "0 s");
  EXPECT_EQ(span_text(59s), "59 s");
  EXPECT_EQ(span_text(3'599s), "59 min");
  EXPECT_EQ(span_text(76h + 59min), "3 d 4 h");
  EXPECT_EQ(bytes_text(1'023), "1023B");
  EXPECT_EQ(bytes_text(1'024), "1.0KiB");
  EXPECT_EQ(bytes_text(17u << 20), "17.0MiB");
  EXPECT_EQ(bytes_text(UINT64_MAX), "16384PiB");
}

}  // namespace
}  // namespace qudag::node
