// AES-256-GCM by gcm.h or else, as all the others, over EVP: ChaCha20-Poly1305, AES-256-ECB and
// ChaCha20 (for the keystream of a nonce), and AES-256-CTR.
//
// Every context is set up with its key once. A message gives it only the IV, with the *_ex2 calls
// and neither cipher nor key: that keeps the expanded key and allocates nothing.
#include "crypto/aead.h"

#include "crypto/cpu.h"
#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <climits>

namespace qudag::crypto {
namespace {

using openssl::must;

constexpr std::size_t kBlockSize = 16;
/// Counter block of the first text block (SP 800-38D, 7.1: J0 is 1 and belongs to the tag).
constexpr std::uint32_t kFirstTextCounter = 2;

const EVP_CIPHER* gcm() {
  static const EVP_CIPHER* const cipher =
      openssl::must_have(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  return cipher;
}
const EVP_CIPHER* chacha_poly() {
  static const EVP_CIPHER* const cipher =
      openssl::must_have(EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr));
  return cipher;
}
const EVP_CIPHER* chacha() {
  static const EVP_CIPHER* const cipher =
      openssl::must_have(EVP_CIPHER_fetch(nullptr, "ChaCha20", nullptr));
  return cipher;
}
const EVP_CIPHER* ecb() {
  static const EVP_CIPHER* const cipher =
      openssl::must_have(EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr));
  return cipher;
}
const EVP_CIPHER* ctr() {
  static const EVP_CIPHER* const cipher =
      openssl::must_have(EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr));
  return cipher;
}

CipherContext new_context() { return CipherContext(openssl::must_have(EVP_CIPHER_CTX_new())); }

int int_size(std::size_t size) {
  QUDAG_ASSERT(size <= INT_MAX);
  return static_cast<int>(size);
}

/// EVP_CIPHER_CTX_ctrl makes the same parameter, and asks three times what the cipher is: 20 ns.
OSSL_PARAM tag_param(std::byte* tag) {
  return {OSSL_CIPHER_PARAM_AEAD_TAG, OSSL_PARAM_OCTET_STRING, tag, kTagSize,
          OSSL_PARAM_UNMODIFIED};
}

/// In place; CTR, GCM and whole ECB blocks give as many bytes as they take.
void encrypt_in_place(EVP_CIPHER_CTX* ctx, MutableBytes text) {
  int written = 0;
  must(EVP_EncryptUpdate(ctx, u8(text), &written, u8(text), int_size(text.size())));
  QUDAG_DCHECK(static_cast<std::size_t>(written) == text.size());
}

/// The stream that encrypts a text's bytes from `offset` on: its blocks of 64 bytes are numbered
/// from 1 (0 makes the key of the tag). OpenSSL's IV is the number, little-endian, and the nonce.
void chacha_stream(EVP_CIPHER_CTX* ctx, const Nonce& nonce, std::size_t offset, MutableBytes out) {
  constexpr std::size_t kChachaBlock = 64;
  std::array<std::byte, 4 + kNonceSize> iv;
  const auto block = static_cast<std::uint32_t>(1 + offset / kChachaBlock);
  for (unsigned i = 0; i < 4; ++i) iv[i] = static_cast<std::byte>(block >> 8 * i);
  std::memcpy(iv.data() + 4, nonce.data(), kNonceSize);
  must(EVP_EncryptInit_ex2(ctx, nullptr, nullptr, u8(Bytes(iv)), nullptr));
  std::array<std::byte, kChachaBlock> before{};
  if (const std::size_t skip = offset % kChachaBlock; skip > 0) {
    encrypt_in_place(ctx, MutableBytes(before).first(skip));
  }
  std::memset(out.data(), 0, out.size());
  encrypt_in_place(ctx, out);
}

}  // namespace

void CipherContextDeleter::operator()(evp_cipher_ctx_st* ctx) const noexcept {
  EVP_CIPHER_CTX_free(ctx);
}

Nonce counter_nonce(std::uint64_t counter) {
  Nonce nonce{};
  store_be(nonce.data() + 4, counter);
  return nonce;
}

// ---- Aead ---------------------------------------------------------------------------------------

Cipher fastest_cipher() {
  return cpu_features().aes ? Cipher::aes_256_gcm : Cipher::chacha20_poly1305;
}

Aead::Aead(const Key256& key, Uses uses, Cipher cipher) : uses_(uses), cipher_(cipher) {
  const bool aes = cipher == Cipher::aes_256_gcm;
  if (const GcmCode* const code = aes && (uses & (kSeal | kOpen)) != 0 ? gcm_code() : nullptr) {
    gcm_ = Gcm(*code, key.span().first<Gcm::kKeyBytes>());
    QUDAG_ASSERT(gcm_);
    uses &= ~(kSeal | kOpen);
  }
  const EVP_CIPHER* const aead = aes ? gcm() : chacha_poly();
  const std::uint8_t* raw = u8(key.span());
  if (uses & kSeal) {
    seal_ = new_context();
    must(EVP_EncryptInit_ex2(seal_.get(), aead, raw, nullptr, nullptr));
  }
  if (uses & kOpen) {
    open_ = new_context();
    must(EVP_DecryptInit_ex2(open_.get(), aead, raw, nullptr, nullptr));
  }
  if (uses & kKeystream) {
    block_ = new_context();
    must(EVP_EncryptInit_ex2(block_.get(), aes ? ecb() : chacha(), raw, nullptr, nullptr));
    if (aes) must(EVP_CIPHER_CTX_set_padding(block_.get(), 0));
  }
}

