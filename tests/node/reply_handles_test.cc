// What an application sees of where a reply goes: nothing, and nothing that it could make up.
#include "shard/reply_address.h"

#include <qudag/node.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

TEST(ReplyHandles, ShowNothing) {
  // Neighbours in every field: a byte that they have in common at one place is chance.
  std::array<std::set<std::byte>, sizeof(ReplyTo::Handle)> seen;
  constexpr std::uint32_t kMany = 1'000;
  for (std::uint32_t ref = 0; ref < kMany; ++ref) {
    const ReplyTo to = shard::ReplyAddress{.circuit = 77, .ref = ref, .shard = 1}.pack();
    const ReplyTo::Handle handle = to.handle();
    for (std::size_t i = 0; i < handle.size(); ++i) seen[i].insert(handle[i]);
    const auto back = shard::ReplyAddress::unpack(ReplyTo(handle));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->circuit, 77u);
    EXPECT_EQ(back->ref, ref);
    EXPECT_EQ(back->shard, 1u);
  }
  for (const auto& values : seen) EXPECT_GT(values.size(), 200u);  // of 256; 251 are expected
}

TEST(ReplyHandles, AreNotMadeUp) {
  EXPECT_FALSE(shard::ReplyAddress::unpack(ReplyTo()));
  ReplyTo::Handle handle = shard::ReplyAddress{.circuit = 1, .ref = 2, .shard = 0}.pack().handle();
  unsigned taken = 0;
  for (unsigned bit = 0; bit < 128; ++bit) {
    ReplyTo::Handle other = handle;
    other[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto address = shard::ReplyAddress::unpack(ReplyTo(other));
    if (address && (address->circuit == 1 || address->ref == 2)) ++taken;
  }
  EXPECT_EQ(taken, 0u) << "a handle turned into another of the same circuit";
}

TEST(ReplyHandles, ComeBackAsTheyWent) {
  std::vector<std::unique_ptr<Node>> nodes;
  for (std::size_t i = 0; i < 2; ++i) {
    Options options;
    options.shards = 1;
    options.log_level = LogLevel::off;
    options.gossip_interval = 1s;
    if (i > 0) options.bootstrap = {{.id = nodes[0]->id(), .at = nodes[0]->address()}};
    auto node = Node::start(options);
    ASSERT_TRUE(node.has_value()) << node.error().message();
    nodes.push_back(std::move(*node));
  }
  for (auto& node : nodes) {
    while (node->status().get().nodes_known < 2) std::this_thread::yield();
  }
  std::mutex mutex;
  std::condition_variable came;
  std::vector<MessageId> replied;
  nodes[0]->on_message([&](Message&& message) {
    const ReplyTo::Handle kept = message.reply_to->handle();
    EXPECT_TRUE(
        nodes[0]->reply(ReplyTo(kept), message.payload.to_vector(), {.ttl = 10s}, {}).has_value());
    return Accept::taken;
  });
  nodes[1]->on_message([&](Message&& message) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(message.in_reply_to.has_value());
    replied.push_back(message.in_reply_to.value_or(MessageId{}));
    came.notify_all();
    return Accept::taken;
  });
  const std::vector<std::byte> payload(100);
  std::vector<MessageId> sent;
  for (int i = 0; i < 3; ++i) {
    sent.push_back(nodes[1]->send(nodes[0]->id(), payload, {.relays = 0}).get().id);
  }
  std::unique_lock lock(mutex);
  came.wait(lock, [&] { return replied.size() == sent.size(); });
  std::ranges::sort(sent);
  std::ranges::sort(replied);
  EXPECT_EQ(sent, replied);
  EXPECT_EQ(nodes[0]->reply(ReplyTo(ReplyTo::Handle{}), payload, {.ttl = 1s}, {}).error(),
            Errc::invalid_argument);
}

}  // namespace
}  // namespace qudag
