// SHA-256 and HKDF-SHA-256 (FIPS 180-4, RFC 5869).
#pragma once

#include "base/bytes.h"
#include "base/secret.h"

#include <array>
#include <initializer_list>
#include <string_view>

struct evp_md_ctx_st;

namespace qudag::crypto {

using Digest = std::array<std::byte, 32>;

Digest sha256(Bytes data);
/// Hash of the concatenation of the parts.
Digest sha256(std::initializer_list<Bytes> parts);

/// The same for what does not lie in one piece. finish() once, at the end.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(Bytes part);
  Digest finish();

 private:
  evp_md_ctx_st* ctx_;
};

/// HKDF-Extract(salt, ikm).
Key256 hkdf_extract(Bytes salt, Bytes ikm);
/// HKDF-Expand(prk, info = label || context, out.size()); out.size() <= 255 * 32.
void hkdf_expand(const Key256& prk, std::string_view label, Bytes context, MutableBytes out);
Key256 hkdf_expand_key(const Key256& prk, std::string_view label, Bytes context = {});

}  // namespace qudag::crypto
