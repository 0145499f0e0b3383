// Load that is offered whether or not the one before was served (an open loop), in three
// priorities, and the books about it: every message that was offered must be found again as
// delivered or as told otherwise, with a reason.
//
// Threads: offer() and settle() on one; outcomes come on the node's.
#pragma once

#include "base/histogram.h"

#include <qudag/node.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

namespace qudag::app::bench {

/// Of a hundred messages 5 are high, 25 normal and 70 low, evenly mixed.
Priority mixed_priority(std::uint64_t number);
/// 256, 1,024 and 4,096 bytes by priority: low has nine tenths of the bytes.
std::size_t mixed_bytes(Priority priority);

/// What became of the messages of one priority.
struct Tally {
  std::uint64_t offered = 0;
  std::uint64_t delivered = 0;
  std::uint64_t delivered_in_window = 0;      ///< while load was offered, the start apart
  std::uint64_t without_reason = 0;           ///< told that it failed, and not why
  std::map<std::string, std::uint64_t> told;  ///< not delivered, by outcome and reason
  Histogram latency_ns;

  std::uint64_t accounted() const;
};

struct Books {
  std::array<Tally, kPriorityCount> classes;
  double offered_seconds = 0;
  double window_seconds = 0;

  std::uint64_t offered() const;
  std::uint64_t delivered() const;
  double goodput() const;  ///< delivered bytes per second of the window
  double goodput(Priority priority) const;
};

class Offered {
 public:
  using Clock = std::chrono::steady_clock;

  /// Messages to `to` over so many relays; each has `ttl` from the moment it is offered.
  Offered(Node& source, const NodeId& to, unsigned relays, std::chrono::milliseconds ttl);

  /// As much as is served with `under_way` messages without an outcome: the capacity.
  void closed_loop(double seconds, std::size_t under_way);
  /// `per_second` messages, each at its time, none of them waited for.
  void open_loop(double seconds, double per_second);
  /// Until every message has its outcome; false: some had none in time.
  bool settle(std::chrono::seconds patience);
  Books books();

 private:
  struct Slot {
    Offered* owner;
    Priority priority;
  };
  void send_next();
  void told(Priority priority, const Delivery& delivery);
  void begin(double seconds);

  Node& source_;
  const NodeId to_;
  const unsigned relays_;
  const std::chrono::milliseconds ttl_;
  const std::array<Slot, kPriorityCount> slots_;  // what a completion needs, in one pointer
  std::array<std::vector<std::byte>, kPriorityCount> payloads_;
  std::uint64_t sent_ = 0;
  Clock::time_point begin_{}, end_{};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t under_way_ = 0;
  std::size_t wake_at_ = 0;
  Clock::time_point window_begin_{}, window_end_{};
  Books books_;
};

}  // namespace qudag::app::bench
