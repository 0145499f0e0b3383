#include "api/server/view/web.h"

#include "api/server/view/web_gate.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <list>

namespace qudag::api {
namespace {

// What the kernel keeps for who does not read; on loopback it would grow to some MiB each.
constexpr int kSendBytes = 256 * 1024;

}  // namespace

struct Web::Place {
  Place(LoopbackAcceptor taken, bool control) : acceptor(std::move(taken)), gate(control) {}
  LoopbackAcceptor acceptor;
  const WebGate gate;
  std::list<WebVisit> open;  // oldest first

  /// Ends the oldest connection without the token, if there is one.
  void make_room() {
    const auto stranger = std::ranges::find_if(
        open, [](const WebVisit& visit) { return !visit.has_token && visit.end; });
    if (stranger != open.end()) stranger->end();
  }
};

Status Web::open() {
  if (!hub_->options.web) return {};
  SocketAddress at = *hub_->options.web;
  Result<LoopbackAcceptor> acceptor = listen_on_loopback(io_, at, kWebConnectionsMax, "web.listen");
  if (!acceptor) return std::unexpected(acceptor.error());
  place_ = std::make_shared<Place>(std::move(*acceptor), hub_->options.web_control);
  hub_->web_url = place_->gate.url(at.to_string());
  asio::co_spawn(io_, accept(hub_, place_), asio::detached);
  return {};
}

void Web::close() {
  boost::system::error_code ignored;
  if (place_) place_->acceptor.close(ignored);
}

/// Takes connections until the acceptor is closed.
asio::awaitable<void> Web::accept(std::shared_ptr<Hub> hub, std::shared_ptr<Place> place) {
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    auto socket = co_await next_connection(place->acceptor);
    if (!socket) co_return;
    if (place->open.size() >= kWebConnectionsMax) {
      ++hub->stats.web_refused;
      place->make_room();
      co_await asio::post(executor, asio::use_awaitable);      // it ends before that
      if (place->open.size() >= kWebConnectionsMax) continue;  // the socket closes here
    }
    boost::system::error_code ignored;
    socket->set_option(asio::socket_base::send_buffer_size(kSendBytes), ignored);
    const auto visit = place->open.insert(place->open.end(), {.gate = place->gate});
    asio::co_spawn(executor, serve(hub, place, visit, std::move(*socket)), asio::detached);
  }
}

asio::awaitable<void> Web::serve(std::shared_ptr<Hub> hub, std::shared_ptr<Place> place,
                                 std::list<WebVisit>::iterator visit,
                                 asio::generic::stream_protocol::socket socket) {
  co_await serve_http(hub, Stream(std::move(socket)), &*visit);
  place->open.erase(visit);
}

}  // namespace qudag::api
