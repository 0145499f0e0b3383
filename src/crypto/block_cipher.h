// AES-256 of one block: a permutation that only who has the key can tell from chance or turn back.
// For names that shall show nothing (node/reply_address.h), not for texts.
#pragma once

#include "base/secret.h"
#include "crypto/aead.h"

#include <array>

namespace qudag::crypto {

/// One thread at a time.
class BlockCipher {
 public:
  using Block = std::array<std::byte, 16>;

  explicit BlockCipher(const Key256& key);
  Block encrypt(const Block& block) const;
  Block decrypt(const Block& block) const;

 private:
  CipherContext encrypt_;
  CipherContext decrypt_;
};

}  // namespace qudag::crypto
