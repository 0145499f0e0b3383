// Real nodes in one process: threads, sockets on loopback with ports from the kernel, and futures.
// Nothing here sleeps or depends on speed; waits end when the awaited thing has happened.
#include <qudag/node.h>

#include "node/listen.h"
#include "support/allocation_count.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// `count` nodes that know node 0, started and joined.
class Network {
 public:
  /// Every second node with that cipher, the others by what the CPU has.
  explicit Network(std::size_t count, unsigned shards = 1, Cipher cipher = Cipher::automatic) {
    for (std::size_t i = 0; i < count; ++i) {
      Options options;
      if (i % 2 == 1) options.cipher = cipher;
      options.shards = shards;
      options.log_level = LogLevel::off;
      options.gossip_interval = 1s;
      if (i > 0) options.bootstrap = {{.id = nodes_[0]->id(), .at = nodes_[0]->address()}};
      auto node = Node::start(options);
      EXPECT_TRUE(node.has_value()) << node.error().message();
      nodes_.push_back(std::move(*node));
    }
    // Each status call runs on the shards, so this polls the condition, not the clock.
    for (auto& node : nodes_) {
      while (node->status().get().nodes_known < count) std::this_thread::yield();
      if (count < 3) continue;
      const auto relays = static_cast<unsigned>(std::min<std::size_t>(count, 5) - 2);
      EXPECT_TRUE(node->wait_until_joined(20s, relays).joined);
    }
  }
  Node& operator[](std::size_t i) { return *nodes_[i]; }

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
};

/// Keeps what a node received, and lets a test wait for it.
class Mailbox {
 public:
  explicit Mailbox(Node& node) {
    node.on_message([this](Message&& message) {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
      arrived_.notify_all();
      return Accept::taken;
    });
  }
  Message take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !messages_.empty(); });
    Message first = std::move(messages_.front());
    messages_.pop_front();
    return first;
  }
  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return messages_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Message> messages_;
};

class Hops : public ::testing::TestWithParam<unsigned> {};

TEST_P(Hops, AMessageArrivesAndItsReplyComesBack) {
  Network net(7);
  Mailbox source(net[1]);
  net[6].on_message([&](Message&& message) {
    EXPECT_FALSE(message.sender.has_value());
    EXPECT_TRUE(message.reply_to.has_value());
    const auto text = message.payload.to_vector();
    EXPECT_TRUE(net[6].reply(*message.reply_to, text, {.ttl = 10s}, {}).has_value());
    return Accept::taken;
  });

  const auto delivery = net[1].send(net[6].id(), bytes_of("hello"), {.relays = GetParam()}).get();
  EXPECT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
  const Message reply = source.take();
  EXPECT_EQ(reply.in_reply_to, delivery.id);
  const auto text = reply.payload.to_vector();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(text.data()), text.size()), "hello");
}
INSTANTIATE_TEST_SUITE_P(ZeroToFive, Hops, ::testing::Range(0u, kRelaysMax + 1));

TEST(Node, NodesWithAndWithoutFastAesReachEachOther) {
  Network net(6, 1, Cipher::chacha20_poly1305);
  for (const std::size_t from : {1, 2}) {  // a source of each kind, over links of both
    Mailbox source(net[from]);
    Mailbox destination(net[5]);
    const std::string text(20'000, 'x');
    const auto delivery =
        net[from].send(net[5].id(), bytes_of(text), {.relays = 3, .sign = true}).get();
    EXPECT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
    const Message message = destination.take();
    EXPECT_EQ(message.payload.to_vector().size(), text.size());
    EXPECT_EQ(message.sender, net[from].id());
    EXPECT_TRUE(net[5].reply(*message.reply_to, bytes_of("yes"), {.ttl = 10s}, {}).has_value());
    EXPECT_EQ(source.take().in_reply_to, delivery.id);
  }
}

TEST(Node, LinksArePostQuantumOnly) {
  Network net(3);
  const auto peers = net[0].peers().get();
  ASSERT_FALSE(peers.empty());
  std::size_t ready = 0;
  for (const PeerStatus& peer : peers) {
    if (peer.state != PeerState::ready) continue;
    ++ready;
    EXPECT_EQ(peer.tls_group, "X25519MLKEM768");
    EXPECT_EQ(peer.tls_signature, "mldsa65");
  }
  EXPECT_GT(ready, 0u);
}

TEST(Node, ALargeMessageArrivesWhole) {
  Network net(5, 2);
  Mailbox inbox(net[4]);
  auto buffer = net[1].buffer(kMessageBytesMax);
  ASSERT_TRUE(buffer.has_value()) << buffer.error().message();
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < buffer->piece_count(); ++i) {
    for (std::byte& b : buffer->piece(i)) {
      state = state * 1664525 + 1013904223;
      b = static_cast<std::byte>(state >> 24);
    }
  }
  std::promise<Delivery> done;
  std::atomic<std::size_t> progress = 0;
  ASSERT_TRUE(net[1].send(
      net[4].id(), std::move(*buffer), {.priority = Priority::low},
      [&](const Delivery& d) { done.set_value(d); },
      [&](const SendProgress& now) { progress = now.bytes_done; }));
  const Delivery delivery = done.get_future().get();
  ASSERT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
  EXPECT_GT(progress, 0u);

  const Message message = inbox.take();
  ASSERT_EQ(message.payload.size(), kMessageBytesMax);
  state = 1;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < message.payload.piece_count(); ++i) {
    for (const std::byte b : message.payload.piece(i)) {
      state = state * 1664525 + 1013904223;
      wrong += b != static_cast<std::byte>(state >> 24);
    }
  }
  EXPECT_EQ(wrong, 0u);
}

