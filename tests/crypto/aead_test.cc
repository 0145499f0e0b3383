#include "crypto/aead.h"

#include "vectors/vectors.h"

#include <gtest/gtest.h>

#include <string>

namespace qudag::crypto {
namespace {

using test::hex;
using test::unhex;
using test::unhex_array;

Key256 key_of(std::string_view text) {
  Key256 key;
  const auto raw = unhex(text);
  std::copy(raw.begin(), raw.end(), key.span().begin());
  return key;
}

// RFC 8439, 2.8.2 (with its associated data), and 2.4.2 for the stream behind it.
TEST(ChaCha20Poly1305, KnownAnswer) {
  const std::string_view plain =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  Aead aead(key_of("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
            Aead::kAllUses, Cipher::chacha20_poly1305);
  const auto nonce = unhex_array<kNonceSize>("070000004041424344454647");
  const auto aad = unhex("50515253c0c1c2c3c4c5c6c7");
  std::vector<std::byte> text(plain.size());
  std::memcpy(text.data(), plain.data(), plain.size());
  const auto before = text;
  std::array<std::byte, kTagSize> tag{};
  for (int again = 0; again < 2; ++again) {
    aead.seal(nonce, aad, text, tag);
    EXPECT_EQ(hex(text),
              "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
              "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
              "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
              "3ff4def08e4b7a9de576d26586cec64b6116");
    EXPECT_EQ(hex(tag), "1ae10b594f09e26a7e902ecbd0600691");
    ASSERT_TRUE(aead.open(nonce, aad, text, tag));
    EXPECT_EQ(text, before);
  }
  tag[3] ^= std::byte{1};
  EXPECT_FALSE(aead.open(nonce, aad, text, tag));
}

TEST(ChaCha20Poly1305, KeystreamIsWhatSealXors) {
  const Key256 key = key_of("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  Aead aead(key, Aead::kAllUses, Cipher::chacha20_poly1305);
  std::array<std::byte, kTagSize> tag{};
  for (const std::uint64_t counter : {0, 1, 65'535}) {
    std::vector<std::byte> stream(1008);  // of zeros
    aead.seal(counter_nonce(counter), {}, stream, tag);
    for (std::size_t offset = 0; offset < stream.size(); offset += 16) {
      for (const std::size_t bytes : {16, 80, 256}) {
        if (offset + bytes > stream.size()) continue;
        std::vector<std::byte> piece(bytes);
        aead.keystream(counter_nonce(counter), offset, piece);
        ASSERT_EQ(hex(piece), hex(Bytes(stream).subspan(offset, bytes))) << offset;
      }
    }
  }
  std::vector<std::byte> run(5 * 48);
  aead.keystream_run(7, 5, 960, 48, run);
  for (std::size_t i = 0; i < 5; ++i) {
    std::vector<std::byte> one(48);
    aead.keystream(counter_nonce(7 + i), 960, one);
    EXPECT_EQ(hex(one), hex(Bytes(run).subspan(i * 48, 48)));
  }
}

// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, test cases 13 to 16
// (the 256-bit keys with 96-bit nonces); also in NIST's submission documents.
struct Case {
  int number;
  std::string key, nonce, text, aad, cipher, tag;
};
const std::string kKey = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const std::string kText =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const std::string kCipher =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
const std::string kZeros(64, '0');
const Case kCases[] = {
    {13, kZeros, kZeros.substr(0, 24), "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {14, kZeros, kZeros.substr(0, 24), kZeros.substr(0, 32), "", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {15, kKey, "cafebabefacedbaddecaf888", kText, "", kCipher, "b094dac5d93471bdec1a502270e3cc6c"},
    {16, kKey, "cafebabefacedbaddecaf888", kText.substr(0, 120),
     "feedfacedeadbeeffeedfacedeadbeefabaddad2", kCipher.substr(0, 120),
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

void expect_known_answers() {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.number);
    Aead aead(key_of(c.key));
    const auto nonce = unhex_array<kNonceSize>(c.nonce);
    const auto aad = unhex(c.aad);
    auto text = unhex(c.text);
    std::array<std::byte, kTagSize> tag{};
    for (int again = 0; again < 2; ++again) {  // the context is used again for every message
      aead.seal(nonce, aad, text, tag);
      EXPECT_EQ(hex(text), c.cipher);
      EXPECT_EQ(hex(tag), c.tag);
      ASSERT_TRUE(aead.open(nonce, aad, text, tag));
      EXPECT_EQ(hex(text), c.text);
    }
  }
}

TEST(Aead, KnownAnswersOfEveryCodeAndOfOpenSsl) {
  const GcmCode* const before = gcm_code();
  for (const GcmCode* const code : gcm_codes()) {
    choose_gcm_code(code);
    expect_known_answers();
  }
  choose_gcm_code(nullptr);
  expect_known_answers();
  choose_gcm_code(before);
}

TEST(Aead, OpenRejectsEveryFlippedBit) {
  Aead aead(key_of(kKey));
  const Nonce nonce = counter_nonce(7);
  const std::string aad = "ad";
  std::array<std::byte, 5> sealed{};
  std::array<std::byte, kTagSize> tag{};
  aead.seal(nonce, as_bytes(aad), sealed, tag);
  const auto opens = [&](Nonce n, std::string a, std::array<std::byte, 5> s,
                         std::array<std::byte, kTagSize> t) {
    return aead.open(n, as_bytes(a), s, t);
  };
  ASSERT_TRUE(opens(nonce, aad, sealed, tag));
  const auto flip = [](auto& bytes, std::size_t bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  };
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    flip(changed, bit);
    EXPECT_FALSE(opens(nonce, aad, changed, tag)) << "text bit " << bit;
  }
  for (std::size_t bit = 0; bit < tag.size() * 8; ++bit) {
    auto changed = tag;
    flip(changed, bit);
    EXPECT_FALSE(opens(nonce, aad, sealed, changed)) << "tag bit " << bit;
  }
  for (std::size_t bit = 0; bit < nonce.size() * 8; ++bit) {
    auto changed = nonce;
    flip(changed, bit);
    EXPECT_FALSE(opens(changed, aad, sealed, tag)) << "nonce bit " << bit;
  }
  EXPECT_FALSE(opens(nonce, "ae", sealed, tag));
  EXPECT_FALSE(opens(nonce, "", sealed, tag));
  EXPECT_TRUE(opens(nonce, aad, sealed, tag)) << "failures leave the key usable";
}

TEST(Aead, KeystreamIsWhatSealXorsOntoTheText) {
  Aead aead(key_of(kKey));
  const Nonce nonce = counter_nonce(0x0102030405060708);
  std::vector<std::byte> text(8192);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::byte>(i * 31);
  auto sealed = text;
  std::array<std::byte, kTagSize> tag{};
  aead.seal(nonce, {}, sealed, tag);
  for (const auto& [offset, size] : std::initializer_list<std::pair<std::size_t, std::size_t>>{
           {0, 8192}, {0, 16}, {16, 16}, {8176, 16}, {928, 80}, {4096, 2400}, {32, 0}}) {
    std::vector<std::byte> stream(size, std::byte{0xaa});
    aead.keystream(nonce, offset, stream);
    for (std::size_t i = 0; i < size; ++i) {
      ASSERT_EQ(stream[i], text[offset + i] ^ sealed[offset + i]) << offset << " + " << i;
    }
  }
}

TEST(Aead, NonceIsFourZeroBytesAndTheCounter) {
  EXPECT_EQ(hex(counter_nonce(0)), "000000000000000000000000");
  EXPECT_EQ(hex(counter_nonce(0x0102030405060708)), "000000000102030405060708");
}

TEST(Aead, AskingForAnUndeclaredUseStops) {
  Aead opener(key_of(kKey), Aead::kOpen);
  std::array<std::byte, 16> text{};
  std::array<std::byte, kTagSize> tag{};
  EXPECT_FALSE(opener.open(counter_nonce(0), {}, text, tag));
  EXPECT_DEATH(opener.seal(counter_nonce(0), {}, text, tag), "assertion failed");
  EXPECT_DEATH(opener.keystream(counter_nonce(0), 0, text), "assertion failed");
}

// AES-256 with the zero key of the blocks 0, 1 and 2: the last two are GCM's test cases 13 (tag of
// nothing is E(K, 1)) and 14 (E(K, 2) on zeros).
TEST(KeyStream, StartsAtTheZeroBlock) {
  KeyStream stream(key_of(kZeros));
  std::array<std::byte, 48> out{};
  stream.next(out);
  EXPECT_EQ(hex(out),
            "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738b"
            "cea7403d4d606b6e074ec5d3baf39d18");
}

TEST(KeyStream, IsOneStreamHoweverItIsCut) {
  KeyStream whole(key_of(kKey)), cut(key_of(kKey));
  std::array<std::byte, 1000> expected{};
  whole.next(expected);
  std::vector<std::byte> joined;
  for (const std::size_t size : {1u, 15u, 16u, 17u, 0u, 3u, 300u, 16u, 632u}) {
    std::vector<std::byte> piece(size, std::byte{0x55});
    cut.next(piece);
    joined.insert(joined.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(hex(joined), hex(expected));
}

}  // namespace
}  // namespace qudag::crypto
