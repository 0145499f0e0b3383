// What a node remembers of one circuit, in whichever role: at most two streams, keys, counters.
//
// A record is small on purpose, because a relay holds one per circuit that passes through it. All
// that is needed only until the circuit is ready lives in `handshake` and goes away with it.
#pragma once

#include "circuit/cell_assembly.h"
#include "circuit/circuits.h"

#include "base/deadline_heap.h"
#include "base/slot_map.h"
#include "base/time.h"
#include "onion/build.h"
#include "onion/cells.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <variant>

namespace qudag::circuit {

enum class Phase : std::uint8_t {
  opening,         // a stream came; its preface and build are being received
  extending,       // the build waits for a stream to the next hop
  awaiting_reply,  // the build is on its way; the reply is being received
  ready,           // cells both ways
  draining,        // over, but a reply that says so has yet to leave towards the source
};

enum class Neighbor : std::uint8_t { previous, next };

/// One stream of a circuit. Sides of one link form a list, so that a closed link finds its
/// circuits.
struct Side {
  StreamId stream;               // index -1: there is none (not yet, or not any more)
  CellAssembly cells;            // what came from it and is not a whole cell yet
  std::uint32_t unconsumed = 0;  // bytes that came and are not passed on or taken yet
  std::uint32_t held = 0;        // that have left, and whose window waits for the quota
  std::uint64_t context = 0;     // circuit and side, see context_of()
  Side* link_before = nullptr;   // neighbors in the list of the link; owned by their records
  Side* link_after = nullptr;

  bool open() const { return stream.index >= 0; }
};

/// A hop while it receives the build.
struct Opening {
  TimePoint came{};  // the whole build
  std::uint8_t preface_bytes = 0;
  std::size_t seen_bytes = 0;  // of the build, when its deadline was set
  UnitAssembly<limits::kBuildMessageBytes> build;
  bool waits = false;  // whole, for its turn
};
/// A relay between build and reply.
struct Joining {
  onion::AcceptedBuild accepted;
  std::unique_ptr<onion::BuildMessage> message;  // until it was written to the next hop
  UnitAssembly<limits::kReplyMessageBytes> reply;
  TimePoint came{}, went{};  // the build
};
/// A source between build and reply.
struct Asking {
  onion::PendingBuild pending;
  std::unique_ptr<onion::BuildMessage> message;
  UnitAssembly<limits::kReplyMessageBytes> reply;
  TimePoint went{};                // the build
  Error* failed_inside = nullptr;  // set while Circuits::build runs: it returns the error itself
};

struct Circuit {
  using Handshake = std::variant<std::monostate, std::unique_ptr<Opening>, std::unique_ptr<Joining>,
                                 std::unique_ptr<Asking>>;
  using Crypto = std::variant<std::monostate, onion::HopCrypto, onion::SourceCrypto>;

  CircuitId id;
  CircuitRole role = CircuitRole::relay;  // of an incoming one: until its build says otherwise
  Priority priority = Priority::normal;
  Phase phase = Phase::opening;
  bool building = true;              // counts against building_max
  bool announced = false;            // the layer above knows its id, and hears of its end
  bool starved : 1 = false;          // an end that has no room, and hears of it when it has
  bool waits : 1 = false;            // cells for us wait for their turn (cell_turns.h)
  bool resting : 1 = false;          // idle, without key contexts; the next cell wakes it
  bool tells_sent : 1 = false;       // an end: the layer above passes on here what comes elsewhere
  EndKind kind = EndKind::messages;  // of an end: who hears of it
  DeadlineHook deadline_hook;
  // Of a relay: bytes of the reply that have not left towards the source. Of an end: of payloads
  // whose window the layer above gives back.
  std::uint32_t reply_unsent = 0;
  std::uint32_t& kept_back() { return reply_unsent; }
  Side previous;  // towards the source
  Side next;      // towards the destination
  TimePoint created{};
  TimePoint last_cell{};
  std::uint64_t cells_forward = 0;
  std::uint64_t cells_backward = 0;
  Handshake handshake;
  Crypto crypto;

  Side& side(Neighbor towards) { return towards == Neighbor::next ? next : previous; }
  /// At an end: where cells for it come from.
  Side& only_side() { return role == CircuitRole::source ? next : previous; }
};

/// Cells to another node, or to another circuit of a keeper.
inline bool passes_on(const Circuit& circuit) {
  return circuit.role == CircuitRole::relay || circuit.tells_sent;
}

/// What a relay keeps per ready circuit in this module, besides the cipher contexts of HopCrypto.
inline constexpr std::size_t kCircuitRecordBytes = sizeof(Circuit);
static_assert(kCircuitRecordBytes <= 288, "a relay holds very many of these");

// A stream's context: the circuit's handle, with the side in the top bit of the slot number.
inline constexpr std::uint64_t kNextSideBit = std::uint64_t{1} << 31;

constexpr std::uint64_t context_of(CircuitId id, Neighbor side) {
  return id.value | (side == Neighbor::next ? kNextSideBit : 0);
}
constexpr CircuitId circuit_of(std::uint64_t context) { return {context & ~kNextSideBit}; }
constexpr Neighbor side_of(std::uint64_t context) {
  return (context & kNextSideBit) != 0 ? Neighbor::next : Neighbor::previous;
}

}  // namespace qudag::circuit