class Large : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Signed, Large, ::testing::Bool());

// From the call to the handler a message is a chain of blocks, also where it is hashed, signed and
// verified: nothing is made larger, and no piece of memory is near the message's size.
TEST_P(Large, NothingGrowsUnderAMessage) {
  constexpr std::uint64_t kPieceMax = 64 * 1024;
  Network net(3);
  Mailbox inbox(net[2]);
  for (const bool counts : {false, true}) {  // the first one makes tables and pools what they are
    auto buffer = net[1].buffer(kMessageBytesMax);
    ASSERT_TRUE(buffer.has_value()) << buffer.error().message();
    static_cast<void>(test::largest_allocation());
    const std::uint64_t before = test::reallocations();
    std::promise<Delivery> done;
    ASSERT_TRUE(net[1].send(net[2].id(), std::move(*buffer),
                            {.priority = Priority::low, .relays = 1, .sign = GetParam()},
                            [&](const Delivery& d) { done.set_value(d); }));
    const Delivery delivery = done.get_future().get();
    ASSERT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
    const Message message = inbox.take();
    EXPECT_EQ(message.payload.size(), kMessageBytesMax);
    EXPECT_EQ(message.sender.has_value(), GetParam());
    if (!counts) continue;
    EXPECT_EQ(test::reallocations() - before, 0u);
    EXPECT_LE(test::largest_allocation(), kPieceMax);
  }
}

TEST(Node, ThousandsOfMessagesEachArriveOnce) {
  constexpr std::uint32_t kCount = 4'000;
  Network net(5, 2);
  std::mutex mutex;
  std::vector<int> seen(kCount);
  net[4].on_message([&](Message&& message) {
    std::uint32_t number = 0;
    std::memcpy(&number, message.payload.to_vector().data(), sizeof number);
    const std::lock_guard lock(mutex);
    ++seen.at(number);
    return Accept::taken;
  });
  std::atomic<std::uint32_t> delivered = 0;
  std::atomic<std::uint32_t> ended = 0;
  std::promise<void> all;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    std::vector<std::byte> payload(256);
    std::memcpy(payload.data(), &i, sizeof i);
    ASSERT_TRUE(net[1].send(net[4].id(), payload, {.isolation = i % 3}, [&](const Delivery& d) {
      delivered += d.outcome == Outcome::delivered;
      if (++ended == kCount) all.set_value();
    }));
  }
  all.get_future().wait();
  EXPECT_EQ(delivered, kCount);
  const std::lock_guard lock(mutex);
  for (std::uint32_t i = 0; i < kCount; ++i) EXPECT_EQ(seen[i], 1) << i;
}

TEST(Node, ASignedMessageNamesItsSender) {
  Network net(5);
  Mailbox inbox(net[4]);
  EXPECT_EQ(net[2].send(net[4].id(), bytes_of("signed"), {.sign = true}).get().outcome,
            Outcome::delivered);
  const Message message = inbox.take();
  ASSERT_TRUE(message.sender.has_value());
  EXPECT_EQ(*message.sender, net[2].id());
}

