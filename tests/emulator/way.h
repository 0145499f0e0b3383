// One direction of one link, as a queue, a wire and chance. Pure: time and size in, a fate out.
//
// What happens to a packet, in order:
//   1. partition   a wire that is cut takes nothing
//   2. queue       a packet that finds the queue full is dropped (tail drop)
//   3. rate        it waits for those before it, then takes its own time on the wire
//   4. loss        on the wire, after it has used its share of the rate; alone or in bursts
//   5. delay       plus jitter, which keeps the order, or plus reorder_by, which does not
//   6. dup         a second copy arrives with the first
// Chance is a function of (seed, number of the packet on this way): the same packets are lost
// whenever they come, and a changed setting does not change the dice of another.
#pragma once

#include "base/histogram.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

namespace qudag::emulator {

using Nanos = std::chrono::nanoseconds;

struct WaySettings {
  Nanos delay{};
  Nanos jitter{};    // 0 to this much is added, evenly distributed
  double loss = 0;   // share of packets
  double burst = 1;  // mean length of a loss, in packets (Gilbert); 1: each for itself
  double dup = 0;
  double reorder = 0;  // share of packets that come reorder_by later and are overtaken
  Nanos reorder_by = std::chrono::milliseconds(5);
  double rate = 0;  // bits per second, IP headers included; 0: no bound, and no queue
  std::size_t queue_bytes = 256 * 1024;
  std::size_t queue_packets = std::numeric_limits<std::size_t>::max();
};

enum class Drop : std::uint8_t { none, queue, loss, partition };

struct WayCounters {
  std::uint64_t packets = 0, bytes = 0;  // offered
  std::uint64_t delivered = 0, delivered_bytes = 0;
  std::uint64_t dropped_queue = 0, dropped_loss = 0, dropped_partition = 0;
  std::uint64_t duplicated = 0, reordered = 0;
  Histogram waited_ns;  // in the queue, before the packet's first bit was on the wire
};

struct Fate {
  Drop drop = Drop::none;
  Nanos due{};
  bool twice = false;
  Nanos waited{};
};

class Way {
 public:
  explicit Way(std::uint64_t seed) : seed_(seed) {}

  void set(const WaySettings& settings) { settings_ = settings; }
  const WaySettings& settings() const { return settings_; }
  void cut(bool is_cut) { cut_ = is_cut; }

  Fate offer(Nanos now, std::size_t bytes);
  const WayCounters& counters() const { return counters_; }

 private:
  struct Waiting {
    Nanos gone;  // when its last bit is on the wire
    std::size_t bytes;
  };

  bool lost(std::uint64_t packet);
  double unit(std::uint64_t packet, std::uint64_t die) const;

  std::uint64_t seed_;
  WaySettings settings_;
  bool cut_ = false;
  bool in_burst_ = false;
  Nanos free_at_{};  // when the wire has sent all that was accepted
  Nanos last_due_{};
  std::deque<Waiting> queue_;
  std::size_t queued_bytes_ = 0;
  WayCounters counters_;
};

}  // namespace qudag::emulator
