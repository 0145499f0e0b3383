// How much of each flow may wait to be sent: as much as the flow drains within the delay target of
// its priority (overload/queue_bound.h).
//
// The door of a shard asks here before it lets a message in (node/sending.cc); the sender says what
// went on. A queue of its own for each flow, since each drains at its own rate: a destination that
// takes nothing keeps nobody else's messages out. Flows find their queue by a keyed hash. Two of a
// priority that find the same one, among 1,024, share its bound.
//
//   enter -> (intake, flow, circuit) -> sent | gone
//        \-> full: paused until an eighth of the bound is free; who waits is woken, turn() says so
//
// A message counts as its bytes and 64, and 64 KiB at most: larger ones take turns with what comes
// after them (message/packing.h), so nobody waits for all of them. It counts until so many bytes
// were sent. What was let in is never dropped for this.
//
// Threads: the first part any, the second the shard's. Memory is mapped, and resident where flows
// are.
#pragma once

#include "base/bounded.h"
#include "base/mapped_array.h"
#include "base/time.h"
#include "overload/queue_bound.h"

#include <qudag/message.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace qudag::message {

struct FlowQueuesOptions {
  /// Of normal priority; high has a quarter of it, low four times as much.
  Duration target = std::chrono::milliseconds(100);
  /// What messages of a priority may have in all: no flow may have more.
  std::array<std::uint64_t, kPriorityCount> ceiling{};
  std::uint64_t key = 0;  // of the hash: nobody outside chooses who shares a queue
};

class FlowQueues {
 public:
  using Clock = std::chrono::steady_clock;
  using Id = std::uint32_t;
  static constexpr Id kNone = UINT32_MAX;
  static constexpr std::size_t kPerPriority = 1'024;
  static constexpr std::size_t kCountedMax = 64 * 1'024;

  explicit FlowQueues(const FlowQueuesOptions& options);
  FlowQueues(const FlowQueues&) = delete;
  FlowQueues& operator=(const FlowQueues&) = delete;

  // ---- any thread
  Id of(std::size_t flow_hash, Priority priority) const;
  /// What a message of that size counts.
  static std::uint32_t counted(std::size_t bytes) {
    return static_cast<std::uint32_t>(std::min(bytes + 64, kCountedMax));
  }
  /// False: the flow is at its bound, and who waits is woken, and the node told, when it goes on.
  [[nodiscard]] bool enter(Id id, std::uint32_t bytes);
  /// The same for who would not hear of room: whatever stands.
  void enter_anyway(Id id, std::uint32_t bytes) { queues_[id].standing.fetch_add(bytes); }
  /// A message that entered and did not come to the sender. True: the flow was paused and goes on.
  [[nodiscard]] bool leave(Id id, std::uint32_t bytes);
  bool paused(Id id) const { return queues_[id].paused.load(); }
  /// Until the flow is not paused, or close(). False: too late. Not on the shard's thread.
  bool wait(Id id, Clock::time_point until);
  void close();
  std::uint64_t standing(Id id) const { return queues_[id].standing.load(); }
  std::uint64_t bound(Id id) const;

  // ---- the shard's thread
  /// A message that entered is with the sender.
  void arrived(Id id) { look_at(id); }
  /// Of what was counted: sent; gone without; to be sent again.
  void sent(Id id, std::uint32_t bytes);
  void gone(Id id, std::uint32_t bytes);
  void again(Id id, std::uint32_t bytes);
  /// Once in a turn. Which priorities have a flow that goes on.
  std::array<bool, kPriorityCount> turn(TimePoint now);
  /// When turn() is wanted though nothing happens; kNever: not.
  TimePoint next_look() const { return watched_.empty() ? kNever : look_at_; }

  struct Stats {
    std::uint64_t flows = 0;     // in which something waits
    std::uint64_t standing = 0;  // bytes of those
    std::uint64_t bound = 0;     // the least of theirs; the first one if nothing waits
    double rate = 0;             // bytes a second, of all whose rate is known and that wait
    std::uint64_t pauses = 0;
    std::uint64_t ceiling = 0;
  };
  Stats stats(Priority priority) const;

 private:
  // Zeros in the beginning, as it is mapped.
  struct Queue {
    std::atomic<std::uint64_t> standing;
    std::atomic<std::uint64_t> bound;  // 0: nothing is known
    std::atomic<bool> paused;
    std::atomic<bool> opened;  // it goes on, and nobody has entered since
    // The shard's.
    bool watched;
    std::uint64_t drained;  // in this turn
    std::uint64_t dropped;
    overload::QueueBound state;
  };

  static std::size_t priority_of(Id id) { return id / kPerPriority; }
  bool full(const Queue& queue, Id id) const;
  bool open(Queue& queue);
  [[nodiscard]] bool pause(Id id);
  void look_at(Id id);
  bool step(Id id, TimePoint now);

  const std::array<overload::QueueBoundOptions, kPriorityCount> options_;
  const std::uint64_t key_;
  MappedArray<Queue> queues_;
  std::vector<Id> watched_;  // in which something waits, or did in the last turn
  TimePoint look_at_ = kNever;
  std::array<std::atomic<std::uint64_t>, kPriorityCount> pauses_{};
  std::mutex mutex_;
  std::condition_variable opened_;
  bool closed_ = false;
};

}  // namespace qudag::message
