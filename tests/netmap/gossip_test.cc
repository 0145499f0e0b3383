// Thirty netmaps over an in-memory net: they all learn all, from any seed, and twice the same way.
#include "netmap/netmap.h"

#include "netmap/fixture.h"

#include <deque>
#include <set>
#include <string>
#include <tuple>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

constexpr std::size_t kNodes = 30;

/// Frames between nodes take one step; a link's key is the number of the node at its other end.
class Net {
 public:
  explicit Net(std::uint64_t seed) : rng_(seed) {
    for (std::size_t i = 0; i < kNodes; ++i) {
      nodes_.push_back(std::make_unique<Node>(*this, i, seed));
    }
  }

  void connect(std::size_t a, std::size_t b) {
    if (a == b || !links_.insert({std::min(a, b), std::max(a, b)}).second) return;
    nodes_[a]->netmap.on_link_ready(node_link(b), now_);
    nodes_[b]->netmap.on_link_ready(node_link(a), now_);
  }

  /// A chain, so that all are connected, and as many random links again.
  void connect_randomly() {
    for (std::size_t i = 1; i < kNodes; ++i) connect(i, rng_.below(i));
    for (std::size_t i = 0; i < kNodes; ++i) connect(rng_.below(kNodes), rng_.below(kNodes));
  }

  /// Ten milliseconds: what is due runs, then what was sent arrives (or is lost).
  void step() {
    now_ = at(now_.mono.time_since_epoch() + 10ms);
    for (auto& node : nodes_) {
      if (node->netmap.next_deadline() <= now_.mono) node->netmap.on_time(now_);
    }
    for (auto& [from, frame] : std::exchange(in_flight_, {})) {
      if (loss_percent > 0 && rng_.below(100) < loss_percent) continue;
      trace_ += std::to_string(from) + ">" + std::to_string(number_of(frame.link)) + ":" +
                std::to_string(frame.type) + " ";
      ASSERT_TRUE(nodes_[number_of(frame.link)]->netmap.on_frame(node_link(from), frame.type,
                                                                 frame.body, now_));
    }
  }
  void run(std::chrono::seconds time) {
    for (auto left = time / 10ms; left > 0; --left) step();
  }

  std::size_t complete() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        nodes_, [](const auto& node) { return node->netmap.stats().held == kNodes; }));
  }

  Netmap& operator[](std::size_t i) { return nodes_[i]->netmap; }
  Now now() const { return now_; }
  const std::string& trace() const { return trace_; }
  /// Descriptors that went over the same link in the same direction before.
  std::size_t sent_again() const { return sent_again_; }

  unsigned loss_percent = 0;

 private:
  static std::size_t number_of(NodeLink link) { return link.link.slot; }

  struct Node final : GossipSink {
    Node(Net& n, std::size_t i, std::uint64_t seed)
        : net(n),
          index(i),
          rng(seed * 1000 + i),
          netmap({.self = identity_of(i).id()}, rng, *this) {}
    bool send(NodeLink link, std::uint8_t type, Bytes body) override {
      net.in_flight_.push_back({index, {link, type, {body.begin(), body.end()}}});
      if (type == kDescriptor &&
          !net.sent_.insert({index, link, {body.begin(), body.end()}}).second) {
        ++net.sent_again_;
      }
      return true;
    }
    Net& net;
    std::size_t index;
    SeededRng rng;
    Netmap netmap;
  };

  SeededRng rng_;
  Now now_ = at(1s);
  std::deque<std::pair<std::uint64_t, Frame>> in_flight_;
  std::set<std::pair<std::size_t, std::size_t>> links_;
  std::string trace_;
  std::set<std::tuple<std::size_t, NodeLink, std::vector<std::byte>>> sent_;
  std::size_t sent_again_ = 0;
  std::vector<std::unique_ptr<Node>> nodes_;
};

const std::vector<std::vector<std::byte>>& raws() {
  static const auto kRaws = [] {
    std::vector<std::vector<std::byte>> out;
    for (std::size_t i = 0; i < kNodes; ++i) out.push_back(raw_of(i));
    return out;
  }();
  return kRaws;
}

void add_own(Net& net) {
  for (std::size_t i = 0; i < kNodes; ++i) ASSERT_TRUE(net[i].add(raws()[i], net.now()));
}

class GossipNet : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(GossipNet, AllLearnAll) {
  Net net(GetParam());
  add_own(net);
  net.connect_randomly();
  net.run(5s);
  EXPECT_EQ(net.complete(), kNodes);
  EXPECT_EQ(net.sent_again(), 0u) << "each goes over a link once";
}

TEST_P(GossipNet, ALateDescriptorReachesAllWithoutADigest) {
  Net net(GetParam());
  for (std::size_t i = 0; i + 1 < kNodes; ++i) ASSERT_TRUE(net[i].add(raws()[i], net.now()));
  net.connect_randomly();
  net.run(3s);
  ASSERT_TRUE(net[kNodes - 1].add(raws()[kNodes - 1], net.now()));
  net.run(1s);
  EXPECT_EQ(net.complete(), kNodes);
}

TEST_P(GossipNet, LossIsMadeUpForByLaterDigests) {
  Net net(GetParam());
  net.loss_percent = 50;
  add_own(net);
  net.connect_randomly();
  net.run(2s);
  EXPECT_LT(net.complete(), kNodes) << "or this tests nothing";
  net.run(300s);
  net.loss_percent = 0;
  net.run(80s);
  EXPECT_EQ(net.complete(), kNodes);
}

INSTANTIATE_TEST_SUITE_P(Seeds, GossipNet, ::testing::Values(1, 2, 3));

TEST(GossipNetOnce, TwoPartsThatMeetLearnEachOther) {
  Net net(4);
  add_own(net);
  for (std::size_t i = 1; i < kNodes; ++i) {
    if (i != kNodes / 2) net.connect(i, i - 1);  // two chains
  }
  net.run(5s);
  EXPECT_EQ(net.complete(), 0u);
  EXPECT_EQ(net[0].stats().held, kNodes / 2);
  net.connect(0, kNodes - 1);
  net.run(5s);
  EXPECT_EQ(net.complete(), kNodes);
}

TEST(GossipNetOnce, TheSameSeedGivesTheSameFramesInTheSameOrder) {
  const auto trace_of = [](std::uint64_t seed) {
    Net net(seed);
    add_own(net);
    net.connect_randomly();
    net.run(2s);
    return net.trace();
  };
  const std::string first = trace_of(5);
  EXPECT_EQ(first, trace_of(5));
  EXPECT_NE(first, trace_of(6));
}

TEST(GossipNetOnce, ARenewedDescriptorReplacesTheOldOneEverywhere) {
  Net net(7);
  add_own(net);
  net.connect_randomly();
  net.run(5s);
  Descriptor newer = descriptor_of(3);
  newer.published += 5;
  const auto raw = signed_by(identity_of(3), newer);
  ASSERT_TRUE(net[3].add(raw, net.now()));
  net.run(1s);
  for (std::size_t i = 0; i < kNodes; ++i) {
    EXPECT_EQ(net[i].view()->find(identity_of(3).id())->raw, raw) << i;
  }
}

}  // namespace
}  // namespace qudag::netmap
