// Where the lines of a log go when a program writes them itself: standard error, in one of three
// forms.
//
//   text      2026-11-30T09:57:49.553Z warn not joined ...
//   journal   <4>not joined ...              the journal has the time, and reads the level
//   json      {"time":"2026-11-30T09:57:49.553Z","level":"warn","message":"not joined ..."}
//
// A line that would block is lost and counted; no line ends the program by SIGPIPE.
#pragma once

#include <qudag/log.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace qudag {

enum class LogFormat : std::uint8_t {
  automatic,  ///< journal where standard error is the journal of the system, else text
  text,
  journal,
  json,
};
inline constexpr std::string_view kLogFormatNames[] = {"auto", "text", "journal", "json"};
std::string_view name_of(LogFormat format) noexcept;
std::optional<LogFormat> parse_log_format(std::string_view text);

/// A sink for LogOptions, for any thread.
std::function<void(LogLevel, std::string_view)> log_output(LogFormat format);

/// The last lines of a log, for who asks later. For any thread. Bounds: kLines of kLineBytes.
class LogMemory {
 public:
  static constexpr std::size_t kLines = 200, kLineBytes = 1'024;

  void add(LogLevel level, std::string_view text);
  /// Oldest first, each as a JSON object, with ',' between them.
  std::string json() const;

 private:
  mutable std::mutex mutex_;
  std::deque<std::string> lines_;
};

/// Whether `journal_stream` ("device:inode" of JOURNAL_STREAM, systemd.exec(5)) is that file.
bool is_journal(std::string_view journal_stream, int fd);

}  // namespace qudag