TEST(Node, ALimitThatNobodySetFollowsTheOneThatItIsPartOf) {
  Options options;
  options.log_level = LogLevel::off;
  options.limits.links = 100;  // half_open has 256
  EXPECT_TRUE(Node::start(options).has_value());
  options.limits.half_open = 200;
  const auto refused = Node::start(options);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("half_open"), std::string::npos);
}

TEST(Node, RefusalsSayWhy) {
  Network net(5);
  NodeId nobody;
  nobody.bytes.fill(std::byte{7});
  const auto unknown = net[1].send(nobody, bytes_of("x")).get();
  EXPECT_EQ(unknown.outcome, Outcome::failed);
  EXPECT_EQ(unknown.reason.code, Errc::unknown_destination);

  const auto deaf = net[1].send(net[4].id(), bytes_of("x")).get();
  EXPECT_EQ(deaf.outcome, Outcome::refused) << deaf.reason.message();
  EXPECT_EQ(deaf.reason.code, Errc::refused_by_peer);

  EXPECT_EQ(net[1].send(net[4].id(), bytes_of("x"), {.relays = 6}).get().reason.code,
            Errc::invalid_argument);
  EXPECT_EQ(net[1].send(net[4].id(), bytes_of("x"), {.ttl = 0ms}).get().reason.code,
            Errc::invalid_argument);
  EXPECT_EQ(net[1].buffer(kMessageBytesMax + 1).error().code, Errc::too_large);
  const auto far = net[1].send(net[4].id(), bytes_of("x"), {.relays = 5}).get();
  EXPECT_EQ(far.reason.code, Errc::no_route) << far.reason.message();
}

TEST(Node, MemoryIsRefusedAtTheBoundAndComesBack) {
  Options options;
  options.log_level = LogLevel::off;
  options.shards = 1;
  options.limits.memory = std::uint64_t{64} << 20;
  auto node = Node::start(options);
  ASSERT_TRUE(node.has_value());
  {
    auto most = (*node)->buffer(48u << 20);
    ASSERT_TRUE(most.has_value()) << most.error().message();
    EXPECT_EQ((*node)->buffer(32u << 20).error().code, Errc::refused_memory);
  }
  EXPECT_TRUE((*node)->buffer(32u << 20).has_value());
}

TEST(Node, EveryCompletionHasRunWhenStopReturns) {
  std::atomic<int> ended = 0;
  constexpr int kCount = 500;
  auto net = std::make_unique<Network>(5);
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE((*net)[1].send((*net)[4].id(), std::vector<std::byte>(20'000), {},
                               [&](const Delivery&) { ++ended; }));
  }
  (*net)[1].stop(0ms);
  EXPECT_EQ(ended, kCount);
  EXPECT_EQ((*net)[1].send((*net)[4].id(), bytes_of("late")).get().reason.code,
            Errc::shutting_down);
  EXPECT_TRUE((*net)[1].status().get().stopping);
}

