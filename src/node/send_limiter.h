// Backpressure to the sending application, at the door of a shard.
//
// The limiter counts, for each priority, the messages that were let in and have not ended, and the
// bytes that they fill. A priority is paused when it is at a limit, or when memory or the intake
// refused one; it goes on when half of what was under way then has ended. In between, senders who
// wish to wait do, and the others may try: there may be room for a smaller message.
//
//   open -> (high watermark: a limit; or a refusal) -> paused -> (low: half of that) -> open
//
// The bytes of a priority have a window (send_windows) that is far below the memory bound: what an
// application offers above the network's rate is refused here, at once, and never becomes pressure
// on memory. Every priority has its own, so low cannot fill what normal needs, nor the other way
// round. The limiters of a node share the windows, in bytes and in messages: each has an equal
// share for itself, and what others do not use. So one busy shard may have all; when another one
// then takes its share, both together have more than the window until messages of the first have
// ended.
//
// Threads: any, but for leave(), which is the shard's. Nothing here makes the shard wait: it takes
// the lock only to open a limiter that is paused.
#pragma once

#include <qudag/message.h>
#include <qudag/options.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace qudag::node {

/// Bytes of messages of each priority that senders of a node may have under way, as memory::Bound
/// counts them. `process`: what is resident before any work.
std::array<std::uint64_t, kPriorityCount> send_windows(const Limits& limits, std::uint64_t process);

class SendLimiter {
 public:
  using Clock = std::chrono::steady_clock;
  using ByPriority = std::array<std::uint64_t, kPriorityCount>;

  /// What the limiters of a node share. Filled before the first message, and constant from then on.
  struct Windows {
    ByPriority bytes_max{};
    std::vector<const SendLimiter*> limiters;
  };

  /// `messages_max`: of all limiters together. `windows` outlives the limiter; null: it is the only
  /// one, and only messages are counted.
  explicit SendLimiter(const ByPriority& messages_max, const Windows* windows = nullptr);

  /// Counts a message in. False: a limit is reached, and the priority is paused. A message that is
  /// larger than the window enters alone.
  [[nodiscard]] bool enter(Priority priority, std::uint64_t bytes = 0);
  /// Something further on had no room for a message (which then leaves first). Not paused if
  /// nothing is under way: nothing would end the pause.
  void pause(Priority priority);
  /// So many messages have ended. True: the priority was paused and goes on.
  [[nodiscard]] bool leave(Priority priority, std::uint64_t count, std::uint64_t bytes = 0);

  bool paused(Priority priority) const { return lanes_[index(priority)].paused.load(); }
  enum class Waited : std::uint8_t { room, too_long, closed };
  /// Until the priority is not paused. Not on the shard's thread.
  Waited wait(Priority priority, Clock::time_point until);
  /// Wakes all who wait, for good.
  void close();

  std::uint64_t under_way(Priority priority) const {
    return count_of(lanes_[index(priority)].under_way);
  }
  std::uint64_t bytes_under_way(Priority priority) const {
    return bytes_of(lanes_[index(priority)].under_way);
  }
  /// How often each priority was paused.
  ByPriority pauses() const;

 private:
  // Messages and their bytes are one number, so that both change together: the bytes are below.
  static constexpr unsigned kCountShift = 40;
  static constexpr std::uint64_t kBytesMask = (std::uint64_t{1} << kCountShift) - 1;
  static std::uint64_t count_of(std::uint64_t under_way) { return under_way >> kCountShift; }
  static std::uint64_t bytes_of(std::uint64_t under_way) { return under_way & kBytesMask; }
  static std::uint64_t both(std::uint64_t count, std::uint64_t bytes) {
    return count << kCountShift | bytes;
  }

  struct Lane {
    std::uint64_t messages_max = 0;
    std::atomic<std::uint64_t> under_way{0};
    std::atomic<bool> paused{false};
    std::uint64_t resume_at = 0;           // under the lock
    std::atomic<std::uint64_t> pauses{0};  // written under the lock
  };

  static std::size_t index(Priority priority) { return static_cast<std::size_t>(priority); }
  bool has_room(Priority priority, std::uint64_t under_way, std::uint64_t bytes) const;

  std::array<Lane, kPriorityCount> lanes_;
  const Windows* const windows_;
  std::mutex mutex_;
  std::condition_variable opened_;
  bool closed_ = false;
};

}  // namespace qudag::node
