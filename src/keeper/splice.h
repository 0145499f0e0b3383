// Two circuits of a keeper that pass payloads to each other: the caller's and the receiver's, on
// one shard or on two. What one half has for the other is an Op; between shards they lie here in
// their order, and one task in the other shard's mailbox takes them all (a crossing).
//
// Bounded by the windows of the two streams: a half gives back no window before the bytes have left
// on the other one.
#pragma once

#include "keeper/registry.h"
#include "memory/block.h"
#include "wire/keeper_frames.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace qudag::keeper {

/// Which half.
enum class Half : std::uint8_t { caller = 0, standby = 1 };
constexpr Half other(Half half) { return half == Half::caller ? Half::standby : Half::caller; }

struct Op {
  enum class Kind : std::uint8_t {
    offer,    // to the standby: the hail
    missed,   // to the caller: the standby is gone; another is looked for
    answer,   // to the caller: JOINED
    no,       // to the caller: NO, with that reason
    payload,  // passed on
    back,     // so many bytes have left: their window opens
    part,     // the conversation is over
  } kind;
  memory::Block block{};
  std::size_t bytes = 0;
  std::uint8_t reason = 0;
  std::vector<std::byte> data{};  // of offer and answer
};

struct Splice {
  wire::InboxId inbox{};
  std::uint32_t effort = 0;
  std::array<EndRef, 2> end{};  // by half; the standby's is set before its first op

  struct Way {
    std::vector<Op> ops;
    bool posted = false;  // a task that takes them is on its way
  };
  std::mutex mutex;
  std::array<Way, 2> towards{};  // by half

  EndRef& of(Half half) { return end[static_cast<std::size_t>(half)]; }
  Way& way(Half half) { return towards[static_cast<std::size_t>(half)]; }
};

}  // namespace qudag::keeper
