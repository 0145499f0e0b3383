// A View sorts once and sums the weights once, so that a draw is a binary search.
#include "netmap/view.h"

#include "base/assert.h"

#include <algorithm>

namespace qudag::netmap {
namespace {

constexpr double kWeightRange = 8;  // around the median, both ways

double median_capacity(std::span<const EntryPtr> relays) {
  if (relays.empty()) return 1;
  std::vector<double> all;
  all.reserve(relays.size());
  for (const EntryPtr& relay : relays) all.push_back(relay->descriptor.capacity_kib_s);
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return std::max(1.0, *middle);
}

const NodeId& id_of(const EntryPtr& entry) { return entry->descriptor.id; }

std::vector<EntryPtr> sorted(std::vector<EntryPtr> entries) {
  if (!std::ranges::is_sorted(entries, {}, id_of)) std::ranges::sort(entries, {}, id_of);
  return entries;
}

}  // namespace

View::View(std::vector<EntryPtr> entries) : View(sorted(std::move(entries)), {}) {}

View::View(std::vector<EntryPtr> entries, std::vector<bool> counts) : entries_(std::move(entries)) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i]->descriptor.relay && (counts.empty() || counts[i])) {
      relays_.push_back(entries_[i]);
    }
  }
  const double median = median_capacity(relays_);
  double sum = 0;
  cumulative_.reserve(relays_.size());
  for (const EntryPtr& relay : relays_) {
    sum += std::clamp<double>(relay->descriptor.capacity_kib_s, median / kWeightRange,
                              median * kWeightRange);
    cumulative_.push_back(sum);
  }
}

EntryPtr View::find_shared(const NodeId& id) const {
  const auto at = std::ranges::lower_bound(entries_, id, {}, id_of);
  return at != entries_.end() && id_of(*at) == id ? *at : nullptr;
}

const Entry* View::find(const NodeId& id) const {
  const auto at = std::ranges::lower_bound(entries_, id, {}, id_of);
  return at != entries_.end() && id_of(*at) == id ? at->get() : nullptr;
}

double View::relay_weight(std::size_t index) const {
  QUDAG_ASSERT(index < relays_.size());
  return cumulative_[index] - (index == 0 ? 0.0 : cumulative_[index - 1]);
}

std::size_t View::relay_at(double unit) const {
  QUDAG_ASSERT(!relays_.empty());
  const auto at = std::ranges::upper_bound(cumulative_, unit * cumulative_.back());
  // Rounding can put the product onto the total.
  return std::min(static_cast<std::size_t>(at - cumulative_.begin()), relays_.size() - 1);
}

}  // namespace qudag::netmap
