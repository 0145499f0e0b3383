// All circuits of one shard, in the three roles: source, relay, destination.
//
// Below: a Sink that opens, writes, consumes and resets streams (node joins it to link). circuit
// knows no link. Above: CircuitEvents, heard by message/. A cell that arrives goes: bytes of the
// stream -> a pooled block (the one copy) -> opened in place -> written to the other stream, or
// given up as a payload. No payload is inspected here.
//
// Contexts: every stream carries a 64-bit context that this module chose (which circuit, which
// side); the Sink gives it back with each event, so that no table is searched on the hot path.
//
// Re-entry: CircuitEvents and Sink functions may call back into Circuits; a circuit that ended
// inside is noticed by its generation.
#pragma once

#include "base/bounded.h"
#include "base/link_id.h"
#include "base/rng.h"
#include "base/time.h"
#include "circuit/stats.h"
#include "memory/block.h"
#include "memory/lent_places.h"
#include "onion/build.h"
#include "onion/cells.h"
#include "wire/end_code.h"

#include <qudag/message.h>

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace qudag::circuit {

/// A circuit of this shard: slot and generation, never reused within a process.
struct CircuitId {
  std::uint64_t value = 0;
  auto operator<=>(const CircuitId&) const = default;
};

using wire::EndCode;

/// What a circuit that is built ends at: the messages of its destination, or a keeper's service.
/// Each has its own CircuitEvents, at both ends.
enum class EndKind : std::uint8_t { messages, keeper };
inline constexpr std::size_t kEndKinds = 2;

class Sink {
 public:
  virtual ~Sink() = default;
  /// Opens a stream to `next` over a link that exists or is dialed for it. The answer is one call
  /// of Circuits::on_extended with the ticket, later or from inside this call. Errors that may
  /// come: unknown_destination, unreachable, refused_links, would_block.
  virtual void extend(std::uint64_t ticket, const NodeId& next, Priority priority, Now now) = 0;
  virtual void set_context(StreamId stream, std::uint64_t context) = 0;
  virtual void set_priority(StreamId stream, Priority priority) = 0;
  /// Queues a block (any window); always takes it.
  virtual void write(StreamId stream, memory::Block block) = 0;
  /// Not yet in a packet. Bytes that Circuits::on_stream_sent reports are no longer counted.
  virtual std::size_t queued_bytes(StreamId stream) const = 0;
  /// Bytes that the stream holds, in packets or not, and for how long the oldest has waited.
  struct CellsHeld {
    std::size_t bytes = 0;
    std::chrono::milliseconds waited{};
  };
  virtual CellsHeld held(StreamId stream) const {
    static_cast<void>(stream);
    return {};
  }
  /// Gives the peer's window back. All that came is given back before reset(); for a stream that
  /// closed by itself, the rest is the link's.
  virtual void consume(StreamId stream, std::size_t bytes) = 0;
  /// The same in two steps, for bytes that are here no more while their sender is to wait: the
  /// link's window now, and the stream's with reopen(). Of bytes that were released so many may be
  /// reopened, or fewer if the stream ends.
  virtual void release(StreamId stream, std::size_t bytes) {
    static_cast<void>(stream), static_cast<void>(bytes);
  }
  virtual void reopen(StreamId stream, std::size_t bytes) { consume(stream, bytes); }
  virtual void reset(StreamId stream, EndCode code) = 0;
  /// Its link has brought nothing for a while, though something was due.
  virtual bool is_silent(StreamId stream, Now now) const {
    static_cast<void>(stream), static_cast<void>(now);
    return false;
  }
};

class CircuitEvents {
 public:
  virtual ~CircuitEvents() = default;
  /// A circuit that we asked for is ready for payloads.
  virtual void on_built(CircuitId circuit, Duration took, Now now) = 0;
  /// Somebody built a circuit that ends here.
  virtual void on_incoming(CircuitId circuit, Priority priority, Now now) = 0;
  /// Right behind on_incoming, if something rode in the build: its frames, as those of a payload.
  /// The bytes are gone afterwards. Returns as on_payload.
  virtual std::size_t on_rider(CircuitId circuit, Bytes rider, Now now) {
    static_cast<void>(circuit), static_cast<void>(rider), static_cast<void>(now);
    return 0;
  }
  /// A payload of payload_bytes(priority) arrived, at a source or at a destination. The stream
  /// window is given back when this returns. Returns how much work it was, in the units
  /// of cell_turns.h, which bounds what a turn does.
  virtual std::size_t on_payload(CircuitId circuit, memory::Block payload, Now now) = 0;
  /// The first link of a circuit that we asked for takes nothing new; the circuit works on for a
  /// while. `stops`: because its node stops; else another link to it is there. From inside any
  /// call, and at any time after build() returned: only for taking note.
  virtual void on_draining(CircuitId circuit, bool stops, Now now) {
    static_cast<void>(circuit), static_cast<void>(stops), static_cast<void>(now);
  }
  /// So many bytes of cells have left towards the peer; only while Circuits::tell_sent() says so.
  virtual void on_sent(CircuitId circuit, std::size_t bytes, Now now) {
    static_cast<void>(circuit), static_cast<void>(bytes), static_cast<void>(now);
  }
  /// sendable() grew from zero.
  virtual void on_sendable(CircuitId circuit, Now now) = 0;
  /// The circuit is gone (not called after our own close(), nor if build() returned the error). For
  /// one that we asked for and that was never built, `why` says whether another route may help:
  /// what Sink::extend answered, refused_by_peer, unreachable, authentication_failed, malformed,
  /// timed_out, link_closed, circuit_failed, refused_memory; and Circuits::failed_hop() which hop
  /// it was.
  virtual void on_ended(CircuitId circuit, const Error& why, Now now) = 0;
};

class Quota;

struct CircuitsOptions {
  NodeId self{};
  /// What is given to others, by all shards; null: no bound. Outlives the circuits.
  Quota* quota = nullptr;
  std::shared_ptr<onion::ReplayWindow> replays = nullptr;  // of all shards; null: its own
  onion::KeyStock* stock = nullptr;   // ephemeral keys of our own builds; outlives this
  memory::Budget* memory = nullptr;   // of records and keys; null: no bound
  bool relay = true;                  // take circuits that go on to another hop
  bool keeper = false;                // take circuits that end at a keeper
  std::size_t circuits_max = 10'000;  // all roles together; the last sixteenth for high priority
  /// Which of these this shard may have now; null: all of them. Outlives the circuits.
  memory::LentPlaces* places = nullptr;
  unsigned shard = 0;
  std::size_t building_max = 256;  // of them not yet ready
  // When there is no place, the link that holds most gives one up: the build that it began first,
  // or the circuit that has carried nothing for longest. See core.h, places.
  /// Builds of others that are opened in one turn (0.25 ms each); links take turns. 0: all that are
  /// there.
  std::size_t builds_per_turn = 0;
  std::size_t ahead_bytes =
      128 * 1024;  // payload cells queued on the first link before sendable() is 0
  std::chrono::milliseconds build_timeout{10'000};
  /// For the preface of a stream that somebody opened, and then for each fifth of the build.
  std::chrono::milliseconds opening_timeout{2'000};
  std::chrono::milliseconds idle_timeout{600'000};  // relay and destination: no cell for so long
  std::chrono::milliseconds rest_after{5'000};      // relay and destination: key contexts put away
};

enum class CircuitRole : std::uint8_t { source, relay, destination };

struct CircuitInfo {
  CircuitId id;
  CircuitRole role = CircuitRole::relay;
  Priority priority = Priority::normal;
  bool ready = false;
  StreamId previous;  // relay and destination: towards the source
  StreamId next;      // relay and source: towards the destination
  Duration age{};
  std::uint64_t cells_forward = 0, cells_backward = 0;
};

/// Chances, 0 to 1, with which new circuits of others are refused. Anybody may say high, so it is
/// not always welcome. The priority is in the first two bytes of a stream; no more is read.
struct Refusal {
  double chance = 0;
  double high = 0;
};

class Circuits {
 public:
  Circuits(CircuitsOptions options, memory::BlockPool& pool, Rng& rng, Sink& sink);
  ~Circuits();
  /// Must be set before the first event of that kind.
  void set_events(CircuitEvents& events, EndKind kind = EndKind::messages);
  /// Onion keys that builds are accepted for; replaces the former set.
  void set_onion_keys(std::vector<onion::OnionKey> keys);

  // Source.
  /// The rider, if any, is as long as onion::rider_room() says, and sealed inside this call.
  Result<CircuitId> build(std::span<const onion::RouteHop> route, Priority priority, Now now,
                          Bytes rider = {}, EndKind kind = EndKind::messages);

  // Either end of a ready circuit.
  /// The window is a payload of payload_bytes(priority); sealed and queued. The caller honours
  /// sendable().
  void send(CircuitId circuit, memory::Block payload, Now now);
  /// Cells that may be sent now; 0 if the circuit is not ready or gone.
  std::size_t sendable(CircuitId circuit) const;
  /// Of one that we asked for: the link to its first relay has brought nothing for a while, though
  /// something was due.
  bool is_first_link_silent(CircuitId circuit, Now now) const;
  /// Bytes of cells that its streams hold, in packets or not; 0 if it is gone.
  std::size_t held(CircuitId circuit) const;
  /// Cells of ours that are not in packets yet, in bytes; 0 if it is gone.
  std::size_t queued(CircuitId circuit) const;
  /// A keeper passes payloads on from one circuit to another. The window of a payload that is
  /// being heard of stays closed (from inside on_payload), and is given back later. tell_sent: from
  /// now on, on_sent is told of what leaves.
  void keep_back(CircuitId circuit, std::size_t bytes);
  void give_back(CircuitId circuit, std::size_t bytes);
  void tell_sent(CircuitId circuit, bool tells);
  /// A block with a window of payload_bytes(priority), to be filled; empty if the pool is
  /// exhausted.
  memory::Block payload_block(Priority priority);
  void close(CircuitId circuit, Now now);
  /// The same, because memory is short: the neighbour hears `refused`.
  void give_up(CircuitId circuit, Now now);
  /// As close(), of a build of ours when another one was faster: it has not failed.
  void lost_race(CircuitId circuit, Now now);
  std::optional<CircuitInfo> info(CircuitId circuit) const;
  std::vector<CircuitInfo> list() const;
  std::size_t size() const;
  /// Of the places that may be used here, 0 to 1.
  double fullness() const;
  /// Looks at the places that shards lend each other: says if some are missed, and ends a part of
  /// what is owed, the quietest first.
  void look_at_places(Now now);
  /// Of them, those that others begin and that are not ready.
  std::size_t building() const;
  /// Whether a circuit that goes on from here to another node carried a cell in the last `quiet`.
  bool relays_busily(Duration quiet, Now now) const;
  /// Inside CircuitEvents::on_ended only: the index into the route of the hop that a build of ours
  /// failed at, or behind which a cell was changed; kHopUnknown if nothing told.
  static constexpr std::size_t kHopUnknown = SIZE_MAX;
  std::size_t failed_hop() const;

  // From the streams (node calls these).
  void on_stream_opened(StreamId stream, Now now);
  void on_stream_data(StreamId stream, std::uint64_t context, Bytes data, Now now);
  void on_stream_sent(StreamId stream, std::uint64_t context, std::size_t bytes, Now now);
  void on_stream_closed(StreamId stream, std::uint64_t context, EndCode code, Now now);
  void on_link_closed(LinkId link, Now now);
  /// Our own circuits that begin there are told to their owner.
  void on_link_draining(LinkId link, bool stops, Now now);
  void on_extended(std::uint64_t ticket, Result<StreamId> stream, Now now);

  // Protection, for the overload manager.
  /// How new circuits of others are refused. `held`: because of what circuits hold, and links with
  /// few circuits are spared. `brought`: because of the time that cells take, and links that bring
  /// little are spared, however many circuits they have.
  void set_refusal(Refusal held, Refusal brought = {});
  /// Ends the `count` relayed circuits of that priority that have held cells back for longest; how
  /// many it ended. Those of links that bring little only when they have held them for five
  /// seconds. Looks at every circuit.
  std::size_t shed(Priority priority, std::size_t count, Now now);
  /// Memory is short: ends relayed circuits of that priority and those that end here, whole, until
  /// about so many bytes are free, the one first whose oldest queued data waits the longest. Both
  /// neighbours hear `refused`. Returns the bytes that they held. Looks at every circuit.
  std::size_t reclaim(Priority priority, std::size_t bytes, Now now);
  /// Memory is short: of cells for this node that wait for their turn, so many bytes may stay. Ends
  /// the circuit with most of the link with most, again and again; how many bytes that freed.
  std::size_t reclaim_waiting(std::size_t bytes_max, Now now);
  /// Ends relayed and incoming circuits that nobody has used for so long. Looks at `visits` of them
  /// and goes on there with the next call.
  std::size_t end_idle(Duration quiet, std::size_t visits, Now now);

  void on_time(Now now);
  TimePoint next_deadline() const;
  /// Ends every circuit with code shutdown.
  void shutdown(Now now);
  CircuitsStats stats() const;
  HopStats hops() const;
  void report(BoundedList& out) const;

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::circuit
