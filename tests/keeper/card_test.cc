// Cards, their sealed form, invitations, and what a receiver keeps: what is made is read again,
// and anything else is refused.
#include "keeper/card/card.h"
#include "keeper/card/kept_receiver.h"
#include "vectors/vectors.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

constexpr UnixSeconds kNow = 1'800'000'000;

struct Made {
  crypto::Identity identity = *crypto::Identity::generate();
  crypto::KemKeyPair first = *crypto::KemKeyPair::generate();
  crypto::KemKeyPair second = *crypto::KemKeyPair::generate();
  Pin pin{std::byte{7}};
  wire::Spot spot{std::byte{9}};
  CardFields fields{.published = kNow - 100,
                    .expires = kNow + 86'400,
                    .flags = kCardPipes,
                    .places = {{.keeper = {{std::byte{1}}}, .inbox = {std::byte{2}}}},
                    .keys = {{kNow - 100, kNow + 500, first.public_bytes()}}};

  CardBlob blob() const {
    CardBlob out;
    seal_card(*sign_card(identity, fields), identity.id(), pin, spot, {std::byte{3}}, out);
    return out;
  }
  Result<Card> open(CardBlob sealed, UnixSeconds now = kNow) const {
    return open_card(sealed, identity.id(), pin, spot, now);
  }
};

