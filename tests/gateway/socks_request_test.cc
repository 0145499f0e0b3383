// SOCKS5 and HTTP CONNECT as bytes: every answer, in any pieces, and nothing beyond the bounds.
#include "gateway/socks_request.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace qudag::gateway {
namespace {

using State = SocksRequest::State;
using namespace std::string_literals;

struct Said {
  State state = State::more;
  std::string reply, rest, name, credentials;
  unsigned port = 0;
};

/// What is answered to `text`, in pieces of so many bytes.
Said say(const std::string& text, std::size_t piece = 1'000) {
  SocksRequest request;
  Said out;
  std::size_t at = 0;
  while (at < text.size() && out.state == State::more) {
    const auto fed = request.feed(as_bytes(std::string_view(text).substr(at, piece)));
    at += fed.consumed;
    out.state = fed.state;
    out.reply += fed.reply;
    if (out.state == State::more) {
      EXPECT_EQ(fed.consumed, std::min(piece, text.size() - at + fed.consumed));
    }
  }
  out.rest = text.substr(at);
  out.name = request.name();
  out.credentials = request.credentials();
  out.port = request.port();
  return out;
}

std::string socks(unsigned char code) {
  return "\x05"s + static_cast<char>(code) + "\0\x01\0\0\0\0\0\0"s;
}

const std::string kAsk = "\x05\x01\0\x03\x07"s + "a.qudag" + "\0\x50"s;

TEST(SocksRequest, AsksWithoutAuthentication) {
  for (const std::size_t piece : {1u, 3u, 1'000u}) {
    const Said said = say("\x05\x01\0"s + kAsk + "GET", piece);
    EXPECT_EQ(said.state, State::asked);
    EXPECT_EQ(said.reply, "\x05\0"s);
    EXPECT_EQ(said.name, "a.qudag");
    EXPECT_EQ(said.port, 80u);
    EXPECT_EQ(said.rest, "GET");
    EXPECT_EQ(said.credentials, "");
  }
}

TEST(SocksRequest, TakesAnyPasswordForItsOwn) {
  const std::string who = "\x01\x02me\x03key"s;
  for (const std::size_t piece : {1u, 5u, 1'000u}) {
    const Said said = say("\x05\x02\0\x02"s + who + kAsk, piece);
    EXPECT_EQ(said.state, State::asked);
    EXPECT_EQ(said.reply, "\x05\x02\x01\0"s);
    EXPECT_EQ(said.credentials, "socks\x02mekey"s);
  }
  // The longest that there are fit.
  const std::string longest = "\x01\xff"s + std::string(255, 'u') + "\xff" + std::string(255, 'p');
  const Said said = say("\x05\x01\x02"s + longest + kAsk, 100);
  EXPECT_EQ(said.state, State::asked);
  EXPECT_EQ(said.credentials.size(), 516u);
}

/// Circuits are kept apart by credentials, which are any bytes.
TEST(SocksRequest, OtherCredentialsAreOthers) {
  const std::string hello = "\x05\x01\x02"s;
  const std::string texts[] = {
      say("\x05\x01\0"s + kAsk).credentials,  // none
      say(hello + "\x01\0\0"s + kAsk).credentials,
      say(hello + "\x01\x01\0\0"s + kAsk).credentials,
      say(hello + "\x01\0\x01\0"s + kAsk).credentials,
      say(hello +
          "\x01\x01"
          "a\x03"
          "b\0c"s +
          kAsk)
          .credentials,
      say(hello +
          "\x01\x03"
          "a\0b\x01"
          "c"s +
          kAsk)
          .credentials,
      say("CONNECT a.qudag:1 HTTP/1.1\r\nProxy-Authorization:\r\n\r\n").credentials,
      say("CONNECT a.qudag:1 HTTP/1.1\r\nProxy-Authorization:socks\r\n\r\n").credentials,
  };
  for (const std::string& one : texts) EXPECT_EQ(std::ranges::count(texts, one), 1) << one;
}

TEST(SocksRequest, RefusesEverythingElseWithItsCode) {
  const std::string hello = "\x05\x01\0"s;
  const std::string before = "\x05\0"s;
  EXPECT_EQ(say("\x04\x01"s).reply, "\0\x5b\0\0\0\0\0\0"s);                    // SOCKS 4
  EXPECT_EQ(say("\x05\x01\x01"s).reply, "\x05\xff"s);                          // GSSAPI only
  EXPECT_EQ(say("\x05\0"s).reply, "\x05\xff"s);                                // no method
  EXPECT_EQ(say("\x05\x01\x02\x02"s).reply, "\x05\x02\x01\x01"s);              // password version
  EXPECT_EQ(say(hello + "\x04\x01\0\x03"s).reply, before + socks(1));          // version
  EXPECT_EQ(say(hello + "\x05\x02\0\x03"s).reply, before + socks(7));          // BIND
  EXPECT_EQ(say(hello + "\x05\x03\0\x03"s).reply, before + socks(7));          // UDP
  EXPECT_EQ(say(hello + "\x05\x01\0\x01"s).reply, before + socks(8));          // an IPv4 address
  EXPECT_EQ(say(hello + "\x05\x01\0\x04"s).reply, before + socks(8));          // IPv6
  EXPECT_EQ(say(hello + "\x05\x01\0\x03\0\0\x50"s).reply, before + socks(1));  // no name
  EXPECT_EQ(say(hello + "\x05\x01\0\x03\x01\n\0\x50"s).reply, before + socks(1));  // no text
  for (const char* garbage : {"\x16\x03\x01", "\x7f", " ", "get /"}) {
    const Said said = say(garbage);
    EXPECT_EQ(said.state, State::refused);
    EXPECT_EQ(said.reply, "");
  }
}

TEST(SocksRequest, HttpConnect) {
  const std::string text =
      "CONNECT web.alice.qudag:443 HTTP/1.1\r\nHost: x\r\nProxy-authorization: Basic YTpi\r\n\r\n";
  for (const std::size_t piece : {1u, 7u, 1'000u}) {
    const Said said = say(text + "bytes", piece);
    EXPECT_EQ(said.state, State::asked);
    EXPECT_EQ(said.reply, "");
    EXPECT_EQ(said.name, "web.alice.qudag");
    EXPECT_EQ(said.port, 443u);
    EXPECT_EQ(said.credentials, "http Basic YTpi");
    EXPECT_EQ(said.rest, "bytes");
  }
}

TEST(SocksRequest, HttpThatIsNoConnect) {
  const auto status = [](const std::string& text) {
    const Said said = say(text);
    EXPECT_EQ(said.state, State::refused) << text;
    return said.reply.substr(0, 12);
  };
  EXPECT_EQ(status("GET http://a.qudag/ HTTP/1.1\r\n"), "HTTP/1.1 405");
  EXPECT_EQ(status("C\r\n\r\n"), "HTTP/1.1 405");
  EXPECT_EQ(status("CONNECT a.qudag HTTP/1.1\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("CONNECT :80 HTTP/1.1\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("CONNECT a.qudag:0 HTTP/1.1\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("CONNECT a.qudag:65536 HTTP/1.1\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("CONNECT a.qudag:80\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("CONNECT a.qudag:80 HTTP/1.1\nProxy-Authorization: me\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("CONNECT a.qudag:80 HTTP/1.1\r\nX: " + std::string(600, 'x')), "HTTP/1.1 431");
}

TEST(SocksRequest, HoldsNoMoreThanItsBound) {
  // A step is at most 513 bytes of SOCKS, so only HTTP gets there.
  const std::string line = "CONNECT a.qudag:80 HTTP/1.1\r\n";
  const std::size_t room = SocksRequest::kStepBytesMax - line.size() - 4;
  EXPECT_EQ(say(line + std::string(room, 'x') + "\r\n\r\n", 1).state, State::asked);
  EXPECT_EQ(say(line + std::string(room + 1, 'x') + "\r\n\r\n", 1).state, State::refused);
}

TEST(SocksRequest, AnswersInTheWordsOfTheProtocol) {
  SocksRequest five;
  static_cast<void>(five.feed(as_bytes("\x05\x01\0"s + kAsk)));
  constexpr std::pair<Verdict, unsigned char> kCodes[] = {
      {Verdict::open, 0},      {Verdict::failed, 1},   {Verdict::not_allowed, 2},
      {Verdict::malformed, 1}, {Verdict::no_route, 3}, {Verdict::unreachable, 4},
      {Verdict::refused, 5},   {Verdict::too_slow, 6}, {Verdict::no_room, 1}};
  for (const auto& [verdict, code] : kCodes) EXPECT_EQ(five.answer(verdict), socks(code));

  SocksRequest http;
  static_cast<void>(http.feed(as_bytes("CONNECT a.qudag:80 HTTP/1.1\r\n\r\n"s)));
  constexpr std::pair<Verdict, const char*> kStatus[] = {
      {Verdict::failed, "502"},   {Verdict::not_allowed, "403"}, {Verdict::malformed, "400"},
      {Verdict::no_route, "503"}, {Verdict::unreachable, "502"}, {Verdict::refused, "502"},
      {Verdict::too_slow, "504"}, {Verdict::no_room, "503"}};
  EXPECT_EQ(http.answer(Verdict::open), "HTTP/1.1 200 OK\r\n\r\n");
  for (const auto& [verdict, status] : kStatus) {
    EXPECT_EQ(http.answer(verdict).substr(9, 3), status);
  }
}

}  // namespace
}  // namespace qudag::gateway
