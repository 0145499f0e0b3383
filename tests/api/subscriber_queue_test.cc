// What waits for one client: messages to this node, and replies, each in places of their own.
#include "api/server/subscriber_queue.h"

#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace qudag::api
