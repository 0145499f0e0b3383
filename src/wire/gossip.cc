// DIGEST and WANT: the header gives the count, the count gives the only valid length.
#include "wire/gossip.h"

namespace qudag::wire {
namespace {

bool in_range(std::byte first, std::uint8_t lo, std::uint8_t hi) {
  const auto value = std::to_integer<std::uint8_t>(first);
  return value >= lo && value <= hi;
}

NodeId id_at(Bytes table, std::size_t offset) {
  NodeId id;
  std::memcpy(id.bytes.data(), table.subspan(offset, NodeId::kSize).data(), NodeId::kSize);
  return id;
}

}  // namespace

std::optional<DigestView> DigestView::parse(Bytes body) {
  ByteReader in(body);
  DigestView view;
  view.lo_ = in.u8();
  view.hi_ = in.u8();
  const std::size_t count = in.u16();
  if (!in.ok() || view.lo_ > view.hi_ || count > kDigestEntriesMax) return std::nullopt;
  view.entries_ = in.take(count * kDigestEntryBytes);
  if (!in.done()) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    if (!in_range(view.entries_[i * kDigestEntryBytes], view.lo_, view.hi_)) return std::nullopt;
  }
  return view;
}

DigestEntry DigestView::at(std::size_t index) const {
  QUDAG_ASSERT(index < size());
  const std::size_t offset = index * kDigestEntryBytes;
  return {id_at(entries_, offset),
          load_be<std::uint64_t>(entries_.data() + offset + NodeId::kSize)};
}

std::optional<WantView> WantView::parse(Bytes body) {
  ByteReader in(body);
  const std::size_t count = in.u16();
  if (!in.ok() || count > kWantIdsMax) return std::nullopt;
  WantView view;
  view.ids_ = in.take(count * NodeId::kSize);
  if (!in.done()) return std::nullopt;
  return view;
}

NodeId WantView::at(std::size_t index) const {
  QUDAG_ASSERT(index < size());
  return id_at(ids_, index * NodeId::kSize);
}

std::vector<std::byte> encode_digest(std::uint8_t lo, std::uint8_t hi,
                                     std::span<const DigestEntry> entries) {
  QUDAG_ASSERT(lo <= hi && entries.size() <= kDigestEntriesMax);
  std::vector<std::byte> body(kDigestHeaderBytes + entries.size() * kDigestEntryBytes);
  ByteWriter out(body);
  out.u8(lo);
  out.u8(hi);
  out.u16(static_cast<std::uint16_t>(entries.size()));
  for (const DigestEntry& entry : entries) {
    QUDAG_ASSERT(in_range(entry.id.bytes[0], lo, hi));
    out.put(entry.id.bytes);
    out.u64(entry.rank);
  }
  return body;
}

void write_want(std::span<const NodeId> ids, MutableBytes body) {
  QUDAG_ASSERT(ids.size() <= kWantIdsMax && body.size() == want_bytes(ids.size()));
  ByteWriter out(body);
  out.u16(static_cast<std::uint16_t>(ids.size()));
  for (const NodeId& id : ids) out.put(id.bytes);
}

std::vector<std::byte> encode_want(std::span<const NodeId> ids) {
  std::vector<std::byte> body(want_bytes(ids.size()));
  write_want(ids, body);
  return body;
}

}  // namespace qudag::wire
