// The C interface: what it refuses, and what its descriptor says. examples/c_hello.c is the way
// through, in C.
#include <qudag/qudag.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>

#include <cstring>
#include <string>
#include <vector>

namespace {

using ::testing::HasSubstr;

constexpr uint32_t kPatience = 60'000;

/// Frees it in the end.
struct NodeOwner {
  explicit NodeOwner(const char* bootstrap = nullptr, int acknowledged = 0) {
    qudag_options* options = qudag_options_new();
    EXPECT_EQ(qudag_options_set_shards(options, 1), 0);
    EXPECT_EQ(qudag_options_set_gossip_interval(options, 1), 0);
    EXPECT_EQ(qudag_options_set_log_level(options, "off"), 0);
    EXPECT_EQ(qudag_options_set_acknowledged(options, acknowledged), 0);
    if (bootstrap != nullptr) {
      EXPECT_EQ(qudag_options_add_bootstrap(options, bootstrap), 0);
    }
    EXPECT_EQ(qudag_start(options, &node), 0) << qudag_last_error();
    qudag_options_free(options);
    EXPECT_EQ(qudag_id(node, id), 0);
    EXPECT_EQ(qudag_address(node, address), 0);
  }
  ~NodeOwner() { qudag_free(node); }
  NodeOwner(const NodeOwner&) = delete;
  NodeOwner& operator=(const NodeOwner&) = delete;

  /// Waits while nothing is there; false if nothing came.
  bool readable(int timeout_ms = kPatience) const {
    pollfd one{.fd = qudag_fd(node), .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, timeout_ms) == 1;
  }
  qudag_message* receive() const {
    qudag_message* message = nullptr;
    while (qudag_receive(node, &message) == QUDAG_WOULD_BLOCK) {
      if (!readable()) break;
    }
    return message;
  }
  qudag_outcome outcome() const {
    qudag_outcome out{};
    while (qudag_next_outcome(node, &out) == QUDAG_WOULD_BLOCK) {
      if (!readable()) break;
    }
    return out;
  }

