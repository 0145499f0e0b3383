// A receiver between a keeper that does its duty and one that does what it likes: it hails, knocks,
// breaks and keeps silent at will. The receiver works for it no more than its bounds say, and is
// still called at the other one.
#include "keeper/letters/letter_seal.h"
#include "keeper/place.h"
#include "keeper/resident.h"
#include "wire/message_frames.h"

#include <algorithm>

namespace qudag::keeper::test {
namespace {

/// A keeper in the hands of the test: it registers whoever comes, and the rest is up to the test.
class Rogue final : public circuit::CircuitEvents {
 public:
  Rogue(circuit::test::Net& network, circuit::test::Node& its) : net(network), node(its) {
    node.circuits.set_events(*this, circuit::EndKind::keeper);
  }
  void tell(CircuitId circuit, const wire::KeeperFrame& frame) {
    EXPECT_TRUE(say(node.circuits, circuit, Priority::normal, frame, net.now()));
  }
  /// One letter, whether anybody asked for it or not.
  void send(const wire::InboxId& inbox, std::uint64_t number, Bytes letter) {
    const auto size = static_cast<std::uint32_t>(letter.size());
    tell(control, wire::LetterFrame{.inbox = inbox, .number = number, .size = size});
    for (std::size_t at = 0; at < letter.size(); at += wire::kPieceBytesMax) {
      const std::size_t n = std::min(wire::kPieceBytesMax, letter.size() - at);
      if (!ended.contains(control)) tell(control, wire::PieceFrame{letter.subspan(at, n)});
      net.run();
    }
  }
  /// What it keeps, oldest first, as a keeper does its duty.
  void send_letters(const wire::InboxId& inbox) {
    for (auto at = letters.upper_bound(next); at != letters.end(); at = letters.upper_bound(next)) {
      if (at->second.size() > credit) return;
      credit -= at->second.size();
      next = at->first;
      const Data letter = at->second;  // TAKEN may come at once
      send(inbox, next, letter);
    }
  }
  void break_standbys() {
    for (const CircuitId standby : std::exchange(standbys, {})) {
      node.circuits.give_up(standby, net.now());
    }
  }

  void on_built(CircuitId, Duration, Now) override {}
  void on_incoming(CircuitId, Priority, Now) override {}
  std::size_t on_rider(CircuitId circuit, Bytes rider, Now) override {
    if (rider.front() == std::byte{4}) {
      standbys.push_back(circuit);
      return 1;
    }
    control = circuit;
    credit = next = 0;
    tell(circuit, wire::RegisteredFrame{.standbys = 16, .inboxes = {wire::InboxStatus{}}});
    return 1;
  }
  std::size_t on_payload(CircuitId circuit, memory::Block payload, Now) override {
    static_cast<void>(streams[circuit].take(payload.bytes().subspan(1), [&](const auto& frame) {
      accepted += std::holds_alternative<wire::AcceptFrame>(frame) ? 1 : 0;
      declined += std::holds_alternative<wire::DeclineFrame>(frame) ? 1 : 0;
      if (const auto* fetch = std::get_if<wire::FetchFrame>(&frame)) {
        credit = fetch->bytes == 0 ? 0 : credit + fetch->bytes;
        if (fetch->bytes == 0) next = 0;
      }
      if (const auto* taken = std::get_if<wire::TakenFrame>(&frame)) {
        for (const std::uint64_t number : taken->numbers) letters.erase(number);
      }
      const auto* ping = std::get_if<wire::KeeperPing>(&frame);
      if (ping != nullptr && circuit == control) tell(circuit, wire::KeeperPong{ping->token});
      return true;
    }));
    return 1;
  }
  void on_sendable(CircuitId, Now) override {}
  void on_ended(CircuitId circuit, const Error&, Now) override {
    std::erase(standbys, circuit);
    ended.insert(circuit);
  }

