// The calls of Node: ids, cancelling, requests, callbacks that throw or stop, keys and logs of the
// embedder's own.
#include "node/key_file.h"

#include <qudag/node.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <iterator>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace qudag {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr SendOptions kDirect{.ttl = 30s, .relays = 0};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string text_of(const Message& message) {
  const auto bytes = message.payload.to_vector();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Options quiet() {
  Options options;
  options.shards = 1;
  options.log_level = LogLevel::off;
  options.gossip_interval = 1s;
  return options;
}

/// Two nodes with a link between them, that know each other.
class Calls : public ::testing::Test {
 protected:
  void SetUp() override { start(quiet()); }
  void start(Options options) {
    b_.reset();
    a_.reset();
    auto a = Node::start(options);
    ASSERT_TRUE(a) << a.error().message();
    a_ = std::move(*a);
    options.bootstrap = {{.id = a_->id(), .at = a_->address()}};
    auto b = Node::start(options);
    ASSERT_TRUE(b) << b.error().message();
    b_ = std::move(*b);
    for (const auto& [one, other] : {std::pair{a_.get(), b_.get()}, {b_.get(), a_.get()}}) {
      ASSERT_TRUE(one->wait_until_joined(1min, 0).joined);
      ASSERT_TRUE(one->wait_until_known(other->id(), 1min));
    }
  }

  std::unique_ptr<Node> a_;
  std::unique_ptr<Node> b_;
};

