// How much each inbox of a keeper holds, and what is under way to its disk: every bound of letters
// is asked here before a byte is kept. One for all shards of a node.
//
//   reserve() -> LetterStore::put() -> ended()        a letter comes
//   on_gone()                                         it was taken, has expired, or was dropped
//
// Threads: any, a short lock. What the store's thread has for a shard waits until the
// shard takes it: one post wakes it for as many as come meanwhile.
#pragma once

#include "base/bounded.h"
#include "keeper/bounds.h"
#include "keeper/letters/letter_store.h"
#include "memory/budget.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace qudag::keeper {

class Service;

struct LetterBounds {
  std::size_t letters = 128;                          // of one inbox; then NO: no room
  std::uint64_t bytes = std::uint64_t{8} << 20;       // the same
  std::uint64_t node_bytes = std::uint64_t{1} << 30;  // of all; 0: no letters are kept
  /// That may be registered. Half of node_bytes is for whoever comes, the other one in equal
  /// shares: a stranger with many inboxes of his own fills the first.
  std::size_t inboxes = KeeperBounds{}.inboxes;
  std::size_t arriving = 64;                          // deposits whose pieces come
  std::size_t sending = 64;                           // letters on their way to receivers
  std::uint64_t under_way = std::uint64_t{16} << 20;  // bytes that come, or go to the disk
};
/// What a row takes beside the letter (store::kRecordCost).
inline constexpr std::uint64_t kLetterCost = 256;
inline constexpr std::chrono::hours kLetterLife{7 * 24};
inline constexpr std::chrono::hours kRegisteredLife{14 * 24};
/// A letter may be sent again for so long.
inline constexpr std::chrono::minutes kLetterResent{20};

struct LetterRoomStats {
  std::uint64_t letters = 0, bytes = 0, under_way = 0, arriving = 0, sending = 0;  // now
};

class LetterRoom {
 public:
  /// `memory`: what letters under way are reserved from; null: no bound.
  LetterRoom(const LetterBounds& bounds, unsigned shards, memory::Budget* memory)
      : bounds_(bounds), memory_(memory), mail_(shards) {}

  /// Before the first use by a shard. `store` outlives what is said here.
  void attach(LetterStore& store, std::function<bool(unsigned shard)> wake) {
    store_ = &store;
    wake_ = std::move(wake);
  }
  bool keeps() const { return store_ != nullptr && bounds_.node_bytes > 0; }
  LetterStore& store() { return *store_; }
  const LetterBounds& bounds() const { return bounds_; }

  // ---- inboxes
  /// True if its row is old, or another one: it is to be written.
  bool registered(const LetterBox& box, const wire::InboxEntry& limits, UnixSeconds now);
  /// From the run before.
  void restore(const LetterBox& box, const wire::InboxEntry& limits, UnixSeconds until);
  void restore(const LetterBox& box, std::size_t letters, std::uint64_t bytes);
  /// The inbox is not at this keeper any more.
  void forget(const LetterBox& box);
  std::size_t waiting(const LetterBox& box) const;

  // ---- letters
  enum class Place : std::uint8_t { inbox, node, memory, ok };
  /// For a letter that comes: of the inbox, of the node, and memory until ended().
  Place reserve(const LetterBox& box, std::size_t bytes);
  void ended(const LetterBox& box, std::size_t bytes, LetterEnd end);
  /// It did not come whole.
  void release(const LetterBox& box, std::size_t bytes) { ended(box, bytes, LetterEnd::failed); }
  /// One of `arriving`, or of `sending`; give() it back.
  [[nodiscard]] bool begin_arriving();
  void end_arriving();
  [[nodiscard]] bool begin_sending(std::size_t bytes);
  void end_sending(std::size_t bytes);
  /// One that was on the disk is not any more. The store's thread.
  void on_gone(const LetterBox& box, std::size_t bytes);

  // ---- mail of shards
  using Task = std::function<void(Service&, Now)>;
  void post(unsigned shard, Task task);
  unsigned shards() const { return static_cast<unsigned>(mail_.size()); }
  bool has_mail(unsigned shard) const { return mail_[shard].any.load(std::memory_order_acquire); }
  std::vector<Task> take_mail(unsigned shard);

  LetterRoomStats stats() const;
  void report(BoundedList& out) const;

 private:
  struct Inbox {
    std::size_t letters = 0;  // on the disk, and on their way there
    std::uint64_t bytes = 0;
    std::size_t letters_max = 0;  // 0: it is not registered, and its letters are what is left
    std::uint64_t bytes_max = 0;
    UnixSeconds row_until = 0;
    wire::InboxEntry limits{};
    bool registered = false;
  };
  struct Mail {
    std::mutex mutex;
    std::vector<Task> tasks;
    std::atomic<bool> any{false};
  };
  void set(Inbox& inbox, const wire::InboxEntry& limits) const;
  void give(const LetterBox& box, std::size_t bytes);

  const LetterBounds bounds_;
  memory::Budget* const memory_;
  LetterStore* store_ = nullptr;
  std::function<bool(unsigned)> wake_;
  mutable std::mutex mutex_;  // guards all below but the mail of shards
  std::map<LetterBox, Inbox> inboxes_;
  LetterRoomStats stats_;
  std::vector<Mail> mail_;
};

}  // namespace qudag::keeper
