// The wire, seen from a hand-made peer: what is refused, what is answered, and what credit allows.
// docs/reference/protocol.md, section 7.
#include "peer.h"

#include <algorithm>
#include <cstring>

namespace qudag::message::testing {
namespace {

using wire::AckStatus;

using Protocol = Peer;

// ---- receiving ----------------------------------------------------------------------------------

TEST_F(Protocol, SeveralFramesInOnePayload) {
  arrive({frame({.ref = 0, .size = 10, .bytes = 10, .last = true}), wire::PingFrame{77},
          frame({.ref = 1, .size = 0, .bytes = 0, .last = true}),
          frame({.ref = 2, .size = 500, .bytes = 500, .last = true}),  // keeps the block
          frame({.ref = 3, .size = 20, .bytes = 20, .last = true}), wire::PingFrame{78}});
  EXPECT_EQ(got, (std::vector<std::size_t>{10, 0, 500, 20}));
  EXPECT_EQ(acks.size(), 4u);
  for (const auto& [ref, status] : acks) EXPECT_EQ(status, AckStatus::delivered);
  EXPECT_EQ(pongs, (std::vector<std::uint64_t>{77, 78}));
  EXPECT_EQ(payloads, 1u) << "the answers share one cell";
  EXPECT_FALSE(ended());
}

TEST_F(Protocol, MessagesInterleave) {
  arrive({frame({.ref = 0, .size = 30, .bytes = 10}), frame({.ref = 1, .size = 20, .bytes = 5}),
          frame({.ref = 0, .bytes = 0}), frame({.ref = 1, .bytes = 15, .last = true}),
          frame({.ref = 0, .bytes = 20, .last = true})});
  EXPECT_EQ(got, (std::vector<std::size_t>{20, 30}));
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_FALSE(ended());
}

TEST_F(Protocol, WhatBreaksTheRulesEndsTheCircuitOnly) {
  using Frames = std::vector<wire::Frame>;
  const std::vector<std::pair<std::string, Frames>> cases = {
      {"first ref is not 0", {frame({.ref = 1, .size = 1, .bytes = 1, .last = true})}},
      {"ref skipped",
       {frame({.ref = 0, .size = 1, .bytes = 1, .last = true}),
        frame({.ref = 2, .size = 1, .bytes = 1, .last = true})}},
      {"ref used twice",
       {frame({.ref = 0, .size = 1, .bytes = 1, .last = true}),
        frame({.ref = 0, .size = 1, .bytes = 1, .last = true})}},
      {"a fragment of nothing", {frame({.ref = 0, .bytes = 1})}},
      {"a fragment after the last",
       {frame({.ref = 0, .size = 1, .bytes = 1, .last = true}),
        frame({.ref = 0, .bytes = 1, .last = true})}},
      {"more than size",
       {frame({.ref = 0, .size = 10, .bytes = 5}), frame({.ref = 0, .bytes = 6, .last = true})}},
      {"last too early",
       {frame({.ref = 0, .size = 10, .bytes = 5}), frame({.ref = 0, .bytes = 4, .last = true})}},
      {"last not said", {frame({.ref = 0, .size = 10, .bytes = 5}), frame({.ref = 0, .bytes = 5})}},
      {"acknowledgement of nothing", {wire::AckFrame{0, AckStatus::delivered}}},
      {"cancel of nothing", {wire::CancelFrame{0}}},
      {"credit that falls", {wire::CreditFrame{kWindow - 1}}},
  };
  std::uint64_t next = 100;
  for (const auto& [name, frames] : cases) {
    SCOPED_TRACE(name);
    const circuit::CircuitId circuit{next++};
    come(circuit);
    const auto before = messages->stats().frames_malformed;
    acks.clear();
    std::vector<std::byte> bytes(onion::payload_bytes(priority));
    ByteWriter out(bytes);
    for (const auto& f : frames) wire::append(out, f);
    raw(Bytes(bytes).first(out.written()), circuit);
    EXPECT_TRUE(ended(circuit));
    EXPECT_EQ(messages->stats().frames_malformed, before + 1);
    EXPECT_EQ(budget.used(), 0u);
    // Nothing more is taken from it, and nothing is said to it.
    const auto said = payloads;
    raw(bytes, circuit);
    EXPECT_EQ(payloads, said);
  }
  EXPECT_FALSE(ended(kCircuit));
  acks.clear();
  arrive({frame({.ref = 0, .size = 10, .bytes = 10, .last = true, .id = 99})});
  EXPECT_EQ(acks.at(0), AckStatus::delivered) << "the other circuit goes on";
}

TEST_F(Protocol, BytesThatAreNoFrames) {
  const std::byte unknown[] = {std::byte{0x12}};
  raw(unknown);
  EXPECT_TRUE(ended());
  EXPECT_EQ(messages->stats().frames_malformed, 1u);
}

TEST_F(Protocol, AtMost256AtATime) {
  for (std::uint32_t ref = 0; ref < 256; ++ref)
    arrive({frame({.ref = ref, .size = 9, .bytes = 1})});
  EXPECT_FALSE(ended());
  // One more that is complete at once is no 257th that is under way.
  arrive({frame({.ref = 256, .size = 1, .bytes = 1, .last = true, .id = 255})});
  EXPECT_FALSE(ended());
  EXPECT_EQ(acks.at(256), AckStatus::delivered);
  arrive({frame({.ref = 257, .size = 9, .bytes = 1})});
  EXPECT_TRUE(ended());
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(Protocol, AssembliesMaxOfOurOwnRefusesForMemory) {
  make({.assemblies_max = 2});
  for (std::uint32_t ref = 0; ref < 3; ++ref) arrive({frame({.ref = ref, .size = 9, .bytes = 1})});
  EXPECT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks.at(2), AckStatus::refused_memory);
  for (std::uint32_t ref = 0; ref < 3; ++ref)
    arrive({frame({.ref = ref, .bytes = 8, .last = true})});
  EXPECT_EQ(got.size(), 2u);
  EXPECT_FALSE(ended());
}

TEST_F(Protocol, ARefusedMessageIsCountedNotKept) {
  memory::Reservation hold = memory::Reservation::take(budget, budget.bytes_max());
  arrive({frame({.ref = 0, .size = 2000, .bytes = 800})});
  EXPECT_EQ(acks.at(0), AckStatus::refused_memory);
  hold.reset();
  arrive({frame({.ref = 0, .bytes = 800})});
  arrive({frame({.ref = 0, .bytes = 400, .last = true}),
          frame({.ref = 1, .size = 5, .bytes = 5, .last = true})});
  EXPECT_EQ(acks.at(1), AckStatus::delivered);
  EXPECT_EQ(got, std::vector<std::size_t>{5});
  EXPECT_EQ(pool.stats().in_use[0], 0u);
  EXPECT_FALSE(ended());
  // Its size still binds, though nothing of it was kept.
  hold = memory::Reservation::take(budget, budget.bytes_max());
  arrive({frame({.ref = 2, .size = 2000, .bytes = 800, .id = 9})});
  arrive({frame({.ref = 2, .bytes = 900, .last = true})});
  EXPECT_TRUE(ended());
}

TEST_F(Protocol, WhoDoesNotComeOnMakesRoomWhenMemoryIsShort) {
  const std::uint32_t half = 50 << 20;  // of the budget
  arrive({frame({.ref = 0, .size = half, .bytes = 800})});
  arrive({frame({.ref = 1, .size = half - 100'000, .bytes = 800})});
  let_pass(9s);
  arrive({frame({.ref = 2, .size = 1 << 20, .bytes = 800})});
  EXPECT_EQ(acks.at(2), AckStatus::refused_memory) << "nobody is late yet";
  // One of them comes on, the other one only drips.
  for (std::uint32_t sent = 0; sent < half / 256; sent += 16'000) {
    for (int i = 0; i < 20; ++i) arrive({frame({.ref = 1, .bytes = 800})});
  }
  arrive({frame({.ref = 0, .bytes = 800})});
  let_pass(1s);
  EXPECT_EQ(acks.size(), 1u) << "who stalls keeps its memory while there is enough";
  arrive({frame({.ref = 3, .size = 1 << 20, .bytes = 800, .id = 77})});
  EXPECT_EQ(acks.at(0), AckStatus::refused_memory);
  EXPECT_EQ(acks.size(), 2u) << "the new one has its place, and so has who came on";
  EXPECT_EQ(messages->stats().assemblies_stalled, 1u);
  arrive({frame({.ref = 0, .bytes = 800})});
  EXPECT_FALSE(ended()) << "what still comes of it is only counted";
}

TEST_F(Protocol, CancelEndsAnAssemblyAndIsAnsweredOnce) {
  arrive({frame({.ref = 0, .size = 2000, .bytes = 800})});
  EXPECT_GT(budget.used(), 2000u);
  arrive({wire::CancelFrame{0}});
  EXPECT_EQ(acks.at(0), AckStatus::cancelled);
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(pool.stats().in_use[0], 0u);
  arrive({wire::CancelFrame{0}});  // late: ignored
  EXPECT_FALSE(ended());
  arrive({frame({.ref = 0, .bytes = 800})});
  EXPECT_TRUE(ended()) << "nothing comes after a CANCEL";
}

TEST_F(Protocol, TimeEndsAnAssembly) {
  arrive({frame({.ref = 0, .size = 2000, .bytes = 800, .ttl = 1024})});
  let_pass(1023ms);
  EXPECT_TRUE(acks.empty());
  EXPECT_EQ(messages->next_deadline(), now.mono + 1ms);
  let_pass(1ms);
  EXPECT_EQ(acks.at(0), AckStatus::expired);
  EXPECT_EQ(budget.used(), 0u);
  arrive({
      frame({.ref = 0, .bytes = 800}),
  });
  EXPECT_FALSE(ended()) << "its bytes may still come";
  arrive({frame({.ref = 1, .size = 5, .bytes = 5, .last = true, .ttl = 1})});
  EXPECT_TRUE(ended()) << "no such time";
}

TEST_F(Protocol, DuplicatesForTheirTimeAndTwoMinutes) {
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .ttl = 1024, .id = 7})});
  arrive({frame({.ref = 1, .size = 5, .bytes = 5, .last = true, .id = 7})});
  EXPECT_EQ(acks.at(1), AckStatus::duplicate);
  let_pass(2min + 1023ms);
  arrive({frame({.ref = 2, .size = 5, .bytes = 5, .last = true, .id = 7})});
  EXPECT_EQ(acks.at(2), AckStatus::duplicate);
  let_pass(1ms);
  arrive({frame({.ref = 3, .size = 5, .bytes = 5, .last = true, .id = 7})});
  EXPECT_EQ(acks.at(3), AckStatus::delivered);
  EXPECT_EQ(messages->stats().duplicates, 2u);
}

TEST_F(Protocol, ADuplicateOnAnotherCircuit) {
  come({50});
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7})});
  acks.clear();
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .id = 7})}, {50});
  EXPECT_EQ(acks.at(0), AckStatus::duplicate);
  EXPECT_EQ(got.size(), 1u);
}

