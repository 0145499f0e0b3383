// Bounds of the local API's protocol; operators do not set them.
#pragma once

#include <chrono>
#include <cstddef>

namespace qudag::api {

inline constexpr std::size_t kHeaderBytesMax = 8 * 1024;
/// One WebSocket message from a client. Larger payloads go through POST /v1/messages.
inline constexpr std::size_t kStreamInBytesMax = std::size_t{4} << 20;
/// What the server gathers into one WebSocket message, unless a single payload is larger.
inline constexpr std::size_t kStreamOutBytes = std::size_t{256} << 10;
inline constexpr std::size_t kDetailBytesMax = 512;
/// How long a client may take for a request's header, for each piece of a body, and for reading
/// what it asked for.
inline constexpr std::chrono::seconds kClientPatience{30};
/// For a whole body whose length its client does not say.
inline constexpr std::chrono::seconds kBodyPatience{600};
/// How long the node's shards may take for a snapshot.
inline constexpr std::chrono::seconds kSnapshotPatience{5};

}  // namespace qudag::api
