// Messages arrive: every size, many at once, large beside small, signed, answered.
#include "world.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace qudag::message::testing {
namespace {

constexpr std::size_t kMiB = 1 << 20;

class Sizes : public ::testing::TestWithParam<Priority> {};

TEST_P(Sizes, EachArrivesAsItWasSent) {
  World world(2);
  const std::vector<std::size_t> sizes = {0,    1,    255,  256,   876,   877,    891,  892,
                                          893,  927,  928,  929,   8044,  8060,   8061, 8096,
                                          8191, 8192, 8193, 16384, 65536, 100000, kMiB};
  std::vector<SendId> ids;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ids.push_back(*world[0].send(1, i, sizes[i], {.priority = GetParam()}));
    // One alone and then all together are different paths through packing.
    if (i % 2 == 0) {
      ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == ids.size(); }));
    }
  }
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == sizes.size(); }));
  for (const SendId id : ids) {
    EXPECT_EQ(world[0].ended[id.value].delivery.outcome, Outcome::delivered);
    EXPECT_GT(world[0].ended[id.value].delivery.elapsed, 0ns);
  }
  ASSERT_EQ(world[1].got.size(), sizes.size());
  std::multiset<std::vector<std::byte>> sent, got;
  for (std::size_t i = 0; i < sizes.size(); ++i) sent.insert(pattern(i, sizes[i]));
  for (const Got& one : world[1].got) {
    got.insert(one.bytes);
    EXPECT_EQ(one.priority, GetParam());
    EXPECT_FALSE(one.sender);
    EXPECT_TRUE(one.reply_to);
    EXPECT_FALSE(one.in_reply_to);
  }
  EXPECT_TRUE(sent == got);
  EXPECT_EQ(world.lines(), 1u) << "one circuit is enough for one flow";
  world.expect_empty();
}

INSTANTIATE_TEST_SUITE_P(Classes, Sizes,
                         ::testing::Values(Priority::high, Priority::normal, Priority::low));

class Largest : public ::testing::TestWithParam<Priority> {};

TEST_P(Largest, SixtyFourMebibytesWithProgress) {
  World world(2);
  const std::size_t size = limits::kMessageBytesMax;
  const auto id = world[0].send(1, 7, size, {.priority = GetParam()});
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 1; }));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  ASSERT_EQ(world[1].got.size(), 1u);
  EXPECT_TRUE(world[1].got[0].bytes == pattern(7, size));

  // A credit frame about every MiB, each with progress, rising.
  const auto& progress = world[0].progress;
  EXPECT_GE(progress.size(), 50u);
  EXPECT_LE(progress.size(), 70u);
  for (std::size_t i = 0; i < progress.size(); ++i) {
    EXPECT_EQ(progress[i].send, id->value);
    EXPECT_EQ(progress[i].all, size);
    EXPECT_LE(progress[i].done, size);
    if (i > 0) {
      EXPECT_GT(progress[i].done, progress[i - 1].done);
    }
  }
  // Payload bytes are copied once on the way out. The receiver keeps large blocks as they came, and
  // gathers what came in small ones: once.
  EXPECT_EQ(world[0].messages->stats().bytes_copied, size);
  const std::uint64_t gathered = world[1].messages->stats().bytes_copied;
  if (GetParam() == Priority::low) {
    EXPECT_LT(gathered, 16 * 1024u);
  } else {
    EXPECT_EQ(gathered, size);
  }
  EXPECT_EQ(world[0].messages->stats().bytes_sent(), size);
  EXPECT_EQ(world[1].messages->stats().bytes_received(), size);
  world.expect_empty();
}

INSTANTIATE_TEST_SUITE_P(CellSizes, Largest, ::testing::Values(Priority::normal, Priority::low));

TEST(Delivery, OneByteMoreIsTooLarge) {
  World world(2);
  const auto id = world[0].send(1, 7, limits::kMessageBytesMax + 1);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error(), Errc::too_large);
  world.expect_empty();
}

TEST(Delivery, TwentyThousandSmallOnesShareCells) {
  WorldOptions options;
  World world(2, options);
  constexpr std::size_t kCount = 20'000;
  constexpr std::size_t kSize = 256;
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_TRUE(world[0].send(1, i, kSize));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == kCount; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), kCount);
  ASSERT_EQ(world[1].got.size(), kCount);
  // In order, since one flow has one circuit and none of them is large.
  for (std::size_t i = 0; i < kCount; ++i) {
    std::uint64_t serial = 0;
    std::memcpy(&serial, world[1].got[i].bytes.data(), 8);
    ASSERT_EQ(serial, i);
  }
  // Each message has a header of 36 bytes, and one more of 8 if it is cut; a payload loses less
  // than a smallest first fragment (52 bytes) at its end.
  const std::size_t bound = kCount * (kSize + 36 + 8) / (928 - 52) + 1;
  EXPECT_LE(world[0].cells_sent, bound);
  EXPECT_GE(world[0].cells_sent, kCount * (kSize + 30) / 928) << "less than the bytes need";
  // 20,000 acknowledgements of 6 bytes and some credit: far fewer cells than messages.
  EXPECT_LE(world[1].cells_sent, kCount / 3 + 100);
  world.expect_empty();
}

