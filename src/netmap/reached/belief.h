// Which relays count: those that this node reached itself, and those that somebody it has reason to
// believe says it reached.
//
// A node shows a relay in its DIGEST only when it completed a link to it
// (docs/reference/protocol.md, 8.2). So the digests of our bootstrap entries and our guards say who
// is there; digests of anybody else say nothing. One of them is enough while we hear of fewer than
// three; then two must agree. Who shows less than three quarters of what the others usually do has
// not looked at them yet, and does not count among the three.
//
// Limits: as many as we chose to believe; Store::kVouchersMax of them for each relay.
#pragma once

#include "base/time.h"
#include "netmap/map/store.h"
#include "wire/gossip.h"

#include <cstddef>
#include <map>
#include <set>
#include <span>

namespace qudag::netmap {

class Belief {
 public:
  explicit Belief(Store& store) : store_(store) {}

  /// Bootstrap entries and guards.
  void set(std::set<NodeId> ids);
  bool in(const NodeId& id) const { return believed_.contains(id); }
  /// What one of them shows of a range, by id.
  void on_shown_range(const NodeId& of, const wire::IdRange& range,
                      std::span<const wire::DigestEntry> entries, Now now);
  /// One of them shows what it showed before.
  void heard(const NodeId& of, Now now);
  /// One of them passed that one on.
  void on_shown(const NodeId& by, Record& held, Now now);
  /// Whether it counts may have changed.
  void judge(Record& held, Now now);
  /// All of them: some are not heard of any more.
  void judge_all(Now now);
  /// How many must agree may have changed: judge_all() is due.
  bool stale() const { return stale_; }
  bool is_believed(const Record& held) const;
  /// It counted when this node ended: it goes on, until those that are believed tell otherwise.
  void remember(Record& held, Now now);
  std::size_t needed() const { return needed_; }

 private:
  void count_needed(Now now);
  static void drop(Record& held, const NodeId& voucher);

  Store& store_;
  std::set<NodeId> believed_;
  std::map<NodeId, TimePoint> heard_;  // of them: when they last sent a digest
  std::size_t needed_ = 1;
  bool deaf_ = true;  // none of them was heard of lately
  bool stale_ = false;
};

}  // namespace qudag::netmap
