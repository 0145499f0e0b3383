// Receivers over whole nodes on loopback, each of two shards: a card, messages and replies both
// ways, over splices of one shard and over crossings.
#include <qudag/node.h>
#include <qudag/qudag.h>

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace qudag {
namespace {

using namespace std::chrono_literals;

class Receivers : public ::testing::Test {
 protected:
  static constexpr std::size_t kRelays = 6;

  static void SetUpTestSuite() {
    for (std::size_t i = 0; i < kRelays + 2; ++i) {
      Options options;
      options.shards = 2;
      options.log_level = LogLevel::off;
      options.gossip_interval = 1s;
      options.relay = i < kRelays;
      options.known = options.relay;
      if (options.relay) options.state_dir = directory() / std::to_string(i);
      for (std::size_t k = 0; k < std::min<std::size_t>(i, 3); ++k) {
        options.bootstrap.push_back({.id = nodes_[k]->id(), .at = nodes_[k]->address()});
      }
      auto node = Node::start(options);
      ASSERT_TRUE(node.has_value()) << node.error().message();
      nodes_.push_back(std::move(*node));
    }
    for (auto& node : nodes_) ASSERT_TRUE(node->wait_until_joined(30s, 4).joined);
  }
  static void TearDownTestSuite() {
    nodes_.clear();
    std::filesystem::remove_all(directory());
  }
  static const std::filesystem::path& directory() {
    static const std::filesystem::path path = [] {
      std::string name = (std::filesystem::temp_directory_path() / "qudag-XXXXXX").string();
      return std::filesystem::path(::mkdtemp(name.data()));
    }();
    return path;
  }

  Card open(const ReceiverOptions& options = {}) {
    std::promise<Card> told;
    auto card = told.get_future();
    const auto id = home().open_receiver(options, [&, once = false](const Card& one) mutable {
      if (!std::exchange(once, true)) told.set_value(one);
    });
    EXPECT_TRUE(id.has_value());
    EXPECT_EQ(card.wait_for(30s), std::future_status::ready);
    return card.get();
  }

  Node& home() { return *nodes_[kRelays]; }
  Node& away() { return *nodes_[kRelays + 1]; }
  static inline std::vector<std::unique_ptr<Node>> nodes_;
};

TEST_F(Receivers, AreCalledAndAnswerUnderTheirOwnName) {
  std::mutex mutex;
  std::set<MessageId> taken, answered;
  const Card card = open({.keepers = 1});
  EXPECT_NE(card.receiver, home().id());
  ASSERT_EQ(card.places.size(), 1u);
  home().on_message([&](Message&& message) {
    EXPECT_EQ(message.receiver, card.receiver);
    const auto text = message.payload.to_vector();
    EXPECT_TRUE(home().reply(*message.reply_to, text, {}, {}));
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(taken.insert(message.id).second);
    return Accept::taken;
  });
  away().on_message([&](Message&& message) {
    EXPECT_FALSE(message.receiver);
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(answered.insert(message.in_reply_to.value()).second);
    return Accept::taken;
  });
  ASSERT_TRUE(away().add_card(card));
  std::vector<std::future<Delivery>> sent;
  for (unsigned i = 0; i < 120; ++i) {
    const std::vector<std::byte> payload(i * 97);
    // Flows of four isolation tags: their circuits end on either shard of the keeper.
    sent.push_back(away().send(card.receiver, payload, {.isolation = i % 4}));
  }
  for (auto& one : sent) {
    const Delivery delivery = one.get();
    EXPECT_EQ(delivery.outcome, Outcome::delivered) << delivery.reason.message();
  }
  const auto end = std::chrono::steady_clock::now() + 30s;
  const auto all = [&] {
    const std::lock_guard lock(mutex);
    return answered.size() == 120;
  };
  while (!all() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(taken.size(), 120u);
  EXPECT_EQ(answered, taken);
  // The node itself is nobody's to address.
  const Delivery direct = away().send(home().id(), {}, SendOptions{}).get();
  EXPECT_EQ(direct.reason, Errc::unknown_destination);
  home().close_receiver(card.receiver);
  home().on_message({});
  away().on_message({});
}

/// Its receiver is gone: what is small and what is large is on the keeper's disk, and then said so.
TEST_F(Receivers, WhoIsAwayHasLettersAtItsKeeper) {
  const Card card = open({.keepers = 1});
  ASSERT_TRUE(away().add_card(card));
  home().close_receiver(card.receiver);
  for (const std::size_t bytes : {500u, 100'000u}) {
    const std::vector<std::byte> payload(bytes);
    const Delivery sent = away().send(card.receiver, payload, SendOptions{}).get();
    EXPECT_EQ(sent.outcome, Outcome::stored) << sent.reason.message();
    EXPECT_EQ(sent.reason, Errc::ok);
  }
  const Delivery refused =
      away().send(card.receiver, {}, SendOptions{.if_away = IfAway::refuse}).get();
  EXPECT_EQ(refused.outcome, Outcome::refused);
  EXPECT_EQ(refused.reason, Errc::away);
}

/// A program in C: it opens a receiver, another one has its invitation as text.
class InC : public Receivers {
 protected:
  struct Freed {
    void operator()(qudag_node* node) const { qudag_free(node); }
    void operator()(qudag_message* message) const { qudag_message_free(message); }
  };
  using Handle = std::unique_ptr<qudag_node, Freed>;
  using Taken = std::unique_ptr<qudag_message, Freed>;

  static Handle start() {
    qudag_options* const options = qudag_options_new();
    EXPECT_EQ(qudag_options_set_shards(options, 1), 0);
    EXPECT_EQ(qudag_options_set_log_level(options, "off"), 0);
    EXPECT_EQ(qudag_options_set_relay(options, 0), 0);
    EXPECT_EQ(qudag_options_set_known(options, 0), 0);
    for (std::size_t k = 0; k < 3; ++k) {
      const std::string entry =
          nodes_[k]->id().to_string() + "@" + nodes_[k]->address().to_string();
      EXPECT_EQ(qudag_options_add_bootstrap(options, entry.c_str()), 0);
    }
    qudag_node* node = nullptr;
    EXPECT_EQ(qudag_start(options, &node), 0) << qudag_last_error();
    qudag_options_free(options);
    EXPECT_EQ(qudag_wait_joined(node, 4, 30'000), 0) << qudag_last_error();
    return Handle(node);
  }
  static void wait(const Handle& node) {
    pollfd one{.fd = qudag_fd(node.get()), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&one, 1, 30'000), 1);
  }
  static Taken receive(const Handle& node) {
    qudag_message* message = nullptr;
    if (qudag_receive(node.get(), &message) == QUDAG_WOULD_BLOCK) {
      wait(node);
      EXPECT_EQ(qudag_receive(node.get(), &message), 0) << qudag_last_error();
    }
    return Taken(message);
  }
  static qudag_outcome outcome(const Handle& node) {
    qudag_outcome out{};
    if (qudag_next_outcome(node.get(), &out) == QUDAG_WOULD_BLOCK) {
      wait(node);
      EXPECT_EQ(qudag_next_outcome(node.get(), &out), 0) << qudag_last_error();
    }
    return out;
  }
};

TEST_F(InC, AReceiverIsInvitedToAndCalled) {
  const Handle home = start(), away = start();
  qudag_receiver_options how;
  qudag_receiver_options_init(&how);
  EXPECT_EQ(how.hidden, 1);
  EXPECT_EQ(how.keepers, 2u);
  how.keepers = 1;
  char id[QUDAG_ID_TEXT_BYTES], known[QUDAG_ID_TEXT_BYTES], came[QUDAG_ID_TEXT_BYTES];
  ASSERT_EQ(qudag_open_receiver(home.get(), &how, id), 0) << qudag_last_error();
  char text[QUDAG_INVITATION_TEXT_BYTES];
  const auto end = std::chrono::steady_clock::now() + 30s;
  int asked = QUDAG_WOULD_BLOCK;
  while (asked == QUDAG_WOULD_BLOCK && std::chrono::steady_clock::now() < end) {
    asked = qudag_invitation(home.get(), id, text);  // it waits for the node's threads
  }
  ASSERT_EQ(asked, 0) << qudag_last_error();
  ASSERT_EQ(qudag_add_invitation(away.get(), text, known), 0) << qudag_last_error();
  EXPECT_STREQ(known, id);
  ASSERT_EQ(qudag_send(away.get(), id, "hello", 5, nullptr, nullptr), 0) << qudag_last_error();
  EXPECT_EQ(outcome(away).kind, QUDAG_DELIVERED);
  const Taken message = receive(home);
  ASSERT_NE(message, nullptr);
  ASSERT_EQ(qudag_message_receiver(message.get(), came), 1);
  EXPECT_STREQ(came, id);

  EXPECT_EQ(qudag_close_receiver(home.get(), id), 0);
  EXPECT_EQ(qudag_invitation(home.get(), id, text), QUDAG_NOT_FOUND);
  qudag_send_options tell;
  qudag_send_options_init(&tell);
  EXPECT_EQ(tell.if_away, QUDAG_STORE);
  tell.if_away = QUDAG_TELL;
  ASSERT_EQ(qudag_send(away.get(), id, "hello", 5, &tell, nullptr), 0);
  const qudag_outcome refused = outcome(away);
  EXPECT_EQ(refused.kind, QUDAG_REFUSED);
  EXPECT_EQ(refused.error, QUDAG_AWAY);
  ASSERT_EQ(qudag_send(away.get(), id, "hello", 5, nullptr, nullptr), 0);
  EXPECT_EQ(outcome(away).kind, QUDAG_STORED);

  EXPECT_EQ(qudag_remove_invitation(away.get(), id), 0);
  ASSERT_EQ(qudag_send(away.get(), id, "hello", 5, &tell, nullptr), 0);
  EXPECT_EQ(outcome(away).kind, QUDAG_FAILED) << "nobody knows it any more";
}

TEST_F(Receivers, SayWhatIsWrong) {
  EXPECT_EQ(home().open_receiver({.keepers = 0}, {}).error(), Errc::invalid_argument);
  EXPECT_EQ(home().open_receiver({.at = {home().id()}}, {}).error(), Errc::invalid_argument);
  EXPECT_EQ(home().open_receiver({.identity_key = {std::byte{1}}}, {}).error(), Errc::malformed);
  Card none;
  EXPECT_EQ(away().add_card(none).error(), Errc::malformed);
  const Card card = open({.hidden = false, .keepers = 1});
  ASSERT_TRUE(away().add_card(card));
  const Delivery wrong = away().send(card.receiver, {}, {.relays = 2}).get();
  EXPECT_EQ(wrong.reason, Errc::invalid_argument);
  home().on_message([](Message&&) { return Accept::taken; });
  EXPECT_EQ(away().send(card.receiver, {}, SendOptions{}).get().outcome, Outcome::delivered);
  home().on_message({});
  home().close_receiver(card.receiver);
}

}  // namespace
}  // namespace qudag