  circuit::test::Net& net;
  circuit::test::Node& node;
  CircuitId control;
  std::vector<CircuitId> standbys;
  std::set<CircuitId> ended;
  std::map<CircuitId, wire::KeeperStream> streams;
  std::size_t accepted = 0, declined = 0;
  std::map<std::uint64_t, Data> letters;
  std::uint64_t credit = 0, next = 0;
};

/// Messages of the receiver: they only count what comes.
struct Above final : circuit::CircuitEvents {
  void on_built(CircuitId, Duration, Now) override {}
  void on_incoming(CircuitId circuit, Priority, Now) override { incoming.push_back(circuit); }
  std::size_t on_rider(CircuitId circuit, Bytes rider, Now) override {
    riders[circuit].assign(rider.begin(), rider.end());
    return 1;
  }
  std::size_t on_payload(CircuitId, memory::Block, Now) override { return 1; }
  void on_sendable(CircuitId, Now) override {}
  void on_ended(CircuitId, const Error&, Now) override {}
  std::vector<CircuitId> incoming;
  std::map<CircuitId, Data> riders;
};

class HostileKeeper : public ::testing::Test, private Ways {
 protected:
  HostileKeeper() {
    circuit::test::Node& home = place.net.add();
    home_ends = std::make_unique<Ends>(home.circuits, nullptr);
    home.circuits.set_events(*home_ends, circuit::EndKind::keeper);
    ports =
        std::make_unique<Ports>(*home_ends, std::make_shared<Cards>(), crypto::Cipher::aes_256_gcm);
    ports->attach(above);
    rogue = std::make_unique<Rogue>(place.net, place.net.add({.circuits = {.keeper = true}}));
    id.bytes.fill(std::byte{0x52});
    auto made = Resident::make({.id = id,
                                .keepers = 2,
                                .at = {rogue->node.id, place.keeper_id},
                                .on_card = [this](const Card& told) { card = told; }},
                               {.ends = *home_ends, .ports = *ports, .ways = *this, .rng = rng},
                               place.net.now());
    EXPECT_TRUE(made);
    resident = std::move(*made);
    for (int i = 0; i < 5; ++i) turn();
    EXPECT_EQ(rogue->standbys.size(), kStandbysLeast);
    EXPECT_EQ(idle_at_the_other(), kStandbysLeast);
  }
  ~HostileKeeper() override { resident->close(place.net.now()); }

  void turn() {
    resident->on_time(place.net.now());
    place.run();
  }
  void second() {
    place.pass(1s);
    turn();
  }
  std::uint64_t idle_at_the_other() const { return place.registry->stats().standbys_idle; }
  const Card::Place& place_of(const NodeId& keeper) const {
    return *std::ranges::find(card.places, keeper, &Card::Place::keeper);
  }
  wire::OfferFrame offer(Bytes hail) const {
    return {.inbox = place_of(rogue->node.id).inbox, .effort = 0, .hail = hail};
  }
  Hail good_hail() const {
    Hail hail;
    const auto key = crypto::KemPublicKey::import(card.inbox_key);
    EXPECT_TRUE(make_hail({.receiver = id, .inbox = place_of(rogue->node.id).inbox}, *key,
                          {.expiry_minutes = hail_expiry(place.net.now().unix_seconds)}, {}, hail));
    return hail;
  }

  /// A letter with one message of one byte.
  Data letter(std::size_t size, std::uint8_t mark) {
    Data frames(letter_frames_bytes(static_cast<std::uint32_t>(size)));
    ByteWriter out(frames);
    wire::MessageStart start{.size = 1};
    rng.fill(start.id);
    wire::append(out, wire::ScopeFrame{});
    const std::array bytes{static_cast<std::byte>(mark)};
    wire::append(out, wire::DataFrame{.ref = 0, .start = start, .last = true, .bytes = bytes});
    const auto key = crypto::KemPublicKey::import(card.inbox_key);
    const Called called{.receiver = id, .inbox = place_of(rogue->node.id).inbox};
    HailFields fields{.kind = HailKind::letter,
                      .expiry_minutes = hail_expiry(place.net.now().unix_seconds)};
    if (size != kHailBytes) return *seal_letter(called, *key, fields, frames);
    fields.kind = HailKind::either;
    Hail hail;
    EXPECT_TRUE(make_hail(called, *key, fields, frames, hail));
    return {hail.begin(), hail.end()};
  }
  void say_taken(CircuitId circuit) {
    memory::Block block = ports->payload_block_of(circuit, Priority::normal);
    std::ranges::fill(block.bytes(), std::byte{0});
    ByteWriter out(block.bytes());
    wire::append(out, wire::AckFrame{.ref = 0, .status = wire::AckStatus::delivered});
    ports->send(circuit, std::move(block), place.net.now());
  }

  // Ways
  Result<std::vector<onion::RouteHop>> to_keeper(const NodeId& keeper, bool, Now) override {
    if (keeper == place.keeper_id) return place.route();
    return std::vector{place.net.node(1).hop(), rogue->node.hop()};
  }
  std::optional<NodeId> draw_keeper(std::span<const NodeId>, Now) override { return std::nullopt; }
  void built(std::span<const onion::RouteHop>, bool, std::size_t, Duration, Now) override {}
  void late(std::span<const onion::RouteHop>, bool, Now) override {}
  void gone(std::span<const onion::RouteHop>, Now) override {}
  void refused(std::span<const onion::RouteHop>, std::size_t, Now) override {}

