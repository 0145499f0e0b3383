// Strangers who say anything at any moment, in whole frames and in parts, and keepers that break
// every rule towards a receiver: nothing is left of them when they are gone, and nobody else is
// worse off.
#include "keeper/place.h"
#include "keeper/resident.h"

#include <algorithm>

namespace qudag::keeper::test {
namespace {

/// The next bytes of a stream of frames, as they are: not whole ones.
void tell_raw(Peer& peer, CircuitId circuit, Bytes bytes) {
  while (!bytes.empty() && !peer.ended.contains(circuit)) {
    memory::Block block = peer.node.circuits.payload_block(peer.priority_of(circuit));
    ASSERT_TRUE(block);
    const MutableBytes payload = block.bytes();
    const std::size_t n = std::min(bytes.size(), payload.size() - 1);
    payload.front() = std::byte{1};
    std::ranges::copy(bytes.first(n), payload.begin() + 1);
    std::ranges::fill(payload.subspan(1 + n), std::byte{0});
    bytes = bytes.subspan(n);
    peer.node.circuits.send(circuit, std::move(block), peer.net.now());
  }
}

/// All that a source can say, and moments that it cannot choose, in an order drawn from a seed;
/// over two shards whose mailboxes are full now and then. In the end all circuits end.
class Storm {
 public:
  explicit Storm(std::uint64_t seed) : rng_(seed) { place_.register_inbox(0); }

  void step() {
    switch (rng_.below(14)) {
      case 0:
        return add(false, place_.caller->build(place_.route(shard()), place_.join_frame()));
      case 1:
        return add(true, place_.receiver->build(place_.route(shard()),
                                                wire::StandbyFrame{place_.binding}));
      case 2:
        place_.mailbox_full = rng_.below(3) == 0;
        return;
      case 3:
        return place_.deliver();
      case 4:
        if (rng_.below(8) != 0) return;
        place_.mailbox_full = false;  // else it never comes to rest
        return place_.pass(11s);
      case 5:
        return place_.net.run();
      default:
        return say_something();
    }
  }
  void end_all() {
    place_.mailbox_full = false;
    place_.run();
    for (Peer* const peer : {place_.caller.get(), place_.receiver.get()}) {
      for (const auto& info : peer->node.circuits.list()) {
        peer->ends.close(info.id, place_.net.now());
      }
    }
    place_.run();
    for (unsigned shard = 0; shard < 2; ++shard) {
      EXPECT_EQ(place_.service(shard).stats().ends, 0u) << shard;
      EXPECT_EQ(place_.node(shard).pool.stats().in_use[0], 0u) << shard;
      joined += place_.service(shard).stats().joined;
      passed += place_.service(shard).stats().payloads_passed;
    }
    const RegistryStats left = place_.registry->stats();
    EXPECT_EQ(left.controls, 0u);
    EXPECT_EQ(left.standbys_idle, 0u);
    EXPECT_EQ(left.splices, 0u);
    EXPECT_EQ(left.joins_waiting, 0u);
  }
  std::uint64_t joined = 0, passed = 0;

 private:
  struct One {
    bool receiver;
    CircuitId circuit;
  };
  unsigned shard() { return static_cast<unsigned>(rng_.below(2)); }
  void add(bool receiver, CircuitId circuit) {
    ones_.push_back({receiver, circuit});
    if (rng_.below(2) == 0) place_.net.run();
  }

