// Ctrl-C and SIGTERM as something to ask, so that what was started is always cleaned up.
//
// While an Interrupt lives these signals are blocked and collected in a descriptor. Make it before
// any thread starts, so that threads inherit the blocked mask. Children must call reset_signals().
#pragma once

#include <chrono>
#include <csignal>

namespace qudag::app {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Whether a signal has come; stays true.
  bool raised();
  /// Waits for a signal, at most so long; raised() then. A negative time waits without end.
  bool wait(std::chrono::milliseconds patience);

 private:
  sigset_t old_{};
  int fd_ = -1;
  bool raised_ = false;
};

/// Between fork and exec: default handling, nothing blocked. Async-signal-safe.
void reset_signals() noexcept;

}  // namespace qudag::app
