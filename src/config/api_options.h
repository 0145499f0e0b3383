// Where the local API listens and every bound of it.
#pragma once

#include <qudag/address.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace qudag::config {

struct ApiOptions {
  /// The Unix socket; its file mode is the access control. Empty: default_socket()
  /// (socket/place.h).
  std::filesystem::path socket;
  unsigned mode = 0600;
  /// Where watchers get the status and the metrics, and can do nothing; empty: nowhere.
  std::filesystem::path monitor_socket;
  unsigned monitor_mode = 0660;
  std::optional<SocketAddress> metrics;  ///< TCP, of loopback: the metrics alone; nothing: nowhere
  std::optional<SocketAddress> web;      ///< TCP, of loopback: the web page; nothing: nowhere
  bool web_control = false;              ///< it may send and receive messages
  std::size_t connections = 64;          ///< open at once; more are closed at accept
  std::size_t outstanding = 65'536;      ///< sends of one WebSocket without an outcome
  /// Messages waiting for one subscriber. Beyond, the sender is told `refused_queue_full`; one
  /// message of any size always fits an empty queue.
  std::size_t queue_messages = 65'536;
  std::uint64_t queue_bytes = std::uint64_t{64} << 20;
  /// A WebSocket client that takes nothing of what is written to it for so long is closed, so that
  /// what waits for it does not wait for ever. Not a setting of operators.
  std::chrono::milliseconds stall_max = std::chrono::minutes(5);
};

}  // namespace qudag::config
