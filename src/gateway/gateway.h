// The gateway: existing programs speak TCP to it, and it speaks pipes to the network.
//
//   programs of this machine -> SOCKS5, HTTP CONNECT or a forwarded port -> pipes to other nodes
//   pipes that others open   -> services of this machine
//
// No byte leaves for the internet, and no resolver is asked: names under .qudag are taken apart
// here (names.h), everything else is refused.
//
// Threads: one of its own, with one io_context, where every connection runs. The functions below
// may be called from any thread; start() and stop() from one. Order of stopping: drain(),
// Node::stop(), stop().
#pragma once

#include "config/gateway_options.h"
#include "gateway/contact_book.h"
#include "gateway/names.h"
#include "gateway/services.h"
#include "telemetry/page.h"

#include <qudag/node.h>

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace qudag::gateway {

/// Something of the gateway that lasts as long as this. Not longer than the gateway.
class Lease {
 public:
  explicit Lease(std::move_only_function<void()> end) : end_(std::move(end)) {}
  Lease(Lease&& other) noexcept : end_(std::exchange(other.end_, {})) {}
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (end_) end_();
  }

 private:
  std::move_only_function<void()> end_;
};

class Gateway {
 public:
  /// Listens at every `socks`, takes over the node's handler of pipes, and starts the thread.
  /// address_in_use, permission_denied, io_error, already_exists (a service).
  static Result<std::unique_ptr<Gateway>> start(Node& node, const config::GatewayOptions& options);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  /// As bound, with the ports that the kernel chose.
  const std::vector<SocketAddress>& socks() const noexcept;
  std::vector<Services::Row> services() const;
  /// Any thread; as long as the gateway.
  ContactBook& contacts() const;
  /// An id, or the name of a contact.
  std::expected<NodeId, NameFault> node_named(std::string_view text) const;

  /// Others reach the service while the lease lasts. already_exists, refused_queue_full.
  Result<Lease> expose(config::ServiceOptions service);

  struct Forwarded {
    SocketAddress at;
    Lease lease;
  };
  /// Whoever connects to that port of loopback is at the service, while the lease lasts;
  /// connections outlast it. Errors as of start(); refused_queue_full beyond 256.
  Result<Forwarded> forward(const config::SocksOptions& listen, Target target);

  void add_metrics(telemetry::Page& page) const;

  /// No new connections and pipes; those that are there go on.
  void drain();
  /// Ends every connection and the thread. Blocks until the pipes have closed.
  void stop();

 private:
  struct Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::gateway
