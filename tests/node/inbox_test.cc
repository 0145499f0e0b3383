// The node's inbox: what comes while no program is there is kept, and handed out in its order.
#include "node/inbox/inbox.h"

#include <qudag/node.h>

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

/// A source, and a destination with an inbox that can be started again.
class InboxTest : public ::testing::Test {
 protected:
  InboxTest() {
    std::string name = (std::filesystem::temp_directory_path() / "qudag-inbox-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    settings.shards = 1;
    settings.log_level = LogLevel::off;
    settings.gossip_interval = 1s;
    settings.inbox = {.dir = directory / "inbox", .accept = true};
    Options own = settings;
    own.inbox = {};
    source = Node::start(own).value();
    settings.bootstrap = {{source->id(), source->address()}};
  }
  ~InboxTest() override {
    stop();
    source->stop(0ms);
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  void start() {
    auto started = Node::start(settings);
    ASSERT_TRUE(started) << started.error().message();
    destination = std::move(*started);
    ASSERT_TRUE(source->wait_until_known(destination->id(), 20s));
  }
  void stop() {
    if (destination) destination->stop(1s);
    destination.reset();
  }
  std::future<Delivery> send(std::uint32_t number, ChannelNumber channel = 0, bool sign = false) {
    std::vector<std::byte> payload(sizeof number + number % 5'000);
    store_be(payload.data(), number);
    return source->send(destination->id(), payload,
                        {.relays = 0, .sign = sign, .channel = channel});
  }
  void keep(std::uint32_t first, std::uint32_t last, ChannelNumber channel = 0) {
    std::vector<std::future<Delivery>> outcomes;
    for (std::uint32_t i = first; i < last; ++i) outcomes.push_back(send(i, channel));
    for (auto& outcome : outcomes) EXPECT_EQ(outcome.get().outcome, Outcome::delivered);
  }
  InboxStatus inbox() { return destination->status().get().inbox.value(); }

  static std::uint32_t number_of(const Message& message) {
    const auto all = message.payload.to_vector();
    EXPECT_GE(all.size(), sizeof(std::uint32_t));
    const auto number = load_be<std::uint32_t>(all.data());
    EXPECT_EQ(all.size(), sizeof number + number % 5'000);
    return number;
  }

  std::filesystem::path directory;
  Options settings;
  std::unique_ptr<Node> source, destination;
};

/// A program that takes messages, or takes them in hand.
class Program {
 public:
  Program(Node& node, Accept answer, ChannelNumber channel = 0) : node_(node), channel_(channel) {
    node.on_message(channel, [this, answer](Message&& message) {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
      changed_.notify_all();
      return answer;
    });
  }
  ~Program() { leave(); }
  void leave() {
    if (!std::exchange(left_, true)) node_.on_message(channel_, {});
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return messages_.size();
  }
  Message& wait_for(std::size_t index) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 20s, [&] { return messages_.size() > index; }));
    return messages_.at(index);
  }

 private:
  Node& node_;
  ChannelNumber channel_;
  bool left_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> messages_;
};

TEST_F(InboxTest, KeepsWhatComesForNobodyAndHandsItOutInOrderOverARestart) {
  const Options first = settings;
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 100);
  EXPECT_EQ(inbox().messages, 100u);
  stop();
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(inbox().messages, 100u);
  Program program(*destination, Accept::taken);
  for (std::uint32_t i = 0; i < 100; ++i) {
    const Message& message = program.wait_for(i);
    EXPECT_EQ(number_of(message), i);
    EXPECT_TRUE(message.kept);
    EXPECT_FALSE(message.reply_to);
    EXPECT_FALSE(message.sender);
  }
  while (inbox().messages > 0) std::this_thread::yield();
  EXPECT_EQ(send(100).get().outcome, Outcome::delivered);
  EXPECT_FALSE(program.wait_for(100).kept) << "nothing waits: it comes directly";
}

TEST_F(InboxTest, WhatComesWhileOlderOnesWaitIsKeptBehindThem) {
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 50);
  Program program(*destination, Accept::taken);
  for (std::uint32_t i = 50; i < 300; ++i) EXPECT_EQ(send(i).get().outcome, Outcome::delivered);
  for (std::uint32_t i = 0; i < 300; ++i) EXPECT_EQ(number_of(program.wait_for(i)), i);
}

TEST_F(InboxTest, WhatIsInHandIsRemovedByItsAcknowledgementAlone) {
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 10);
  {
    Program program(*destination, Accept::later);
    for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(number_of(program.wait_for(i)), i);
    EXPECT_TRUE(destination->acknowledge(program.wait_for(3).receipt));
    EXPECT_TRUE(destination->acknowledge(program.wait_for(3).receipt)) << "the second";
    while (inbox().messages > 9) std::this_thread::yield();
    program.leave();
    // It is given back while nobody is there, and comes to the next program in its place.
    EXPECT_TRUE(destination->acknowledge(program.wait_for(7).receipt, Accept::no_receiver));
  }
  Program next(*destination, Accept::later);
  EXPECT_EQ(number_of(next.wait_for(0)), 7u);
  next.leave();
  stop();
  ASSERT_NO_FATAL_FAILURE(start());
  Program last(*destination, Accept::taken);
  std::uint32_t at = 0;
  for (const std::uint32_t i : {0, 1, 2, 4, 5, 6, 7, 8, 9}) {
    EXPECT_EQ(number_of(last.wait_for(at++)), i) << "what nobody acknowledged";
  }
}

