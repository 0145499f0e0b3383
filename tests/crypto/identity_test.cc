#include "crypto/identity.h"

#include "crypto/kdf.h"
#include "vectors/vectors.h"

#include <gtest/gtest.h>

namespace qudag::crypto {
namespace {

using test::hex;

Identity fixed_identity(std::uint8_t fill = 0x11) {
  std::array<std::byte, kIdentitySeedSize> seed;
  seed.fill(std::byte{fill});
  return Identity::from_seed(seed).value();
}

TEST(Identity, IdIsTheHashOfThePublicKey) {
  const Identity identity = fixed_identity();
  EXPECT_EQ(identity.id().bytes, sha256(identity.public_bytes()));
  EXPECT_EQ(identity.id(), id_of(identity.public_bytes()));
}

TEST(Identity, ComesBackFromItsSeed) {
  const auto identity = Identity::generate();
  ASSERT_TRUE(identity);
  const auto seed = identity->seed();
  const auto again =
      Identity::from_seed(std::span<const std::byte, kIdentitySeedSize>(seed.span()));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id(), identity->id());
  EXPECT_EQ(hex(again->seed().span()), hex(seed.span()));
  EXPECT_NE(Identity::generate()->id(), identity->id());
}

TEST(Identity, SignaturesVerifyAndAreHedged) {
  const Identity identity = fixed_identity();
  for (const std::string_view message : {"", "m", "a longer message that is signed as it is"}) {
    const auto signature = identity.sign(kMessageContext, as_bytes(message));
    ASSERT_TRUE(signature);
    EXPECT_TRUE(verify(identity.public_bytes(), kMessageContext, as_bytes(message), *signature));
    EXPECT_NE(*signature, *identity.sign(kMessageContext, as_bytes(message)));
  }
}

TEST(Identity, ContextsSeparatePurposes) {
  const Identity identity = fixed_identity();
  const auto signature = identity.sign(kDescriptorContext, as_bytes("m"));
  ASSERT_TRUE(signature);
  const auto& key = identity.public_bytes();
  EXPECT_TRUE(verify(key, kDescriptorContext, as_bytes("m"), *signature));
  EXPECT_FALSE(verify(key, kMessageContext, as_bytes("m"), *signature));
  EXPECT_FALSE(verify(key, "", as_bytes("m"), *signature));
  // The context is not simply put in front of the message.
  EXPECT_FALSE(verify(key, "qudag/1 descriptorm", as_bytes(""), *signature));
}

TEST(Identity, RefusesChangedMessagesSignaturesAndKeys) {
  const Identity identity = fixed_identity();
  const auto signature = identity.sign(kMessageContext, as_bytes("message"));
  ASSERT_TRUE(signature);
  const auto& key = identity.public_bytes();
  EXPECT_FALSE(verify(key, kMessageContext, as_bytes("messagf"), *signature));
  EXPECT_FALSE(verify(key, kMessageContext, as_bytes("messag"), *signature));
  EXPECT_FALSE(verify(fixed_identity(0x22).public_bytes(), kMessageContext, as_bytes("message"),
                      *signature));
  for (std::size_t at = 0; at < kSignatureSize; at += 211) {
    auto changed = *signature;
    changed[at] ^= std::byte{0x40};
    EXPECT_FALSE(verify(key, kMessageContext, as_bytes("message"), changed)) << at;
  }
  for (std::size_t at = 0; at < kIdentityPublicSize; at += 211) {
    auto changed = key;
    changed[at] ^= std::byte{0x01};
    EXPECT_FALSE(verify(changed, kMessageContext, as_bytes("message"), *signature)) << at;
  }
  EXPECT_FALSE(verify(IdentityPublicBytes{}, kMessageContext, as_bytes("message"), Signature{}));
}

TEST(Identity, ContextLongerThanTheStandardAllowsIsAnErrorNotACrash) {
  const Identity identity = fixed_identity();
  const std::string longest(255, 'c'), too_long(256, 'c');
  const auto signature = identity.sign(longest, as_bytes("m"));
  ASSERT_TRUE(signature);
  EXPECT_TRUE(verify(identity.public_bytes(), longest, as_bytes("m"), *signature));
  EXPECT_EQ(identity.sign(too_long, as_bytes("m")).error().code, Errc::invalid_argument);
  EXPECT_FALSE(verify(identity.public_bytes(), too_long, as_bytes("m"), *signature));
}

}  // namespace
}  // namespace qudag::crypto
