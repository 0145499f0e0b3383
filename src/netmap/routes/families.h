// Which IP families a node has, by the addresses at which it may be dialed: its socket sends where
// it listens. A hop must have one in common with the hop before it, or no link can be made.
#pragma once

#include "netmap/map/descriptor.h"

#include <cstdint>

namespace qudag::netmap {

/// A sum of bits.
using Families = std::uint8_t;
inline constexpr Families kIpv4 = 1, kIpv6 = 2, kBothFamilies = kIpv4 | kIpv6;

inline Families families_of(const Entry& entry) {
  Families out = 0;
  for (const SocketAddress& at : entry.descriptor.addresses) {
    if (entry.dialable(at)) out |= at.is_v4() ? kIpv4 : kIpv6;
  }
  return out;
}

inline bool share_family(const Entry& a, const Entry& b) {
  return (families_of(a) & families_of(b)) != 0;
}

}  // namespace qudag::netmap
