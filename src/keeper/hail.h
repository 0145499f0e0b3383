// The end-to-end handshake over a keeper: a hail from the caller, an answer from the receiver, and
// from both the keys of a tunnel (docs/reference/protocol.md, 14.3).
//
//   caller     make_hail() -> hail, Call;  finish_call(Call, answer) -> Tunnel
//   receiver   open_hail() -> Hailed;      accept_hail(Hailed, answer) -> Tunnel
//
// The hail is sealed to an inbox key of the receiver's card, so the keeper that passes it on reads
// and changes nothing; the inbox id is in the keys, so it cannot pass it on as one for another
// inbox. Of two hails with one ct_a the receiver takes one (ReplayWindow): no keeper repeats them.
// Both halves of a tunnel's key depend on both KEM secrets; what is not needed any more is wiped.
#pragma once

#include "base/bytes.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "crypto/kem.h"
#include "keeper/tunnel.h"
#include "onion/build.h"
#include "wire/keeper_frames.h"

#include <qudag/address.h>
#include <qudag/error.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace qudag::keeper {

using wire::InboxId;
using wire::kAnswerBytes;
using wire::kHailBytes;
using Hail = std::array<std::byte, kHailBytes>;
using Answer = std::array<std::byte, kAnswerBytes>;

/// Frames of messages (section 7) that a hail has room for.
inline constexpr std::size_t kHailFramesBytes = 2'368;
/// A hail is good for so long; the receiver refuses one that claims more than the second.
inline constexpr std::chrono::minutes kHailLife{5}, kHailLifeMax{10};

/// Whom a hail is for; part of its keys.
struct Called {
  NodeId receiver;
  InboxId inbox{};
};

/// live: a tunnel is wanted; letter, either: for later steps.
enum class HailKind : std::uint8_t { live = 1, letter = 2, either = 3 };

struct HailFields {
  HailKind kind = HailKind::live;
  crypto::Cipher cipher = crypto::Cipher::aes_256_gcm;  // of the tunnel
  std::uint32_t expiry_minutes = 0;                     // since 1970-01-01
  std::uint64_t card_published = 0;
  bool operator==(const HailFields&) const = default;
};

/// What a caller remembers between hail and answer. Wiped when it ends.
class Call {
 public:
  Call();
  ~Call();
  Call(Call&&) noexcept;
  Call& operator=(Call&&) noexcept;
  struct State;
  std::unique_ptr<State> state;
};

/// The minute at which a hail that is made now ends.
std::uint32_t hail_expiry(UnixSeconds now);

/// `frames`: at most kHailFramesBytes; the rest is zeros, as the rest of a payload.
Result<Call> make_hail(const Called& called, const crypto::KemPublicKey& inbox_key,
                       const HailFields& fields, Bytes frames, Hail& out);

struct AnswerFields {
  std::uint8_t status = 0;
  bool newer_card = false;
  std::uint64_t card_published = 0;
  bool operator==(const AnswerFields&) const = default;
};
struct Answered {
  AnswerFields fields;
  Tunnel tunnel;
};
/// authentication_failed, malformed.
Result<Answered> finish_call(Call call, Answer& answer);

/// A hail that the receiver could open. Wiped when it ends.
class Hailed {
 public:
  Hailed();
  ~Hailed();
  Hailed(Hailed&&) noexcept;
  Hailed& operator=(Hailed&&) noexcept;
  const HailFields& fields() const;
  /// kHailFramesBytes of frames and padding; in the hail that was opened.
  Bytes frames() const;
  struct State;
  std::unique_ptr<State> state;
};

/// Opens `hail` in place. The first key that fits; an error says nothing about which there are.
/// authentication_failed, malformed, expired, replayed, refused_overload (the window is full). The
/// window is asked last, so that nothing but a good hail gets into it.
Result<Hailed> open_hail(const Called& called, std::span<const crypto::KemKeyPair* const> keys,
                         onion::ReplayWindow& seen, UnixSeconds now, MutableBytes hail);
/// The receiver's answer and its end of the tunnel.
Result<Tunnel> accept_hail(Hailed hailed, const AnswerFields& fields, Answer& out);

namespace detail {

/// receiver id || inbox id: part of every key.
inline constexpr std::size_t kContextBytes = NodeId::kSize + 32;
std::array<std::byte, kContextBytes> context_of(const Called& called);
/// What the text of a hail or a letter begins with, kHailHeadBytes of it.
inline constexpr std::size_t kHailHeadBytes = 16;
void write_head(const HailFields& fields, ByteWriter& out);
std::optional<HailFields> parse_head(Bytes text);

/// The same with their chance given, for golden vectors.
Result<Call> make_hail_with(const Called& called, const crypto::KemPublicKey& inbox_key,
                            const HailFields& fields, Bytes frames, crypto::KemKeyPair ephemeral,
                            const crypto::KemPublicKey::Encapsulation& first, Hail& out);
Result<Tunnel> accept_hail_with(Hailed hailed, const AnswerFields& fields,
                                const crypto::KemPublicKey::Encapsulation& second, Answer& out);

}  // namespace detail

/// "qudag/1 inbox id" || keeper id || owner secret: to have an inbox is to know the secret.
InboxId inbox_id(const NodeId& keeper, const wire::OwnerSecret& owner);

}  // namespace qudag::keeper
