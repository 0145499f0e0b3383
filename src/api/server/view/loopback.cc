#include "api/server/view/loopback.h"

#include "base/posix.h"
#include "base/reach.h"

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstring>

namespace qudag::api {

namespace asio = boost::asio;

namespace {

asio::ip::tcp::endpoint endpoint_of(const SocketAddress& at) {
  asio::ip::address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), at.ip.data(), bytes.size());
  const asio::ip::address_v6 v6(bytes);
  if (at.is_v4()) return {asio::ip::make_address_v4(asio::ip::v4_mapped, v6), at.port};
  return {v6, at.port};
}

}  // namespace

Result<LoopbackAcceptor> listen_on_loopback(asio::io_context& io, SocketAddress& at,
                                            std::size_t backlog, std::string_view key) {
  const asio::ip::tcp::endpoint place = endpoint_of(at);
  asio::ip::tcp::acceptor bound(io);
  LoopbackAcceptor acceptor(io);
  boost::system::error_code ec;
  bound.open(place.protocol(), ec);
  if (!ec) bound.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) bound.bind(place, ec);
  if (!ec) bound.listen(static_cast<int>(backlog), ec);
  SocketAddress chosen = at;
  if (!ec) chosen.port = bound.local_endpoint(ec).port();
  if (!ec) acceptor.assign(asio::generic::stream_protocol(place.protocol()), bound.release(ec), ec);
  if (ec) return system_failure(fmt::format("{}: {}", key, at.to_string()), ec.value());
  at = chosen;
  return acceptor;
}

asio::awaitable<std::optional<asio::generic::stream_protocol::socket>> next_connection(
    LoopbackAcceptor& acceptor) {
  constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (;;) {
    auto [ec, socket] = co_await acceptor.async_accept(kTuple);
    if (ec == asio::error::operation_aborted || !acceptor.is_open()) co_return std::nullopt;
    if (!ec) co_return std::move(socket);
    pause.expires_after(std::chrono::milliseconds(50));
    co_await pause.async_wait(kTuple);
  }
}

bool is_host_of_loopback(std::string_view host) {
  if (host.empty()) return true;  // of HTTP/1.0, which browsers do not speak
  const auto address = SocketAddress::parse(host);
  if (address) return is_loopback(*address);
  const std::size_t colon = host.rfind(':');
  std::string_view name = host;
  if (colon != std::string_view::npos && !host.ends_with(']')) name = host.substr(0, colon);
  if (name == "localhost") return true;
  const auto bare = SocketAddress::parse(fmt::format("{}:1", name));
  return bare && is_loopback(*bare);
}

}  // namespace qudag::api
