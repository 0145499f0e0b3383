// A changed, repeated, dropped or swapped cell: forward the next honest hop notices, backward the
// source, which learns a layer behind which it happened. The thief sits on any link, or is a relay
// that does its own part right and changes the cell afterwards: for everyone else that is the same
// thing.
#include "onion/support.h"

#include <algorithm>

namespace qudag::onion {
namespace {

using namespace test;

using Param = std::tuple<std::size_t, Priority>;
class CellTamper : public ::testing::TestWithParam<Param> {
 protected:
  std::size_t n() const { return std::get<0>(GetParam()); }
  Priority priority() const { return std::get<1>(GetParam()); }
  std::size_t unit() const { return cell_bytes(priority()); }

  // A circuit that has already carried some cells both ways.
  std::unique_ptr<TestCircuit> circuit() {
    auto c = std::make_unique<TestCircuit>(n(), priority(), 77);
    for (int i = 0; i < 3; ++i) {
      memory::Block cell = c->random_payload();
      c->source->seal(cell);
      for (std::size_t hop = 0; hop < n(); ++hop) EXPECT_TRUE(c->step_forward(hop, cell));
      cell = c->random_payload();
      c->hops.back().seal(cell);
      for (std::size_t hop = n() - 1; hop-- > 0;) c->hops[hop].backward(cell);
      EXPECT_EQ(c->source->open(cell), std::nullopt);
    }
    return c;
  }

  // A cell of the source that has come as far as the link to `hop`.
  static memory::Block at_link(TestCircuit& c, std::size_t hop) {
    memory::Block cell = c.random_payload();
    c.source->seal(cell);
    for (std::size_t i = 0; i < hop; ++i) EXPECT_TRUE(c.step_forward(i, cell));
    return cell;
  }
  // A cell of the destination as `hop` sends it.
  static memory::Block sent_back_by(TestCircuit& c, std::size_t hop) {
    memory::Block cell = c.random_payload();
    c.hops.back().seal(cell);
    for (std::size_t i = c.hops.size() - 1; i-- > hop;) c.hops[i].backward(cell);
    return cell;
  }
  // On from there to the source.
  static std::optional<std::size_t> home(TestCircuit& c, std::size_t hop, memory::Block& cell) {
    for (std::size_t i = hop; i-- > 0;) c.hops[i].backward(cell);
    return c.source->open(cell);
  }

