// A receiver and a caller of it, each with its Ports, over a keeper.
#pragma once

#include "keeper/place.h"
#include "keeper/resident.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

namespace qudag::keeper::test {

/// What stands above tunnels: notes it.
struct Above final : circuit::CircuitEvents {
  void on_built(CircuitId circuit, Duration, Now) override { built.push_back(circuit); }
  void on_incoming(CircuitId circuit, Priority, Now) override { incoming.push_back(circuit); }
  std::size_t on_rider(CircuitId, Bytes rider, Now) override {
    riders.emplace_back(rider.begin(), rider.end());
    return 1;
  }
  std::size_t on_payload(CircuitId circuit, memory::Block payload, Now) override {
    payloads[circuit].emplace_back(payload.bytes().begin(), payload.bytes().end());
    return 1;
  }
  void on_sendable(CircuitId, Now) override {}
  void on_ended(CircuitId circuit, const Error& why, Now) override {
    ended.emplace_back(circuit, why.code);
  }
  std::vector<CircuitId> built, incoming;
  std::vector<Data> riders;
  std::map<CircuitId, std::vector<Data>> payloads;
  std::vector<std::pair<CircuitId, Errc>> ended;
};

class Residents : public ::testing::Test, private Ways {
 protected:
  explicit Residents(bool signs = false) {
    if (signs) {
      identity = std::make_shared<const crypto::Identity>(*crypto::Identity::generate());
      id = identity->id();
    } else {
      id.bytes.fill(std::byte{0x52});
    }
    circuit::test::Node& home = place.net.add();
    home_ends = std::make_unique<Ends>(home.circuits, nullptr);
    home.circuits.set_events(*home_ends, circuit::EndKind::keeper);
    home_ports =
        std::make_unique<Ports>(*home_ends, std::make_shared<Cards>(), crypto::Cipher::aes_256_gcm);
    home_ports->attach(home_above);
    circuit::test::Node& away = place.net.add();
    away_ends = std::make_unique<Ends>(away.circuits, nullptr);
    away.circuits.set_events(*away_ends, circuit::EndKind::keeper);
    away_ports = std::make_unique<Ports>(*away_ends, cards, crypto::Cipher::aes_256_gcm);
    away_ports->attach(away_above);
    open();
    EXPECT_TRUE(card);
    if (!card) return;
    EXPECT_TRUE(cards->add(*card));
  }
  ~Residents() override { resident->close(place.net.now()); }

  /// With what the last one kept, if it signs.
  void open() {
    Resident::Setup setup{.id = id,
                          .keepers = 1,
                          .at = drawn ? std::vector<NodeId>() : std::vector{place.keeper_id},
                          .on_card = [this](const Card& told) { card = told; },
                          .identity = identity};
    if (identity) {
      if (!file.empty()) setup.kept = std::move(*KeptReceiver::parse(file));
      setup.save = [this](Data body, std::function<void(bool, Now)> done) {
        if (disk_busy) return false;
        ++saves;
        if (!disk_full) file = std::move(body);
        done(!disk_full, place.net.now());
        return true;
      };
    }
    auto made = Resident::make(
        std::move(setup), {.ends = *home_ends, .ports = *home_ports, .ways = *this, .rng = rng},
        place.net.now());
    EXPECT_TRUE(made);
    resident = std::move(*made);
    run();
  }

  void run() {
    for (int i = 0; i < 3; ++i) {
      resident->on_time(place.net.now());
      place.run();
    }
  }
  void pass(Duration time) {
    for (Duration gone{}; gone < time; gone += 1s) {
      place.pass(1s);
      resident->on_time(place.net.now());
      place.run();
    }
  }

  std::vector<onion::RouteHop> way_to_receiver() {
    auto route = place.route();
    route.push_back({id, cards->find(id)->key});
    return route;
  }
  CircuitId call(std::uint8_t mark) {
    const Data rider(kHailFramesBytes, std::byte{mark});
    const auto tunnel =
        away_ports->build(way_to_receiver(), Priority::normal, place.net.now(), rider);
    EXPECT_TRUE(tunnel);
    place.run();
    return tunnel.value_or(CircuitId{});
  }
  void send(Ports& from, CircuitId tunnel, std::uint8_t mark) {
    memory::Block block = from.payload_block_of(tunnel, Priority::normal);
    ASSERT_EQ(block.size(), from.payload_bytes(tunnel, Priority::normal));
    std::ranges::fill(block.bytes(), std::byte{mark});
    from.send(tunnel, std::move(block), place.net.now());
    place.run();
  }
  /// A JOIN of that card, by somebody who speaks frame by frame.
  wire::JoinFrame join_with(Bytes hail) const {
    return {.inbox = card->places[0].inbox, .hail = hail};
  }

  // Ways
  Result<std::vector<onion::RouteHop>> to_keeper(const NodeId&, bool, Now) override {
    return place.route();
  }
  std::optional<NodeId> draw_keeper(std::span<const NodeId> others, Now) override {
    if (!drawn || std::ranges::count(others, place.keeper_id) > 0) return std::nullopt;
    return place.keeper_id;
  }
  void built(std::span<const onion::RouteHop>, bool, std::size_t, Duration, Now) override {}
  void late(std::span<const onion::RouteHop>, bool, Now) override {}
  void gone(std::span<const onion::RouteHop>, Now) override {}
  void refused(std::span<const onion::RouteHop>, std::size_t, Now) override {}

  Place place;
  circuit::test::SeededRng rng{9};
  NodeId id;
  std::unique_ptr<Ends> home_ends, away_ends;
  std::unique_ptr<Ports> home_ports, away_ports;
  std::shared_ptr<Cards> cards = std::make_shared<Cards>();
  Above home_above, away_above;
  std::optional<Card> card;
  std::shared_ptr<const crypto::Identity> identity;  // null: cards are not signed
  bool drawn = false;
  Data file;  // what is kept
  std::size_t saves = 0;
  bool disk_busy = false, disk_full = false;
  std::unique_ptr<Resident> resident;
};

}  // namespace qudag::keeper::test
