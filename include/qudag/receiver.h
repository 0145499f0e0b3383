// Receivers that have no address: who is called at keepers (docs/reference/protocol.md, 14).
#pragma once

#include <qudag/address.h>
#include <qudag/error.h>
#include <qudag/export.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
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
  /// Who has it can open the receiver's cards at its keepers. Zeros: none are looked for.
  std::array<std::byte, 16> pin{};
  /// Unix seconds: when the receiver made it, and from when on it is no good. 0: nobody knows.
  std::uint64_t published = 0, expires = 0;
  bool operator==(const Card&) const = default;
};

/// What one person gives another so that she can call: the receiver and where its cards are. Unlike
/// a card it lasts as long as one of its keepers is the receiver's, about four weeks; who has used
/// it before then knows newer ones.
struct Invitation {
  /// What its text begins with; 195 to 399 characters in all, which a QR code holds.
  static constexpr std::string_view kScheme = "qudag1:";

  NodeId receiver;
  std::array<std::byte, 16> pin{};
  std::vector<Card::Place> places{};  ///< 1 to kKeepersMax
  bool operator==(const Invitation&) const = default;

  [[nodiscard]] QUDAG_API std::string to_string() const;
  /// Either case; white space in it does not count. `malformed`, with what is wrong: its text has a
  /// checksum, so a typing error is told from an invitation of somebody else.
  [[nodiscard]] QUDAG_API static Result<Invitation> parse(std::string_view text);
  /// That of a card.
  [[nodiscard]] static Invitation of(const Card& card) {
    return {.receiver = card.receiver, .pin = card.pin, .places = card.places};
  }
};

struct ReceiverOptions {
  /// 1 to 24 of a-z, 0-9 and '-': it is kept in the node's `state_dir` under this name, and is the
  /// same one when it is opened under it in a later run. Empty: nothing of it is kept.
  std::string name{};
  /// What a file made by `qudag keygen` contains: the receiver's own identity, never a node's.
  /// Empty: the one that is kept under that name, else a new one.
  std::vector<std::byte> identity_key{};
  /// False: only behind a router. Its circuits are one hop long, so its keepers see the address of
  /// this node; calls come sooner.
  bool hidden = true;
  /// How many keepers it is at, 1 to kKeepersMax.
  std::size_t keepers = 2;
  /// Which ones; empty: drawn from the relays that are keepers.
  std::vector<NodeId> at{};
};

/// A receiver of this node.
struct ReceiverStatus {
  struct Keeper {
    NodeId id;
    bool registered = false;   ///< callers reach the receiver there
    bool has_card = false;     ///< who has an invitation finds the card there
    std::size_t standbys = 0;  ///< circuits that wait for callers, or serve one
    std::uint64_t until = 0;   ///< Unix seconds: when another one takes its place; 0: never
    bool operator==(const Keeper&) const = default;
  };
  std::string name;  ///< empty: it is not kept
  NodeId id;
  bool hidden = true;
  std::vector<Keeper> keepers{};
  std::size_t conversations = 0;  ///< that go on
  /// Without a place: no keeper has answered yet.
  Invitation invitation{};
};

/// Runs on a thread of the node and must not block.
using CardHandler = std::move_only_function<void(const Card&)>;

}  // namespace qudag
