// The memory bound of a node: one number, divided into a tree of budgets.
//
//   node (limits.memory)
//   |- process      code, stacks, libraries, and what nobody below accounts for; never refused
//   |- blocks       pools of payload bytes, of all shards and of the application
//   |- high_blocks  the same, for high priority and control only                     keeps 1/16
//   |- quic         ngtcp2 and streams: also what peers sent out of order         keeps 1/16
//   |- handshakes   TLS of links that are not ready                      keeps 1/32, and no more
//   |- links        TLS keys and records of links
//   |- circuits     records and keys of circuits
//   |- netmap       descriptors                                                   at most 1/4
//   '- tables       queues, records of messages, what is remembered of the past
//
// These count what is taken from the system, once, before it is taken. Beside them stand the
// claims: which part of the blocks the messages of a priority may fill, at both ends. Claims add
// nothing to the node, because their bytes lie in blocks.
//
//   messages        all claims
//   |- high         keeps 1/16
//   |- normal       keeps 1/16
//   '- low
//
// Thread-safe; owners: the node, its shards, pools, and buffers given out (shared_ptr).
#pragma once

#include "base/bounded.h"
#include "memory/budget.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace qudag::memory {

/// What takes memory from the system.
enum class Part : std::uint8_t {
  process,
  blocks,
  high_blocks,
  quic,
  handshakes,
  links,
  circuits,
  netmap,
  tables,
};
inline constexpr std::size_t kPartCount = 9;
inline constexpr std::size_t kClaimCount = 3;  // priorities, in the order of qudag::Priority

class Bound {
 public:
  /// `process` is there already: messages cannot claim it, nor what is kept.
  explicit Bound(std::uint64_t bytes_max, std::uint64_t process = 0);
  /// What no message can have: kept for other parts.
  static std::uint64_t kept_bytes(std::uint64_t bytes_max);
  /// What is kept from the start, for high blocks too.
  static std::uint64_t reserved_bytes(std::uint64_t bytes_max);
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;
  ~Bound();

  Budget& node() { return node_; }
  const Budget& node() const { return node_; }
  Budget& part(Part part) { return parts_[static_cast<std::size_t>(part)]; }
  const Budget& part(Part part) const { return parts_[static_cast<std::size_t>(part)]; }
  /// All messages, and those of one priority (0 high, 1 normal, 2 low).
  Budget& messages() { return messages_; }
  const Budget& messages() const { return messages_; }
  Budget& claim(std::size_t priority) { return claims_[priority]; }
  const Budget& claim(std::size_t priority) const { return claims_[priority]; }

  /// used / bound, what is kept for somebody included: 1 when an ordinary request is refused.
  double pressure() const {
    return static_cast<double>(node_.used()) / static_cast<double>(node_.bytes_max());
  }
  /// What messages hold, without what is kept for priorities that do not use it.
  std::uint64_t claimed() const;
  /// What the parts other than `process` really hold now.
  std::uint64_t accounted() const;
  /// How much the process holds that no other part accounts for. One thread.
  void set_process(std::uint64_t bytes);
  /// A row for the node, each part and each claim.
  void report(BoundedList& out) const;

 private:
  Budget node_;
  std::array<Budget, kPartCount> parts_;
  Budget messages_;
  std::array<Budget, kClaimCount> claims_;
};

/// A budget of a bound, and a share in its life, for what may outlive the node (buffers).
inline std::shared_ptr<Budget> share(const std::shared_ptr<Bound>& bound, Part part) {
  return {bound, &bound->part(part)};
}

}  // namespace qudag::memory
