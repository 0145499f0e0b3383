// The cipher comes from a provider that stands beside OpenSSL's own in a library context which only
// ngtcp2's fetch sees: nothing else in the process can get it. It takes a key and no data.
#include "link/tls/packet_cipher.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "crypto/gcm.h"

#include <ngtcp2/ngtcp2_crypto_ossl.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <mutex>
#include <new>
#include <span>

namespace qudag::link {
namespace {

using crypto::Gcm;

constexpr const char* kGcmParameter = "qudag-gcm";
/// Set once, before the first connection; ngtcp2's fetch gives the same object.
const EVP_CIPHER* cipher = nullptr;
const crypto::GcmCode* code = nullptr;

// ---- the cipher, as OpenSSL calls it ------------------------------------------------------------

void* new_context(void*) { return new (std::nothrow) Gcm; }
void free_context(void* context) { delete static_cast<Gcm*>(context); }

int set_key(void* context, const unsigned char* key, std::size_t key_size, const unsigned char*,
            std::size_t, const OSSL_PARAM*) {
  if (key == nullptr) return 1;
  if (key_size != Gcm::kKeyBytes) return 0;
  const std::span bytes(reinterpret_cast<const std::byte*>(key), key_size);
  auto& gcm = *static_cast<Gcm*>(context);
  gcm = Gcm(*code, bytes.first<Gcm::kKeyBytes>());
  return gcm ? 1 : 0;
}

// EVP asks for these, and has no data for them: packets go to the Gcm itself.
int no_update(void*, unsigned char*, std::size_t*, std::size_t, const unsigned char*, std::size_t) {
  return 0;
}
int no_final(void*, unsigned char*, std::size_t*, std::size_t) { return 0; }

int set_size(OSSL_PARAM* params, const char* name, std::size_t size) {
  OSSL_PARAM* const param = OSSL_PARAM_locate(params, name);
  return param == nullptr || OSSL_PARAM_set_size_t(param, size) == 1 ? 1 : 0;
}

int get_sizes(OSSL_PARAM* params) {
  return set_size(params, OSSL_CIPHER_PARAM_KEYLEN, Gcm::kKeyBytes) &
         set_size(params, OSSL_CIPHER_PARAM_IVLEN, Gcm::kNonceBytes);
}

int get_parameters(OSSL_PARAM* params) {
  OSSL_PARAM* const mode = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_MODE);
  OSSL_PARAM* const aead = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_AEAD);
  if (mode != nullptr && OSSL_PARAM_set_uint(mode, EVP_CIPH_GCM_MODE) != 1) return 0;
  if (aead != nullptr && OSSL_PARAM_set_int(aead, 1) != 1) return 0;
  return get_sizes(params) & set_size(params, OSSL_CIPHER_PARAM_BLOCK_SIZE, 1);
}

int get_context_parameters(void* context, OSSL_PARAM* params) {
  OSSL_PARAM* const gcm = OSSL_PARAM_locate(params, kGcmParameter);
  if (gcm != nullptr && OSSL_PARAM_set_octet_ptr(gcm, context, sizeof(Gcm)) != 1) return 0;
  return get_sizes(params);
}

/// ngtcp2 says the length of nonces, which is the only one there is.
int set_context_parameters(void*, const OSSL_PARAM params[]) {
  const OSSL_PARAM* const size = OSSL_PARAM_locate_const(params, OSSL_CIPHER_PARAM_IVLEN);
  std::size_t value = Gcm::kNonceBytes;
  if (size != nullptr && OSSL_PARAM_get_size_t(size, &value) != 1) return 0;
  return value == Gcm::kNonceBytes ? 1 : 0;
}

template <class Function>
constexpr OSSL_DISPATCH entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

const OSSL_DISPATCH* cipher_functions() {
  static const OSSL_DISPATCH functions[] = {
      entry(OSSL_FUNC_CIPHER_NEWCTX, new_context),
      entry(OSSL_FUNC_CIPHER_FREECTX, free_context),
      entry(OSSL_FUNC_CIPHER_ENCRYPT_INIT, set_key),
      entry(OSSL_FUNC_CIPHER_DECRYPT_INIT, set_key),
      entry(OSSL_FUNC_CIPHER_UPDATE, no_update),
      entry(OSSL_FUNC_CIPHER_FINAL, no_final),
      entry(OSSL_FUNC_CIPHER_GET_PARAMS, get_parameters),
      entry(OSSL_FUNC_CIPHER_GET_CTX_PARAMS, get_context_parameters),
      entry(OSSL_FUNC_CIPHER_SET_CTX_PARAMS, set_context_parameters),
      OSSL_DISPATCH_END,
  };
  return functions;
}

// ---- the provider -------------------------------------------------------------------------------

const OSSL_ALGORITHM* query(void*, int operation, int* no_cache) {
  static const OSSL_ALGORITHM ciphers[] = {
      {"AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", "qudag.packets=yes", cipher_functions(),
       "AES-256-GCM of packets"},
      {nullptr, nullptr, nullptr, nullptr},
  };
  *no_cache = 0;
  return operation == OSSL_OP_CIPHER ? ciphers : nullptr;
}

