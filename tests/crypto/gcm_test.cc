// Every code that this CPU runs gives OpenSSL's bytes, and refuses what OpenSSL refuses.
#include "crypto/gcm.h"

#include "crypto/cpu.h"
#include "vectors/vectors.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace qudag::crypto {
namespace {

using test::hex;

constexpr std::size_t kTextMax = 20'000;
using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

/// OpenSSL's ciphertext and tag.
std::vector<std::byte> reference(Bytes key, Bytes nonce, Bytes aad, Bytes text) {
  std::vector<std::byte> out(text.size() + Gcm::kTagBytes);
  const Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int written = 0;
  EVP_EncryptInit_ex2(context.get(), EVP_aes_256_gcm(), u8(key), u8(nonce), nullptr);
  if (!aad.empty()) {
    EVP_EncryptUpdate(context.get(), nullptr, &written, u8(aad), static_cast<int>(aad.size()));
  }
  if (!text.empty()) {
    EVP_EncryptUpdate(context.get(), u8(MutableBytes(out)), &written, u8(text),
                      static_cast<int>(text.size()));
  }
  EVP_EncryptFinal_ex(context.get(), u8(MutableBytes(out)) + text.size(), &written);
  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, Gcm::kTagBytes,
                      out.data() + text.size());
  return out;
}

struct Message {
  std::array<std::byte, Gcm::kKeyBytes> key{};
  std::array<std::byte, Gcm::kNonceBytes> nonce{};
  std::vector<std::byte> aad, text;
};

class Messages {
 public:
  Message make(std::size_t aad, std::size_t text) {
    Message out;
    out.aad.resize(aad);
    out.text.resize(text);
    // Also keys and nonces of equal bytes: all zeros, all ones.
    const bool random = random_() % 8 != 0;
    const auto same = random_() % 2 == 0 ? std::byte{0} : std::byte{0xff};
    for (const MutableBytes part : {MutableBytes(out.key), MutableBytes(out.nonce),
                                    MutableBytes(out.aad), MutableBytes(out.text)}) {
      for (std::byte& b : part) b = random ? static_cast<std::byte>(random_()) : same;
    }
    return out;
  }
  std::size_t below(std::size_t end) { return random_() % end; }

 private:
  std::mt19937 random_{7};
};

void expect_as_openssl(const GcmCode& code, const Message& m, std::size_t shift) {
  SCOPED_TRACE(std::string(gcm_code_name(code)) + " text " + std::to_string(m.text.size()) +
               " aad " + std::to_string(m.aad.size()) + " at " + std::to_string(shift));
  Gcm gcm(code, m.key);
  ASSERT_TRUE(gcm);
  const auto right = reference(m.key, m.nonce, m.aad, m.text);
  const std::size_t size = m.text.size();
  // At any address, with bytes behind it that stay what they are.
  std::vector<std::byte> room(shift + size + 64, std::byte{0x5a});
  const MutableBytes place = MutableBytes(room).subspan(shift, size);
  std::array<std::byte, Gcm::kTagBytes> tag{};
  gcm.seal(m.nonce, m.aad, m.text, place.data(), tag);
  ASSERT_EQ(hex(place), hex(Bytes(right).first(size)));
  ASSERT_EQ(hex(tag), hex(Bytes(right).last(Gcm::kTagBytes)));
  ASSERT_TRUE(gcm.open(m.nonce, m.aad, place, place.data(), tag));
  ASSERT_EQ(hex(place), hex(m.text));
  gcm.seal(m.nonce, m.aad, place, place.data(), tag);
  ASSERT_EQ(hex(place), hex(Bytes(right).first(size)));
  for (std::size_t i = 0; i < shift; ++i) ASSERT_EQ(room[i], std::byte{0x5a});
  for (std::size_t i = shift + size; i < room.size(); ++i) ASSERT_EQ(room[i], std::byte{0x5a});
}

