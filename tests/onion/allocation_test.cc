// No allocation per cell in the steady state: operator new and OpenSSL's allocator are counted.
#include "onion/counted_openssl.h"
#include "onion/support.h"
#include "support/allocation_count.h"

#include <cstdio>

namespace qudag::onion {
namespace {

using namespace test;
using qudag::test::allocated_bytes;
using qudag::test::allocations;

TEST(Allocation, NonePerCell) {
  ASSERT_TRUE(openssl_is_counted());
  for (const Priority priority : {Priority::normal, Priority::low}) {
    TestCircuit c(4, priority, 12);
    std::size_t before = 0;
    for (int i = 0; i < 400; ++i) {
      if (i == 100) before = allocations();  // contexts and blocks are there by then
      memory::Block cell = c.payload(0);
      c.source->seal(cell);
      for (std::size_t hop = 0; hop < 4; ++hop) ASSERT_TRUE(c.step_forward(hop, cell));
      c.hops[3].seal(cell);
      for (std::size_t hop = 3; hop-- > 0;) c.hops[hop].backward(cell);
      ASSERT_EQ(c.source->open(cell), std::nullopt);
    }
    EXPECT_EQ(allocations() - before, 0u);
  }
}

// What a circuit costs, printed for the README and bounded so that it cannot grow unseen.
TEST(Allocation, AnIdleHopIsSmallAndRestGivesTheContextsBack) {
  ASSERT_TRUE(openssl_is_counted());
  TestCircuit c(2, Priority::normal, 13);
  const auto pass = [&] {
    memory::Block cell = c.payload(0);
    c.source->seal(cell);
    ASSERT_TRUE(c.hops[0].forward(cell));
    ASSERT_TRUE(c.hops[1].open(cell));
    c.hops[1].seal(cell);
    c.hops[0].backward(cell);
    ASSERT_EQ(c.source->open(cell), std::nullopt);
  };
  pass();  // the source's contexts and the blocks
  for (auto& hop : c.hops) hop.rest();
  const std::size_t before = allocated_bytes();
  memory::Block cell = c.payload(0);
  c.source->seal(cell);
  ASSERT_TRUE(c.hops[0].forward(cell));
  const std::size_t forward = allocated_bytes() - before;
  c.hops[0].backward(cell);
  const std::size_t both = allocated_bytes() - before;
  std::printf("bytes of a relay's circuit: at rest %zu, forward keys %zu, backward keys %zu\n",
              sizeof(HopCrypto), forward, both - forward);
  EXPECT_GT(forward, 0u);  // rest() had given them back
  EXPECT_LE(sizeof(HopCrypto), 96u);
  EXPECT_LE(both, 6u * 1024);
}

}  // namespace
}  // namespace qudag::onion