int start_provider(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH*, const OSSL_DISPATCH** out,
                   void** context) {
  static const OSSL_DISPATCH functions[] = {
      entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
      OSSL_DISPATCH_END,
  };
  *out = functions;
  *context = const_cast<OSSL_CORE_HANDLE*>(handle);
  return 1;
}

/// A context with OpenSSL's algorithms and, preferred, our one; null if it cannot be had. It lives
/// as long as the process, as what is fetched from it does.
OSSL_LIB_CTX* make_library() {
  OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
  if (library == nullptr) return nullptr;
  if (OSSL_PROVIDER_load(library, "default") != nullptr &&
      OSSL_PROVIDER_add_builtin(library, "qudag-packets", start_provider) == 1 &&
      OSSL_PROVIDER_load(library, "qudag-packets") != nullptr &&
      EVP_set_default_properties(library, "?qudag.packets=yes") == 1 &&
      (cipher = EVP_CIPHER_fetch(library, "AES-256-GCM", "qudag.packets=yes")) != nullptr) {
    return library;
  }
  OSSL_LIB_CTX_free(library);
  return nullptr;
}

// ---- packets ------------------------------------------------------------------------------------

/// The Gcm behind a context of ngtcp2's; null: it is another cipher, such as AES-128 of first
/// packets.
Gcm* gcm_of(const ngtcp2_crypto_aead& aead, const ngtcp2_crypto_aead_ctx& key) {
  if (aead.native_handle != cipher) return nullptr;
  auto* const context = static_cast<EVP_CIPHER_CTX*>(key.native_handle);
  void* gcm = EVP_CIPHER_CTX_get_app_data(context);
  if (gcm == nullptr) {  // the first packet with this key
    OSSL_PARAM ask[] = {OSSL_PARAM_construct_octet_ptr(kGcmParameter, &gcm, sizeof(Gcm)),
                        OSSL_PARAM_construct_end()};
    QUDAG_ASSERT(EVP_CIPHER_CTX_get_params(context, ask) == 1 && gcm != nullptr);
    EVP_CIPHER_CTX_set_app_data(context, gcm);
  }
  return static_cast<Gcm*>(gcm);
}

Bytes bytes(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

int encrypt(std::uint8_t* dest, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* key,
            const std::uint8_t* plain, std::size_t plain_size, const std::uint8_t* nonce,
            std::size_t nonce_size, const std::uint8_t* aad, std::size_t aad_size) {
  Gcm* const gcm = gcm_of(*aead, *key);
  if (gcm == nullptr) {
    return ngtcp2_crypto_encrypt_cb(dest, aead, key, plain, plain_size, nonce, nonce_size, aad,
                                    aad_size);
  }
  QUDAG_DCHECK(nonce_size == Gcm::kNonceBytes);
  auto* const out = reinterpret_cast<std::byte*>(dest);
  gcm->seal(bytes(nonce, Gcm::kNonceBytes).first<Gcm::kNonceBytes>(), bytes(aad, aad_size),
            bytes(plain, plain_size), out,
            std::span<std::byte, Gcm::kTagBytes>(out + plain_size, Gcm::kTagBytes));
  return 0;
}

int decrypt(std::uint8_t* dest, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* key,
            const std::uint8_t* sealed, std::size_t sealed_size, const std::uint8_t* nonce,
            std::size_t nonce_size, const std::uint8_t* aad, std::size_t aad_size) {
  Gcm* const gcm = gcm_of(*aead, *key);
  if (gcm == nullptr) {
    return ngtcp2_crypto_decrypt_cb(dest, aead, key, sealed, sealed_size, nonce, nonce_size, aad,
                                    aad_size);
  }
  if (sealed_size < Gcm::kTagBytes) return NGTCP2_ERR_DECRYPT;
  QUDAG_DCHECK(nonce_size == Gcm::kNonceBytes);
  const Bytes all = bytes(sealed, sealed_size);
  return gcm->open(bytes(nonce, Gcm::kNonceBytes).first<Gcm::kNonceBytes>(), bytes(aad, aad_size),
                   all.first(sealed_size - Gcm::kTagBytes), reinterpret_cast<std::byte*>(dest),
                   all.last<Gcm::kTagBytes>())
             ? 0
             : NGTCP2_ERR_DECRYPT;
}

}  // namespace

void init_packet_ciphers() {
  static std::once_flag once;
  std::call_once(once, [] {
    code = crypto::gcm_code();
    OSSL_LIB_CTX* const library = code == nullptr ? nullptr : make_library();
    if (library == nullptr) {
      ngtcp2_crypto_ossl_init();
      return;
    }
    OSSL_LIB_CTX* const before = OSSL_LIB_CTX_set0_default(library);
    ngtcp2_crypto_ossl_init();
    OSSL_LIB_CTX_set0_default(before);
  });
}

ngtcp2_encrypt packet_encrypt() { return cipher == nullptr ? ngtcp2_crypto_encrypt_cb : encrypt; }
ngtcp2_decrypt packet_decrypt() { return cipher == nullptr ? ngtcp2_crypto_decrypt_cb : decrypt; }

const evp_cipher_st* packet_cipher() { return cipher; }

}  // namespace qudag::link
