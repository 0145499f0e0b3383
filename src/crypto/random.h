// The Rng of real nodes: OpenSSL's DRBG. Thread-safe.
#pragma once

#include "base/bytes.h"
#include "base/rng.h"

namespace qudag::crypto {

class SystemRng final : public Rng {
 public:
  void fill(std::span<std::byte> out) override;
};

}  // namespace qudag::crypto
