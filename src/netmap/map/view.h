// An immutable snapshot of the netmap, and the relays in it with what they claim.
//
// Any shard may hold a View and draw routes from it; a new one replaces it whole.
#pragma once

#include "netmap/map/descriptor.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace qudag::netmap {

class View {
 public:
  View() = default;
  explicit View(std::vector<EntryPtr> entries);  // any order, ids distinct; sorts by id
  /// Sorted by id already; `counts`: which of them may be relays of a route. Empty: all that say
  /// so. `withdrawn`: of nodes that have stopped, sorted. `doubted`: of `entries`, how many of
  /// kDoubtedMax parts of those that speak of it show it no more; empty: none.
  View(std::vector<EntryPtr> entries, std::vector<bool> counts,
       std::vector<EntryPtr> withdrawn = {}, std::vector<std::uint8_t> doubted = {});
  static constexpr unsigned kDoubtedMax = 8;

  const Entry* find(const NodeId& id) const;
  /// The same, as a handle; null if there is none.
  EntryPtr find_shared(const NodeId& id) const;
  std::span<const EntryPtr> entries() const { return entries_; }
  /// Of a node that said that it stops, and has not come back; null for all others. entries() and
  /// find() have none of these.
  const Entry* find_withdrawn(const NodeId& id) const;

  /// Entries that take relayed circuits, and are there as far as this node knows, by id. Nothing
  /// that they say of themselves makes one more likely than another before this node has measured
  /// it.
  std::span<const EntryPtr> relays() const { return relays_; }
  /// By how much the capacity that it claims may then move its chance: twice as much for the
  /// highest claim as for the lowest, 1 for the median's, and 1 for all if that is nothing: nobody
  /// measured these claims.
  double claim(std::size_t index) const;
  /// What others make of its chance by showing it no more: 1 to 1/2, half of what all of them
  /// together could take. Only its own silence takes it out.
  double standing(std::size_t index) const;
  /// The same, by id; 1 for one that is no relay here.
  double standing(const NodeId& id) const;
  /// Another one for each view that this process makes; 0 for one of the default constructor. What
  /// is kept about a view is kept by this: its address may be the next one's, too.
  std::uint64_t number() const { return number_; }

 private:
  std::vector<EntryPtr> entries_;
  std::vector<EntryPtr> relays_;
  std::vector<std::uint8_t> doubted_;  // of the relays; empty: none is
  std::vector<EntryPtr> withdrawn_;
  double median_claim_ = 0;  // of the relays, KiB/s
  std::uint64_t number_ = 0;
};
using ViewPtr = std::shared_ptr<const View>;

}  // namespace qudag::netmap
