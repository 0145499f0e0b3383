#include "common/notify.h"

#include "base/posix.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace qudag::app {
namespace {

std::string taken(const char* name) {
  const char* value = std::getenv(name);
  std::string out = value == nullptr ? "" : value;
  ::unsetenv(name);
  return out;
}

std::optional<std::uint64_t> number(const std::string& text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

}  // namespace

Notify Notify::from_environment() {
  std::string socket = taken("NOTIFY_SOCKET");
  const auto us = number(taken("WATCHDOG_USEC"));
  const std::string pid = taken("WATCHDOG_PID");
  const bool ours = pid.empty() || number(pid) == static_cast<std::uint64_t>(::getpid());
  std::optional<std::chrono::milliseconds> watchdog;
  // Below 2 ms there is no half of it.
  if (us && ours && *us >= 2'000 && *us < std::uint64_t{1} << 40) {
    watchdog = std::chrono::milliseconds(*us / 1'000);
  }
  return Notify(std::move(socket), watchdog);
}

void Notify::stopping(std::chrono::milliseconds grace) const {
  const auto us = std::chrono::microseconds(grace + std::chrono::seconds(5)).count();
  say(fmt::format("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", us));
}

void Notify::status(std::string_view line) const { say(fmt::format("STATUS={}", line)); }

void Notify::reloading() const {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  say(fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                  std::chrono::duration_cast<std::chrono::microseconds>(now).count()));
}

std::optional<std::chrono::milliseconds> Notify::alive_every() const {
  if (socket_.empty() || !watchdog_) return std::nullopt;
  return *watchdog_ / 2;
}

void Notify::say(std::string_view text) const {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (socket_.size() < 2 || socket_.size() >= sizeof to.sun_path) return;
  if (socket_[0] != '/' && socket_[0] != '@') return;
  std::memcpy(to.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') to.sun_path[0] = '\0';  // an abstract name: its length ends it
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  // A manager that does not read is not waited for.
  static_cast<void>(::sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             static_cast<const sockaddr*>(static_cast<const void*>(&to)), length));
}

}  // namespace qudag::app
