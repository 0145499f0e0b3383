#include "crypto/kdf.h"

#include "crypto/random.h"
#include "vectors/vectors.h"

#include <gtest/gtest.h>

#include <thread>

namespace qudag::crypto {
namespace {

using test::hex;
using test::unhex;

std::string range_hex(unsigned first, unsigned last) {
  std::vector<std::byte> out;
  for (unsigned b = first; b <= last; ++b) out.push_back(static_cast<std::byte>(b));
  return hex(out);
}
std::string repeated(std::string_view byte, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += byte;
  return out;
}

// FIPS 180-4 examples.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256(Bytes{})),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256({as_bytes("a"), {}, as_bytes("bc")}), sha256(as_bytes("abc")));
}

// RFC 5869, appendix A.1 to A.3.
TEST(Hkdf, KnownAnswers) {
  struct Case {
    std::string ikm, salt, info, prk, okm;
  };
  const Case cases[] = {
      {repeated("0b", 22), range_hex(0x00, 0x0c), range_hex(0xf0, 0xf9),
       "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
       "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
      {range_hex(0x00, 0x4f), range_hex(0x60, 0xaf), range_hex(0xb0, 0xff),
       "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
       "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6"
       "5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
      {repeated("0b", 22), "", "",
       "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
       "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
  };
  for (const Case& c : cases) {
    const Key256 prk = hkdf_extract(unhex(c.salt), unhex(c.ikm));
    EXPECT_EQ(hex(prk.span()), c.prk);
    std::vector<std::byte> okm(c.okm.size() / 2);
    hkdf_expand(prk, "", unhex(c.info), okm);
    EXPECT_EQ(hex(okm), c.okm);
  }
}

TEST(Hkdf, InfoIsLabelAndContextJoined) {
  const Key256 prk = hkdf_extract(as_bytes("salt"), as_bytes("ikm"));
  const Key256 whole = hkdf_expand_key(prk, "secretcontext");
  const Key256 joined = hkdf_expand_key(prk, "secret", as_bytes("context"));
  EXPECT_EQ(hex(whole.span()), hex(joined.span()));
  const Key256 other = hkdf_expand_key(prk, "secret", as_bytes("contexts"));
  EXPECT_NE(hex(whole.span()), hex(other.span()));
}

TEST(Hkdf, ThreadsDoNotShareState) {
  const Key256 prk = hkdf_extract(as_bytes("salt"), as_bytes("ikm"));
  const std::string expected = hex(hkdf_expand_key(prk, "label").span());
  bool same[2] = {true, true};
  const auto work = [&](int who) {
    for (int i = 0; i < 500; ++i) {
      hkdf_expand_key(prk, who == 0 ? "other" : "more");
      same[who] = same[who] && hex(hkdf_expand_key(prk, "label").span()) == expected;
    }
  };
  std::thread a(work, 0), b(work, 1);
  a.join();
  b.join();
  EXPECT_TRUE(same[0] && same[1]);
}

TEST(SystemRng, FillsEverythingDifferentlyEachTime) {
  SystemRng rng;
  const auto a = rng.bytes<32>();
  const auto b = rng.bytes<32>();
  EXPECT_NE(a, b);
  EXPECT_NE(a, (std::array<std::byte, 32>{}));
  std::vector<std::byte> large((std::size_t{1} << 20) + 64);  // more than one call to OpenSSL
  rng.fill(large);
  const std::vector<std::byte> zeros(64);
  EXPECT_FALSE(std::equal(zeros.begin(), zeros.end(), large.end() - 64));
  rng.fill({});
}

}  // namespace
}  // namespace qudag::crypto