void Aead::seal(const Nonce& nonce, Bytes aad, MutableBytes text,
                std::span<std::byte, kTagSize> tag) {
  QUDAG_ASSERT(uses_ & kSeal);
  if (gcm_) return gcm_.seal(nonce, aad, text, text.data(), tag);
  EVP_CIPHER_CTX* ctx = seal_.get();
  int written = 0;
  must(EVP_EncryptInit_ex2(ctx, nullptr, nullptr, u8(Bytes(nonce)), nullptr));
  if (!aad.empty()) {
    must(EVP_EncryptUpdate(ctx, nullptr, &written, u8(aad), int_size(aad.size())));
  }
  if (!text.empty()) encrypt_in_place(ctx, text);
  // The final call writes nothing but wants a place.
  std::uint8_t none[kBlockSize];
  must(EVP_EncryptFinal_ex(ctx, none, &written));
  OSSL_PARAM get[] = {tag_param(tag.data()), OSSL_PARAM_construct_end()};
  must(EVP_CIPHER_CTX_get_params(ctx, get));
}

bool Aead::open(const Nonce& nonce, Bytes aad, MutableBytes text,
                std::span<const std::byte, kTagSize> tag) {
  QUDAG_ASSERT(uses_ & kOpen);
  if (gcm_) return gcm_.open(nonce, aad, text, text.data(), tag);
  EVP_CIPHER_CTX* ctx = open_.get();
  int written = 0;
  // A parameter is not const, but the tag is only read.
  const OSSL_PARAM set[] = {tag_param(const_cast<std::byte*>(tag.data())),
                            OSSL_PARAM_construct_end()};
  must(EVP_DecryptInit_ex2(ctx, nullptr, nullptr, u8(Bytes(nonce)), set));
  if (!aad.empty()) {
    must(EVP_DecryptUpdate(ctx, nullptr, &written, u8(aad), int_size(aad.size())));
  }
  if (!text.empty()) {
    must(EVP_DecryptUpdate(ctx, u8(text), &written, u8(text), int_size(text.size())));
  }
  std::uint8_t none[kBlockSize];
  return EVP_DecryptFinal_ex(ctx, none, &written) == 1;
}

void Aead::keystream(const Nonce& nonce, std::size_t offset, MutableBytes out) {
  QUDAG_ASSERT(block_ != nullptr && offset % kBlockSize == 0 && out.size() % kBlockSize == 0);
  QUDAG_ASSERT((offset + out.size()) / kBlockSize <= UINT32_MAX - kFirstTextCounter);
  if (out.empty()) return;
  if (cipher_ == Cipher::chacha20_poly1305) return chacha_stream(block_.get(), nonce, offset, out);
  auto counter = static_cast<std::uint32_t>(kFirstTextCounter + offset / kBlockSize);
  for (std::size_t at = 0; at < out.size(); at += kBlockSize) {
    std::memcpy(out.data() + at, nonce.data(), kNonceSize);
    store_be(out.data() + at + kNonceSize, counter++);
  }
  encrypt_in_place(block_.get(), out);
}

void Aead::keystream_run(std::uint64_t first, std::size_t count, std::size_t offset,
                         std::size_t bytes, MutableBytes out) {
  QUDAG_ASSERT(block_ != nullptr && offset % kBlockSize == 0 && bytes % kBlockSize == 0);
  QUDAG_ASSERT(out.size() == count * bytes && out.size() <= 4096);
  if (out.empty()) return;
  if (cipher_ == Cipher::chacha20_poly1305) {
    for (std::size_t i = 0; i < count; ++i) {
      chacha_stream(block_.get(), counter_nonce(first + i), offset, out.subspan(i * bytes, bytes));
    }
    return;
  }
  const auto first_block = static_cast<std::uint32_t>(kFirstTextCounter + offset / kBlockSize);
  std::byte* block = out.data();
  for (std::size_t i = 0; i < count; ++i) {
    const Nonce nonce = counter_nonce(first + i);
    for (std::size_t at = 0; at < bytes; at += kBlockSize, block += kBlockSize) {
      std::memcpy(block, nonce.data(), kNonceSize);
      store_be(block + kNonceSize, static_cast<std::uint32_t>(first_block + at / kBlockSize));
    }
  }
  encrypt_in_place(block_.get(), out);
}

// ---- KeyStream ----------------------------------------------------------------------------------

KeyStream::KeyStream(const Key256& key) : ctx_(new_context()) {
  const std::array<std::uint8_t, kBlockSize> zero{};
  must(EVP_EncryptInit_ex2(ctx_.get(), ctr(), u8(key.span()), zero.data(), nullptr));
}

void KeyStream::next(MutableBytes out) {
  if (out.empty()) return;
  std::memset(out.data(), 0, out.size());
  encrypt_in_place(ctx_.get(), out);
}

}  // namespace qudag::crypto
