// Programs and services over two real nodes: SOCKS and HTTP in, a TCP service out, and what must
// not go through. Sockets of the test are plain; nothing sleeps.
#include "gateway/gateway.h"

#include <qudag/node.h>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

namespace {
std::atomic<int> lookups{0};
}

// No name is looked up, by whatever way: these stand before the system's.
extern "C" int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) {
  ++lookups;
  return EAI_FAIL;
}
extern "C" hostent* gethostbyname(const char*) {
  ++lookups;
  return nullptr;
}

namespace qudag::gateway {
namespace {

using namespace std::string_literals;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {
    const timeval patience{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() { close(); }
  static Socket to(std::uint16_t port) {
    Socket out(::socket(AF_INET, SOCK_STREAM, 0));
    const sockaddr_in at{.sin_family = AF_INET,
                         .sin_port = htons(port),
                         .sin_addr = {htonl(INADDR_LOOPBACK)},
                         .sin_zero = {}};
    if (::connect(out.fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) out.close();
    return out;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void break_off() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void end() const { ::shutdown(fd_, SHUT_WR); }
  bool say(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// So many bytes, or what came before the end.
  std::string read(std::size_t bytes) {
    std::string out(bytes, '\0');
    std::size_t at = 0;
    while (at < bytes) {
      const ssize_t n = ::recv(fd_, out.data() + at, bytes - at, 0);
      if (n <= 0) {
        broken_ = n < 0 && errno == ECONNRESET;
        break;
      }
      at += static_cast<std::size_t>(n);
    }
    out.resize(at);
    return out;
  }
  bool broken() const { return broken_; }
  int fd() const { return fd_; }

 private:
  int fd_;
  bool broken_ = false;
};

/// A listener of the test on a port that the kernel chose.
class Service {
 public:
  Service() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof at;
    ::bind(fd_, reinterpret_cast<const sockaddr*>(&at), size);
    ::listen(fd_, 64);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
  }
  ~Service() { ::close(fd_); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  Socket accept() const { return Socket(::accept(fd_, nullptr, nullptr)); }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

class GatewaySessions : public ::testing::Test {
 protected:
  void SetUp() override {
    Options options;
    options.shards = 1;
    options.log_level = LogLevel::off;
    options.gossip_interval = std::chrono::seconds(1);
    service_node_ = *Node::start(options);
    options.bootstrap = {{service_node_->id(), service_node_->address()}};
    program_node_ = *Node::start(options);
    ASSERT_TRUE(program_node_->wait_until_known(service_node_->id(), std::chrono::seconds(20)));

    config::GatewayOptions there;
    there.services = {*config::parse_service("echo=" + service_.address()),
                      *config::parse_service("one=" + service_.address() + ",pipes=1"),
                      *config::parse_service("dead=127.0.0.1:1")};
    services_ = *Gateway::start(*service_node_, there);
    start_programs({});
  }
  void TearDown() override {
    services_->drain();
    programs_->drain();
    program_node_->stop(std::chrono::seconds(1));
    service_node_->stop(std::chrono::seconds(1));
    EXPECT_EQ(lookups, 0);
  }

  void start_programs(config::GatewayOptions options) {
    programs_.reset();
    options.socks = {*config::parse_socks("127.0.0.1:0,relays=0")};
    options.names = {{"bob", service_node_->id()}};
    programs_ = *Gateway::start(*program_node_, options);
  }
  std::uint16_t port() const { return programs_->socks().front().port; }
  /// The code of the answer to a request for that name, and the connection.
  std::pair<int, Socket> ask(std::string_view name, std::string_view behind = {}) {
    Socket out = Socket::to(port());
    out.say("\x05\x01\0"s + "\x05\x01\0\x03"s + static_cast<char>(name.size()) + std::string(name) +
            "\0\x50"s + std::string(behind));
    const std::string said = out.read(12);
    return {said.size() == 12 ? said[3] : -1, std::move(out)};
  }
  int code(std::string_view name) { return ask(name).first; }
  double metric(const Gateway& gateway, std::string_view name, std::string_view label = "") {
    telemetry::Page page;
    gateway.add_metrics(page);
    double sum = 0;
    for (const MetricSample& sample : page.take()) {
      if (sample.name == name && std::string_view(sample.labels).contains(label)) {
        sum += sample.value;
      }
    }
    return sum;
  }
  bool until(const std::function<bool()>& state) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!state()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  Service service_;
  std::unique_ptr<Node> service_node_, program_node_;
  std::unique_ptr<Gateway> services_, programs_;
};

TEST_F(GatewaySessions, BytesGoBothWaysAndEachEndsOnItsOwn) {
  auto [answer, program] = ask("echo.bob.qudag", "first ");
  ASSERT_EQ(answer, 0);
  Socket service = service_.accept();
  ASSERT_TRUE(program.say("then"));
  EXPECT_EQ(service.read(10), "first then");
  program.end();
  EXPECT_EQ(service.read(1), "");
  EXPECT_FALSE(service.broken());
  ASSERT_TRUE(service.say("and back"));
  service.close();
  EXPECT_EQ(program.read(100), "and back");
  EXPECT_FALSE(program.broken());
}

TEST_F(GatewaySessions, WhatBreaksOffIsBrokenOffAtTheOtherEnd) {
  {
    auto [answer, program] = ask("echo.bob.qudag", "x");
    ASSERT_EQ(answer, 0);
    Socket service = service_.accept();
    EXPECT_EQ(service.read(1), "x");
    program.break_off();
    EXPECT_EQ(service.read(1), "");
    EXPECT_TRUE(service.broken());
  }
  auto [answer, program] = ask("echo.bob.qudag", "x");
  ASSERT_EQ(answer, 0);
  Socket service = service_.accept();
  EXPECT_EQ(service.read(1), "x");
  service.break_off();
  EXPECT_EQ(program.read(1), "");
  EXPECT_TRUE(program.broken());
}

TEST_F(GatewaySessions, WhoDoesNotReadStopsWhoWrites) {
  auto [answer, program] = ask("echo.bob.qudag");
  ASSERT_EQ(answer, 0);
  Socket service = service_.accept();
  const std::string piece(64 * 1024, 'p');
  std::size_t sent = 0;
  // Full when it takes nothing for 200 ms.
  for (pollfd room{program.fd(), POLLOUT, 0}; ::poll(&room, 1, 200) > 0;) {
    const ssize_t n = ::send(program.fd(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<std::size_t>(n);
    ASSERT_LT(sent, std::size_t{64} << 20);
  }
  program.end();
  EXPECT_EQ(service.read(sent + 1).size(), sent);
  EXPECT_FALSE(service.broken());
}

TEST_F(GatewaySessions, EveryRefusalHasItsCode) {
  EXPECT_EQ(code("example.org"), 2);
  EXPECT_EQ(code("127.0.0.1"), 2);
  EXPECT_EQ(code("echo.qudag.org"), 2);
  EXPECT_EQ(code("e_cho.bob.qudag"), 1);
  EXPECT_EQ(code("echo.carol.qudag"), 4);
  EXPECT_EQ(code("none.bob.qudag"), 5);
  EXPECT_EQ(code("dead.bob.qudag"), 5);
  EXPECT_EQ(code("bob.qudag"), 5);  // there is no service `80`
  EXPECT_EQ(metric(*programs_, "qudag_gateway_requests_total", "not_allowed"), 3);
  EXPECT_EQ(metric(*services_, "qudag_gateway_offers_total", "no_such_service"), 2);
}

TEST_F(GatewaySessions, AServiceHasItsBoundOfPipes) {
  auto [answer, program] = ask("one.bob.qudag");
  ASSERT_EQ(answer, 0);
  EXPECT_EQ(code("one.bob.qudag"), 1);
  EXPECT_EQ(code("echo.bob.qudag"), 0);
  program.close();
  service_.accept().close();
  EXPECT_TRUE(until([this] { return code("one.bob.qudag") == 0; }));
}

TEST_F(GatewaySessions, HttpConnectIsAtTheSamePort) {
  Socket program = Socket::to(port());
  program.say("CONNECT echo.bob.qudag:80 HTTP/1.1\r\nHost: x\r\n\r\nhello");
  EXPECT_EQ(program.read(19), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(service_.accept().read(5), "hello");
  Socket other = Socket::to(port());
  other.say("CONNECT example.org:80 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(other.read(12), "HTTP/1.1 403");
}

TEST_F(GatewaySessions, ExposedAndForwardedWhileItIsLeased) {
  std::uint16_t forwarded = 0;
  {
    const auto lease = services_->expose(*config::parse_service("web=" + service_.address()));
    ASSERT_TRUE(lease);
    EXPECT_EQ(services_->expose(*config::parse_service("web=127.0.0.1:1")).error(),
              Errc::already_exists);
    const auto port = programs_->forward(*config::parse_socks("127.0.0.1:0,relays=0"),
                                         {service_node_->id(), "web"});
    ASSERT_TRUE(port);
    forwarded = port->at.port;
    Socket program = Socket::to(forwarded);
    Socket service = service_.accept();
    service.say("banner");
    EXPECT_EQ(program.read(6), "banner");
    EXPECT_EQ(code("web.bob.qudag"), 0);
  }
  EXPECT_EQ(code("web.bob.qudag"), 5);
  EXPECT_TRUE(until([&] { return Socket::to(forwarded).fd() < 0; }));
}

TEST_F(GatewaySessions, ProgramsThatAreSlowOrTalkNonsenseAreClosed) {
  config::GatewayOptions impatient;
  impatient.request_patience = std::chrono::milliseconds(50);
  start_programs(std::move(impatient));
  Socket slow = Socket::to(port());
  slow.say("\x05");
  EXPECT_EQ(slow.read(1), "");  // closed, after so long
  for (const std::string& garbage : {"\xff\xff"s, "\x04\x01"s, "GET / HTTP/1.1\r\n\r\n"s,
                                     "CONNECT " + std::string(5'000, 'a')}) {
    Socket program = Socket::to(port());
    program.say(garbage);
    program.read(10'000);  // to the end
  }
  EXPECT_TRUE(
      until([this] { return metric(*programs_, "qudag_gateway_requests_broken_total") == 5; }));
  EXPECT_TRUE(until([this] { return metric(*programs_, "qudag_gateway_connections_open") == 0; }));
}

TEST_F(GatewaySessions, NoMoreProgramsThanTheBound) {
  config::GatewayOptions few;
  few.connections = 4;
  start_programs(std::move(few));
  std::vector<Socket> held;
  for (int i = 0; i < 4; ++i) held.push_back(Socket::to(port()));
  ASSERT_TRUE(until([this] { return metric(*programs_, "qudag_gateway_connections_open") == 4; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Socket::to(port()).read(1), "");
  EXPECT_EQ(metric(*programs_, "qudag_gateway_connections_refused_total"), 100);
  held.clear();
  EXPECT_TRUE(until([this] { return code("echo.bob.qudag") == 0; }));
}

}  // namespace
}  // namespace qudag::gateway
