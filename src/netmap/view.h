// An immutable snapshot of the netmap, and the relays in it with their weights.
//
// Any shard may hold a View and draw routes from it; a new one replaces it whole.
#pragma once

#include "netmap/descriptor.h"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace qudag::netmap {

class View {
 public:
  View() = default;
  explicit View(std::vector<EntryPtr> entries);  // any order, ids distinct; sorts by id
  /// Sorted by id already; `counts`: which of them may be relays of a route. Empty: all that say
  /// so.
  View(std::vector<EntryPtr> entries, std::vector<bool> counts);

  const Entry* find(const NodeId& id) const;
  /// The same, as a handle; null if there is none.
  EntryPtr find_shared(const NodeId& id) const;
  std::span<const EntryPtr> entries() const { return entries_; }

  /// Entries that take relayed circuits, and are there as far as this node knows, by id. Their
  /// weight is the capacity that they claim, held between an eighth and eight times the median:
  /// nobody measured it, so nobody gains much by claiming more, and the slowest still carries some.
  std::span<const EntryPtr> relays() const { return relays_; }
  double relay_weight(std::size_t index) const;
  /// The relay whose share of [0, 1) holds `unit`: a draw by weight. relays() must not be empty.
  std::size_t relay_at(double unit) const;

 private:
  std::vector<EntryPtr> entries_;
  std::vector<EntryPtr> relays_;
  std::vector<double> cumulative_;  // sums of weights, same order as relays_
};
using ViewPtr = std::shared_ptr<const View>;

}  // namespace qudag::netmap
