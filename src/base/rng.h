// The seam for chance: real nodes draw from OpenSSL, the simulator from a seed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace qudag {

class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(std::span<std::byte> out) = 0;

  template <std::size_t N>
  std::array<std::byte, N> bytes() {
    std::array<std::byte, N> out;
    fill(out);
    return out;
  }

  std::uint64_t u64() {
    std::array<std::byte, 8> raw;
    fill(raw);
    std::uint64_t value = 0;
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }

  /// Uniform in [0, bound), without modulo bias; bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    std::uint64_t value = u64();
    while (value >= limit) value = u64();
    return value % bound;
  }

  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(u64() >> 11) * 0x1.0p-53; }
};

}  // namespace qudag
