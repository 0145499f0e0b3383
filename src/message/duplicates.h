// The ids of messages that were delivered, so that a copy over another circuit is not delivered
// again.
//
// A ring in the order of arrival and a hash table over it, both growing to `ids_max`. Then the
// oldest goes: an adversary who fills the window can have its own messages delivered twice, and
// those of others only if it delivers ids_max messages within their lifetime.
#pragma once

#include "base/time.h"
#include "message/assembly.h"

#include <cstdint>
#include <vector>

namespace qudag::message {

class Duplicates {
 public:
  Duplicates(std::size_t ids_max, IdHash hash) : ids_max_(ids_max), hash_(hash) {}

  bool contains(const wire::MessageId& id, TimePoint now) const;
  void add(const wire::MessageId& id, TimePoint expires, TimePoint now);
  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Entry {
    wire::MessageId id{};
    TimePoint expires{};
    std::uint32_t next = kNone;  // in the same bucket
  };

  std::size_t bucket(const wire::MessageId& id) const {
    return static_cast<std::size_t>(hash_.hash(id)) & (buckets_.size() - 1);
  }
  void grow();
  void link(std::uint32_t at);
  void drop_oldest();

  std::size_t ids_max_;
  IdHash hash_;
  std::vector<Entry> ring_;
  std::vector<std::uint32_t> buckets_;  // a power of two, at least the ring's size
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace qudag::message