  std::vector<std::size_t> positions() const {
    std::vector<std::size_t> out{0, 15, 16, 17, unit() / 2};
    for (std::size_t back = 1; back <= 112; back += back < 18 ? 1 : 5) out.push_back(unit() - back);
    for (std::size_t at = 20; at < unit(); at += unit() / 23) out.push_back(at);
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Hops, CellTamper,
                         ::testing::Combine(::testing::Values<std::size_t>(1, 2, 4, 6),
                                            ::testing::Values(Priority::normal, Priority::low)));

TEST_P(CellTamper, ForwardEveryChangeIsCaughtByTheNextHop) {
  for (std::size_t hop = 0; hop < n(); ++hop) {
    unsigned bit = 0;
    for (const std::size_t at : positions()) {
      auto c = circuit();
      memory::Block cell = at_link(*c, hop);
      cell.data()[at] ^= std::byte(1u << (bit++ % 8));
      EXPECT_FALSE(c->step_forward(hop, cell)) << "hop " << hop << " byte " << at;
    }
    auto c = circuit();
    memory::Block cell = at_link(*c, hop);
    EXPECT_TRUE(c->step_forward(hop, cell)) << "control: unchanged it passes";
  }
}

TEST_P(CellTamper, ForwardRepeatedDroppedAndSwappedCellsAreCaught) {
  for (std::size_t hop = 0; hop < n(); ++hop) {
    {
      auto c = circuit();
      memory::Block cell = at_link(*c, hop);
      memory::Block again = c->over_link(cell);
      EXPECT_TRUE(c->step_forward(hop, cell));
      EXPECT_FALSE(c->step_forward(hop, again)) << "repeated";
    }
    {
      auto c = circuit();
      const memory::Block dropped = at_link(*c, hop);
      memory::Block next = at_link(*c, hop);
      EXPECT_FALSE(c->step_forward(hop, next)) << "after a dropped one, or swapped";
    }
  }
}

TEST_P(CellTamper, BackwardTheSourceCatchesEveryChange) {
  for (std::size_t hop = 0; hop < n(); ++hop) {
    unsigned bit = 0;
    for (const std::size_t at : positions()) {
      auto c = circuit();
      memory::Block cell = c->random_payload();
      const auto answered = copy_of(cell.bytes());
      c->hops.back().seal(cell);
      for (std::size_t i = n() - 1; i-- > hop;) c->hops[i].backward(cell);
      cell.data()[at] ^= std::byte(1u << (bit++ % 8));
      const auto bad = home(*c, hop, cell);
      const std::size_t from_end = (unit() - 1 - at) / limits::kTagBytes;
      if (hop > 0 && from_end == 0) {
        // The next relay drops these bytes, so the change ends there and carries nothing on.
        EXPECT_EQ(bad, std::nullopt);
        EXPECT_TRUE(same(answered, cell.bytes()));
      } else if (from_end < hop) {
        // A later relay drops them; the source misses them when it is at the layer before.
        EXPECT_EQ(bad, hop - from_end) << "byte " << at;
      } else {
        EXPECT_EQ(bad, hop) << "byte " << at;
      }
    }
  }
}

// What relays drop from a wrong cell is not what the source expects: the first layer behind the
// first relay tells, wherever it happened.
TEST_P(CellTamper, BackwardRepeatedDroppedAndSwappedCellsAreCaught) {
  for (std::size_t hop = 0; hop < n(); ++hop) {
    {
      auto c = circuit();
      memory::Block cell = sent_back_by(*c, hop);
      memory::Block again = c->over_link(cell);
      EXPECT_EQ(home(*c, hop, cell), std::nullopt);
      EXPECT_EQ(home(*c, hop, again), std::min<std::size_t>(hop, 1)) << "repeated";
    }
    {
      auto c = circuit();
      const memory::Block dropped = sent_back_by(*c, hop);
      memory::Block next = sent_back_by(*c, hop);
      EXPECT_EQ(home(*c, hop, next), std::min<std::size_t>(hop, 1))
          << "after a dropped one, or swapped";
    }
  }
}

TEST_P(CellTamper, CellsOfAnotherCircuitOrDirectionDoNotPass) {
  auto c = circuit();
  TestCircuit other(n(), priority(), 78);
  memory::Block cell = at_link(other, n() - 1);
  EXPECT_FALSE(c->step_forward(n() - 1, cell));

  c = circuit();
  cell = at_link(*c, 0);  // sent straight back to the source
  EXPECT_EQ(c->source->open(cell), 0u);
}

// A destination that leaves something behind its payload. What relays have not dropped the source
// sees, and knows whose doing it is; the rest shows as a tag that does not verify, never at the
// first layer: no guard looks guilty.
TEST_P(CellTamper, ATailThatIsNotZeroIsTheDestinationsDoing) {
  const std::size_t payload = payload_bytes(priority());
  for (std::size_t at = 0; at < limits::kCellReserveBytes; at += 5) {
    auto c = circuit();
    memory::Block cell = c->random_payload();
    cell.append(limits::kCellReserveBytes + limits::kTagBytes);
    std::ranges::fill(cell.bytes().subspan(payload), std::byte{0});
    cell.bytes()[payload + at] = std::byte{1};
    c->hops.back().backward(cell);  // what seal() does, without its zeros
    const auto bad = home(*c, n() - 1, cell);
    const std::size_t from_end = (limits::kCellReserveBytes - 1 - at) / limits::kTagBytes;
    if (from_end + 1 < n()) {
      EXPECT_EQ(bad, n() - 1 - from_end) << "byte " << at;
      EXPECT_GE(*bad, 1u);
    } else {
      EXPECT_EQ(bad, SourceCrypto::kTailNotZero) << "byte " << at;
    }
  }
  auto c = circuit();
  memory::Block cell = c->random_payload();
  cell.append(limits::kCellReserveBytes + limits::kTagBytes);
  std::ranges::fill(cell.bytes().subspan(payload), std::byte{0});
  c->hops.back().backward(cell);
  EXPECT_EQ(home(*c, n() - 1, cell), std::nullopt) << "control: with zeros it passes";
}

}  // namespace
}  // namespace qudag::onion
