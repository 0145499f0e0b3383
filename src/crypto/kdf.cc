// SHA-256 and HKDF over EVP. One context per thread and algorithm, made once: the digest then
// allocates nothing; EVP_KDF copies its inputs and wipes them in reset(), which every path reaches.
#include "crypto/kdf.h"

#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

namespace qudag::crypto {
namespace {

using openssl::must;

const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const md = openssl::must_have(EVP_MD_fetch(nullptr, "SHA2-256", nullptr));
  return md;
}

EVP_KDF* hkdf_algorithm() {
  static EVP_KDF* const kdf = openssl::must_have(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  return kdf;
}

EVP_MD_CTX* thread_digest() {
  thread_local const openssl::MdContext ctx(openssl::must_have(EVP_MD_CTX_new()));
  return ctx.get();
}

EVP_KDF_CTX* thread_kdf() {
  thread_local const openssl::KdfContext ctx(openssl::must_have(EVP_KDF_CTX_new(hkdf_algorithm())));
  return ctx.get();
}

/// OSSL_PARAM has no const pointers; EVP_KDF only reads these. A null pointer would be an error
/// also for nothing, which an empty span may have.
OSSL_PARAM octets(const char* name, Bytes bytes) {
  static constexpr std::byte kNothing[1]{};
  if (bytes.empty()) bytes = Bytes(kNothing).first(0);
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()),
                                           bytes.size());
}

OSSL_PARAM digest_name() {
  static char name[] = "SHA2-256";
  return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0);
}

void derive(const OSSL_PARAM* params, MutableBytes out) {
  EVP_KDF_CTX* ctx = thread_kdf();
  const int result = EVP_KDF_derive(ctx, u8(out), out.size(), params);
  EVP_KDF_CTX_reset(ctx);
  must(result);
}

}  // namespace

Digest sha256(Bytes data) { return sha256({data}); }

Digest sha256(std::initializer_list<Bytes> parts) {
  EVP_MD_CTX* ctx = thread_digest();
  must(EVP_DigestInit_ex2(ctx, sha256_algorithm(), nullptr));
  for (const Bytes part : parts) must(EVP_DigestUpdate(ctx, part.data(), part.size()));
  Digest out;
  must(EVP_DigestFinal_ex(ctx, u8(MutableBytes(out)), nullptr));
  return out;
}

Sha256::Sha256() : ctx_(openssl::must_have(EVP_MD_CTX_new())) {
  must(EVP_DigestInit_ex2(ctx_, sha256_algorithm(), nullptr));
}

Sha256::~Sha256() { EVP_MD_CTX_free(ctx_); }

void Sha256::add(Bytes part) { must(EVP_DigestUpdate(ctx_, part.data(), part.size())); }

Digest Sha256::finish() {
  Digest out;
  must(EVP_DigestFinal_ex(ctx_, u8(MutableBytes(out)), nullptr));
  return out;
}

Key256 hkdf_extract(Bytes salt, Bytes ikm) {
  int mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
  const OSSL_PARAM params[] = {digest_name(), OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                               octets(OSSL_KDF_PARAM_SALT, salt), octets(OSSL_KDF_PARAM_KEY, ikm),
                               OSSL_PARAM_construct_end()};
  Key256 prk;
  derive(params, prk.span());
  return prk;
}

void hkdf_expand(const Key256& prk, std::string_view label, Bytes context, MutableBytes out) {
  if (out.empty()) return;
  QUDAG_ASSERT(out.size() <= std::size_t{255} * 32);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  // EVP_KDF-HKDF concatenates several "info" parameters in order.
  const OSSL_PARAM params[] = {digest_name(),
                               OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                               octets(OSSL_KDF_PARAM_KEY, prk.span()),
                               octets(OSSL_KDF_PARAM_INFO, as_bytes(label)),
                               octets(OSSL_KDF_PARAM_INFO, context),
                               OSSL_PARAM_construct_end()};
  derive(params, out);
}

Key256 hkdf_expand_key(const Key256& prk, std::string_view label, Bytes context) {
  Key256 key;
  hkdf_expand(prk, label, context, key.span());
  return key;
}

}  // namespace qudag::crypto
