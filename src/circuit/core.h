// What the three roles share: the table of circuits, their streams, deadlines, and their end.
//
// The rule of this module: Sink::write, extend and reset and every Event may call back into
// Circuits. After such a call a Circuit& is not used again; it is looked up by its id with find().
#pragma once

#include "circuit/cell_turns.h"
#include "circuit/quota/held_windows.h"
#include "circuit/quota/quota.h"
#include "circuit/record.h"

#include "base/deadline_heap.h"
#include "base/limits.h"
#include "base/slot_map.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qudag::circuit {

/// A circuit without a cell for so long is idle.
inline constexpr Duration kIdle = std::chrono::seconds(5);

// What a circuit takes besides blocks and its streams (bench_idle circuits, docs/design/memory.md):
// the record, the set of deadlines, onion/'s secrets; its key contexts, until it rests.
inline constexpr std::uint64_t kKeyBytes = 3'584;
inline constexpr std::uint64_t kReadyBytes = 1'024 + kKeyBytes;

/// What one link has here: all sides on it, and the circuits that came over it.
struct LinkShare {
  Side* first = nullptr;        // of its sides
  std::size_t asked = 0;        // circuits that its peer began, in any state
  std::size_t building = 0;     // of them, not yet ready
  TimePoint none_idle_until{};  // a search for an idle one found none
  // Bytes that came over it, in the second that began then, and in the one before.
  TimePoint second{};
  std::uint64_t bytes = 0, bytes_before = 0;
};

/// How a circuit ends: what its streams are told, and what the layer above is.
struct Ending {
  Error why;
  EndCode previous = EndCode::destroyed;
  EndCode next = EndCode::destroyed;
  bool tell = true;                                // false after our own close()
  std::size_t failed_hop = Circuits::kHopUnknown;  // of a build of ours
  bool lost_race = false;                          // such a build, and another one was faster
};

class Core {
 public:
  Core(CircuitsOptions options, memory::BlockPool& pool, Rng& rng, Sink& sink);

  // ---- table ----
  /// Null if the table is full, or too many are being built.
  Circuit* add(CircuitRole role, Phase phase, Now now);
  Circuit* find(CircuitId id) { return table_.find(SlotHandle(id.value)); }
  std::size_t size() const { return table_.size(); }
  /// Whether the table with so many more is not too full for a priority: the last places are
  /// high's.
  bool has_place(Priority priority, std::size_t more) const {
    return priority == Priority::high || table_.size() + more <= places(priority);
  }
  /// What the table may hold now.
  std::size_t most() const {
    return options.places == nullptr
               ? table_.capacity()
               : std::min(table_.capacity(), options.places->most(options.shard));
  }
  std::size_t places(Priority priority) const {
    const std::size_t all = most();
    return priority == Priority::high ? all : all - all / limits::kCircuitsKeptOneIn;
  }
  bool full() const { return table_.size() >= most(); }
  double fullness() const;
  std::size_t building() const { return building_.size(); }

  // Places (places.cc). A link may use any number of places until they run out. Then the link that
  // uses most loses one.
  /// For a build over that link: when all slots are taken, the build that began first, of the link
  /// with most of them.
  void make_build_place(LinkId link, Now now);
  /// For a circuit over that link (kOurOwn: of ours), so that with `more` the table is not too full
  /// for its priority: the circuits that have carried nothing for longest, of the link with most;
  /// of the asking one itself only such that are idle.
  void make_place(LinkId link, Priority priority, std::size_t more, Now now);
  /// Less than half of an equal share of what the circuits of links hold.
  bool holds_little(LinkId link) const;
  /// Half of an equal share of what came over such links in the last one or two seconds.
  double little_brought(Now now) const;
  /// Less than that, which is found out once for many links.
  bool brings_little(LinkId link, double little, Now now) const;
  /// Whether to refuse a circuit of that priority over that link, by chance.
  bool refuses(LinkId link, Priority priority, Now now);
  void note_brought(LinkId link, std::size_t bytes, Now now);
  static constexpr LinkId kOurOwn{};
  void look_at_places(Now now);

  void report(BoundedList& out) const;
  template <class F>
  void for_each(F&& f) {
    table_.for_each([&f](SlotHandle, Circuit& circuit) { f(circuit); });
  }
  std::vector<CircuitId> ids();
  void set_ready(Circuit& circuit, Now now);
  /// A cell came or goes. An idle circuit wakes: it may rest again later.
  void note_cell(Circuit& circuit, Now now) {
    circuit.last_cell = now.mono;
    if (circuit.resting) wake(circuit);
  }
  /// No cell for a while: puts the key contexts of a relay or destination away.
  void rest(Circuit& circuit);
  /// The reply that ends the circuit is on its way: wait for it, but not long.
  void set_draining(Circuit& circuit, Now now);
  /// Forgets the circuit, resets its streams, tells CircuitEvents if it is an end of the circuit.
  void end(Circuit& circuit, const Ending& how, Now now);

  // ---- streams ----
  void attach(Circuit& circuit, Neighbor side, StreamId stream);
  /// The stream is gone already, or is reset by the caller.
  void detach(Side& side);
  /// The contexts of all sides on that link.
  std::vector<std::uint64_t> sides_on(LinkId link) const;
  /// Gives back up to `bytes` of the window of what came.
  void consume(Side& side, std::size_t bytes);
  void consume_all(Side& side) { consume(side, side.unconsumed); }

