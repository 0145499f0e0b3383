// Whom to tell how a send ended, for each that has not: by the place that the message has in the
// table of messages/ (the low half of its SendId), so that nothing is searched or allocated.
//
// Threads: the shard's. Limits: as many as there are places.
#pragma once

#include "base/assert.h"
#include "base/mapped_array.h"
#include "message/messages.h"

#include <qudag/message.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace qudag::shard {

struct Pending {
  Completion done{};
  Progress progress{};
  MessageId id{};
  Priority priority = Priority::normal;
  std::uint32_t bytes = 0;  // of the payload
};

class Completions {
 public:
  explicit Completions(std::size_t sends_max) : places_(sends_max) {}
  ~Completions() { std::destroy_n(places_.data(), made_); }
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  void put(message::SendId id, Pending pending) {
    const std::size_t place = id.place();
    QUDAG_ASSERT(place < places_.size());
    while (made_ <= place) std::construct_at(&places_[made_++]);
    Place& at = places_[place];
    QUDAG_DCHECK(!at.pending);
    at.id = id;
    at.pending.emplace(std::move(pending));
    ++size_;
  }
  /// Null if there is none of that id.
  Pending* find(message::SendId id) {
    const std::size_t place = id.place();
    if (place >= made_) return nullptr;
    Place& at = places_[place];
    return at.id == id && at.pending ? &*at.pending : nullptr;
  }
  std::optional<Pending> take(message::SendId id) {
    if (find(id) == nullptr) return std::nullopt;
    --size_;
    return std::exchange(places_[id.place()].pending, std::nullopt);
  }
  std::size_t size() const { return size_; }

 private:
  struct Place {
    message::SendId id;
    std::optional<Pending> pending;
  };

  MappedArray<Place> places_;
  std::size_t made_ = 0;  // places that were used at least once
  std::size_t size_ = 0;
};

}  // namespace qudag::shard
