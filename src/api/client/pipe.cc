// A pipe between two descriptors: the node's answer is read on this thread, `in` on another one,
// which may be waiting for a terminal when everything is over.
#include "api/client/client.h"
#include "api/socket/listen.h"
#include "base/posix.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <thread>

namespace qudag::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::size_t kReadBytes = 16 * 1024;

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

/// Shared by the two threads; the second one may be the last.
struct Way {
  Fd socket;
  std::atomic<bool> ended{false};  // all of `in` has been written
};

/// `in` as the chunks of a body.
void copy_in(const std::shared_ptr<Way>& way, int in) {
  std::array<char, kReadBytes> bytes;
  for (;;) {
    const ssize_t n = ::read(in, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    if (n == 0) {
      way->ended = send_all(way->socket.get(), "0\r\n\r\n");
      return;
    }
    std::string chunk = fmt::format("{:x}\r\n", n);
    chunk.append(bytes.data(), static_cast<std::size_t>(n));
    chunk += "\r\n";
    if (!send_all(way->socket.get(), chunk)) return;
  }
  ::shutdown(way->socket.get(), SHUT_RDWR);
}

class Answer {
 public:
  explicit Answer(int fd) : socket_(io_) {
    socket_.assign(asio::local::stream_protocol(), ::dup(fd));
    parser_.body_limit(boost::none);
  }

  Status header() {
    beast::error_code ec;
    http::read_header(socket_, buffer_, parser_, ec);
    if (ec) return gone(ec);
    if (parser_.get().result() == http::status::ok) return {};
    std::string text;
    while (!parser_.is_done() && text.size() < 64 * 1024) {
      const std::size_t got = read(ec);
      if (ec) break;
      text.append(bytes_.data(), got);
    }
    return std::unexpected(error_of(text, Errc::io_error));
  }

  Status copy_out(int out) {
    while (!parser_.is_done()) {
      beast::error_code ec;
      const std::size_t got = read(ec);
      if (!write_all(out, bytes_.data(), got)) return system_failure("standard output");
      if (ec) return fail(Errc::io_error, "the pipe was broken off");
    }
    return {};
  }

  /// The connection ends with the pipe.
  void wait_for_end() {
    beast::error_code ec;
    while (!ec) socket_.read_some(asio::buffer(bytes_), ec);
  }

 private:
  static Status gone(const beast::error_code& ec) {
    return fail(Errc::io_error, "the connection to the node ended: " + ec.message());
  }
  std::size_t read(beast::error_code& ec) {
    http::buffer_body::value_type& body = parser_.get().body();
    body.data = bytes_.data();
    body.size = bytes_.size();
    http::read_some(socket_, buffer_, parser_, ec);
    if (ec == http::error::need_buffer) ec = {};
    return bytes_.size() - body.size;
  }

  asio::io_context io_{1};
  asio::local::stream_protocol::socket socket_;
  beast::flat_buffer buffer_;
  http::response_parser<http::buffer_body> parser_;
  std::array<char, kReadBytes> bytes_;
};

}  // namespace

Status Client::pipe(std::string_view target, int in, int out) const {
  Result<int> fd = connect_to(socket_, owner_);
  if (!fd) return std::unexpected(fd.error());
  const auto way = std::make_shared<Way>();
  way->socket = Fd(*fd);
  if (!send_all(*fd, fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n",
                                 target))) {
    return system_failure("the node");
  }
  Answer answer(*fd);
  if (Status opened = answer.header(); !opened) return opened;
  std::thread([way, in] { copy_in(way, in); }).detach();
  if (Status copied = answer.copy_out(out); !copied) return copied;
  ::close(out);  // whoever reads it hears of the end at once, as by TCP
  answer.wait_for_end();
  if (!way->ended) return fail(Errc::io_error, "the pipe was broken off");
  return {};
}

}  // namespace qudag::api
