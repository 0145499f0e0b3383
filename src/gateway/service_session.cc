// A pipe that somebody opened to a service here: 1 the service is there and has a place, 2 it takes
// a connection, 3 only then the pipe is taken, 4 bytes go through.
#include "gateway/hub.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace qudag::gateway {
namespace {

using boost::system::error_code;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

asio::generic::stream_protocol::endpoint endpoint_of(const config::LocalAddress& address) {
  if (address.is_unix()) return asio::local::stream_protocol::endpoint(address.unix_path.string());
  const SocketAddress& at = address.tcp;
  if (at.is_v4()) {
    asio::ip::address_v4::bytes_type v4{};
    std::copy(at.ip.end() - 4, at.ip.end(), v4.begin());
    return asio::ip::tcp::endpoint(asio::ip::address_v4(v4), at.port);
  }
  return asio::ip::tcp::endpoint(asio::ip::address_v6(at.ip), at.port);
}

namespace {

class ServiceSession {
 public:
  ServiceSession(std::shared_ptr<Hub> hub, PipeOffer offer)
      : hub_(std::move(hub)), entry_(*hub_), offer_(std::move(offer)), socket_(hub_->io) {
    entry_.set_end([this] { end(); });
  }

  asio::awaitable<void> run();

 private:
  void end() {
    error_code ignored;
    ended_ = true;
    if (port_) port_->reset(PipeCode::stopping);
    socket_.close(ignored);
  }
  asio::awaitable<PipeCode> connect(const config::LocalAddress& to);
  void refuse(PipeCode code);
  void count(std::size_t row) { hub_->stats.offers[row].fetch_add(1, std::memory_order_relaxed); }

  std::shared_ptr<Hub> hub_;
  SessionEntry entry_;
  PipeOffer offer_;
  LocalSocket socket_;
  std::shared_ptr<PipePort> port_;
  bool ended_ = false;
};

asio::awaitable<void> ServiceSession::run() {
  if (hub_->ending) co_return refuse(PipeCode::stopping);
  auto place = hub_->services.find(offer_.service());
  if (!place) co_return refuse(place.error());
  if (hub_->connects >= Hub::kConnectsMax) co_return refuse(PipeCode::no_room);
  const PipeCode code = co_await connect(place->to());
  if (code != PipeCode::none) co_return refuse(code);

  port_ = std::make_shared<PipePort>(socket_.get_executor());
  std::unique_ptr<Pipe> pipe = offer_.accept(port_->events());
  if (!pipe) co_return;
  count(0);
  port_->attach(std::move(pipe));
  const auto splice = std::make_shared<Splice>(std::move(socket_), port_, hub_->scratch);
  co_await splice->run();
}

/// `none`: connected. What a firewall swallows is too slow.
asio::awaitable<PipeCode> ServiceSession::connect(const config::LocalAddress& to) {
  const Counted under_way(hub_->connects);
  bool late = false;
  const Deadline deadline(hub_->io, Hub::kConnectPatience, [this, &late] {
    late = true;
    error_code ignored;
    socket_.close(ignored);
  });
  const auto [ec] = co_await socket_.async_connect(endpoint_of(to), kTuple);
  if (ended_) co_return PipeCode::stopping;
  if (late) co_return PipeCode::too_slow;
  if (!ec) co_return PipeCode::none;
  co_return ec == asio::error::connection_refused ? PipeCode::refused : PipeCode::not_reachable;
}

void ServiceSession::refuse(PipeCode code) {
  switch (code) {
    case PipeCode::no_such_service:
      count(1);
      break;
    case PipeCode::refused:
      count(2);
      break;
    case PipeCode::not_reachable:
      count(3);
      break;
    case PipeCode::too_slow:
      count(4);
      break;
    default:
      count(5);
      break;
  }
  offer_.refuse(code);
}

}  // namespace

asio::awaitable<void> serve_offer(std::shared_ptr<Hub> hub, PipeOffer offer) {
  ServiceSession session(std::move(hub), std::move(offer));
  co_await session.run();
}

}  // namespace qudag::gateway
