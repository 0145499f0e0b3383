// However many circuits there are between two nodes, they share a link for each pair of shards.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <thread>

namespace qudag {
namespace {

TEST(Reuse, AThousandCircuitsUseALinkForEachPairOfShardsAtMost) {
  constexpr unsigned kShards = 2;
  constexpr std::uint64_t kCircuits = 1'000;
  Options options;
  options.shards = kShards;
  options.log_level = LogLevel::off;
  options.limits.builds_per_link = options.limits.builds_per_second = 100'000;
  auto destination = Node::start(options);
  ASSERT_TRUE(destination.has_value()) << destination.error().message();
  (*destination)->on_message([](Message&&) { return Accept::taken; });
  options.bootstrap = {{.id = (*destination)->id(), .at = (*destination)->address()}};
  auto source = Node::start(options);
  ASSERT_TRUE(source.has_value()) << source.error().message();
  // Each status call runs on the shards, so this polls the condition, not the clock.
  while ((*source)->status().get().nodes_known < 2) std::this_thread::yield();

  const std::vector<std::byte> payload(100);
  std::vector<std::future<Delivery>> sent;
  for (std::uint64_t i = 1; i <= kCircuits; ++i) {
    sent.push_back((*source)->send((*destination)->id(), payload, {.relays = 0, .isolation = i}));
    if (i % 50 == 0) sent.back().wait();
  }
  for (auto& one : sent) EXPECT_EQ(one.get().outcome, Outcome::delivered);
  const NodeStatus status = (*source)->status().get();
  EXPECT_GE(status.circuits, kCircuits);
  EXPECT_LE(status.links, kShards * kShards);
  RecordProperty("links", static_cast<int>(status.links));
}

}  // namespace
}  // namespace qudag
