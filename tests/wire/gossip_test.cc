// The bodies of gossip: golden bytes, exact lengths, ranges and bounds.
#include "wire/gossip.h"

#include "wire/golden.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qudag::wire {
namespace {

using test::from_hex;
using test::to_hex;

NodeId id_of_byte(unsigned value) {
  NodeId id;
  id.bytes.fill(static_cast<std::byte>(value));
  return id;
}

const std::string k20 = [] {
  std::string text;
  for (int i = 0; i < 32; ++i) text += "20";
  return text;
}();
const std::string k7f = [] {
  std::string text;
  for (int i = 0; i < 32; ++i) text += "7f";
  return text;
}();

constexpr IdRange kTwenties{.prefix = 0x2000'0000'0000'0000, .depth = 1};

TEST(Gossip, RangesHoldTheIdsThatBeginWithTheirNibbles) {
  EXPECT_TRUE(IdRange{}.contains(id_of_byte(0xff)));
  EXPECT_TRUE(kTwenties.contains(id_of_byte(0x2f)));
  EXPECT_FALSE(kTwenties.contains(id_of_byte(0x30)));
  EXPECT_EQ(IdRange{}.part(2), kTwenties);
  EXPECT_EQ(IdRange::around(id_of_byte(0x2f), 1), kTwenties);
  EXPECT_EQ(kTwenties.part(15).prefix, 0x2f00'0000'0000'0000u);
  EXPECT_EQ(kTwenties.first().bytes[0], std::byte{0x20});
  const IdRange narrowest = IdRange::around(id_of_byte(0x7f), IdRange::kDepthMax);
  EXPECT_TRUE(narrowest.valid());
  EXPECT_EQ(narrowest.prefix, 0x7f7f'7f7f'7f7f'7f7fu);
  EXPECT_FALSE((IdRange{.prefix = 1, .depth = 15}).valid());
  EXPECT_FALSE((IdRange{.depth = 17}).valid());
  // The parts of a range hold each of its ids once.
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::size_t in = 0;
    for (std::size_t i = 0; i < IdRange::kParts; ++i)
      in += kTwenties.part(i).contains(id_of_byte(byte));
    EXPECT_EQ(in, kTwenties.contains(id_of_byte(byte)) ? 1u : 0u) << byte;
  }
}

TEST(Gossip, DigestGoldenBytes) {
  const std::vector<DigestEntry> entries{{id_of_byte(0x20), 1'700'000'000}, {id_of_byte(0x2f), 2}};
  const auto body = encode_digest(kTwenties, entries);
  std::string k2f;
  for (int i = 0; i < 32; ++i) k2f += "2f";
  EXPECT_EQ(to_hex(body),
            "2000000000000000010002" + k20 + "000000006553f100" + k2f + "0000000000000002");
  const auto view = DigestView::parse(body);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->range(), kTwenties);
  ASSERT_EQ(view->size(), 2u);
  EXPECT_EQ(view->at(0), entries[0]);
  EXPECT_EQ(view->at(1), entries[1]);
}

TEST(Gossip, DigestRules) {
  const std::string rank = "0000000000000001", entry = k20 + rank;
  const std::string of_all = "000000000000000000";
  EXPECT_TRUE(DigestView::parse(from_hex(of_all + "0000")));
  EXPECT_TRUE(DigestView::parse(from_hex("2000000000000000010001" + entry)));
  EXPECT_FALSE(DigestView::parse(from_hex("2000000000000000000001" + entry))) << "bits behind it";
  EXPECT_FALSE(DigestView::parse(from_hex("0000000000000000110000"))) << "seventeen nibbles";
  EXPECT_FALSE(DigestView::parse(from_hex("3000000000000000010001" + entry))) << "outside";
  EXPECT_FALSE(DigestView::parse(from_hex(of_all + "0002" + entry))) << "an entry missing";
  EXPECT_FALSE(DigestView::parse(from_hex(of_all + "0000" + entry))) << "an entry too many";
  EXPECT_TRUE(DigestView::parse(from_hex(of_all + "0002" + entry + k7f + rank)));
  EXPECT_FALSE(DigestView::parse(from_hex(of_all + "0002" + k7f + rank + entry))) << "not in order";
  EXPECT_FALSE(DigestView::parse(from_hex(of_all + "0002" + entry + entry))) << "twice";
  const auto body = from_hex(of_all + "0001" + entry);
  for (std::size_t n = 0; n < body.size(); ++n) {
    EXPECT_FALSE(DigestView::parse(Bytes(body).first(n))) << n;
  }
}

TEST(Gossip, SummaryGoldenBytesAndRules) {
  Summary summary{.range = kTwenties, .nonce = 7};
  summary.parts[0] = {.count = 3, .fingerprint = 0x0102030405060708};
  summary.parts[15] = {.count = 65535, .fingerprint = 1};
  const auto body = encode_summary(summary);
  EXPECT_EQ(to_hex(Bytes(body).first(27)),
            "200000000000000001"
            "0000000000000007"
            "0003"
            "0102030405060708");
  EXPECT_EQ(to_hex(Bytes(body).last(10)), "ffff0000000000000001");
  EXPECT_EQ(parse_summary(body), summary);
  for (std::size_t n = 0; n < body.size(); ++n) {
    EXPECT_FALSE(parse_summary(Bytes(body).first(n))) << n;
  }
  std::vector<std::byte> long_one(body.begin(), body.end());
  long_one.push_back({});
  EXPECT_FALSE(parse_summary(long_one));
  auto no_parts = body;
  no_parts[8] = std::byte{16};
  EXPECT_FALSE(parse_summary(no_parts));
}

TEST(Gossip, AskGoldenBytesAndRules) {
  const std::vector<Ask> asks{{kTwenties, false}, {IdRange{}, true}};
  const auto body = encode_ask(asks);
  EXPECT_EQ(to_hex(body),
            "02"
            "200000000000000001"
            "000000000000000080");
  EXPECT_EQ(parse_ask(body), asks);
  for (std::size_t n = 0; n < body.size(); ++n) EXPECT_FALSE(parse_ask(Bytes(body).first(n))) << n;
  EXPECT_TRUE(
      parse_ask(from_hex("01"
                         "000000000000000090")))
      << "entries of the narrowest";
  EXPECT_FALSE(
      parse_ask(from_hex("01"
                         "000000000000000010")))
      << "it has no parts";
  EXPECT_FALSE(
      parse_ask(from_hex("01"
                         "000000000000000091")));
  EXPECT_FALSE(
      parse_ask(from_hex("01"
                         "000000000000000100")))
      << "bits behind the nibbles";
  EXPECT_TRUE(parse_ask(encode_ask(std::vector<Ask>(16))));
  auto many = encode_ask(std::vector<Ask>(16));
  many[0] = std::byte{17};
  many.resize(many.size() + kRangeBytes);
  EXPECT_FALSE(parse_ask(many));
}

TEST(Gossip, WantGoldenBytesAndRules) {
  const std::vector<NodeId> ids{id_of_byte(0x7f), id_of_byte(0x20)};
  const auto body = encode_want(ids);
  EXPECT_EQ(to_hex(body), "0002" + k7f + k20);
  const auto view = WantView::parse(body);
  ASSERT_TRUE(view);
  ASSERT_EQ(view->size(), 2u);
  EXPECT_EQ(view->at(0), ids[0]);
  EXPECT_EQ(view->at(1), ids[1]);
  for (std::size_t n = 0; n < body.size(); ++n) {
    EXPECT_FALSE(WantView::parse(Bytes(body).first(n))) << n;
  }
  EXPECT_FALSE(WantView::parse(from_hex("0001" + k7f + k20)));
}

TEST(Gossip, FourHundredIsTheMost) {
  std::vector<DigestEntry> entries;
  for (std::uint64_t i = 0; i < 400; ++i) {
    entries.push_back({id_of_byte(1), 1});
    store_be(entries.back().id.bytes.data() + 24, i);
  }
  auto digest = encode_digest({}, entries);
  EXPECT_TRUE(DigestView::parse(digest));
  digest.resize(digest.size() + kDigestEntryBytes, std::byte{1});
  store_be<std::uint16_t>(digest.data() + kRangeBytes, 401);
  EXPECT_FALSE(DigestView::parse(digest));

  auto want = encode_want(std::vector<NodeId>(400, id_of_byte(1)));
  EXPECT_TRUE(WantView::parse(want));
  want.resize(want.size() + NodeId::kSize);
  store_be<std::uint16_t>(want.data(), 401);
  EXPECT_FALSE(WantView::parse(want));
}

}  // namespace
}  // namespace qudag::wire
