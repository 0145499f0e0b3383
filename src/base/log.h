// Logging: levels, one object that main builds and passes, and what is sensitive stays out.
//
// The rule: an address, an id, a payload or anything derived from one goes into a log line only
// wrapped in sensitive(x). It prints as "[scrubbed]" unless the operator turned scrubbing off.
//
//   log.info("link ready with {} after {} ms", sensitive(peer), elapsed_ms);
//
// NodeId, SocketAddress and byte spans have no formatter, so forgetting sensitive() does not
// compile. Threads: a Log may be used from any thread; lines do not mix. Limits: a line is cut at
// kLineBytesMax. Lines below the level cost one comparison and format nothing.
#pragma once

#include <qudag/log.h>

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace qudag {

struct LogOptions {
  LogLevel level = LogLevel::info;
  bool scrub = true;
  /// Where lines go; standard error when empty. Called with one line, without its end.
  std::function<void(LogLevel, std::string_view)> sink;
};

/// A value that must not be in a log by default. Lives only inside the logging call.
template <class T>
struct Sensitive {
  const T& value;
};
template <class T>
Sensitive<T> sensitive(const T& value) {
  return {value};
}

namespace detail {

template <class T>
struct Shown {  // a Sensitive that knows whether it may be seen
  const T& value;
  bool scrub;
};

template <class T>
const T& shown(const T& value, bool) {
  return value;
}
template <class T>
Shown<T> shown(const Sensitive<T>& value, bool scrub) {
  return {value.value, scrub};
}
template <class T>
using ShownType = decltype(shown(std::declval<const std::remove_cvref_t<T>&>(), true));

}  // namespace detail

class Log {
 public:
  static constexpr std::size_t kLineBytesMax = 1024;

  explicit Log(LogOptions options = {});
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  bool enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

  template <class... Args>
  using Format = fmt::format_string<std::remove_cvref_t<detail::ShownType<Args>>...>;

  template <class... Args>
  void trace(Format<Args...> format, const Args&... args) {
    line<Args...>(LogLevel::trace, format, args...);
  }
  template <class... Args>
  void debug(Format<Args...> format, const Args&... args) {
    line<Args...>(LogLevel::debug, format, args...);
  }
  template <class... Args>
  void info(Format<Args...> format, const Args&... args) {
    line<Args...>(LogLevel::info, format, args...);
  }
  template <class... Args>
  void warn(Format<Args...> format, const Args&... args) {
    line<Args...>(LogLevel::warn, format, args...);
  }
  template <class... Args>
  void error(Format<Args...> format, const Args&... args) {
    line<Args...>(LogLevel::error, format, args...);
  }

 private:
  template <class... Args>
  void line(LogLevel level, Format<Args...> format, const Args&... args) {
    if (!enabled(level)) return;
    std::array<char, kLineBytesMax> text;
    const auto end = fmt::vformat_to_n(text.data(), text.size(), fmt::string_view(format),
                                       fmt::make_format_args(detail::shown(args, scrub_)...));
    write(level, {text.data(), std::min(end.size, text.size())});
  }
  void write(LogLevel level, std::string_view text) noexcept;

  struct Impl;
  std::atomic<LogLevel> level_;
  bool scrub_;
  std::unique_ptr<Impl> impl_;
};

/// "trace", "debug", "info", "warn", "error", "off"; false for any other text.
bool parse_log_level(std::string_view text, LogLevel& out);

}  // namespace qudag

template <class T>
struct fmt::formatter<qudag::detail::Shown<T>> {
  constexpr auto parse(fmt::format_parse_context& ctx) { return ctx.begin(); }
  template <class Context>
  auto format(const qudag::detail::Shown<T>& shown, Context& ctx) const {
    if (shown.scrub) return fmt::format_to(ctx.out(), "[scrubbed]");
    if constexpr (requires { shown.value.to_string(); }) {
      return fmt::format_to(ctx.out(), "{}", shown.value.to_string());
    } else {
      return fmt::format_to(ctx.out(), "{}", shown.value);
    }
  }
};
