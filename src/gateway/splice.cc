#include "gateway/splice.h"

#include <sys/socket.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <vector>

namespace qudag::gateway {
namespace {

using boost::system::error_code;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// So much is read where the pipe has no room: its write says no, and the pipe tells when there is.
constexpr std::size_t kAheadBytes = 4'096;

}  // namespace

void break_off(LocalSocket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

void set_no_delay(LocalSocket& socket) {
  error_code ignored;  // Unix sockets have none
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
}

asio::awaitable<void> Splice::run() {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  set_no_delay(socket_);
  watch();
  asio::co_spawn(socket_.get_executor(), to_pipe(shared_from_this()), asio::detached);
  asio::co_spawn(socket_.get_executor(), to_program(shared_from_this()), asio::detached);
  const PipeEnd end = co_await port_->closed();
  if (end.how == PipeEnd::How::finished) {
    socket_.close(ignored);  // the program has every byte
  } else {
    break_off(socket_);
  }
  // Both ways hear of one or the other, and end.
}

// ---- From the program ---------------------------------------------------------------------------

asio::awaitable<void> Splice::to_pipe(std::shared_ptr<Splice> self) {
  // GCC 12 makes a trap of a loop that waits in its condition.
  for (bool more = true; more;) more = co_await self->one_read();
}

/// False when there is nothing more to read.
asio::awaitable<bool> Splice::one_read() {
  const auto [waited] = co_await socket_.async_wait(asio::socket_base::wait_read, kTuple);
  if (waited) co_return false;  // closed by us
  const std::size_t most = std::clamp(port_->room(), kAheadBytes, scratch_.size());
  error_code ec;
  const std::size_t got = socket_.read_some(asio::buffer(scratch_.data(), most), ec);
  if (ec == asio::error::would_block) co_return true;
  if (ec == asio::error::eof) {
    port_->end();
    co_return false;
  }
  if (ec) {
    port_->reset();
    co_return false;
  }
  const Bytes bytes = Bytes(scratch_).first(got);
  const std::optional<std::size_t> written = port_->write_some(bytes);
  if (!written) co_return false;
  if (*written == got) co_return true;
  // The scratch is everybody's while we wait.
  const std::vector<std::byte> rest(bytes.begin() + static_cast<std::ptrdiff_t>(*written),
                                    bytes.end());
  co_return co_await port_->write(rest);
}

/// A program that breaks off is heard where nothing is read from it, too.
void Splice::watch() {
  socket_.async_wait(asio::socket_base::wait_error, [self = shared_from_this()](error_code ec) {
    if (ec) return;
    int error = 0;
    socklen_t size = sizeof error;
    const bool read =
        ::getsockopt(self->socket_.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size) == 0;
    if (read && error != 0) self->port_->reset();
  });
}

// ---- To the program -----------------------------------------------------------------------------

asio::awaitable<void> Splice::to_program(std::shared_ptr<Splice> self) {
  for (;;) {
    const PipePort::Item item = co_await self->port_->read();
    if (std::holds_alternative<PipeEnd>(item)) co_return;
    if (const auto* bytes = std::get_if<Buffer>(&item)) {
      if (!co_await self->write(*bytes)) {
        self->port_->reset();  // the program has gone
        co_return;
      }
      self->port_->take(bytes->size());
    } else {
      error_code ignored;
      self->socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    }
  }
}

asio::awaitable<bool> Splice::write(const Buffer& bytes) {
  std::vector<asio::const_buffer> pieces;
  for (std::size_t i = 0; i < bytes.piece_count(); ++i) {
    pieces.emplace_back(bytes.piece(i).data(), bytes.piece(i).size());
  }
  const auto [ec, n] = co_await asio::async_write(socket_, pieces, kTuple);
  co_return !ec;
}

}  // namespace qudag::gateway