TEST(Delivery, IdleMeansNoWaiting) {
  World world(2);
  ASSERT_TRUE(world[0].send(1, 1, 100));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 1; }));
  const auto second = world[0].send(1, 2, 100);
  const TimePoint begun = world.now().mono;
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 2; }));
  const Duration took = world[0].end_of(second).at - begun;
  EXPECT_EQ(took, 2 * (world.options.latency + world.options.cell_time));
}

TEST(Delivery, ASmallMessageDoesNotWaitForALargeOne) {
  World world(2);
  const auto large = world[0].send(1, 1, limits::kMessageBytesMax);
  world.run_for(100ms);  // it is well on its way
  ASSERT_EQ(world[0].outcomes(), 0u);
  std::vector<SendId> small;
  for (std::uint64_t i = 0; i < 10; ++i) {
    const TimePoint begun = world.now().mono;
    const auto id = world[0].send(1, 10 + i, 256);
    ASSERT_TRUE(world.run_until([&] { return world[0].ended.contains(id->value); }));
    // The cells that are queued ahead, and one round trip; the credit may be used up, then another.
    const Duration queued = world.options.cell_time * (world.options.ahead_cells + 2);
    EXPECT_LE(world[0].end_of(id).at - begun, 4 * world.options.latency + 2 * queued);
  }
  EXPECT_FALSE(world[0].ended.contains(large->value));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 11; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 11u);
  world.expect_empty();
}

TEST(Delivery, AFloodOfSmallOnesDoesNotStarveALargeOne) {
  WorldOptions options;
  options.latency = 100us;  // so that little is sent between its last byte and its acknowledgement
  World world(2, options);
  const auto large = world[0].send(1, 1, 2 * kMiB);
  std::uint64_t serial = 100;
  // Small messages never run out while the large one is on its way.
  auto refill = [&] {
    while (world[0].messages->stats().waiting < 200) {
      ASSERT_TRUE(world[0].send(1, serial++, 256));
    }
  };
  std::uint64_t cells = 0;
  ASSERT_TRUE(world.run_until([&] {
    refill();
    cells = world[0].cells_sent;
    return world[0].ended.contains(large->value);
  }));
  // Alternate payloads, less what small messages that were cut take of its own: a third at least.
  EXPECT_LE(cells, 2 * kMiB / 920 * 3);
}

TEST(Delivery, ThreeHundredLargeOnesInterleave) {
  World world(2);
  constexpr std::size_t kCount = 300;
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_TRUE(world[0].send(1, i, 40'000));
  world.run_for(50ms);
  // 255 of them are partly sent; a small one still gets past them all, and keeps to the 256.
  const auto small = world[0].send(1, 1000, 200);
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == kCount + 1; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), kCount + 1);
  EXPECT_EQ(world[0].messages->stats().resent, 0u) << "the peer ended the circuit";
  EXPECT_EQ(world[1].messages->stats().frames_malformed, 0u);
  EXPECT_EQ(world[0].end_of(small).delivery.outcome, Outcome::delivered);
  world.expect_empty();
}

TEST(Delivery, FlowsDoNotShareCircuits) {
  World world(3);
  ASSERT_TRUE(world[0].send(1, 1, 10, {.isolation = 1}));
  ASSERT_TRUE(world[0].send(1, 2, 10, {.isolation = 2}));
  ASSERT_TRUE(world[0].send(1, 3, 10, {.priority = Priority::high, .isolation = 1}));
  ASSERT_TRUE(world[0].send(1, 4, 10, {.relays = 0, .isolation = 1}));
  ASSERT_TRUE(world[0].send(2, 5, 10, {.isolation = 1}));
  ASSERT_TRUE(world[0].send(1, 6, 10, {.isolation = 1}));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 6; }));
  EXPECT_EQ(world.lines(), 5u);
  EXPECT_EQ(world[0].messages->stats().flows, 5u);
  std::multiset<std::size_t> hops;
  for (const auto& report : world[0].reports) {
    EXPECT_TRUE(report.ok);
    hops.insert(report.hops);
  }
  EXPECT_EQ(hops.count(4), 4u);
  EXPECT_EQ(hops.count(1), 1u);
}

