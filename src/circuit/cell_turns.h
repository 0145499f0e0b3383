// Cells for this node itself, by work: what a cell costs is in it, and a cell of thirty messages is
// thirty times the work of one. So a turn handles so much, links take turns, and on a link its
// circuits. What is above that waits here, unopened, and its window with it: who sends more than
// its part waits for itself.
//
// Bounded by the windows of streams and links, which together may be more than a node has: when
// memory is short, the heaviest circuits of the link that has most here end. A circuit that waits
// takes two nodes of maps; where nothing waits nothing is kept.
#pragma once

#include "base/link_id.h"
#include "base/time.h"
#include "circuit/circuits.h"
#include "memory/block.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace qudag::circuit {

class CellTurns {
 public:
  /// Units of work, each some 50 to 100 ns: these for each cell, and what CircuitEvents::on_payload
  /// says.
  static constexpr std::int64_t kCellWork = 16;
  /// Half a millisecond to one.
  static constexpr std::int64_t kTurnWork = 8 * 1'024;
  /// Of it for a link, then the next one has its turn.
  static constexpr std::int64_t kLinkWork = 512;
  /// Of a link's cells so many of high priority may go before one of the others.
  static constexpr unsigned kUrgentInARow = 3;

  struct Next {
    CircuitId circuit;
    memory::Block cell;
  };

  /// Whether a cell that comes now is handled at once: none waits, and this turn has work left.
  bool at_once(Now now) {
    begin(now);
    return waiting_.empty() && left_ > 0;
  }
  void put(LinkId link, CircuitId circuit, Priority priority, memory::Block cell, Now now) {
    const auto [at, first] = waiting_.try_emplace(circuit.value);
    if (first) {
      at->second.since = now.mono;
      at->second.link = link;
      at->second.urgent = priority == Priority::high;
      lines_[link].of(at->second.urgent).push_back(circuit);
    }
    count(lines_[link], at->second, static_cast<std::ptrdiff_t>(cell.capacity()));
    at->second.cells.push_back(std::move(cell));
    ++cells_;
  }
  /// The first cell of the circuit whose turn it is; none if nothing waits or the work of this turn
  /// is done. charge() follows before the next one.
  std::optional<Next> next(Now now);
  /// What handling a cell was worth, of a link's part if it came from next().
  void charge(std::size_t work) {
    const auto units = static_cast<std::int64_t>(work) + kCellWork;
    left_ -= units;
    if (Line* const line = serving()) line->part -= units;
  }
  /// Work that was no cell's: so much less is left of the turn.
  void spend(std::size_t work, Now now) {
    begin(now);
    left_ -= static_cast<std::int64_t>(work);
  }
  /// The circuit has ended.
  void forget(CircuitId circuit);
  /// Since when some cell of the circuit has waited.
  TimePoint since(CircuitId circuit) const {
    const auto at = waiting_.find(circuit.value);
    return at == waiting_.end() ? kNever : at->second.since;
  }

  /// Of that circuit.
  std::size_t cells(CircuitId circuit) const {
    const auto at = waiting_.find(circuit.value);
    return at == waiting_.end() ? 0 : at->second.cells.blocks();
  }

  bool empty() const { return cells_ == 0; }
  std::size_t cells() const { return cells_; }
  /// Of blocks that hold them.
  std::size_t bytes() const { return bytes_; }
  std::size_t bytes(LinkId link) const {
    const auto line = lines_.find(link);
    return line == lines_.end() ? 0 : line->second.bytes;
  }
  /// Of the link with most bytes here, the circuit with most; something must wait.
  CircuitId heaviest() const;

 private:
  struct Waiting {
    memory::Chain cells;  // not empty
    LinkId link;
    bool urgent = false;
    std::size_t bytes = 0;  // of the blocks
    TimePoint since;
  };
  struct Line {
    std::deque<CircuitId> urgent, others;  // each has cells that wait; none: it only owes
    std::int64_t part = 0;                 // work that it may still have; below zero it owes
    std::size_t bytes = 0;                 // of blocks
    unsigned in_a_row = 0;                 // urgent ones

    std::deque<CircuitId>& of(bool is_urgent) { return is_urgent ? urgent : others; }
    bool empty() const { return urgent.empty() && others.empty(); }
    CircuitId take() {
      const bool is_urgent = !urgent.empty() && (others.empty() || in_a_row < kUrgentInARow);
      in_a_row = is_urgent ? in_a_row + 1 : 0;
      const CircuitId out = of(is_urgent).front();
      of(is_urgent).pop_front();
      return out;
    }
  };
  using Lines = std::map<LinkId, Line>;

  /// Turns differ in their time.
  void begin(Now now) {
    if (std::exchange(turn_, now.mono) != now.mono) left_ = kTurnWork;
  }
  void count(Line& line, Waiting& waiting, std::ptrdiff_t bytes) {
    for (std::size_t* sum : {&bytes_, &line.bytes, &waiting.bytes}) {
      *sum += static_cast<std::size_t>(bytes);
    }
  }
  Line* serving() {
    const auto at = lines_.find(served_);
    return at == lines_.end() ? nullptr : &at->second;
  }

  Lines lines_;  // also of links without cells, until they have paid or nothing waits
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::size_t cells_ = 0, bytes_ = 0;
  LinkId served_{};  // the link that has its turn
  TimePoint turn_{};
  std::int64_t left_ = kTurnWork;
};

inline std::optional<CellTurns::Next> CellTurns::next(Now now) {
  begin(now);
  if (waiting_.empty()) lines_.clear();
  if (lines_.empty() || left_ <= 0) return std::nullopt;
  auto line = lines_.find(served_);
  while (line == lines_.end() || line->second.part <= 0 || line->second.empty()) {
    const bool paid = line != lines_.end() && line->second.part > 0;
    line = paid ? lines_.erase(line) : lines_.upper_bound(served_);
    if (line == lines_.end()) line = lines_.begin();
    served_ = line->first;
    line->second.part += kLinkWork;
  }
  const CircuitId circuit = line->second.take();
  const auto at = waiting_.find(circuit.value);
  Next out{circuit, at->second.cells.pop_front()};
  count(line->second, at->second, -static_cast<std::ptrdiff_t>(out.cell.capacity()));
  --cells_;
  if (at->second.cells.empty()) {
    waiting_.erase(at);
  } else {
    line->second.of(at->second.urgent).push_back(circuit);
  }
  return out;
}

inline void CellTurns::forget(CircuitId circuit) {
  const auto at = waiting_.find(circuit.value);
  if (at == waiting_.end()) return;
  cells_ -= at->second.cells.blocks();
  const auto line = lines_.find(at->second.link);
  std::erase(line->second.of(at->second.urgent), circuit);
  count(line->second, at->second, -static_cast<std::ptrdiff_t>(at->second.bytes));
  waiting_.erase(at);
}

inline CircuitId CellTurns::heaviest() const {
  const auto bytes_of_line = [](const auto& line) { return line.second.bytes; };
  const Line& fullest = std::ranges::max_element(lines_, {}, bytes_of_line)->second;
  CircuitId out;
  std::size_t most = 0;
  for (const auto* circuits : {&fullest.others, &fullest.urgent}) {
    for (const CircuitId circuit : *circuits) {
      const std::size_t bytes = waiting_.at(circuit.value).bytes;
      if (bytes > most) std::tie(out, most) = std::pair(circuit, bytes);
    }
  }
  return out;
}

}  // namespace qudag::circuit
