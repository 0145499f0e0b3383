// When a node is joined: by what its shards say, and with real nodes.
#include "node/joining.h"

#include <qudag/node.h>

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

const netmap::ViewPtr kEmpty = std::make_shared<netmap::View>();

TEST(Joining, NeedsALinkAndTheRelaysAskedFor) {
  node::Joining joining;
  joining.begin(2, true);
  EXPECT_FALSE(joining.state(0).joined);
  EXPECT_NE(joining.state(0).reason.find("no bootstrap entry has answered"), std::string::npos);
  joining.update(0, {.links = 1, .relays = 3}, kEmpty);
  EXPECT_TRUE(joining.state(0).joined);
  EXPECT_TRUE(joining.state(0).reason.empty());
  // Shard 1 has no view yet, and a send may go there.
  EXPECT_FALSE(joining.state(3).joined);
  EXPECT_EQ(joining.state(3).relays, 0u);
  EXPECT_EQ(joining.state(3).reason, "3 relays are wanted, 0 known ones can be used together");
  joining.update(1, {.links = 0, .relays = 4}, kEmpty);
  const JoinState now = joining.state(3);
  EXPECT_TRUE(now.joined) << now.reason;
  EXPECT_EQ(now.links, 1u);
  EXPECT_EQ(now.relays, 3u);
  EXPECT_FALSE(joining.state(4).joined);
  EXPECT_FALSE(joining.state(kRelaysMax + 1).joined);
  EXPECT_FALSE(joining.knows(NodeId{}));
}

/// Whether there is news for a handler that took the changes up to `taken`.
bool news(node::Joining& joining, std::uint64_t& taken) {
  const auto change = joining.take_change(taken);
  return change && change->joined;
}

TEST(Joining, IsNewsOnceForEachTimeThatTheNodeJoins) {
  node::Joining joining;
  joining.begin(1, false);
  std::uint64_t taken = 0;
  EXPECT_FALSE(joining.take_change(taken));
  joining.update(0, {.links = 1, .relays = 3}, kEmpty);
  EXPECT_TRUE(news(joining, taken));
  EXPECT_FALSE(joining.take_change(taken));
  joining.update(0, {.links = 2, .relays = 5}, kEmpty);
  EXPECT_FALSE(joining.take_change(taken));
  std::uint64_t another = 0;  // handler
  EXPECT_TRUE(news(joining, another));
  joining.update(0, {.links = 0, .relays = 5}, kEmpty);
  const auto lost = joining.take_change(taken);
  ASSERT_TRUE(lost) << "for the log";
  EXPECT_FALSE(lost->joined);
  EXPECT_FALSE(news(joining, another));
  joining.update(0, {.links = 1, .relays = 5}, kEmpty);
  EXPECT_TRUE(news(joining, taken));
  joining.update(0, {.links = 0, .relays = 5}, kEmpty);
  joining.update(0, {.links = 1, .relays = 5}, kEmpty);
  EXPECT_TRUE(news(joining, taken)) << "it was away between two looks";
}

TEST(Joining, TheStopEndsEveryWait) {
  node::Joining joining;
  joining.begin(1, false);
  auto waits = std::async(std::launch::async, [&] { return joining.wait(3, 1h); });
  joining.close();
  EXPECT_EQ(waits.get().reason, "the node is stopping");
}

Options quiet(const Node* first = nullptr) {
  Options options;
  options.shards = 2;
  options.log_level = LogLevel::off;
  options.gossip_interval = 1s;
  if (first != nullptr) options.bootstrap = {{.id = first->id(), .at = first->address()}};
  return options;
}

double metric(const Node& node, std::string_view name) {
  for (const MetricSample& sample : node.metrics().get()) {
    if (sample.name == name) return sample.value;
  }
  return -1;
}

TEST(Join, ALoneNodeIsNotJoinedAndSaysWhy) {
  auto node = Node::start(quiet());
  ASSERT_TRUE(node) << node.error().message();
  const JoinState state = (*node)->wait_until_joined(0ms);
  EXPECT_FALSE(state.joined);
  EXPECT_EQ(state.reason, "no link is ready: there is no bootstrap entry, and nobody dialed");
  EXPECT_FALSE((*node)->wait_until_joined(1ms, 0).joined);
  const NodeStatus status = (*node)->status().get();
  EXPECT_FALSE(status.joined);
  EXPECT_EQ(status.not_joined, state.reason);
  EXPECT_EQ(metric(**node, "qudag_joined"), 0);
  (*node)->stop(0ms);
  EXPECT_EQ((*node)->wait_until_joined(1h).reason, "the node is stopping");
}

// Also the first node, which dials nobody. What is sent after the wait has a way at once.
TEST(Join, EveryNodeOfANetworkJoins) {
  std::vector<std::unique_ptr<Node>> nodes;
  std::promise<JoinState> told;
  std::atomic<int> times = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    auto node = Node::start(quiet(i > 0 ? nodes[0].get() : nullptr));
    ASSERT_TRUE(node) << node.error().message();
    nodes.push_back(std::move(*node));
    if (i == 0) {
      nodes[0]->on_joined([&](const JoinState& state) {
        if (++times == 1) told.set_value(state);
      });
    }
  }
  for (const auto& node : nodes) {
    const JoinState state = node->wait_until_joined(1min, 4);
    EXPECT_TRUE(state.joined) << state.reason;
    EXPECT_TRUE(node->status().get().joined);
    EXPECT_EQ(metric(*node, "qudag_joined"), 1);
  }
  EXPECT_TRUE(told.get_future().get().joined);
  EXPECT_EQ(nodes[0]->status().get().reachable, true) << "it dialed nobody, and others came";
  EXPECT_EQ(metric(*nodes[0], "qudag_reachable"), 1);
  NodeId nobody;
  nobody.bytes.fill(std::byte{9});
  EXPECT_FALSE(nodes[1]->is_known(nobody));
  EXPECT_FALSE(nodes[1]->wait_until_known(nobody, 1ms));
  EXPECT_TRUE(nodes[1]->wait_until_known(nodes[4]->id(), 0ms));
  EXPECT_TRUE(nodes[1]->is_known(nodes[4]->id()));  // four relays beside itself: all of them
  nodes[4]->on_message([&](Message&&) {
    EXPECT_FALSE(nodes[4]->wait_until_joined(1h, kRelaysMax).joined);  // in a callback: at once
    return Accept::taken;
  });
  const std::vector<std::byte> payload(10);
  const Delivery delivery = nodes[1]->send(nodes[4]->id(), payload).get();
  EXPECT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
  for (const auto& node : nodes) node->stop(0ms);
  EXPECT_EQ(times, 1);
}

TEST(Join, AHandlerThatComesLateIsToldToo) {
  auto first = Node::start(quiet());
  ASSERT_TRUE(first);
  std::vector<std::unique_ptr<Node>> others;
  for (int i = 0; i < 3; ++i) others.push_back(std::move(*Node::start(quiet(first->get()))));
  ASSERT_TRUE((*first)->wait_until_joined(1min).joined);
  std::promise<std::size_t> told;
  (*first)->on_joined([&](const JoinState& state) { told.set_value(state.relays); });
  EXPECT_GE(told.get_future().get(), 3u);
}

}  // namespace
}  // namespace qudag
