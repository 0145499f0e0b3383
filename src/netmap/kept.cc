#include "netmap/kept.h"

#include <algorithm>
#include <utility>

namespace qudag::netmap {

std::vector<std::byte> encode_kept(std::span<const Kept> kept) {
  kept = kept.first(std::min(kept.size(), kKeptMax));
  std::size_t size = 4;
  for (const Kept& one : kept) size += kKeptHeaderBytes + one.entry->raw.size();
  std::vector<std::byte> body(size);
  ByteWriter out(body);
  out.u32(static_cast<std::uint32_t>(kept.size()));
  for (const Kept& one : kept) {
    out.u8(static_cast<std::uint8_t>((one.reached ? 1 : 0) | (one.counts ? 2 : 0)));
    out.u8(static_cast<std::uint8_t>(one.entry->told_over));
    out.u16(static_cast<std::uint16_t>(one.entry->raw.size()));
    out.put(one.entry->raw);
  }
  return body;
}

Result<std::vector<KeptRecord>> parse_kept(Bytes body) {
  ByteReader in(body);
  const std::size_t count = in.u32();
  if (!in.ok() || count > kKeptMax) return fail(Errc::malformed, "number of descriptors");
  std::vector<KeptRecord> out;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t flags = in.u8();
    const std::uint8_t told_over = in.u8();
    const std::size_t length = in.u16();
    const Bytes raw = in.take(length);
    if (!in.ok()) return fail(Errc::malformed, "a descriptor is cut off");
    if (flags > 3 || told_over >= kReachCount)
      return fail(Errc::malformed, "flags of a descriptor");
    out.push_back({(flags & 1) != 0, (flags & 2) != 0, static_cast<Reach>(told_over), raw});
  }
  if (!in.done()) return fail(Errc::malformed, "bytes after the last descriptor");
  return out;
}

std::vector<Kept> verify_kept(std::span<const KeptRecord> records, UnixSeconds now) {
  std::vector<Kept> out;
  for (const KeptRecord& record : records) {
    auto entry = make_entry(record.raw, now, record.told_over);
    if (entry) out.push_back({std::move(*entry), record.reached, record.counts});
  }
  return out;
}

}  // namespace qudag::netmap