TEST(MessageIds, AreTextAndBack) {
  MessageId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::byte>(i * 17);
  EXPECT_EQ(id.to_string(), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(MessageId::parse("00112233445566778899AABBccddeeff"), id);
  EXPECT_EQ(MessageId::parse("00112233445566778899aabbccddeef").error(), Errc::malformed);
  EXPECT_EQ(MessageId::parse("0011223344556677889gaabbccddeeff").error(), Errc::malformed);
}

TEST_F(Calls, OneIdNamesAMessageEverywhere) {
  std::promise<MessageId> came;
  b_->on_message([&](Message&& message) {
    came.set_value(message.id);
    return Accept::taken;
  });
  std::promise<Delivery> ended;
  std::atomic<int> progress = 0;
  std::promise<MessageId> progressed;
  // Callbacks may own what cannot be copied.
  auto owned = std::make_unique<int>(7);
  const auto sent = a_->send(
      b_->id(), std::vector<std::byte>(8 << 20), kDirect,
      [&, owned = std::move(owned)](const Delivery& delivery) {
        EXPECT_EQ(*owned, 7);
        ended.set_value(delivery);
      },
      [&](const SendProgress& now) {
        EXPECT_EQ(now.bytes_all, 8u << 20);
        if (++progress == 1) progressed.set_value(now.id);
      });
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_NE(*sent, MessageId{});
  EXPECT_EQ(progressed.get_future().get(), *sent);
  const Delivery delivery = ended.get_future().get();
  EXPECT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
  EXPECT_EQ(delivery.id, *sent);
  EXPECT_EQ(came.get_future().get(), *sent);
}

TEST_F(Calls, ACancelledMessageFailsAndTheOthersGoOn) {
  std::latch open{1};
  std::promise<void> first_came;
  std::atomic<int> taken = 0;
  b_->on_message([&](Message&&) {
    if (++taken == 1) first_came.set_value();
    open.wait();  // b's shard answers nothing meanwhile
    return Accept::taken;
  });
  auto first = a_->send(b_->id(), bytes_of("first"), kDirect);
  first_came.get_future().get();
  std::promise<Delivery> ended;
  const auto second = a_->send(b_->id(), bytes_of("second"), kDirect,
                               [&](const Delivery& delivery) { ended.set_value(delivery); });
  ASSERT_TRUE(second);
  EXPECT_TRUE(a_->cancel(*second));
  EXPECT_TRUE(a_->cancel(*second));      // nothing the second time
  EXPECT_TRUE(a_->cancel(MessageId{}));  // nor of one that never was
  const Delivery delivery = ended.get_future().get();
  EXPECT_EQ(delivery.outcome, Outcome::failed);
  EXPECT_EQ(delivery.reason, Errc::cancelled);
  EXPECT_EQ(delivery.id, *second);
  open.count_down();
  EXPECT_EQ(first.get().outcome, Outcome::delivered);
  a_->stop(0ms);
  EXPECT_EQ(a_->cancel(*second).error(), Errc::shutting_down);
}

TEST_F(Calls, ARequestHasOneAnswer) {
  std::vector<std::future<Delivery>> replies;
  b_->on_message([&](Message&& message) {
    replies.push_back(b_->reply(*message.reply_to, bytes_of("first"), kDirect));
    replies.push_back(b_->reply(*message.reply_to, bytes_of("second"), kDirect));
    return Accept::taken;
  });
  std::promise<std::string> beside;
  a_->on_message([&](Message&& message) {
    beside.set_value(text_of(message));
    return Accept::taken;
  });
  const auto answer = a_->request(b_->id(), bytes_of("?"), kDirect, 30s).get();
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(text_of(*answer), "first");
  EXPECT_EQ(beside.get_future().get(), "second");
  EXPECT_EQ(replies[0].get().outcome, Outcome::delivered);
  EXPECT_EQ(replies[1].get().outcome, Outcome::delivered);
}

TEST_F(Calls, ARequestSaysWhyThereIsNoAnswer) {
  EXPECT_EQ(a_->request(b_->id(), bytes_of("?"), kDirect, 30s).get().error(),
            Errc::refused_by_peer);  // nobody listens there
  b_->on_message([](Message&&) { return Accept::taken; });
  EXPECT_EQ(a_->request(b_->id(), bytes_of("?"), kDirect, 50ms).get().error(), Errc::timed_out);
  NodeId nobody;
  nobody.bytes.fill(std::byte{7});
  EXPECT_EQ(a_->request(nobody, bytes_of("?"), kDirect, 30s).get().error(),
            Errc::unknown_destination);
  EXPECT_EQ(a_->request(b_->id(), bytes_of("?"), kDirect, 0ms).get().error(),
            Errc::invalid_argument);
  EXPECT_EQ(a_->request(b_->id(), bytes_of("?"), {.relays = 6}, 1s).get().error(),
            Errc::invalid_argument);
  auto waits = a_->request(b_->id(), bytes_of("?"), kDirect, 1h);
  a_->stop(0ms);
  EXPECT_EQ(waits.get().error(), Errc::shutting_down);
  EXPECT_EQ(a_->request(b_->id(), bytes_of("?"), kDirect, 1h).get().error(), Errc::shutting_down);
}

/// Whole, in fragments, and signed: the channel decides who gets it, and who gets its reply.
TEST_F(Calls, AChannelHasAHandlerOfItsOwnAtBothEnds) {
  std::mutex mutex;
  std::vector<std::string> seen;
  const auto listen = [&](Node& node, ChannelNumber channel, std::string name, bool replies) {
    node.on_message(channel, [&, channel, name, replies](Message&& message) {
      {
        const std::lock_guard lock(mutex);
        seen.push_back(name);
      }
      EXPECT_EQ(message.channel, channel);
      if (!replies) return Accept::taken;
      EXPECT_TRUE(node.reply(*message.reply_to, bytes_of("r"), kDirect, {}));
      return Accept::taken;
    });
  };
  const auto wait_for = [&](std::vector<std::string> names) {
    for (;;) {
      const std::lock_guard lock(mutex);
      if (seen.size() < names.size()) continue;
      std::ranges::sort(seen);
      EXPECT_EQ(seen, names);
      seen.clear();
      return;
    }
  };
  listen(*b_, 0, "b0", true);
  listen(*b_, 7, "b7", true);
  listen(*a_, 0, "a0", false);
  listen(*a_, 7, "a7", false);
  for (const std::size_t bytes : {std::size_t{10}, std::size_t{100'000}}) {
    for (const bool sign : {false, true}) {
      const std::vector<std::byte> payload(bytes);
      SendOptions options = kDirect;
      options.sign = sign;
      EXPECT_EQ(a_->send(b_->id(), payload, options).get().outcome, Outcome::delivered);
      wait_for({"a0", "b0"});
      options.channel = 7;
      EXPECT_EQ(a_->send(b_->id(), payload, options).get().outcome, Outcome::delivered);
      wait_for({"a7", "b7"});
      options.channel = 8;
      const Delivery refused = a_->send(b_->id(), payload, options).get();
      EXPECT_EQ(refused.outcome, Outcome::refused);
      EXPECT_EQ(refused.reason, Errc::refused_by_peer);
      EXPECT_EQ(refused.reason.detail, "no receiver on that channel");
    }
  }
  b_->on_message(7, {});
  EXPECT_EQ(a_->send(b_->id(), bytes_of("x"), {.relays = 0, .channel = 7}).get().outcome,
            Outcome::refused);
}

TEST_F(Calls, ARefusedReplySaysWhy) {
  EXPECT_EQ(a_->reply(ReplyTo(), bytes_of("x"), kDirect).get().reason, Errc::invalid_argument);
  std::promise<Delivery> ended;
  b_->on_message([&](Message&& message) {
    EXPECT_EQ(b_->reply(*message.reply_to, bytes_of("x"), {.sign = true}).get().reason,
              Errc::invalid_argument);
    return Accept::taken;
  });
  EXPECT_EQ(a_->send(b_->id(), bytes_of("x"), kDirect).get().outcome, Outcome::delivered);
}

/// Lines of the log, kept.
struct Lines {
  std::mutex mutex;
  std::vector<std::string> all;
  std::size_t with(std::string_view text) {
    const std::lock_guard lock(mutex);
    return static_cast<std::size_t>(std::ranges::count_if(
        all, [text](const std::string& line) { return line.find(text) != std::string::npos; }));
  }
};

TEST_F(Calls, ACallbackThatThrowsIsSaidOnceAndTheNodeGoesOn) {
  const auto lines = std::make_shared<Lines>();
  Options options = quiet();
  options.log_level = LogLevel::info;
  options.log_sink = [lines](LogLevel level, std::string_view line) {
    EXPECT_NE(level, LogLevel::off);
    const std::lock_guard lock(lines->mutex);
    lines->all.emplace_back(line);
  };
  start(options);
  EXPECT_EQ(lines->with("listens on"), 2u);

  b_->on_message([](Message&&) -> Accept { throw std::runtime_error("the secret word"); });
  for (int i = 0; i < 3; ++i) {
    const Delivery refused = a_->send(b_->id(), bytes_of("x"), kDirect).get();
    EXPECT_EQ(refused.outcome, Outcome::refused);
    EXPECT_EQ(refused.reason, Errc::refused_by_peer);
  }
  EXPECT_EQ(lines->with("a callback (message) of the program has thrown"), 1u);
  EXPECT_EQ(lines->with("secret word"), 0u);

  b_->on_message([](Message&&) { return Accept::taken; });
  std::promise<void> ended;
  ASSERT_TRUE(a_->send(b_->id(), bytes_of("x"), kDirect, [&](const Delivery&) {
    ended.set_value();
    throw 1;
  }));
  ended.get_future().get();
  EXPECT_EQ(a_->send(b_->id(), bytes_of("x"), kDirect).get().outcome, Outcome::delivered);
  EXPECT_EQ(lines->with("a callback (completion) of the program has thrown"), 1u);
}

TEST_F(Calls, StopInACallbackBeginsTheStop) {
  std::promise<void> stopped;
  b_->on_message([&](Message&&) {
    b_->stop(0ms);
    EXPECT_EQ(b_->send(a_->id(), bytes_of("x"), kDirect, {}).error(), Errc::shutting_down);
    stopped.set_value();
    return Accept::taken;
  });
  auto sent = a_->send(b_->id(), bytes_of("x"), kDirect);
  stopped.get_future().get();
  // Both outside calls wait for the end, and no callback runs after it.
  std::thread other([&] { b_->stop(); });
  b_->stop();
  other.join();
  EXPECT_TRUE(b_->status().get().stopping);
  a_->stop(0ms);
  static_cast<void>(sent.get());  // delivered, or not: its answer was under way
}

TEST(Identity, MayComeFromMemory) {
  const std::string path = ::testing::TempDir() + "qudag-identity-from-memory";
  std::remove(path.c_str());
  const auto made = crypto::Identity::generate();
  ASSERT_TRUE(made);
  ASSERT_TRUE(node::save_identity(path, *made));
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Options options = quiet();
  options.identity_key.assign(bytes_of(text).begin(), bytes_of(text).end());
  {
    const auto node = Node::start(options);
    ASSERT_TRUE(node) << node.error().message();
    EXPECT_EQ((*node)->id(), made->id());
  }
  options.identity = path;
  EXPECT_EQ(Node::start(options).error(), Errc::config_invalid);
  options.identity.clear();
  options.identity_key.pop_back();
  EXPECT_EQ(Node::start(options).error(), Errc::malformed);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace qudag
