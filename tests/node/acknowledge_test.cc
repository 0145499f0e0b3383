// Handlers that take a message in hand and acknowledge it later.
#include <qudag/node.h>

#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

namespace qudag {
namespace {

using namespace std::chrono_literals;

/// A source and a destination whose handler keeps what comes.
struct Pair {
  explicit Pair(unsigned shards = 1) {
    Options options;
    options.shards = shards;
    options.log_level = LogLevel::off;
    options.gossip_interval = 1s;
    destination = Node::start(options).value();
    options.bootstrap = {{destination->id(), destination->address()}};
    source = Node::start(options).value();
    EXPECT_TRUE(source->wait_until_known(destination->id(), 20s));
    destination->on_message([this](Message&& message) {
      came.set_value(std::move(message));
      return Accept::later;
    });
  }
  std::future<Delivery> send(std::chrono::milliseconds ttl = 60s) {
    return source->send(destination->id(), std::as_bytes(std::span("work")),
                        {.ttl = ttl, .relays = 0});
  }
  Message message() {
    Message got = came.get_future().get();
    came = {};
    return got;
  }
  std::unique_ptr<Node> destination, source;
  std::promise<Message> came;
};

TEST(Acknowledge, DeliveredIsSaidWhenTheApplicationSaysSo) {
  Pair pair;
  auto outcome = pair.send();
  const Message message = pair.message();
  EXPECT_EQ(message.payload.size(), 5u);
  EXPECT_EQ(outcome.wait_for(50ms), std::future_status::timeout);
  std::thread([&] { EXPECT_TRUE(pair.destination->acknowledge(message.receipt)); }).join();
  EXPECT_EQ(outcome.get().outcome, Outcome::delivered);
}

TEST(Acknowledge, ARefusalIsTheSendersOutcome) {
  Pair pair;
  auto outcome = pair.send();
  EXPECT_TRUE(pair.destination->acknowledge(pair.message().receipt, Accept::queue_full));
  const Delivery end = outcome.get();
  EXPECT_EQ(end.outcome, Outcome::refused);
}

TEST(Acknowledge, OverTimeItIsExpired) {
  Pair pair;
  auto outcome = pair.send(100ms);
  const Message message = pair.message();
  EXPECT_EQ(outcome.get().outcome, Outcome::expired);
  EXPECT_TRUE(pair.destination->acknowledge(message.receipt)) << "late: it does nothing";
}

TEST(Acknowledge, WhatIsNoReceiptOrNoAnswerIsRefused) {
  Pair pair;
  EXPECT_EQ(pair.destination->acknowledge(Receipt{}).error(), Errc::invalid_argument);
  auto outcome = pair.send();
  const Message message = pair.message();
  EXPECT_EQ(pair.destination->acknowledge(message.receipt, Accept::later).error(),
            Errc::invalid_argument);
  EXPECT_TRUE(pair.destination->acknowledge(message.receipt));
  EXPECT_TRUE(pair.destination->acknowledge(message.receipt, Accept::no_receiver)) << "the second";
  EXPECT_EQ(outcome.get().outcome, Outcome::delivered);
}

TEST(Acknowledge, InAHandlerOnAnyShardAndAfterAReply) {
  Pair pair(2);
  Node& destination = *pair.destination;
  destination.on_message([&](Message&& message) {
    EXPECT_TRUE(destination.acknowledge(message.receipt));  // it runs when the handler is over
    EXPECT_TRUE(destination.reply(*message.reply_to, std::as_bytes(std::span("done")), {}, {}));
    return Accept::later;
  });
  for (std::uint64_t tag = 1; tag <= 8; ++tag) {
    auto answer = pair.source->request(destination.id(), std::as_bytes(std::span("work")),
                                       {.relays = 0, .isolation = tag});
    EXPECT_TRUE(answer.get().has_value());
  }
}

TEST(Acknowledge, ANodeStopsWithMessagesInHand) {
  Pair pair;
  auto outcome = pair.send();
  const Message message = pair.message();
  pair.destination->stop(0ms);
  EXPECT_EQ(pair.destination->acknowledge(message.receipt).error(), Errc::shutting_down);
  pair.source->stop(0ms);
  EXPECT_NE(outcome.get().outcome, Outcome::delivered);
}

}  // namespace
}  // namespace qudag
