// The cipher of each hop's layer of cells: from the route through the record to both halves.
#include "onion/key_stock.h"
#include "onion/record.h"
#include "onion/support.h"

namespace qudag::onion {
namespace {

using namespace test;

TEST(CipherOfHops, TheRecordCarriesIt) {
  TestRoute route(4, 31);
  route.nodes[1].cipher = crypto::Cipher::chacha20_poly1305;
  route.nodes[3].cipher = crypto::Cipher::chacha20_poly1305;
  const Built built = build_circuit(route);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(built.accepted[i].secrets.cipher, route.nodes[i].cipher) << i;
    EXPECT_TRUE(same(built.accepted[i].secrets, built.source[i])) << i;
  }
}

TEST(CipherOfHops, ItIsBoundToTheKeys) {
  // The same chance, once with each cipher: other traffic keys, since the record is in them.
  TestRoute aes(1, 32), chacha(1, 32);
  chacha.nodes[0].cipher = crypto::Cipher::chacha20_poly1305;
  const Built a = build_circuit(aes), b = build_circuit(chacha);
  EXPECT_FALSE(same(a.source[0].forward_chain.span(), b.source[0].forward_chain.span()));
}

TEST(CipherOfHops, AnUnknownOneIsMalformed) {
  std::array<std::byte, limits::kBuildRecordBytes> bytes;
  std::array<std::byte, limits::kKemPublicBytes> key{};
  BuildRecord written;
  written.role = Role::destination;
  written.ephemeral = key;
  write_build_record(written, bytes);
  for (unsigned cipher = 0; cipher < 256; ++cipher) {
    bytes[3] = static_cast<std::byte>(cipher);
    const auto record = parse_build_record(bytes);
    EXPECT_EQ(record.has_value(), cipher < crypto::kCipherCount) << cipher;
    if (record) continue;
    EXPECT_EQ(record.error(), Errc::malformed);
  }
}

TEST(KeyStock, GrowsWithWhatIsTakenAndRests) {
  KeyStock stock;
  EXPECT_EQ(stock.wanted(), 0u) << "a node that builds nothing makes no keys";
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(stock.take());
  EXPECT_EQ(stock.missed(), 4u);
  EXPECT_EQ(stock.wanted(), 8u);
  for (int i = 0; i < 8; ++i) stock.put(crypto::KemKeyPair::generate().value());
  EXPECT_EQ(stock.wanted(), 0u);
  const auto first = stock.take();
  const auto second = stock.take();
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->public_bytes(), second->public_bytes());
  for (int i = 0; i < 100; ++i) static_cast<void>(stock.take());
  EXPECT_EQ(stock.wanted(), KeyStock::kPairsMax);
  for (std::size_t i = 0; i < 2 * KeyStock::kPairsMax; ++i) {
    stock.put(crypto::KemKeyPair::generate().value());
  }
  EXPECT_EQ(stock.size(), KeyStock::kPairsMax);
  stock.rest();
  EXPECT_EQ(stock.size(), KeyStock::kPairsMax) << "there were builds since the last time";
  stock.rest();
  EXPECT_EQ(stock.size(), 0u);
  EXPECT_EQ(stock.wanted(), 0u);
}

TEST(KeyStock, ABuildTakesItsKeysFromIt) {
  TestRoute route(3, 33);
  KeyStock stock;
  std::vector<crypto::KemPublicBytes> ahead;
  for (int i = 0; i < 3; ++i) {
    auto pair = crypto::KemKeyPair::generate().value();
    ahead.push_back(pair.public_bytes());
    stock.put(std::move(pair));
  }
  BuildMessage message;
  auto pending = start_build(route.hops(), Priority::normal, kNow, route.rng, message, &stock);
  ASSERT_TRUE(pending);
  EXPECT_EQ(stock.size(), 0u);
  EXPECT_EQ(stock.taken(), 3u);
  EXPECT_TRUE(route.accept(0, message)) << "a build like any other";
  // The next one makes its own.
  ASSERT_TRUE(start_build(route.hops(), Priority::normal, kNow, route.rng, message, &stock));
  EXPECT_EQ(stock.missed(), 3u);
}

}  // namespace
}  // namespace qudag::onion
