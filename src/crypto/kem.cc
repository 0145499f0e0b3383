// The hybrid KEM over EVP. Encapsulation in order:
//   1. an ephemeral X25519 key and ML-KEM's randomness, both drawn (or given, for vectors);
//   2. X25519 with the peer's key; ML-KEM encapsulation to the peer's key;
//   3. both secrets and the transcript into HKDF.
// Decapsulation is 2 and 3 from the other side. Nothing leaves the ways that an attacker could
// tell apart: only an X25519 result of all zeros is an error, and it is found before ML-KEM runs.
#include "crypto/kem.h"

#include "crypto/kdf.h"
#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace qudag::crypto {
namespace {

using openssl::must;
using openssl::must_have;
using openssl::PkeyContext;

constexpr std::size_t kMlKemSeedSize = 64;
constexpr std::size_t kMlKemRandomSize = 32;  // FIPS 203: m
constexpr std::string_view kSalt = "qudag/1 hybrid kem";
static_assert(kKemEncapsulationSeedSize == kX25519Size + kMlKemRandomSize);

/// Two secrets of 32 bytes side by side: ML-KEM's first, then X25519's.
struct SharedSecrets {
  Secret<64> both;
  MutableBytes mlkem() { return both.span().first(32); }
  MutableBytes x25519() { return both.span().last(32); }
};

Key256 combine(const SharedSecrets& secrets, Bytes ciphertext, Bytes public_key) {
  const Key256 prk = hkdf_extract(as_bytes(kSalt), secrets.both.span());
  const Digest transcript = sha256({ciphertext, public_key});
  return hkdf_expand_key(prk, "secret", transcript);
}

// ---- X25519 -------------------------------------------------------------------------------------

Pkey x25519_public(Bytes raw) {
  return Pkey(EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", nullptr, u8(raw), raw.size()));
}

Pkey x25519_private(Bytes raw) {
  return Pkey(
      must_have(EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, u8(raw), raw.size())));
}

void x25519_public_bytes(const Pkey& key, MutableBytes out) {
  std::size_t size = out.size();
  must(EVP_PKEY_get_raw_public_key(key.get(), u8(out), &size));
  QUDAG_ASSERT(size == kX25519Size);
}

/// False for a peer's point of low order: OpenSSL refuses an all-zero result (RFC 7748, 6.1).
bool x25519_agree(const Pkey& own, const Pkey& peer, MutableBytes out) {
  const PkeyContext ctx(must_have(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr)));
  must(EVP_PKEY_derive_init(ctx.get()));
  must(EVP_PKEY_derive_set_peer_ex(ctx.get(), peer.get(), 0));
  std::size_t size = out.size();
  if (EVP_PKEY_derive(ctx.get(), u8(out), &size) != 1) return false;
  return !equal_constant_time(out, std::array<std::byte, kX25519Size>{});
}

// ---- ML-KEM-768 ---------------------------------------------------------------------------------

/// Null when the key is not in the form of FIPS 203 (7.2: modulus check).
Pkey mlkem_public(Bytes raw) {
  return Pkey(EVP_PKEY_new_raw_public_key_ex(nullptr, "ML-KEM-768", nullptr, u8(raw), raw.size()));
}

Pkey mlkem_from_seed(Bytes seed) {
  const PkeyContext ctx(must_have(EVP_PKEY_CTX_new_from_name(nullptr, "ML-KEM-768", nullptr)));
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_KEM_SEED,
                                        const_cast<std::byte*>(seed.data()), seed.size()),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  must(EVP_PKEY_fromdata_init(ctx.get()));
  // fromdata takes a non-const array but only reads it.
  must(EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_KEYPAIR, const_cast<OSSL_PARAM*>(params)));
  return Pkey(key);
}

void mlkem_encapsulate(const Pkey& peer, Bytes random, MutableBytes ciphertext,
                       MutableBytes secret) {
  const PkeyContext ctx(must_have(EVP_PKEY_CTX_new_from_pkey(nullptr, peer.get(), nullptr)));
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, const_cast<std::byte*>(random.data()),
                                        random.size()),
      OSSL_PARAM_construct_end()};
  std::size_t ciphertext_size = ciphertext.size();
  std::size_t secret_size = secret.size();
  must(EVP_PKEY_encapsulate_init(ctx.get(), params));
  must(EVP_PKEY_encapsulate(ctx.get(), u8(ciphertext), &ciphertext_size, u8(secret), &secret_size));
  QUDAG_ASSERT(ciphertext_size == kMlKemCiphertextSize && secret_size == 32);
}

