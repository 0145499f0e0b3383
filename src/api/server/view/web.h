// The web page: a TCP port of loopback (`web.listen`) at which HTTP sessions of the API run behind
// a gate (web_gate.h).
//
// Bounded: kWebConnectionsMax connections. One more ends the oldest that has not shown the token,
// so another user of the machine who holds connections keeps nobody out; if all have, it is closed
// itself. A client has kClientPatience for each step, so who reads slowly is cut.
//
// Threads: open() before the API's runs; the rest on it.
#pragma once

#include "api/server/hub.h"
#include "api/server/view/loopback.h"

#include <boost/asio/io_context.hpp>

#include <list>
#include <memory>

namespace qudag::api {

struct WebVisit;

class Web {
 public:
  Web(std::shared_ptr<Hub> hub, asio::io_context& io) : hub_(std::move(hub)), io_(io) {}

  /// Listens where the options say; nowhere if they name no place. address_in_use,
  /// permission_denied, io_error.
  Status open();
  /// Takes no more connections.
  void close();

 private:
  /// Owners: this, and the coroutines that serve there.
  struct Place;
  static asio::awaitable<void> accept(std::shared_ptr<Hub> hub, std::shared_ptr<Place> place);
  static asio::awaitable<void> serve(std::shared_ptr<Hub> hub, std::shared_ptr<Place> place,
                                     std::list<WebVisit>::iterator visit,
                                     asio::generic::stream_protocol::socket socket);

  std::shared_ptr<Hub> hub_;
  asio::io_context& io_;
  std::shared_ptr<Place> place_;
};

}  // namespace qudag::api
