// Windows that a relay holds back because the rate of its quota is used up: who gets theirs next.
// The bytes have left, so they take no memory here; their sender waits for the window.
//
// Links take turns, and on a link its circuits; bulk has one turn in four where others wait. What a
// circuit still owed when it ended is its link's debt, and has every second turn of the link: who
// opens circuits, fills their windows and ends them waits for itself, and takes no more than half
// from those whose circuits came over the same link. Debts of links that ended are one line, which
// has every second turn of all: to close a link and dial another pays for nothing.
//
// Bounded by the sides of circuits: each stands here once. Threads: one owner. Pure.
#pragma once

#include "base/link_id.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

namespace qudag::circuit {

class HeldWindows {
 public:
  /// What a link is given in a turn, in one or more pieces.
  static constexpr std::uint64_t kPartBytes = 16 * 1024;

  /// Whose turn it is: a debt of that link, or the window of a side (its context).
  struct Turn {
    LinkId link;
    std::uint64_t debt = 0;  // not 0: of the link
    std::uint64_t context = 0;
    bool bulk = false;
  };

  void add(LinkId link, bool bulk, std::uint64_t context) {
    lines_[link].of(bulk).push_back(context);
    ++windows_;
  }
  /// It stands here.
  void remove(LinkId link, bool bulk, std::uint64_t context) {
    const auto line = lines_.find(link);
    std::erase(line->second.of(bulk), context);
    --windows_;
    end_if_empty(line);
  }
  void owe(LinkId link, std::uint64_t bytes) {
    if (bytes == 0) return;
    lines_[link].debt += bytes;
    debt_ += bytes;
  }
  void link_gone(LinkId link) {
    const auto line = lines_.find(link);
    if (line == lines_.end() || line->second.debt == 0) return;
    lines_[LinkId{}].debt += std::exchange(line->second.debt, 0);
    end_if_empty(line);
  }

  /// Something must wait. Then paid() or served(), with what it was given: a link has its turn
  /// until kPartBytes are used up, however small the pieces are.
  Turn next() {
    auto at = lines_.find(served_);
    if (part_ == 0 || at == lines_.end()) {
      at = next_line();
      served_ = at->first;
      part_ = kPartBytes;
      picked_ = false;
      at->second.pays = !at->second.pays;
    }
    Line& line = at->second;
    const bool waits = !line.urgent.empty() || !line.bulk.empty();
    if (line.debt > 0 && (line.pays || !waits)) return {.link = served_, .debt = line.debt};
    if (!std::exchange(picked_, true) || line.of(bulk_).empty()) pick(line);
    return {.link = served_, .context = line.of(bulk_).front(), .bulk = bulk_};
  }
  void paid(const Turn& turn, std::uint64_t bytes) {
    const auto line = lines_.find(turn.link);
    line->second.debt -= bytes;
    debt_ -= bytes;
    part_ -= std::min(part_, bytes);
    end_if_empty(line);
  }
  /// `more`: of its window something is still held.
  void served(const Turn& turn, std::uint64_t bytes, bool more) {
    part_ -= std::min(part_, bytes);
    if (more && part_ > 0) return;
    const auto line = lines_.find(turn.link);
    auto& from = line->second.of(turn.bulk);
    from.pop_front();
    picked_ = false;
    if (more) {
      from.push_back(turn.context);
    } else {
      --windows_;
    }
    end_if_empty(line);
  }

  bool empty() const { return lines_.empty(); }
  std::size_t lines() const { return lines_.size(); }
  std::size_t windows() const { return windows_; }
  std::uint64_t debt() const { return debt_; }
  std::uint64_t debt(LinkId link) const {
    const auto line = lines_.find(link);
    return line == lines_.end() ? 0 : line->second.debt;
  }

 private:
  static constexpr unsigned kInARow = 3;
  struct Line {
    std::deque<std::uint64_t> urgent, bulk;
    std::uint64_t debt = 0;
    unsigned in_a_row = 0;  // urgent ones
    bool pays = false;      // its debt has this turn

    std::deque<std::uint64_t>& of(bool is_bulk) { return is_bulk ? bulk : urgent; }
  };
  using Lines = std::map<LinkId, Line>;

  Lines::iterator next_line() {
    const auto gone = lines_.find(LinkId{});
    if (gone != lines_.end() && (!(served_ == LinkId{}) || lines_.size() == 1)) return gone;
    auto at = lines_.upper_bound(last_);
    if (at != lines_.end() && at->first == LinkId{}) ++at;
    if (at == lines_.end()) at = lines_.begin();
    if (at->first == LinkId{}) ++at;  // there is another one
    last_ = at->first;
    return at;
  }
  void pick(Line& line) {
    bulk_ = line.urgent.empty() || (!line.bulk.empty() && line.in_a_row >= kInARow);
    line.in_a_row = bulk_ ? 0 : line.in_a_row + 1;
  }
  void end_if_empty(Lines::iterator line) {
    const Line& is = line->second;
    if (is.debt == 0 && is.urgent.empty() && is.bulk.empty()) lines_.erase(line);
  }

  Lines lines_;
  std::size_t windows_ = 0;
  std::uint64_t debt_ = 0;  // of all links
  LinkId served_{};         // the link that has its turn
  LinkId last_{};           // of those that are there
  std::uint64_t part_ = 0;  // of which so much is left
  bool picked_ = false, bulk_ = false;
};

}  // namespace qudag::circuit
