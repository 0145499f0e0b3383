// The record of a pipe at one end.
//
//   opener   waiting   in its flow's list: it needs a circuit, for OPEN or for MOVE
//            asking    on a circuit: OPEN or MOVE is said, and the answer has not come
//            open      on a circuit
//   server   offered   the application has not answered; on a circuit, or parked
//            open      on a circuit, or parked: it waits for MOVE
//   both     closed    the application knows how it ended. If it finished, the record lingers until
//                      the peer has said the same, so that the last LIMIT may be lost with a
//                      circuit
//
// attempt numbers the OPENs and MOVEs of a key: the server follows the highest one, whatever order
// they arrive in.
#pragma once

#include "base/slot_map.h"
#include "memory/budget.h"
#include "message/deadlines.h"
#include "message/pipe/incoming.h"
#include "message/pipe/outgoing.h"
#include "sync/intrusive.h"
#include "sync/token_bucket.h"

#include <qudag/address.h>
#include <qudag/pipe.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace qudag::message {

using sync::Index, sync::Links, sync::List;

struct Flow;
struct CircuitEnd;

/// Without a circuit, and then lost; a finished one whose peer may not know it, and then forgotten.
inline constexpr Duration kPipeParkedFor = std::chrono::seconds(60);
inline constexpr Duration kPipeLingerFor = std::chrono::seconds(60);
/// From OPEN to the application's answer.
inline constexpr Duration kPipeOfferedFor = std::chrono::seconds(10);
inline constexpr std::size_t kPipesOfferedMax = 128;
inline constexpr std::size_t kPipesParkedMax = 256;
inline constexpr std::size_t kPipesAwaitedMax = 256;

/// What a pipe has to say, besides bytes: one of each at most.
enum class Saying : std::uint8_t {
  open = 1,
  opened = 2,
  move = 4,
  moved = 8,
  limit = 16,
};

/// What the application is to be told.
enum class Telling : std::uint8_t {
  open = 1,
  bytes = 2,
  end = 4,
  room = 8,
  closed = 16,
  offer = 32
};

/// What of a pipe goes with it to another shard: all but its circuit and its places in lists.
struct PipeState {
  wire::PipeKey key{};
  std::string service;
  NodeId receiver;
  Priority priority = Priority::normal;
  bool closed = false;     // the application has been told, or is about to be
  bool told_end = false;   // it has been told
  bool peer_done = false;  // RESET 0 came, on any circuit
  std::uint32_t attempt = 0;
  std::uint32_t moves = 0;
  TimePoint began{};
  TimePoint until = kNever;  // opening, offered, parked: over then

  Outgoing out;
  Incoming in;
  memory::Chain pending;  // came, and was not given to the application
  // What is reserved: promised or pending; promised or not taken; written and not taken.
  std::uint64_t in_claim = 0, in_bytes = 0, out_held = 0;
  std::uint64_t room_told = 0;
  std::uint8_t tells = 0;  // Telling
  PipeEnd end;             // when closed

  /// The state, and with it what is reserved: nothing is left here.
  PipeState give() {
    PipeState given = std::move(*this);
    in_claim = in_bytes = out_held = 0;
    return given;
  }
};

struct PipeRecord : Timed, PipeState {
  PipeRecord() : Timed(TimedKind::pipe) {}

  SlotHandle handle;
  bool opener = false;
  bool answered = false;   // opener: OPENED 0 came. Server: the application has accepted
  bool asking = false;     // opener: on a circuit, and OPEN or MOVE has no answer yet
  bool numbered = false;   // on a circuit, and in its by_number
  bool said_done = false;  // RESET 0 was said on this circuit
  std::uint32_t number = 0;
  TimePoint limit_retry = kNever;  // the window found no memory

  // Growth of the window: what the program took since then.
  TimePoint epoch{};
  std::uint64_t epoch_taken = 0;

  CircuitEnd* circuit_end = nullptr;  // null: waiting, or parked
  std::uint8_t says = 0;              // Saying
  std::size_t deficit = 0;
  Flow* flow = nullptr;  // of an opener
  Error last_failure;    // of its circuits

  Links<PipeRecord> place;    // in its flow's list, its circuit's, or that of the parked ones
  Links<PipeRecord> signal;   // in the circuit's list: it has something to say
  Links<PipeRecord> turn;     // in the circuit's list: bytes, or END
  Links<PipeRecord> telling;  // something is to be told
  PipeRecord* same_key = nullptr;

  bool on_circuit() const { return circuit_end != nullptr; }
  bool speaks(Saying what) const { return (says & static_cast<unsigned>(what)) != 0; }
  bool tells_of(Telling what) const { return (tells & static_cast<unsigned>(what)) != 0; }
  /// Refused, broken off, or lost: there is nothing left but to tell it.
  bool broken() const { return closed && end.how != PipeEnd::How::finished; }
  /// OPEN was said; or MOVE was answered; or OPENED was said.
  bool may_send_bytes() const {
    if (!numbered || broken()) return false;
    if (opener) return !asking || !answered;
    return answered && !speaks(Saying::opened) && !speaks(Saying::moved);
  }
  bool wants_turn() const { return may_send_bytes() && (out.sendable() > 0 || out.end_due()); }
  bool done() const { return out.done() && in.done(); }
};

using PipesInPlace = List<PipeRecord, &PipeRecord::place>;
using PipesSignalling = List<PipeRecord, &PipeRecord::signal>;
using PipesInTurn = List<PipeRecord, &PipeRecord::turn>;
using PipesToTell = List<PipeRecord, &PipeRecord::telling>;

/// A pipe that rides in the build of a circuit; its number there is its place among them.
struct PipeRidden {
  SlotHandle pipe;
  std::uint32_t attempt = 0;
  std::uint64_t bytes = 0;
};

/// What a circuit end knows of pipes. Of those that are over only how many bytes may still come.
struct PipesOnCircuit {
  static constexpr std::size_t kPipesMax = 256;
  // OPENs a second, and at once, that a destination lets in; and that a source sends, so that none
  // of its own is refused for that.
  static constexpr std::uint64_t kOpensRate = 100, kOpensBurst = kPipesMax;
  static constexpr std::uint64_t kOwnOpensRate = 80, kOwnOpensBurst = 250;

  PipesOnCircuit(bool source, TimePoint now)
      : opens(source ? kOwnOpensRate : kOpensRate, source ? kOwnOpensBurst : kOpensBurst, now) {}

  std::uint32_t next_number = 0;
  PipesInPlace here;
  std::unordered_map<std::uint32_t, PipeRecord*> by_number;
  PipesSignalling signals;
  PipesInTurn turns;
  /// BYTES on their way to numbers that we ended, moved, or never took: no more than their limits.
  std::uint64_t crossing = 0;
  sync::TokenBucket opens;
  std::uint64_t opens_refused = 0;  // for their rate, less those that were let in since
  std::vector<PipeRidden> ridden;   // while it is being built
  TimePoint ping_at = kNever;       // of a source: the next one

  PipeRecord* find(std::uint32_t number) const {
    const auto at = by_number.find(number);
    return at == by_number.end() ? nullptr : at->second;
  }
  bool has_something() const { return !signals.empty() || !turns.empty(); }
};

}  // namespace qudag::message
