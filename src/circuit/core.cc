#include "circuit/core.h"

#include "base/assert.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace qudag::circuit {

namespace {

/// Until it is ready also a build of 14.4 KB, or what followed from it, and a reply of 6.9 KB.
constexpr std::uint64_t kBuildingBytes = kReadyBytes + 22 * 1024;

/// All the blocks that cells may be in.
const std::size_t kCellsInPool =
    memory::PoolOptions{}.blocks_max[0] + memory::PoolOptions{}.blocks_max[1];

// A limit of one table: the context of a stream keeps a bit of the slot number for the side.
std::size_t table_capacity(const CircuitsOptions& options) {
  return std::min(options.circuits_max, static_cast<std::size_t>(kNextSideBit) - 1);
}

}  // namespace

Core::Core(CircuitsOptions opts, memory::BlockPool& block_pool, Rng& random, Sink& streams)
    : options(opts),
      pool(block_pool),
      rng(random),
      sink(streams),
      replays(opts.replays ? opts.replays : std::make_shared<onion::ReplayWindow>()),
      memory_(options.memory),
      table_(table_capacity(options)) {}

// ---- table --------------------------------------------------------------------------------------

// Builds of our own are counted apart from those of others, so that strangers who open streams and
// say nothing cannot stop us from building.
std::size_t& Core::building_count(const Circuit& circuit) {
  return circuit.role == CircuitRole::source ? building_own_ : building_incoming_;
}

Circuit* Core::add(CircuitRole role, Phase phase, Now now) {
  const std::size_t building = role == CircuitRole::source ? building_own_ : building_incoming_;
  if (building >= options.building_max) return nullptr;
  if (!memory_.take(kBuildingBytes)) {
    ++stats.refused_memory;
    return nullptr;
  }
  const SlotHandle handle = full() ? SlotHandle{} : table_.insert();
  if (!handle) {
    memory_.give(kBuildingBytes);
    return nullptr;
  }
  tell_places();
  Circuit& circuit = *table_.find(handle);
  circuit.id = {handle.value};
  circuit.role = role;
  circuit.phase = phase;
  circuit.created = now.mono;
  ++building_count(circuit);
  set_deadline(circuit, now.mono + options.build_timeout);
  return &circuit;
}

void Core::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "circuits", "refuse", table_.size(), table_.capacity(),
                        sizeof(Circuit)));
  out.back().of_all_shards = options.places != nullptr;
  out.push_back(bounded(Kind::table, "circuits being built, our own", "refuse", building_own_,
                        options.building_max));
  out.push_back(bounded(Kind::table, "circuits being built, by others", "refuse",
                        building_incoming_, options.building_max));
  out.push_back(bounded(Kind::queue, "windows that wait for the quota", "their senders wait",
                        held_windows_.windows(), 2 * table_.capacity(), sizeof(std::uint64_t)));
  out.push_back(bounded(Kind::queue, "cells for this node that wait for their turn",
                        "their windows stay closed", turns.cells(), kCellsInPool));
}

std::vector<CircuitId> Core::ids() {
  std::vector<CircuitId> out;
  out.reserve(table_.size());
  for_each([&out](const Circuit& circuit) { out.push_back(circuit.id); });
  return out;
}

void Core::set_ready(Circuit& circuit, Now now) {
  --building_count(circuit);
  memory_.give(kBuildingBytes - kReadyBytes);
  note_not_building(circuit);
  circuit.building = false;
  circuit.phase = Phase::ready;
  circuit.handshake = std::monostate{};
  circuit.last_cell = now.mono;
  // A source is idle when its owner says so: message/ retires circuits by age and use.
  const bool timed = circuit.role != CircuitRole::source;
  set_deadline(circuit,
               timed ? now.mono + std::min(options.rest_after, options.idle_timeout) : kNever);
}

// The deadline of a ready circuit may come early, and never late: a busy circuit does not move it
// with every cell, but looks again when it comes (Circuits::Impl::due).
void Core::rest(Circuit& circuit) {
  circuit.resting = true;
  memory_.give(kKeyBytes);
  ++stats.rested;
  if (auto* crypto = std::get_if<onion::HopCrypto>(&circuit.crypto)) crypto->rest();
  set_deadline(circuit, circuit.last_cell + options.idle_timeout);
}

void Core::wake(Circuit& circuit) {
  circuit.resting = false;
  memory_.take_anyway(kKeyBytes);
  set_deadline(circuit, circuit.last_cell + std::min(options.rest_after, options.idle_timeout));
}

void Core::set_draining(Circuit& circuit, Now now) {
  circuit.phase = Phase::draining;
  circuit.handshake = std::monostate{};
  circuit.crypto = std::monostate{};
  if (!circuit.building) set_deadline(circuit, now.mono + options.build_timeout);
}

