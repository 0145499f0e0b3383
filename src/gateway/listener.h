// A port of loopback at which programs of this machine connect.
//
// Threads: open() and close() on any; the rest on the gateway's. Owners (shared_ptr): the gateway
// or a lease, and the coroutine that accepts.
#pragma once

#include "gateway/hub.h"

#include <boost/asio/basic_socket_acceptor.hpp>

#include <memory>

namespace qudag::gateway {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  /// Listens from here on. address_in_use, permission_denied, io_error.
  static Result<std::shared_ptr<Listener>> open(std::shared_ptr<Hub> hub, const SocketAddress& at,
                                                Entrance entrance);
  Listener(std::shared_ptr<Hub> hub, Entrance entrance)
      : hub_(std::move(hub)),
        acceptor_(hub_->io),
        entrance_(std::make_shared<const Entrance>(std::move(entrance))) {}

  /// With the port that the kernel chose.
  const SocketAddress& at() const { return at_; }
  /// Takes no more connections; those that are there stay.
  void close();

 private:
  asio::awaitable<void> accept();

  std::shared_ptr<Hub> hub_;
  asio::basic_socket_acceptor<asio::generic::stream_protocol> acceptor_;
  std::shared_ptr<const Entrance> entrance_;
  SocketAddress at_;
};

}  // namespace qudag::gateway
