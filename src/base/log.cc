// The only place that knows spdlog.
#include "base/log.h"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <mutex>

namespace qudag {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      break;
  }
  return spdlog::level::off;
}

constexpr std::array<std::string_view, 6> kLevelNames{"trace", "debug", "info",
                                                      "warn",  "error", "off"};

/// Standard error, which may be a pipe that nobody reads, or whose reader has gone: a line that
/// would block is lost and counted, and no line ends the program by SIGPIPE.
class StandardError final : public spdlog::sinks::base_sink<std::mutex> {
 private:
  // A pipe that is writable has room for PIPE_BUF bytes, more than a line.
  static bool writable() {
    pollfd out{STDERR_FILENO, POLLOUT, 0};
    return ::poll(&out, 1, 0) == 1 && out.revents == POLLOUT;
  }
  static void write_all(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
      if (n <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!writable()) {
      ++lost_;
      return;
    }
    if (lost_ > 0) {
      write_all(fmt::format("({} lines of the log were lost: nobody read them in time)\n", lost_));
      lost_ = 0;
      if (!writable()) return void(++lost_);
    }
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    write_all({text.data(), text.size()});
  }
  void flush_() override {}

  std::uint64_t lost_ = 0;
};

}  // namespace

struct Log::Impl {
  std::function<void(LogLevel, std::string_view)> sink;
  std::unique_ptr<spdlog::logger> logger;  // of our own, not in spdlog's registry
};

Log::Log(LogOptions options)
    : level_(options.level), scrub_(options.scrub), impl_(std::make_unique<Impl>()) {
  impl_->sink = std::move(options.sink);
  if (!impl_->sink) {
    impl_->logger = std::make_unique<spdlog::logger>("qudag", std::make_shared<StandardError>());
    impl_->logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    impl_->logger->set_level(spdlog::level::trace);  // level_ has decided already
    impl_->logger->flush_on(spdlog::level::warn);
  }
}

Log::~Log() {
  if (impl_->logger) impl_->logger->flush();
}

// spdlog reports its own errors on standard error and does not throw from log().
void Log::write(LogLevel level, std::string_view text) noexcept {
  if (impl_->sink) {
    impl_->sink(level, text);
  } else {
    impl_->logger->log(level_of(level), spdlog::string_view_t(text.data(), text.size()));
  }
}

std::string_view name_of(LogLevel level) noexcept {
  const auto index = static_cast<std::size_t>(level);
  return index < kLevelNames.size() ? kLevelNames[index] : "unknown";
}

bool parse_log_level(std::string_view text, LogLevel& out) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (text == kLevelNames[i]) {
      out = static_cast<LogLevel>(i);
      return true;
    }
  }
  return false;
}

}  // namespace qudag
