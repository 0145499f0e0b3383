// Signatures that are made and verified by workers: what may happen to a message meanwhile.
#include "world.h"

#include <algorithm>
#include <utility>

namespace qudag::message::testing {
namespace {

const crypto::Identity& alice() {
  static const auto identity = crypto::Identity::from_seed(std::array<std::byte, 32>{});
  return *identity;
}

WorldOptions with_workers(Duration work_takes = 5ms) {
  WorldOptions options;
  options.identities = {&alice(), nullptr};
  options.work_takes = work_takes;
  return options;
}

TEST(Offload, SignedMessagesArriveWholeAndNameTheirSender) {
  World world(2, with_workers());
  // Prefix and payload cut in every way: within a cell, over cells, over blocks, alone.
  const std::vector<std::size_t> sizes = {0, 1, 500, 2800, 3000, 20'000, 300'000};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    ASSERT_TRUE(world[0].send(1, i, sizes[i], {.sign = true}));
  }
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == sizes.size(); }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), sizes.size());
  ASSERT_EQ(world[1].got.size(), sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_TRUE(std::ranges::any_of(world[1].got, [&](const Got& one) {
      return one.sender == alice().id() && one.bytes == pattern(i, sizes[i]);
    }));
  }
  EXPECT_EQ(world[0].messages->stats().signed_off_loop, sizes.size());
  EXPECT_EQ(world[1].messages->stats().verified_off_loop, sizes.size());
  world.expect_empty();
}

TEST(Offload, AtMostAFewAreWithTheWorkersAtATime) {
  World world(2, with_workers(1s));
  for (std::size_t i = 0; i < 100; ++i) ASSERT_TRUE(world[0].send(1, i, 10, {.sign = true}));
  world.run_for(500ms);
  EXPECT_EQ(world.works, 16u);
  EXPECT_EQ(world[0].messages->stats().waiting, 100u);
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 100; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 100u);
  world.expect_empty();
}

TEST(Offload, AFullPoolIsAWaitAndNotAnEnd) {
  World world(2, with_workers());
  world.works_to_refuse = 7;
  for (std::size_t i = 0; i < 5; ++i) ASSERT_TRUE(world[0].send(1, i, 10, {.sign = true}));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 5; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 5u);
  EXPECT_EQ(world[0].messages->stats().signatures_put_off, 7u);
  world.expect_empty();
}

/// What another message left in the block that a signature will be written to must never leave the
/// node: with jobs that were not begun, a process that was stopped for a minute sent 5,261 bytes of
/// it instead of key and signature.
TEST(Offload, WorkThatWasNeverBegunSendsNothingOfAnEarlierMessage) {
  World world(2, with_workers());
  {  // every block that the pool has was full of a secret
    std::vector<memory::Block> blocks(64);
    for (memory::Block& block : blocks) {
      block = world[0].pool.take(memory::BlockSize::bulk);
      std::ranges::fill(block.area(), std::byte{0xa5});
    }
  }
  std::size_t leaked = 0;
  world.on_cell = [&](Line&, unsigned from, Bytes payload) {
    std::size_t in_a_row = 0;
    for (const std::byte byte : payload) {
      in_a_row = byte == std::byte{0xa5} ? in_a_row + 1 : 0;
      if (from == 0 && in_a_row >= 16) ++leaked;
    }
    return true;
  };
  world.works_to_expire = 25;
  for (std::size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(world[0].send(1, i, 1'000, {.priority = Priority::low, .sign = true}));
  }
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 20; }));
  EXPECT_EQ(leaked, 0u);
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 20u) << "signed by the next worker";
  EXPECT_EQ(world[1].messages->stats().signatures_bad, 0u);
  EXPECT_EQ(world[0].messages->stats().signatures_put_off, 25u);
  world.expect_empty();
}