TEST_F(InboxTest, AHandlerThatIsFullIsTriedAgain) {
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 5);
  std::promise<void> all;
  std::uint32_t calls = 0, next = 0;
  destination->on_message([&](Message&& message) {
    if (++calls % 2 == 1) return Accept::queue_full;
    EXPECT_EQ(number_of(message), next);
    if (++next == 5) all.set_value();
    return Accept::taken;
  });
  EXPECT_EQ(all.get_future().wait_for(20s), std::future_status::ready);
  destination->on_message({});
}

TEST_F(InboxTest, ChannelsAndSignedSendersAreKeptApart) {
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 3, 7);
  keep(10, 13, 8);
  EXPECT_EQ(send(3, 7, true).get().outcome, Outcome::delivered);
  Program seven(*destination, Accept::taken, 7);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(number_of(seven.wait_for(i)), i);
  EXPECT_EQ(seven.wait_for(3).sender, source->id());
  EXPECT_EQ(seven.wait_for(3).channel, 7u);
  EXPECT_EQ(inbox().messages_max, settings.inbox.messages);
  Program eight(*destination, Accept::taken, 8);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(number_of(eight.wait_for(i)), 10 + i);
}

TEST_F(InboxTest, AFullOneRefusesAndTheSenderHearsIt) {
  settings.inbox.messages = 3;
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 3);
  const Delivery refused = send(3).get();
  EXPECT_EQ(refused.outcome, Outcome::refused);
  EXPECT_EQ(refused.reason.code, Errc::refused_by_peer) << refused.reason.message();
  EXPECT_EQ(inbox().messages, 3u);
  Program program(*destination, Accept::taken);
  EXPECT_EQ(number_of(program.wait_for(2)), 2u);
  while (inbox().messages > 0) std::this_thread::yield();
  EXPECT_EQ(send(4).get().outcome, Outcome::delivered);
}

TEST_F(InboxTest, WithoutAcceptNothingNewIsKeptAndWhatIsThereIsHandedOut) {
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 3);
  stop();
  settings.inbox.accept = false;
  ASSERT_NO_FATAL_FAILURE(start());
  const Delivery refused = send(9).get();
  EXPECT_EQ(refused.outcome, Outcome::refused);
  EXPECT_EQ(inbox().messages, 3u);
  Program program(*destination, Accept::taken);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(number_of(program.wait_for(i)), i);
}

TEST_F(InboxTest, AHandlerThatThrewIsNoReasonToKeep) {
  ASSERT_NO_FATAL_FAILURE(start());
  destination->on_message([](Message&&) -> Accept { throw std::runtime_error("a defect"); });
  EXPECT_EQ(send(1).get().outcome, Outcome::refused);
  EXPECT_EQ(inbox().messages, 0u);
  destination->on_message({});
}

TEST_F(InboxTest, LargeMessagesPass) {
  ASSERT_NO_FATAL_FAILURE(start());
  std::vector<std::byte> large(20 << 20);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::byte>(i * 7 + i / 251);
  auto outcome = source->send(destination->id(), large, {.relays = 0});
  EXPECT_EQ(outcome.get().outcome, Outcome::delivered);
  Program program(*destination, Accept::taken);
  EXPECT_TRUE(program.wait_for(0).payload.to_vector() == large);
}

TEST_F(InboxTest, WrongSettingsAreSaid) {
  Options wrong = settings;
  wrong.inbox.dir.clear();
  EXPECT_EQ(Node::start(wrong).error().code, Errc::config_invalid);
  wrong = settings;
  wrong.state_dir = wrong.inbox.dir;
  EXPECT_EQ(Node::start(wrong).error().code, Errc::config_invalid);
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(Node::start(settings).error().code, Errc::already_exists) << "one process at a time";
}

TEST_F(InboxTest, MetricsCount) {
  ASSERT_NO_FATAL_FAILURE(start());
  keep(0, 4);
  Program program(*destination, Accept::taken);
  program.wait_for(3);
  while (inbox().messages > 0) std::this_thread::yield();
  std::uint64_t found = 0;
  for (const MetricSample& sample : destination->metrics().get()) {
    if (sample.name == "qudag_inbox_handed_out_total" ||
        (sample.name == "qudag_inbox_added_total" && sample.labels == "result=\"stored\"")) {
      EXPECT_EQ(sample.value, 4) << sample.name;
      ++found;
    }
  }
  EXPECT_EQ(found, 2u);
}

TEST(MessageHead, IsReadBackAsItWasWrittenAndInNoOtherForm) {
  node::MessageHead head;
  head.priority = Priority::low;
  head.channel = 9;
  head.came = 1'800'000'000;
  head.id.bytes.fill(std::byte{7});
  for (const bool with_sender : {false, true}) {
    if (with_sender) head.sender.emplace().bytes.fill(std::byte{3});
    const auto bytes = node::encode(head);
    EXPECT_EQ(node::parse_message_head(bytes).value(), head);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(node::parse_message_head(Bytes(bytes).first(size))) << size;
    }
    auto other = bytes;
    other[0] = std::byte{2};
    EXPECT_EQ(node::parse_message_head(other).error().code, Errc::unsupported);
    for (const std::size_t at : {1u, 2u, 3u, 6u}) {
      auto changed = bytes;
      changed[at] = std::byte{0xf0};
      EXPECT_EQ(node::parse_message_head(changed).error().code, Errc::malformed) << at;
    }
  }
}

}  // namespace
}  // namespace qudag
