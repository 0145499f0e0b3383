// The record of a message that is arriving.
//
// It stays until its last byte, its CANCEL, its answer or the end of its circuit. What still comes
// of one that was answered before (refused, expired) is counted in rests.h. A signed one stays,
// when its last byte has come, until its signature is verified; its ref is over by then.
#pragma once

#include "base/slot_map.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "message/deadlines.h"
#include "sync/intrusive.h"
#include "wire/message_frames.h"

#include <cstdint>
#include <cstring>

namespace qudag::message {

using sync::Index, sync::Links, sync::List;

struct CircuitEnd;

/// What a destination remembers a message by: who does not know the scope cannot name it.
inline wire::MessageId key_of(const wire::Scope& scope, const wire::MessageId& id) {
  wire::MessageId key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = scope[i] ^ id[i];
  return key;
}

/// Spreads message keys, which a hostile peer chooses, over buckets that it cannot predict.
struct IdHash {
  std::uint64_t key0 = 0, key1 = 0;

  std::uint64_t hash(const wire::MessageId& id) const {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::memcpy(&low, id.data(), 8);
    std::memcpy(&high, id.data() + 8, 8);
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(low ^ key0) * (high ^ key1);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
};

enum class Stage : std::uint8_t {
  arriving,       // in circuit_end->arriving and arriving_by_ref
  to_verify,      // whole, and signed: in circuit_end->to_verify
  being_verified  // with a worker, which has its bytes: in circuit_end->being_verified
};

struct Assembly : Timed {
  Assembly() : Timed(TimedKind::assembly) {}

  SlotHandle handle;
  CircuitEnd* circuit_end = nullptr;
  std::uint32_t ref = 0;
  wire::MessageStart start;
  wire::MessageId key{};  // at a destination: key_of(). At a source: of what it is a reply to
  ChannelNumber to_channel = 0;
  TimePoint expires{};
  Stage stage = Stage::arriving;
  std::uint32_t received = 0;
  std::uint32_t progress_at = 0;  // what was received when it last came on
  TimePoint progressed{};

  memory::Chain bytes;
  memory::Block tail;  // being filled with small fragments; goes to `bytes` when full or done
  memory::Reservation reservation;

  Links<Assembly> order;
  Links<Assembly> progress;
  Assembly* same_ref = nullptr;
  Assembly* same_key = nullptr;
};

using AssemblyOrder = List<Assembly, &Assembly::order>;
using AssembliesByProgress = List<Assembly, &Assembly::progress>;

struct AssemblyRef {
  static const std::uint32_t& key(const Assembly& a) { return a.ref; }
  std::uint64_t hash(std::uint32_t ref) const { return ref; }
};
using AssembliesByRef = Index<Assembly, &Assembly::same_ref, AssemblyRef>;

struct AssemblyKey : IdHash {
  static const wire::MessageId& key(const Assembly& a) { return a.key; }
};
using AssembliesByKey = Index<Assembly, &Assembly::same_key, AssemblyKey>;

}  // namespace qudag::message
