// Clients of a node with an inbox: what came before them comes first, and what they leave comes
// again in its place.
#include "listener.h"
#include "two_nodes.h"

#include <algorithm>

namespace qudag::api::test {
namespace {

using Answer = AcknowledgeRecord::Answer;

struct Inbox : TwoNodes {
  Inbox() { inbox_ = {.dir = directory_.path() / "inbox", .accept = true}; }

  /// Messages with these numbers, which have their outcome when this returns.
  void send(Listener& source, std::uint8_t first, std::uint8_t last) {
    for (std::uint8_t i = first; i <= last; ++i) {
      const std::array payload{static_cast<std::byte>(i)};
      ASSERT_TRUE(source.client->send({.request = i,
                                       .destination = b_.node->id(),
                                       .options = direct(),
                                       .progress = false,
                                       .payload = payload}));
    }
    ASSERT_TRUE(source.until(0, source.outcomes.size() + last - first + 1u));
    for (const auto& end : source.outcomes) EXPECT_EQ(end.outcome, Outcome::delivered);
  }
  static std::vector<int> numbers(const Listener& client) {
    std::vector<int> out;
    for (const Received& message : client.messages) {
      out.push_back(std::to_integer<int>(message.payload.at(0)));
    }
    return out;
  }
  static void acknowledge(Listener& client, std::size_t index, Answer answer = Answer::taken) {
    ASSERT_TRUE(
        client.client->acknowledge({.token = *client.messages.at(index).token, .answer = answer}));
    ASSERT_TRUE(client.loop.run_until([&] { return client.client->queued_bytes() == 0; },
                                      std::chrono::seconds(20)));
  }
  std::uint64_t kept() { return b_.node->status().get().inbox->messages; }
};

TEST_F(Inbox, WhatCameBeforeComesFirstAndWhatIsLeftComesAgainInItsPlace) {
  Listener source(a_.socket);
  ASSERT_NO_FATAL_FAILURE(send(source, 1, 5));
  EXPECT_EQ(kept(), 5u);
  {
    Listener first(b_.socket);
    ASSERT_TRUE(first.client->subscribe(0, 0, true));
    ASSERT_TRUE(first.until(5));
    EXPECT_EQ(numbers(first), (std::vector<int>{1, 2, 3, 4, 5}));
    EXPECT_FALSE(first.messages[0].reply_to);
    ASSERT_NO_FATAL_FAILURE(acknowledge(first, 1));
    ASSERT_NO_FATAL_FAILURE(acknowledge(first, 3, Answer::refused));
    ASSERT_TRUE(wait_for([&] { return kept() == 4; }));
  }  // it dies with three in hand
  ASSERT_NO_FATAL_FAILURE(send(source, 6, 7));
  Listener second(b_.socket);
  ASSERT_TRUE(second.client->subscribe(0, 0, true));
  ASSERT_TRUE(second.until(6));
  EXPECT_EQ(numbers(second), (std::vector<int>{1, 3, 4, 5, 6, 7}));
  for (const Received& message : second.messages) EXPECT_TRUE(message.kept);
  for (std::size_t i = 0; i < 6; ++i) ASSERT_NO_FATAL_FAILURE(acknowledge(second, i));
  ASSERT_TRUE(wait_for([&] { return kept() == 0; }));
}

TEST_F(Inbox, AClientWithoutAcknowledgementsHasThemWhenTheyAreQueued) {
  Listener source(a_.socket);
  ASSERT_NO_FATAL_FAILURE(send(source, 1, 3));
  const auto status = Client(b_.socket).get("/v1/status");
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("\"inbox\":{\"accept\":true,\"messages\":3,"), std::string::npos);
  Listener client(b_.socket);
  ASSERT_TRUE(client.client->subscribe());
  ASSERT_TRUE(client.until(3));
  EXPECT_EQ(numbers(client), (std::vector<int>{1, 2, 3}));
  ASSERT_TRUE(wait_for([&] { return kept() == 0; }));
}

TEST_F(Inbox, AClientThatTakesOneAtATimeGetsThemAll) {
  Listener source(a_.socket);
  ASSERT_NO_FATAL_FAILURE(send(source, 1, 4));
  for (int i = 1; i <= 4; ++i) {
    Listener client(b_.socket);
    ASSERT_TRUE(client.client->subscribe(1, 0, true));
    ASSERT_TRUE(client.until(1));
    EXPECT_EQ(numbers(client), std::vector<int>{i});
    ASSERT_NO_FATAL_FAILURE(acknowledge(client, 0));
    ASSERT_TRUE(wait_for([&] { return kept() == 4u - static_cast<unsigned>(i); }));
  }
}

}  // namespace
}  // namespace qudag::api::test
