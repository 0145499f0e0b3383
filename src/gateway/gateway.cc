#include "gateway/gateway.h"

#include "crypto/random.h"
#include "gateway/hub.h"
#include "gateway/listener.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <mutex>
#include <thread>

namespace qudag::gateway {
namespace {

/// Forwarded ports of one gateway.
constexpr std::size_t kForwardsMax = 256;

/// A listener's own, so that its circuits are nobody else's.
std::string new_secret() {
  std::array<std::byte, 16> bytes;
  crypto::SystemRng().fill(bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Entrance entrance_of(const config::SocksOptions& options) {
  return {.priority = options.priority,
          .relays = options.relays,
          .secret = new_secret(),
          .target = std::nullopt};
}

using telemetry::each, telemetry::Kind, telemetry::no_label;

constexpr telemetry::Metric<GatewayStats> kGateway[] = {
    {{"qudag_gateway_connections_open", "Connections of programs to the gateway that are open.",
      Kind::gauge},
     no_label,
     [](const GatewayStats& s) { return static_cast<double>(s.connections.load()); }},
    {{"qudag_gateway_connections_refused_total",
      "Connections of programs that were closed at once because 1,024 were open."},
     no_label,
     [](const GatewayStats& s) { return static_cast<double>(s.connections_refused.load()); }},
    {{"qudag_gateway_requests_broken_total",
      "Connections to a SOCKS port that ended before their request was whole and understood."},
     no_label,
     [](const GatewayStats& s) { return static_cast<double>(s.broken_requests.load()); }},
    {{"qudag_gateway_requests_total", "Requests of programs for a pipe, by how they ended."},
     each("answer", kVerdicts),
     [](const GatewayStats& s, std::size_t i) {
       return static_cast<double>(s.requests[i].load());
     }},
    {{"qudag_gateway_offers_total", "Pipes that others opened to services here, by the answer."},
     each("answer", kOffered),
     [](const GatewayStats& s, std::size_t i) { return static_cast<double>(s.offers[i].load()); }},
};
static_assert(telemetry::valid(kGateway));

}  // namespace

struct Gateway::Impl {
  Impl(Node& node, const config::GatewayOptions& options)
      : hub(std::make_shared<Hub>(node, options)), work(hub->io.get_executor()) {}

  std::shared_ptr<Hub> hub;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::vector<std::shared_ptr<Listener>> listeners;
  std::vector<SocketAddress> socks;
  std::atomic<std::size_t> forwards{0};
  std::thread thread;
  bool drained = false, stopped = false;
};

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() { stop(); }

Result<std::unique_ptr<Gateway>> Gateway::start(Node& node, const config::GatewayOptions& options) {
  auto out = std::unique_ptr<Gateway>(new Gateway(std::make_unique<Impl>(node, options)));
  Impl& impl = *out->impl_;
  if (Status loaded = impl.hub->contacts.load(); !loaded) return std::unexpected(loaded.error());
  for (const config::ServiceOptions& service : options.services) {
    if (Status added = impl.hub->services.add(service); !added) {
      return std::unexpected(added.error());
    }
  }
  for (const config::SocksOptions& socks : options.socks) {
    auto listener = Listener::open(impl.hub, socks.listen.tcp, entrance_of(socks));
    if (!listener)
      return std::unexpected(Error(listener.error().code, "socks: " + listener.error().detail));
    impl.socks.push_back((*listener)->at());
    impl.listeners.push_back(std::move(*listener));
  }
  node.on_pipe([hub = impl.hub](PipeOffer&& offer) {
    // One that comes too late stays in the loop and must not hold the hub, which has the loop.
    asio::post(hub->io, [weak = std::weak_ptr(hub), offer = std::move(offer)]() mutable {
      const auto there = weak.lock();
      if (!there) return;
      asio::co_spawn(there->io, serve_offer(there, std::move(offer)), asio::detached);
    });
  });
  impl.thread = std::thread([hub = impl.hub] { hub->io.run(); });
  return out;
}

const std::vector<SocketAddress>& Gateway::socks() const noexcept { return impl_->socks; }
std::vector<Services::Row> Gateway::services() const { return impl_->hub->services.rows(); }

std::expected<NodeId, NameFault> Gateway::node_named(std::string_view text) const {
  return parse_node(text, *impl_->hub->contacts.names());
}

ContactBook& Gateway::contacts() const { return impl_->hub->contacts; }

Result<Lease> Gateway::expose(config::ServiceOptions service) {
  std::string name = service.name;
  if (Status added = impl_->hub->services.add(std::move(service)); !added) {
    return std::unexpected(added.error());
  }
  return Lease([hub = impl_->hub, name = std::move(name)] { hub->services.remove(name); });
}

Result<Gateway::Forwarded> Gateway::forward(const config::SocksOptions& listen, Target target) {
  if (impl_->forwards.fetch_add(1) >= kForwardsMax) {
    impl_->forwards.fetch_sub(1);
    return fail(Errc::refused_queue_full, "256 ports are forwarded");
  }
  Entrance entrance = entrance_of(listen);
  entrance.target = std::move(target);
  auto listener = Listener::open(impl_->hub, listen.listen.tcp, std::move(entrance));
  if (!listener) {
    impl_->forwards.fetch_sub(1);
    return std::unexpected(listener.error());
  }
  const SocketAddress at = (*listener)->at();
  return Forwarded{at, Lease([impl = impl_.get(), listener = std::move(*listener)] {
                     listener->close();
                     impl->forwards.fetch_sub(1);
                   })};
}

void Gateway::add_metrics(telemetry::Page& page) const { page.add(kGateway, impl_->hub->stats); }

void Gateway::drain() {
  if (std::exchange(impl_->drained, true)) return;
  impl_->hub->node.on_pipe({});
  impl_->hub->node.on_card({});  // the loop that it writes from ends
  for (const auto& listener : impl_->listeners) listener->close();
}

void Gateway::stop() {
  if (std::exchange(impl_->stopped, true)) return;
  drain();
  if (!impl_->thread.joinable()) {  // start() failed; what waits in the loop holds the hub
    impl_->work.reset();
    impl_->hub->io.run();
    return;
  }
  asio::post(impl_->hub->io, [hub = impl_->hub] {
    hub->ending = true;
    const auto sessions = hub->sessions;  // ending one takes it off the list
    for (const auto& end : sessions) end();
  });
  impl_->work.reset();
  impl_->thread.join();
}

}  // namespace qudag::gateway
