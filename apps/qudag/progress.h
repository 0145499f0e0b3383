// How far a transfer is: a bar with rate and time left on a terminal, a line now and then
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>

namespace qudag::app {

class ProgressBar {
 public:
  /// Writes to standard error.
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  void update(std::uint64_t done, std::uint64_t all);

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_{};
};

}  // namespace qudag::app
