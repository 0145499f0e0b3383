// A TCP port of loopback, for those who watch and for the web page.
#pragma once

#include <qudag/address.h>
#include <qudag/error.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include <optional>
#include <string_view>

namespace qudag::api {

using LoopbackAcceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

/// Sets the port that the kernel chose where `at` has none. `key` names the setting in errors:
/// address_in_use, permission_denied, io_error.
Result<LoopbackAcceptor> listen_on_loopback(boost::asio::io_context& io, SocketAddress& at,
                                            std::size_t backlog, std::string_view key);

/// The next one that was taken; nothing once the acceptor is closed. Without descriptors those that
/// wait stay in the backlog.
boost::asio::awaitable<std::optional<boost::asio::generic::stream_protocol::socket>>
next_connection(LoopbackAcceptor& acceptor);

/// Whether a Host header names this machine: localhost, or an address of loopback. A page of
/// somebody else's in a browser here has another name there, wherever that leads to.
bool is_host_of_loopback(std::string_view host);

}  // namespace qudag::api