TEST(Delivery, SignedMessagesNameTheirSender) {
  std::array<std::byte, 32> seed{};
  const auto alice = crypto::Identity::from_seed(seed);
  seed[0] = std::byte{1};
  const auto bob = crypto::Identity::from_seed(seed);
  ASSERT_TRUE(alice && bob);
  WorldOptions options;
  options.identities = {&*alice, nullptr};
  World world(2, options);
  // Node 1 verifies under its own id, so it must be the id that it is addressed by.
  const std::vector<std::size_t> sizes = {0, 1, 500, 1024, 3000, 20'000};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ASSERT_TRUE(world[0].send(1, i, sizes[i], {.sign = true}));
  }
  ASSERT_TRUE(world[0].send(1, 99, 500, {.sign = false}));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == sizes.size() + 1; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), sizes.size() + 1);
  ASSERT_EQ(world[1].got.size(), sizes.size() + 1);
  std::size_t named = 0;
  for (const Got& one : world[1].got) {
    named += one.sender == alice->id() ? 1 : 0;
    EXPECT_TRUE(!one.sender || one.sender == alice->id());
  }
  EXPECT_EQ(named, sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto bytes = pattern(i, sizes[i]);
    EXPECT_TRUE(std::ranges::any_of(
        world[1].got, [&](const Got& one) { return one.sender && one.bytes == bytes; }));
  }
  world.expect_empty();
}

TEST(Delivery, WithoutAnIdentityThereIsNoSigning) {
  World world(2);
  const auto id = world[0].send(1, 1, 10, {.sign = true});
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error(), Errc::invalid_argument);
}

TEST(Delivery, ASignatureForSomebodyElseIsRefused) {
  std::array<std::byte, 32> seed{};
  const auto alice = crypto::Identity::from_seed(seed);
  seed[0] = std::byte{1};
  const auto bob = crypto::Identity::from_seed(seed);
  WorldOptions options;
  options.identities = {&*alice, &*bob};  // node 1 is bob, but is addressed as node_id(1)
  World world(2, options);
  const auto id = world[0].send(1, 1, 100, {.sign = true});
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 1; }));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::failed);
  EXPECT_EQ(world[0].end_of(id).delivery.reason, Errc::authentication_failed);
  EXPECT_TRUE(world[1].got.empty());
  EXPECT_EQ(world[1].messages->stats().signatures_bad, 1u);
  world.expect_empty();
}

TEST(Delivery, RepliesGoBackOnTheSameCircuit) {
  World world(2);
  std::vector<Result<SendId>> replies;
  world[1].on_got = [&](const Got& one) {
    // From inside on_message, as an application does it.
    replies.push_back(world[1].reply(*one.reply_to, pattern(500, 5000)));
    return Taken::yes;
  };
  ASSERT_TRUE(world[0].send(1, 1, 3000));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() + world[1].outcomes() == 2; }));
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(world[1].end_of(replies[0]).delivery.outcome, Outcome::delivered);
  ASSERT_EQ(world[0].got.size(), 1u);
  EXPECT_EQ(world[0].got[0].bytes, pattern(500, 5000));
  EXPECT_EQ(world[0].got[0].in_reply_to, world[1].got[0].id);
  EXPECT_FALSE(world[0].got[0].reply_to) << "a reply is not replied to";
  EXPECT_EQ(world.lines(), 1u);
  world.expect_empty();
}

TEST(Delivery, ALateReplyWorksWhileTheCircuitLives) {
  World world(2);
  ASSERT_TRUE(world[0].send(1, 1, 10));
  world.run_for(30s);
  ASSERT_EQ(world[1].got.size(), 1u);
  const Got got = world[1].got[0];
  ASSERT_TRUE(world[1].reply(*got.reply_to, pattern(2, 10)));
  world.run_for(1s);
  EXPECT_EQ(world[0].got.size(), 1u);
  world.run_for(120s);  // the flow was idle, its circuit is closed
  EXPECT_TRUE(world.alive().empty());
  EXPECT_EQ(world[0].messages->stats().flows, 0u);
  const auto late = world[1].reply(*got.reply_to, pattern(3, 10));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), Errc::circuit_failed);
  world.expect_empty();
}

TEST(Delivery, BothDirectionsOfLargeReplies) {
  World world(2);
  world[1].on_got = [&](const Got& one) {
    EXPECT_TRUE(world[1].reply(*one.reply_to, pattern(900, 3 * kMiB)));
    return Taken::yes;
  };
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(world[0].send(1, i, 3 * kMiB));
  ASSERT_TRUE(
      world.run_until([&] { return world[0].outcomes() == 4 && world[1].outcomes() == 4; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 4u);
  EXPECT_EQ(world[1].outcomes(Outcome::delivered), 4u);
  EXPECT_EQ(world[0].got.size(), 4u);
  EXPECT_FALSE(world[1].progress.empty()) << "replies have progress too";
  world.expect_empty();
}

TEST(Delivery, NothingButFramesAndZerosLeaves) {
  // payload_block() comes filled with 0xee: what a block held before must not get out.
  World world(2);
  std::size_t cells = 0;
  world.on_cell = [&](Line&, unsigned, Bytes payload) {
    ++cells;
    // One message of 300 bytes needs 336 (37 for what else there may be); the rest is padding.
    const Bytes rest = payload.subspan(336 + 37);
    EXPECT_TRUE(std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; }));
    return true;
  };
  ASSERT_TRUE(world[0].send_bytes(node_id(1), std::vector<std::byte>(300), {}));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 1; }));
  EXPECT_EQ(cells, 2u) << "the message, and its acknowledgement";
}

}  // namespace
}  // namespace qudag::message::testing
