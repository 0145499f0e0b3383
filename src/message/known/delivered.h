// The node's window of messages that were delivered to it, shared by its shards: a message that was
// sent again may come in over a circuit of another shard. By key_of(): only its sender finds it.
//
// Signed ones have a second window, by signer and id: who has one could bring it under any scope.
// It fails closed: when one had to be forgotten before its time, whatever was signed before that
// one came is refused from then on, so filling the window (each costs a signature verified) repeats
// nothing.
//
// Threads: any; a short lock, twice per message. A message is claimed before the application sees
// it, so that two shards never deliver the same one, and given back if the application refuses.
// Between the claim and the application's word it is in hand (`Handing`, then hold()): there is no
// moment at which another shard could take it for delivered.
#pragma once

#include "base/rng.h"
#include "message/known/duplicates.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <unordered_set>
#include <vector>

namespace qudag::message {

class Delivered {
 public:
  Delivered(std::size_t ids_max, Rng& rng)
      : ids_(ids_max, {rng.u64() | 1, rng.u64() | 1}),
        signed_(std::max<std::size_t>(ids_max / 4, 1), {rng.u64() | 1, rng.u64() | 1}),
        lap_(signed_.ids_max() / kLaps + 1),
        held_(16, Hash{{rng.u64() | 1, rng.u64() | 1}}) {}

  enum class State : std::uint8_t { unknown, in_hand, delivered };

  /// What one shard hands to its application now. Of one thread; not longer than the window.
  class Handing {
   public:
    explicit Handing(Delivered& window) : window_(window) {
      const std::lock_guard lock(window_.mutex_);
      window_.handings_.push_back(this);
    }
    ~Handing() {
      const std::lock_guard lock(window_.mutex_);
      std::erase(window_.handings_, this);
    }
    Handing(const Handing&) = delete;
    Handing& operator=(const Handing&) = delete;

    /// The application has answered, and what it said is done: given back, or held. No lock.
    void over() { under_way_.store(false, std::memory_order_release); }

   private:
    friend class Delivered;
    Delivered& window_;
    wire::MessageId id_{};  // by the window's lock
    std::atomic<bool> under_way_{false};
  };

  /// An id that comes next; no lock.
  void fetch_ahead(const wire::MessageId& id) const { ids_.fetch_ahead(id); }

  State state(const wire::MessageId& id, TimePoint now) const {
    const std::lock_guard lock(mutex_);
    return state_of(id, now);
  }

  /// What it was: it is ours if it was unknown. Then it is in hand until `handing` is over, and
  /// counts as delivered until `expires`.
  [[nodiscard]] State claim(Handing& handing, const wire::MessageId& id, TimePoint expires,
                            TimePoint now) {
    const std::lock_guard lock(mutex_);
    const State before = state_of(id, now);
    if (before != State::unknown) return before;
    ids_.add(id, expires, now);
    handing.id_ = id;
    handing.under_way_.store(true, std::memory_order_relaxed);
    return before;
  }

  enum class Signed : std::uint8_t { first, again, too_old };
  /// The same for one that was signed then (seconds since 1970).
  [[nodiscard]] Signed claim_signed(const wire::MessageId& key, std::uint64_t signed_at,
                                    TimePoint expires, Now now) {
    const std::lock_guard lock(mutex_);
    if (signed_.contains(key, now.mono)) return Signed::again;
    if (signed_at < forgotten_) return Signed::too_old;
    const bool forgot = signed_.add(key, expires, now.mono);
    if (added_ % lap_ == 0) came_[added_ / lap_ % came_.size()] = now.unix_seconds;
    ++added_;
    if (forgot) {  // it came before the lap after its own began
      const std::uint64_t number = added_ - 1 - signed_.size();
      forgotten_ = came_[(number / lap_ + 1) % came_.size()];
    }
    return Signed::first;
  }
  void give_back_signed(const wire::MessageId& key, TimePoint now) {
    const std::lock_guard lock(mutex_);
    signed_.forget(key, now);
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return ids_.size();
  }
  std::size_t ids_max() const { return ids_.ids_max(); }
  std::size_t signed_size() const {
    const std::lock_guard lock(mutex_);
    return signed_.size();
  }
  std::size_t signed_max() const { return signed_.ids_max(); }

  void give_back(const wire::MessageId& id, TimePoint now) {
    const std::lock_guard lock(mutex_);
    ids_.forget(id, now);
  }

  // Messages that are claimed, and of which the application has not said yet whether it takes them
  // (owed.h). Each shard bounds its own.
  void hold(const wire::MessageId& id) {
    const std::lock_guard lock(mutex_);
    held_.insert(id);
    any_held_.store(true, std::memory_order_release);
  }
  void let_go(const wire::MessageId& id) {
    const std::lock_guard lock(mutex_);
    held_.erase(id);
    any_held_.store(!held_.empty(), std::memory_order_release);
  }
  /// Nearly always without a lock; what is being handed out at this moment is not in it.
  bool held(const wire::MessageId& id) const {
    if (!any_held_.load(std::memory_order_acquire)) return false;
    const std::lock_guard lock(mutex_);
    return held_.contains(id);
  }

 private:
  static constexpr std::size_t kLaps = 64;
  struct Hash {
    IdHash by;
    std::size_t operator()(const wire::MessageId& id) const { return by.hash(id); }
  };

  State state_of(const wire::MessageId& id, TimePoint now) const {
    if (held_.contains(id)) return State::in_hand;
    if (!ids_.contains(id, now)) return State::unknown;
    const bool handed = std::ranges::any_of(handings_, [&](const Handing* handing) {
      return handing->under_way_.load(std::memory_order_acquire) && handing->id_ == id;
    });
    return handed ? State::in_hand : State::delivered;
  }

  mutable std::mutex mutex_;
  std::vector<const Handing*> handings_;  // one for each shard
  std::atomic<bool> any_held_{false};
  Duplicates ids_;
  Duplicates signed_;
  const std::uint64_t lap_;  // so many of them
  std::uint64_t added_ = 0;
  std::array<std::uint64_t, kLaps + 4> came_{};  // when the first of each lap came
  std::uint64_t forgotten_ = 0;                  // what was signed before may be unknown here
  std::unordered_set<wire::MessageId, Hash> held_;
};

}  // namespace qudag::message
