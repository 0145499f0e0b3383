// Which shard a flow lives on: where its first message finds the least load, and there until it has
// been idle for longer than its circuits live. And which one a link goes to that a stranger begins.
//
// Flows are told apart by their hash, in kPlaces places. A place that is in use costs one relaxed
// load for each message; a place that is free is given to a shard under a lock. Two flows that meet
// in a place share a shard, nothing else. Load is what a shard's loop was busy lately, and what has
// been placed on it since that was known.
//
// Threads: any.
#pragma once

#include "base/time.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace qudag::node {

class Placement {
 public:
  static constexpr std::size_t kPlaces = 1'024;

  /// `busy(shard)`: how long that shard has been busy since its start; called under the lock, on
  /// any thread. `clock` likewise.
  /// `links(shard)`: how many it has; null: a link goes by the load alone.
  Placement(unsigned shards, std::function<Duration(unsigned)> busy,
            std::function<TimePoint()> clock, std::function<std::size_t(unsigned)> links = nullptr);

  /// For a link that is about to be made. Among shards with as much to do, the one with fewest
  /// links: what they will bring is not known yet.
  unsigned place_link();

  unsigned shard_of(std::size_t hash) noexcept {
    if (shards_ == 1) return 0;
    std::atomic<std::uint32_t>& place = places_[spread(hash) % kPlaces];
    const std::uint32_t word = place.load(std::memory_order_relaxed);
    const std::uint32_t round = round_.load(std::memory_order_relaxed) & kRoundMask;
    if (used_at(word) == round && word != kFree) return shard_in(word);
    return again(place, round);
  }

  /// Time passes: one round, kIdleRounds of which without a message free a place.
  void next_round() noexcept { round_.fetch_add(1, std::memory_order_relaxed); }
  static constexpr std::uint32_t kIdleRounds = 16;

 private:
  // A place: the round of its last message and its shard + 1; 0 is free.
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kRoundMask = 0xff'ffff;
  static constexpr std::uint32_t used_at(std::uint32_t word) { return word >> 8; }
  static constexpr unsigned shard_in(std::uint32_t word) { return (word & 0xff) - 1; }
  static constexpr std::uint32_t word_of(std::uint32_t round, unsigned shard) {
    return round << 8 | (shard + 1);
  }
  static constexpr std::size_t spread(std::size_t hash) { return hash ^ hash >> 17 ^ hash >> 34; }

  unsigned again(std::atomic<std::uint32_t>& place, std::uint32_t round);
  void look();
  unsigned least_loaded();

  const unsigned shards_;
  const std::function<Duration(unsigned)> busy_;
  const std::function<TimePoint()> clock_;
  const std::function<std::size_t(unsigned)> links_;
  std::array<std::atomic<std::uint32_t>, kPlaces> places_{};
  std::atomic<std::uint32_t> round_{0};

  std::mutex mutex_;  // what follows
  struct Load {
    Duration busy_before{};
    double share = 0;  // of the time until the last look
    unsigned placed = 0;
  };
  std::vector<Load> loads_;
  TimePoint looked_{};
};

}  // namespace qudag::node
