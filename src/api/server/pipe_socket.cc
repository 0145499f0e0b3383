// 1 accept the upgrade, 2 write to the pipe what the client's messages have, 3 write to the client
// what the pipe has, 4 close and say how it ended. 2 and 3 go on at the same time.
#include "api/server/pipe_socket.h"

#include "api/records/bounds.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/websocket.hpp>

#include <array>
#include <vector>

namespace qudag::api {
namespace {

namespace websocket = beast::websocket;
using gateway::PipePort;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// Owners (shared_ptr): its coroutines.
class PipeSocket : public std::enable_shared_from_this<PipeSocket> {
 public:
  PipeSocket(Stream stream, std::shared_ptr<PipePort> port)
      : socket_(std::move(stream)), port_(std::move(port)), late_(socket_.get_executor()) {}
  ~PipeSocket() { port_->leave(); }
  PipeSocket(const PipeSocket&) = delete;
  PipeSocket& operator=(const PipeSocket&) = delete;

  asio::awaitable<void> run(Upgrade& upgrade);

 private:
  asio::awaitable<void> to_pipe();
  asio::awaitable<bool> piece_to_pipe();
  asio::awaitable<void> to_client();
  asio::awaitable<void> guard();
  asio::awaitable<bool> write(const Buffer* bytes);
  asio::awaitable<void> close(const PipeEnd& end);
  void break_off() { beast::get_lowest_layer(socket_).close(); }

  websocket::stream<Stream> socket_;
  std::shared_ptr<PipePort> port_;
  asio::steady_timer late_;
  bool over_ = false;
  std::array<std::byte, 16 * 1024> read_;
  std::size_t of_message_ = 0;
  bool ended_ = false;  // the client's way
};

asio::awaitable<void> PipeSocket::run(Upgrade& upgrade) {
  set_bounds(socket_);
  socket_.binary(true);
  const auto [ec] = co_await socket_.async_accept(upgrade.request, kTuple);
  if (ec) co_return;
  const auto self = shared_from_this();
  asio::co_spawn(
      socket_.get_executor(), [self]() -> asio::awaitable<void> { co_await self->to_pipe(); },
      asio::detached);
  asio::co_spawn(
      socket_.get_executor(), [self]() -> asio::awaitable<void> { co_await self->guard(); },
      asio::detached);
  co_await to_client();
  over_ = true;
  late_.cancel();
  break_off();
}

/// A client that reads nothing of a pipe that has closed is not waited for.
asio::awaitable<void> PipeSocket::guard() {
  const PipeEnd closed = co_await port_->closed();
  if (over_) co_return;
  late_.expires_after(kClientPatience);
  const auto [ec] = co_await late_.async_wait(kTuple);
  if (!ec) break_off();
}

asio::awaitable<void> PipeSocket::to_pipe() {
  for (;;) {
    const bool more = co_await piece_to_pipe();
    if (!more) co_return;
  }
}

asio::awaitable<bool> PipeSocket::piece_to_pipe() {
  const auto [ec, got] = co_await socket_.async_read_some(asio::buffer(read_), kTuple);
  if (ec || (ended_ && got > 0)) {  // the client has gone, or says more after its end
    port_->reset();
    co_return false;
  }
  of_message_ += got;
  if (got > 0) {
    const bool taken = co_await port_->write(Bytes(read_).first(got));
    if (!taken) co_return false;
  }
  if (!socket_.is_message_done()) co_return true;
  if (of_message_ == 0 && !ended_) {
    ended_ = true;
    port_->end();
  }
  of_message_ = 0;
  co_return true;
}

/// Until the pipe has closed.
asio::awaitable<void> PipeSocket::to_client() {
  for (;;) {
    const PipePort::Item item = co_await port_->read();
    if (const auto* end = std::get_if<PipeEnd>(&item)) {
      co_await close(*end);
      co_return;
    }
    const auto* bytes = std::get_if<Buffer>(&item);
    const bool written = co_await write(bytes);
    if (!written) {
      port_->reset();  // the client has gone
      co_return;
    }
    if (bytes != nullptr) port_->take(bytes->size());
  }
}

/// Nothing: the end of this way.
asio::awaitable<bool> PipeSocket::write(const Buffer* bytes) {
  std::vector<asio::const_buffer> pieces;
  for (std::size_t i = 0; bytes != nullptr && i < bytes->piece_count(); ++i) {
    pieces.emplace_back(bytes->piece(i).data(), bytes->piece(i).size());
  }
  const auto [ec, n] = co_await socket_.async_write(pieces, kTuple);
  co_return !ec;
}

asio::awaitable<void> PipeSocket::close(const PipeEnd& end) {
  websocket::close_reason reason(websocket::close_code::normal);
  if (end.how != PipeEnd::How::finished) {
    const std::string_view name =
        end.how == PipeEnd::How::lost ? name_of(end.reason.code) : name_of(end.code);
    reason.code = websocket::close_code::internal_error;
    reason.reason.assign(name.data(), name.size());
  }
  co_await socket_.async_close(reason, kTuple);
}

}  // namespace

asio::awaitable<void> serve_pipe_socket(Stream stream, Upgrade upgrade,
                                        std::shared_ptr<PipePort> port) {
  const auto session = std::make_shared<PipeSocket>(std::move(stream), std::move(port));
  co_await session->run(upgrade);
}

}  // namespace qudag::api
