// Cells as they should go: both directions, all route lengths, epochs, and what they look like.
#include "onion/cells.h"

#include "onion/support.h"

#include <algorithm>

namespace qudag::onion {
namespace {

using namespace test;

using Param = std::tuple<std::size_t, Priority>;
class CellsOfHops : public ::testing::TestWithParam<Param> {
 protected:
  std::size_t n() const { return std::get<0>(GetParam()); }
  Priority priority() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Hops, CellsOfHops,
                         ::testing::Combine(::testing::Range<std::size_t>(1, 7),
                                            ::testing::Values(Priority::high, Priority::normal,
                                                              Priority::low)));

// One payload to the destination, hop by hop over links; the cell on each link is `seen`.
bool send_forward(TestCircuit& c, memory::Block& cell, auto&& seen) {
  c.source->seal(cell);
  for (std::size_t i = 0; i < c.hops.size(); ++i) {
    cell = c.over_link(cell);
    seen(i, cell.bytes());
    if (!c.step_forward(i, cell)) return false;
  }
  return true;
}

std::optional<std::size_t> send_backward(TestCircuit& c, memory::Block& cell, auto&& seen) {
  c.hops.back().seal(cell);
  for (std::size_t i = c.hops.size() - 1;; --i) {
    cell = c.over_link(cell);
    seen(i, cell.bytes());
    if (i == 0) break;
    c.hops[i - 1].backward(cell);
  }
  return c.source->open(cell);
}

const auto kUnseen = [](std::size_t, Bytes) {};

TEST_P(CellsOfHops, RoundTripBothWays) {
  TestCircuit c(n(), priority(), 1000 + n());
  for (int round = 0; round < 300; ++round) {
    memory::Block cell = c.random_payload();
    const auto sent = copy_of(cell.bytes());
    ASSERT_TRUE(send_forward(c, cell, kUnseen)) << round;
    ASSERT_TRUE(same(sent, cell.bytes())) << round;

    // More cells one way than the other: directions count on their own.
    for (int k = 0; k <= round % 3; ++k) {
      memory::Block back = c.random_payload();
      const auto answered = copy_of(back.bytes());
      ASSERT_EQ(send_backward(c, back, kUnseen), std::nullopt) << round;
      ASSERT_TRUE(same(answered, back.bytes())) << round;
    }
  }
}

/// All hops with ChaCha20, and every mixture with AES, beyond what is made ahead at a time.
TEST_P(CellsOfHops, EveryMixtureOfCiphersGoesBothWays) {
  for (unsigned chacha = 1; chacha < 1u << n(); ++chacha) {
    TestCircuit c(n(), priority(), 2000 + n(), chacha);
    for (int round = 0; round < 40; ++round) {
      memory::Block cell = c.random_payload();
      const auto sent = copy_of(cell.bytes());
      ASSERT_TRUE(send_forward(c, cell, [&](std::size_t, Bytes seen) {
        ASSERT_EQ(seen.size(), cell_bytes(priority()));
      })) << chacha;
      ASSERT_TRUE(same(sent, cell.bytes())) << chacha;
      memory::Block back = c.random_payload();
      const auto answered = copy_of(back.bytes());
      ASSERT_EQ(send_backward(c, back, kUnseen), std::nullopt) << chacha;
      ASSERT_TRUE(same(answered, back.bytes())) << chacha;
    }
  }
}

TEST_P(CellsOfHops, PayloadAndCellSizesDoNotDependOnTheRoute) {
  TestCircuit c(n(), priority(), 6);
  const std::size_t unit = priority() == Priority::low ? 8192 : 1024;
  EXPECT_EQ(payload_bytes(priority()), unit - 96);
  memory::Block cell = c.payload(0);
  ASSERT_TRUE(
      send_forward(c, cell, [&](std::size_t, Bytes seen) { EXPECT_EQ(seen.size(), unit); }));
  EXPECT_EQ(cell.size(), unit - 96);
  memory::Block back = c.payload(0);
  ASSERT_EQ(send_backward(c, back, [&](std::size_t, Bytes seen) { EXPECT_EQ(seen.size(), unit); }),
            std::nullopt);
  EXPECT_EQ(back.size(), unit - 96);
}

TEST_P(CellsOfHops, TheDestinationSeesRandomBytesBehindThePayload) {
  TestCircuit c(n(), priority(), 7);
  // Per position of the 80 bytes, how often each value occurs in 512 cells: about twice each.
  std::vector<std::array<int, 256>> counts(limits::kCellReserveBytes);
  for (int round = 0; round < 512; ++round) {
    memory::Block cell = c.payload(0);
    ASSERT_TRUE(send_forward(c, cell, kUnseen));
    cell.append(limits::kCellReserveBytes);  // what open() cut off is still there
    const Bytes behind = cell.bytes().last(limits::kCellReserveBytes);
    for (std::size_t i = 0; i < behind.size(); ++i) ++counts[i][std::to_integer<int>(behind[i])];
  }
  for (const auto& position : counts) {
    EXPECT_LE(*std::max_element(position.begin(), position.end()), 16);
  }
}

class SmallCellsOfHops : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Hops, SmallCellsOfHops, ::testing::Range<std::size_t>(1, 7));

TEST_P(SmallCellsOfHops, EveryByteOnEveryLinkLooksRandom) {
  const std::size_t n = GetParam();
  TestCircuit c(n, Priority::normal, 8);
  const std::size_t unit = cell_bytes(Priority::normal);
  constexpr int kCells = 768;
  // [direction and link][position][value]
  std::vector<std::vector<std::array<std::uint16_t, 256>>> counts(2 * n);
  for (auto& link : counts) link.resize(unit);
  const auto count = [&](std::size_t link, Bytes seen) {
    for (std::size_t i = 0; i < seen.size(); ++i) ++counts[link][i][std::to_integer<int>(seen[i])];
  };
  for (int round = 0; round < kCells; ++round) {
    memory::Block cell = c.payload(0);  // the worst case: always the same text
    ASSERT_TRUE(send_forward(c, cell, count));
    memory::Block back = c.payload(0);
    ASSERT_EQ(send_backward(c, back, [&](std::size_t i, Bytes s) { count(n + i, s); }),
              std::nullopt);
  }
  // 3 expected of each value; 24 has a chance of 1e-14 per value.
  for (const auto& link : counts) {
    for (std::size_t i = 0; i < unit; ++i) {
      ASSERT_LE(*std::max_element(link[i].begin(), link[i].end()), 24) << "position " << i;
    }
  }
}

TEST(Cells, KeysMoveOnWithoutAGapInBothDirections) {
  TestCircuit c(3, Priority::normal, 9);
  for (std::uint64_t i = 0; i < limits::kCellsPerKey + 100; ++i) {
    memory::Block cell = c.payload(static_cast<std::uint8_t>(i));
    c.source->seal(cell);
    for (std::size_t hop = 0; hop < 3; ++hop) ASSERT_TRUE(c.step_forward(hop, cell)) << i;
    ASSERT_EQ(cell.data()[5], std::byte(static_cast<std::uint8_t>(i)));
    cell.clear();
    cell.append(payload_bytes(Priority::normal));
    c.hops[2].seal(cell);
    c.hops[1].backward(cell);
    c.hops[0].backward(cell);
    ASSERT_EQ(c.source->open(cell), std::nullopt) << i;
    ASSERT_EQ(cell.data()[5], std::byte(static_cast<std::uint8_t>(i)));
  }
}

TEST(Cells, AnIdleCircuitCanRestAnywhere) {
  TestCircuit c(4, Priority::normal, 10);
  for (int round = 0; round < 200; ++round) {
    for (std::size_t i = 0; i < c.hops.size(); ++i) {
      if (round % static_cast<int>(i + 2) == 0) c.hops[i].rest();
    }
    memory::Block cell = c.random_payload();
    const auto sent = copy_of(cell.bytes());
    ASSERT_TRUE(send_forward(c, cell, kUnseen)) << round;
    ASSERT_TRUE(same(sent, cell.bytes()));
    memory::Block back = c.random_payload();
    ASSERT_EQ(send_backward(c, back, kUnseen), std::nullopt) << round;
  }
}

TEST(Cells, AHopOfAnIdleCircuitIsSmall) { EXPECT_LE(sizeof(HopCrypto), 96u); }

TEST(Cells, AWrongSizeIsAFailureNotADefect) {
  TestCircuit c(2, Priority::normal, 11);
  memory::Block cell = c.payload(0);
  EXPECT_FALSE(c.hops[0].forward(cell));
  EXPECT_FALSE(c.hops[1].open(cell));
  EXPECT_TRUE(c.source->open(cell).has_value());
}

}  // namespace
}  // namespace qudag::onion
