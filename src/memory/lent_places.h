// Places of one kind that the shards of a node share: links, circuits. Whoever needs some takes
// them, so that one busy shard may have nearly all; a shard always finds a few.
//
//   total:  | kept of 0 | kept of 1 | ... |  whoever comes first                       |
//
// An eighth of each shard's equal share is kept for it, as long as it does not use it. A shard that
// has less than its share and little room says so (`set_short`): then who has more than its share
// takes nothing more, and gives back (`owed`) what can end.
//
// Each shard writes what it has, and reads what the others have: nobody waits, and nothing here is
// done for a cell or a message. Two shards that take the last place in the same moment both have
// it, so the total may be exceeded by one place for each other shard.
//
// Threads: each shard its own row; most() and owed() read all.
#pragma once

#include "base/assert.h"
#include "base/limits.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>

namespace qudag::memory {

class LentPlaces {
 public:
  LentPlaces(std::size_t total, unsigned shards)
      : total_(total),
        shards_(shards),
        share_(std::max<std::size_t>(1, total / shards)),
        kept_(shards == 1 ? 0 : share_ / kKeptOneIn) {
    QUDAG_ASSERT(shards >= 1 && shards <= limits::kShardsMax);
  }
  LentPlaces(const LentPlaces&) = delete;
  LentPlaces& operator=(const LentPlaces&) = delete;

  std::size_t total() const { return total_; }
  std::size_t share() const { return share_; }

  void set_used(unsigned shard, std::size_t used) {
    rows_[shard].used.store(used, std::memory_order_relaxed);
  }
  std::size_t used(unsigned shard) const {
    return rows_[shard].used.load(std::memory_order_relaxed);
  }
  /// What it may have now: what it has, and what it may take.
  std::size_t most(unsigned shard) const {
    const std::size_t has = used(shard);
    if (has >= share_ && others_short(shard)) return has;
    std::size_t others = 0;
    for (unsigned i = 0; i < shards_; ++i) {
      if (i != shard) others += std::max(used(i), kept_);
    }
    return total_ - std::min(others, total_);
  }
  /// It looks at whether it has room for what it may need soon, and says so.
  void look(unsigned shard) {
    const std::size_t has = used(shard), most_now = most(shard);
    const bool is_short = has < share_ && most_now < has + std::max<std::size_t>(1, kept_ / 2);
    rows_[shard].is_short.store(is_short && shards_ > 1, std::memory_order_relaxed);
  }
  /// What it has beyond its share while another one is short.
  std::size_t owed(unsigned shard) const {
    const std::size_t has = used(shard);
    return has > share_ && others_short(shard) ? has - share_ : 0;
  }

 private:
  static constexpr std::size_t kKeptOneIn = 8;  // of a share
  struct alignas(64) Row {
    std::atomic<std::size_t> used{0};
    std::atomic<bool> is_short{false};
  };

  bool others_short(unsigned shard) const {
    for (unsigned i = 0; i < shards_; ++i) {
      if (i != shard && rows_[i].is_short.load(std::memory_order_relaxed)) return true;
    }
    return false;
  }

  const std::size_t total_;
  const unsigned shards_;
  const std::size_t share_, kept_;
  std::array<Row, limits::kShardsMax> rows_{};
};

}  // namespace qudag::memory
