// What a packet from the network leads to: a new link, or what the endpoint must do with an old
// one.
#pragma once

#include <qudag/address.h>

#include <ngtcp2/ngtcp2.h>

#include <cstdint>
#include <optional>

namespace qudag::link {

/// An Initial packet that may become a link.
struct Incoming {
  const ngtcp2_pkt_hd* header = nullptr;
  std::optional<ngtcp2_cid> original_dcid;  // from a verified Retry token
  bool came_before = false;                 // with a proof of its address from then
  SocketAddress local;
  SocketAddress remote;
};

/// What the endpoint must do after a packet was read.
enum class Verdict : std::uint8_t { keep, retry, drop };

}  // namespace qudag::link
