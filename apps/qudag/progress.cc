#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace qudag::app {

using namespace std::chrono_literals;

ProgressBar::ProgressBar() : terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (terminal_ && drawn_) fmt::print(stderr, "\r\033[K");
}

void ProgressBar::update(std::uint64_t done, std::uint64_t all) {
  const auto now = Clock::now();
  if (all == 0 || now - last_ < (terminal_ ? 100ms : 2000ms)) return;
  if (!terminal_ && now - begin_ < 2s) return;  // short transfers need no lines
  last_ = now;
  drawn_ = true;
  const double seconds = std::max(1e-6, std::chrono::duration<double>(now - begin_).count());
  const double rate = static_cast<double>(done) / seconds;
  const double part = static_cast<double>(done) / static_cast<double>(all);
  const double left = rate > 0 ? static_cast<double>(all - done) / rate : 0;
  if (!terminal_) {
    fmt::print(stderr, "{:.0f} %  {:.1f} MB/s  {:.0f} s left\n", part * 100, rate / 1e6, left);
    return;
  }
  constexpr std::size_t kWidth = 30;
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(kWidth));
  fmt::print(stderr, "\r\033[K[{:#<{}}{:.<{}}] {:3.0f} %  {:.1f} MB/s  {:.0f} s left", "", filled,
             "", kWidth - filled, part * 100, rate / 1e6, left);
}

}  // namespace qudag::app
