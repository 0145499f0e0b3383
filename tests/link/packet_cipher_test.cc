// Packets are sealed past OpenSSL with OpenSSL's bytes, and what comes from the net is judged
// alike. (transcript_test.cc opens with OpenSSL what two nodes sent to each other.)
#include "link/tls/packet_cipher.h"

#include "crypto/gcm.h"

#include <gtest/gtest.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <openssl/evp.h>

#include <array>
#include <vector>

namespace qudag::link {
namespace {

constexpr std::size_t kTag = 16;
using Packet = std::vector<std::uint8_t>;

/// A key of each direction as ngtcp2 makes them.
struct Keys {
  explicit Keys(const EVP_CIPHER* cipher) {
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 3);
    aead = {.native_handle = const_cast<EVP_CIPHER*>(cipher), .max_overhead = kTag};
    ok = ngtcp2_crypto_aead_ctx_encrypt_init(&tx, &aead, key.data(), nonce.size()) == 0 &&
         ngtcp2_crypto_aead_ctx_decrypt_init(&rx, &aead, key.data(), nonce.size()) == 0;
  }
  ~Keys() {
    ngtcp2_crypto_aead_ctx_free(&tx);
    ngtcp2_crypto_aead_ctx_free(&rx);
  }
  Packet seal(ngtcp2_encrypt encrypt, Packet text) {
    const std::size_t size = text.size();
    text.resize(size + kTag);
    EXPECT_EQ(encrypt(text.data(), &aead, &tx, text.data(), size, nonce.data(), nonce.size(),
                      aad.data(), aad.size()),
              0);
    return text;
  }
  int open(ngtcp2_decrypt decrypt, const Packet& sealed, Packet& out) {
    out.resize(sealed.size());
    const int rv = decrypt(out.data(), &aead, &rx, sealed.data(), sealed.size(), nonce.data(),
                           nonce.size(), aad.data(), aad.size());
    if (rv == 0) out.resize(sealed.size() - kTag);
    return rv;
  }

  std::array<std::uint8_t, 32> key{};
  std::array<std::uint8_t, 12> nonce{1, 2, 3};
  std::array<std::uint8_t, 17> aad{9, 8, 7};
  ngtcp2_crypto_aead aead{};
  ngtcp2_crypto_aead_ctx tx{}, rx{};
  bool ok = false;
};

class PacketCipher : public testing::Test {
 protected:
  void SetUp() override {
    init_packet_ciphers();
    ASSERT_EQ(packet_cipher() != nullptr, crypto::gcm_code() != nullptr);
    if (packet_cipher() == nullptr) GTEST_SKIP() << "this build or this CPU has none";
  }
};

TEST_F(PacketCipher, GivesTheBytesOfOpenSsl) {
  Keys ours(packet_cipher());
  Keys theirs(EVP_aes_256_gcm());
  ASSERT_TRUE(ours.ok && theirs.ok);
  for (const std::size_t size : {1, 20, 1200, 1416}) {
    const Packet text(size, 0x42);
    const Packet sealed = ours.seal(packet_encrypt(), text);
    EXPECT_EQ(sealed, theirs.seal(ngtcp2_crypto_encrypt_cb, text));
    Packet out;
    ASSERT_EQ(ours.open(packet_decrypt(), sealed, out), 0);
    EXPECT_EQ(out, text);
    ASSERT_EQ(theirs.open(ngtcp2_crypto_decrypt_cb, sealed, out), 0);
  }
}

TEST_F(PacketCipher, RefusesWhatIsNotWhole) {
  Keys keys(packet_cipher());
  ASSERT_TRUE(keys.ok);
  const Packet sealed = keys.seal(packet_encrypt(), Packet(40, 1));
  Packet out;
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Packet changed = sealed;
    changed[i] ^= 1;
    EXPECT_EQ(keys.open(packet_decrypt(), changed, out), NGTCP2_ERR_DECRYPT) << i;
    EXPECT_EQ(keys.open(packet_decrypt(), Packet(sealed.begin(), sealed.begin() + i), out),
              NGTCP2_ERR_DECRYPT)
        << i;
  }
}

TEST_F(PacketCipher, LeavesOtherCiphersToOpenSsl) {
  // First packets have AES-128, and a peer may want ChaCha20.
  for (const EVP_CIPHER* const cipher : {EVP_aes_128_gcm(), EVP_chacha20_poly1305()}) {
    Keys keys(cipher);
    ASSERT_TRUE(keys.ok);
    const Packet sealed = keys.seal(packet_encrypt(), Packet(100, 5));
    Packet out;
    ASSERT_EQ(keys.open(packet_decrypt(), sealed, out), 0);
    EXPECT_EQ(out, Packet(100, 5));
  }
}

TEST_F(PacketCipher, NobodyElseGetsIt) {
  EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  ASSERT_NE(fetched, nullptr);
  EXPECT_NE(fetched, packet_cipher());
  EVP_CIPHER_free(fetched);
}

}  // namespace
}  // namespace qudag::link
