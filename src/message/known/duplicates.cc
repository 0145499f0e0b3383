#include "message/known/duplicates.h"

#include <algorithm>
#include <bit>

namespace qudag::message {
namespace {

constexpr std::size_t kPrefetchAhead = 8;

}  // namespace

std::size_t Duplicates::find(const wire::MessageId& id, TimePoint now) const {
  if (size_ == 0) return ring_.size();
  const std::uint32_t hash = hash_of(id);
  for (std::size_t at = hash & (table_.size() - 1); table_[at].place != 0; at = next(at)) {
    if (table_[at].hash != hash) continue;
    const Entry& entry = ring_[table_[at].place - 1];
    if (entry.id == id && entry.expires > now) return table_[at].place - 1;
  }
  return ring_.size();
}

bool Duplicates::contains(const wire::MessageId& id, TimePoint now) const {
  return find(id, now) < ring_.size();
}

void Duplicates::forget(const wire::MessageId& id, TimePoint now) {
  const std::size_t place = find(id, now);
  if (place == ring_.size()) return;
  unlink(place);  // or one id, again and again, would lengthen the way to itself
  ring_[place].expires = kForgotten;
}

bool Duplicates::add(const wire::MessageId& id, TimePoint expires, TimePoint now) {
  if (ids_max_ == 0) return true;
  while (size_ > 0 && ring_[first_].expires <= now) drop_oldest();
  bool forgot = false;
  if (size_ == ring_.size()) {
    if (size_ < ids_max_) {
      grow();
    } else {
      drop_oldest();
      forgot = true;
    }
  }
  const std::size_t place = (first_ + size_) % ring_.size();
  ring_[place] = {id, expires};
  link(place);
  ++size_;
  return forgot;
}

void Duplicates::link(std::size_t place) {
  const std::uint32_t hash = hash_of(ring_[place].id);
  std::size_t at = hash & (table_.size() - 1);
  while (table_[at].place != 0) at = next(at);
  table_[at] = {static_cast<std::uint32_t>(place + 1), hash};
}

void Duplicates::unlink(std::size_t place) {
  const std::size_t mask = table_.size() - 1;
  std::size_t hole = hash_of(ring_[place].id) & mask;
  while (table_[hole].place != place + 1) hole = next(hole);
  // Moves up what was pushed on by it, until a free slot: no look-up stops too early.
  for (std::size_t at = next(hole); table_[at].place != 0; at = next(at)) {
    const std::size_t home = table_[at].hash & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = {};
}

void Duplicates::drop_oldest() {
  const std::size_t mask = table_.size() - 1;
  if (ring_[first_].expires != kForgotten) unlink(first_);
  first_ = (first_ + 1) % ring_.size();
  --size_;
  // A full window drops one id for each that comes; the line of the table that this will touch is
  // known long before.
  if (size_ > kPrefetchAhead) {
    const Entry& soon = ring_[(first_ + kPrefetchAhead) % ring_.size()];
    __builtin_prefetch(&table_[hash_of(soon.id) & mask], 1);
  }
}

void Duplicates::grow() {
  std::vector<Entry> larger(std::min(std::max<std::size_t>(ring_.size() * 2, 64), ids_max_));
  for (std::size_t i = 0; i < size_; ++i) larger[i] = ring_[(first_ + i) % ring_.size()];
  ring_.swap(larger);
  first_ = 0;
  table_.assign(std::bit_ceil(ring_.size() * 2), {});
  table_at_.store(reinterpret_cast<std::uintptr_t>(table_.data()), std::memory_order_relaxed);
  table_mask_.store(table_.size() - 1, std::memory_order_relaxed);
  for (std::size_t place = 0; place < size_; ++place) {
    if (ring_[place].expires != kForgotten) link(place);
  }
}

}  // namespace qudag::message
