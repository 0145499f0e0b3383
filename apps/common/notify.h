// What a service manager is told, as sd_notify(3) has it: one datagram each to the Unix socket that
// NOTIFY_SOCKET names (a path, or `@` and an abstract name). Nothing where there is none.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace qudag::app {

class Notify {
 public:
  /// By the environment of the process, which children do not get then.
  static Notify from_environment();
  Notify(std::string socket, std::optional<std::chrono::milliseconds> watchdog)
      : socket_(std::move(socket)), watchdog_(watchdog) {}

  void ready() const { say("READY=1"); }
  /// Nobody starts it again, or kills it, for so long.
  void stopping(std::chrono::milliseconds grace) const;
  void alive() const { say("WATCHDOG=1"); }
  /// One line for people (`systemctl status`).
  void status(std::string_view line) const;
  void reloading() const;

  /// How often the manager wants to hear alive(): half of what it waits; nothing: not at all.
  std::optional<std::chrono::milliseconds> alive_every() const;

 private:
  void say(std::string_view text) const;

  std::string socket_;  // empty: there is no manager
  std::optional<std::chrono::milliseconds> watchdog_;
};

}  // namespace qudag::app