/// Never fails for a ciphertext of the right size: implicit rejection (FIPS 203, algorithm 18).
void mlkem_decapsulate(const Pkey& own, Bytes ciphertext, MutableBytes secret) {
  const PkeyContext ctx(must_have(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr)));
  std::size_t size = secret.size();
  must(EVP_PKEY_decapsulate_init(ctx.get(), nullptr));
  must(EVP_PKEY_decapsulate(ctx.get(), u8(secret), &size, u8(ciphertext), ciphertext.size()));
  QUDAG_ASSERT(size == 32);
}

template <std::size_t N>
Secret<N> draw() {
  Secret<N> out;
  must(RAND_priv_bytes(u8(out.span()), int{N}));
  return out;
}

}  // namespace

void PkeyDeleter::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

// ---- KemPublicKey -------------------------------------------------------------------------------

Result<KemPublicKey> KemPublicKey::import(Bytes raw) {
  if (raw.size() != kKemPublicSize) return fail(Errc::malformed, "a KEM public key is 1216 bytes");
  KemPublicKey key;
  std::memcpy(key.raw_.data(), raw.data(), raw.size());
  key.x25519_ = x25519_public(raw.first(kX25519Size));
  key.mlkem_ = mlkem_public(raw.subspan(kX25519Size));
  if (!key.x25519_ || !key.mlkem_) return fail(Errc::malformed, "not a KEM public key");
  return key;
}

Result<KemPublicKey::Encapsulation> KemPublicKey::encapsulate() const {
  const auto seed = draw<kKemEncapsulationSeedSize>();
  return encapsulate_from(std::span<const std::byte, kKemEncapsulationSeedSize>(seed.span()));
}

Result<KemPublicKey::Encapsulation> KemPublicKey::encapsulate_from(
    std::span<const std::byte, kKemEncapsulationSeedSize> seed) const {
  Encapsulation out;
  SharedSecrets secrets;
  const Pkey ephemeral = x25519_private(seed.first<kX25519Size>());
  const MutableBytes ciphertext(out.ciphertext);
  x25519_public_bytes(ephemeral, ciphertext.first(kX25519Size));
  if (!x25519_agree(ephemeral, x25519_, secrets.x25519())) {
    return fail(Errc::authentication_failed, "low-order point");
  }
  mlkem_encapsulate(mlkem_, seed.last<kMlKemRandomSize>(), ciphertext.subspan(kX25519Size),
                    secrets.mlkem());
  out.secret = combine(secrets, out.ciphertext, raw_);
  return out;
}

// ---- KemKeyPair ---------------------------------------------------------------------------------

Result<KemKeyPair> KemKeyPair::generate() {
  const auto seed = draw<kKemSeedSize>();
  return from_seed(std::span<const std::byte, kKemSeedSize>(seed.span()));
}

Result<KemKeyPair> KemKeyPair::from_seed(std::span<const std::byte, kKemSeedSize> seed) {
  KemKeyPair pair;
  pair.x25519_ = x25519_private(seed.first<kX25519Size>());
  pair.mlkem_ = mlkem_from_seed(seed.last<kMlKemSeedSize>());
  const MutableBytes raw(pair.public_);
  x25519_public_bytes(pair.x25519_, raw.first(kX25519Size));
  std::size_t size = kMlKemPublicSize;
  must(EVP_PKEY_get_raw_public_key(pair.mlkem_.get(), u8(raw.subspan(kX25519Size)), &size));
  QUDAG_ASSERT(size == kMlKemPublicSize);
  return pair;
}

Secret<kKemSeedSize> KemKeyPair::seed() const {
  Secret<kKemSeedSize> out;
  std::size_t size = kX25519Size;
  must(EVP_PKEY_get_raw_private_key(x25519_.get(), u8(out.span().first(kX25519Size)), &size));
  const MutableBytes mlkem = out.span().subspan(kX25519Size);
  must(EVP_PKEY_get_octet_string_param(mlkem_.get(), OSSL_PKEY_PARAM_ML_KEM_SEED, u8(mlkem),
                                       mlkem.size(), &size));
  QUDAG_ASSERT(size == kMlKemSeedSize);
  return out;
}

Result<Key256> KemKeyPair::decapsulate(Bytes ciphertext) const {
  if (ciphertext.size() != kKemCiphertextSize) {
    return fail(Errc::malformed, "a KEM ciphertext is 1120 bytes");
  }
  SharedSecrets secrets;
  const Pkey ephemeral = x25519_public(ciphertext.first(kX25519Size));
  QUDAG_ASSERT(ephemeral != nullptr);  // any 32 bytes are an X25519 key
  if (!x25519_agree(x25519_, ephemeral, secrets.x25519())) {
    return fail(Errc::authentication_failed, "low-order point");
  }
  mlkem_decapsulate(mlkem_, ciphertext.subspan(kX25519Size), secrets.mlkem());
  return combine(secrets, ciphertext, public_);
}

}  // namespace qudag::crypto