  /// Mostly what is allowed where it is: else nothing would live for long.
  void say_something() {
    if (ones_.empty()) return;
    const std::size_t at = rng_.below(ones_.size());
    const One one = ones_[at];
    Peer& peer = one.receiver ? *place_.receiver : *place_.caller;
    if (peer.ended.contains(one.circuit) || !peer.node.circuits.info(one.circuit)) {
      ones_.erase(ones_.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    }
    if (rng_.below(40) == 0) return peer.ends.close(one.circuit, place_.net.now());
    if (!peer.built.contains(one.circuit)) return;
    if (rng_.below(30) == 0) {
      const Data junk(1 + rng_.below(900), static_cast<std::byte>(1 + rng_.below(13)));
      return tell_raw(peer, one.circuit, junk);
    }
    if (rng_.below(8) == 0) return say_anything(peer, one);
    const auto& said = peer.said[one.circuit];
    const bool news = std::exchange(heard_[one.circuit], said.size()) != said.size();
    if (said.empty()) return;
    const bool talks = talking_.contains(one.circuit);
    if (std::holds_alternative<wire::JoinedFrame>(said.back()) ||
        (std::holds_alternative<wire::OfferFrame>(said.back()) && talks)) {
      if (rng_.below(4) != 0) return peer.pass(one.circuit, 7);
      if (!leaving_.insert(one.circuit).second) return;
      return peer.tell(one.circuit, wire::PartFrame{});
    }
    if (news) answer(peer, one, said.back());
  }

  /// As a caller and a receiver do.
  void answer(Peer& peer, const One& one, const wire::KeeperFrame& last) {
    const bool part = std::holds_alternative<wire::PartFrame>(last);
    const bool left = part && leaving_.erase(one.circuit) > 0;
    if (std::holds_alternative<wire::OfferFrame>(last)) {
      if (rng_.below(5) == 0) return peer.tell(one.circuit, wire::DeclineFrame{});
      talking_.insert(one.circuit);
      return peer.tell(one.circuit, wire::AcceptFrame{place_.answer});
    }
    if (part && !left) peer.tell(one.circuit, wire::PartFrame{});
    if (one.receiver && part) {
      talking_.erase(one.circuit);
      peer.tell(one.circuit, wire::StandbyFrame{place_.binding});
    }
    const bool again = part || std::holds_alternative<wire::NoFrame>(last);
    if (!one.receiver && again) peer.tell(one.circuit, place_.join_frame());
  }
  void say_anything(Peer& peer, const One& one) {
    switch (rng_.below(5)) {
      case 0:
        return peer.tell(one.circuit, wire::PartFrame{});
      case 1:
        return peer.tell(one.circuit, wire::KeeperPing{1});
      case 2:
        return peer.pass(one.circuit, 7);
      case 3:
        return peer.tell(one.circuit, wire::AcceptFrame{place_.answer});
      default:
        return peer.tell(one.circuit, place_.join_frame());
    }
  }

  Place place_{2, {.joins_per_second = 100'000, .joins_burst = 100'000}};
  circuit::test::SeededRng rng_;
  std::vector<One> ones_;
  std::map<CircuitId, std::size_t> heard_;
  std::set<CircuitId> talking_, leaving_;
};

TEST(KeeperStorm, LeavesNothingBehind) {
  std::uint64_t joined = 0, passed = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Storm storm(seed);
    for (int i = 0; i < 300; ++i) storm.step();
    storm.end_all();
    joined += storm.joined;
    passed += storm.passed;
  }
  EXPECT_GT(joined, 5u);
  EXPECT_GT(passed, 5u);
}

/// A part of a frame is memory of the keeper: it counts, and it does not stay.
TEST(KeeperStorm, PartsOfFramesCountAndGo) {
  memory::Budget budget("ends", 256 * 1024);
  Place place(1, {.joins_per_second = 1'000, .joins_burst = 1'000}, &budget);
  Data join;
  wire::append(join, place.join_frame());
  std::vector<CircuitId> callers;
  for (int i = 0; i < 100; ++i) callers.push_back(place.join());  // NO: no such inbox
  EXPECT_TRUE(place.caller->ended.empty());
  const auto whole = budget.used();
  EXPECT_LE(whole, 3 * 64u * 1024);
  for (const CircuitId caller : callers) {
    tell_raw(*place.caller, caller, Bytes(join).first(4'635));  // five payloads
    place.run();
  }
  EXPECT_GT(place.caller->ended.size(), 40u) << "there is no memory for all of them";
  EXPECT_LT(place.caller->ended.size(), 80u);
  EXPECT_LE(budget.used(), budget.bytes_max());
  place.pass(11s);
  EXPECT_EQ(place.caller->ended.size(), 100u) << "the rest did not come in time";
  EXPECT_EQ(place.service().stats().ends, 0u);
}

/// A standby may wait for hours, but not with half a word said.
TEST(KeeperStorm, AStandbyThatBeganAFrameEnds) {
  Place place;
  place.register_inbox();
  const CircuitId standby = place.standby(), other = place.standby();
  Data ping;
  wire::append(ping, wire::KeeperPing{1});
  Data accept;
  wire::append(accept, wire::AcceptFrame{place.answer});
  ping.insert(ping.end(), accept.begin(), accept.end());
  tell_raw(*place.receiver, standby, Bytes(ping).first(927));
  place.run();
  place.pass(9s);
  EXPECT_FALSE(place.receiver->ended.contains(standby));
  place.pass(2s);
  EXPECT_TRUE(place.receiver->ended.contains(standby));
  EXPECT_FALSE(place.receiver->ended.contains(other));
}

}  // namespace
}  // namespace qudag::keeper::test