TEST(Offload, AVerificationThatWasNeverBegunIsDoneLater) {
  World world(2, with_workers());
  bool sent = false;
  world.on_cell = [&](Line&, unsigned from, Bytes) {
    if (from == 0 && !std::exchange(sent, true)) world.works_to_expire = 40;  // the receiver's
    return true;
  };
  for (std::size_t i = 0; i < 30; ++i) ASSERT_TRUE(world[0].send(1, i, 1'000, {.sign = true}));
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 30; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 30u);
  EXPECT_EQ(world[1].messages->stats().signatures_bad, 0u);
  EXPECT_GT(world[1].messages->stats().signatures_put_off, 0u);
  world.expect_empty();
}

TEST(Offload, WhatWaitsForItsSignatureCountsAgainstTheLimit) {
  WorldOptions options = with_workers(1s);
  options.messages.waiting_max = {3, 3, 3};
  World world(2, options);
  for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(world[0].send(1, i, 10, {.sign = true}));
  world.run_for(1ms);
  const auto fourth = world[0].send(1, 3, 10);
  ASSERT_FALSE(fourth);
  EXPECT_EQ(fourth.error(), Errc::refused_queue_full);
}

TEST(Offload, AMessageMayExpireOrBeCancelledWhileItIsSigned) {
  World world(2, with_workers(100ms));
  const auto late = world[0].send(1, 1, 1000, {.ttl = 50ms, .sign = true});
  const auto unwanted = world[0].send(1, 2, 1000, {.sign = true});
  std::vector<Result<SendId>> behind;  // not with a worker yet when they end
  for (std::size_t i = 0; i < 20; ++i) {
    behind.push_back(world[0].send(1, 3 + i, 1000, {.ttl = 50ms, .sign = true}));
  }
  world.run_for(10ms);
  world[0].messages->cancel(*unwanted, world.now());
  EXPECT_EQ(world[0].end_of(unwanted).delivery.reason, Errc::cancelled);
  EXPECT_EQ(world[0].end_of(unwanted).delivery.reason.detail, "cancelled");
  world.run_for(60ms);
  EXPECT_EQ(world[0].end_of(late).delivery.outcome, Outcome::expired);
  for (const auto& id : behind) {
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::expired);
  }
  EXPECT_GT(world[0].budget.used(), 0u) << "what a worker reads is still reserved";
  world.run_for(1s);
  EXPECT_TRUE(world[1].got.empty());
  world.expect_empty();
}

TEST(Offload, ShutdownEndsWhatIsBeingSigned) {
  World world(2, with_workers(100ms));
  for (std::size_t i = 0; i < 20; ++i) ASSERT_TRUE(world[0].send(1, i, 10, {.sign = true}));
  world.run_for(10ms);
  world[0].messages->shutdown(world.now());
  EXPECT_EQ(world[0].outcomes(Outcome::failed), 20u);
  world.run_for(1s);
  world.expect_empty();
}

TEST(Offload, WhatComesBackAfterTheEndFindsNobody) {
  World world(2, with_workers(100ms));
  ASSERT_TRUE(world[0].send(1, 1, 10, {.sign = true}));
  world.run_for(10ms);
  world[0].messages = std::make_unique<Messages>(
      MessagesOptions{}, static_cast<Port&>(world[0]), static_cast<Routes&>(world[0]),
      world[0].pool, world[0].budget, world[0].rng, nullptr, static_cast<MessageEvents&>(world[0]));
  world.run_for(1s);
  EXPECT_TRUE(world[0].ended.empty());
  EXPECT_EQ(world[0].budget.used(), 0u);
}

TEST(Offload, ACircuitThatEndsDuringVerificationLosesNothing) {
  World world(2, with_workers(30ms));
  for (std::size_t i = 0; i < 40; ++i) ASSERT_TRUE(world[0].send(1, i, 2000, {.sign = true}));
  // Some are with the workers of node 1 then, some wait for them.
  ASSERT_TRUE(world.run_until([&] { return world[1].messages->stats().verified_off_loop > 0; }));
  EXPECT_TRUE(world[1].got.size() < 40);
  world.kill(*world.alive().front());
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 40; }));
  EXPECT_EQ(world[0].outcomes(Outcome::delivered), 40u);
  EXPECT_EQ(world[1].got.size(), 40u) << "each once";
  world.run_for(1s);
  world.expect_empty();
}

TEST(Offload, ExpiryDuringVerificationIsAnsweredOnce) {
  WorldOptions options = with_workers(1s);
  World world(2, options);
  ASSERT_TRUE(world[0].send(1, 0, 1000, {.sign = true}));  // builds the circuit
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 1; }));
  // Signed after 1 s, there at 1.02 s, with a worker at 1.2 s: over at 2.04 s.
  const auto id = world[0].send(1, 1, 1000, {.ttl = 1024ms, .sign = true});
  world.after(1010ms, [&] { world.works_to_refuse = 200; });
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 2; }));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::expired);
  world.run_for(3s);
  EXPECT_EQ(world[1].got.size(), 1u);
  EXPECT_EQ(world[1].messages->stats().assemblies_dropped, 1u);
  world.expect_empty();
}

TEST(Offload, ABadSignatureIsAnsweredAsSuch) {
  WorldOptions options = with_workers();
  options.identities = {&alice(), &alice()};  // node 1 is addressed by another id than it has
  World world(2, options);
  const auto id = world[0].send(1, 1, 100, {.sign = true});
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == 1; }));
  EXPECT_EQ(world[0].end_of(id).delivery.reason, Errc::authentication_failed);
  EXPECT_EQ(world[1].messages->stats().signatures_bad, 1u);
  world.expect_empty();
}

}  // namespace
}  // namespace qudag::message::testing
