// A keeper on real circuits: who registers, waits, joins, passes payloads, parts; on one shard and
// over two; what it refuses, and what it holds while an end is slow.
#include "keeper/place.h"

#include <algorithm>

namespace qudag::keeper::test {
namespace {

using wire::NoReason;

NoReason refusal(Place& place, CircuitId caller) {
  return place.caller->last<wire::NoFrame>(caller).reason;
}

/// Both shards of one keeper, or one of them, for each of the receiver and the caller.
class Shards : public ::testing::TestWithParam<std::pair<unsigned, unsigned>> {};

TEST_P(Shards, ACallerIsJoinedAndPayloadsPassBothWaysAsTheyAre) {
  const auto [of_receiver, of_caller] = GetParam();
  Place place(2);
  place.register_inbox(of_receiver);
  const CircuitId standby = place.standby(of_receiver);
  const CircuitId caller = place.join(of_caller);
  const auto offer = place.receiver->last<wire::OfferFrame>(standby);
  EXPECT_EQ(offer.inbox, place.inbox());
  EXPECT_TRUE(std::ranges::equal(offer.hail, place.hail));
  place.receiver->tell(standby, wire::AcceptFrame{place.answer});
  place.receiver->pass(standby, 200);  // right behind the answer
  place.run();
  EXPECT_TRUE(
      std::ranges::equal(place.caller->last<wire::JoinedFrame>(caller).answer, place.answer));
  for (std::uint8_t i = 0; i < 150; ++i) {
    place.caller->pass(caller, i);
    if (i % 3 == 0) place.receiver->pass(standby, i);
  }
  place.run();
  std::vector<std::uint8_t> forward(150), backward{200};
  for (std::uint8_t i = 0; i < 150; ++i) forward[i] = i;
  for (std::uint8_t i = 0; i < 150; i += 3) backward.push_back(i);
  EXPECT_EQ(place.receiver->marks[standby], forward);
  EXPECT_EQ(place.caller->marks[caller], backward);
  EXPECT_EQ(place.service(of_caller).stats().crossings > 0, of_caller != of_receiver);
}

/// A PART comes behind what was passed before it, and then the standby waits again: whoever joins
/// and leaves makes the receiver build nothing.
TEST_P(Shards, AStandbyServesOneCallerAfterTheOther) {
  const auto [of_receiver, of_caller] = GetParam();
  Place place(2);
  place.register_inbox(of_receiver);
  const CircuitId standby = place.standby(of_receiver);
  const CircuitId caller = place.join(of_caller);
  for (int round = 0; round < 5; ++round) {
    if (round > 0) {
      place.caller->tell(caller, place.join_frame());
      place.run();
    }
    place.accept(standby);
    ASSERT_EQ(place.caller->count<wire::JoinedFrame>(caller), round + 1u);
    for (std::uint8_t i = 0; i < 40; ++i) place.caller->pass(caller, i);
    place.caller->tell(caller, wire::PartFrame{});
    place.run();
    ASSERT_EQ(place.receiver->count<wire::PartFrame>(standby), round + 1u);
    EXPECT_TRUE(place.receiver->in_order[standby].ends_with(std::string(40, 'p') + "P"));
    ASSERT_EQ(place.caller->count<wire::PartFrame>(caller), round + 1u);
    place.receiver->tell(standby, wire::PartFrame{});
    place.receiver->tell(standby, wire::StandbyFrame{place.binding});
    place.run();
  }
  EXPECT_EQ(place.receiver->built.size(), 2u);  // control and standby, once
  EXPECT_TRUE(place.receiver->ended.empty());
  EXPECT_EQ(place.registry->stats().splices, 0u);
  EXPECT_EQ(place.registry->stats().standbys_idle, 1u);
}

TEST_P(Shards, EitherHalfThatEndsIsAPartForTheOther) {
  const auto [of_receiver, of_caller] = GetParam();
  Place place(2);
  place.register_inbox(of_receiver);
  const CircuitId first = place.standby(of_receiver), second = place.standby(of_receiver);
  const CircuitId caller = place.join(of_caller);
  const CircuitId used = place.receiver->said[first].empty() ? second : first;
  const CircuitId left = used == first ? second : first;
  place.accept(used);
  place.receiver->ends.close(used, place.net.now());
  place.run();
  EXPECT_EQ(place.caller->last<wire::PartFrame>(caller).reason, wire::PartReason::other_ended);
  place.caller->tell(caller, wire::PartFrame{});
  place.caller->tell(caller, place.join_frame());  // on its own circuit, no build
  place.run();
  place.accept(left);
  EXPECT_EQ(place.caller->count<wire::JoinedFrame>(caller), 2u);
  place.caller->ends.close(caller, place.net.now());
  place.run();
  EXPECT_EQ(place.receiver->last<wire::PartFrame>(left).reason, wire::PartReason::other_ended);
  EXPECT_EQ(place.registry->stats().splices, 0u);
}

/// The receiver reads nothing: the caller is stopped by its own window, and the keeper holds one
/// window. Then all arrives, each byte once.
TEST_P(Shards, HoldsOneWindowOfWhatASlowEndDoesNotRead) {
  const auto [of_receiver, of_caller] = GetParam();
  Place place(2);
  place.register_inbox(of_receiver);
  const CircuitId standby = place.standby(of_receiver);
  const CircuitId caller = place.join(of_caller);
  place.accept(standby);
  place.net.node(1).window_shut = false;
  place.receiver->node.window_shut = true;
  constexpr std::size_t kPayloads = 600;  // nine windows and a half
  for (std::size_t i = 0; i < kPayloads; ++i) {
    place.caller->pass(caller, static_cast<std::uint8_t>(i));
  }
  place.run();
  const std::size_t arrived = place.receiver->marks[standby].size();
  EXPECT_LT(arrived, kPayloads / 2);
  const std::size_t window = place.net.options.window_bytes / 1024;
  for (unsigned shard = 0; shard < 2; ++shard) {
    EXPECT_LE(place.node(shard).pool.stats().in_use[0], window + 3) << shard;
  }
  place.receiver->node.window_shut = false;
  place.net.wake_all();
  place.run();
  EXPECT_EQ(place.receiver->marks[standby].size(), kPayloads);
  for (unsigned shard = 0; shard < 2; ++shard) {
    EXPECT_EQ(place.node(shard).pool.stats().in_use[0], 0u) << shard;
  }
}

INSTANTIATE_TEST_SUITE_P(Keeper, Shards,
                         ::testing::Values(std::pair{0u, 0u}, std::pair{0u, 1u},
                                           std::pair{1u, 0u}));

TEST(Keeper, AFullMailboxLosesAndReordersNothing) {
  Place place(2);
  place.register_inbox(0);
  const CircuitId standby = place.standby(0);
  const CircuitId caller = place.join(1);
  place.accept(standby);
  place.mailbox_full = true;
  for (std::uint8_t i = 0; i < 50; ++i) place.caller->pass(caller, i);
  place.caller->tell(caller, wire::PartFrame{});
  place.net.run();
  EXPECT_TRUE(place.receiver->marks[standby].empty());
  EXPECT_LE(place.service(1).next_deadline(), place.net.now().mono);  // it asks again
  place.mailbox_full = false;
  place.run();
  EXPECT_EQ(place.receiver->in_order[standby], std::string(50, 'p') + "P");
}

/// No standby: the receiver hears a knock, and the first one that comes has the caller.
TEST(Keeper, KnocksWhenACallerFindsNoStandby) {
  Place place;
  const CircuitId control = place.register_inbox();
  const CircuitId caller = place.join();
  EXPECT_EQ(place.receiver->last<wire::KnockFrame>(control).normal, 1);
  const CircuitId standby = place.standby();
  EXPECT_EQ(place.receiver->count<wire::OfferFrame>(standby), 1u);
  place.accept(standby);
  EXPECT_EQ(place.caller->count<wire::JoinedFrame>(caller), 1u);
}

/// Cells differ in size: a caller of low priority needs a standby of low priority.
TEST(Keeper, JoinsOnlyCircuitsOfOneSizeOfCell) {
  Place place;
  const CircuitId control = place.register_inbox();
  const CircuitId normal = place.standby();
  const CircuitId caller = place.join(0, Priority::low);
  EXPECT_EQ(place.receiver->count<wire::OfferFrame>(normal), 0u);
  EXPECT_EQ(place.receiver->last<wire::KnockFrame>(control).low, 1);
  const CircuitId low = place.standby(0, Priority::low);
  place.accept(low);
  EXPECT_EQ(place.caller->count<wire::JoinedFrame>(caller), 1u);
  place.caller->pass(caller, 9);
  place.run();
  EXPECT_EQ(place.receiver->marks[low], std::vector<std::uint8_t>{9});
  const CircuitId high = place.join(0, Priority::high);
  EXPECT_EQ(place.receiver->count<wire::OfferFrame>(normal), 1u);
  static_cast<void>(high);
}

TEST(Keeper, SaysWhyACallerIsNotJoined) {
  Place place;
  EXPECT_EQ(refusal(place, place.join()), NoReason::no_inbox);
  const CircuitId control = place.register_inbox();
  const CircuitId standby = place.standby();
  const CircuitId declined = place.join();
  place.receiver->tell(standby, wire::DeclineFrame{});
  place.run();
  EXPECT_EQ(refusal(place, declined), NoReason::declined);
  EXPECT_EQ(place.registry->stats().standbys_idle, 1u);
  const CircuitId unanswered = place.join();
  place.receiver->ends.close(standby, place.net.now());
  place.run();
  EXPECT_EQ(refusal(place, unanswered), NoReason::receiver_ended);
  const CircuitId waits = place.join();
  place.pass(11s);
  EXPECT_EQ(refusal(place, waits), NoReason::busy);
  place.receiver->ends.close(control, place.net.now());
  place.run();
  EXPECT_EQ(refusal(place, place.join()), NoReason::away);
  EXPECT_EQ(place.registry->stats().splices, 0u);
}

TEST(Keeper, BoundsWhatCallersMayAsk) {
  Place place(1, {.joins_inbox = 2, .joins_per_second = 1, .joins_burst = 4});
  place.register_inbox();
  std::vector<CircuitId> callers;
  for (int i = 0; i < 5; ++i) callers.push_back(place.join());
  EXPECT_TRUE(place.caller->said[callers[0]].empty());  // they wait
  EXPECT_TRUE(place.caller->said[callers[1]].empty());
  EXPECT_EQ(refusal(place, callers[2]), NoReason::busy);
  EXPECT_EQ(refusal(place, callers[3]), NoReason::busy);
  EXPECT_EQ(refusal(place, callers[4]), NoReason::too_fast);
  EXPECT_GE(place.caller->last<wire::NoFrame>(callers[4]).wait_seconds, 1);
  place.caller->ends.close(callers[0], place.net.now());
  place.run();
  EXPECT_EQ(place.registry->stats().joins_waiting, 1u);
  // One circuit of a caller asks six times a minute.
  for (unsigned i = 1; i < kJoinsPerMinute; ++i) {
    place.caller->tell(callers[2], place.join_frame());
    place.run();
  }
  place.caller->tell(callers[2], place.join_frame());
  place.run();
  EXPECT_EQ(refusal(place, callers[2]), NoReason::too_fast);
  EXPECT_GT(place.caller->last<wire::NoFrame>(callers[2]).wait_seconds, 30);
}

TEST(Keeper, BoundsWhatReceiversMayHave) {
  Place place(1, {.inboxes = 2, .controls = 2, .standbys = 3});
  const CircuitId control = place.register_inbox();
  for (int i = 0; i < 3; ++i) place.standby();
  const CircuitId fourth = place.standby();
  EXPECT_TRUE(place.receiver->ended.contains(fourth));
  const auto with_owner = [](std::uint8_t n) {
    wire::InboxEntry out;
    out.owner.fill(std::byte{n});
    return out;
  };
  place.receiver->tell(control, wire::RegisterFrame{{with_owner(8), with_owner(9)}});
  place.run();
  const auto answer = place.receiver->last<wire::RegisteredFrame>(control);
  ASSERT_EQ(answer.inboxes.size(), 2u);
  EXPECT_EQ(answer.inboxes[0].status, wire::RegisterStatus::taken);
  EXPECT_EQ(answer.inboxes[1].status, wire::RegisterStatus::no_room);
  const CircuitId second =
      place.receiver->build(place.route(), wire::RegisterFrame{{with_owner(8)}});
  place.run();
  // The later one stands; the older hears of it.
  EXPECT_EQ(place.receiver->last<wire::RegisteredFrame>(second).inboxes[0].status,
            wire::RegisterStatus::taken);
  EXPECT_EQ(place.receiver->last<wire::RegisteredFrame>(control).status,
            wire::RegisterStatus::replaced);
  const CircuitId third =
      place.receiver->build(place.route(), wire::RegisterFrame{{with_owner(8)}});
  place.run();
  EXPECT_TRUE(place.receiver->ended.contains(third));
}

/// A full table: those whose receivers are away give their places, the one first that left first.
TEST(Keeper, InboxesOfReceiversThatAreAwayMakeRoom) {
  Place place(1, {.inboxes = 2, .joins_per_second = 100});
  const auto with_owner = [](std::uint8_t n) {
    wire::InboxEntry out;
    out.owner.fill(std::byte{n});
    return out;
  };
  const auto open = [&](std::uint8_t n) {
    const CircuitId control =
        place.receiver->build(place.route(), wire::RegisterFrame{{with_owner(n)}});
    place.run();
    const auto status = place.receiver->last<wire::RegisteredFrame>(control).inboxes.at(0).status;
    return std::pair{control, status};
  };
  const auto first = open(1), second = open(2);
  EXPECT_EQ(second.second, wire::RegisterStatus::taken);
  EXPECT_EQ(open(3).second, wire::RegisterStatus::no_room);
  for (const CircuitId control : {first.first, second.first}) {
    place.receiver->ends.close(control, place.net.now());
    place.run();
    place.pass(1s);
  }
  EXPECT_EQ(open(2).second, wire::RegisterStatus::taken);  // it is back
  EXPECT_EQ(open(4).second, wire::RegisterStatus::taken);  // in the place of the first
  EXPECT_EQ(open(5).second, wire::RegisterStatus::no_room);
  const auto call = [&](std::uint8_t n) {
    const CircuitId caller = place.caller->build(
        place.route(), wire::JoinFrame{.inbox = inbox_id(place.keeper_id, with_owner(n).owner),
                                       .hail = place.hail});
    place.run();
    return caller;
  };
  EXPECT_EQ(refusal(place, call(1)), NoReason::no_inbox);
  EXPECT_TRUE(place.caller->said[call(2)].empty());  // it waits for a standby
  EXPECT_EQ(place.registry->stats().inboxes, 2u);
}

/// What a state does not await ends the circuit: here, from each state that a source can reach.
TEST(Keeper, EndsWhoSpeaksOutOfTurn) {
  using Frames = std::vector<wire::KeeperFrame>;
  const Data answer(kAnswerBytes);
  const auto ends = [](const auto& reach, const Frames& frames, bool payload) {
    for (std::size_t i = 0; i < frames.size() + (payload ? 1 : 0); ++i) {
      Place place;
      const auto [peer, circuit] = reach(place);
      if (i < frames.size()) {
        peer->tell(circuit, frames[i]);
      } else {
        peer->pass(circuit, 1);
      }
      place.run();
      EXPECT_TRUE(peer->ended.contains(circuit)) << "frame " << i;
    }
  };
  const auto control = [](Place& place) {
    return std::pair{place.receiver.get(), place.register_inbox()};
  };
  const auto idle = [](Place& place) {
    place.register_inbox();
    return std::pair{place.receiver.get(), place.standby()};
  };
  const auto over = [](Place& place) { return std::pair{place.caller.get(), place.join()}; };
  ends(control,
       {wire::StandbyFrame{}, wire::AcceptFrame{answer}, wire::PartFrame{}, wire::KnockFrame{},
        wire::RegisteredFrame{}, wire::KeeperPong{}},
       true);
  ends(idle,
       {wire::StandbyFrame{}, wire::AcceptFrame{answer}, wire::DeclineFrame{}, wire::PartFrame{},
        wire::JoinedFrame{answer}},
       true);
  ends(over, {wire::StandbyFrame{}, wire::AcceptFrame{answer}, wire::PartFrame{}}, true);
}

TEST(Keeper, RefusesEndsBeyondItsBoundAndForgetsThoseThatSayNothing) {
  Place place;
  const CircuitId one = place.caller->build(place.route(), wire::KeeperPing{1});
  place.run();
  EXPECT_TRUE(place.caller->ended.contains(one));  // a PING is no beginning
  const CircuitId control = place.register_inbox();
  place.pass(100s);
  EXPECT_FALSE(place.receiver->ended.contains(control));
  place.receiver->tell(control, wire::KeeperPing{7});
  place.run();
  EXPECT_EQ(place.receiver->last<wire::KeeperPong>(control).token, 7u);
  place.pass(100s);
  EXPECT_FALSE(place.receiver->ended.contains(control));
  place.pass(60s);
  EXPECT_TRUE(place.receiver->ended.contains(control));
  EXPECT_EQ(place.service().stats().ends, 0u);
}

/// A node that is no keeper seals a refusal, which only the source reads.
TEST(Keeper, OnlyAKeeperTakesSuchACircuit) {
  Place place;
  circuit::test::Node& plain = place.net.add();
  const std::vector<onion::RouteHop> route{place.net.node(1).hop(), plain.hop()};
  const CircuitId circuit = place.caller->build(route, place.join_frame());
  place.run();
  EXPECT_EQ(place.caller->ended.at(circuit), Errc::refused_by_peer);
  EXPECT_EQ(plain.circuits.stats().refused_not_keeper, 1u);
}

}  // namespace
}  // namespace qudag::keeper::test
