// A keeper of one or two shards, and who speaks to it frame by frame, on real circuits over streams
// in memory (tests/circuit/net.h). Two shards are two nodes of that network with one Registry and
// a mailbox each, which the test can fill.
#pragma once

#include "circuit/net.h"
#include "keeper/ends.h"
#include "keeper/hail.h"
#include "keeper/say.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

namespace qudag::keeper::test {

using namespace std::chrono_literals;
using circuit::CircuitId;
using Data = std::vector<std::byte>;

/// A node that builds to keepers and notes what they say; what it answers is for the test.
class Peer final : public Owner {
 public:
  Peer(circuit::test::Net& network, circuit::test::Node& its)
      : net(network), node(its), ends(its.circuits, nullptr) {
    node.circuits.set_events(ends, circuit::EndKind::keeper);
  }

  /// Over `route`, with that frame in the rider; null frame: none.
  CircuitId build(std::span<const onion::RouteHop> route, const wire::KeeperFrame& frame,
                  Priority priority = Priority::normal) {
    Data rider(onion::kRiderBytes);
    write_rider(frame, rider);
    const auto circuit = ends.build(*this, route, priority, rider, net.now());
    EXPECT_TRUE(circuit);
    return *circuit;
  }
  void tell(CircuitId circuit, const wire::KeeperFrame& frame) {
    EXPECT_TRUE(say(node.circuits, circuit, priority_of(circuit), frame, net.now()));
  }
  /// A payload of a tunnel, as far as a keeper can see.
  void pass(CircuitId circuit, std::uint8_t mark) {
    memory::Block block = node.circuits.payload_block(priority_of(circuit));
    ASSERT_TRUE(block);
    std::ranges::fill(block.bytes(), std::byte{mark});
    block.bytes().front() = std::byte{0};
    node.circuits.send(circuit, std::move(block), net.now());
  }
  Priority priority_of(CircuitId circuit) const { return node.circuits.info(circuit)->priority; }

  /// The last frame of that type there; fails if there is none.
  template <class Frame>
  Frame last(CircuitId circuit) {
    for (auto at = said[circuit].rbegin(); at != said[circuit].rend(); ++at) {
      if (const auto* frame = std::get_if<Frame>(&*at)) return *frame;
    }
    ADD_FAILURE() << "not said";
    return {};
  }
  template <class Frame>
  std::size_t count(CircuitId circuit) {
    std::size_t out = 0;
    for (const auto& frame : said[circuit]) out += std::holds_alternative<Frame>(frame) ? 1 : 0;
    return out;
  }

  void on_built(CircuitId circuit, Duration, Now) override { built.insert(circuit); }
  std::size_t on_payload(CircuitId circuit, memory::Block payload, Now) override {
    const Bytes bytes = payload.bytes();
    if (bytes.front() == std::byte{0}) {
      marks[circuit].push_back(std::to_integer<std::uint8_t>(bytes[1]));
      in_order[circuit].push_back('p');
      return 1;
    }
    EXPECT_TRUE(streams[circuit].take(bytes.subspan(1), [&](wire::KeeperFrame frame) {
      keep(circuit, frame);
      return true;
    }));
    return 1;
  }
  void on_ended(CircuitId circuit, const Error& why, Now) override { ended[circuit] = why.code; }

  circuit::test::Net& net;
  circuit::test::Node& node;
  Ends ends;
  std::set<CircuitId> built;
  std::map<CircuitId, Errc> ended;
  std::map<CircuitId, wire::KeeperStream> streams;
  std::map<CircuitId, std::vector<wire::KeeperFrame>> said;
  std::map<CircuitId, std::vector<std::uint8_t>> marks;  // of payloads, in order
  std::map<CircuitId, std::string> in_order;             // p payload, P part

 private:
  /// Views point into the stream: copies of them are kept here.
  void keep(CircuitId circuit, wire::KeeperFrame& frame) {
    const auto copy = [&](Bytes& view) {
      copies_.emplace_back(view.begin(), view.end());
      view = copies_.back();
    };
    if (auto* offer = std::get_if<wire::OfferFrame>(&frame)) copy(offer->hail);
    if (auto* joined = std::get_if<wire::JoinedFrame>(&frame)) copy(joined->answer);
    if (auto* card = std::get_if<wire::CardFrame>(&frame)) copy(card->blob);
    if (auto* piece = std::get_if<wire::PieceFrame>(&frame)) copy(piece->bytes);
    if (std::holds_alternative<wire::PartFrame>(frame)) in_order[circuit].push_back('P');
    said[circuit].push_back(frame);
  }
  std::deque<Data> copies_;
};

/// The network: callers, a relay each way, a keeper of `shards`, a receiver.
class Place {
 public:
  /// `memory`: of the keeper's ends; null: no bound.
  explicit Place(unsigned shards = 1, KeeperBounds bounds = {}, memory::Budget* memory = nullptr,
                 std::shared_ptr<LetterRoom> room = nullptr)
      : letters(std::move(room)), memory_(memory) {
    net.add();  // the caller
    net.add();  // the relay
    net.add();  // the receiver
    for (unsigned i = 0; i < shards; ++i) {
      circuit::test::Node& node = net.add({.circuits = {.keeper = true}});
      if (i == 0) {
        keeper_id = node.id;
        registry = std::make_shared<Registry>(keeper_id, bounds, rng);
        if (letters) registry->attach(letters);
      }
      shard_.push_back(std::make_unique<Shard>(*this, node, i));
    }
    caller = std::make_unique<Peer>(net, net.node(0));
    receiver = std::make_unique<Peer>(net, net.node(2));
  }

