// A NAT as carriers and companies have it, "symmetric": every destination of a node's port sees
// another port, and only that destination is let in at it (RFC 4787: address and port-dependent
// mapping and filtering). Pure.
#pragma once

#include "packet.h"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace qudag::emulator {

class Nat {
 public:
  /// What a node behind it talks over: its own port, and whom it talks to.
  struct Flow {
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;
    Ipv4 peer = 0;
    std::uint16_t peer_port = 0;
    auto operator<=>(const Flow&) const = default;
  };

  /// The port that the peer sees. With all in use, the oldest goes to the new flow.
  std::uint16_t out(const Flow& flow);
  /// The node's own port for what comes to one of ours; nothing: not let in. `flow.port` is ours.
  std::optional<std::uint16_t> in(const Flow& flow) const;
  /// As one that was switched off: what was open is not, and other ports come next.
  void forget();

 private:
  static constexpr std::uint16_t kFirst = 20'000;
  static constexpr std::size_t kPorts = 40'000;

  std::map<Flow, std::uint16_t> ports_;
  std::vector<std::optional<Flow>> flows_ = std::vector<std::optional<Flow>>(kPorts);
  std::size_t next_ = 0;
};

}  // namespace qudag::emulator
