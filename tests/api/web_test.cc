// The port of the web page: who gets in, what is there, what cannot be done, and what it costs.
#include "two_nodes.h"

#include "api/server/view/web_gate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>

namespace qudag::api::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Page : public TwoNodes {
 protected:
  void SetUp() override {
    api_.web = SocketAddress::parse("127.0.0.1:0").value();
    TwoNodes::SetUp();
    learn(a_);
  }

  /// Where the page of a node is, and its token.
  void learn(const Place& place) {
    const auto page = Client(place.socket).get("/v1/web");
    ASSERT_TRUE(page) << page.error().message();
    const auto value = boost::json::parse(*page);
    const std::string url(value.at("url").as_string().c_str());
    constexpr std::string_view kBefore = "http://127.0.0.1:", kToken = "/#token=";
    ASSERT_THAT(url, StartsWith(kBefore));
    const std::size_t token = url.find(kToken);
    ASSERT_NE(token, std::string::npos) << url;
    port_ = static_cast<std::uint16_t>(std::stoul(url.substr(kBefore.size())));
    token_ = url.substr(token + kToken.size());
    host_ = fmt::format("127.0.0.1:{}", port_);
    control_ = value.at("control").as_bool();
  }

  /// `window`: of the receiver, in bytes; 0: as the system has it.
  int connected(int window = 0) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (window > 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    EXPECT_EQ(::connect(fd, static_cast<sockaddr*>(static_cast<void*>(&to)), sizeof to), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }

  static void write(int fd, const std::string& text) {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }

  static std::string rest_of(int fd) {
    std::string out;
    char piece[16'384];
    for (ssize_t n; (n = ::read(fd, piece, sizeof piece)) > 0;) {
      out.append(piece, static_cast<std::size_t>(n));
    }
    return out;
  }

  /// `fields` are lines with their ends.
  std::string ask(const std::string& target, const std::string& fields, const char* method = "GET",
                  const std::string& body = {}) const {
    const int fd = connected();
    write(fd, fmt::format(
                  "{} {} HTTP/1.1\r\nConnection: close\r\n{}{}\r\n{}", method, target, fields,
                  body.empty() ? "" : fmt::format("Content-Length: {}\r\n", body.size()), body));
    std::string out = rest_of(fd);
    ::close(fd);
    return out;
  }

  std::string host() const { return fmt::format("Host: {}\r\n", host_); }

  /// What the page's script sends.
  std::string script() const { return host() + fmt::format("X-Qudag: {}\r\n", token_); }

  double metric(const char* name) const { return Client(a_.socket).metric(name).value_or(-1); }

  std::uint16_t port_ = 0;
  std::string token_, host_;
  bool control_ = false;
};

TEST_F(Page, NobodyGetsInWithoutTheToken) {
  std::string near = token_;
  near.back() = near.back() == '0' ? '1' : '0';
  for (const char* target : {"/v1/status", "/metrics", "/v1/messages", "/v1/web", "/v1/log",
                             "/v1/drain", "/nowhere", "/../web/app.js", "/%61pp.js"}) {
    EXPECT_THAT(ask(target, host()), StartsWith("HTTP/1.1 401 ")) << target;
    for (const std::string& field :
         {std::string("X-Qudag: "), std::string("X-Qudag: 0"), "X-Qudag: " + near,
          "X-Qudag: " + token_ + "0", "Cookie: token=" + token_,
          "Authorization: Bearer " + token_}) {
      EXPECT_THAT(ask(target, host() + field + "\r\n"), StartsWith("HTTP/1.1 401 "))
          << target << ", " << field;
    }
  }
  EXPECT_THAT(ask("/v1/status?token=" + token_, host()), StartsWith("HTTP/1.1 401 "));
  EXPECT_EQ(metric("qudag_web_turned_away_total"), 9 * 7 + 1);
  const std::string first = token_;
  const std::string other = Client(b_.socket).get("/v1/web").value_or("");
  EXPECT_THAT(other, HasSubstr("/#token="));
  EXPECT_THAT(other, Not(HasSubstr(first)));
}

TEST_F(Page, FilesAreForAllAndTheRestForTheToken) {
  const std::string page = ask("/", host());
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(page, HasSubstr("<title>QuDAG node</title>"));
  EXPECT_THAT(page, Not(HasSubstr("Set-Cookie")));
  EXPECT_THAT(page, Not(HasSubstr(a_.node->id().to_string())));
  for (const char* file : {"/app.js", "/app.css", "/charts.js", "/metrics.js", "/icon.svg"}) {
    const std::string text = ask(file, host());
    EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\n")) << file;
    EXPECT_THAT(text, Not(HasSubstr(token_)));
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "HEAD"}) {
      EXPECT_THAT(ask(file, script(), method), StartsWith("HTTP/1.1 405 ")) << method << file;
    }
  }
  for (const char* path :
       {"/v1/status", "/v1/peers", "/v1/circuits", "/v1/queues", "/v1/pipes", "/v1/gateway",
        "/v1/receivers", "/v1/contacts", "/v1/log", "/v1/web", "/metrics"}) {
    EXPECT_THAT(ask(path, script()), StartsWith("HTTP/1.1 200 OK\r\n")) << path;
  }
  EXPECT_THAT(ask("/", "A: " + std::string(9'000, 'a') + "\r\n"), StartsWith("HTTP/1.1 431 "));
}

/// https://www.w3.org/TR/CSP3/: nothing inline, nothing from elsewhere, in nobody's frame.
TEST_F(Page, EveryAnswerHasThePolicy) {
  for (const std::string& answer :
       {ask("/", host()), ask("/v1/status", script()), ask("/no", script()), ask("/no", host()),
        ask("/v1/web", "Host: evil.example\r\n")}) {
    EXPECT_THAT(answer, HasSubstr("\r\nContent-Security-Policy: default-src 'none'; script-src "
                                  "'self'; "));
    EXPECT_THAT(answer, HasSubstr("frame-ancestors 'none'\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nX-Frame-Options: DENY\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nReferrer-Policy: no-referrer\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nCross-Origin-Resource-Policy: same-origin\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nCache-Control: no-store\r\n"));
  }
  const std::string html = ask("/", host());
  for (const char* inlined :
       {" style=", " onclick=", "javascript:", "<style", "http://", "https://"}) {
    EXPECT_THAT(html, Not(HasSubstr(inlined)));
  }
}

/// A name of somebody else's that resolves to this machine.
TEST_F(Page, AnotherHostIsRefusedEvenWithTheToken) {
  const std::string token = fmt::format("X-Qudag: {}\r\n", token_);
  for (const char* name :
       {"Host: rebound.example\r\n", "Host: 192.0.2.7:80\r\n", "Host: 127.0.0.1.example:80\r\n",
        "Host: localhost.example\r\n", "Host: \r\n", ""}) {
    EXPECT_THAT(ask("/", name), StartsWith("HTTP/1.1 403 ")) << name;
    EXPECT_THAT(ask("/v1/status", name + token), StartsWith("HTTP/1.1 403 ")) << name;
  }
  EXPECT_THAT(ask("/v1/status", "Host: localhost\r\n" + token), StartsWith("HTTP/1.1 200 "));
}

TEST_F(Page, WithoutControlNothingCanBeDone) {
  EXPECT_FALSE(control_);
  const std::string own = script() + fmt::format("Origin: http://{}\r\n", host_);
  const std::string to = "/v1/messages?relays=0&ttl=10s&to=" + b_.node->id().to_string();
  EXPECT_THAT(ask(to, own, "POST", "hello"), HasSubstr("web.control is off"));
  EXPECT_THAT(ask("/v1/messages", own), HasSubstr("web.control is off"));
  for (const char* path :
       {"/v1/drain", "/v1/reload", "/v1/services", "/v1/forwards", "/v1/pipes/stream",
        "/v1/replies/x", "/v1/contacts/x", "/v1/receivers/x", "/v1/stream", "/v1/nodes"}) {
    EXPECT_THAT(ask(path, own, "POST", "x"), StartsWith("HTTP/1.1 404 ")) << path;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get"}) {
    EXPECT_THAT(ask("/v1/pipes", own, method, "x"), StartsWith("HTTP/1.1 405 ")) << method;
    EXPECT_THAT(ask("/v1/contacts", own, method), StartsWith("HTTP/1.1 405 ")) << method;
  }
}

class Controlled : public Page {
 protected:
  void SetUp() override {
    api_.web_control = true;
    Page::SetUp();
  }
};

TEST_F(Controlled, ThePageSendsAndReceives) {
  EXPECT_TRUE(control_);
  const std::string from_page = script() + fmt::format("Origin: http://{}\r\n", host_);
  const std::string to = "/v1/messages?relays=0&ttl=20s&to=";
  // b's page receives what a's sends.
  std::string answer;
  b_.node->on_message([](Message&&) { return Accept::taken; });
  answer = ask(to + b_.node->id().to_string(), from_page, "POST", "hello");
  EXPECT_THAT(answer, HasSubstr("\"outcome\":\"delivered\""));
  // And the other way.
  const int fd = connected();
  write(fd, fmt::format("GET /v1/messages?count=1 HTTP/1.1\r\n{}\r\n", script()));
  char head[512];
  ASSERT_GT(::read(fd, head, sizeof head), 0);  // the answer has begun: it is subscribed
  const auto sent = Client(b_.socket).send(a_.node->id(), {}, direct());
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_EQ(sent->outcome, Outcome::delivered);
  EXPECT_THAT(rest_of(fd), HasSubstr("\"payload\":"));
  ::close(fd);
}

/// With the token, wherever another page should have it from.
TEST_F(Controlled, AnotherPageSendsNothing) {
  const std::string to = "/v1/messages?relays=0&ttl=10s&to=" + b_.node->id().to_string();
  for (const std::string& origin :
       {std::string("Origin: http://127.0.0.1:1\r\n"), std::string(),
        std::string("Origin: null\r\n"), fmt::format("Origin: https://{}\r\n", host_)}) {
    EXPECT_THAT(ask(to, script() + origin, "POST", "hello"), StartsWith("HTTP/1.1 403 ")) << origin;
  }
  const std::string own = fmt::format("Origin: http://{}\r\n", host_);
  EXPECT_THAT(ask(to, host() + own, "POST", "hello"), StartsWith("HTTP/1.1 401 ")) << "a form";
  EXPECT_THAT(ask("/v1/messages", host()), StartsWith("HTTP/1.1 401 ")) << "<img>";
  EXPECT_THAT(ask("/v1/drain", script() + own, "POST", "x"), StartsWith("HTTP/1.1 404 "));
}

/// As a browser asks: `fd` stays open.
TEST_F(Page, WhoHoldsConnectionsKeepsNobodyOut) {
  const auto answer_on = [&](int fd) {
    write(fd, fmt::format("GET /v1/web HTTP/1.1\r\n{}\r\n", script()));
    char head[64] = {};
    return std::string(head, static_cast<std::size_t>(
                                 std::max<ssize_t>(0, ::recv(fd, head, sizeof head, MSG_WAITALL))));
  };
  const int owner = connected();
  EXPECT_THAT(answer_on(owner), StartsWith("HTTP/1.1 200 OK"));
  std::vector<int> held;
  for (std::size_t i = 0; i < 3 * kWebConnectionsMax; ++i) held.push_back(connected());
  ASSERT_TRUE(
      wait_for([&] { return metric("qudag_web_refused_total") == 2.0 * kWebConnectionsMax + 1; }));
  EXPECT_LE(metric("qudag_web_connections_open"), kWebConnectionsMax);
  EXPECT_THAT(ask("/v1/web", script()), StartsWith("HTTP/1.1 200 OK")) << "a new one";
  char rest[8'192];
  ::recv(owner, rest, sizeof rest, MSG_DONTWAIT);
  write(owner, fmt::format("GET / HTTP/1.1\r\nConnection: close\r\n{}\r\n", host()));
  EXPECT_THAT(rest_of(owner), HasSubstr("<title>QuDAG node</title>")) << "the old one";
  ::close(owner);
  for (const int fd : held) ::close(fd);
}

class CrowdedPage : public Page {
 protected:
  void SetUp() override {
    api_.connections = 4;
    Page::SetUp();
  }
};

TEST_F(CrowdedPage, OfThePageTakeNoneOfTheApi) {
  std::vector<int> held;
  for (std::size_t i = 0; i < kWebConnectionsMax; ++i) held.push_back(connected());
  EXPECT_TRUE(wait_for([&] { return metric("qudag_web_connections_open") == kWebConnectionsMax; }));
  EXPECT_EQ(metric("qudag_api_connections_open"), 1) << "the one that asks";
  for (const int fd : held) ::close(fd);
}

TEST_F(Page, LoadsAndSlowReadersLeaveMemoryWhereItWas) {
  const std::string once = fmt::format("GET /app.js HTTP/1.1\r\n{}\r\n", host());
  const std::uint64_t before = a_.node->status().get().rss;
  // As many as may be open, none of which reads: the page waits for each of them.
  constexpr int kAsked = 64;
  std::vector<int> slow;
  for (std::size_t i = 0; i < kWebConnectionsMax; ++i) {
    slow.push_back(connected(4'096));
    for (int k = 0; k < kAsked; ++k) write(slow.back(), once);
  }
  ASSERT_TRUE(wait_for([&] { return metric("qudag_web_connections_open") == kWebConnectionsMax; }));
  EXPECT_LT(metric("qudag_web_requests_total"), 1 + kAsked * static_cast<int>(kWebConnectionsMax));
  for (const int fd : slow) ::close(fd);
  ASSERT_TRUE(wait_for([&] { return metric("qudag_web_connections_open") == 0; }));
  // A thousand loads of a page with its files, over connections as a browser keeps them.
  std::uint64_t bytes = 0;
  for (int load = 0; load < 1'000; load += 100) {
    const int fd = connected();
    for (int i = 0; i < 100; ++i) {
      const char* const end = i == 99 ? "Connection: close\r\n" : "";
      const std::string asked = fmt::format("GET / HTTP/1.1\r\n{}{}\r\n", host(), end);
      write(fd, asked);
    }
    bytes += rest_of(fd).size();
    ::close(fd);
  }
  EXPECT_GT(bytes, 1'000u * 4'000);
  const NodeStatus status = a_.node->status().get();
  const std::uint64_t after = status.rss;
  EXPECT_LT(status.memory_used, status.memory_limit);
  RecordProperty("rss_before", static_cast<int>(before >> 10));
  RecordProperty("rss_after", static_cast<int>(after >> 10));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(after, before + (8u << 20)) << "of this process, with both nodes and the test";
#endif
}

}  // namespace
}  // namespace qudag::api::test
