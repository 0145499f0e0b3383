// A node has one list of guards, however many shards it has.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

TEST(Guards, TheShardsOfANodeShareThem) {
  constexpr std::size_t kNodes = 8;
  std::vector<std::unique_ptr<Node>> nodes;
  for (std::size_t i = 0; i < kNodes; ++i) {
    Options options;
    options.shards = i == 1 ? 4 : 1;
    options.log_level = LogLevel::off;
    options.gossip_interval = 1s;
    if (i > 0) options.bootstrap = {{.id = nodes[0]->id(), .at = nodes[0]->address()}};
    auto node = Node::start(options);
    ASSERT_TRUE(node.has_value()) << node.error().message();
    nodes.push_back(std::move(*node));
  }
  for (auto& node : nodes) {
    while (node->status().get().nodes_known < kNodes) std::this_thread::yield();
    node->on_message([](Message&&) { return Accept::taken; });
  }
  Node& source = *nodes[1];
  std::vector<std::future<Delivery>> sent;
  const std::vector<std::byte> payload(100);
  for (std::uint64_t i = 0; i < 40; ++i) {  // a circuit each; flows are spread over the shards
    sent.push_back(source.send(nodes[7]->id(), payload, {.relays = 2, .isolation = i}));
  }
  for (auto& one : sent) EXPECT_EQ(one.get().outcome, Outcome::delivered);

  std::set<NodeId> first;
  std::set<unsigned> shards;
  std::size_t circuits = 0;
  for (const CircuitStatus& circuit : source.circuits().get()) {
    if (circuit.role != CircuitRole::source || !circuit.next) continue;
    ++circuits;
    first.insert(*circuit.next);
    shards.insert(circuit.shard);
  }
  EXPECT_GT(shards.size(), 1u);
  // On a machine that is too busy builds fail, and a guard that fails is passed over: then there
  // are more circuits than flows, and the list holds at most as many again.
  EXPECT_LE(first.size(), circuits == 40 ? Options{}.guards : 2 * Options{}.guards);
}

}  // namespace
}  // namespace qudag
