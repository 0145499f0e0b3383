// ML-DSA-65 over EVP: pure signatures (not pre-hashed) with a context string.
#include "crypto/identity.h"

#include "crypto/kdf.h"
#include "crypto/key_memory.h"
#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace qudag::crypto {
namespace {

using openssl::must;
using openssl::must_have;
using openssl::PkeyContext;

constexpr const char* kAlgorithm = "ML-DSA-65";
constexpr std::size_t kContextSizeMax = 255;  // FIPS 204, algorithms 2 and 3

EVP_SIGNATURE* algorithm() {
  static EVP_SIGNATURE* const signature =
      must_have(EVP_SIGNATURE_fetch(nullptr, kAlgorithm, nullptr));
  return signature;
}

OSSL_PARAM octets(const char* name, Bytes bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()),
                                           bytes.size());
}

}  // namespace

NodeId id_of(std::span<const std::byte, kIdentityPublicSize> public_key) {
  return NodeId{sha256(public_key)};
}

bool verify(std::span<const std::byte, kIdentityPublicSize> public_key, std::string_view context,
            Bytes message, std::span<const std::byte, kSignatureSize> signature) {
  if (context.size() > kContextSizeMax) return false;
  const Pkey key(EVP_PKEY_new_raw_public_key_ex(nullptr, kAlgorithm, nullptr, u8(public_key),
                                                public_key.size()));
  if (!key) return false;
  const PkeyContext ctx(must_have(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr)));
  const OSSL_PARAM params[] = {octets(OSSL_SIGNATURE_PARAM_CONTEXT_STRING, as_bytes(context)),
                               OSSL_PARAM_construct_end()};
  must(EVP_PKEY_verify_message_init(ctx.get(), algorithm(), params));
  return EVP_PKEY_verify(ctx.get(), u8(signature), signature.size(), u8(message), message.size()) ==
         1;
}

Result<Identity> Identity::generate() {
  Secret<kIdentitySeedSize> seed;
  must(RAND_priv_bytes(u8(seed.span()), int{kIdentitySeedSize}));
  return from_seed(std::span<const std::byte, kIdentitySeedSize>(seed.span()));
}

Result<Identity> Identity::from_seed(std::span<const std::byte, kIdentitySeedSize> seed) {
  const PkeyContext ctx(must_have(EVP_PKEY_CTX_new_from_name(nullptr, kAlgorithm, nullptr)));
  OSSL_PARAM params[] = {octets(OSSL_PKEY_PARAM_ML_DSA_SEED, seed), OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  must(EVP_PKEY_fromdata_init(ctx.get()));
  {
    const KeyScope scope;
    must(EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_KEYPAIR, params));
  }

  Identity identity;
  identity.key_.reset(key);
  std::size_t size = kIdentityPublicSize;
  must(EVP_PKEY_get_raw_public_key(key, u8(MutableBytes(identity.public_)), &size));
  QUDAG_ASSERT(size == kIdentityPublicSize);
  identity.id_ = id_of(identity.public_);
  return identity;
}

Secret<kIdentitySeedSize> Identity::seed() const {
  Secret<kIdentitySeedSize> out;
  std::size_t size = 0;
  must(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_ML_DSA_SEED, u8(out.span()),
                                       kIdentitySeedSize, &size));
  QUDAG_ASSERT(size == kIdentitySeedSize);
  return out;
}

Result<Signature> Identity::sign(std::string_view context, Bytes message) const {
  if (context.size() > kContextSizeMax) return fail(Errc::invalid_argument, "context string");
  const PkeyContext ctx(must_have(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr)));
  const OSSL_PARAM params[] = {octets(OSSL_SIGNATURE_PARAM_CONTEXT_STRING, as_bytes(context)),
                               OSSL_PARAM_construct_end()};
  must(EVP_PKEY_sign_message_init(ctx.get(), algorithm(), params));
  Signature signature;
  std::size_t size = signature.size();
  if (EVP_PKEY_sign(ctx.get(), u8(MutableBytes(signature)), &size, u8(message), message.size()) !=
          1 ||
      size != signature.size()) {
    return fail(Errc::internal, "ML-DSA-65 signing failed");
  }
  return signature;
}

}  // namespace qudag::crypto
