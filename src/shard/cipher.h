// Options::cipher as what it means on this machine.
#pragma once

#include "crypto/aead.h"

#include <qudag/options.h>

namespace qudag::shard {

inline crypto::Cipher cipher_on_this_machine(Cipher wanted) {
  switch (wanted) {
    case Cipher::aes_256_gcm:
      return crypto::Cipher::aes_256_gcm;
    case Cipher::chacha20_poly1305:
      return crypto::Cipher::chacha20_poly1305;
    case Cipher::automatic:
      break;
  }
  return crypto::fastest_cipher();
}

}  // namespace qudag::shard
