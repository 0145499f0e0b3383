#include "base/log.h"

#include <qudag/address.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qudag {
namespace {

struct Lines {
  std::vector<std::string> text;
  LogOptions options(LogLevel level, bool scrub) {
    return {level, scrub, [this](LogLevel, std::string_view line) { text.emplace_back(line); }};
  }
};

static_assert(!fmt::is_formattable<NodeId>::value, "an id needs sensitive()");
static_assert(!fmt::is_formattable<SocketAddress>::value, "an address needs sensitive()");

TEST(Log, LevelDecidesWhatIsWritten) {
  Lines lines;
  Log log(lines.options(LogLevel::warn, true));
  log.info("not this");
  log.warn("this {}", 1);
  log.error("and this");
  log.set_level(LogLevel::off);
  log.error("not this");
  EXPECT_EQ(lines.text, (std::vector<std::string>{"this 1", "and this"}));
}

TEST(Log, SensitiveValuesAreScrubbed) {
  Lines lines;
  Log log(lines.options(LogLevel::info, true));
  const auto address = SocketAddress::v4(192, 0, 2, 1, 4433);
  log.info("from {} size {} name {}", sensitive(address), 12, sensitive("secret"));
  EXPECT_EQ(lines.text.at(0), "from [scrubbed] size 12 name [scrubbed]");
}

TEST(Log, SensitiveValuesShowWhenTheOperatorAsksForIt) {
  Lines lines;
  Log log(lines.options(LogLevel::info, false));
  log.info("from {} name {}", sensitive(SocketAddress::v4(192, 0, 2, 1, 4433)),
           sensitive(std::string("alice")));
  EXPECT_EQ(lines.text.at(0), "from 192.0.2.1:4433 name alice");
}

TEST(Log, LongLinesAreCut) {
  Lines lines;
  Log log(lines.options(LogLevel::info, true));
  log.info("{}", std::string(5000, 'x'));
  EXPECT_EQ(lines.text.at(0), std::string(Log::kLineBytesMax, 'x'));
}

TEST(Log, LevelsParse) {
  LogLevel level = LogLevel::off;
  EXPECT_TRUE(parse_log_level("debug", level));
  EXPECT_EQ(level, LogLevel::debug);
  EXPECT_FALSE(parse_log_level("DEBUG", level));
  EXPECT_FALSE(parse_log_level("", level));
}

}  // namespace
}  // namespace qudag
