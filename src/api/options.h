// Where the local API listens and every bound of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace qudag::api {

struct ApiOptions {
  /// The Unix socket; its file mode is the access control. Empty: default_socket()
  /// (socket/place.h).
  std::filesystem::path socket;
  unsigned mode = 0600;
  std::size_t connections = 64;      ///< open at once; more are closed at accept
  std::size_t outstanding = 65'536;  ///< sends of one WebSocket without an outcome
  /// Messages waiting for one subscriber. Beyond, the sender is told `refused_queue_full`; one
  /// message of any size always fits an empty queue.
  std::size_t queue_messages = 65'536;
  std::uint64_t queue_bytes = std::uint64_t{64} << 20;
  /// A WebSocket client that takes nothing of what is written to it for so long is closed, so that
  /// what waits for it does not wait for ever. Not a setting of operators.
  std::chrono::milliseconds stall_max = std::chrono::minutes(5);
};

// Bounds of the protocol, not for operators (docs/api.md).
inline constexpr std::size_t kHeaderBytesMax = 8 * 1024;
/// One WebSocket message from a client. Larger payloads go through POST /v1/messages.
inline constexpr std::size_t kStreamInBytesMax = std::size_t{4} << 20;
/// What the server gathers into one WebSocket message, unless a single payload is larger.
inline constexpr std::size_t kStreamOutBytes = std::size_t{256} << 10;
inline constexpr std::size_t kDetailBytesMax = 512;
/// How long a client may take for a request's header, for each piece of a body, and for reading
/// what it asked for.
inline constexpr std::chrono::seconds kClientPatience{30};
/// How long the node's shards may take for a snapshot.
inline constexpr std::chrono::seconds kSnapshotPatience{5};

}  // namespace qudag::api
