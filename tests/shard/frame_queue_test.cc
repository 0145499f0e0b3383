// Gossip frames that wait: a link that floods stands in its own way, and in nobody else's.
#include "shard/gossip/frame_queue.h"

#include <gtest/gtest.h>

namespace qudag::shard {
namespace {

constexpr NodeLink node_link(std::uint32_t number) {
  return {.shard = 0, .link = {.slot = number, .generation = 1}};
}

bool put(FrameQueue& queue, std::uint32_t number) {
  const NodeLink link = node_link(number);
  if (!queue.make_place(link)) return false;
  queue.push(link, {.type = 0x10, .body = {std::byte{1}}});
  return true;
}

TEST(FrameQueue, ALinkHasItsShareAndWhoComesLaterHasAPlace) {
  FrameQueue queue;
  for (std::uint32_t link = 1; link <= 4; ++link) {
    std::size_t taken = 0;
    for (int i = 0; i < 2'000; ++i) taken += put(queue, link);
    EXPECT_EQ(taken, FrameQueue::kPerLink);
  }
  EXPECT_EQ(queue.size(), FrameQueue::kMax);
  for (std::uint32_t link = 10; link < 60; ++link) EXPECT_TRUE(put(queue, link)) << link;
  EXPECT_EQ(queue.size(), FrameQueue::kMax);
  EXPECT_EQ(queue.gave_way(), 50u);
  std::size_t honest = 0;
  for (int turn = 0; turn < 54; ++turn) honest += queue.pop()->key >= node_link(10);
  EXPECT_EQ(honest, 50u) << "links take turns: nobody waits for a flood";
}

TEST(FrameQueue, LinksTakeTurnsAndEachKeepsItsOrder) {
  FrameQueue queue;
  for (const std::uint32_t link : {7, 7, 7, 3, 3}) put(queue, link);
  std::vector<std::uint32_t> order;
  while (const auto frame = queue.pop()) order.push_back(frame->key.link.slot);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{3, 7, 3, 7, 7}));
  EXPECT_TRUE(queue.empty());
}

TEST(FrameQueue, FullOfEqualSharesRefusesTheOneThatAsks) {
  FrameQueue queue;
  for (std::uint32_t link = 1; link <= FrameQueue::kMax; ++link) EXPECT_TRUE(put(queue, link));
  EXPECT_FALSE(put(queue, 1));
  EXPECT_FALSE(put(queue, 99'999)) << "everybody has one: there is nobody to take it from";
  queue.forget(node_link(5));
  EXPECT_TRUE(put(queue, 99'999));
}

}  // namespace
}  // namespace qudag::shard