TEST(Cards, AreReadAgainWithTheKeyThatIsGoodNow) {
  Made made;
  const auto card = made.open(made.blob());
  ASSERT_TRUE(card) << card.error().message();
  EXPECT_EQ(card->receiver, made.identity.id());
  EXPECT_EQ(card->places, made.fields.places);
  EXPECT_EQ(card->inbox_key, made.first.public_bytes());
  EXPECT_EQ(card->published, kNow - 100);
  EXPECT_EQ(card->expires, kNow + 500);  // its key is the first that ends
  EXPECT_EQ(card->pin, made.pin);
  made.fields.keys.push_back({kNow - 50, kNow + 5'000, made.second.public_bytes()});
  while (made.fields.places.size() < kKeepersMax) made.fields.places.push_back({});
  EXPECT_EQ(made.open(made.blob())->inbox_key, made.second.public_bytes());
  const auto whole = sign_card(made.identity, made.fields);
  EXPECT_EQ(whole->size(), kCardBytesMax);
  EXPECT_EQ(*read_card(*whole, made.identity.id()), made.fields);
}

/// The second implementation's bytes: its card is read, and its blob and invitation are made again.
TEST(Cards, AreThoseOfTheSecondImplementation) {
  const test::Vectors golden(QUDAG_VECTORS "/card.txt");
  const auto fixed = [&]<std::size_t N>(const std::string& name, std::array<std::byte, N>& out) {
    const auto raw = golden.bytes(name);
    ASSERT_EQ(raw.size(), N) << name;
    std::ranges::copy(raw, out.begin());
  };
  NodeId receiver;
  Pin pin;
  CardSalt salt;
  wire::InboxId inbox;
  CardBlob blob, made;
  fixed("receiver", receiver.bytes);
  fixed("pin", pin);
  fixed("salt", salt);
  fixed("inbox", inbox);
  fixed("blob", blob);
  const wire::Spot spot = spot_here(inbox);
  EXPECT_TRUE(std::ranges::equal(spot, golden.bytes("spot")));
  const auto card = golden.bytes("card");
  ASSERT_TRUE(read_card(card, receiver));
  seal_card(card, receiver, pin, spot, salt, made);
  EXPECT_TRUE(std::ranges::equal(made, blob));
  const auto opened = open_card(blob, receiver, pin, spot, kNow + 5);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_TRUE(std::ranges::equal(opened->inbox_key, golden.bytes("inbox_key")));
  EXPECT_EQ(opened->expires, kNow + 172'800u);
  const auto raw = golden.bytes("text");
  const std::string text(reinterpret_cast<const char*>(raw.data()), raw.size());
  EXPECT_EQ(Invitation::of(*opened).to_string(), text);
  EXPECT_EQ(Invitation::parse(text).value(), Invitation::of(*opened));
}

TEST(Cards, AreRefusedByTheirTimes) {
  Made made;
  EXPECT_EQ(made.open(made.blob(), kNow + 500).error(), Errc::expired);      // its key
  EXPECT_EQ(made.open(made.blob(), kNow + 90'000).error(), Errc::expired);   // itself
  EXPECT_EQ(made.open(made.blob(), kNow - 1'000).error(), Errc::malformed);  // from the future
  made.fields.expires = made.fields.published + 8 * 86'400 + 1;
  EXPECT_EQ(made.open(made.blob()).error(), Errc::malformed);
}

TEST(Cards, OpenForWhoHasIdAndPinAtTheirSpotAlone) {
  const Made made;
  const CardBlob good = made.blob();
  const auto open = [&](const NodeId& id, const Pin& pin, const wire::Spot& spot) {
    CardBlob blob = good;
    return open_card(blob, id, pin, spot, kNow).has_value();
  };
  EXPECT_TRUE(open(made.identity.id(), made.pin, made.spot));
  EXPECT_FALSE(open({}, made.pin, made.spot));
  EXPECT_FALSE(open(made.identity.id(), {}, made.spot));
  EXPECT_FALSE(open(made.identity.id(), made.pin, {}));
  for (std::size_t at = 0; at < good.size(); at += 97) {
    CardBlob bad = good;
    bad[at] ^= std::byte{1};
    EXPECT_FALSE(made.open(bad)) << at;
  }
}

/// Who has an invitation can seal anything; it is not the receiver's.
TEST(Cards, OfSomebodyElseAreNone) {
  const Made made;
  Made other;
  other.pin = made.pin;
  const auto forged = sign_card(other.identity, other.fields);
  CardBlob blob;
  seal_card(*forged, made.identity.id(), made.pin, made.spot, {}, blob);
  EXPECT_EQ(made.open(blob).error(), Errc::authentication_failed);
  // The receiver's own key, and another's signature.
  auto card = *sign_card(made.identity, made.fields);
  std::ranges::copy(std::span(*forged).last(crypto::kSignatureSize),
                    card.end() - crypto::kSignatureSize);
  EXPECT_EQ(read_card(card, made.identity.id()).error(), Errc::authentication_failed);
  // Counts that no card has.
  card = *sign_card(made.identity, made.fields);
  constexpr std::size_t kCountAt = 1 + crypto::kIdentityPublicSize + 24;
  for (const int count : {0, 2, 4, 255}) {
    auto changed = card;
    changed[kCountAt] = static_cast<std::byte>(count);
    EXPECT_FALSE(read_card(changed, made.identity.id())) << count;
    seal_card(changed, made.identity.id(), made.pin, made.spot, {}, blob);
    EXPECT_FALSE(made.open(blob)) << count;
  }
}

Invitation invitation_to(std::size_t places) {
  Invitation out;
  out.receiver.bytes.fill(std::byte{0xab});
  out.pin.fill(std::byte{0xcd});
  for (std::size_t i = 0; i < places; ++i) {
    Card::Place place;
    place.keeper.bytes.fill(static_cast<std::byte>(i + 1));
    place.inbox.fill(static_cast<std::byte>(i + 100));
    out.places.push_back(place);
  }
  return out;
}

TEST(Invitations, AreReadAgainInEitherCaseAndOverLines) {
  constexpr std::size_t kLengths[] = {195, 297, 399};
  for (const std::size_t places : {1u, 2u, 3u}) {
    const Invitation made = invitation_to(places);
    std::string text = made.to_string();
    EXPECT_EQ(text.size(), kLengths[places - 1]);
    EXPECT_EQ(Invitation::parse(text).value(), made);
    std::string upper = text;
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    EXPECT_EQ(Invitation::parse(upper).value(), made);
    for (std::size_t at = 60; at < text.size(); at += 61) text.insert(at, "\n");
    EXPECT_EQ(Invitation::parse(" " + text + "\r\n").value(), made);
  }
}

TEST(Invitations, SayWhatIsWrongWithThem) {
  const std::string good = invitation_to(2).to_string();
  const auto why = [](std::string_view text) {
    const auto parsed = Invitation::parse(text);
    return parsed ? std::string() : parsed.error().detail;
  };
  EXPECT_TRUE(why("").contains("begins with qudag1:"));
  EXPECT_TRUE(why("qudag2:" + good.substr(7)).contains("begins with qudag1:"));
  EXPECT_TRUE(why("qudag1:").contains("not whole"));
  EXPECT_TRUE(why(good.substr(0, good.size() - 9)).contains("checksum"));
  std::string foreign = good;
  foreign[40] = '1';
  EXPECT_TRUE(why(foreign).contains("character 41")) << why(foreign);
  EXPECT_TRUE(why(std::string(5'000, 'a')).contains("shorter"));
  // Every single typing error, and two neighbours that changed places.
  for (std::size_t at = 7; at < good.size(); ++at) {
    std::string typo = good;
    typo[at] = typo[at] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(Invitation::parse(typo)) << at;
    std::string swapped = good;
    if (at + 1 == good.size() || good[at] == good[at + 1]) continue;
    std::swap(swapped[at], swapped[at + 1]);
    EXPECT_FALSE(Invitation::parse(swapped)) << at;
  }
}

TEST(KeptReceivers, AreReadAgain) {
  KeptReceiver made;
  made.identity = crypto::Identity::generate()->seed();
  made.master.span()[3] = std::byte{3};
  made.hidden = false;
  made.keepers = 3;
  made.number = 77;
  made.published = kNow;
  made.replaced = kNow - 5;
  while (made.posts.size() < KeptReceiver::kPostsMax) {
    made.posts.push_back({.keeper = {}, .number = 5, .until = kNow + 1, .listed = true});
  }
  while (made.keys.size() < KeptReceiver::kKeysMax) {
    made.keys.push_back({kNow, crypto::KemKeyPair::generate()->seed()});
  }
  const auto raw = made.encode();
  EXPECT_LE(raw.size(), KeptReceiver::kEncodedBytesMax);
  const auto read = KeptReceiver::parse(raw);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->encode(), raw);
  EXPECT_EQ(read->posts, made.posts);
  for (std::size_t bytes = 0; bytes < raw.size(); bytes += 13) {
    EXPECT_FALSE(KeptReceiver::parse(Bytes(raw).first(bytes))) << bytes;
  }
  auto longer = raw;
  longer.push_back({});
  EXPECT_FALSE(KeptReceiver::parse(longer));
}

}  // namespace
}  // namespace qudag::keeper
