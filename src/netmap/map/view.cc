// A View sorts once, so that who is asked for is found by a binary search.
#include "netmap/map/view.h"

#include "base/assert.h"

#include <algorithm>
#include <atomic>
#include <numbers>

namespace qudag::netmap {
namespace {

constexpr double kClaimRange = std::numbers::sqrt2;  // around the median, both ways

double median_capacity(std::span<const EntryPtr> relays) {
  if (relays.empty()) return 0;
  std::vector<double> all;
  all.reserve(relays.size());
  for (const EntryPtr& relay : relays) all.push_back(relay->descriptor.capacity_kib_s);
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

const NodeId& id_of(const EntryPtr& entry) { return entry->descriptor.id; }

std::vector<EntryPtr> sorted(std::vector<EntryPtr> entries) {
  if (!std::ranges::is_sorted(entries, {}, id_of)) std::ranges::sort(entries, {}, id_of);
  return entries;
}

const EntryPtr* find_in(std::span<const EntryPtr> sorted, const NodeId& id) {
  const auto at = std::ranges::lower_bound(sorted, id, {}, id_of);
  return at != sorted.end() && id_of(*at) == id ? &*at : nullptr;
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> made{0};
  return made.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

View::View(std::vector<EntryPtr> entries) : View(sorted(std::move(entries)), {}) {}

View::View(std::vector<EntryPtr> entries, std::vector<bool> counts, std::vector<EntryPtr> withdrawn,
           std::vector<std::uint8_t> doubted)
    : entries_(std::move(entries)), withdrawn_(std::move(withdrawn)), number_(next_number()) {
  const bool any_doubted = std::ranges::any_of(doubted, [](std::uint8_t one) { return one > 0; });
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i]->descriptor.relay && (counts.empty() || counts[i])) {
      relays_.push_back(entries_[i]);
      if (any_doubted) doubted_.push_back(doubted[i]);
    }
  }
  median_claim_ = median_capacity(relays_);
}

EntryPtr View::find_shared(const NodeId& id) const {
  const EntryPtr* found = find_in(entries_, id);
  return found == nullptr ? nullptr : *found;
}

const Entry* View::find(const NodeId& id) const {
  const EntryPtr* found = find_in(entries_, id);
  return found == nullptr ? nullptr : found->get();
}

const Entry* View::find_withdrawn(const NodeId& id) const {
  const EntryPtr* found = find_in(withdrawn_, id);
  return found == nullptr ? nullptr : found->get();
}

double View::claim(std::size_t index) const {
  QUDAG_ASSERT(index < relays_.size());
  if (median_claim_ == 0) return 1;
  return std::clamp(relays_[index]->descriptor.capacity_kib_s / median_claim_, 1 / kClaimRange,
                    kClaimRange);
}

double View::standing(std::size_t index) const {
  QUDAG_ASSERT(index < relays_.size());
  if (doubted_.empty()) return 1;
  return 1 - 0.5 * std::min<unsigned>(doubted_[index], kDoubtedMax) / kDoubtedMax;
}

double View::standing(const NodeId& id) const {
  if (doubted_.empty()) return 1;
  const EntryPtr* found = find_in(relays_, id);
  return found == nullptr ? 1 : standing(static_cast<std::size_t>(found - relays_.data()));
}

}  // namespace qudag::netmap
