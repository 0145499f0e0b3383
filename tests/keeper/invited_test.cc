// Receivers that last, and callers that have an invitation alone: restarts, keys and keepers that
// change, cards at a keeper and what strangers can do with them.
#include "keeper/residents.h"

#include <utility>

namespace qudag::keeper::test {
namespace {

class Invited : public Residents {
 protected:
  Invited() : Residents(true) {}

  Invitation invitation() const { return Invitation::of(*card); }
  /// A caller that knows no more than the invitation.
  void only_invited() {
    cards->remove(id);
    ASSERT_TRUE(cards->invite(invitation(), place.net.now().unix_seconds));
    ASSERT_EQ(cards->find(id)->key, nullptr);
  }
  /// The node of the receiver ends, and another run opens it.
  void restart() {
    resident->close(place.net.now());
    place.run();
    resident.reset();
    card.reset();
    open();
    ASSERT_TRUE(card);
  }
  std::size_t calls_taken() const { return home_above.incoming.size(); }
};

TEST_F(Invited, AReceiverOutlivesItsNode) {
  const Card before = *card;
  restart();
  EXPECT_EQ(card->receiver, before.receiver);
  EXPECT_EQ(card->places, before.places);
  EXPECT_EQ(card->inbox_key, before.inbox_key);
  EXPECT_EQ(card->pin, before.pin);
  EXPECT_GT(card->published, before.published);
  EXPECT_EQ(cards->find(id)->card, before);  // the caller has the old one
  const CircuitId tunnel = call(1);
  ASSERT_EQ(calls_taken(), 1u);
  EXPECT_EQ(away_above.built, std::vector{tunnel});
}

/// Without its file it is another one.
TEST_F(Invited, OnlyItsFileMakesItTheSame) {
  const Card before = *card;
  file.clear();
  restart();
  EXPECT_NE(card->places, before.places);
  call(1);
  EXPECT_EQ(calls_taken(), 0u);
}

TEST_F(Invited, NothingIsToldThatIsNotOnTheDisk) {
  resident->close(place.net.now());
  resident.reset();
  card.reset();
  file.clear();
  disk_busy = true;
  open();
  pass(3s);
  EXPECT_FALSE(card);
  EXPECT_TRUE(resident->status().invitation.places.empty());
  disk_busy = false;
  pass(2s);
  EXPECT_TRUE(card);
  EXPECT_EQ(resident->status().invitation, invitation());
}

/// What is sealed to a key that a crash would lose could never be read: a full disk has a day to
/// get room, and then being reached is worth more.
TEST_F(Invited, AKeyThatADiskDoesNotTakeWaits) {
  const auto first = card->inbox_key;
  disk_full = true;
  place.net.pass(24h);
  pass(10s);
  EXPECT_EQ(card->inbox_key, first);
  const std::size_t tried = saves;
  pass(60s);
  EXPECT_LE(saves, tried + 3) << "not each second";
  disk_full = false;
  pass(40s);
  EXPECT_NE(card->inbox_key, first);
  const auto second = card->inbox_key;
  disk_full = true;
  place.net.pass(24h);
  pass(10s);
  EXPECT_EQ(card->inbox_key, second);
  place.net.pass(20h);
  pass(40s);
  EXPECT_NE(card->inbox_key, second);
}

TEST_F(Invited, InboxKeysChangeEachDayAndAreTakenForTwo) {
  const Card first = *card;
  // Clocks that jump: nothing of a day is to be run through.
  const auto later = [&](Duration time) {
    place.net.pass(time);
    place.run();
    for (int i = 0; i < 5; ++i) run();
  };
  later(24h);
  EXPECT_NE(card->inbox_key, first.inbox_key);
  EXPECT_EQ(KeptReceiver::parse(file)->keys.size(), 2u);
  ASSERT_TRUE(cards->add(first));
  pass(10s);
  call(1);
  EXPECT_EQ(calls_taken(), 1u);  // by the older key
  later(24h);
  EXPECT_EQ(KeptReceiver::parse(file)->keys.size(), 3u) << "it may still open letters";
  pass(10s);
  Card old = first;
  old.expires = 0;
  old.pin = {};
  ASSERT_TRUE(cards->add(old));
  call(2);
  EXPECT_EQ(calls_taken(), 1u);
  for (int day = 0; day < 8; ++day) later(24h);
  EXPECT_EQ(KeptReceiver::parse(file)->keys.size(), 8u);
}

TEST_F(Invited, WhoHasAnInvitationFindsTheCardAndCallsOnOneCircuit) {
  only_invited();
  const auto before = place.node().circuits.list().size();
  const CircuitId tunnel = call(5);
  EXPECT_EQ(place.node().circuits.list().size(), before + 1);
  ASSERT_EQ(calls_taken(), 1u);
  EXPECT_EQ(home_above.riders[0], Data(kHailFramesBytes, std::byte{5}));
  EXPECT_EQ(away_above.built, std::vector{tunnel});
  EXPECT_EQ(away_ports->stats().looked_up, 1u);
  send(*away_ports, tunnel, 6);
  EXPECT_EQ(home_above.payloads[home_above.incoming[0]].size(), 1u);
  // And then it has the card.
  EXPECT_EQ(cards->find(id)->card.published, card->published);
  call(7);
  EXPECT_EQ(calls_taken(), 2u);
  EXPECT_EQ(away_ports->stats().looked_up, 1u);
}

TEST_F(Invited, AKeeperWithoutTheCardIsNoEnd) {
  only_invited();
  // As after a restart of the keeper: the receiver is there, and its card is not.
  ASSERT_TRUE(place.registry->get(spot_here(card->places[0].inbox), place.net.now()).blob.size() >
              0);
  Now later = place.net.now();
  later.unix_seconds += 9 * 86'400;
  EXPECT_TRUE(place.registry->get(spot_here(card->places[0].inbox), later).blob.empty());
  call(1);
  EXPECT_EQ(calls_taken(), 0u);
  ASSERT_EQ(away_above.ended.size(), 1u);
  EXPECT_EQ(away_above.ended[0].second, Errc::refused_by_peer);
}

/// What a keeper gives instead of the card opens for nobody; what is known stays.
TEST_F(Invited, AWrongCardIsNoCard) {
  only_invited();
  const auto& control = place.receiver;
  static_cast<void>(control);
  cards->remove(id);
  Invitation wrong = invitation();
  wrong.pin[0] ^= std::byte{1};
  ASSERT_TRUE(cards->invite(wrong, place.net.now().unix_seconds));
  call(1);
  EXPECT_EQ(calls_taken(), 0u);
  EXPECT_EQ(away_ports->stats().cards_bad, 1u);
  ASSERT_EQ(away_above.ended.size(), 1u);
}

TEST_F(Invited, ANewerCardIsToldAndFetchedWithTheNextCall) {
  const Card first = *card;
  restart();
  ASSERT_GT(card->published, first.published);
  call(1);
  EXPECT_EQ(cards->find(id)->card.published, first.published);
  EXPECT_EQ(away_ports->stats().looked_up, 0u);
  call(2);
  EXPECT_EQ(calls_taken(), 2u);
  EXPECT_EQ(away_ports->stats().looked_up, 1u);
  EXPECT_EQ(cards->find(id)->card.published, card->published);
}

TEST_F(Invited, TheLatestPublishedStays) {
  const Now now = place.net.now();
  Card older = *card, newer = *card;
  older.published -= 10;
  newer.published += 10;
  newer.places.push_back(newer.places[0]);
  std::vector<Card> heard;
  cards->set_handler([&](const Card& one) { heard.push_back(one); });
  EXPECT_EQ(cards->learn(older, now)->card, *card);
  EXPECT_EQ(cards->learn(newer, now)->card, newer);
  EXPECT_EQ(cards->learn(*card, now)->card, newer);
  EXPECT_EQ(heard, std::vector{newer});  // it names other keepers
  // An invitation does not take a good card away; one that is no good it does.
  ASSERT_TRUE(cards->invite(Invitation::of(older), now.unix_seconds));
  EXPECT_EQ(cards->find(id)->card, newer);
  ASSERT_TRUE(cards->invite(Invitation::of(older), newer.expires));
  EXPECT_EQ(cards->find(id)->key, nullptr);
  cards->remove(id);
  EXPECT_EQ(cards->learn(newer, now), nullptr);
}

/// Doubts make one look-up a minute, whatever a receiver says.
TEST_F(Invited, DoubtsAreBelievedOnceAMinute) {
  Now now = place.net.now();
  EXPECT_FALSE(cards->looks_up(*cards->find(id), now));
  cards->doubt(id, now);
  EXPECT_TRUE(cards->looks_up(*cards->find(id), now));
  static_cast<void>(cards->learn(*card, now));
  cards->doubt(id, now);
  EXPECT_FALSE(cards->looks_up(*cards->find(id), now));
  now.mono += 61s;
  cards->doubt(id, now);
  EXPECT_TRUE(cards->looks_up(*cards->find(id), now));
}

// ---- at the keeper ------------------------------------------------------------------------------

wire::PutFrame put_of(const Place& place, Bytes blob) {
  return {.spot = spot_here(place.inbox()),
          .expires_minutes = static_cast<std::uint32_t>(
              const_cast<Place&>(place).net.now().unix_seconds / 60 + 60),
          .nonce = {},
          .blob = blob};
}

TEST(CardsAtAKeeper, ArePutByWhoHasTheInboxAndGotByWhoKnowsTheSpot) {
  Place place;
  const Data blob(wire::kCardBlobBytes, std::byte{0x33});
  const CircuitId control = place.register_inbox();
  place.receiver->tell(control, put_of(place, blob));
  place.run();
  EXPECT_EQ(place.receiver->last<wire::KeptFrame>(control).status, wire::KeptStatus::kept);
  const CircuitId caller =
      place.caller->build(place.route(), wire::GetFrame{spot_here(place.inbox())});
  place.run();
  const auto got = place.caller->last<wire::CardFrame>(caller);
  EXPECT_EQ(got.of, 1);
  EXPECT_TRUE(std::ranges::equal(got.blob, blob));
  // On the same circuit again, and of another spot.
  place.caller->tell(caller, wire::GetFrame{});
  place.run();
  EXPECT_EQ(place.caller->last<wire::CardFrame>(caller).of, 0);
  EXPECT_EQ(place.service().stats().cards_given, 1u);
  EXPECT_EQ(place.service().stats().cards_missing, 1u);
}

TEST(CardsAtAKeeper, AreOfAnInboxOfThatCircuitOrItEnds) {
  for (const int wrong : {0, 1, 2}) {
    Place place;
    const CircuitId control = place.register_inbox();
    wire::PutFrame frame = put_of(place, Bytes(place.hail));
    const Data blob(wire::kCardBlobBytes);
    frame.blob = blob;
    if (wrong == 0) frame.spot = {};
    if (wrong == 1) frame.expires_minutes += 9 * 24 * 60;
    place.receiver->tell(control, frame);
    place.run();
    EXPECT_EQ(place.receiver->ended.contains(control), wrong != 2) << wrong;
  }
  // Nor does a caller put one.
  Place place;
  const Data blob(wire::kCardBlobBytes);
  place.register_inbox();
  const CircuitId caller = place.caller->build(place.route(), wire::GetFrame{});
  place.run();
  place.caller->tell(caller, put_of(place, blob));
  place.run();
  EXPECT_TRUE(place.caller->ended.contains(caller));
}

TEST(CardsAtAKeeper, HaveABoundARateAndAnEnd) {
  Place place(1, {.cards = 1});
  const Data blob(wire::kCardBlobBytes, std::byte{1});
  const CircuitId control = place.register_inbox();
  const auto put = [&](const wire::PutFrame& frame) {
    place.receiver->tell(control, frame);
    place.run();
    return place.receiver->last<wire::KeptFrame>(control).status;
  };
  for (std::uint64_t i = 0; i < kPutsBurst; ++i) {
    EXPECT_EQ(put(put_of(place, blob)), wire::KeptStatus::kept) << i;
  }
  EXPECT_EQ(put(put_of(place, blob)), wire::KeptStatus::too_fast);
  // Another inbox has no room, until the first one's card is over.
  wire::OwnerSecret other{};
  place.receiver->tell(control, wire::RegisterFrame{{wire::InboxEntry{.owner = other}}});
  place.run();
  wire::PutFrame second = put_of(place, blob);
  second.spot = spot_here(inbox_id(place.keeper_id, other));
  EXPECT_EQ(put(second), wire::KeptStatus::no_room);
  Now later = place.net.now();
  later.unix_seconds += 2 * 3'600;
  second.expires_minutes += 180;
  EXPECT_EQ(place.registry->put({0, {}}, second, later), std::nullopt);  // no such circuit
  EXPECT_EQ(place.registry->stats().cards, 1u);
  place.receiver->tell(control, wire::RevokeFrame{.owner = place.owner()});
  place.run();
  EXPECT_EQ(place.registry->stats().cards, 0u);
  EXPECT_EQ(put(second), wire::KeptStatus::kept);
}

TEST(CardsAtAKeeper, AreGivenAtARate) {
  Place place;
  const CircuitId caller = place.caller->build(place.route(), wire::GetFrame{});
  place.run();
  for (unsigned i = 1; i < kJoinsPerMinute; ++i) {
    place.caller->tell(caller, wire::GetFrame{});
    place.run();
  }
  EXPECT_EQ(place.caller->count<wire::CardFrame>(caller), kJoinsPerMinute);
  place.caller->tell(caller, wire::GetFrame{});
  place.run();
  EXPECT_EQ(place.caller->last<wire::NoFrame>(caller).reason, wire::NoReason::too_fast);
  // And of one inbox, over all circuits.
  const Data blob(wire::kCardBlobBytes);
  const CircuitId control = place.register_inbox();
  place.receiver->tell(control, put_of(place, blob));
  place.run();
  std::size_t given = 0;
  for (int i = 0; i < 60; ++i) {
    const auto got = place.registry->get(spot_here(place.inbox()), place.net.now());
    given += got.too_fast ? 0 : 1;
  }
  EXPECT_EQ(given, KeeperBounds{}.joins_burst);
}

}  // namespace
}  // namespace qudag::keeper::test
