// What a keeper, a receiver and a caller hold at most, and what is done beyond it. Every peer is a
// stranger, so each number has an owner and an answer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace qudag::keeper {

/// Of a keeper, all shards together: 256 bytes for an inbox, so 1 MiB.
struct KeeperBounds {
  std::size_t inboxes = 4'096;          // then REGISTER: no room
  std::size_t controls = 1'024;         // the same
  std::size_t standbys = 16;            // of one control circuit; then the circuit ends
  std::size_t splices = 64;             // of one inbox, offers included; then NO busy
  std::size_t joins_inbox = 16;         // that wait for a standby of one inbox; then NO busy
  std::size_t joins = 512;              // of all inboxes: 4.8 KB each, so 2.4 MiB
  std::uint64_t joins_per_second = 10;  // of one inbox; then NO too fast
  std::uint64_t joins_burst = 50;
  std::size_t cards = 1'024;  // 8 KiB each; then PUT: no room
};

/// Of the cards of one inbox: so many at once, then one in so long; then PUT: too fast.
inline constexpr std::uint64_t kPutsBurst = 8;
inline constexpr std::chrono::seconds kPutEvery{60};

/// Of one circuit of a caller, in a minute; then NO too fast.
inline constexpr unsigned kJoinsPerMinute = 6;
/// Of a conversation that is over, by the half that has not heard it; then the circuit ends. Twice
/// what two windows of credit let be under way.
inline constexpr std::size_t kDroppedBytesMax = 8 << 20;
/// Words of the keeper that a peer does not read; then its circuit ends.
inline constexpr std::size_t kUnreadBytesMax = 64 * 1024;
/// How long a registration is good without its control circuit: until then callers hear `away`.
inline constexpr std::chrono::seconds kAwayMax = std::chrono::hours(14 * 24);

/// From the first byte of a frame to its last; then its circuit ends.
inline constexpr std::chrono::seconds kFrameMax{10};

/// What an end of a circuit at a keeper takes here, besides the circuit and what has come of a
/// frame.
inline constexpr std::size_t kEndBytes = 768;

// A receiver.
inline constexpr std::size_t kStandbysLeast = 2, kStandbysMost = 8, kLowStandbysMost = 2;
/// Builds of one receiver to one keeper, whatever that keeper says or breaks: so many, then one in
/// ten seconds.
inline constexpr std::uint64_t kBuildsBurst = 8;
inline constexpr std::chrono::seconds kBuildEvery{10};
/// How long a keeper is the receiver's, about; a new one is there so long before the old leaves.
inline constexpr std::chrono::hours kKeeperTerm{28 * 24}, kKeeperOverlap{24};
/// A new inbox key so often, and how long hails to one are taken.
inline constexpr std::chrono::hours kInboxKeyAge{24}, kInboxKeyKept{48};
/// Letters that were sealed to a key may lie for so long after it has left the card.
inline constexpr std::chrono::hours kLetterKeyKept{8 * 24};
inline constexpr std::size_t kTunnelsMax = 64;  // of one receiver; then DECLINE
/// Hails of one keeper that are opened, in a second and at once; then DECLINE unseen. Twice what a
/// keeper lets an inbox have: one that passes on more, or makes them up, is not worked for.
inline constexpr std::uint64_t kHailsPerSecond = 20, kHailsBurst = 100;
inline constexpr std::size_t kHailsSeenMax = 262'144;
/// Messages of letters that are with the application at a time, of one receiver; others wait.
inline constexpr std::size_t kLetterMessagesMax = 64;

// A caller.
/// Deposits of a shard that are under way: 262 KB each. Then the message waits.
inline constexpr std::size_t kDepositsMax = 16;

}  // namespace qudag::keeper