void Core::end(Circuit& circuit, const Ending& how, Now now) {
  const CircuitId id = circuit.id;
  const bool announced = circuit.announced;
  CircuitEvents& listener = events(circuit);
  Error* failed_inside = nullptr;
  if (auto* asking = std::get_if<std::unique_ptr<Asking>>(&circuit.handshake)) {
    failed_inside = (*asking)->failed_inside;
  }
  if (circuit.building) {
    --building_count(circuit);
    if (circuit.role == CircuitRole::source) {
      ++(how.lost_race ? stats.builds_given_up : stats.builds_failed);
    }
  }

  // What came and was not passed on still counts against the window of the whole link.
  struct Leaving {
    StreamId stream;
    std::size_t unconsumed, held;
    EndCode code;
  };
  const Leaving leaving[] = {
      {circuit.previous.stream, circuit.previous.unconsumed, circuit.previous.held, how.previous},
      {circuit.next.stream, circuit.next.unconsumed, circuit.next.held, how.next},
  };
  detach(circuit.previous);
  detach(circuit.next);
  set_deadline(circuit, kNever);
  if (circuit.waits) turns.forget(id);
  memory_.give(circuit.building ? kBuildingBytes : kReadyBytes - (circuit.resting ? kKeyBytes : 0));
  table_.erase(SlotHandle(id.value));
  tell_places();

  for (const Leaving& side : leaving) {
    if (side.stream.index < 0) continue;
    if (side.unconsumed > 0) sink.consume(side.stream, side.unconsumed);
    if (side.held > 0) sink.reopen(side.stream, side.held);
    sink.reset(side.stream, side.code);
  }
  if (failed_inside != nullptr) {
    *failed_inside = how.why;
  } else if (how.tell && announced) {
    failed_hop = how.failed_hop;
    listener.on_ended(id, how.why, now);
    failed_hop = Circuits::kHopUnknown;
  }
}

// ---- streams ------------------------------------------------------------------------------------

void Core::attach(Circuit& circuit, Neighbor which, StreamId stream) {
  Side& side = circuit.side(which);
  side.stream = stream;
  side.context = context_of(circuit.id, which);
  LinkShare& share = links_[stream.link];
  if (which == Neighbor::previous) {
    ++share.asked;
    ++share.building;
    building_.push_back(circuit.id);
  }
  Side*& head = share.first;
  side.link_before = nullptr;
  side.link_after = head;
  if (head != nullptr) head->link_before = &side;
  head = &side;
  sink.set_context(stream, side.context);
}

void Core::note_not_building(Circuit& circuit) {
  if (!circuit.building || !circuit.previous.open()) return;
  --links_[circuit.previous.stream.link].building;
  building_.erase(std::ranges::find(building_, circuit.id));
}

void Core::detach(Side& side) {
  if (!side.open()) return;
  if (side.held > 0) drop_held(side);
  if (side_of(side.context) == Neighbor::previous) {
    note_not_building(*find(circuit_of(side.context)));
    --links_[side.stream.link].asked;
  }
  if (side.link_after != nullptr) side.link_after->link_before = side.link_before;
  if (side.link_before != nullptr) {
    side.link_before->link_after = side.link_after;
  } else if (side.link_after != nullptr) {
    links_[side.stream.link].first = side.link_after;
  } else {
    links_.erase(side.stream.link);
    bringing_ = {};
  }
  side = Side{};
}

std::vector<std::uint64_t> Core::sides_on(LinkId link) const {
  std::vector<std::uint64_t> out;
  const auto at = links_.find(link);
  if (at == links_.end()) return out;
  for (const Side* side = at->second.first; side != nullptr; side = side->link_after) {
    out.push_back(side->context);
  }
  return out;
}

void Core::consume(Side& side, std::size_t bytes) {
  const std::size_t back = std::min<std::size_t>(bytes, side.unconsumed);
  if (back == 0 || !side.open()) return;
  side.unconsumed -= static_cast<std::uint32_t>(back);
  sink.consume(side.stream, back);
}

void Core::consume_handled(Circuit& circuit) {
  Side& side = circuit.only_side();
  std::size_t not_yet = circuit.kept_back();
  if (circuit.waits) not_yet += turns.cells(circuit.id) * onion::cell_bytes(circuit.priority);
  consume(side, side.unconsumed - std::min<std::size_t>(not_yet, side.unconsumed));
}

bool Core::has_turn(Circuit& circuit, memory::Block& cell, Now now) {
  if (turns.at_once(now)) return true;
  turns.put(circuit.only_side().stream.link, circuit.id, circuit.priority, std::move(cell), now);
  circuit.waits = true;
  ++stats.cells_put_off;
  return false;
}

