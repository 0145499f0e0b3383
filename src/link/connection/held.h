// Datagrams of one link that came while a step of its handshake was under way.
#pragma once

#include "base/bytes.h"
#include "link/path/native_address.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace qudag::link {

inline constexpr std::size_t kHeldDatagramsMax = 16;
inline constexpr std::size_t kHeldBytesMax = 24 * 1024;

class HeldDatagrams {
 public:
  struct One {
    NativePath path;
    std::uint8_t ecn = 0;
    std::vector<std::byte> bytes;
  };

  /// A copy; false beyond the limits.
  bool add(const NativePath& path, std::uint8_t ecn, Bytes datagram) {
    std::size_t bytes = datagram.size();
    for (const One& one : all_) bytes += one.bytes.size();
    if (all_.size() >= kHeldDatagramsMax || bytes > kHeldBytesMax) return false;
    all_.push_back({path, ecn, {datagram.begin(), datagram.end()}});
    return true;
  }
  std::vector<One> take() { return std::exchange(all_, {}); }
  std::size_t size() const { return all_.size(); }

 private:
  std::vector<One> all_;
};

}  // namespace qudag::link
