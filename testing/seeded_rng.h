// Chance from a seed: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. For simulation
// only; never for keys of real nodes.
#pragma once

#include "base/rng.h"

#include <array>
#include <cstdint>

namespace qudag::testing {

class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed);
  void fill(std::span<std::byte> out) override;
  std::uint64_t next();

 private:
  std::array<std::uint64_t, 4> state_;
};

/// While it lives, OpenSSL in this process draws from the seed too (key generation, signatures,
/// TLS), so that a whole run repeats. Of several the newest is drawn from, and they end in reverse
/// order. One thread, simulations only.
class SeededOpenssl {
 public:
  explicit SeededOpenssl(std::uint64_t seed);
  ~SeededOpenssl();
  SeededOpenssl(const SeededOpenssl&) = delete;
  SeededOpenssl& operator=(const SeededOpenssl&) = delete;

 private:
  SeededRng rng_;
  SeededRng* const before_;
};

}  // namespace qudag::testing
