#include "base/log.h"

#include "base/lines/log_output.h"

namespace qudag {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames{"trace", "debug", "info",
                                                      "warn",  "error", "off"};

}  // namespace

struct Log::Impl {
  std::function<void(LogLevel, std::string_view)> sink;
};

Log::Log(LogOptions options)
    : level_(options.level), scrub_(options.scrub), impl_(std::make_unique<Impl>()) {
  impl_->sink = options.sink ? std::move(options.sink) : log_output(LogFormat::text);
}

Log::~Log() = default;

void Log::write(LogLevel level, std::string_view text) noexcept { impl_->sink(level, text); }

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
