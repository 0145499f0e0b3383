#include "api/server/pipe_session.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <vector>

namespace qudag::api {
namespace {

namespace http = beast::http;
using gateway::PipePort;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// Owners (shared_ptr): its coroutines.
class PipeSession : public std::enable_shared_from_this<PipeSession> {
 public:
  PipeSession(Stream stream, beast::flat_buffer in, HeaderParser& header,
              std::shared_ptr<PipePort> port)
      : stream_(std::move(stream)),
        in_(std::move(in)),
        parser_(std::move(header)),
        port_(std::move(port)) {}
  ~PipeSession() { port_->leave(); }
  PipeSession(const PipeSession&) = delete;
  PipeSession& operator=(const PipeSession&) = delete;

  asio::awaitable<void> run();

 private:
  asio::awaitable<void> to_pipe();
  asio::awaitable<void> to_client();
  asio::awaitable<bool> write(const Buffer& bytes);
  asio::awaitable<bool> begin();
  asio::awaitable<bool> end();

  Stream stream_;
  beast::flat_buffer in_;
  http::request_parser<http::buffer_body> parser_;
  std::shared_ptr<PipePort> port_;
  std::array<std::byte, 16 * 1024> read_;
};

asio::awaitable<void> PipeSession::run() {
  stream_.expires_never();
  parser_.body_limit(boost::none);
  if (!co_await begin()) co_return;
  const auto self = shared_from_this();
  asio::co_spawn(
      stream_.get_executor(), [self]() -> asio::awaitable<void> { co_await self->to_pipe(); },
      asio::detached);
  // A write to a client that reads nothing ends when the pipe was broken off.
  asio::co_spawn(
      stream_.get_executor(),
      [self]() -> asio::awaitable<void> {
        const PipeEnd closed = co_await self->port_->closed();
        if (closed.how != PipeEnd::How::finished) self->stream_.close();
      },
      asio::detached);
  co_await to_client();
  stream_.close();
}

asio::awaitable<void> PipeSession::to_pipe() {
  while (!parser_.is_done()) {
    http::buffer_body::value_type& body = parser_.get().body();
    body.data = read_.data();
    body.size = read_.size();
    body.more = true;
    const auto [ec, n] = co_await http::async_read_some(stream_, in_, parser_, kTuple);
    const std::size_t got = read_.size() - body.size;
    if (got > 0) {
      const bool taken = co_await port_->write(Bytes(read_).first(got));
      if (!taken) co_return;
    }
    if (ec && ec != http::error::need_buffer) {
      port_->reset();  // broken off, or no body of HTTP
      co_return;
    }
  }
  port_->end();
}

/// Until the pipe has closed.
asio::awaitable<void> PipeSession::to_client() {
  for (;;) {
    const PipePort::Item item = co_await port_->read();
    if (std::holds_alternative<PipeEnd>(item)) co_return;
    const auto* bytes = std::get_if<Buffer>(&item);
    bool written = false;
    if (bytes != nullptr) {
      written = co_await write(*bytes);
    } else {
      written = co_await end();
    }
    if (!written) {
      port_->reset();  // the client has gone
      co_return;
    }
    if (bytes != nullptr) port_->take(bytes->size());
  }
}

asio::awaitable<bool> PipeSession::begin() {
  http::response<http::empty_body> response(http::status::ok, 11);
  response.set(http::field::server, "qudag");
  response.set(http::field::content_type, "application/octet-stream");
  response.keep_alive(false);
  response.chunked(true);
  http::response_serializer<http::empty_body> serializer(response);
  const auto [ec, n] = co_await http::async_write_header(stream_, serializer, kTuple);
  co_return !ec;
}

asio::awaitable<bool> PipeSession::write(const Buffer& bytes) {
  std::vector<asio::const_buffer> pieces;
  for (std::size_t i = 0; i < bytes.piece_count(); ++i) {
    pieces.emplace_back(bytes.piece(i).data(), bytes.piece(i).size());
  }
  const auto [ec, n] = co_await asio::async_write(stream_, http::make_chunk(pieces), kTuple);
  co_return !ec;
}

asio::awaitable<bool> PipeSession::end() {
  const auto [ec, n] = co_await asio::async_write(stream_, http::make_chunk_last(), kTuple);
  co_return !ec;
}

}  // namespace

asio::awaitable<void> serve_pipe(Stream stream, beast::flat_buffer in, HeaderParser& header,
                                 std::shared_ptr<PipePort> port) {
  const auto session =
      std::make_shared<PipeSession>(std::move(stream), std::move(in), header, std::move(port));
  co_await session->run();
}

}  // namespace qudag::api
