// Ctrl-C and SIGTERM as something to ask, so that what was started is always cleaned up.
//
// While an Interrupt lives these signals are blocked and collected in a descriptor. Make it before
// any thread starts, so that threads inherit the blocked mask. Children must call reset_signals().
#pragma once

#include <chrono>
#include <csignal>
#include <utility>

namespace qudag::app {

class Interrupt {
 public:
  /// `hangup_reloads`: SIGHUP is no end, but asks to read the configuration again.
  explicit Interrupt(bool hangup_reloads = false);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// Whether a signal has come; stays true.
  bool raised();
  /// Waits for a signal, at most so long; raised() then. A negative time waits without end.
  bool wait(std::chrono::milliseconds patience);
  /// Whether SIGHUP came since this was asked last; wait() returns for it, with false.
  bool take_reload() { return std::exchange(reload_, false); }

 private:
  sigset_t old_{};
  int fd_ = -1;
  bool raised_ = false;
  bool reload_ = false;
  const bool hangup_reloads_;
};

/// Between fork and exec: default handling, nothing blocked. Async-signal-safe.
void reset_signals() noexcept;

}  // namespace qudag::app
