// What waits for one client: messages to this node, and replies, each in places of their own.
#include "api/server/subscriber_queue.h"

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace qudag::api {
namespace {

Message one(bool is_reply) {
  Message message;
  if (is_reply) message.in_reply_to.emplace();
  return message;
}

TEST(SubscriberQueue, RepliesFillNoPlaceOfMessages) {
  boost::asio::io_context io;
  config::ApiOptions options;
  options.queue_messages = 2;
  const auto queue = std::make_shared<SubscriberQueue>(options);
  queue->open(io.get_executor(), [] {});
  const auto push = [&](bool is_reply) {
    Message message = one(is_reply);
    return queue->push_message(message);
  };
  // Who was asked floods who asked: others find the room that they would find without it.
  EXPECT_EQ(push(true), Accept::taken);
  EXPECT_EQ(push(true), Accept::taken);
  EXPECT_EQ(push(true), Accept::queue_full);
  EXPECT_EQ(push(false), Accept::taken);
  EXPECT_EQ(push(false), Accept::taken);
  EXPECT_EQ(push(false), Accept::queue_full);

  QueueStatus row;
  queue->add_to(row);
  EXPECT_EQ(row.items, 4u);
  EXPECT_EQ(row.items_max, 4u);
  HeldMessage read;
  read.add(one(true));
  queue->written(read);
  EXPECT_EQ(push(false), Accept::queue_full);
  EXPECT_EQ(push(true), Accept::taken);
  queue->close();
}

TEST(Subscribers, EachChannelHasItsOwn) {
  boost::asio::io_context io;
  Subscribers subscribers;
  std::vector<std::pair<ChannelNumber, bool>> told;
  subscribers.on_channel(
      [&](ChannelNumber channel, bool wanted) { told.emplace_back(channel, wanted); });
  std::vector<std::shared_ptr<SubscriberQueue>> queues;
  for (int i = 0; i < 3; ++i) {
    queues.push_back(std::make_shared<SubscriberQueue>(config::ApiOptions{}));
    queues.back()->open(io.get_executor(), [] {});
  }
  const auto offer = [&](ChannelNumber channel) {
    Message message;
    message.channel = channel;
    return subscribers.offer(message);
  };
  const auto count = [&](std::size_t i) {
    QueueStatus row;
    queues[i]->add_to(row);
    return row.items;
  };
  EXPECT_EQ(offer(0), Accept::no_receiver);
  subscribers.add(queues[0]);
  subscribers.add(queues[1], 7);
  subscribers.add(queues[2], 7);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(offer(7), Accept::taken);
  EXPECT_EQ(offer(0), Accept::taken);
  EXPECT_EQ(offer(8), Accept::no_receiver);
  EXPECT_EQ(count(0), 1u);
  EXPECT_EQ(count(1), 2u);
  EXPECT_EQ(count(2), 2u);
  subscribers.add(queues[1], 8);  // it leaves the other
  subscribers.remove(queues[2].get());
  EXPECT_EQ(offer(7), Accept::no_receiver);
  EXPECT_EQ(offer(8), Accept::taken);
  const std::vector<std::pair<ChannelNumber, bool>> wanted{
      {0, true}, {7, true}, {8, true}, {7, false}};
  EXPECT_EQ(told, wanted);
  for (const auto& queue : queues) queue->close();
}

}  // namespace
}  // namespace qudag::api
