// The build handshake: a source makes one build message; each hop takes its layer and passes on the
// rest; replies come back layered the same way (docs/reference/protocol.md, section 5).
//
// Source:  start_build() -> BuildMessage + PendingBuild; finish_build(reply) -> keys per hop.
// Hop:     accept_build() -> record, next message, ReplyKey, traffic keys; seal_reply() for the end
//          of the route, relay_reply() for a reply that came from the next hop.
// No I/O, no clock: the caller gives `now`, the onion keys and the replay window.
#pragma once

#include "base/limits.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/kem.h"
#include "memory/block.h"

#include <qudag/address.h>
#include <qudag/message.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace qudag::onion {

using BuildMessage = std::array<std::byte, limits::kBuildMessageBytes>;
using ReplyMessage = std::array<std::byte, limits::kReplyMessageBytes>;

/// keeper: the circuit ends there as at a destination, at its service for receivers and their
/// callers.
enum class Role : std::uint8_t { relay = 1, destination = 2, keeper = 3 };
enum class BuildStatus : std::uint8_t {
  ready = 0,
  refused = 1,  // a limit of the hop that speaks
  unknown_next = 2,
  unreachable = 3,
  next_refused = 4,  // a limit of the one behind it
};
inline constexpr BuildStatus kLastBuildStatus = BuildStatus::next_refused;

/// What a hop says of the time that a build took there, in whole milliseconds: finer ones would
/// show who builds circuits how busy a relay is at each moment.
struct HopTimes {
  std::uint16_t kept_ms = 0;    // from the build's arrival until it left, or the reply did
  std::uint16_t waited_ms = 0;  // from then until the reply of the next hop; 0 of the last one

  static std::uint16_t whole_ms(Duration time) {
    return static_cast<std::uint16_t>(
        std::clamp<Duration::rep>(time / std::chrono::milliseconds(1), 0, UINT16_MAX));
  }
  Duration kept() const { return std::chrono::milliseconds(kept_ms); }
  Duration waited() const { return std::chrono::milliseconds(waited_ms); }
  bool operator==(const HopTimes&) const = default;
};

/// The chains of one hop from which its traffic keys of every epoch follow (section 5.5).
struct HopSecrets {
  Key256 forward_chain;
  Key256 backward_chain;
  crypto::Cipher cipher = crypto::Cipher::aes_256_gcm;  // of cells
};

/// One hop as the source sees it. The key is shared with the netmap's cache of imported keys.
struct RouteHop {
  NodeId id;
  std::shared_ptr<const crypto::KemPublicKey> onion_key;  // owners: netmap entry, builds under way
  crypto::Cipher cipher = crypto::Cipher::aes_256_gcm;    // of this hop's layer of cells
};

// ---- source -------------------------------------------------------------------------------------

/// What a source remembers between build and reply. Wiped when it ends.
class PendingBuild {
 public:
  PendingBuild();
  ~PendingBuild();
  PendingBuild(PendingBuild&&) noexcept;
  PendingBuild& operator=(PendingBuild&&) noexcept;

  struct State;
  std::unique_ptr<State> state;
};

class KeyStock;

/// What rides in a build has the place of two layers that shorter routes do not use.
inline constexpr unsigned kRiderHopsMax = 4;
inline constexpr std::size_t kRiderBytes =
    (limits::kHopsMax - kRiderHopsMax) * limits::kBuildLayerBytes;  // 4800
/// How much may ride in a build over so many hops: kRiderBytes or nothing.
constexpr std::size_t rider_room(std::size_t hops) {
  return hops <= kRiderHopsMax ? kRiderBytes : 0;
}

/// `invalid_argument` unless 1 <= route.size() <= 6, and the rider is empty or as long as
/// rider_room(). Each record expires at a time of its own, 3 to 7 minutes ahead. Ephemeral keys
/// come from the stock, while it has some. `last` is what the last hop is: destination or keeper.
/// The rider is for the destination; what protects it are the secrets of onion keys alone, until
/// those are wiped (docs/reference/protocol.md, 5.2).
Result<PendingBuild> start_build(std::span<const RouteHop> route, Priority priority,
                                 UnixSeconds now, Rng& rng, BuildMessage& out,
                                 KeyStock* stock = nullptr, Bytes rider = {},
                                 Role last = Role::destination);

struct BuildResult {
  BuildStatus status = BuildStatus::ready;
  std::size_t failed_hop = 0;    // index into the route, if status != ready or malformed
  bool malformed = false;        // that hop sealed first, and left something behind its record
  std::vector<HopSecrets> hops;  // one per hop, if ready
  std::vector<HopTimes> times;   // the same; nobody checks what they say
};
/// `authentication_failed` if a layer does not verify.
Result<BuildResult> finish_build(PendingBuild pending, ReplyMessage& reply);

// ---- hop ----------------------------------------------------------------------------------------

/// The onion keys that a node accepts builds for (current and previous), with their validity.
struct OnionKey {
  std::shared_ptr<const crypto::KemKeyPair> pair;  // owners: the key ring of each shard
  UnixSeconds not_before = 0;
  UnixSeconds not_after = 0;
};

/// Remembers builds until they expire. Bounded; when it is full new builds are refused, which does
/// not happen as long as admission lets in no more than limits::builds_per_second(entries_max).
/// Any thread (a short lock, once per build): all shards that accept builds for the same onion key
/// must share one window, or a build could be replayed to another shard.
class ReplayWindow {
 public:
  static constexpr std::size_t kEntryBytes = limits::kReplayEntryBytes;

  explicit ReplayWindow(std::size_t entries_max = limits::kReplayEntriesMax);
  ~ReplayWindow();
  enum class Verdict : std::uint8_t { fresh, replayed, full };
  Verdict check_and_add(std::span<const std::byte, 32> digest, UnixSeconds expires,
                        UnixSeconds now);
  std::size_t size() const;
  std::size_t entries_max() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct AcceptedBuild {
  Role role = Role::relay;
  Priority priority = Priority::normal;
  NodeId next;         // zero for the last hop
  bool rider = false;  // the first kRiderBytes of the message that is left are one
  HopSecrets secrets;
  Key256 reply_key;
  std::array<std::byte, limits::kKemCiphertextBytes> reply_ciphertext;  // ct2
};

/// Takes this hop's layer off `message` in place, which then is the message for the next hop.
/// `authentication_failed` (tag, low-order point), `malformed` (record), `expired`, `replayed`,
/// `refused_overload` (replay window full). One decapsulation per key tried; two keys at most.
Result<AcceptedBuild> accept_build(const NodeId& self, std::span<const OnionKey> keys,
                                   ReplayWindow& window, Priority preface_priority, UnixSeconds now,
                                   BuildMessage& message);

/// One of the next two, once per accepted build: the reply key has a single nonce.
///
/// The reply of the destination, or of a hop that cannot go on (status != ready).
void seal_reply(const AcceptedBuild& build, BuildStatus status, ReplyMessage& out,
                const HopTimes& times = {});
/// Adds this hop's layer to a reply from the next hop, in place.
void relay_reply(const AcceptedBuild& build, ReplyMessage& reply, const HopTimes& times = {});

}  // namespace qudag::onion
