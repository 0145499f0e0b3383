// Backpressure to the sending application, at the door of a shard.
//
// The gate counts, for each class, the messages that were let in and have not ended. A class is
// paused when it is at its limit, or when memory or the inbox refused one; it goes on when half of
// what was under way then has ended. In between, senders who wish to wait do, and the others may
// try: there may be room for a smaller message.
//
//   open -> (high watermark: the limit; or a refusal) -> paused -> (low: half of that) -> open
//
// Threads: any, but for leave(), which is the shard's. Nothing here makes the shard wait: it takes
// the lock only to open a gate that is paused.
#pragma once

#include <qudag/message.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace qudag::node {

class Gate {
 public:
  using Clock = std::chrono::steady_clock;
  using ByClass = std::array<std::uint64_t, kClassCount>;

  explicit Gate(const ByClass& messages_max);

  /// Counts a message in. False: the limit is reached, and the class is paused.
  [[nodiscard]] bool enter(Class cls);
  /// Something further on had no room for a message (which then leaves first). Not paused if
  /// nothing is under way: nothing would end the pause.
  void pause(Class cls);
  /// So many messages have ended. True: the class was paused and goes on.
  [[nodiscard]] bool leave(Class cls, std::uint64_t count);

  bool paused(Class cls) const { return lanes_[index(cls)].paused.load(); }
  enum class Waited : std::uint8_t { room, too_long, closed };
  /// Until the class is not paused. Not on the shard's thread.
  Waited wait(Class cls, Clock::time_point until);
  /// Wakes all who wait, for good.
  void close();

  std::uint64_t under_way(Class cls) const { return lanes_[index(cls)].under_way.load(); }
  /// How often each class was paused.
  ByClass pauses() const;

 private:
  struct Lane {
    std::uint64_t messages_max = 0;
    std::atomic<std::uint64_t> under_way{0};
    std::atomic<bool> paused{false};
    std::uint64_t resume_at = 0;           // under the lock
    std::atomic<std::uint64_t> pauses{0};  // written under the lock
  };

  static std::size_t index(Class cls) { return static_cast<std::size_t>(cls); }

  std::array<Lane, kClassCount> lanes_;
  std::mutex mutex_;
  std::condition_variable opened_;
  bool closed_ = false;
};

}  // namespace qudag::node
