// What waits for one client: messages to this node, and replies, each in places of their own.
#include "api/server/subscriber_queue.h"

#include "support/allocation_count.h"

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
  const auto queue = std::make_shared<SubscriberQueue>(options, ClientKind::stream);
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

/// A shard's thread pushes, and the API's takes when it is woken: messages, outcomes, progress and
/// answers, with the wake-ups, as many as a client may have.
TEST(SubscriberQueue, OwnsItsPlacesFromTheBeginning) {
  boost::asio::io_context io;
  const config::ApiOptions options;
  const auto queue = std::make_shared<SubscriberQueue>(options, ClientKind::stream);
  std::size_t woken = 0, taken = 0;
  OutItems items = queue->batch();
  const auto take_all = [&] {
    ++woken;
    while (queue->take(items)) {
      taken += items.size();
      HeldMessage read;
      for (const OutItem& item : items) {
        if (const auto* message = std::get_if<WaitingMessage>(&item)) read.add(message->message);
        if (const auto* slot = std::get_if<std::shared_ptr<ProgressSlot>>(&item)) {
          (*slot)->queued.store(false);
        }
      }
      queue->written(read);
    }
  };
  queue->open(io.get_executor(), take_all);
  const auto slot = std::make_shared<ProgressSlot>(1);
  const auto push = [&](bool is_reply) {
    Message message;
    if (is_reply) message.in_reply_to.emplace();
    EXPECT_EQ(queue->push_message(message), Accept::taken);
  };
  io.poll();  // what asio sets up once
  io.restart();
  const std::uint64_t before = test::allocations();
  const auto push_all = [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
      push(false);
      push(true);
      queue->push_outcome(i, {});
      queue->push_progress(slot, i, times);
    }
  };
  for (int round = 0; round < 1'000; ++round) {
    push_all(20);
    io.poll();
    io.restart();
  }
  push_all(options.queue_messages);  // a client that reads nothing
  io.poll();
  EXPECT_EQ(test::allocations(), before);
  EXPECT_EQ(woken, 1'001u);
  EXPECT_EQ(taken, 1'000 * (3 * 20 + 1) + 3 * options.queue_messages + 1);
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
    queues.push_back(std::make_shared<SubscriberQueue>(config::ApiOptions{}, ClientKind::messages));
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
