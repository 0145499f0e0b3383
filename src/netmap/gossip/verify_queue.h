// Descriptors that wait for their signature to be verified: bounded, and fair between links.
//
// Links take turns. When the queue is full, the link that has most in it loses its oldest, so a
// link that floods loses its own.
#pragma once

#include "base/bytes.h"
#include "base/link_id.h"
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
    std::vector<std::byte> raw;
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
    std::vector<std::byte> raw;
    TimePoint since;
  };

  const bool takes_any_;
  sync::Ledger ledger_;
  sync::FairLines<Item, NodeLink> lines_;  // by link
};

}  // namespace qudag::netmap
