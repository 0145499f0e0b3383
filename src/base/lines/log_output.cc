#include "base/lines/log_output.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

namespace qudag {
namespace {

// A pipe that is writable has room for PIPE_BUF bytes, more than a line.
bool writable() {
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  return ::poll(&out, 1, 0) == 1 && out.revents == POLLOUT;
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string time_text() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     now.tv_nsec / 1'000'000);
}

/// Levels of syslog(3), which the journal has as well.
int journal_level(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return 3;
    case LogLevel::warn:
      return 4;
    case LogLevel::info:
      return 6;
    default:
      return 7;
  }
}

/// What is not UTF-8 becomes '?', so that readers take the line.
std::string json_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\') {
      out += {'\\', text[i]};
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else if (byte >= 0x80) {
      out += '?';
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string line_of(LogFormat format, LogLevel level, std::string_view text) {
  if (format == LogFormat::journal) return fmt::format("<{}>{}\n", journal_level(level), text);
  if (format == LogFormat::text) {
    return fmt::format("{} {} {}\n", time_text(), name_of(level), text);
  }
  return fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"message\":\"{}\"}}\n", time_text(),
                     name_of(level), json_text(text));
}

class StandardError {
 public:
  explicit StandardError(LogFormat format) : format_(format) {}

  void write(LogLevel level, std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (!writable()) return void(++lost_);
    if (lost_ > 0) {
      write_all(
          line_of(format_, LogLevel::warn,
                  fmt::format("({} lines of the log were lost: nobody read them in time)", lost_)));
      lost_ = 0;
      if (!writable()) return void(++lost_);
    }
    write_all(line_of(format_, level, text));
  }

 private:
  const LogFormat format_;
  std::mutex mutex_;
  std::uint64_t lost_ = 0;
};

}  // namespace

std::string_view name_of(LogFormat format) noexcept {
  return kLogFormatNames[static_cast<std::size_t>(format)];
}

std::optional<LogFormat> parse_log_format(std::string_view text) {
  for (std::size_t i = 0; i < std::size(kLogFormatNames); ++i) {
    if (text == kLogFormatNames[i]) return static_cast<LogFormat>(i);
  }
  return std::nullopt;
}

void LogMemory::add(LogLevel level, std::string_view text) {
  std::string line = line_of(LogFormat::json, level, text.substr(0, kLineBytes));
  line.pop_back();  // its end of line
  const std::lock_guard lock(mutex_);
  if (lines_.size() >= kLines) lines_.pop_front();
  lines_.push_back(std::move(line));
}

std::string LogMemory::json() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const std::string& line : lines_) {
    if (!out.empty()) out += ',';
    out += line;
  }
  return out;
}

std::function<void(LogLevel, std::string_view)> log_output(LogFormat format) {
  if (format == LogFormat::automatic) {
    const char* journal = std::getenv("JOURNAL_STREAM");
    const bool is = journal != nullptr && is_journal(journal, STDERR_FILENO);
    format = is ? LogFormat::journal : LogFormat::text;
  }
  return [out = std::make_shared<StandardError>(format)](LogLevel level, std::string_view text) {
    out->write(level, text);
  };
}

bool is_journal(std::string_view journal_stream, int fd) {
  struct stat file {};
  if (::fstat(fd, &file) != 0) return false;
  return journal_stream == fmt::format("{}:{}", file.st_dev, file.st_ino);
}

}  // namespace qudag