TEST_F(Protocol, RepliesAreNotForADestination) {
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true, .reply = true})});
  EXPECT_EQ(acks.at(0), AckStatus::no_receiver);
  EXPECT_TRUE(got.empty());
  EXPECT_FALSE(ended());
}

TEST_F(Protocol, AnswersThatNobodyReadsArebounded) {
  room_now = 0;
  std::uint32_t ref = 0;
  while (!ended() && ref < 100'000) {
    arrive({frame({.ref = ref, .size = 0, .last = true}), wire::PingFrame{ref}});
    ++ref;
  }
  EXPECT_TRUE(ended());
  EXPECT_GE(ref * 2, 16'384u);
  EXPECT_LE(ref * 2, 20'000u);
}

TEST_F(Protocol, OfPongsThatNobodyReadsTheFirstAreKept) {
  room_now = 0;
  for (std::uint64_t token = 0; token < 1'000; ++token) arrive({wire::PingFrame{token}});
  room_now = 100;
  messages->on_sendable(kCircuit, now);
  messages->pump(now);
  ASSERT_EQ(pongs.size(), 256u);
  EXPECT_EQ(pongs.back(), 255u) << "in the order of the PINGs";
  arrive({wire::PingFrame{7}});
  EXPECT_EQ(pongs.back(), 7u) << "who reads again is answered again";
  EXPECT_FALSE(ended());
}

TEST_F(Protocol, WhenMemoryIsShortWhoTakesNoAnswersGoesFirst) {
  come({50}, 1);
  come({51}, 2);
  const auto ask = [&](circuit::CircuitId circuit, std::uint32_t count) {
    for (std::uint32_t ref = 0; ref < count; ++ref)
      arrive({frame({.ref = ref, .size = 0, .last = true})}, circuit);
  };
  room_now = 0;
  ask({50}, 2'000);
  ask({51}, 5'000);
  EXPECT_EQ(messages->reclaim(1, now), 0u) << "not yet: a path takes its time";
  let_pass(2s);
  room_now = 1;
  EXPECT_EQ(messages->reclaim(1, now), 0u) << "they take something";
  room_now = 0;
  EXPECT_GE(messages->reclaim(1, now), 5'000u * 8);
  EXPECT_TRUE(ended({51})) << "it holds most";
  EXPECT_FALSE(ended({50}));
  EXPECT_GE(messages->reclaim(SIZE_MAX, now), 2'000u * 8);
  EXPECT_TRUE(ended({50}));
  EXPECT_FALSE(ended()) << "it is owed nothing";
}

// ---- credit -------------------------------------------------------------------------------------

TEST_F(Protocol, CreditIsExtendedByQuarters) {
  priority = Priority::low;
  make({});
  std::uint64_t sent = 0;
  for (std::uint32_t ref = 0; ref < 1000; ++ref) {
    arrive({frame({.ref = ref, .size = 8000, .bytes = 8000, .last = true})});
    sent += 8000;
    ASSERT_FALSE(ended());
    const std::uint64_t known = credits.empty() ? kWindow : credits.back();
    EXPECT_LE(known, sent + kWindow);
    EXPECT_LT(sent + kWindow - known, kWindow / 4) << "a quarter at most is held back";
  }
  EXPECT_LE(credits.size(), sent / (kWindow / 4));
  EXPECT_TRUE(std::ranges::is_sorted(credits));
}

TEST_F(Protocol, SendingMoreThanTheCreditEndsTheCircuit) {
  priority = Priority::low;
  make({});
  room_now = 0;  // so no credit can be given
  std::uint64_t sent = 0;
  std::uint32_t ref = 0;
  for (; sent + 8000 <= kWindow; ++ref, sent += 8000) {
    arrive({frame({.ref = ref, .size = 8000, .bytes = 8000, .last = true})});
  }
  const auto rest = static_cast<std::uint32_t>(kWindow - sent);
  arrive({frame({.ref = ref, .size = rest, .bytes = rest, .last = true})});
  EXPECT_FALSE(ended()) << "exactly the window";
  arrive({frame({.ref = ref + 1, .size = 1, .bytes = 1, .last = true})});
  EXPECT_TRUE(ended());
  EXPECT_EQ(messages->stats().credit_violations, 1u);
}

TEST_F(Protocol, RefusedBytesAreCreditedToo) {
  priority = Priority::low;
  make({});
  memory::Reservation hold = memory::Reservation::take(budget, budget.bytes_max());
  arrive({frame({.ref = 0, .size = 8 << 20, .bytes = 8000})});
  EXPECT_EQ(acks.at(0), AckStatus::refused_memory);
  for (int i = 0; i < 600; ++i) arrive({frame({.ref = 0, .bytes = 8000})});
  EXPECT_FALSE(ended());
  EXPECT_GE(credits.size(), 4u);
}

TEST_F(Protocol, TheSenderKeepsToItsCredit) {
  priority = Priority::low;
  make({});
  ASSERT_TRUE(send(10 << 20));
  messages->pump(now);
  messages->on_built(kBuilt, 1ms, now);
  for (int i = 0; i < 5; ++i) messages->pump(now);
  EXPECT_EQ(data_bytes, kWindow);
  ASSERT_TRUE(send(0));
  messages->pump(now);
  EXPECT_EQ(data_bytes, kWindow);
  EXPECT_EQ(data_frames.back().ref, 1u) << "an empty message costs no credit";
  arrive({wire::CreditFrame{kWindow + 1000}}, kBuilt);
  EXPECT_EQ(data_bytes, kWindow + 1000);
  arrive({wire::CreditFrame{kWindow + 1000}}, kBuilt);  // the same again is no fall
  EXPECT_EQ(data_bytes, kWindow + 1000);
  arrive({wire::CreditFrame{std::uint64_t{1} << 40}}, kBuilt);
  EXPECT_EQ(data_bytes, std::uint64_t{10} << 20);
  EXPECT_TRUE(data_frames.back().last);
  EXPECT_FALSE(ended(kBuilt));
}

// ---- sending ------------------------------------------------------------------------------------

// ---- signed messages that wait for a worker -----------------------------------------------------

class Verifying : public Peer {
 protected:
  Verifying() {
    priority = Priority::low;  // a prefix in one cell
    MessagesOptions options;
    options.offload = [this](std::function<void()> work, std::function<void(WorkEnd, Now)> done) {
      works.push_back(std::move(work));
      dones.push_back(std::move(done));
      return true;
    };
    make(std::move(options));
  }
  static wire::Frame whole(std::uint32_t ref, std::uint8_t id = 0) {
    return frame(
        {.ref = ref, .size = 5300, .bytes = 5300, .last = true, .id = id, .is_signed = true});
  }
  void work_off() {
    for (std::size_t i = 0; i < dones.size(); ++i) {
      works[i]();
      dones[i](WorkEnd::ran, now);
      messages->pump(now);
    }
    works.clear();
    dones.clear();
  }
  std::vector<std::function<void()>> works;
  std::vector<std::function<void(WorkEnd, Now)>> dones;
};

TEST_F(Verifying, TheLastByteIsTheLast) {
  arrive({whole(0)});
  ASSERT_EQ(works.size(), 1u);
  arrive({frame({.ref = 0, .last = true})});  // its ref is over
  EXPECT_TRUE(ended());
  work_off();
  EXPECT_TRUE(acks.empty());
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(Verifying, ACancelCrossesTheAnswer) {
  arrive({whole(0)});
  arrive({wire::CancelFrame{0}});
  EXPECT_TRUE(acks.empty());
  work_off();
  EXPECT_EQ(acks.at(0), AckStatus::bad_signature);
  EXPECT_FALSE(ended());
}

TEST_F(Verifying, ItsPlaceAmongThoseThatArriveIsFree) {
  for (std::uint32_t ref = 0; ref < 300; ++ref) arrive({whole(ref)});
  EXPECT_FALSE(ended());
  EXPECT_EQ(works.size(), 32u) << "with workers at a time";
  while (!works.empty()) work_off();
  EXPECT_EQ(acks.size(), 300u);
}

TEST_F(Verifying, TooManyAreRefused) {
  for (std::uint32_t ref = 0; ref < 32 + 1024 + 10; ++ref) {
    arrive({whole(ref)});
    ASSERT_FALSE(ended());
  }
  EXPECT_EQ(acks.size(), 10u);
  for (const auto& [ref, status] : acks) EXPECT_EQ(status, AckStatus::refused_queue);
  while (!works.empty()) work_off();
  EXPECT_EQ(acks.size(), 32u + 1024 + 10);
}

TEST_F(Verifying, CircuitsTakeTurns) {
  for (std::uint32_t ref = 0; ref < 64; ++ref) arrive({whole(ref)});
  constexpr circuit::CircuitId kOther{100};
  come(kOther);
  arrive({whole(0, 7)}, kOther);
  EXPECT_EQ(messages->stats().verified_off_loop, 0u);
  works[0]();
  dones[0](WorkEnd::ran, now);  // a place is free: the other's, though 32 came before it
  messages->pump(now);
  works[1]();
  dones[1](WorkEnd::ran, now);
  messages->pump(now);
  ASSERT_EQ(works.size(), 34u);
  messages->on_ended(kCircuit, Errc::circuit_failed, now);
  messages->on_ended(kOther, Errc::circuit_failed, now);
  for (std::size_t i = 2; i < dones.size(); ++i) dones[i](WorkEnd::ran, now);
  messages->pump(now);
  EXPECT_EQ(works.size(), 34u) << "nothing waits any more";
  works.clear();
  dones.clear();
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(Verifying, ACopyReplacesTheOneThatIsVerified) {
  arrive({whole(0, 9)});
  arrive({whole(1, 9)});
  EXPECT_EQ(acks.at(0), AckStatus::cancelled);
  work_off();
  EXPECT_EQ(acks.at(1), AckStatus::bad_signature);
  EXPECT_EQ(acks.size(), 2u);
}

class Sending : public Peer {
 protected:
  void begin() {
    messages->pump(now);
    messages->on_built(kBuilt, 1ms, now);
    messages->pump(now);
  }
};

TEST_F(Sending, EachAnswerHasItsOutcome) {
  const std::pair<AckStatus, std::pair<Outcome, Errc>> cases[] = {
      {AckStatus::delivered, {Outcome::delivered, Errc::ok}},
      {AckStatus::duplicate, {Outcome::delivered, Errc::ok}},
      {AckStatus::no_receiver, {Outcome::refused, Errc::refused_by_peer}},
      {AckStatus::refused_memory, {Outcome::refused, Errc::refused_by_peer}},
      {AckStatus::refused_queue, {Outcome::refused, Errc::refused_by_peer}},
      {AckStatus::expired, {Outcome::expired, Errc::expired}},
      {AckStatus::bad_signature, {Outcome::failed, Errc::authentication_failed}},
      {AckStatus::cancelled, {Outcome::refused, Errc::refused_by_peer}}};
  for (std::size_t i = 0; i < std::size(cases); ++i) ASSERT_TRUE(send(10));
  begin();
  EXPECT_EQ(payloads, 1u);
  for (std::size_t i = std::size(cases); i-- > 0;) {  // in any order
    arrive({wire::AckFrame{static_cast<std::uint32_t>(i), cases[i].first}}, kBuilt);
    ASSERT_EQ(ends.size(), std::size(cases) - i);
    EXPECT_EQ(ends.back().outcome, cases[i].second.first);
    EXPECT_EQ(ends.back().reason, cases[i].second.second);
  }
  EXPECT_FALSE(ended(kBuilt));
  arrive({wire::AckFrame{0, AckStatus::delivered}}, kBuilt);
  EXPECT_TRUE(ended(kBuilt)) << "a second answer for one message";
  EXPECT_EQ(ends.size(), std::size(cases));
}

TEST_F(Sending, AnEarlyRefusalStopsTheRest) {
  ASSERT_TRUE(send(1 << 20));
  messages->pump(now);
  room_now = 3;
  messages->on_built(kBuilt, 1ms, now);
  messages->pump(now);
  EXPECT_EQ(data_frames.size(), 3u);
  room_now = 1000;
  arrive({wire::AckFrame{0, AckStatus::no_receiver}}, kBuilt);
  EXPECT_EQ(data_frames.size(), 3u);
  EXPECT_EQ(cancels, std::vector<std::uint32_t>{0}) << "so that the peer can forget it";
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].outcome, Outcome::refused);
  EXPECT_EQ(pool.stats().in_use[1], 0u);
  arrive({wire::AckFrame{0, AckStatus::cancelled}}, kBuilt);
  EXPECT_TRUE(ended(kBuilt)) << "it was answered already";
}

TEST_F(Sending, ExpiryHalfwayIsCancelledAndItsAnswerExpected) {
  ASSERT_TRUE(send(1 << 20));
  messages->pump(now);
  room_now = 3;
  messages->on_built(kBuilt, 1ms, now);
  messages->pump(now);
  room_now = 1000;
  let_pass(60s);
  EXPECT_EQ(cancels, std::vector<std::uint32_t>{0});
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].outcome, Outcome::expired);
  arrive({wire::AckFrame{0, AckStatus::cancelled}}, kBuilt);
  EXPECT_FALSE(ended(kBuilt));
  EXPECT_EQ(ends.size(), 1u);
}

TEST_F(Sending, CloseMeansNoNewMessages) {
  ASSERT_TRUE(send(10));
  begin();
  arrive({wire::CloseFrame{5}}, kBuilt);
  EXPECT_FALSE(ended(kBuilt));
  const auto before = data_frames.size();
  ASSERT_TRUE(send(10));
  messages->pump(now);
  EXPECT_EQ(data_frames.size(), before);
  arrive({wire::AckFrame{0, AckStatus::delivered}}, kBuilt);
  EXPECT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].outcome, Outcome::delivered);
}

TEST_F(Sending, NoRepliesOnAClosingCircuit) {
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true}), wire::CloseFrame{0}});
  ASSERT_EQ(circuits.size(), 1u);
  const auto reply = messages->reply({kCircuit, 0}, {}, {}, 1s, now);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error(), Errc::circuit_failed);
}

