// A bounded pool for records of one type: envelopes, circuit records, queue entries.
//
// make() constructs in a slot of the free list, the handle destroys and gives the slot back. Slots
// come from the system in chunks and stay: after warm-up there are no allocations. Every record
// must be back before the pool ends (asserted).
//
// Threads: one owner, for make() and for the end of handles. Limits: `records_max`.
#pragma once

#include "base/assert.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace qudag::memory {

template <class T>
class RecordPool {
 public:
  struct GiveBack {
    RecordPool* pool = nullptr;
    void operator()(T* record) const noexcept { pool->give_back(record); }
  };
  /// Like unique_ptr<T>; must end before the pool does.
  using Handle = std::unique_ptr<T, GiveBack>;

  explicit RecordPool(std::size_t records_max, std::size_t chunk_records = 64)
      : records_max_(records_max), chunk_records_(std::max<std::size_t>(1, chunk_records)) {
    chunks_.reserve((records_max_ + chunk_records_ - 1) / chunk_records_);
  }
  ~RecordPool() { QUDAG_ASSERT(in_use_ == 0); }
  RecordPool(const RecordPool&) = delete;
  RecordPool& operator=(const RecordPool&) = delete;

  /// Null when the limit is reached; the arguments are then not used.
  template <class... Args>
  Handle make(Args&&... args) {
    if (free_ == nullptr && !add_chunk()) {
      ++refused_;
      return Handle(nullptr, GiveBack{this});
    }
    Slot* slot = std::exchange(free_, free_->next);
    T* record = ::new (static_cast<void*>(slot->raw)) T(std::forward<Args>(args)...);
    peak_ = std::max(peak_, ++in_use_);
    return Handle(record, GiveBack{this});
  }

  std::size_t in_use() const { return in_use_; }
  std::size_t peak() const { return peak_; }
  std::size_t records_max() const { return records_max_; }
  std::uint64_t refused() const { return refused_; }
  /// Memory held, used or not.
  std::size_t bytes() const { return made_ * sizeof(Slot); }

 private:
  union Slot {
    Slot* next;
    alignas(T) std::byte raw[sizeof(T)];
  };

  bool add_chunk() {
    const std::size_t n = std::min(chunk_records_, records_max_ - made_);
    if (n == 0) return false;
    chunks_.push_back(std::make_unique_for_overwrite<Slot[]>(n));
    made_ += n;
    for (std::size_t i = n; i-- > 0;) push(&chunks_.back()[i]);
    return true;
  }

  void push(Slot* slot) {
    slot->next = free_;
    free_ = slot;
  }

  void give_back(T* record) noexcept {
    std::destroy_at(record);
    push(reinterpret_cast<Slot*>(record));
    --in_use_;
  }

  std::size_t records_max_;
  std::size_t chunk_records_;
  std::size_t made_ = 0;
  std::size_t in_use_ = 0;
  std::size_t peak_ = 0;
  std::uint64_t refused_ = 0;
  Slot* free_ = nullptr;
  std::vector<std::unique_ptr<Slot[]>> chunks_;
};

}  // namespace qudag::memory
