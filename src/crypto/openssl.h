// What the files of this module share about OpenSSL: owners for its objects, algorithms fetched
// once.
//
// Fetched algorithms are immutable and live as long as the process. Operations that can only fail
// for lack of memory or through a defect are asserted with must(); what a peer can cause is not.
#pragma once

#include "base/assert.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <memory>

namespace qudag::crypto::openssl {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

using MdContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using KdfContext = std::unique_ptr<EVP_KDF_CTX, Freed<EVP_KDF_CTX_free>>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;

inline void must(int result) { QUDAG_ASSERT(result == 1); }

template <class T>
T* must_have(T* object) {
  QUDAG_ASSERT(object != nullptr);
  return object;
}

}  // namespace qudag::crypto::openssl
