// What a set of descriptors is, part by part of a range of ids, in sixteen numbers
// (docs/reference/protocol.md, 8.2).
//
// A fingerprint is the beginning of a SHA-256 over a nonce and the entries. Who chooses descriptors
// does not know the nonce, which is drawn for each summary: so there is nothing to look for a
// collision with, and eight bytes are enough.
#pragma once

#include "wire/gossip.h"

#include <cstdint>
#include <vector>

namespace qudag::netmap {

class Fingerprints {
 public:
  /// range.depth < IdRange::kDepthMax.
  Fingerprints(const wire::IdRange& range, std::uint64_t nonce);
  /// Of the range, by id, each once.
  void add(const NodeId& id, std::uint64_t rank);
  wire::Summary finish();

 private:
  void end_part();

  wire::Summary out_;
  std::size_t part_ = 0;
  std::vector<std::byte> entries_;  // of this part
};

}  // namespace qudag::netmap
