// Backpressure to the sending application, through the public interface.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>
#include <vector>

namespace qudag {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRoom = 8;

std::unique_ptr<Node> start(const std::vector<PeerAddress>& bootstrap) {
  Options options;
  options.shards = 1;
  options.log_level = LogLevel::off;
  options.gossip_interval = 1s;
  options.bootstrap = bootstrap;
  options.limits.queue_normal = kRoom;
  auto node = Node::start(options);
  EXPECT_TRUE(node.has_value());
  return std::move(*node);
}

/// A source, a destination that takes messages when it is let, and somebody else.
struct Three {
  Three() {
    nodes.push_back(start({}));
    for (int i = 1; i < 3; ++i) nodes.push_back(start({{nodes[0]->id(), nodes[0]->address()}}));
    for (const auto& node : nodes) {
      while (node->status().get().nodes_known < nodes.size()) std::this_thread::yield();
    }
    destination().on_message([this](Message&&) {
      open.wait();
      ++taken;
      return Accept::taken;
    });
  }
  ~Three() {
    for (const auto& node : nodes) node->stop(0ms);
  }
  Node& source() { return *nodes[0]; }
  Node& destination() { return *nodes[1]; }
  Node& other() { return *nodes[2]; }
  Result<MessageId> send(const SendOptions& options, Completion done = {}) {
    return source().send(destination().id(), std::span(payload), options, std::move(done));
  }
  Result<MessageId> send_wait(std::chrono::milliseconds room_max, Completion done = {}) {
    return source().send_wait(destination().id(), std::span(payload), {.relays = 0}, room_max,
                              std::move(done));
  }
  double pauses() {
    double sum = 0;
    for (const MetricSample& sample : source().metrics().get()) {
      if (sample.name == "qudag_send_pauses_total") sum += sample.value;
    }
    return sum;
  }

  const std::vector<std::byte> payload = std::vector<std::byte>(100);
  std::latch open{1};
  std::atomic<std::size_t> taken{0};
  std::vector<std::unique_ptr<Node>> nodes;
};

TEST(Room, ASendThatIsRefusedHearsWhenToGoOn) {
  Three net;
  std::promise<Priority> room;
  net.source().on_room([&](Priority priority) { room.set_value(priority); });
  for (std::size_t i = 0; i < kRoom; ++i) ASSERT_TRUE(net.send({.relays = 0}));
  const auto refused = net.send({.relays = 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Errc::refused_queue_full);
  auto told = room.get_future();
  EXPECT_EQ(told.wait_for(0s), std::future_status::timeout);
  EXPECT_EQ(net.pauses(), 1);
  net.open.count_down();
  EXPECT_EQ(told.get(), Priority::normal);
  net.source().on_room({});
  EXPECT_TRUE(net.send({.relays = 0}));
}

TEST(Room, SendersWhoWaitGetEverythingThrough) {
  constexpr std::size_t kEach = 300;
  Three net;
  net.open.count_down();
  std::atomic<std::size_t> delivered{0};
  std::latch ended(2 * kEach);
  std::vector<std::thread> senders;
  for (int i = 0; i < 2; ++i) {
    senders.emplace_back([&] {
      for (std::size_t n = 0; n < kEach; ++n) {
        const auto sent = net.send_wait(1min, [&](const Delivery& delivery) {
          delivered += delivery.outcome == Outcome::delivered;
          ended.count_down();
        });
        EXPECT_TRUE(sent) << sent.error().message();
        if (!sent) ended.count_down();
      }
    });
  }
  for (std::thread& sender : senders) sender.join();
  ended.wait();
  EXPECT_EQ(delivered.load(), 2 * kEach);
  EXPECT_EQ(net.taken.load(), 2 * kEach);
}

TEST(Room, WhoWaitsIsToldWhenItsTimeIsOver) {
  Three net;
  for (std::size_t i = 0; i < kRoom; ++i) ASSERT_TRUE(net.send({.relays = 0}));
  const auto late = net.send_wait(20ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), Errc::timed_out);
  net.open.count_down();
}

TEST(Room, WhoWaitsIsToldThatTheNodeStops) {
  Three net;
  for (std::size_t i = 0; i < kRoom; ++i) ASSERT_TRUE(net.send({.relays = 0}));
  std::thread waiting([&] {
    const auto sent = net.send_wait(1min);
    EXPECT_FALSE(sent);
    EXPECT_EQ(sent.error(), Errc::shutting_down);
  });
  while (net.pauses() < 1) std::this_thread::yield();
  net.source().stop(0ms);
  waiting.join();
  net.open.count_down();
}

TEST(Room, ACallbackNeverWaits) {
  Three net;
  for (std::size_t i = 0; i < kRoom; ++i) ASSERT_TRUE(net.send({.relays = 0}));
  std::promise<Errc> said;
  net.source().on_message([&](Message&&) {
    const auto sent = net.send_wait(1min);
    said.set_value(sent ? Errc::ok : sent.error().code);
    return Accept::taken;
  });
  ASSERT_TRUE(net.other().send(net.source().id(), std::span(net.payload), {.relays = 0}, {}));
  EXPECT_EQ(said.get_future().get(), Errc::refused_queue_full);
  net.open.count_down();
}

}  // namespace
}  // namespace qudag
