#include "nat.h"

namespace qudag::emulator {

std::uint16_t Nat::out(const Flow& flow) {
  if (const auto found = ports_.find(flow); found != ports_.end()) return found->second;
  const std::size_t at = next_++ % kPorts;
  if (flows_[at]) ports_.erase(*flows_[at]);
  flows_[at] = flow;
  const auto port = static_cast<std::uint16_t>(kFirst + at);
  ports_.emplace(flow, port);
  return port;
}

std::optional<std::uint16_t> Nat::in(const Flow& flow) const {
  if (flow.port < kFirst || flow.port - kFirst >= static_cast<int>(kPorts)) return std::nullopt;
  const auto& one = flows_[flow.port - kFirst];
  const bool same = one && one->protocol == flow.protocol && one->peer == flow.peer &&
                    one->peer_port == flow.peer_port;
  return same ? std::optional(one->port) : std::nullopt;
}

void Nat::forget() {
  ports_.clear();
  flows_.assign(kPorts, std::nullopt);
}

}  // namespace qudag::emulator