  struct Shard {
    Shard(Place& place, circuit::test::Node& its, unsigned index)
        : service({.shard = index,
                   .registry = place.registry,
                   .circuits = its.circuits,
                   .rng = its.rng,
                   .ends_max = 200,
                   .memory = place.memory_,
                   .post =
                       [&place](unsigned to, std::function<void(Service&, Now)> task) {
                         if (place.mailbox_full) return false;
                         place.mail.emplace_back(to, std::move(task));
                         return true;
                       },
                   .letters = place.letters}),
          ends(its.circuits, &service),
          node(its) {
      node.circuits.set_events(ends, circuit::EndKind::keeper);
    }
    Service service;
    Ends ends;
    circuit::test::Node& node;
  };

  /// Runs until nothing is on its way, between shards neither.
  void run() {
    for (net.run(); !mail.empty() || owes(); net.run()) deliver();
  }
  bool owes() const {
    return std::ranges::any_of(
        shard_, [](const auto& one) { return one->service.next_deadline() == TimePoint::min(); });
  }
  void deliver() {
    for (auto& [to, task] : std::exchange(mail, {})) task(shard_[to]->service, net.now());
    for (auto& one : shard_) {
      if (one->service.next_deadline() <= net.now().mono) one->service.on_time(net.now());
    }
  }
  /// Time passes, and the services look at it.
  void pass(Duration time) {
    net.pass(time);
    deliver();
    run();
  }

  Service& service(unsigned index = 0) { return shard_[index]->service; }
  circuit::test::Node& node(unsigned index = 0) { return shard_[index]->node; }
  std::vector<onion::RouteHop> route(unsigned shard = 0) const {
    return {net_const().node_hop(1), shard_[shard]->node.hop()};
  }

  // What a receiver and a caller do, each up to where nothing more happens by itself.
  wire::OwnerSecret owner() const {
    wire::OwnerSecret out;
    out.fill(std::byte{7});
    return out;
  }
  wire::InboxId inbox() const { return inbox_id(keeper_id, owner()); }
  CircuitId register_inbox(unsigned shard = 0) {
    const CircuitId control =
        receiver->build(route(shard), wire::RegisterFrame{{wire::InboxEntry{.owner = owner()}}});
    run();
    binding = receiver->last<wire::RegisteredFrame>(control).binding;
    return control;
  }
  CircuitId standby(unsigned shard = 0, Priority priority = Priority::normal) {
    const CircuitId out = receiver->build(route(shard), wire::StandbyFrame{binding}, priority);
    run();
    return out;
  }
  wire::JoinFrame join_frame() const { return {.inbox = inbox(), .hail = hail}; }
  CircuitId join(unsigned shard = 0, Priority priority = Priority::normal) {
    const CircuitId out = caller->build(route(shard), join_frame(), priority);
    run();
    return out;
  }
  void accept(CircuitId standby) {
    receiver->tell(standby, wire::AcceptFrame{answer});
    run();
  }

  circuit::test::Net net;
  circuit::test::SeededRng rng{5};
  NodeId keeper_id;
  std::shared_ptr<LetterRoom> letters;  // null: none are kept
  std::shared_ptr<Registry> registry;
  bool mailbox_full = false;
  std::deque<std::pair<unsigned, std::function<void(Service&, Now)>>> mail;
  std::unique_ptr<Peer> caller, receiver;
  wire::Binding binding{};
  Data hail = Data(kHailBytes, std::byte{0x11});
  Data answer = Data(kAnswerBytes, std::byte{0x22});

 private:
  struct Hops {
    circuit::test::Net& net;
    onion::RouteHop node_hop(std::size_t i) const { return net.node(i).hop(); }
  };
  memory::Budget* const memory_;
  Hops net_const() const { return {const_cast<circuit::test::Net&>(net)}; }
  std::vector<std::unique_ptr<Shard>> shard_;
};

}  // namespace qudag::keeper::test
