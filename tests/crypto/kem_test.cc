#include "crypto/kem.h"

#include "crypto/kdf.h"
#include "vectors/vectors.h"

#include <gtest/gtest.h>

#include <thread>

namespace qudag::crypto {
namespace {

using test::hex;
using test::unhex_array;

const test::Vectors& golden() {
  static const test::Vectors vectors(QUDAG_TEST_DATA "/../vectors/kem.txt");
  return vectors;
}

KemKeyPair golden_pair() {
  return KemKeyPair::from_seed(golden().array<kKemSeedSize>("key_seed")).value();
}

TEST(Kem, GoldenVectorsOfTheIndependentImplementation) {
  const KemKeyPair pair = golden_pair();
  EXPECT_EQ(hex(pair.public_bytes()), golden().text("public_key"));
  EXPECT_EQ(hex(pair.seed().span()), golden().text("key_seed"));

  const auto peer = KemPublicKey::import(pair.public_bytes());
  ASSERT_TRUE(peer);
  const auto sent =
      peer->encapsulate_from(golden().array<kKemEncapsulationSeedSize>("encapsulation_seed"));
  ASSERT_TRUE(sent);
  EXPECT_EQ(hex(sent->ciphertext), golden().text("ciphertext"));
  EXPECT_EQ(hex(sent->secret.span()), golden().text("secret"));

  const auto received = pair.decapsulate(sent->ciphertext);
  ASSERT_TRUE(received);
  EXPECT_EQ(hex(received->span()), golden().text("secret"));
}

TEST(Kem, GoldenSecretsCombineAsTheProtocolSays) {
  auto both = golden().bytes("mlkem_ss");
  const auto x25519_ss = golden().bytes("x25519_ss");
  both.insert(both.end(), x25519_ss.begin(), x25519_ss.end());
  const Key256 prk = hkdf_extract(as_bytes("qudag/1 hybrid kem"), both);
  const auto transcript = sha256({golden().bytes("ciphertext"), golden().bytes("public_key")});
  EXPECT_EQ(hex(hkdf_expand_key(prk, "secret", transcript).span()), golden().text("secret"));
}

TEST(Kem, GoldenImplicitRejection) {
  const auto secret = golden_pair().decapsulate(golden().bytes("rejected_ciphertext"));
  ASSERT_TRUE(secret) << "a wrong ML-KEM ciphertext is not an error";
  EXPECT_EQ(hex(secret->span()), golden().text("rejected_secret"));
}

// RFC 7748, section 6.1: Bob's key, as the X25519 half of a public key. (The agreed secret is in
// the golden vectors.)
TEST(Kem, X25519KnownAnswer) {
  std::array<std::byte, kKemSeedSize> seed{};
  const auto bob =
      unhex_array<32>("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  std::copy(bob.begin(), bob.end(), seed.begin());
  const auto pair = KemKeyPair::from_seed(seed);
  ASSERT_TRUE(pair);
  EXPECT_EQ(hex(Bytes(pair->public_bytes()).first(32)),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
}

TEST(Kem, EveryRunIsFreshAndAgrees) {
  const auto pair = KemKeyPair::generate();
  const auto other = KemKeyPair::generate();
  ASSERT_TRUE(pair && other);
  EXPECT_NE(hex(pair->public_bytes()), hex(other->public_bytes()));
  const auto peer = KemPublicKey::import(pair->public_bytes());
  ASSERT_TRUE(peer);
  const auto a = peer->encapsulate();
  const auto b = peer->encapsulate();
  ASSERT_TRUE(a && b);
  EXPECT_NE(hex(a->ciphertext), hex(b->ciphertext));
  EXPECT_NE(hex(a->secret.span()), hex(b->secret.span()));
  EXPECT_EQ(hex(pair->decapsulate(a->ciphertext)->span()), hex(a->secret.span()));
  EXPECT_EQ(hex(pair->decapsulate(b->ciphertext)->span()), hex(b->secret.span()));
  EXPECT_NE(hex(other->decapsulate(a->ciphertext)->span()), hex(a->secret.span()));
}

TEST(Kem, GeneratedPairComesBackFromItsSeed) {
  const auto pair = KemKeyPair::generate();
  ASSERT_TRUE(pair);
  const auto seed = pair->seed();
  const auto again = KemKeyPair::from_seed(std::span<const std::byte, kKemSeedSize>(seed.span()));
  ASSERT_TRUE(again);
  EXPECT_EQ(hex(again->public_bytes()), hex(pair->public_bytes()));
}

TEST(Kem, EveryChangedByteOfTheCiphertextChangesTheSecret) {
  const KemKeyPair pair = golden_pair();
  const auto ciphertext = golden().bytes("ciphertext");
  for (std::size_t at = 0; at < ciphertext.size(); at += at < 40 ? 1 : 37) {
    auto changed = ciphertext;
    changed[at] ^= std::byte{0x01};
    const auto secret = pair.decapsulate(changed);
    ASSERT_TRUE(secret) << at;
    EXPECT_NE(hex(secret->span()), golden().text("secret")) << at;
  }
}

// The points of order 1, 2, 4 and 8 that RFC 7748, section 6.1, warns of: all give zeros.
TEST(Kem, LowOrderPointsAreTheOnlyError) {
  const std::string points[] = {
      std::string(64, '0'),
      "01" + std::string(62, '0'),
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  };
  const KemKeyPair pair = golden_pair();
  for (const std::string& text : points) {
    const auto point = unhex_array<32>(text);
    auto ciphertext = golden().bytes("ciphertext");
    std::copy(point.begin(), point.end(), ciphertext.begin());
    const auto secret = pair.decapsulate(ciphertext);
    ASSERT_FALSE(secret) << text;
    EXPECT_EQ(secret.error().code, Errc::authentication_failed);

    auto raw = golden().bytes("public_key");
    std::copy(point.begin(), point.end(), raw.begin());
    const auto peer = KemPublicKey::import(raw);
    ASSERT_TRUE(peer);
    const auto sent = peer->encapsulate();
    ASSERT_FALSE(sent) << text;
    EXPECT_EQ(sent.error().code, Errc::authentication_failed);
  }
}

TEST(Kem, RefusesOtherSizesAndCoefficientsOutOfRange) {
  const auto good = golden().bytes("public_key");
  for (const std::size_t size : {std::size_t{0}, good.size() - 1}) {
    EXPECT_EQ(KemPublicKey::import(Bytes(good).first(size)).error().code, Errc::malformed);
    EXPECT_EQ(golden_pair().decapsulate(Bytes(good).first(size)).error().code, Errc::malformed);
  }
  auto longer = good;
  longer.push_back({});
  EXPECT_EQ(KemPublicKey::import(longer).error().code, Errc::malformed);
  auto out_of_range = good;  // first coefficient 0xfff >= q (FIPS 203, 7.2)
  out_of_range[32] = std::byte{0xff};
  out_of_range[33] |= std::byte{0x0f};
  EXPECT_EQ(KemPublicKey::import(out_of_range).error().code, Errc::malformed);
}

TEST(Kem, OneKeyServesSeveralThreads) {
  const KemKeyPair pair = golden_pair();
  const auto peer = KemPublicKey::import(pair.public_bytes());
  ASSERT_TRUE(peer);
  bool good[2] = {true, true};
  const auto work = [&](bool& ok) {
    for (int i = 0; i < 20; ++i) {
      const auto sent = peer->encapsulate();
      ok = ok && sent &&
           equal_constant_time(pair.decapsulate(sent->ciphertext)->span(), sent->secret.span());
    }
  };
  std::thread a(work, std::ref(good[0])), b(work, std::ref(good[1]));
  a.join();
  b.join();
  EXPECT_TRUE(good[0] && good[1]);
}

}  // namespace
}  // namespace qudag::crypto