TEST(Gcm, TheFirstCodeIsTheOneInUse) {
  const auto codes = gcm_codes();
  if (codes.empty()) {
    EXPECT_EQ(gcm_code(), nullptr);
    GTEST_SKIP() << "this build or this CPU has none";
  }
  EXPECT_EQ(gcm_code(), codes.front());
  EXPECT_EQ(std::ranges::count(codes, "vaes-avx2", [](auto* c) { return gcm_code_name(*c); }),
            cpu_features().vaes ? 1 : 0);
}

TEST(Gcm, EveryLengthGivesTheBytesOfOpenSsl) {
  Messages messages;
  for (const GcmCode* const code : gcm_codes()) {
    for (std::size_t size = 0; size <= 544; ++size) {
      expect_as_openssl(*code, messages.make(messages.below(70), size), size % 7);
    }
    // Around the pieces in which the codes work, and the sizes of cells and packets.
    for (const std::size_t near :
         {768u, 1008u, 1024u, 1200u, 1416u, 1536u, 2048u, 4096u, 8176u, 16384u}) {
      for (std::size_t size = near - 3; size <= near + 3; ++size) {
        expect_as_openssl(*code, messages.make(messages.below(70), size), size % 64);
      }
    }
    for (int i = 0; i < 100; ++i) {
      const auto aad = messages.below(300);
      expect_as_openssl(*code, messages.make(aad, messages.below(kTextMax)), messages.below(64));
    }
  }
}

TEST(Gcm, WhatWasChangedIsRefused) {
  Messages messages;
  for (const GcmCode* const code : gcm_codes()) {
    SCOPED_TRACE(gcm_code_name(*code));
    for (const std::size_t size : {0u, 1u, 16u, 33u, 300u}) {
      Message m = messages.make(21, size);
      Gcm gcm(*code, m.key);
      std::vector<std::byte> sealed(size), out(size);
      std::array<std::byte, Gcm::kTagBytes> tag{};
      gcm.seal(m.nonce, m.aad, m.text, sealed.data(), tag);
      const auto opens = [&] { return gcm.open(m.nonce, m.aad, sealed, out.data(), tag); };
      for (const MutableBytes part :
           {MutableBytes(sealed), MutableBytes(tag), MutableBytes(m.nonce), MutableBytes(m.aad)}) {
        for (std::size_t bit = 0; bit < part.size() * 8; ++bit) {
          const auto mask = static_cast<std::byte>(1u << bit % 8);
          part[bit / 8] ^= mask;
          ASSERT_FALSE(opens()) << size << " bytes, bit " << bit;
          part[bit / 8] ^= mask;
        }
      }
      ASSERT_TRUE(opens());
      EXPECT_EQ(hex(out), hex(m.text));
      ASSERT_FALSE(gcm.open(m.nonce, Bytes(m.aad).first(20), sealed, out.data(), tag));
      if (size > 0) {
        ASSERT_FALSE(gcm.open(m.nonce, m.aad, Bytes(sealed).first(size - 1), out.data(), tag));
      }
    }
  }
}

TEST(Gcm, ManyMessagesOfManyKeysDoNotMix) {
  Messages messages;
  for (const GcmCode* const code : gcm_codes()) {
    SCOPED_TRACE(gcm_code_name(*code));
    std::vector<std::pair<Message, Gcm>> keyed;
    for (int i = 0; i < 8; ++i) {
      Message m = messages.make(13, 200);
      Gcm gcm(*code, m.key);
      keyed.emplace_back(std::move(m), std::move(gcm));
    }
    for (int i = 0; i < 200; ++i) {
      auto& [m, gcm] = keyed[messages.below(keyed.size())];
      const Bytes text = Bytes(m.text).first(messages.below(200));
      std::vector<std::byte> out(text.size());
      std::array<std::byte, Gcm::kTagBytes> tag{};
      gcm.seal(m.nonce, m.aad, text, out.data(), tag);
      const auto right = reference(m.key, m.nonce, m.aad, text);
      ASSERT_EQ(hex(out) + hex(tag), hex(right));
    }
  }
}

}  // namespace
}  // namespace qudag::crypto
