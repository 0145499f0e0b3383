// Hail, answer and tunnel: both ends come to the same keys, and to nothing where anything differs.
#include "keeper/hail.h"

#include "vectors/vectors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace qudag::keeper {
namespace {

constexpr UnixSeconds kNow = 1'800'000'007;

struct Ends {
  Called called;
  crypto::KemKeyPair key = *crypto::KemKeyPair::generate();
  crypto::KemPublicKey card = *crypto::KemPublicKey::import(key.public_bytes());
  onion::ReplayWindow seen{64};
  std::vector<std::byte> frames = std::vector<std::byte>(100, std::byte{7});

  Ends() {
    called.receiver.bytes.fill(std::byte{1});
    called.inbox.fill(std::byte{2});
  }
  HailFields fields() const { return {.expiry_minutes = hail_expiry(kNow), .card_published = 5}; }
  Call call(Hail& hail) { return *make_hail(called, card, fields(), frames, hail); }
  Result<Hailed> open(Hail hail, UnixSeconds now = kNow) { return open_for(called, hail, now); }
  Result<Hailed> open_for(const Called& whom, Hail& hail, UnixSeconds now = kNow) {
    const crypto::KemKeyPair* keys[] = {&key};
    return open_hail(whom, keys, seen, now, hail);
  }
};

TEST(Hail, BothEndsHaveTheSameTunnel) {
  Ends ends;
  Hail hail;
  Call call = ends.call(hail);
  Hail there = hail;
  auto hailed = ends.open_for(ends.called, there);
  ASSERT_TRUE(hailed);
  EXPECT_EQ(hailed->fields(), ends.fields());
  ASSERT_EQ(hailed->frames().size(), kHailFramesBytes);
  EXPECT_TRUE(std::ranges::equal(hailed->frames().first(100), ends.frames));
  EXPECT_TRUE(std::ranges::all_of(hailed->frames().subspan(100),
                                  [](std::byte b) { return b == std::byte{0}; }));
  Answer answer;
  auto receiver = accept_hail(std::move(*hailed), {.status = 0, .card_published = 6}, answer);
  ASSERT_TRUE(receiver);
  auto caller = finish_call(std::move(call), answer);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->fields.card_published, 6u);
  for (Tunnel* from : {&caller->tunnel, &*receiver}) {
    Tunnel& to = from == &*receiver ? caller->tunnel : *receiver;
    std::vector<std::byte> payload(928, std::byte{9});
    const std::vector<std::byte> text(payload.begin() + kTunnelHeaderBytes, payload.end());
    from->seal(payload);
    EXPECT_FALSE(std::ranges::equal(Bytes(payload).subspan(kTunnelHeaderBytes), text));
    ASSERT_TRUE(to.open(payload));
    EXPECT_TRUE(std::ranges::equal(Bytes(payload).subspan(kTunnelHeaderBytes), text));
  }
}

TEST(Hail, AKeeperSellsNoCallToAnotherInboxAndRepeatsNone) {
  Ends ends;
  Hail hail;
  const Call call = ends.call(hail);
  Called other = ends.called;
  other.inbox[0] ^= std::byte{1};
  Hail copy = hail;
  EXPECT_EQ(ends.open_for(other, copy).error(), Errc::authentication_failed);
  other = ends.called;
  other.receiver.bytes[0] ^= std::byte{1};
  copy = hail;
  EXPECT_EQ(ends.open_for(other, copy).error(), Errc::authentication_failed);
  EXPECT_TRUE(ends.open(hail));
  EXPECT_EQ(ends.open(hail).error(), Errc::replayed);
}

TEST(Hail, AnyChangedBitIsSeen) {
  Ends ends;
  Hail hail;
  Call call = ends.call(hail);
  for (const std::size_t at : {0u, 31u, 32u, 1119u, 1120u, 1135u, 1136u, 2000u, 4735u}) {
    Hail changed = hail;
    changed[at] ^= std::byte{0x40};
    EXPECT_EQ(ends.open(changed).error(), Errc::authentication_failed) << at;
  }
  Hail there = hail;
  auto hailed = ends.open_for(ends.called, there);
  ASSERT_TRUE(hailed);
  Answer answer;
  ASSERT_TRUE(accept_hail(std::move(*hailed), {}, answer));
  answer[700] ^= std::byte{1};
  EXPECT_EQ(finish_call(std::move(call), answer).error(), Errc::authentication_failed);
}

TEST(Hail, IsGoodForMinutesOnly) {
  Ends ends;
  Hail hail;
  const Call call = ends.call(hail);
  EXPECT_EQ(ends.open(hail, kNow + 400).error(), Errc::expired);
  EXPECT_EQ(ends.open(hail, kNow - 700).error(), Errc::expired);
  EXPECT_TRUE(ends.open(hail, kNow + 200));
}

/// The former key of a card opens as well as the newest, and is tried second.
TEST(Hail, OpensWithAnyOfTheInboxKeys) {
  Ends ends;
  Hail hail;
  const Call call = ends.call(hail);
  const auto newest = crypto::KemKeyPair::generate();
  ASSERT_TRUE(newest);
  const crypto::KemKeyPair* keys[] = {&*newest, &ends.key};
  EXPECT_TRUE(open_hail(ends.called, keys, ends.seen, kNow, hail));
}

