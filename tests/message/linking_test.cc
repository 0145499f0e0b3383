// Nothing that a peer chose on one circuit changes what another circuit, role or isolation tag
// answers. Each test does on one circuit what an attacker can, and asks on another.
#include "message/rests.h"
#include "message/taken_ids.h"
#include "peer.h"

namespace qudag::message::testing {
namespace {

constexpr circuit::CircuitId kOther{50};

class Linking : public Peer {
 protected:
  /// So many circuits of ours are built, one for each isolation tag, and carry a message.
  void send_on(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      ASSERT_TRUE(messages->send(node_id(1), {}, {}, {.isolation = i}, now));
      messages->pump(now);
      messages->on_built(built(i), 1ms, now);
      messages->pump(now);
    }
  }
  static circuit::CircuitId built(std::uint64_t i) { return {kBuilt.value + i}; }
};

TEST_F(Linking, AnIdUnderAnotherScopeIsAnotherMessage) {
  come(kOther, 9);
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7})});
  acks.clear();
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7})}, kOther);
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  EXPECT_EQ(got.size(), 2u);
}

/// A sender chooses scope and id: it cannot find out that two receivers, or a receiver and the
/// node, are one machine. To the same receiver it is the same message.
TEST_F(Linking, OneIdToTwoReceiversIsTwoMessages) {
  constexpr circuit::CircuitId kFirst{60}, kSecond{61}, kFirstAgain{62};
  receivers = {
      {kFirst.value, node_id(7)}, {kSecond.value, node_id(8)}, {kFirstAgain.value, node_id(7)}};
  const auto whole = frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7});
  for (const circuit::CircuitId circuit : {kFirst, kSecond, kCircuit}) {
    if (circuit != kCircuit) come(circuit);
    acks.clear();
    arrive({whole}, circuit);
    EXPECT_EQ(acks.at(0), AckStatus::delivered);
  }
  come(kFirstAgain);
  acks.clear();
  arrive({whole}, kFirstAgain);
  EXPECT_EQ(acks.at(0), AckStatus::duplicate);
  EXPECT_EQ(got.size(), 3u);
}

TEST_F(Linking, APartUnderAnotherScopeStays) {
  come(kOther, 9);
  arrive({frame({.ref = 0, .size = 2000, .bytes = 800, .id = 7})});
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7})}, kOther);
  EXPECT_EQ(acks.size(), 1u) << "of the second, and not cancelled for the first";
  arrive({frame({.ref = 0, .bytes = 800})});
  acks.clear();
  arrive({frame({.ref = 0, .bytes = 400, .last = true})});
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
}

TEST_F(Linking, ASenderThatMovesAMessageIsKnown) {
  come(kOther, 9);
  arrive({frame({.ref = 0, .size = 0, .last = true}), frame({.ref = 1, .size = 0, .last = true}),
          frame({.ref = 2, .size = 2000, .bytes = 800, .id = 7})},
         kOther);
  acks.clear();
  // Its own scope, then that of the circuit before, then its own again.
  come({51}, 10);
  wire::ScopeFrame before;
  before.scope.fill(std::byte{9});
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 8}), before,
          frame({.ref = 1, .size = 5, .bytes = 5, .last = true, .id = 7})},
         {51});
  EXPECT_EQ(got.size(), 4u);
  EXPECT_EQ(acks.at(2), AckStatus::cancelled) << "the part, when the whole came";
  arrive({frame({.ref = 3, .size = 5, .bytes = 5, .last = true, .id = 7})}, kOther);
  EXPECT_EQ(acks.at(3), AckStatus::duplicate);
}

TEST_F(Linking, RepliesAreRememberedNowhere) {
  send_on(2);
  const auto reply = [&](bool whole) {
    return frame(
        {.ref = 0, .size = whole ? 5u : 2000u, .bytes = 5, .last = whole, .id = 7, .reply = true});
  };
  arrive({reply(true)}, built(0));
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  acks.clear();
  arrive({reply(true)}, built(1));  // another isolation tag
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  acks.clear();
  come(kOther, 9);  // and to the node itself
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7})}, kOther);
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
}

TEST_F(Linking, APartOfAReplyIsNotCancelledFromElsewhere) {
  send_on(2);
  const auto part = frame({.ref = 0, .size = 2000, .bytes = 100, .id = 7, .reply = true});
  arrive({part}, built(0));
  arrive({part}, built(1));
  come(kOther, 9);
  EXPECT_TRUE(acks.empty());
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7})}, kOther);
  EXPECT_EQ(acks.size(), 1u);
}