Sink::CellsHeld Core::held(const Circuit& circuit) const {
  Sink::CellsHeld out;
  if (circuit.waits) {
    const Duration waited = latest - turns.since(circuit.id);
    out.bytes = turns.cells(circuit.id) * memory::capacity_of(onion::block_size(circuit.priority));
    out.waited = std::chrono::duration_cast<std::chrono::milliseconds>(waited);
  }
  for (const Side* side : {&circuit.previous, &circuit.next}) {
    if (!side->open()) continue;
    const Sink::CellsHeld held = sink.held(side->stream);
    out.bytes += held.bytes;
    out.waited = std::max(out.waited, held.waited);
  }
  return out;
}

memory::Block Core::take_cell(Circuit& circuit, Side& from, Bytes& data, Now now) {
  memory::Block cell;
  const std::size_t before = data.size();
  const CellAssembly::Step step = from.cells.take(pool, circuit.priority, data, cell);
  stats.bytes_copied += before - data.size();
  if (step == CellAssembly::Step::exhausted) {
    end_exhausted(circuit, now);
  } else if (step == CellAssembly::Step::cell) {
    note_cell(circuit, now);
  }
  return cell;
}

bool Core::write_unit(Circuit& circuit, Neighbor to, Bytes preface, Bytes unit) {
  constexpr std::size_t kCapacity = memory::capacity_of(memory::BlockSize::bulk);
  std::array<memory::Block, 2> blocks;
  QUDAG_ASSERT(preface.size() + unit.size() <= blocks.size() * kCapacity);
  // All blocks first: a build or a reply that is cut short would only waste the others' time.
  for (memory::Block& block : blocks) {
    if (preface.empty() && unit.empty()) break;
    block = pool.take(memory::BlockSize::bulk, onion::block_use(circuit.priority));
    if (!block) return false;
    for (Bytes* part : {&preface, &unit}) {
      const Bytes piece = part->first(std::min(part->size(), kCapacity - block.size()));
      const std::size_t at = block.size();
      block.append(piece.size());
      if (!piece.empty()) std::memcpy(block.data() + at, piece.data(), piece.size());
      *part = part->subspan(piece.size());
    }
  }
  const CircuitId id = circuit.id;
  const StreamId stream = circuit.side(to).stream;
  for (memory::Block& block : blocks) {
    if (!block) break;
    sink.write(stream, std::move(block));
    const Circuit* still = find(id);
    if (still == nullptr) break;
  }
  return true;
}

void Core::write_cell(Circuit& circuit, Neighbor to, memory::Block cell) {
  const CircuitId id = circuit.id;
  sink.write(circuit.side(to).stream, std::move(cell));
  if (Circuit* still = find(id)) note_sendable(*still);
}

void Core::end_exhausted(Circuit& circuit, Now now) {
  ++stats.blocks_exhausted;
  end(circuit, {.why = {Errc::refused_memory, "no blocks for cells"}}, now);
}

void Core::end_bad_tail(Circuit& circuit, Now now) {
  ++stats.tails_bad;
  end(circuit, {.why = {Errc::malformed, "the destination left something behind a payload"}}, now);
}

void Core::end_bad_cell(Circuit& circuit, std::size_t hop, Now now) {
  ++stats.cells_bad;
  end(circuit, {.why = {Errc::authentication_failed, "a cell was changed"}, .failed_hop = hop},
      now);
}

// ---- the two ends -------------------------------------------------------------------------------

std::size_t Core::sendable(const Circuit& circuit) const {
  if (circuit.phase != Phase::ready || circuit.role == CircuitRole::relay) return 0;
  const Side& out = circuit.role == CircuitRole::source ? circuit.next : circuit.previous;
  const std::size_t cell = onion::cell_bytes(circuit.priority);
  // One cell at least, or a small setting would stop bulk circuits for good.
  const std::size_t ahead = std::max(options.ahead_bytes, cell);
  const std::size_t queued = sink.queued_bytes(out.stream);
  return queued >= ahead ? 0 : (ahead - queued) / cell;
}

void Core::offer_room(Circuit& circuit, Now now) {
  if (!circuit.starved || sendable(circuit) == 0) return;
  circuit.starved = false;
  events(circuit).on_sendable(circuit.id, now);
}

// ---- time ---------------------------------------------------------------------------------------

// A circuit has one deadline. While it is ready a cell only notes the time, and the deadline moves
// when it comes: nothing is allocated or searched per cell.
void Core::set_deadline(Circuit& circuit, TimePoint when) { deadlines_.set(circuit, when); }

Circuit* Core::pop_due(Now now) {
  if (deadlines_.earliest() > now.mono) return nullptr;
  Circuit* const circuit = deadlines_.first();
  if (circuit != nullptr) set_deadline(*circuit, kNever);
  return circuit;
}

TimePoint Core::next_deadline() const { return deadlines_.earliest(); }

}  // namespace qudag::circuit
