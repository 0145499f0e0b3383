// The header gives the count, the count gives the only valid length.
#include "wire/gossip.h"

namespace qudag::wire {
namespace {

constexpr std::uint8_t kAskEntries = 0x80;

NodeId id_at(Bytes table, std::size_t offset) {
  NodeId id;
  std::memcpy(id.bytes.data(), table.subspan(offset, NodeId::kSize).data(), NodeId::kSize);
  return id;
}

IdRange read_range(ByteReader& in) {
  IdRange range;
  range.prefix = in.u64();
  range.depth = in.u8();
  return range;
}

void write_range(ByteWriter& out, const IdRange& range) {
  out.u64(range.prefix);
  out.u8(range.depth);
}

}  // namespace

std::optional<DigestView> DigestView::parse(Bytes body) {
  ByteReader in(body);
  DigestView view;
  view.range_ = read_range(in);
  const std::size_t count = in.u16();
  if (!in.ok() || !view.range_.valid() || count > kDigestEntriesMax) return std::nullopt;
  view.entries_ = in.take(count * kDigestEntryBytes);
  if (!in.done()) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    const NodeId id = id_at(view.entries_, i * kDigestEntryBytes);
    if (!view.range_.contains(id)) return std::nullopt;
    if (i > 0 && !(id_at(view.entries_, (i - 1) * kDigestEntryBytes) < id)) return std::nullopt;
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

std::optional<Summary> parse_summary(Bytes body) {
  ByteReader in(body);
  Summary out;
  out.range = read_range(in);
  out.nonce = in.u64();
  for (Summary::Part& part : out.parts) {
    part.count = in.u16();
    part.fingerprint = in.u64();
  }
  if (!in.done() || !out.range.valid() || out.range.depth == IdRange::kDepthMax) {
    return std::nullopt;
  }
  return out;
}

std::array<std::byte, kSummaryBytes> encode_summary(const Summary& summary) {
  QUDAG_ASSERT(summary.range.valid() && summary.range.depth < IdRange::kDepthMax);
  std::array<std::byte, kSummaryBytes> body;
  ByteWriter out(body);
  write_range(out, summary.range);
  out.u64(summary.nonce);
  for (const Summary::Part& part : summary.parts) {
    out.u16(part.count);
    out.u64(part.fingerprint);
  }
  QUDAG_ASSERT(out.remaining() == 0);
  return body;
}

std::optional<std::vector<Ask>> parse_ask(Bytes body) {
  ByteReader in(body);
  const std::size_t count = in.u8();
  if (!in.ok() || count > kAskRangesMax || in.remaining() != count * kRangeBytes) {
    return std::nullopt;
  }
  std::vector<Ask> out;
  for (std::size_t i = 0; i < count; ++i) {
    Ask ask{.range = read_range(in)};
    ask.entries = (ask.range.depth & kAskEntries) != 0;
    ask.range.depth &= static_cast<std::uint8_t>(~kAskEntries);
    if (!ask.range.valid()) return std::nullopt;
    if (!ask.entries && ask.range.depth == IdRange::kDepthMax) return std::nullopt;
    out.push_back(ask);
  }
  return out;
}

std::vector<std::byte> encode_ask(std::span<const Ask> asks) {
  QUDAG_ASSERT(asks.size() <= kAskRangesMax);
  std::vector<std::byte> body(1 + asks.size() * kRangeBytes);
  ByteWriter out(body);
  out.u8(static_cast<std::uint8_t>(asks.size()));
  for (const Ask& ask : asks) {
    out.u64(ask.range.prefix);
    out.u8(static_cast<std::uint8_t>(ask.range.depth | (ask.entries ? kAskEntries : 0)));
  }
  return body;
}

std::vector<std::byte> encode_digest(const IdRange& range, std::span<const DigestEntry> entries) {
  QUDAG_ASSERT(range.valid() && entries.size() <= kDigestEntriesMax);
  std::vector<std::byte> body(kDigestHeaderBytes + entries.size() * kDigestEntryBytes);
  ByteWriter out(body);
  write_range(out, range);
  out.u16(static_cast<std::uint16_t>(entries.size()));
  for (const DigestEntry& entry : entries) {
    QUDAG_ASSERT(range.contains(entry.id));
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
