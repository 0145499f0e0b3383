// A stream client that keeps what it gets.
#pragma once

#include "api/client/stream_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <vector>

namespace qudag::api::test {

struct Received {
  MessageId id;
  std::vector<std::byte> payload;
  Priority priority = Priority::normal;
  std::optional<NodeId> sender;
  std::optional<ReplyTo> reply_to;
  std::optional<MessageId> in_reply_to;
  std::optional<std::uint64_t> token;
  bool kept = false;
};

/// A stream client that keeps what it gets.
struct Listener {
  explicit Listener(const std::filesystem::path& socket) {
    auto opened = StreamClient::open(loop, socket, [this](const ServerRecord& record) {
      if (const auto* m = std::get_if<MessageRecord>(&record)) {
        messages.push_back({m->id,
                            {m->payload.begin(), m->payload.end()},
                            m->priority,
                            m->sender,
                            m->reply_to,
                            m->in_reply_to,
                            m->token,
                            m->kept});
      } else if (const auto* outcome = std::get_if<OutcomeRecord>(&record)) {
        outcomes.push_back({outcome->request, outcome->id, outcome->outcome, outcome->reason});
      } else if (const auto* no = std::get_if<NotCancelledRecord>(&record)) {
        not_cancelled.emplace_back(no->request, no->reason);
      }
    });
    EXPECT_TRUE(opened) << opened.error().message();
    if (opened) client = std::move(*opened);
  }
  bool until(std::size_t message_count, std::size_t outcome_count = 0) {
    return loop.run_until(
        [&] {
          return (messages.size() >= message_count && outcomes.size() >= outcome_count) ||
                 client->ended();
        },
        std::chrono::seconds(20));
  }

  struct Ended {
    std::uint64_t request;
    MessageId id;
    Outcome outcome;
    Errc reason;
  };
  ClientLoop loop;
  std::unique_ptr<StreamClient> client;
  std::vector<Received> messages;
  std::vector<Ended> outcomes;
  std::vector<std::pair<std::uint64_t, Errc>> not_cancelled;
};

}  // namespace qudag::api::test