  qudag_node* node = nullptr;
  char id[QUDAG_ID_TEXT_BYTES];
  char address[QUDAG_ADDRESS_TEXT_BYTES];
};

qudag_send_options direct() {
  qudag_send_options out;
  qudag_send_options_init(&out);
  EXPECT_EQ(out.priority, QUDAG_NORMAL);
  EXPECT_EQ(out.ttl_ms, 60'000u);
  EXPECT_EQ(out.relays, static_cast<unsigned>(QUDAG_RELAYS_DEFAULT));
  out.relays = 0;
  return out;
}

TEST(CApi, RefusesNullAndNonsense) {
  EXPECT_EQ(qudag_start(nullptr, nullptr), QUDAG_INVALID_ARGUMENT);
  EXPECT_STREQ(qudag_last_error(), "invalid_argument: null");
  EXPECT_EQ(qudag_fd(nullptr), -1);
  EXPECT_EQ(qudag_receive(nullptr, nullptr), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_message_size(nullptr), 0u);
  EXPECT_EQ(qudag_message_piece(nullptr, 0, nullptr), nullptr);
  EXPECT_EQ(qudag_message_can_reply(nullptr), 0);
  qudag_free(nullptr);
  qudag_options_free(nullptr);
  qudag_message_free(nullptr);
  EXPECT_STREQ(qudag_error_name(QUDAG_CANCELLED), "cancelled");
  EXPECT_STREQ(qudag_error_name(12'345), "unknown");

  qudag_options* options = qudag_options_new();
  EXPECT_EQ(qudag_options_add_bootstrap(options, "nowhere"), 101);
  EXPECT_EQ(qudag_options_set_listen(options, "localhost:1"), 101);
  EXPECT_EQ(qudag_options_set_listen(options, nullptr), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_options_set_log_level(options, "loud"), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_options_set_identity(options, "no key", 6), 0);
  qudag_node* node = nullptr;
  EXPECT_EQ(qudag_start(options, &node), 101);
  EXPECT_EQ(node, nullptr);
  EXPECT_EQ(qudag_options_set_memory(options, 1), 0);
  EXPECT_EQ(qudag_start(options, &node), 104);
  EXPECT_THAT(qudag_last_error(), HasSubstr("limits.memory"));
  qudag_options_free(options);
}

/// tests/node/receivers_test.cc has the way through.
TEST(CApi, WhatIsWrongWithAReceiverIsSaid) {
  const NodeOwner owner;
  char id[QUDAG_ID_TEXT_BYTES], text[QUDAG_INVITATION_TEXT_BYTES];
  qudag_receiver_options how;
  qudag_receiver_options_init(&how);
  EXPECT_EQ(qudag_open_receiver(nullptr, &how, id), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_open_receiver(owner.node, &how, nullptr), QUDAG_INVALID_ARGUMENT);
  how.identity_bytes = 3;
  EXPECT_EQ(qudag_open_receiver(owner.node, &how, id), QUDAG_INVALID_ARGUMENT);
  how.identity = "key";
  EXPECT_EQ(qudag_open_receiver(owner.node, &how, id), 101);
  how = {.name = nullptr, .identity = nullptr, .identity_bytes = 0, .hidden = 1, .keepers = 4};
  EXPECT_EQ(qudag_open_receiver(owner.node, &how, id), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_invitation(owner.node, "nobody", text), 101);
  EXPECT_EQ(qudag_add_invitation(owner.node, "qudag1:nonsense", id), 101);
  EXPECT_EQ(qudag_close_receiver(owner.node, "nobody"), 101);
  EXPECT_EQ(qudag_remove_invitation(owner.node, nullptr), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_message_receiver(nullptr, id), 0);
  qudag_send_options send;
  qudag_send_options_init(&send);
  send.if_away = static_cast<qudag_if_away>(3);
  ASSERT_EQ(qudag_id(owner.node, id), 0);
  EXPECT_EQ(qudag_send(owner.node, id, "", 0, &send, nullptr), QUDAG_INVALID_ARGUMENT);
}

TEST(CApi, TheDescriptorIsReadableWhileSomethingWaits) {
  const NodeOwner server;
  const std::string entry = std::string(server.id) + "@" + server.address;
  const NodeOwner client(entry.c_str());
  ASSERT_EQ(qudag_wait_joined(client.node, 0, kPatience), 0) << qudag_last_error();
  ASSERT_EQ(qudag_wait_known(client.node, server.id, kPatience), 0) << qudag_last_error();
  EXPECT_FALSE(server.readable(0));

  const qudag_send_options how = direct();
  qudag_message_id sent[2];
  for (qudag_message_id& one : sent) {
    ASSERT_EQ(qudag_send(client.node, server.id, "hello", 5, &how, &one), 0);
  }
  for (qudag_message_id& one : sent) {
    qudag_message* message = server.receive();
    ASSERT_NE(message, nullptr);
    qudag_message_id id;
    EXPECT_EQ(qudag_message_get_id(message, &id), 0);
    EXPECT_EQ(std::memcmp(&id, &one, sizeof id), 0);
    char text[8] = {};
    EXPECT_EQ(qudag_message_copy(message, 1, text, 3), 3u);
    EXPECT_STREQ(text, "ell");
    EXPECT_EQ(qudag_message_copy(message, 9, text, 3), 0u);
    EXPECT_EQ(qudag_message_priority(message), QUDAG_NORMAL);
    EXPECT_EQ(qudag_message_can_reply(message), 1);
    char sender[QUDAG_ID_TEXT_BYTES];
    EXPECT_EQ(qudag_message_sender(message, sender), 0);
    EXPECT_EQ(qudag_message_in_reply_to(message, &id), 0);
    qudag_message_free(message);
  }
  EXPECT_FALSE(server.readable(0));
  for (qudag_message_id& one : sent) {
    const qudag_outcome outcome = client.outcome();
    EXPECT_EQ(outcome.kind, QUDAG_DELIVERED);
    EXPECT_EQ(outcome.error, QUDAG_OK);
    EXPECT_GT(outcome.elapsed_ns, 0u);
    EXPECT_EQ(std::memcmp(&outcome.id, &one, sizeof one), 0);
  }
  EXPECT_FALSE(client.readable(0));

  qudag_status_record status;
  ASSERT_EQ(qudag_status(client.node, &status), 0);
  EXPECT_EQ(status.nodes_known, 2u);
  EXPECT_EQ(status.joined, 0);  // two nodes are too few for three relays
  EXPECT_EQ(status.outcomes_waiting, 0u);
  EXPECT_EQ(qudag_wait_joined(client.node, 3, 0), QUDAG_TIMED_OUT);
  EXPECT_THAT(qudag_last_error(), HasSubstr("3 relays are wanted"));
}

TEST(CApi, ListensToChannels) {
  const NodeOwner server;
  const std::string entry = std::string(server.id) + "@" + server.address;
  const NodeOwner client(entry.c_str());
  ASSERT_EQ(qudag_wait_known(client.node, server.id, kPatience), 0) << qudag_last_error();
  qudag_send_options how = direct();
  how.channel = 7;
  ASSERT_EQ(qudag_send(client.node, server.id, "x", 1, &how, nullptr), 0);
  EXPECT_EQ(client.outcome().kind, QUDAG_REFUSED);
  ASSERT_EQ(qudag_listen(server.node, 7, 1), 0);
  ASSERT_EQ(qudag_send(client.node, server.id, "x", 1, &how, nullptr), 0);
  EXPECT_EQ(client.outcome().kind, QUDAG_DELIVERED);
  qudag_message* message = server.receive();
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(qudag_message_channel(message), 7);
  qudag_message_free(message);
  ASSERT_EQ(qudag_listen(server.node, 7, 0), 0);
  ASSERT_EQ(qudag_send(client.node, server.id, "x", 1, &how, nullptr), 0);
  EXPECT_EQ(client.outcome().kind, QUDAG_REFUSED);
}

// A destination that floods who asked it could else ask every node for a place, and see who has
// none.
TEST(CApi, RepliesFillNoPlaceOfMessages) {
  const NodeOwner hostile;
  const std::string entry = std::string(hostile.id) + "@" + hostile.address;
  const NodeOwner asked(entry.c_str());
  ASSERT_EQ(qudag_wait_known(asked.node, hostile.id, kPatience), 0) << qudag_last_error();
  const qudag_send_options how = direct();
  ASSERT_EQ(qudag_send(asked.node, hostile.id, "?", 1, &how, nullptr), 0);
  qudag_message* question = hostile.receive();
  ASSERT_NE(question, nullptr);
  ASSERT_EQ(asked.outcome().kind, QUDAG_DELIVERED);
  qudag_outcome_kind last = QUDAG_DELIVERED;
  constexpr int kMost = 5'000, kAtOnce = 100;
  int replies = 0;
  while (last == QUDAG_DELIVERED && replies < kMost) {
    for (int i = 0; i < kAtOnce; ++i) {
      ASSERT_EQ(qudag_reply(hostile.node, question, "!", 1, &how, nullptr), 0);
    }
    for (int i = 0; i < kAtOnce; ++i) last = hostile.outcome().kind;
    replies += kAtOnce;
  }
  qudag_message_free(question);
  ASSERT_EQ(last, QUDAG_REFUSED) << replies;
  ASSERT_EQ(qudag_wait_known(hostile.node, asked.id, kPatience), 0) << qudag_last_error();
  ASSERT_EQ(qudag_send(hostile.node, asked.id, "?", 1, &how, nullptr), 0);
  EXPECT_EQ(hostile.outcome().kind, QUDAG_DELIVERED);
}

/// The server acknowledges what it gets; the client knows it.
struct CAcknowledged : ::testing::Test {
  void SetUp() override {
    ASSERT_EQ(qudag_wait_known(client.node, server.id, kPatience), 0) << qudag_last_error();
  }
  void send(const char* text, uint32_t ttl_ms = 60'000) const {
    qudag_send_options how = direct();
    how.ttl_ms = ttl_ms;
    ASSERT_EQ(qudag_send(client.node, server.id, text, std::strlen(text), &how, nullptr), 0)
        << qudag_last_error();
  }
  static std::string text_of(const qudag_message* message) {
    std::string out(qudag_message_size(message), ' ');
    EXPECT_EQ(qudag_message_copy(message, 0, out.data(), out.size()), out.size());
    return out;
  }
  /// Answers what comes next, and frees it. What it was.
  std::string answer_next(qudag_answer answer, uint32_t delay_ms = 0) const {
    qudag_message* message = server.receive();
    EXPECT_NE(message, nullptr);
    std::string text = text_of(message);
    EXPECT_EQ(qudag_acknowledge(server.node, message, answer, delay_ms), 0) << qudag_last_error();
    qudag_message_free(message);
    return text;
  }

  const NodeOwner server{nullptr, 1};
  const std::string entry = std::string(server.id) + "@" + server.address;
  const NodeOwner client{entry.c_str()};
};

TEST_F(CAcknowledged, TheSenderHearsWhatTheCallerSays) {
  send("one");
  qudag_message* message = server.receive();
  ASSERT_NE(message, nullptr);
  EXPECT_FALSE(client.readable(0));
  ASSERT_EQ(qudag_acknowledge(server.node, message, QUDAG_TAKEN, 0), 0);
  EXPECT_EQ(client.outcome().kind, QUDAG_DELIVERED);
  EXPECT_EQ(text_of(message), "one");  // it is the caller's until it is freed
  qudag_message_free(message);
  send("two");
  EXPECT_EQ(answer_next(QUDAG_REFUSE), "two");
  EXPECT_EQ(client.outcome().kind, QUDAG_REFUSED);
}

TEST_F(CAcknowledged, WhatIsAskedForAgainComesAgain) {
  send("one");
  EXPECT_EQ(answer_next(QUDAG_AGAIN), "one");
  EXPECT_EQ(answer_next(QUDAG_AGAIN, 30), "one");  // the descriptor wakes in time
  EXPECT_FALSE(client.readable(0));
  EXPECT_EQ(answer_next(QUDAG_TAKEN), "one");
  EXPECT_EQ(client.outcome().kind, QUDAG_DELIVERED);
  EXPECT_FALSE(server.readable(0));
}

TEST_F(CAcknowledged, WhatComesAgainIsBehindWhatWaits) {
  send("one");
  send("two");
  qudag_message* one = server.receive();
  EXPECT_TRUE(server.readable()) << "the second waits";
  EXPECT_EQ(qudag_acknowledge(server.node, one, QUDAG_AGAIN, 0), 0);
  qudag_message_free(one);
  EXPECT_EQ(answer_next(QUDAG_TAKEN), "two");
  EXPECT_EQ(answer_next(QUDAG_TAKEN), "one");
}

TEST_F(CAcknowledged, WhatIsFreedWithoutAnAnswerIsRefused) {
  send("one");
  qudag_message_free(server.receive());
  EXPECT_EQ(client.outcome().kind, QUDAG_REFUSED);
}

TEST_F(CAcknowledged, WhatIsOverItsTimeToLiveComesToNobody) {
  send("one", 1'000);
  EXPECT_EQ(answer_next(QUDAG_AGAIN, 3'600'000), "one");
  EXPECT_EQ(client.outcome().kind, QUDAG_EXPIRED);
  qudag_message* message = nullptr;
  EXPECT_EQ(qudag_receive(server.node, &message), QUDAG_WOULD_BLOCK);
}

TEST_F(CAcknowledged, AnAnswerThatMakesNoSenseChangesNothing) {
  send("one");
  qudag_message* message = server.receive();
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(qudag_acknowledge(nullptr, message, QUDAG_TAKEN, 0), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_acknowledge(server.node, nullptr, QUDAG_TAKEN, 0), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_acknowledge(client.node, message, QUDAG_TAKEN, 0), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_acknowledge(server.node, message, static_cast<qudag_answer>(3), 0),
            QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_acknowledge(server.node, message, QUDAG_AGAIN, 3'600'001),
            QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_acknowledge(server.node, message, QUDAG_TAKEN, 1), QUDAG_INVALID_ARGUMENT);
  EXPECT_FALSE(client.readable(0));
  EXPECT_EQ(qudag_acknowledge(server.node, message, QUDAG_TAKEN, 0), 0);
  EXPECT_EQ(qudag_acknowledge(server.node, message, QUDAG_TAKEN, 0), QUDAG_NOT_FOUND);
  EXPECT_EQ(client.outcome().kind, QUDAG_DELIVERED);
  qudag_message_free(message);

  ASSERT_EQ(qudag_listen(server.node, 0, 1), 0);
  send("two");
  message = server.receive();
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(client.outcome().kind, QUDAG_DELIVERED);
  EXPECT_EQ(qudag_acknowledge(server.node, message, QUDAG_REFUSE, 0), QUDAG_NOT_FOUND);
  qudag_message_free(message);
  EXPECT_EQ(qudag_listen_acknowledged(nullptr, 0), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_options_set_acknowledged(nullptr, 1), QUDAG_INVALID_ARGUMENT);
}

TEST_F(CAcknowledged, WhatIsInHandCountsUntilItIsAnswered) {
  constexpr int kMost = 4'096;
  std::vector<qudag_message*> in_hand;
  for (int i = 0; i < kMost; ++i) {
    send("x");
    in_hand.push_back(server.receive());
    ASSERT_NE(in_hand.back(), nullptr);
  }
  send("one too many");
  EXPECT_EQ(client.outcome().kind, QUDAG_REFUSED);
  ASSERT_EQ(qudag_acknowledge(server.node, in_hand[0], QUDAG_TAKEN, 0), 0);
  EXPECT_EQ(client.outcome().kind, QUDAG_DELIVERED);
  send("y");
  EXPECT_EQ(answer_next(QUDAG_TAKEN), "y");
  for (qudag_message* message : in_hand) qudag_message_free(message);
}

TEST_F(CAcknowledged, WhatIsInHandMayOutliveItsNode) {
  send("one");
  qudag_message* message = server.receive();
  ASSERT_NE(message, nullptr);
  ASSERT_EQ(qudag_stop(server.node, 0), 0);
  EXPECT_EQ(qudag_acknowledge(server.node, message, QUDAG_TAKEN, 0), QUDAG_SHUTTING_DOWN);
  EXPECT_EQ(text_of(message), "one");
  qudag_message_free(message);
}

TEST(CApi, EverySendHasItsOutcomeAfterTheStop) {
  const NodeOwner server;
  const std::string entry = std::string(server.id) + "@" + server.address;
  const NodeOwner client(entry.c_str());
  ASSERT_EQ(qudag_wait_known(client.node, server.id, kPatience), 0) << qudag_last_error();
  const qudag_send_options how = direct();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(qudag_send(client.node, server.id, nullptr, 0, &how, nullptr), 0);
  }
  EXPECT_EQ(qudag_send(client.node, server.id, nullptr, 1, &how, nullptr), QUDAG_INVALID_ARGUMENT);
  EXPECT_EQ(qudag_send(client.node, "nobody", "x", 1, &how, nullptr), 101);
  EXPECT_EQ(qudag_stop(client.node, 0), 0);
  qudag_outcome outcome;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(qudag_next_outcome(client.node, &outcome), 0);
  EXPECT_EQ(qudag_next_outcome(client.node, &outcome), QUDAG_WOULD_BLOCK);
  EXPECT_EQ(qudag_send(client.node, server.id, "x", 1, &how, nullptr), QUDAG_SHUTTING_DOWN);
  const qudag_message_id nothing{};
  EXPECT_EQ(qudag_cancel(client.node, &nothing), QUDAG_SHUTTING_DOWN);
}

}  // namespace
