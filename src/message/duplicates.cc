#include "message/duplicates.h"

#include <algorithm>
#include <bit>

namespace qudag::message {

bool Duplicates::contains(const wire::MessageId& id, TimePoint now) const {
  if (size_ == 0) return false;
  for (std::uint32_t at = buckets_[bucket(id)]; at != kNone; at = ring_[at].next) {
    if (ring_[at].id == id && ring_[at].expires > now) return true;
  }
  return false;
}

void Duplicates::add(const wire::MessageId& id, TimePoint expires, TimePoint now) {
  if (ids_max_ == 0) return;
  while (size_ > 0 && ring_[first_].expires <= now) drop_oldest();
  if (size_ == ring_.size()) {
    if (size_ < ids_max_) {
      grow();
    } else {
      drop_oldest();
    }
  }
  const auto at = static_cast<std::uint32_t>((first_ + size_) % ring_.size());
  ring_[at] = {id, expires, kNone};
  link(at);
  ++size_;
}

void Duplicates::link(std::uint32_t at) {
  std::uint32_t& head = buckets_[bucket(ring_[at].id)];
  ring_[at].next = head;
  head = at;
}

void Duplicates::drop_oldest() {
  std::uint32_t* at = &buckets_[bucket(ring_[first_].id)];
  while (*at != first_) at = &ring_[*at].next;
  *at = ring_[first_].next;
  first_ = (first_ + 1) % ring_.size();
  --size_;
}

void Duplicates::grow() {
  std::vector<Entry> larger(std::min(std::max<std::size_t>(ring_.size() * 2, 64), ids_max_));
  for (std::size_t i = 0; i < size_; ++i) larger[i] = ring_[(first_ + i) % ring_.size()];
  ring_.swap(larger);
  first_ = 0;
  buckets_.assign(std::bit_ceil(ring_.size()), kNone);
  for (std::uint32_t i = 0; i < size_; ++i) link(i);
}

}  // namespace qudag::message
