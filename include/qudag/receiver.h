// Receivers that have no address: who is called at keepers (docs/reference/protocol.md, 14).
#pragma once

#include <qudag/address.h>

#include <array>
#include <cstddef>
#include <functional>
#include <vector>

namespace qudag {

/// Of one node.
inline constexpr std::size_t kReceiversMax = 16;
/// Cards that a node knows.
inline constexpr std::size_t kCardsMax = 1'024;
/// Keepers of one receiver.
inline constexpr std::size_t kKeepersMax = 3;

/// What a sender must have of a receiver to call it. Who has it can call, and can see whether the
/// receiver is there; it names no address and no node but the keepers.
struct Card {
  struct Place {
    NodeId keeper;
    std::array<std::byte, 32> inbox{};  ///< the inbox id at that keeper
    bool operator==(const Place&) const = default;
  };
  NodeId receiver;
  std::vector<Place> places{};  ///< 1 to kKeepersMax
  /// The hybrid KEM key (protocol.md, 2.1) that hails are sealed to.
  std::array<std::byte, 1'216> inbox_key{};
  bool operator==(const Card&) const = default;
};

struct ReceiverOptions {
  /// What a file made by `qudag keygen` contains: the receiver's own identity, never a node's.
  /// Empty: a new one for this run.
  std::vector<std::byte> identity_key{};
  /// False: only behind a router. Its circuits are one hop long, so its keepers see the address of
  /// this node; calls come sooner.
  bool hidden = true;
  /// How many keepers it is at, 1 to kKeepersMax.
  std::size_t keepers = 2;
  /// Which ones; empty: drawn from the relays that are keepers.
  std::vector<NodeId> at{};
};

/// Runs on a thread of the node and must not block.
using CardHandler = std::move_only_function<void(const Card&)>;

}  // namespace qudag
