// A receiver between a keeper that does its duty and one that does what it likes: it hails, knocks,
// breaks and keeps silent at will. The receiver works for it no more than its bounds say, and is
// still called at the other one.
#include "keeper/place.h"
#include "keeper/resident.h"

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
    tell(circuit, wire::RegisteredFrame{.standbys = 16, .inboxes = {wire::InboxStatus{}}});
    return 1;
  }
  std::size_t on_payload(CircuitId circuit, memory::Block payload, Now) override {
    static_cast<void>(streams[circuit].take(payload.bytes().subspan(1), [&](const auto& frame) {
      accepted += std::holds_alternative<wire::AcceptFrame>(frame) ? 1 : 0;
      declined += std::holds_alternative<wire::DeclineFrame>(frame) ? 1 : 0;
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
};

/// Messages of the receiver: they only count what comes.
struct Above final : circuit::CircuitEvents {
  void on_built(CircuitId, Duration, Now) override {}
  void on_incoming(CircuitId circuit, Priority, Now) override { incoming.push_back(circuit); }
  std::size_t on_rider(CircuitId, Bytes, Now) override { return 1; }
  std::size_t on_payload(CircuitId, memory::Block, Now) override { return 1; }
  void on_sendable(CircuitId, Now) override {}
  void on_ended(CircuitId, const Error&, Now) override {}
  std::vector<CircuitId> incoming;
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

  // Ways
  Result<std::vector<onion::RouteHop>> to_keeper(const NodeId& keeper, bool, Now) override {
    if (keeper == place.keeper_id) return place.route();
    return std::vector{place.net.node(1).hop(), rogue->node.hop()};
  }
  std::optional<NodeId> draw_keeper(std::span<const NodeId>, Now) override { return std::nullopt; }
  void built(std::span<const onion::RouteHop>, bool, std::size_t, Duration, Now) override {}

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
/// once; it has them again, from the same bucket.
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
  EXPECT_LE(resident->stats().builds - builds, kBuildsBurst + 80 / 5);
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
