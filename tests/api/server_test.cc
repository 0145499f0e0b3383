// The server between two real nodes: HTTP and WebSocket, sending, receiving, replies, and
// everything that a client can do wrong.
#include "listener.h"
#include "two_nodes.h"

#include "api/records/encoding.h"
#include "api/socket/listen.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <latch>

namespace qudag::api::test {

std::string raw_http(const std::filesystem::path& socket, std::string_view text) {
  const auto fd = connect_to(socket);
  EXPECT_TRUE(fd);
  if (!fd) return {};
  const timeval patience{20, 0};
  ::setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  EXPECT_EQ(::send(*fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  std::string out;
  char piece[4096];
  for (ssize_t n; (n = ::read(*fd, piece, sizeof piece)) > 0;) {
    out.append(piece, static_cast<std::size_t>(n));
  }
  ::close(*fd);
  return out;
}

namespace {

std::vector<std::byte> pattern(std::size_t n) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(i * 31 + i / 251);
  return out;
}

TEST_F(TwoNodes, PagesAnswer) {
  const Client client(a_.socket);
  const auto status = client.get("/v1/status");
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_NE(status->find(a_.node->id().to_string()), std::string::npos);
  const auto peers = client.get("/v1/peers");
  ASSERT_TRUE(peers);
  EXPECT_NE(peers->find("X25519MLKEM768"), std::string::npos);
  EXPECT_NE(peers->find("mldsa65"), std::string::npos);
  ASSERT_TRUE(client.get("/v1/circuits"));
  const auto queues = client.get("/v1/queues");
  ASSERT_TRUE(queues);
  EXPECT_NE(queues->find("\"name\":\"messages to be sent\",\"level\":\"high\""), std::string::npos);
  EXPECT_NE(queues->find("\"name\":\"connections of the API\""), std::string::npos);
  EXPECT_NE(queues->find("\"name\":\"messages of clients, under way\""), std::string::npos);
  const auto metrics = client.get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_NE(metrics->find("\nqudag_api_requests_total "), std::string::npos);
  const auto requests = client.metric("qudag_api_requests_total");
  ASSERT_TRUE(requests);
  EXPECT_GE(*requests, 2);
  const auto missing = client.get("/v1/nothing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
}

TEST(Client, ReadsOneMetricOfAPage) {
  constexpr std::string_view kPage =
      "# HELP a_total things\n# TYPE a_total counter\n"
      "a_total{kind=\"x\",to=\"1\"} 2\na_total{kind=\"y\"} 3.5\na_total_more 7\nb 1e3";
  EXPECT_EQ(metric_in(kPage, "a_total"), 5.5);
  EXPECT_EQ(metric_in(kPage, "a_total", "kind=\"x\""), 2);
  EXPECT_EQ(metric_in(kPage, "a_total", "2"), 0) << "a value is no label";
  EXPECT_EQ(metric_in(kPage, "b"), 1'000);
  EXPECT_EQ(metric_in(kPage, "a"), 0);
  EXPECT_EQ(metric_in("", "a"), 0);
}

TEST_F(TwoNodes, PostedBodiesOfManySizesArriveWhole) {
  Listener listener(b_.socket);
  ASSERT_TRUE(listener.client->subscribe());
  const Client client(a_.socket);
  std::size_t count = 0;
  for (const std::size_t size : {0, 1, 1023, 1024, 8192, 100'000, 5'000'000}) {
    const auto payload = pattern(size);
    Result<Delivery> delivery = fail(Errc::internal);
    std::atomic<bool> done{false};
    std::thread poster([&] {
      SendOptions options = direct();
      options.priority = size > 10'000 ? Priority::low : Priority::normal;
      delivery = client.send(b_.node->id(), payload, options);
      done = true;
    });
    EXPECT_TRUE(listener.until(++count));
    poster.join();
    ASSERT_TRUE(delivery) << delivery.error().message();
    EXPECT_EQ(delivery->outcome, Outcome::delivered) << delivery->reason.message();
    ASSERT_EQ(listener.messages.size(), count);
    EXPECT_EQ(listener.messages.back().payload, payload) << size;
  }
}

TEST_F(TwoNodes, ManySmallSendsShareWebSocketMessages) {
  constexpr std::uint64_t kCount = 2'000;
  Listener source(a_.socket);
  Listener listener(b_.socket);
  ASSERT_TRUE(listener.client->subscribe());
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const auto payload = pattern(64 + i % 7);
    ASSERT_TRUE(source.client->send({.request = i,
                                     .destination = b_.node->id(),
                                     .options = direct(),
                                     .progress = false,
                                     .payload = payload}));
  }
  ASSERT_TRUE(source.until(0, kCount));
  ASSERT_TRUE(listener.until(kCount));
  std::vector<bool> seen(kCount);
  for (const auto& ended : source.outcomes) {
    EXPECT_EQ(ended.outcome, Outcome::delivered) << name_of(ended.reason);
    ASSERT_LT(ended.request, kCount);
    EXPECT_FALSE(seen[ended.request]) << "two outcomes";
    seen[ended.request] = true;
  }
  EXPECT_EQ(listener.messages.size(), kCount);
}

TEST_F(TwoNodes, ReplyGoesBackWithoutKnowingTheSender) {
  Listener source(a_.socket);
  Listener listener(b_.socket);
  ASSERT_TRUE(source.client->subscribe());
  ASSERT_TRUE(listener.client->subscribe());
  const auto question = pattern(10);
  const auto answer = pattern(3'000);
  ASSERT_TRUE(source.client->send({.request = 1,
                                   .destination = b_.node->id(),
                                   .options = direct(),
                                   .progress = false,
                                   .payload = question}));
  ASSERT_TRUE(listener.until(1));
  ASSERT_EQ(listener.messages.size(), 1u);
  EXPECT_FALSE(listener.messages[0].sender);
  ASSERT_TRUE(listener.messages[0].reply_to);
  ASSERT_TRUE(listener.client->reply({.request = 9,
                                      .to = *listener.messages[0].reply_to,
                                      .ttl = std::chrono::seconds(20),
                                      .payload = answer}));
  ASSERT_TRUE(source.until(1));
  ASSERT_EQ(source.messages.size(), 1u);
  EXPECT_EQ(source.messages[0].payload, answer);
  EXPECT_TRUE(source.messages[0].in_reply_to);
  ASSERT_TRUE(listener.until(1, 1));
  EXPECT_EQ(listener.outcomes[0].request, 9u);
  EXPECT_EQ(listener.outcomes[0].outcome, Outcome::delivered);
}

/// What `name` has in a line of JSON; empty if it is not there.
std::string field(std::string_view json, std::string_view name) {
  const std::string key = "\"" + std::string(name) + "\":\"";
  const std::size_t at = json.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = json.substr(at + key.size());
  return std::string(rest.substr(0, rest.find('"')));
}

/// What a connection of its own sends with POST; the whole answer.
std::string post(const std::filesystem::path& socket, std::string_view target,
                 std::string_view body) {
  return raw_http(socket, fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                      "Content-Length: {}\r\n\r\n{}",
                                      target, body.size(), body));
}

TEST_F(TwoNodes, EveryOutcomeNamesItsMessage) {
  Listener source(a_.socket);
  Listener listener(b_.socket);
  ASSERT_TRUE(listener.client->subscribe());
  const auto send = [&](std::uint64_t request) {
    return source.client->send({.request = request,
                                .destination = b_.node->id(),
                                .options = direct(),
                                .progress = false,
                                .payload = {}});
  };
  ASSERT_TRUE(send(1));
  ASSERT_TRUE(source.until(0, 1));
  ASSERT_TRUE(listener.until(1));
  EXPECT_NE(source.outcomes[0].id, MessageId{});
  EXPECT_EQ(source.outcomes[0].id, listener.messages[0].id);

  const auto delivery = Client(a_.socket).send(b_.node->id(), {}, direct());
  ASSERT_TRUE(delivery) << delivery.error().message();
  ASSERT_TRUE(listener.until(2));
  EXPECT_EQ(delivery->id, listener.messages[1].id);

  const std::string target = fmt::format("/v1/messages?to={}&relays=0", b_.node->id().to_string());
  const std::string answer = post(a_.socket, target, "x");
  ASSERT_TRUE(listener.until(3));
  EXPECT_EQ(field(answer, "id"), listener.messages[2].id.to_string()) << answer;

  // With progress the first line says it, and the last.
  const std::string lines = post(a_.socket, target + "&progress=true", "x");
  ASSERT_TRUE(listener.until(4));
  const std::string id = listener.messages[3].id.to_string();
  const std::size_t first = lines.find("{\"id\":\"" + id + "\"}\n");
  ASSERT_NE(first, std::string::npos) << lines;
  EXPECT_EQ(field(lines.substr(first + 2 + id.size()), "id"), id) << lines;

  // Refused by the destination, and at once.
  listener.client->unsubscribe();
  ASSERT_TRUE(listener.client->subscribe(1, 9));
  ASSERT_TRUE(send(2));
  ASSERT_TRUE(source.until(0, 2));
  EXPECT_EQ(source.outcomes[1].outcome, Outcome::refused);
  EXPECT_NE(source.outcomes[1].id, MessageId{});
  EXPECT_EQ(field(post(a_.socket, target, "x"), "id").size(), MessageId::kTextSize);
  ASSERT_TRUE(source.client->reply({.request = 3, .to = {}, .payload = {}}));
  ASSERT_TRUE(source.until(0, 3));
  EXPECT_EQ(source.outcomes[2].id, MessageId{});
  EXPECT_EQ(source.outcomes[2].reason, Errc::invalid_argument);
  for (const char* form : {"", "&progress=true"}) {
    const std::string no = post(a_.socket, "/v1/replies?to=" + std::string(32, '0') + form, "x");
    EXPECT_NE(no.find("{\"id\":null,\"outcome\":\"failed\""), std::string::npos) << no;
    EXPECT_EQ(no.find("{\"id\":\""), std::string::npos) << no;
  }
}

/// The whole answer to a DELETE.
std::string cancel(const std::filesystem::path& socket, const std::string& id) {
  return raw_http(
      socket, "DELETE /v1/messages/" + id + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

/// b takes one message and then nothing until the end, so that a's have no outcome.
class Cancelling : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    b_.node->on_message([this](Message&&) {
      if (!held_.exchange(true)) came_.set_value();
      open_.wait();
      return Accept::taken;
    });
    first_ = a_.node->send(b_.node->id(), std::span<const std::byte>(), direct());
    came_.get_future().wait();
  }
  void TearDown() override {
    open_.count_down();
    EXPECT_EQ(first_.get().outcome, Outcome::delivered);
  }
  Status send(Listener& source, std::uint64_t request) {
    return source.client->send({.request = request,
                                .destination = b_.node->id(),
                                .options = direct(),
                                .progress = false,
                                .payload = {}});
  }

  std::atomic<bool> held_{false};
  std::promise<void> came_;
  std::latch open_{1};
  std::future<Delivery> first_;
};

TEST_F(Cancelling, DeleteEndsAPost) {
  // Read as it comes: the id is in the first line, and the rest waits for the outcome.
  const auto fd = connect_to(a_.socket);
  ASSERT_TRUE(fd);
  const timeval patience{20, 0};
  ::setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const std::string request = fmt::format(
      "POST /v1/messages?to={}&relays=0&progress=true HTTP/1.1\r\nHost: x\r\n"
      "Connection: close\r\nContent-Length: 1\r\n\r\nx",
      b_.node->id().to_string());
  ASSERT_EQ(::send(*fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string text;
  char piece[4096];
  const auto read_until = [&](std::string_view what) {
    for (ssize_t n = 0; text.find(what) == std::string::npos;) {
      if ((n = ::read(*fd, piece, sizeof piece)) <= 0) return false;
      text.append(piece, static_cast<std::size_t>(n));
    }
    return true;
  };
  ASSERT_TRUE(read_until("}\n")) << text;
  const std::string id = field(text, "id");
  ASSERT_EQ(id.size(), MessageId::kTextSize) << text;
  EXPECT_EQ(text.find("outcome"), std::string::npos) << text;

  const std::string done = cancel(a_.socket, id);
  EXPECT_TRUE(done.starts_with("HTTP/1.1 204 ")) << done;
  EXPECT_TRUE(done.ends_with("\r\n\r\n")) << done;
  EXPECT_TRUE(read_until("\"outcome\":\"failed\"")) << text;
  EXPECT_TRUE(read_until("\"code\":\"cancelled\"")) << text;
  ::close(*fd);
  // Neither a second time, nor what the library sent, nor what never was.
  const std::string again = cancel(a_.socket, id);
  EXPECT_TRUE(again.starts_with("HTTP/1.1 404 ")) << again;
  EXPECT_NE(again.find("no message with this id is under way"), std::string::npos) << again;
  const auto own = a_.node->send(b_.node->id(), std::span<const std::byte>(), direct(), {});
  ASSERT_TRUE(own);
  EXPECT_TRUE(cancel(a_.socket, own->to_string()).starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(cancel(a_.socket, std::string(32, '0')).starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(cancel(a_.socket, "x").starts_with("HTTP/1.1 400 "));
}

TEST_F(Cancelling, ARecordEndsASendOfItsConnection) {
  Listener source(a_.socket);
  Listener other(a_.socket);
  ASSERT_TRUE(send(source, 7));
  ASSERT_TRUE(send(source, 8));
  ASSERT_TRUE(source.client->cancel(9));
  ASSERT_TRUE(source.loop.run_until([&] { return !source.not_cancelled.empty(); },
                                    std::chrono::seconds(20)));
  // Its request is not another's.
  ASSERT_TRUE(other.client->cancel(7));
  ASSERT_TRUE(
      other.loop.run_until([&] { return !other.not_cancelled.empty(); }, std::chrono::seconds(20)));
  EXPECT_EQ(other.not_cancelled[0], std::pair(std::uint64_t{7}, Errc::not_found));
  EXPECT_TRUE(source.outcomes.empty());

  ASSERT_TRUE(source.client->cancel(7));
  ASSERT_TRUE(source.client->cancel(7));
  ASSERT_TRUE(source.until(0, 1));
  EXPECT_EQ(source.outcomes[0].request, 7u);
  EXPECT_EQ(source.outcomes[0].outcome, Outcome::failed);
  EXPECT_EQ(source.outcomes[0].reason, Errc::cancelled);
  ASSERT_TRUE(source.loop.run_until([&] { return source.not_cancelled.size() == 2; },
                                    std::chrono::seconds(20)));
  EXPECT_EQ(source.not_cancelled[0], std::pair(std::uint64_t{9}, Errc::not_found));
  EXPECT_EQ(source.not_cancelled[1], std::pair(std::uint64_t{7}, Errc::not_found));
  EXPECT_FALSE(source.client->ended());

  // Two of one number: each CANCEL ends one.
  ASSERT_TRUE(send(source, 8));
  ASSERT_TRUE(source.client->cancel(8));
  ASSERT_TRUE(source.client->cancel(8));
  ASSERT_TRUE(source.until(0, 3));
  EXPECT_EQ(source.outcomes[1].reason, Errc::cancelled);
  EXPECT_EQ(source.outcomes[2].reason, Errc::cancelled);
  EXPECT_NE(source.outcomes[1].id, source.outcomes[2].id);
}

TEST_F(TwoNodes, ARecordEndsAReply) {
  Listener source(a_.socket);
  Listener listener(b_.socket);
  ASSERT_TRUE(listener.client->subscribe());
  ASSERT_TRUE(source.client->send({.request = 1,
                                   .destination = b_.node->id(),
                                   .options = direct(),
                                   .progress = false,
                                   .payload = {}}));
  ASSERT_TRUE(source.until(0, 1));
  ASSERT_TRUE(listener.until(1));
  ASSERT_TRUE(listener.messages[0].reply_to);
  // a takes the first answer and then nothing until the end.
  struct Hold {
    std::atomic<bool> held{false};
    std::promise<void> came;
    std::latch open{1};
  };
  const auto hold = std::make_shared<Hold>();  // the handler may outlive this
  a_.node->on_message([hold](Message&&) {
    if (!hold->held.exchange(true)) hold->came.set_value();
    hold->open.wait();
    return Accept::taken;
  });
  const auto reply = [&](std::uint64_t request) {
    return listener.client->reply(
        {.request = request, .to = *listener.messages[0].reply_to, .payload = {}});
  };
  EXPECT_TRUE(reply(2));
  auto first = hold->came.get_future();
  EXPECT_TRUE(listener.loop.run_until(
      [&] { return first.wait_for(std::chrono::seconds(0)) == std::future_status::ready; },
      std::chrono::seconds(20)));
  EXPECT_TRUE(reply(3));
  EXPECT_TRUE(listener.client->cancel(3));
  EXPECT_TRUE(listener.until(1, 1));
  hold->open.count_down();
  EXPECT_TRUE(listener.until(1, 2));
  ASSERT_EQ(listener.outcomes.size(), 2u);
  EXPECT_EQ(listener.outcomes[0].request, 3u);
  EXPECT_EQ(listener.outcomes[0].reason, Errc::cancelled);
  EXPECT_EQ(listener.outcomes[1].outcome, Outcome::delivered);
}

/// Case A1: clients that give up leave no connection behind, and their messages go on.
struct FewConnections : Cancelling {
  FewConnections() { api_.connections = 6; }
};

TEST_F(FewConnections, AClientThatGoesFreesItsPlaceAndItsMessageGoesOn) {
  for (int round = 0; round < 5; ++round) {
    std::vector<int> clients;
    for (std::size_t i = 0; i < api_.connections - 2; ++i) {
      const auto fd = connect_to(a_.socket);
      ASSERT_TRUE(fd);
      const std::string text = fmt::format(
          "POST /v1/messages?to={}&ttl=10m&relays=0&progress=true HTTP/1.1\r\nHost: x\r\n"
          "Content-Length: 1\r\n\r\nx",
          b_.node->id().to_string());
      ASSERT_EQ(::send(*fd, text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
      char first;
      ASSERT_EQ(::read(*fd, &first, 1), 1) << "the message was accepted";
      clients.push_back(*fd);
    }
    for (const int fd : clients) ::close(fd);
    EXPECT_TRUE(wait_for([&] {
      const auto open =
          Client(a_.socket).metric("qudag_api_connections_open", "", std::chrono::seconds(20));
      return open && *open == 1;  // this one
    })) << "round "
        << round;
  }
}

struct FewOutstanding : TwoNodes {
  FewOutstanding() { api_.outstanding = 4; }
};

TEST_F(FewOutstanding, AFloodOfCancelsOfNothingEndsItsConnection) {
  Listener source(a_.socket);
  for (std::uint64_t i = 0; i < 1'000; ++i) ASSERT_TRUE(source.client->cancel(i));
  ASSERT_TRUE(source.loop.run_until([&] { return source.client->ended().has_value(); },
                                    std::chrono::seconds(20)));
  EXPECT_EQ(source.client->ended()->code, Errc::refused_queue_full);
  EXPECT_TRUE(Client(a_.socket).get("/v1/status"));
}

TEST_F(TwoNodes, AReplyIsPostedAndSaysWhatItAnswers) {
  Listener source(a_.socket);
  Listener listener(b_.socket);
  ASSERT_TRUE(source.client->subscribe());
  ASSERT_TRUE(listener.client->subscribe());
  ASSERT_TRUE(source.client->send({.request = 1,
                                   .destination = b_.node->id(),
                                   .options = direct(),
                                   .progress = false,
                                   .payload = {}}));
  ASSERT_TRUE(listener.until(1));
  EXPECT_FALSE(listener.messages[0].in_reply_to);
  ASSERT_TRUE(listener.messages[0].reply_to);
  const std::string target = "/v1/replies?to=" + to_text(*listener.messages[0].reply_to);
  std::string answer;
  std::thread poster([&] { answer = post(b_.socket, target + "&progress=true", "over HTTP"); });
  EXPECT_TRUE(source.until(1, 1));
  poster.join();
  ASSERT_EQ(source.messages.size(), 1u) << answer;
  EXPECT_EQ(source.messages[0].in_reply_to, source.outcomes[0].id);
  EXPECT_EQ(field(answer, "id"), source.messages[0].id.to_string()) << answer;
  EXPECT_EQ(field(answer, "outcome"), "delivered") << answer;

  // The same message is answered again, and this time HTTP takes the answer.
  source.client->unsubscribe();
  EXPECT_TRUE(wait_for([&] { return field(post(b_.socket, target, "x"), "outcome") == "refused"; }))
      << "nobody receives any more";
  std::string received;
  std::thread receiver([&] {
    received = raw_http(a_.socket, "GET /v1/messages?count=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  // Refused until the receiver has subscribed.
  EXPECT_TRUE(
      wait_for([&] { return field(post(b_.socket, target, "x"), "outcome") == "delivered"; }));
  receiver.join();
  EXPECT_EQ(field(received, "in_reply_to"), source.outcomes[0].id.to_string()) << received;
}

TEST_F(TwoNodes, SignedMessageNamesItsSender) {
  Listener source(a_.socket);
  Listener listener(b_.socket);
  ASSERT_TRUE(listener.client->subscribe());
  SendOptions options = direct();
  options.sign = true;
  const auto payload = pattern(10);
  ASSERT_TRUE(source.client->send({.request = 1,
                                   .destination = b_.node->id(),
                                   .options = options,
                                   .progress = false,
                                   .payload = payload}));
  ASSERT_TRUE(source.until(0, 1));
  ASSERT_TRUE(listener.until(1));
  ASSERT_EQ(listener.messages.size(), 1u);
  EXPECT_EQ(listener.messages[0].sender, a_.node->id());
}

TEST_F(TwoNodes, TwoProgramsOnOneNodeTakeTheirOwnMessages) {
  Listener news(b_.socket);
  Listener mail(b_.socket);
  ASSERT_TRUE(news.client->subscribe(0, 7));
  ASSERT_TRUE(mail.client->subscribe(0, 8));
  const Client client(a_.socket);
  SendOptions options = direct();
  for (const ChannelNumber channel : std::array<ChannelNumber, 3>{7, 8, 7}) {
    options.channel = channel;
    const auto delivery = client.send(b_.node->id(), pattern(5), options);
    ASSERT_TRUE(delivery) << delivery.error().message();
    EXPECT_EQ(delivery->outcome, Outcome::delivered) << delivery->reason.message();
  }
  for (const ChannelNumber nobodys : std::array<ChannelNumber, 2>{0, 9}) {
    options.channel = nobodys;
    const auto delivery = client.send(b_.node->id(), pattern(5), options);
    ASSERT_TRUE(delivery) << delivery.error().message();
    EXPECT_EQ(delivery->outcome, Outcome::refused);
    EXPECT_EQ(delivery->reason.code, Errc::refused_by_peer);
  }
  ASSERT_TRUE(news.until(2));
  ASSERT_TRUE(mail.until(1));
  EXPECT_EQ(news.messages.size(), 2u);
  EXPECT_EQ(mail.messages.size(), 1u);
}

TEST_F(TwoNodes, NoSubscriberIsRefused) {
  const auto delivery = Client(a_.socket).send(b_.node->id(), pattern(5), direct());
  ASSERT_TRUE(delivery) << delivery.error().message();
  EXPECT_EQ(delivery->outcome, Outcome::refused);
}

TEST_F(TwoNodes, SubscriberTakesNoMoreThanItAskedFor) {
  Listener listener(b_.socket);
  ASSERT_TRUE(listener.client->subscribe(1));
  const Client client(a_.socket);
  const auto first = client.send(b_.node->id(), pattern(5), direct());
  const auto second = client.send(b_.node->id(), pattern(5), direct());
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->outcome, Outcome::delivered);
  EXPECT_EQ(second->outcome, Outcome::refused);
  ASSERT_TRUE(listener.until(1));
  EXPECT_EQ(listener.messages.size(), 1u);
}

struct ImpatientNodes : TwoNodes {
  ImpatientNodes() { api_.stall_max = std::chrono::milliseconds(100); }
};

TEST_F(ImpatientNodes, ASubscriberThatReadsNothingIsClosed) {
  Listener listener(b_.socket);
  ASSERT_TRUE(listener.client->subscribe());  // and its loop does not run again
  const Client client(a_.socket);
  std::size_t delivered = 0;
  EXPECT_TRUE(wait_for([&] {
    const auto sent = client.send(b_.node->id(), pattern(1 << 20), direct());
    if (!sent) return false;
    if (sent->outcome == Outcome::delivered) ++delivered;
    return sent->reason.detail == "no receiver";
  }));
  EXPECT_GT(delivered, 0u) << "it subscribed";
}

TEST_F(TwoNodes, UnknownDestinationSaysSo) {
  NodeId nobody;
  nobody.bytes[0] = std::byte{1};
  const auto delivery = Client(a_.socket).send(nobody, pattern(5), direct());
  ASSERT_TRUE(delivery) << delivery.error().message();
  EXPECT_EQ(delivery->outcome, Outcome::failed);
  EXPECT_EQ(delivery->reason.code, Errc::unknown_destination);
}

TEST_F(TwoNodes, TooFewRelaysSaysSo) {
  SendOptions options = direct();
  options.relays = 3;
  options.ttl = std::chrono::seconds(1);
  const auto delivery = Client(a_.socket).send(b_.node->id(), pattern(5), options);
  ASSERT_TRUE(delivery) << delivery.error().message();
  EXPECT_NE(delivery->outcome, Outcome::delivered);
  EXPECT_TRUE(delivery->reason.code == Errc::no_route || delivery->reason.code == Errc::expired)
      << delivery->reason.message();
}

TEST_F(TwoNodes, ChunkedBodyAndRawReceiving) {
  std::string received;
  std::thread receiver([&] {
    received =
        raw_http(b_.socket, "GET /v1/messages?format=raw&count=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  const std::string post = fmt::format(
      "POST /v1/messages?to={}&relays=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
      b_.node->id().to_string());
  // The receiver may not have subscribed yet: until then the message is refused.
  EXPECT_TRUE(wait_for(
      [&] { return raw_http(a_.socket, post).find("\"delivered\"") != std::string::npos; }));
  receiver.join();
  EXPECT_NE(received.find("\r\nhello, world\r\n"), std::string::npos) << received;
}

TEST_F(TwoNodes, JsonLinesCarryBase64) {
  std::string received;
  std::thread receiver([&] {
    received = raw_http(b_.socket, "GET /v1/messages?count=1 HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  const Client client(a_.socket);
  EXPECT_TRUE(wait_for([&] {
    const auto delivery = client.send(b_.node->id(), as_bytes("foobar"), direct());
    return delivery && delivery->outcome == Outcome::delivered;
  }));
  receiver.join();
  EXPECT_NE(received.find("\"payload\":\"Zm9vYmFy\"}"), std::string::npos) << received;
}

TEST_F(TwoNodes, WrongRequestsGetClearErrors) {
  const std::string close = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  const auto expect = [&](const std::string& request, std::string_view status,
                          std::string_view detail) {
    const std::string answer = raw_http(a_.socket, request);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::string(status))) << answer;
    EXPECT_NE(answer.find("{\"error\":{\"code\":"), std::string::npos) << answer;
    EXPECT_NE(answer.find(detail), std::string::npos) << answer;
  };
  expect("GET /v1/stat" + close + "\r\n", "404", "no such route");
  expect("PUT /v1/status" + close + "\r\n", "405", "Allow: GET\r\n");
  expect("PUT /v1/status" + close + "\r\n", "405", "this route has only: GET");
  expect("POST /v1/messages?to=X" + close + "Content-Length: 0\r\n\r\n", "400", "to: ");
  expect("GET /v1/stream" + close + "\r\n", "426", "WebSocket");
  expect("nonsense\r\n\r\n", "400", "malformed");
  expect("GET / HTTP/1.1\r\nX: " + std::string(10'000, 'a') + "\r\n\r\n", "431", "8 KiB");
  expect("POST /v1/messages?to=" + b_.node->id().to_string() + close +
             "Content-Length: 67108865\r\n\r\n",
         "413", "64 MiB");
  // And the server still works.
  EXPECT_TRUE(Client(a_.socket).get("/v1/status"));
}

TEST_F(TwoNodes, MalformedRecordEndsOnlyThatConnection) {
  ClientLoop loop;
  auto bad = StreamClient::open(loop, a_.socket, [](const ServerRecord&) {});
  ASSERT_TRUE(bad);
  SendOptions options;
  options.relays = 200;
  ASSERT_TRUE((*bad)->send(
      {.request = 1, .destination = {}, .options = options, .progress = false, .payload = {}}));
  ASSERT_TRUE(
      loop.run_until([&] { return (*bad)->ended().has_value(); }, std::chrono::seconds(20)));
  EXPECT_EQ((*bad)->ended()->code, Errc::malformed);
  EXPECT_EQ((*bad)->ended()->detail, "SEND: relays is 0 to 5");
  EXPECT_TRUE(Client(a_.socket).get("/v1/status"));
}

TEST_F(TwoNodes, DrainingRefusesSendsAndStillShowsPages) {
  a_.server->drain();
  const auto delivery = Client(a_.socket).send(b_.node->id(), pattern(5), direct());
  ASSERT_FALSE(delivery);
  EXPECT_EQ(delivery.error().code, Errc::shutting_down);
  EXPECT_TRUE(Client(a_.socket).get("/v1/status"));
}

TEST_F(TwoNodes, StopEndsOpenConnectionsAndRemovesTheSocket) {
  Listener listener(a_.socket);
  ASSERT_TRUE(listener.client->subscribe());
  a_.server->stop();
  EXPECT_TRUE(listener.loop.run_until([&] { return listener.client->ended().has_value(); },
                                      std::chrono::seconds(20)));
  EXPECT_FALSE(std::filesystem::exists(a_.socket));
  const auto gone = Client(a_.socket).get("/v1/status");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Errc::not_found);
}

TEST_F(TwoNodes, LiveSocketIsRefused) {
  config::ApiOptions same;
  same.socket = a_.socket;
  const auto second = Server::start(*b_.node, same);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::address_in_use);
}

}  // namespace
}  // namespace qudag::api::test