TEST(Node, ABufferMayOutliveItsNode) {
  std::optional<Message> kept;
  {
    Network net(5);
    Mailbox inbox(net[4]);
    ASSERT_EQ(net[1].send(net[4].id(), std::vector<std::byte>(5'000, std::byte{9})).get().outcome,
              Outcome::delivered);
    kept = inbox.take();
  }
  ASSERT_EQ(kept->payload.size(), 5'000u);
  EXPECT_EQ(kept->payload.to_vector().back(), std::byte{9});
}

TEST(Node, AnUnknownNodeCanSendAndGetReplies) {
  Network net(5);
  Options options;
  options.shards = 1;
  options.log_level = LogLevel::off;
  options.known = false;
  options.relay = false;
  options.bootstrap = {{.id = net[0].id(), .at = net[0].address()}};
  auto hidden = Node::start(options);
  ASSERT_TRUE(hidden.has_value());
  while ((*hidden)->status().get().nodes_known < 5) std::this_thread::yield();
  Mailbox inbox(**hidden);
  net[4].on_message([&](Message&& message) {
    EXPECT_TRUE(net[4].reply(*message.reply_to, bytes_of("yes"), {.ttl = 10s}, {}).has_value());
    return Accept::taken;
  });
  EXPECT_EQ((*hidden)->send(net[4].id(), bytes_of("?")).get().outcome, Outcome::delivered);
  EXPECT_EQ(inbox.take().payload.size(), 3u);
  // Nobody knows its id: no peer has proven it, and the netmap lacks it.
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(net[i].status().get().nodes_known, 5u);
    for (const PeerStatus& peer : net[i].peers().get()) {
      EXPECT_TRUE(!peer.id || *peer.id != (*hidden)->id());
    }
  }
}

TEST(Node, StartSaysWhatIsWrong) {
  Options options;
  options.log_level = LogLevel::off;
  options.limits.memory = 1;
  EXPECT_EQ(Node::start(options).error().code, Errc::config_invalid);

  options = {};
  options.log_level = LogLevel::off;
  options.identity = "/nonexistent/node.key";
  EXPECT_EQ(Node::start(options).error().code, Errc::not_found);
}

TEST(Node, APreferredAddressIsOfOneFamilyEach) {
  Options options;
  options.preferred_address = {SocketAddress::v4(192, 0, 2, 1, 1),
                               *SocketAddress::parse("[2001:db8::1]:1")};
  EXPECT_TRUE(validate(options));
  options.preferred_address.push_back(SocketAddress::v4(192, 0, 2, 2, 1));
  EXPECT_EQ(validate(options).error().code, Errc::config_invalid);
}

std::string publish_fault(std::initializer_list<const char*> texts) {
  Options options;
  for (const char* text : texts) options.publish.push_back(*SocketAddress::parse(text));
  const Status status = validate(options);
  return status ? "accepted" : status.error().detail;
}

TEST(Node, PublishesOnlyWhatOthersCanReach) {
  EXPECT_EQ(publish_fault({"127.0.0.1:1", "[::1]:1"}), "accepted");
  EXPECT_EQ(publish_fault({"10.0.0.1:1", "192.0.2.7:1"}), "accepted");
  for (const char* text : {"0.0.0.0:4433", "[::]:4433", "224.0.0.1:1", "[ff02::1]:1",
                           "255.255.255.255:1", "192.0.2.7:0"}) {
    EXPECT_EQ(publish_fault({text}).find("publish: " + std::string(text)), 0u) << text;
  }
  EXPECT_EQ(publish_fault({"192.0.2.7:1", "127.0.0.1:1"}).find("publish: 127.0.0.1:1 and 192.0"),
            0u);
}

TEST(Node, ListensOnlyWhereANodeCanBe) {
  Options options;
  for (const char* text : {"0.0.0.0:0", "[::]:4433", "127.0.0.1:0"}) {
    options.listen = *SocketAddress::parse(text);
    EXPECT_TRUE(validate(options)) << text;
  }
  options.listen = SocketAddress::v4(224, 0, 0, 1, 4433);
  EXPECT_EQ(validate(options).error().detail.find("listen: 224.0.0.1:4433: "), 0u);
}

TEST(Node, ListensForOthersIfABootstrapEntryMayBeElsewhere) {
  const NodeId id{};
  Options options;
  EXPECT_EQ(node::listen_address(options), SocketAddress::v4(127, 0, 0, 1, 0));
  options.bootstrap = {{.id = id, .at = SocketAddress::v4(127, 0, 0, 1, 4433)},
                       {.id = id, .at = *SocketAddress::parse("[::1]:4433")}};
  EXPECT_EQ(node::listen_address(options), SocketAddress::v4(127, 0, 0, 1, 0));
  options.bootstrap.push_back({.id = id, .at = SocketAddress::v4(192, 0, 2, 7, 4433)});
  EXPECT_EQ(node::listen_address(options), SocketAddress{}) << "[::]:0, both families";
  options.bootstrap = {{.id = id, .at = {.port = 4433}, .name = "relay.example"}};
  EXPECT_EQ(node::listen_address(options), SocketAddress{});
  options.listen = SocketAddress::v4(192, 0, 2, 1, 7);
  EXPECT_EQ(node::listen_address(options), *options.listen);
}

TEST(Node, JoinsThroughAName) {
  Options options;
  options.log_level = LogLevel::off;
  options.shards = 1;
  options.listen = SocketAddress::v4(127, 0, 0, 1, 0);
  auto first = Node::start(options);
  ASSERT_TRUE(first) << first.error().message();
  const std::string at = ":" + std::to_string((*first)->address().port);
  options.bootstrap = {*PeerAddress::parse((*first)->id().to_string() + "@localhost" + at)};
  auto second = Node::start(options);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_TRUE((*second)->wait_until_known((*first)->id(), 30s));
}

TEST(Node, SaysThatANameHasNoAddress) {
  Options options;
  options.log_level = LogLevel::warn;
  options.shards = 1;
  std::mutex mutex;
  std::condition_variable said;
  std::vector<std::string> lines;
  options.log_sink = [&](LogLevel, std::string_view line) {
    const std::lock_guard lock(mutex);
    lines.emplace_back(line);
    said.notify_all();
  };
  options.bootstrap = {{.id = {}, .at = {.port = 4433}, .name = "nobody.invalid"}};
  options.listen = SocketAddress::v4(127, 0, 0, 1, 0);
  auto node = Node::start(options);
  ASSERT_TRUE(node) << node.error().message();
  const auto says_so = [](const std::string& line) {
    return line.find("bootstrap: nobody.invalid: ") != std::string::npos;
  };
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(said.wait_for(lock, 60s, [&] { return std::ranges::any_of(lines, says_so); }));
  }
  const std::string reason = (*node)->join_state().reason;
  EXPECT_NE(reason.find("; nobody.invalid: "), std::string::npos) << reason;
  node->reset();
  EXPECT_EQ(std::ranges::count_if(lines, says_so), 1) << "each problem once";
}

TEST(Node, LimitsDoNotContradictEachOther) {
  Options options;
  options.limits.half_open = options.limits.links + 1;
  EXPECT_EQ(validate(options).error().detail,
            "limits.half_open is 1025, but must be at most limits.links, which is 1024");
  options = {};
  options.limits.circuits_building = options.limits.circuits + 1;
  EXPECT_EQ(validate(options).error().code, Errc::config_invalid);
}

TEST(Node, LinksGoOnAtThePreferredAddress) {
  Options entrance;
  entrance.log_level = LogLevel::off;
  entrance.shards = 2;
  entrance.listen = SocketAddress::v4(0, 0, 0, 0, 0);
  entrance.preferred_address = {SocketAddress::v4(127, 0, 0, 2, 0)};
  auto first = Node::start(entrance);
  ASSERT_TRUE(first) << first.error().message();
  const std::uint16_t port = (*first)->address().port;
  Options other;
  other.log_level = LogLevel::off;
  other.shards = 1;
  other.bootstrap = {{.id = (*first)->id(), .at = SocketAddress::v4(127, 0, 0, 1, port)}};
  auto second = Node::start(other);
  ASSERT_TRUE(second) << second.error().message();

  const auto there = SocketAddress::v4(127, 0, 0, 2, port);
  const auto is_there = [&] {  // each call runs on the shards, so this polls what happened
    for (const PeerStatus& peer : (*second)->peers().get()) {
      if (peer.address == there) return true;
    }
    return false;
  };
  while (!is_there()) std::this_thread::yield();
  Mailbox inbox(**first);
  while ((*second)->status().get().nodes_known < 2) std::this_thread::yield();
  SendOptions direct;
  direct.relays = 0;
  const auto sent = (*second)->send((*first)->id(), bytes_of("over there"), direct).get();
  EXPECT_EQ(sent.outcome, Outcome::delivered);
  double moved = 0;
  for (const MetricSample& sample : (*second)->metrics().get()) {
    if (sample.name == "qudag_links_preferred_total" && sample.labels.contains("moved")) {
      moved += sample.value;
    }
  }
  EXPECT_EQ(moved, 1);
}

TEST(Node, MetricsAreWellFormedAndCount) {
  Network net(5);
  Mailbox inbox(net[4]);
  ASSERT_EQ(net[1].send(net[4].id(), bytes_of("count me")).get().outcome, Outcome::delivered);
  std::set<std::string> names;
  double delivered = 0;
  for (const MetricSample& sample : net[1].metrics().get()) {
    EXPECT_TRUE(sample.name.starts_with("qudag_") || sample.name.starts_with("process_"))
        << sample.name;
    EXPECT_TRUE(names.insert(sample.name + "{" + sample.labels + "}").second) << sample.name;
    if (sample.name == "qudag_messages_total" &&
        sample.labels.find("result=\"delivered\"") != std::string::npos) {
      delivered += sample.value;
    }
  }
  EXPECT_EQ(delivered, 1);
}

}  // namespace
}  // namespace qudag
