#include "gateway/listener.h"

#include "base/posix.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstring>

namespace qudag::gateway {
namespace {

using boost::system::error_code;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

Result<std::shared_ptr<Listener>> Listener::open(std::shared_ptr<Hub> hub, const SocketAddress& at,
                                                 Entrance entrance) {
  auto out = std::make_shared<Listener>(std::move(hub), std::move(entrance));
  const auto endpoint = endpoint_of({.tcp = at, .unix_path = {}});
  auto& acceptor = out->acceptor_;
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return system_failure("listen on " + at.to_string(), ec.value());
  out->at_ = at;
  const auto bound = acceptor.local_endpoint(ec);
  in_port_t port = 0;  // at the same place in both families
  std::memcpy(&port, static_cast<const char*>(static_cast<const void*>(bound.data())) + 2,
              sizeof port);
  out->at_.port = ntohs(port);
  asio::co_spawn(
      out->hub_->io, [out]() -> asio::awaitable<void> { co_await out->accept(); }, asio::detached);
  return out;
}

void Listener::close() {
  asio::post(hub_->io, [self = shared_from_this()] {
    error_code ignored;
    self->acceptor_.close(ignored);
  });
}

asio::awaitable<void> Listener::accept() {
  asio::steady_timer pause(hub_->io);
  for (;;) {
    auto [ec, socket] = co_await acceptor_.async_accept(kTuple);
    if (ec == asio::error::operation_aborted || !acceptor_.is_open()) co_return;
    if (ec) {  // out of descriptors: those that wait stay in the backlog
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(kTuple);
      continue;
    }
    if (hub_->programs >= hub_->connections_max || hub_->ending) {
      hub_->stats.connections_refused.fetch_add(1, std::memory_order_relaxed);
      continue;  // the socket closes here
    }
    asio::co_spawn(hub_->io, serve_program(hub_, std::move(socket), entrance_), asio::detached);
  }
}

}  // namespace qudag::gateway