Tunnel made_of(std::uint8_t out, std::uint8_t in,
               crypto::Cipher cipher = crypto::Cipher::aes_256_gcm) {
  Key256 a, b;
  std::ranges::fill(a.span(), std::byte{out});
  std::ranges::fill(b.span(), std::byte{in});
  return Tunnel(std::move(a), std::move(b), cipher);
}

TEST(Tunnel, NothingIsRepeatedReorderedOrLeftOut) {
  Tunnel from = made_of(1, 2);
  std::vector<std::vector<std::byte>> sealed;
  for (int i = 0; i < 3; ++i) {
    sealed.emplace_back(928, std::byte{1});
    from.seal(sealed.back());
  }
  const auto opens = [](Tunnel&& to, const std::vector<std::vector<std::byte>>& payloads) {
    bool all = true;
    for (auto one : payloads) all = all && to.open(one);
    return all;
  };
  EXPECT_TRUE(opens(made_of(2, 1), sealed));
  EXPECT_FALSE(opens(made_of(2, 1), {sealed[0], sealed[0]}));
  EXPECT_FALSE(opens(made_of(2, 1), {sealed[1]}));
  EXPECT_FALSE(opens(made_of(2, 1), {sealed[0], sealed[2]}));
  auto of_frames = sealed[0];
  of_frames.front() = std::byte{1};  // the kind is the keeper's to see, and not its to choose
  EXPECT_FALSE(opens(made_of(2, 1), {of_frames}));
}

TEST(Tunnel, GoesOverEpochs) {
  Tunnel from = made_of(1, 2, crypto::Cipher::chacha20_poly1305);
  Tunnel to = made_of(2, 1, crypto::Cipher::chacha20_poly1305);
  std::array<std::byte, 32> payload;
  for (int i = 0; i < 65'540; ++i) {
    payload.fill(std::byte{3});
    from.seal(payload);
    ASSERT_TRUE(to.open(payload)) << i;
  }
}

// ---- vectors ------------------------------------------------------------------------------------

TEST(Hail, Vectors) {
  const test::Vectors v(QUDAG_VECTORS "/tunnel.txt");
  const auto key =
      crypto::KemKeyPair::from_seed(test::unhex_array<crypto::kKemSeedSize>(v.text("inbox_seed")));
  auto ephemeral = crypto::KemKeyPair::from_seed(
      test::unhex_array<crypto::kKemSeedSize>(v.text("ephemeral_seed")));
  ASSERT_TRUE(key && ephemeral);
  const auto card = crypto::KemPublicKey::import(key->public_bytes());
  const auto first = card->encapsulate_from(
      test::unhex_array<crypto::kKemEncapsulationSeedSize>(v.text("first_seed")));
  const auto asked = crypto::KemPublicKey::import(ephemeral->public_bytes());
  const auto second = asked->encapsulate_from(
      test::unhex_array<crypto::kKemEncapsulationSeedSize>(v.text("second_seed")));
  ASSERT_TRUE(first && second);
  Called called;
  called.receiver.bytes = test::unhex_array<32>(v.text("receiver"));
  NodeId keeper;
  keeper.bytes = test::unhex_array<32>(v.text("keeper"));
  called.inbox = inbox_id(keeper, test::unhex_array<32>(v.text("owner")));
  EXPECT_EQ(test::hex(called.inbox), v.text("inbox"));

  HailFields fields{.expiry_minutes = hail_expiry(kNow), .card_published = 1'799'999'000};
  Hail hail;
  auto call = detail::make_hail_with(called, *card, fields, v.bytes("frames"),
                                     std::move(*ephemeral), *first, hail);
  ASSERT_TRUE(call);
  EXPECT_EQ(test::hex(hail), v.text("hail"));
  onion::ReplayWindow seen(4);
  const crypto::KemKeyPair* keys[] = {&*key};
  auto hailed = open_hail(called, keys, seen, kNow, hail);
  ASSERT_TRUE(hailed);
  EXPECT_EQ(hailed->fields(), fields);
  Answer answer;
  auto receiver = detail::accept_hail_with(
      std::move(*hailed), {.newer_card = true, .card_published = 1'800'000'000}, *second, answer);
  ASSERT_TRUE(receiver);
  EXPECT_EQ(test::hex(answer), v.text("answer"));
  auto caller = finish_call(std::move(*call), answer);
  ASSERT_TRUE(caller);
  EXPECT_TRUE(caller->fields.newer_card);
  for (std::uint32_t i = 0; i <= 65'536; ++i) {
    std::vector<std::byte> forward(928), backward(928);
    const bool told = i < 2 || i >= 65'535;
    if (!told) {
      forward.resize(32);
      backward.resize(32);
    }
    for (std::size_t k = kTunnelHeaderBytes; k < forward.size(); ++k) {
      forward[k] = static_cast<std::byte>(i + 7 * (k - kTunnelHeaderBytes));
      backward[k] = static_cast<std::byte>(i + 100 + 7 * (k - kTunnelHeaderBytes));
    }
    caller->tunnel.seal(forward);
    receiver->seal(backward);
    if (!told) continue;
    const std::string n = std::to_string(i);
    EXPECT_EQ(test::hex(forward), v.text("forward_" + n));
    EXPECT_EQ(test::hex(backward), v.text("backward_" + n));
  }
}

}  // namespace
}  // namespace qudag::keeper
