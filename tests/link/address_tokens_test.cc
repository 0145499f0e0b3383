// Proofs of address that a peer keeps for the next time.
#include "link/admission/address_tokens.h"

#include "net.h"

#include <gtest/gtest.h>

#include "link/path/native_address.h"

namespace qudag::link::testing {
namespace {

constexpr std::uint64_t kHour = 3'600;

sockaddr_in6 at(std::uint8_t host, std::uint16_t port = 4'433) {
  return to_native(SocketAddress::v4(10, 0, 0, host, port));
}

Now wall(std::uint64_t seconds) { return {TimePoint(1s), seconds}; }

crypto::Identity identity(std::uint64_t seed) {
  SeededRng rng(seed);
  return std::move(*crypto::Identity::from_seed(rng.bytes<crypto::kIdentitySeedSize>()));
}

TEST(AddressKeys, ATokenOpensForItsAddressOnly) {
  const crypto::Identity self = identity(1);
  AddressKeys keys(self);
  const auto token = keys.seal(at(1), wall(1'000'000));
  EXPECT_TRUE(AddressKeys::is_token(token));
  EXPECT_TRUE(keys.open(token, at(1), wall(1'000'001)));
  EXPECT_TRUE(keys.open(token, at(1, 999), wall(1'000'001))) << "a NAT may choose another port";
  EXPECT_FALSE(keys.open(token, at(2), wall(1'000'001)));
  EXPECT_FALSE(AddressKeys(identity(2)).open(token, at(1), wall(1'000'001)));
  EXPECT_TRUE(AddressKeys(self).open(token, at(1), wall(1'000'001))) << "after a restart too";
}

TEST(AddressKeys, KeysRotateAndTokensExpire) {
  AddressKeys keys(identity(1));
  const std::uint64_t period = static_cast<std::uint64_t>(AddressKeys::kKeyLife.count());
  const std::uint64_t begin = 100 * period;
  const auto token = keys.seal(at(1), wall(begin));
  EXPECT_TRUE(keys.open(token, at(1), wall(begin + period - 1)));
  EXPECT_TRUE(keys.open(token, at(1), wall(begin + 2 * period - 1))) << "the key before";
  EXPECT_FALSE(keys.open(token, at(1), wall(begin + 2 * period)));
  EXPECT_NE(keys.seal(at(1), wall(begin)), keys.seal(at(1), wall(begin + period)));
  const auto late = keys.seal(at(1), wall(begin + period - 1));
  EXPECT_TRUE(keys.open(late, at(1), wall(begin + period + kHour)));
}

TEST(AddressKeys, EveryByteOfATokenCounts) {
  AddressKeys keys(identity(1));
  const auto token = keys.seal(at(1), wall(1'000'000));
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] ^= std::byte{1};
    EXPECT_FALSE(keys.open(changed, at(1), wall(1'000'000))) << i;
    EXPECT_FALSE(keys.open(Bytes(token).first(i), at(1), wall(1'000'000))) << i;
  }
}

TEST(AddressTokens, AreBoundedAndShownOnce) {
  AddressTokens tokens;
  const auto peer = [](std::size_t number) {
    NodeId out;
    out.bytes[0] = static_cast<std::byte>(number);
    out.bytes[1] = static_cast<std::byte>(number >> 8);
    return out;
  };
  const auto bytes = pattern(41, 1);
  for (int round = 0; round < 4; ++round) {
    for (std::size_t i = 0; i < 300; ++i) tokens.put(peer(i), bytes);
  }
  EXPECT_EQ(tokens.size(), AddressTokens::kTokensMax);
  EXPECT_TRUE(tokens.take(peer(0)).empty()) << "the oldest went";
  EXPECT_EQ(tokens.take(peer(299)), bytes);
  EXPECT_TRUE(tokens.take(peer(299)).empty());
  tokens.put(peer(1), pattern(AddressTokens::kTokenBytesMax + 1, 1));
  EXPECT_TRUE(tokens.take(peer(1)).empty()) << "who sends a long one has it for nothing";
  // One peer that sends many, over and over, takes one place.
  for (int i = 0; i < 10'000; ++i) tokens.put(peer(7), bytes);
  EXPECT_EQ(tokens.take(peer(7)), bytes);
}

/// How long a link took, dialed again while everybody must prove its address.
struct Again {
  std::uint64_t retries = 0;
  std::uint64_t tokens = 0;
  Duration took{};
  bool ready = false;
};

Again dial_again(EndpointOptions dialer, const std::function<void(Pair&)>& meanwhile = {}) {
  Pair pair(1, std::move(dialer));
  pair.connect();
  pair.net.run_for(100ms);
  pair.a->close(pair.link, EndCode::none, pair.net.now());
  pair.net.run_for(1s);
  pair.b->require_proof(true);
  if (meanwhile) meanwhile(pair);
  const TimePoint begin = pair.net.now().mono;
  const std::size_t before = pair.a.events.ready.size();
  EXPECT_TRUE(pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now()));
  Again out;
  out.ready = pair.net.run(5s, [&] { return pair.a.events.ready.size() > before; });
  out.took = pair.net.now().mono - begin;
  out.retries = (*pair.b).stats().retries_sent;
  out.tokens = (*pair.b).stats().tokens_taken;
  return out;
}

TEST(AddressTokens, WhoComesAgainIsNotAskedForItsAddress) {
  const Again with = dial_again({.known = true});
  EXPECT_TRUE(with.ready);
  EXPECT_EQ(with.retries, 0u);
  EXPECT_EQ(with.tokens, 1u);
  const Again without = dial_again({.known = false});
  EXPECT_TRUE(without.ready);
  EXPECT_GT(without.retries, 0u);
  EXPECT_EQ(without.tokens, 0u) << "who hides keeps no token";
  EXPECT_EQ(without.took - with.took, 10ms) << "the round trip that it saves";
}

TEST(AddressTokens, FromElsewhereATokenIsWorthNothing) {
  // As behind another NAT, of which the dialer knows nothing.
  const Again out = dial_again(
      {.known = true}, [](Pair& pair) { pair.a.address = SocketAddress::v4(10, 7, 7, 7, 999); });
  EXPECT_TRUE(out.ready) << "and no harm either";
  EXPECT_GT(out.retries, 0u);
  EXPECT_EQ(out.tokens, 0u);
}

}  // namespace
}  // namespace qudag::link::testing
