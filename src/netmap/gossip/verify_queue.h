// Descriptors that wait for their signature to be verified: bounded, and fair between links.
//
// Links take turns. When the queue is full, the link that has most in it loses its oldest, so a
// link that floods loses its own. Each has a place of the largest size from the beginning, of which
// only pages that were used are resident: nothing allocates.
#pragma once

#include "base/bytes.h"
#include "base/link_id.h"
#include "base/mapped_array.h"
#include "sync/fair_lines.h"
#include "sync/ledger.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace qudag::netmap {

class VerifyQueue {
 public:
  struct Waiting {
    NodeLink link;
    Bytes raw;  // until the next call
  };

  /// waiting_max 0: takes nothing.
  explicit VerifyQueue(std::size_t waiting_max);

  void push(NodeLink link, Bytes raw, TimePoint now);
  /// The oldest of the link whose turn it is; what has waited too long is dropped.
  std::optional<Waiting> pop(TimePoint now);

  bool empty() const { return size() == 0; }
  std::size_t size() const { return ledger_.items(); }
  std::uint64_t dropped() const;
  void report(BoundedList& out, TimePoint now) const;

 private:
  struct Item {
    std::uint32_t place = 0;
    std::uint32_t bytes = 0;
    TimePoint since{};
  };

  const bool takes_any_;
  MappedArray<std::byte> room_;
  std::vector<std::uint32_t> free_;  // places in it; the one that was used last is taken first
  sync::Ledger ledger_;
  sync::FairLines<Item, NodeLink> lines_;  // by link
};

}  // namespace qudag::netmap
