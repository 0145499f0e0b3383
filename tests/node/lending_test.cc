// What shards of a real node lend each other: one of two is busy, and has more than four fifths of
// what the node may have.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace qudag {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kCircuits = 40, kMessages = 100;

/// A node of two shards with small limits, and a large one of one shard.
class Lending : public ::testing::Test {
 protected:
  void SetUp() override {
    large_ = start(1, {});
    small_ = start(2, {{large_->id(), large_->address()}});
    for (const auto* node : {&large_, &small_}) {
      while ((*node)->status().get().nodes_known < 2) std::this_thread::yield();
    }
  }
  void TearDown() override {
    open_.count_down();
    small_->stop(0ms);
    large_->stop(0ms);
  }
  static std::unique_ptr<Node> start(unsigned shards, const std::vector<PeerAddress>& bootstrap) {
    Options options;
    options.shards = shards;
    options.log_level = LogLevel::off;
    options.gossip_interval = 1s;
    options.bootstrap = bootstrap;
    if (shards == 2) {
      options.limits.circuits = kCircuits;
      options.limits.queue_high = kMessages;
    }
    auto node = Node::start(options);
    EXPECT_TRUE(node.has_value()) << node.error().message();
    return std::move(*node);
  }

  const std::vector<std::byte> payload_ = std::vector<std::byte>(100);
  std::latch open_{1};
  std::unique_ptr<Node> large_, small_;
};

/// They all come over one link, which is one shard's.
TEST_F(Lending, CircuitsOfOneBusyShard) {
  constexpr std::size_t kNearlyAll = 35;
  small_->on_message([](Message&&) { return Accept::taken; });
  std::atomic<std::size_t> ended{0}, delivered{0};
  for (std::uint64_t i = 1; i <= kNearlyAll; ++i) {
    ASSERT_TRUE(large_->send(small_->id(), payload_, {.relays = 0, .isolation = i},
                             [&](const Delivery& delivery) {
                               if (delivery.outcome == Outcome::delivered) ++delivered;
                               ++ended;
                             }));
  }
  while (ended < kNearlyAll) std::this_thread::yield();
  EXPECT_EQ(delivered, kNearlyAll);
  std::array<std::size_t, 2> held{};
  for (const CircuitStatus& circuit : small_->circuits().get()) ++held[circuit.shard];
  EXPECT_GT(std::max(held[0], held[1]), kCircuits * 8 / 10);
  EXPECT_LE(held[0] + held[1], kCircuits);
}

/// They are of one flow, which is one shard's, and nobody takes them.
TEST_F(Lending, MessagesOfOneBusyShard) {
  large_->on_message([this](Message&&) {
    open_.wait();
    return Accept::taken;
  });
  std::size_t entered = 0;
  const SendOptions how{.priority = Priority::high, .relays = 0};
  while (entered < 2 * kMessages &&
         small_->send(large_->id(), payload_, how, [](const Delivery&) {}).has_value()) {
    ++entered;
  }
  EXPECT_GT(entered, kMessages * 8 / 10);
  EXPECT_LE(entered, kMessages);
}

}  // namespace
}  // namespace qudag
