// The record of a message that is arriving.
//
// It stays until its last byte, its CANCEL, its answer or the end of its circuit. What still comes
// of one that was answered before (refused, expired) is counted in rests.h. A signed one stays,
// when its last byte has come, until its signature is verified; its ref is over by then. The bytes
// of a large one are in unfinished.h, where the next circuit finds them.
#pragma once

#include "base/slot_map.h"
#include "message/deadlines.h"
#include "message/known/key.h"
#include "message/known/unfinished.h"
#include "sync/intrusive.h"
#include "wire/message_frames.h"

#include <cstdint>

namespace qudag::message {

using sync::Index, sync::Links, sync::List;

struct CircuitEnd;

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
  bool asks = false;              // it resumes, and its sender has not heard from where
  std::uint32_t received = 0;     // what was held when it began here included
  std::uint32_t progress_at = 0;  // what was received when it last came on
  TimePoint progressed{};

  Body body;              // unless the message may move: then `hold` names them
  Unfinished::Hold hold;  // until the message is whole, and a worker has it if it is signed
  bool lent = false;      // a worker has them, and who asks for them waits

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
