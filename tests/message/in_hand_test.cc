// Messages that the application takes in hand and answers later (message/owed.h).
#include "message/known/delivered.h"
#include "message/owed.h"
#include "peer.h"
#include "world.h"

#include <algorithm>

namespace qudag::message::testing {
namespace {

/// A receiver that takes everything in hand.
struct Hands {
  explicit Hands(World& w) : world(w) {
    world[1].on_got = [this](const Got& message) {
      held.push_back(message);
      return Taken::later;
    };
  }
  bool settle(std::size_t i, Taken taken = Taken::yes) {
    return world[1].messages->settle(held[i].handed, taken, world.now());
  }
  World& world;
  std::vector<Got> held;
};

bool over(World& world, std::size_t sends) {
  return world.run_until([&] { return world[0].outcomes() == sends; });
}

TEST(InHand, TheSenderHearsNothingUntilTheApplicationAnswers) {
  World world(2);
  Hands hands(world);
  const auto id = world[0].send(1, 5, 500, {.ttl = 60s});
  ASSERT_TRUE(world.run_until([&] { return hands.held.size() == 1; }));
  world.run_for(30s);
  EXPECT_EQ(world[0].outcomes(), 0u);
  EXPECT_EQ(hands.held[0].bytes, pattern(5, 500));
  EXPECT_TRUE(hands.settle(0));
  ASSERT_TRUE(over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(world[1].messages->stats().received[1], 1u);
  EXPECT_FALSE(hands.settle(0)) << "once";
  world.expect_empty();
}

TEST(InHand, AnswersComeInAnyOrderAndEachIsItsOwn) {
  World world(2);
  Hands hands(world);
  const auto first = world[0].send(1, 1, 100);
  const auto second = world[0].send(1, 2, 100);
  const auto third = world[0].send(1, 3, 100'000);
  ASSERT_TRUE(world.run_until([&] { return hands.held.size() == 3; }));
  EXPECT_TRUE(hands.settle(2, Taken::yes));
  EXPECT_TRUE(hands.settle(1, Taken::no_receiver));
  EXPECT_TRUE(hands.settle(0, Taken::queue_full));
  ASSERT_TRUE(over(world, 3));
  EXPECT_EQ(world[0].end_of(first).delivery.outcome, Outcome::refused);
  EXPECT_EQ(world[0].end_of(second).delivery.outcome, Outcome::refused);
  EXPECT_EQ(world[0].end_of(third).delivery.outcome, Outcome::delivered);
  world.expect_empty();
}

TEST(InHand, AMessageThatIsNotAnsweredExpires) {
  World world(2);
  Hands hands(world);
  const auto id = world[0].send(1, 5, 500, {.ttl = 2s});
  ASSERT_TRUE(over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::expired);
  world.run_for(5s);
  EXPECT_FALSE(hands.settle(0)) << "too late";
  world.expect_empty();
}

TEST(InHand, ACircuitThatDiesMeanwhileIsReplacedAndNothingIsHandedOutTwice) {
  for (const std::size_t bytes : {std::size_t{500}, std::size_t{200'000}}) {
    World world(2);
    Hands hands(world);
    const auto id = world[0].send(1, 5, bytes);
    ASSERT_TRUE(world.run_until([&] { return hands.held.size() == 1; }));
    world.kill(*world.line(0));
    ASSERT_TRUE(world.run_until([&] { return world.lines() == 2; }));
    world.run_for(5s);
    EXPECT_EQ(world[0].outcomes(), 0u);
    EXPECT_EQ(hands.held.size(), 1u);
    EXPECT_TRUE(hands.settle(0));
    ASSERT_TRUE(over(world, 1));
    EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
    world.expect_empty();
  }
}

TEST(InHand, WhatWasAnsweredBeforeItsSenderCameBackIsADuplicate) {
  World world(2);
  Hands hands(world);
  const auto id = world[0].send(1, 5, 500);
  ASSERT_TRUE(world.run_until([&] { return hands.held.size() == 1; }));
  world.kill(*world.line(0));
  ASSERT_TRUE(world.run_until([&] { return world.lines() == 2; }));  // the copy is on its way
  EXPECT_TRUE(hands.settle(0));
  ASSERT_TRUE(over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  EXPECT_EQ(hands.held.size(), 1u);
  world.expect_empty();
}

TEST(InHand, ARefusedOneMayComeAgain) {
  World world(2);
  Hands hands(world);
  const auto id = world[0].send(1, 5, 500);
  ASSERT_TRUE(world.run_until([&] { return hands.held.size() == 1; }));
  world.kill(*world.line(0));
  ASSERT_TRUE(world.run_until([&] { return world.lines() == 2; }));
  EXPECT_TRUE(hands.settle(0, Taken::queue_full));
  ASSERT_TRUE(world.run_until([&] { return hands.held.size() == 2; }));
  EXPECT_TRUE(hands.settle(1));
  ASSERT_TRUE(over(world, 1));
  EXPECT_EQ(world[0].end_of(id).delivery.outcome, Outcome::delivered);
  world.expect_empty();
}

TEST(InHand, RepliesToo) {
  World world(2);
  std::optional<Got> held;
  world[0].on_got = [&](const Got& message) {
    held = message;
    return Taken::later;
  };
  const auto id = world[0].send(1, 5, 500);
  ASSERT_TRUE(over(world, 1));
  const auto reply = world[1].reply(*world[1].got[0].reply_to, pattern(6, 300));
  ASSERT_TRUE(reply.has_value());
  ASSERT_TRUE(world.run_until([&] { return held.has_value(); }));
  EXPECT_TRUE(held->in_reply_to.has_value());
  world.run_for(1s);
  EXPECT_EQ(world[1].outcomes(), 0u);
  EXPECT_TRUE(world[0].messages->settle(held->handed, Taken::yes, world.now()));
  ASSERT_TRUE(world.run_until([&] { return world[1].outcomes() == 1; }));
  EXPECT_EQ(world[1].end_of(reply).delivery.outcome, Outcome::delivered);
  world.expect_empty();
}

// ---- two shards ---------------------------------------------------------------------------------

class TwoShards : public Peer {
 protected:
  TwoShards() {
    TestRng seed(7);
    MessagesOptions options;
    options.delivered = std::make_shared<Delivered>(1024, seed);
    make(options);
    other_ =
        std::make_unique<Messages>(options, static_cast<Port&>(*this), static_cast<Routes&>(*this),
                                   pool, budget, rng, nullptr, static_cast<MessageEvents&>(*this));
    std::swap(messages, other_);
    come(kOther);
    std::swap(messages, other_);
    take = Taken::later;
  }
  /// The first message on that circuit, with one and the same id.
  void message(circuit::CircuitId circuit) {
    arrive({frame({.ref = 0, .size = 100, .bytes = 100, .last = true, .id = 9})}, circuit);
  }
  void on_other(const std::function<void()>& what) {
    std::swap(messages, other_);
    what();
    std::swap(messages, other_);
  }
  Taken on_message(Received&& message, Now when) override {
    const Taken word = Peer::on_message(std::move(message), when);
    if (in_call) std::exchange(in_call, nullptr)();
    return word;
  }
  static constexpr circuit::CircuitId kOther{88};
  std::function<void()> in_call;
  std::uint32_t next_ref = 0;
  std::unique_ptr<Messages> other_;
};

TEST_F(TwoShards, ACopyOnAnotherShardHearsTheAnswerToo) {
  message(kCircuit);
  ASSERT_EQ(got.size(), 1u);
  on_other([&] { message(kOther); });
  EXPECT_EQ(got.size(), 1u) << "the application has it in hand";
  on_other([&] { let_pass(1s); });
  EXPECT_TRUE(acks.empty());
  EXPECT_TRUE(messages->settle({kCircuit.value, 0}, Taken::yes, now));
  messages->pump(now);
  EXPECT_EQ(acks[0], AckStatus::delivered);
  acks.clear();
  on_other([&] { let_pass(kLookEvery); });
  EXPECT_EQ(acks[0], AckStatus::duplicate) << "which the sender takes for delivered";
}

TEST_F(TwoShards, AndARefusal) {
  message(kCircuit);
  on_other([&] { message(kOther); });
  EXPECT_TRUE(messages->settle({kCircuit.value, 0}, Taken::no_receiver, now));
  messages->pump(now);
  EXPECT_EQ(acks[0], AckStatus::no_receiver);
  acks.clear();
  on_other([&] { let_pass(kLookEvery); });
  EXPECT_EQ(acks[0], AckStatus::refused_queue);
}

// As if the other shard's thread ran just then: the application has the message and has said
// nothing yet.
TEST_F(TwoShards, ACopyThatComesWhileTheMessageIsHandedOutIsNotTakenForDelivered) {
  for (const Taken word : {Taken::later, Taken::no_receiver, Taken::yes}) {
    for (const bool whole : {true, false}) {
      SCOPED_TRACE(::testing::Message() << static_cast<int>(word) << whole);
      acks.clear();
      take = word;
      const std::uint32_t ref = next_ref++;
      const auto id = static_cast<std::uint8_t>(50 + ref);
      in_call = [&] {
        on_other([&] {
          const auto first = frame(
              {.ref = ref, .size = 100, .bytes = whole ? 100u : 60u, .last = whole, .id = id});
          const auto rest = frame({.ref = ref, .bytes = 40, .last = true});
          whole ? arrive({first}, kOther) : arrive({first, rest}, kOther);
        });
      };
      arrive({frame({.ref = ref, .size = 100, .bytes = 100, .last = true, .id = id})});
      if (word == Taken::later) {
        EXPECT_TRUE(acks.empty());
        EXPECT_TRUE(messages->settle({kCircuit.value, ref}, Taken::no_receiver, now));
        messages->pump(now);
      }
      EXPECT_EQ(acks[ref], word == Taken::yes ? AckStatus::delivered : AckStatus::no_receiver);
      acks.clear();
      on_other([&] { let_pass(kLookEvery); });
      EXPECT_EQ(acks[ref], word == Taken::yes ? AckStatus::duplicate : AckStatus::refused_queue);
    }
  }
  EXPECT_EQ(got.size(), 6u);
}

// Circuits are cheap for a peer, and each may bring one more copy of what is in hand.
TEST_F(TwoShards, ManyCopiesHaveOnePlace) {
  message(kCircuit);
  for (std::uint64_t i = 0; i < 300; ++i) {
    const circuit::CircuitId more{1000 + i};
    come(more);
    acks.clear();
    message(more);
    EXPECT_EQ(acks.size(), i == 0 ? 0u : 1u);
    if (i > 0) {
      EXPECT_EQ(acks[0], AckStatus::cancelled) << "the one before";
    }
  }
  EXPECT_EQ(got.size(), 1u);
  BoundedList rows;
  messages->report(rows, now);
  const auto row = std::ranges::find(rows, std::string_view("messages in hand"), &Bounded::name);
  ASSERT_NE(row, rows.end());
  EXPECT_EQ(row->items, 1u);
  acks.clear();
  EXPECT_TRUE(messages->settle({kCircuit.value, 0}, Taken::yes, now));
}

TEST(OwedTable, HasABoundAndGivesPlacesBack) {
  memory::Budget budget("tables", 1 << 30);
  OwedTable table({1, 3});
  for (std::uint32_t i = 0; i < kOwedMax; ++i) {
    table.make_room(budget);
    ASSERT_FALSE(table.full());
    Owed* const owed = table.add({5, i});
    ASSERT_NE(owed, nullptr);
    owed->is_reply = true;
  }
  table.make_room(budget);
  EXPECT_TRUE(table.full());
  EXPECT_EQ(table.add({5, 0}), nullptr);
  table.erase(*table.find(Handed{5, 0}));
  EXPECT_FALSE(table.full());
}

}  // namespace
}  // namespace qudag::message::testing