TEST_F(Sending, OnlySourcesTakeReplies) {
  ASSERT_TRUE(send(10));
  begin();
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true})}, kBuilt);
  EXPECT_EQ(acks.at(0), AckStatus::no_receiver);
  arrive({frame({.ref = 1, .size = 5, .bytes = 5, .last = true, .reply = true})}, kBuilt);
  EXPECT_EQ(acks.at(1), AckStatus::delivered);
  EXPECT_EQ(got.size(), 1u);
  EXPECT_FALSE(circuits[0]);
}

TEST_F(Sending, TheTimeToLiveSaysNothingOfQueuesAndBuilds) {
  ASSERT_TRUE(messages->send(node_id(1), {}, {}, {.priority = priority, .ttl = 10s}, now));
  messages->pump(now);
  let_pass(2500ms);
  messages->on_built(kBuilt, 1ms, now);
  messages->pump(now);
  ASSERT_EQ(data_frames.size(), 1u);
  EXPECT_EQ(data_frames[0].start->ttl_ms, 16'384u);
  let_pass(7499ms);
  EXPECT_TRUE(ends.empty());
  let_pass(1ms);
  ASSERT_EQ(ends.size(), 1u) << "the sender counts the time that it was given";
  EXPECT_EQ(ends[0].outcome, Outcome::expired);
}

}  // namespace
}  // namespace qudag::message::testing
