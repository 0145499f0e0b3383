// What a node makes of its two clocks, and of its peers'.
//
// ClockWatch: the monotonic clock goes on while the machine sleeps and is set by nobody; when the
// wall clock moves against it, somebody set the wall clock. What peers judge by wall time
// (descriptors, onion keys) is made anew then.
// PeerClocks: acceptors say what time it is. The median over several networks tells by how much our
// wall clock is off; the node says so, and changes nothing.
//
// Threads: one owner each. Limits: kNetworksMax networks, of which each has one voice.
#pragma once

#include "base/bounded.h"
#include "base/time.h"

#include <qudag/address.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace qudag::shard {

class ClockWatch {
 public:
  /// Clocks that are disciplined drift and slew by less.
  static constexpr std::int64_t kMovedSeconds = 60;

  /// True once for each time that the wall clock was set, by a minute or more.
  bool moved(Now now);

 private:
  std::optional<std::int64_t> apart_;  // wall less monotonic, in seconds
};

class PeerClocks {
 public:
  static constexpr std::size_t kNetworksMax = 64;
  static constexpr std::size_t kNetworksLeast = 3;  // below that nothing is said
  static constexpr std::int64_t kOffSeconds = 60;
  static constexpr Duration kKept = std::chrono::hours(24);

  /// A peer that we dialed there says what time it is.
  void heard(const SocketAddress& from, UnixSeconds theirs, Now now);

  struct Off {
    std::int64_t seconds = 0;  // ours less theirs
    std::size_t networks = 0;
  };
  /// The median; nothing while too few have spoken.
  std::optional<Off> off(Now now) const;
  /// What is to be said: once when it becomes more than kOffSeconds, or very different from what
  /// was said, and once (seconds within kOffSeconds) when it is right again.
  std::optional<Off> to_tell(Now now);
  void report(BoundedList& out) const;

 private:
  /// Whose voice it is: the network's; of a loopback address the address and port.
  static std::uint64_t voice_of(const SocketAddress& address);
  struct Voice {
    std::int64_t apart = 0;  // their wall clock less our monotonic one
    TimePoint at{};
  };

  std::map<std::uint64_t, Voice> voices_;
  std::int64_t told_ = 0;
};

}  // namespace qudag::shard
