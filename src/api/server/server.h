// The local API of a node: HTTP/1.1 and WebSocket on a Unix socket (docs/reference/api.md).
//
// Threads: one of its own, with one io_context; every session runs there. The functions below may
// be called from any one thread. Order of stopping: drain(), Node::stop(), stop(); then every
// outcome has reached its client.
#pragma once

#include "api/server/control.h"
#include "config/api_options.h"
#include "gateway/gateway.h"

#include <qudag/node.h>

#include <memory>
#include <optional>

namespace qudag::api {

class Server {
 public:
  /// Binds the socket, takes over the node's message handler and starts the thread. A socket file
  /// that nobody listens on is replaced; a live one is address_in_use. Also permission_denied,
  /// not_found (the directory), invalid_argument (the path is too long), io_error. Without a
  /// gateway, which outlives this, or without a control, its routes say so.
  static Result<std::unique_ptr<Server>> start(Node& node, config::ApiOptions options,
                                               gateway::Gateway* gateway = nullptr,
                                               Control control = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::filesystem::path& socket() const noexcept;
  /// Where the metrics are over TCP (metrics.listen); nothing: nowhere.
  const std::optional<SocketAddress>& metrics() const noexcept;
  /// Answers new sends with shutting_down; outcomes and pages go on.
  void drain();
  /// Writes what is queued for clients that read, ends every connection and the thread, removes the
  /// socket file. Blocks, half a second at most for slow clients.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::api