  // What is given to others (passing.cc).
  /// So many bytes that came from there have left: their window goes back, now or when the quota
  /// has room for them.
  void pass(Circuit& circuit, Side& from, std::size_t bytes, TimePoint now) {
    if (!metered_) return consume(from, bytes);
    pass_metered(circuit, from, bytes, now);
  }
  /// Whether the quota has no room for a circuit that a peer begins over that link.
  bool quota_refuses(LinkId link) const;
  void look_at_quota(Now now);
  TimePoint quota_due() const {
    return ends_more_ ? std::min(serve_at_, end_passing_at_) : serve_at_;
  }
  void link_gone(LinkId link) { held_windows_.link_gone(link); }
  /// At an end: of all that came but the cells that wait.
  void consume_handled(Circuit& circuit);
  /// Whether a cell for this node is handled now; else it has been put aside for a later turn.
  bool has_turn(Circuit& circuit, memory::Block& cell, Now now);
  /// The next whole cell of `data`; empty if there is none yet, or if the pool had no block, and
  /// then the circuit has ended.
  memory::Block take_cell(Circuit& circuit, Side& from, Bytes& data, Now now);
  /// Writes `preface || unit`; false, having written nothing, if the pool had no blocks.
  [[nodiscard]] bool write_unit(Circuit& circuit, Neighbor to, Bytes preface, Bytes unit);
  /// A sealed cell of an end of the circuit.
  void write_cell(Circuit& circuit, Neighbor to, memory::Block cell);
  /// The pool had no block.
  void end_exhausted(Circuit& circuit, Now now);
  /// The destination left something behind a payload: it breaks the protocol, and no relay did.
  void end_bad_tail(Circuit& circuit, Now now);
  /// A tag did not verify.
  void end_bad_cell(Circuit& circuit, std::size_t hop, Now now);

  /// By both streams: all bytes, and the longest wait.
  Sink::CellsHeld held(const Circuit& circuit) const;

  // ---- the two ends ----
  std::size_t sendable(const Circuit& circuit) const;
  void note_sendable(Circuit& circuit) { circuit.starved = sendable(circuit) == 0; }
  /// Tells CircuitEvents if a starved end has room again.
  void offer_room(Circuit& circuit, Now now);

  // ---- time ----
  void set_deadline(Circuit& circuit, TimePoint when);
  /// The first circuit whose deadline has come; null if none. Its deadline is cleared.
  Circuit* pop_due(Now now);
  TimePoint next_deadline() const;
  /// f(circuit) for the circuits in the next so many places of the table, round and round.
  template <class F>
  void for_next(std::size_t places, F&& f) {
    looked_at_ = table_.for_some(looked_at_, places, [&f](SlotHandle, Circuit& c) { f(c); });
  }

  const CircuitsOptions options;
  memory::BlockPool& pool;
  Rng& rng;
  Sink& sink;
  std::array<CircuitEvents*, kEndKinds> listeners{};
  CircuitEvents& events(const Circuit& circuit) const {
    return *listeners[static_cast<std::size_t>(circuit.kind)];
  }
  CircuitsStats stats;
  HopStats hops;
  CellTurns turns;
  std::vector<onion::OnionKey> onion_keys;
  const std::shared_ptr<onion::ReplayWindow> replays;  // shared with the node's other shards
  std::size_t failed_hop = Circuits::kHopUnknown;      // of the build whose end is being told
  TimePoint latest{};                                  // of the last call that brought the time
  bool stopping = false;
  Refusal refusal_held, refusal_brought;

 private:
  void pass_metered(Circuit& circuit, Side& from, std::size_t bytes, TimePoint now);
  void hold(const Circuit& circuit, Side& side, std::size_t bytes, TimePoint now);
  void drop_held(Side& side);
  void serve_held(TimePoint now);
  void end_passing(Now now);

  std::size_t& building_count(const Circuit& circuit);
  void wake(Circuit& circuit);
  void note_not_building(Circuit& circuit);
  void tell_places();
  void end_for_place(const std::vector<CircuitId>& ending, Now now);
  /// Bytes: of its circuits that are ready, and of their cells that wait for us.
  std::uint64_t holds(LinkId link, const LinkShare& share) const;
  LinkId link_with_most() const;
  std::vector<CircuitId> quietest(LinkId link, std::size_t needed, std::size_t busy_max, Now now);

  memory::Allowance memory_;
  SlotMap<Circuit> table_;
  std::size_t building_own_ = 0;
  std::size_t building_incoming_ = 0;
  std::vector<CircuitId> building_;  // those of others that have a stream, the oldest first
  std::unordered_map<LinkId, LinkShare> links_;
  std::pair<LinkId, LinkShare*> bringing_{};  // of the last bytes: many come together
  DeadlineHeap<Circuit> deadlines_;
  bool metered_ = false;  // there is a quota
  HeldWindows held_windows_;
  TimePoint serve_at_ = kNever;  // them
  TimePoint end_passing_at_{};
  bool ends_more_ = false;       // since the month's bytes are used up: as many as a turn ends
  std::uint32_t looked_at_ = 0;  // the place after the last of for_next()
};

}  // namespace qudag::circuit
