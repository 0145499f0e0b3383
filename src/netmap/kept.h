// The body of the state file `netmap`: descriptors that are known again after a restart.
//
//   count u32 || count * (flags u8: bit 0 reached, 1 counts || told_over u8 || length u16 ||
//   descriptor)
//
// Only the form is looked at here; every descriptor is verified again (make_entry).
#pragma once

#include "base/bytes.h"
#include "netmap/netmap.h"

#include <span>
#include <vector>

namespace qudag::netmap {

inline constexpr std::size_t kKeptMax = 512;
inline constexpr std::size_t kKeptHeaderBytes = 1 + 1 + 2;
inline constexpr std::size_t kKeptFileBytesMax =
    4 + kKeptMax * (kKeptHeaderBytes + limits::kDescriptorBytesMax);

struct KeptRecord {
  bool reached = false;
  bool counts = false;
  Reach told_over = Reach::world;
  Bytes raw;  // inside what was parsed
};

/// At most kKeptMax.
std::vector<std::byte> encode_kept(std::span<const Kept> kept);
/// malformed, with what is wrong.
Result<std::vector<KeptRecord>> parse_kept(Bytes body);
/// Verifies each (0.2 ms); those that do not pass, or are over, are left out.
std::vector<Kept> verify_kept(std::span<const KeptRecord> records, UnixSeconds now);

}  // namespace qudag::netmap
