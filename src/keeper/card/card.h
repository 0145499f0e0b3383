// A receiver's card: what it signs for its callers, and the sealed form in which its keepers have
// it (docs/reference/protocol.md, 14.5).
//
//   receiver   sign_card() -> card;  seal_card() for each keeper's spot -> blob
//   caller     open_card() of a blob -> verified Card, with the key that is good now
//
// A blob opens only for who has the receiver's id and pin, so a keeper that does not have them
// learns nothing from it; the signature is the receiver's, so nobody else makes one. Pure.
#pragma once

#include "base/bytes.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "wire/keeper_frames.h"

#include <qudag/receiver.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace qudag::keeper {

using Pin = std::array<std::byte, 16>;
using CardSalt = std::array<std::byte, 16>;
using CardBlob = std::array<std::byte, wire::kCardBlobBytes>;

inline constexpr std::string_view kCardContext = "qudag/1 card";
inline constexpr std::size_t kCardBytesMax = 7'944;
/// No card is good for longer.
inline constexpr std::chrono::hours kCardLifeMax{8 * 24};
inline constexpr std::size_t kCardKeysMax = 2;

struct CardFields {
  struct Key {
    std::uint64_t not_before = 0, not_after = 0;  // Unix seconds
    crypto::KemPublicBytes key{};
    bool operator==(const Key&) const = default;
  };
  std::uint64_t published = 0, expires = 0;  // Unix seconds
  std::uint32_t flags = 0;                   // kCardLetters | kCardPipes
  std::uint32_t effort = 0;
  std::vector<Card::Place> places;  // 1 to kKeepersMax
  std::vector<Key> keys;            // 1 to kCardKeysMax
  bool operator==(const CardFields&) const = default;
};
inline constexpr std::uint32_t kCardLetters = 1, kCardPipes = 2;

/// Where its keeper has the card of that inbox.
wire::Spot spot_here(const wire::InboxId& inbox);

Result<std::vector<std::byte>> sign_card(const crypto::Identity& receiver,
                                         const CardFields& fields);
void seal_card(Bytes card, const NodeId& receiver, const Pin& pin, const wire::Spot& spot,
               const CardSalt& salt, CardBlob& out);

/// What stands in a signed card. malformed; authentication_failed: it is not that receiver's.
Result<CardFields> read_card(Bytes card, const NodeId& receiver);
/// The card as callers use it. Opens `blob` in place: authentication_failed, malformed; expired
/// (it, or all its keys), or from the future.
Result<Card> open_card(MutableBytes blob, const NodeId& receiver, const Pin& pin,
                       const wire::Spot& spot, UnixSeconds now);

}  // namespace qudag::keeper
