// DIGEST and WANT: golden bytes, exact lengths, ranges and bounds.
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

TEST(Gossip, DigestGoldenBytes) {
  const std::vector<DigestEntry> entries{{id_of_byte(0x20), 1'700'000'000}, {id_of_byte(0x7f), 2}};
  const auto body = encode_digest(0x20, 0x7f, entries);
  EXPECT_EQ(to_hex(body), "207f0002" + k20 + "000000006553f100" + k7f + "0000000000000002");
  const auto view = DigestView::parse(body);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->lo(), 0x20);
  EXPECT_EQ(view->hi(), 0x7f);
  ASSERT_EQ(view->size(), 2u);
  EXPECT_EQ(view->at(0), entries[0]);
  EXPECT_EQ(view->at(1), entries[1]);
}

TEST(Gossip, DigestOfNothingIsFourBytes) {
  EXPECT_EQ(to_hex(encode_digest(0, 255, {})), "00ff0000");
  const auto body = from_hex("00ff0000");
  ASSERT_TRUE(DigestView::parse(body));
  EXPECT_EQ(DigestView::parse(body)->size(), 0u);
}

TEST(Gossip, DigestRules) {
  const std::string entry = k20 + "0000000000000001";
  EXPECT_TRUE(DigestView::parse(from_hex("20200001" + entry)));
  EXPECT_FALSE(DigestView::parse(from_hex("21200000"))) << "lo above hi";
  EXPECT_FALSE(DigestView::parse(from_hex("21ff0001" + entry))) << "an id below the range";
  EXPECT_FALSE(DigestView::parse(from_hex("001f0001" + entry))) << "an id above the range";
  EXPECT_FALSE(DigestView::parse(from_hex("00ff0002" + entry))) << "an entry missing";
  EXPECT_FALSE(DigestView::parse(from_hex("00ff0000" + entry))) << "an entry too many";
  const auto body = from_hex("20200001" + entry);
  for (std::size_t n = 0; n < body.size(); ++n) {
    EXPECT_FALSE(DigestView::parse(Bytes(body).first(n))) << n;
  }
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
  const std::vector<DigestEntry> entries(400, {id_of_byte(1), 1});
  auto digest = encode_digest(0, 255, entries);
  EXPECT_TRUE(DigestView::parse(digest));
  digest.resize(digest.size() + kDigestEntryBytes, std::byte{1});
  store_be<std::uint16_t>(digest.data() + 2, 401);
  EXPECT_FALSE(DigestView::parse(digest));

  auto want = encode_want(std::vector<NodeId>(400, id_of_byte(1)));
  EXPECT_TRUE(WantView::parse(want));
  want.resize(want.size() + NodeId::kSize);
  store_be<std::uint16_t>(want.data(), 401);
  EXPECT_FALSE(WantView::parse(want));
}

}  // namespace
}  // namespace qudag::wire
