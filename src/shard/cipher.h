// Options::cipher as what it means on this machine.
#pragma once

#include "crypto/aead.h"

#include <optional>
#include <string_view>

namespace qudag::shard {

/// Nothing for an unknown name.
inline std::optional<crypto::Cipher> cipher_named(std::string_view name) {
  if (name == "auto") return crypto::fastest_cipher();
  if (name == "aes-256-gcm") return crypto::Cipher::aes_256_gcm;
  if (name == "chacha20-poly1305") return crypto::Cipher::chacha20_poly1305;
  return std::nullopt;
}

}  // namespace qudag::shard
