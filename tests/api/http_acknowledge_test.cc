// Clients of GET /v1/messages that acknowledge on another connection: `delivered` is what they
// said, and what they leave is not lost.
#include "api/socket/listen.h"
#include "base/posix.h"
#include "listener.h"
#include "two_nodes.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace qudag::api::test {
namespace {

/// The text of a field of a JSON line.
std::string field(const std::string& line, std::string_view name) {
  const std::string key = fmt::format("\"{}\":\"", name);
  const std::size_t at = line.find(key);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  return line.substr(begin, line.find('"', begin) - begin);
}

/// One GET /v1/messages with acknowledgements, which dies with this object.
class Receiver {
 public:
  explicit Receiver(const std::filesystem::path& socket, std::string_view query = "") {
    const auto fd = connect_to(socket);
    EXPECT_TRUE(fd);
    if (!fd) return;
    fd_ = Fd(*fd);
    const timeval patience{20, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::string request =
        fmt::format("GET /v1/messages?acknowledge=true{} HTTP/1.1\r\nHost: x\r\n\r\n", query);
    EXPECT_EQ(::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    while (text_.find("\r\n\r\n") == std::string::npos && read_more()) continue;
    // The API's one thread subscribes right after it wrote the header: before it answers this.
    EXPECT_TRUE(Client(socket).get("/v1/status"));
  }
  /// Whether so many messages came.
  bool until(std::size_t count) {
    while (lines().size() < count && read_more()) continue;
    return lines().size() >= count;
  }
  /// Whether the node ends the answer.
  bool ended() {
    while (read_more()) continue;
    return text_.ends_with("\r\n0\r\n\r\n");
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (std::size_t at = 0; (at = text_.find("{\"id\"", at)) != std::string::npos; ++at) {
      const std::size_t end = text_.find('\n', at);
      if (end != std::string::npos) out.push_back(text_.substr(at, end - at));
    }
    return out;
  }
  std::string token(std::size_t message) const { return field(lines().at(message), "token"); }

 private:
  bool read_more() {
    char piece[4096];
    const ssize_t n = ::read(fd_.get(), piece, sizeof piece);
    if (n > 0) text_.append(piece, static_cast<std::size_t>(n));
    return n > 0;
  }
  Fd fd_;
  std::string text_;
};

struct HttpAcknowledged : TwoNodes {
  /// A message of one character.
  void send(Listener& source, char payload, std::chrono::seconds ttl = std::chrono::seconds(20)) {
    SendOptions options = direct();
    options.ttl = ttl;
    const auto byte = std::array{static_cast<std::byte>(payload)};
    ASSERT_TRUE(source.client->send({.request = static_cast<std::uint64_t>(payload),
                                     .destination = b_.node->id(),
                                     .options = options,
                                     .progress = false,
                                     .payload = byte}));
    ASSERT_TRUE(source.loop.run_until([&] { return source.client->queued_bytes() == 0; },
                                      std::chrono::seconds(20)));
  }
  /// The first line of the answer.
  std::string acknowledge(const std::string& token, std::string_view more = "") {
    const std::string answer = raw_http(
        b_.socket, fmt::format("POST /v1/acknowledgements?token={}{} HTTP/1.1\r\nHost: x\r\n"
                               "Connection: close\r\nContent-Length: 0\r\n\r\n",
                               token, more));
    return answer.substr(0, answer.find("\r\n"));
  }
  static constexpr auto kDone = "HTTP/1.1 204 No Content";
  static constexpr auto kNotThere = "HTTP/1.1 404 Not Found";
  /// In base64.
  static std::string payload(const std::string& line) { return field(line, "payload"); }
};

TEST_F(HttpAcknowledged, TheSenderHearsWhatTheClientSays) {
  Listener source(a_.socket);
  Receiver client(b_.socket);
  for (const char one : {'1', '2', '3'}) send(source, one);
  ASSERT_TRUE(client.until(3));
  EXPECT_TRUE(source.outcomes.empty());
  EXPECT_EQ(acknowledge(client.token(0)), kDone);
  EXPECT_EQ(acknowledge(client.token(1), "&answer=refused"), kDone);
  EXPECT_EQ(acknowledge(client.token(2), "&answer=taken"), kDone);
  ASSERT_TRUE(source.until(0, 3));
  for (const auto& end : source.outcomes) {
    EXPECT_EQ(end.outcome, end.request == '2' ? Outcome::refused : Outcome::delivered);
  }
}

TEST_F(HttpAcknowledged, WhatADeadClientLeavesGoesToTheNextOne) {
  Listener source(a_.socket);
  std::string left;
  {
    Receiver first(b_.socket);
    for (const char one : {'1', '2', '3'}) send(source, one);
    ASSERT_TRUE(first.until(3));
    EXPECT_EQ(acknowledge(first.token(0)), kDone);
    left = first.token(1);
  }  // it dies with two in hand
  Receiver second(b_.socket);
  ASSERT_TRUE(second.until(2));
  EXPECT_EQ(acknowledge(left), kNotThere);
  EXPECT_EQ(payload(second.lines()[0]), "Mg==");  // "2"
  EXPECT_EQ(payload(second.lines()[1]), "Mw==");  // "3"
  for (std::size_t i : {0u, 1u}) EXPECT_EQ(acknowledge(second.token(i)), kDone);
  ASSERT_TRUE(source.until(0, 3));
  for (const auto& end : source.outcomes) EXPECT_EQ(end.outcome, Outcome::delivered);
}

TEST_F(HttpAcknowledged, AWebSocketTakesWhatADeadClientLeaves) {
  Listener source(a_.socket), second(b_.socket);
  std::optional<Receiver> first(b_.socket);
  send(source, '1');
  ASSERT_TRUE(first->until(1));
  ASSERT_TRUE(second.client->subscribe(0, 0, true));
  first.reset();
  ASSERT_TRUE(second.until(1));
  ASSERT_TRUE(second.client->acknowledge({.token = *second.messages[0].token}));
  ASSERT_TRUE(second.loop.run_until([&] { return second.client->queued_bytes() == 0; },
                                    std::chrono::seconds(20)));
  ASSERT_TRUE(source.until(0, 1));
  EXPECT_EQ(source.outcomes[0].outcome, Outcome::delivered);
}

TEST_F(HttpAcknowledged, WithACountItEndsWhenTheLastOneWasAcknowledged) {
  Listener source(a_.socket);
  Receiver client(b_.socket, "&count=2");
  for (const char one : {'1', '2'}) send(source, one);
  ASSERT_TRUE(client.until(2));
  send(source, '3');  // one too many for it, and nobody else is there
  ASSERT_TRUE(source.until(0, 1));
  EXPECT_EQ(source.outcomes[0].outcome, Outcome::refused);
  EXPECT_EQ(acknowledge(client.token(1)), kDone);
  EXPECT_EQ(acknowledge(client.token(0)), kDone);
  EXPECT_TRUE(client.ended());
  ASSERT_TRUE(source.until(0, 3));
  EXPECT_EQ(source.outcomes[1].outcome, Outcome::delivered);
  EXPECT_EQ(source.outcomes[2].outcome, Outcome::delivered);
}

TEST_F(HttpAcknowledged, ALaterOneComesAgain) {
  Listener source(a_.socket);
  Receiver client(b_.socket);
  send(source, '7');
  ASSERT_TRUE(client.until(1));
  EXPECT_EQ(acknowledge(client.token(0), "&answer=again"), kDone);
  ASSERT_TRUE(client.until(2));
  EXPECT_EQ(acknowledge(client.token(1), "&answer=again&delay=30ms"), kDone);
  ASSERT_TRUE(client.until(3));
  EXPECT_TRUE(source.outcomes.empty());
  EXPECT_EQ(acknowledge(client.token(2)), kDone);
  ASSERT_TRUE(source.until(0, 1));
  EXPECT_EQ(source.outcomes[0].outcome, Outcome::delivered);
  EXPECT_EQ(payload(client.lines()[0]), payload(client.lines()[2]));
}

TEST_F(HttpAcknowledged, ATokenThatThereIsNotChangesNothing) {
  Listener source(a_.socket);
  Receiver client(b_.socket);
  send(source, '1');
  ASSERT_TRUE(client.until(1));
  std::string token = client.token(0);
  ASSERT_EQ(token.size(), 32u);
  EXPECT_EQ(acknowledge(std::string(32, '0')), kNotThere);
  std::string of_the_same_hand = token;
  of_the_same_hand.back() = '9';
  EXPECT_EQ(acknowledge(of_the_same_hand), kNotThere);
  EXPECT_EQ(acknowledge(token), kDone);
  EXPECT_EQ(acknowledge(token), kNotThere);
  ASSERT_TRUE(source.until(0, 1));
  EXPECT_EQ(source.outcomes[0].outcome, Outcome::delivered);
}

TEST_F(HttpAcknowledged, WhatIsOverItsTimeToLiveComesToNobody) {
  Listener source(a_.socket);
  {
    Receiver first(b_.socket);
    send(source, '1', std::chrono::seconds(1));
    ASSERT_TRUE(first.until(1));
    ASSERT_TRUE(source.until(0, 1));
    EXPECT_EQ(source.outcomes[0].outcome, Outcome::expired);
    EXPECT_EQ(acknowledge(first.token(0)), kDone);  // it does nothing
  }
  Receiver second(b_.socket);
  send(source, '2');
  ASSERT_TRUE(second.until(1));
  EXPECT_EQ(payload(second.lines()[0]), "Mg==");
}

struct HttpSmallQueue : HttpAcknowledged {
  HttpSmallQueue() { api_.queue_messages = 2; }
};

TEST_F(HttpSmallQueue, WhatIsInHandCountsUntilItIsAcknowledged) {
  Listener source(a_.socket);
  Receiver client(b_.socket);
  for (const char one : {'1', '2'}) send(source, one);
  ASSERT_TRUE(client.until(2));
  send(source, '3');
  ASSERT_TRUE(source.until(0, 1));
  EXPECT_EQ(source.outcomes[0].outcome, Outcome::refused);
  EXPECT_EQ(acknowledge(client.token(0)), kDone);
  ASSERT_TRUE(source.until(0, 2));
  send(source, '4');
  EXPECT_TRUE(client.until(3));
}

}  // namespace
}  // namespace qudag::api::test
