#include "base/log.h"
#include "base/lines/log_output.h"

#include <qudag/address.h>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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

/// Standard error is a pipe while this lives.
struct ErrorPipe {
  ErrorPipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    before = ::dup(STDERR_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    reader = ends[0];
    ::fcntl(reader, F_SETFL, O_NONBLOCK);
  }
  ~ErrorPipe() {
    ::dup2(before, STDERR_FILENO);
    ::close(before);
    close_reader();
  }
  std::string read() const {
    std::string out(1 << 20, '\0');
    const ssize_t n = ::read(reader, out.data(), out.size());
    out.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return out;
  }
  void close_reader() {
    if (reader >= 0) ::close(reader);
    reader = -1;
  }
  int before = -1;
  int reader = -1;
};

TEST(Log, APipeThatNobodyReadsStopsNobodyAndTheLossIsSaid) {
  ErrorPipe pipe;
  Log log(LogOptions{});
  for (int i = 0; i < 5'000; ++i) log.info("{}", std::string(100, 'x'));  // half a megabyte
  const std::string held = pipe.read();
  EXPECT_GT(held.size(), 30'000u);
  EXPECT_EQ(held.back(), '\n') << "no half of a line";
  log.info("read again");
  const std::string after = pipe.read();
  EXPECT_NE(after.find("lines of the log were lost"), std::string::npos) << after;
  EXPECT_NE(after.find("read again"), std::string::npos);
}

TEST(Log, APipeWhoseReaderHasGoneEndsNobody) {
  ErrorPipe pipe;
  Log log(LogOptions{});
  log.info("somebody reads");
  pipe.close_reader();
  for (int i = 0; i < 100; ++i) log.info("nobody reads");
}

/// What a program of the system makes of it: one object a line, whatever the text is.
TEST(Log, JsonIsOneObjectALineWhateverTheTextIs) {
  ErrorPipe pipe;
  const auto out = log_output(LogFormat::json);
  out(LogLevel::warn, "a \"quoted\" \\ and\nbroken\x01 \xff line");
  const std::string text = pipe.read();
  EXPECT_EQ(text.substr(text.find(",\"level\"")),
            ",\"level\":\"warn\",\"message\":\"a \\\"quoted\\\" \\\\ and\\u000abroken\\u0001 ? "
            "line\"}\n");
}

TEST(Log, TheJournalReadsTheLevel) {
  ErrorPipe pipe;
  const auto out = log_output(LogFormat::journal);
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
    out(level, "x");
  }
  EXPECT_EQ(pipe.read(), "<7>x\n<6>x\n<4>x\n<3>x\n");
}

TEST(Log, TheJournalIsKnownByItsFile) {
  struct stat file {};
  ASSERT_EQ(::fstat(STDERR_FILENO, &file), 0);
  const std::string device = std::to_string(file.st_dev) + ":";
  EXPECT_TRUE(is_journal(device + std::to_string(file.st_ino), STDERR_FILENO));
  EXPECT_FALSE(is_journal(device + std::to_string(file.st_ino + 1), STDERR_FILENO));
  EXPECT_FALSE(is_journal("", STDERR_FILENO));
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