TEST_F(Linking, OnlyWhatWasSentThereIsRepliedTo) {
  send_on(2);
  ASSERT_TRUE(messages->send(node_id(1), {}, {}, {.isolation = 0}, now));
  messages->pump(now);  // ref 1, on the first circuit only
  const auto reply = [&](std::uint32_t ref, std::uint32_t to) {
    return frame({.ref = ref, .size = 5, .bytes = 5, .last = true, .reply = true, .reply_to = to});
  };
  arrive({wire::AckFrame{0, AckStatus::delivered}, wire::AckFrame{1, AckStatus::no_receiver}},
         built(0));
  arrive({reply(0, 0), reply(1, 1)}, built(0));
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  EXPECT_EQ(acks.at(1), AckStatus::no_receiver) << "nobody took that one";
  EXPECT_FALSE(ended(built(0)));
  acks.clear();
  arrive({reply(0, 1)}, built(1));
  EXPECT_TRUE(ended(built(1))) << "never sent there";
}

TEST_F(Linking, WhatWasTakenLongAgoIsForgotten) {
  send_on(1);
  std::uint32_t ref = 0;
  const auto reply = [&](std::uint32_t number, std::uint32_t to) {
    return frame(
        {.ref = number, .size = 5, .bytes = 5, .last = true, .reply = true, .reply_to = to});
  };
  for (; ref < kTakenIdsMax + 1; ++ref) {
    arrive({wire::AckFrame{ref, AckStatus::delivered}}, built(0));
    ASSERT_TRUE(messages->send(node_id(1), {}, {}, {.isolation = 0}, now));
    messages->pump(now);
  }
  arrive({reply(0, 0), reply(1, 1), reply(2, kTakenIdsMax)}, built(0));
  EXPECT_EQ(acks.at(0), AckStatus::no_receiver);
  EXPECT_EQ(acks.at(1), AckStatus::delivered);
  EXPECT_EQ(acks.at(2), AckStatus::delivered);
  messages->shutdown(now);
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(Linking, ScopesComeFromSourcesAndBeforeAll) {
  messages->on_incoming(kOther, priority, now);
  arrive({wire::PingFrame{1}}, kOther);
  EXPECT_FALSE(ended(kOther));
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true})}, kOther);
  EXPECT_TRUE(ended(kOther));
  send_on(1);
  arrive({wire::ScopeFrame{}}, built(0));
  EXPECT_TRUE(ended(built(0)));
}

// ---- what a stranger can make a node remember ---------------------------------------------------

TEST_F(Linking, RefusedPartsTakeNoPlacesFromOthers) {
  // A table of 262,144 records was full of them, and the next part that was refused, an honest
  // sender's, ended its circuit.
  constexpr std::uint64_t kCircuits = 1'024;
  for (std::uint64_t c = 0; c < kCircuits; ++c) {
    const circuit::CircuitId circuit{1'000 + c};
    come(circuit, 1);
    for (std::uint32_t ref = 0; ref < wire::kInterleavedMessagesMax;) {
      std::vector<std::byte> bytes(onion::payload_bytes(priority));
      ByteWriter out(bytes);
      for (int i = 0; i < 16; ++i, ++ref) {  // replies, which nobody here waits for
        wire::append(out, frame({.ref = ref, .size = 2, .bytes = 1, .reply = true}));
      }
      acks.clear();
      raw(bytes, circuit);
    }
    ASSERT_FALSE(ended(circuit));
  }
  EXPECT_LE(budget.used(), kCircuits * Rests::kMoreBytes) << "a share for each circuit";
  come(kOther, 9);
  acks.clear();
  arrive({frame({.ref = 0, .size = 2000, .bytes = 800, .reply = true}),
          frame({.ref = 1, .size = 5, .bytes = 5, .last = true})},
         kOther);
  EXPECT_EQ(acks.at(0), AckStatus::no_receiver);
  EXPECT_EQ(acks.at(1), AckStatus::delivered);
  EXPECT_FALSE(ended(kOther));
}

TEST_F(Linking, WithoutMemoryPartsAreRefusedAndNobodyAccused) {
  memory::Reservation hold = memory::Reservation::take(budget, budget.bytes_max());
  for (std::uint32_t ref = 0; ref < 200; ++ref) {
    arrive({frame({.ref = ref, .size = 2000, .bytes = 100})});
  }
  for (std::uint32_t ref = 0; ref < 200; ++ref) {
    arrive({frame({.ref = ref, .bytes = 900}), wire::PingFrame{ref}});
  }
  for (std::uint32_t ref = 0; ref < 200; ++ref) {
    arrive({frame({.ref = ref, .bytes = 800}), wire::CancelFrame{ref}});
  }
  EXPECT_EQ(acks.size(), 200u);
  EXPECT_FALSE(ended());
  hold.reset();
  arrive({frame({.ref = 200, .size = 5, .bytes = 5, .last = true})});
  EXPECT_EQ(acks.at(200), AckStatus::delivered);
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace qudag::message::testing