  Place place;
  circuit::test::SeededRng rng{9};
  NodeId id;
  std::unique_ptr<Ends> home_ends;
  std::unique_ptr<Ports> ports;
  Above above;
  Card card;
  std::unique_ptr<Rogue> rogue;
  std::unique_ptr<Resident> resident;
};

/// It takes what it is built, and asks for more, in every moment. The other one loses its standbys
/// once; it has them again: each keeper has builds of its own.
TEST_F(HostileKeeper, KnocksDoNotStarveTheOther) {
  const auto builds = resident->stats().builds;
  const auto attack = [&] {
    rogue->break_standbys();
    for (int i = 0; i < 5; ++i) rogue->tell(rogue->control, wire::KnockFrame{255, 255});
    place.run();
  };
  for (int i = 0; i < 20; ++i) {
    attack();
    second();
  }
  for (const auto& info : place.node().circuits.list()) {
    if (place.service().has(info.id)) place.node().circuits.give_up(info.id, place.net.now());
    place.service().on_ended(info.id, place.net.now());
  }
  int back = 0;
  for (int i = 1; i <= 60 && back == 0; ++i) {
    attack();
    second();
    attack();
    if (idle_at_the_other() == kStandbysLeast) back = i;
  }
  EXPECT_GT(back, 0) << "the other keeper was never built to again";
  EXPECT_LE(back, 45);
  EXPECT_LE(resident->stats().builds - builds, 2 * (kBuildsBurst + 80 / kBuildEvery.count()));
}

/// A hail is opened with up to three keys. What is made up, or brought again and again, is declined
/// unseen beyond a rate; then a caller is heard again.
TEST_F(HostileKeeper, FewHailsAreOpened) {
  const CircuitId standby = rogue->standbys.at(0);
  Data garbage(kHailBytes);
  for (std::uint64_t i = 0; i < 2 * kHailsBurst; ++i) {
    rng.fill(garbage);
    rogue->tell(standby, offer(garbage));
    place.net.run();
  }
  rogue->tell(standby, offer(good_hail()));
  place.net.run();
  EXPECT_EQ(rogue->declined, 2 * kHailsBurst + 1);
  EXPECT_EQ(above.incoming.size(), 0u) << "of so many none was looked at";
  for (int i = 0; i < 2; ++i) second();
  rogue->tell(standby, offer(good_hail()));
  place.net.run();
  EXPECT_EQ(rogue->accepted, 1u);
  EXPECT_EQ(above.incoming.size(), 1u);
}

/// A PART that is never answered: the standby does not wait for ever, nor is it taken for one that
/// waits for callers.
TEST_F(HostileKeeper, APartWithoutAnswerEndsTheStandby) {
  const CircuitId standby = rogue->standbys.at(0);
  rogue->tell(standby, offer(good_hail()));
  place.net.run();
  ASSERT_EQ(above.incoming.size(), 1u);
  ports->close(above.incoming[0], place.net.now());
  place.run();
  for (int i = 0; i < 20; ++i) second();
  EXPECT_FALSE(rogue->ended.contains(standby));
  for (int i = 0; i < 10; ++i) second();
  EXPECT_TRUE(rogue->ended.contains(standby));
}

/// Letters wait in the receiver's memory: what it did not ask for ends the circuit.
TEST_F(HostileKeeper, LettersBeyondWhatWasAskedForEndTheCircuit) {
  const wire::InboxId inbox = place_of(rogue->node.id).inbox;
  const CircuitId control = rogue->control;
  std::uint64_t sent = 0;
  for (; sent < 200 && !rogue->ended.contains(control); ++sent) {
    rogue->send(inbox, sent + 1, letter(kHailBytes, static_cast<std::uint8_t>(sent)));
  }
  EXPECT_EQ(sent, wire::kLetterSizeMax / kHailBytes + 1);
  EXPECT_LE(above.incoming.size(), kLetterMessagesMax);
  // Nor is there more for one who registers the receiver again and again: what it has counts.
  for (int i = 0; i < 20; ++i) second();
  EXPECT_NE(rogue->control, control);
  EXPECT_LT(rogue->credit, kHailBytes);
}

/// What does not open is deleted. Keys are tried for so many in half a minute, and no more.
TEST_F(HostileKeeper, FewLettersAreOpened) {
  const wire::InboxId inbox = place_of(rogue->node.id).inbox;
  Data garbage(kHailBytes);
  for (std::uint64_t i = 1; i <= 400; ++i) {
    rng.fill(garbage);
    rogue->letters[i] = garbage;
  }
  const TimePoint before = place.net.now().mono;
  rogue->send_letters(inbox);
  const auto seconds = static_cast<std::uint64_t>((place.net.now().mono - before) / 1s) + 1;
  EXPECT_LE(resident->letters().bad,
            kHailsBurst + wire::kLetterSizeMax / kHailBytes + seconds * kHailsPerSecond);
  EXPECT_LE(resident->letters().bad + rogue->letters.size(), 400u);
  EXPECT_TRUE(above.incoming.empty());
  for (int i = 0; i < 120; ++i) {
    second();
    rogue->send_letters(inbox);
  }
  EXPECT_TRUE(rogue->letters.empty()) << rogue->letters.size();
}

/// Of one that leaves what the application does not take, however much: the letters of others come.
TEST_F(HostileKeeper, ALetterThatIsNotTakenStandsInNobodysWay) {
  const wire::InboxId inbox = place_of(rogue->node.id).inbox;
  for (std::uint64_t i = 1; i <= 6; ++i) rogue->letters[i] = letter(wire::kLetterSizeMax, 1);
  for (std::uint64_t i = 7; i <= 12; ++i) rogue->letters[i] = letter(kHailBytes, 2);
  const auto answer = [&] {
    rogue->send_letters(inbox);
    for (const CircuitId circuit : std::exchange(above.incoming, {})) {
      if (above.riders[circuit].back() == std::byte{1}) {
        ports->close(circuit, place.net.now());  // not now
      } else {
        say_taken(circuit);
      }
    }
    ports->on_time(place.net.now());
    turn();
  };
  for (int i = 0; i < 100; ++i) {
    answer();
    place.pass(1s);
  }
  EXPECT_EQ(rogue->letters.size(), 6u) << "those that are not taken stay, the others were";
  EXPECT_FALSE(rogue->ended.contains(rogue->control));
  // And they come again, as often as it takes.
  const auto before = resident->letters().not_taken;
  for (int i = 0; i < 100; ++i) {
    answer();
    place.pass(1s);
  }
  EXPECT_GE(resident->letters().not_taken, before + 6);
  EXPECT_LE(resident->letters().not_taken, before + 20);
}

/// The application has it, and its keeper brings it again: it has it once, and nothing is deleted.
TEST_F(HostileKeeper, ALetterInHandComesAgain) {
  const wire::InboxId inbox = place_of(rogue->node.id).inbox;
  rogue->letters[1] = letter(kHailBytes, 2);
  rogue->send_letters(inbox);
  ASSERT_EQ(above.incoming.size(), 1u);
  for (int i = 0; i < 5; ++i) {
    rogue->node.circuits.give_up(rogue->control, place.net.now());
    for (int k = 0; k < 20; ++k) second();
    for (int k = 0; k < 40; ++k) {
      second();
      rogue->send_letters(inbox);
    }
  }
  EXPECT_EQ(above.incoming.size(), 1u);
  ASSERT_EQ(rogue->letters.size(), 1u);
  say_taken(above.incoming[0]);
  ports->on_time(place.net.now());
  turn();
  EXPECT_TRUE(rogue->letters.empty());
}

/// A hail that its keeper may keep, and that was answered: what was taken of it is not handed out
/// again when the keeper brings it as a letter, as long after as it likes.
TEST_F(HostileKeeper, AHailThatWasTakenIsNoLetter) {
  const wire::InboxId inbox = place_of(rogue->node.id).inbox;
  const Data hail = letter(kHailBytes, 2), other = letter(kHailBytes, 3);
  rogue->tell(rogue->standbys.at(0), offer(hail));
  rogue->tell(rogue->standbys.at(1), offer(other));
  place.net.run();
  ASSERT_EQ(above.incoming.size(), 2u);
  say_taken(above.incoming[0]);
  for (int i = 0; i < 20; ++i) second();
  rogue->letters[1] = hail;
  rogue->letters[2] = other;
  rogue->send_letters(inbox);
  turn();
  EXPECT_EQ(above.incoming.size(), 3u) << "the one that was not taken";
  EXPECT_FALSE(rogue->letters.contains(1));
  EXPECT_TRUE(rogue->letters.contains(2));
}

/// Words that nobody asked for are no signal that passes unseen.
TEST_F(HostileKeeper, AnUnaskedPongEndsTheCircuit) {
  const CircuitId standby = rogue->standbys.at(0), other = rogue->standbys.at(1);
  rogue->tell(standby, wire::KeeperPong{1});
  place.run();
  EXPECT_TRUE(rogue->ended.contains(standby));
  EXPECT_FALSE(rogue->ended.contains(other));
}

}  // namespace
}  // namespace qudag::keeper::test
