#include "netmap/gossip/fingerprint.h"

#include "crypto/kdf.h"

#include <algorithm>

namespace qudag::netmap {

Fingerprints::Fingerprints(const wire::IdRange& range, std::uint64_t nonce) {
  out_.range = range;
  out_.nonce = nonce;
}

void Fingerprints::add(const NodeId& id, std::uint64_t rank) {
  const auto first = load_be<std::uint64_t>(id.bytes.data());
  const std::size_t part = first >> (60 - 4 * out_.range.depth) & (wire::IdRange::kParts - 1);
  while (part_ < part) end_part();
  entries_.insert(entries_.end(), id.bytes.begin(), id.bytes.end());
  entries_.resize(entries_.size() + sizeof rank);
  store_be(entries_.data() + entries_.size() - sizeof rank, rank);
}

void Fingerprints::end_part() {
  std::array<std::byte, 8> nonce;
  store_be(nonce.data(), out_.nonce);
  const crypto::Digest digest = crypto::sha256({nonce, entries_});
  const std::size_t count = entries_.size() / wire::kDigestEntryBytes;
  out_.parts[part_++] = {
      .count = static_cast<std::uint16_t>(std::min<std::size_t>(count, UINT16_MAX)),
      .fingerprint = load_be<std::uint64_t>(digest.data())};
  entries_.clear();
}

wire::Summary Fingerprints::finish() {
  while (part_ < wire::IdRange::kParts) end_part();
  return out_;
}

}  // namespace qudag::netmap
