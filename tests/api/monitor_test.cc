// The two places for watchers: what they show, and that nobody can do anything there, nor make the
// node hold more than a few connections.
#include "two_nodes.h"

#include "api/server/view/loopback.h"
#include "api/server/view/monitor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace qudag::api::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Watched : public TwoNodes {
 protected:
  void SetUp() override {
    // The second node gets no free port of the first: both let the kernel choose.
    api_.metrics = SocketAddress::parse("127.0.0.1:0").value();
    TwoNodes::SetUp();
    api_.monitor_socket = directory_.path() / "monitor.sock";
    start(c_, "c.sock", {});
  }

  int connected(const Place& place) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(place.server->metrics()->port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(fd, static_cast<sockaddr*>(static_cast<void*>(&to)), sizeof to), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }

  std::string ask(const std::string& target, const std::string& fields = {},
                  const char* method = "GET") const {
    const int fd = connected(a_);
    const std::string text = fmt::format(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", method, target, fields);
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    std::string out;
    char piece[4096];
    for (ssize_t n; (n = ::read(fd, piece, sizeof piece)) > 0;) {
      out.append(piece, static_cast<std::size_t>(n));
    }
    ::close(fd);
    return out;
  }

  Place c_;  // with a socket for watchers
};

TEST_F(Watched, TheMetricsAreThereInBothForms) {
  const std::string plain = ask("/metrics");
  EXPECT_THAT(plain, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(plain, HasSubstr("Content-Type: text/plain; version=0.0.4\r\n"));
  EXPECT_THAT(plain, HasSubstr("# TYPE qudag_bytes_total counter\n"));
  const std::string open =
      ask("/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
  EXPECT_THAT(open, HasSubstr("Content-Type: application/openmetrics-text; version=1.0.0;"));
  EXPECT_THAT(open, HasSubstr("# TYPE qudag_bytes counter\n"));
  EXPECT_THAT(open, HasSubstr("\nqudag_bytes_total{direction=\"in\"} "));
  EXPECT_THAT(open, EndsWith("\n# EOF\n"));
  EXPECT_EQ(open.find(a_.node->id().to_string()), std::string::npos);
  const std::string head = ask("/metrics", {}, "HEAD");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
}

TEST_F(Watched, HealthIsThatShardsAnswerAndReadinessThatTheNodeIsJoined) {
  EXPECT_THAT(ask("/healthz"), EndsWith("\r\n\r\nok\n"));
  const std::string ready = ask("/readyz");  // two nodes are too few for three relays
  EXPECT_THAT(ready, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(ready, EndsWith("\r\n\r\nnot joined\n"));
  a_.server->drain();
  EXPECT_THAT(ask("/healthz"), EndsWith("\r\n\r\nok\n"));
}

TEST_F(Watched, NothingElseIsThereAndNothingCanBeDone) {
  for (const char* path : {"/v1/status", "/v1/queues", "/v1/peers", "/v1/circuits", "/v1/stream",
                           "/v1/messages", "/", "/metrics?x=1", "/metrics/"}) {
    EXPECT_THAT(ask(path), StartsWith("HTTP/1.1 404 ")) << path;
  }
  EXPECT_THAT(ask("/metrics", "Content-Length: 5\r\n", "POST"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(ask("/v1/messages?to=" + b_.node->id().to_string(), "Content-Length: 5\r\n", "POST"),
              StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("/metrics", std::string("X: ") + std::string(8'000, 'x') + "\r\n"),
              StartsWith("HTTP/1.1 400 "));

  const Client watcher(c_.socket.parent_path() / "monitor.sock");
  const auto status = watcher.get("/v1/status");
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_THAT(*status, HasSubstr(c_.node->id().to_string()));
  EXPECT_TRUE(watcher.get("/v1/queues"));
  EXPECT_TRUE(watcher.get("/metrics"));
  EXPECT_FALSE(watcher.get("/v1/peers"));
  EXPECT_FALSE(watcher.get("/v1/circuits"));
  const auto sent = watcher.send(b_.node->id(), {}, direct());
  EXPECT_TRUE(!sent || sent->outcome != Outcome::delivered);
  struct stat file {};
  ASSERT_EQ(::stat((directory_.path() / "monitor.sock").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0660u);
}

/// A page of somebody else's that resolves its own name to this machine.
TEST(MonitorHost, OnlyNamesOfThisMachineAreServed) {
  for (const char* host : {"", "localhost", "localhost:9100", "127.0.0.1", "127.0.0.1:9100",
                           "127.8.8.8:1", "[::1]", "[::1]:9100"}) {
    EXPECT_TRUE(is_host_of_loopback(host)) << host;
  }
  for (const char* host : {"rebound.example", "rebound.example:9100", "192.0.2.7:9100",
                           "localhost.example:9100", "[2001:db8::1]:1", ":9100", "127.0.0.1.x"}) {
    EXPECT_FALSE(is_host_of_loopback(host)) << host;
  }
}

TEST_F(Watched, MoreThanSomeConnectionsAreClosedAtOnce) {
  std::vector<int> open;
  for (std::size_t i = 0; i < kWatchersMax; ++i) {
    open.push_back(connected(a_));
    const std::string text = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    ASSERT_GT(::send(open.back(), text.data(), text.size(), MSG_NOSIGNAL), 0);
    char piece[1024];
    ASSERT_GT(::read(open.back(), piece, sizeof piece), 0);  // it is served, and stays
  }
  const int more = connected(a_);
  char byte = 0;
  EXPECT_LE(::read(more, &byte, 1), 0);
  ::close(more);
  const auto page = Client(a_.socket).get("/metrics");  // the API's own socket is another place
  ASSERT_TRUE(page);
  EXPECT_THAT(*page, HasSubstr("\nqudag_monitor_refused_total 1\n"));
  EXPECT_THAT(*page, HasSubstr(fmt::format("\nqudag_monitor_requests_total {}\n", kWatchersMax)));
  for (const int fd : open) ::close(fd);
}

}  // namespace
}  // namespace qudag::api::test
