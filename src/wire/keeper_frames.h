// What is said on a circuit that ends at a keeper (docs/reference/protocol.md, section 14): frames
// in a stream that begins in the rider of the build and runs over payloads of kind 1.
//
//   KeeperStream stream;
//   if (!stream.take(bytes, [&](const KeeperFrame& frame) { return handle(frame); })) ...end it
//
// Each type has its exact length, or a least and a greatest one: a frame that has another length is
// refused when its head has come, so nobody makes us keep more than the longest of them. Views
// point into the stream's own bytes and are good inside the call.
#pragma once

#include "base/bytes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

namespace qudag::wire {

enum class KeeperFrameType : std::uint8_t {
  padding = 0x00,
  register_inboxes = 0x01,
  registered = 0x02,
  revoke = 0x03,
  standby = 0x04,
  knock = 0x05,
  join = 0x06,
  offer = 0x07,
  accept = 0x08,
  decline = 0x09,
  joined = 0x0a,
  no = 0x0b,
  part = 0x0c,
  // Of letters.
  deposit = 0x10,
  piece = 0x11,
  stored = 0x12,
  letter = 0x13,
  taken = 0x14,
  fetch = 0x15,
  // Of cards.
  put = 0x20,
  get = 0x21,
  card = 0x22,
  kept = 0x23,
  ping = 0x30,
  pong = 0x31,
};

/// The first byte of a payload on such a circuit.
enum class KeeperPayload : std::uint8_t { tunnel = 0, frames = 1 };

inline constexpr std::size_t kKeeperHeadBytes = 3;  // type u8, length u16
inline constexpr std::size_t kHailBytes = 4'736;
inline constexpr std::size_t kAnswerBytes = 1'152;
inline constexpr std::size_t kInboxesMax = 64;  // of one REGISTER
inline constexpr std::size_t kInboxEntryBytes = 44;
inline constexpr std::size_t kInboxStatusBytes = 3;
inline constexpr std::size_t kJoinBytes = 32 + 1 + 4 + 16 + kHailBytes;
inline constexpr std::size_t kOfferBytes = 32 + 4 + kHailBytes;
inline constexpr std::size_t kCardBlobBytes = 8'192;
inline constexpr std::size_t kPutBytes = 32 + 4 + 4 + 16 + kCardBlobBytes;
inline constexpr std::size_t kDepositBytes = 32 + 16 + 4 + 4 + 16;
inline constexpr std::size_t kLetterBytes = 32 + 8 + 16 + 4;
inline constexpr std::size_t kPieceBytesMax = 8'192;
inline constexpr std::size_t kTakenMax = 64;  // letters of one TAKEN
/// The longest body of a frame.
inline constexpr std::size_t kKeeperBodyMax = std::max(kPutBytes, kPieceBytesMax);

/// A letter has one of these sizes, so that a keeper learns nothing else of it: that of a hail, and
/// those of deposits.
inline constexpr std::array<std::uint32_t, 4> kLetterSizes{kHailBytes, 16'384, 65'536, 262'144};
inline constexpr std::size_t kLetterSizeMax = kLetterSizes.back();
constexpr bool is_letter_size(std::uint32_t size) {
  for (const std::uint32_t one : kLetterSizes) {
    if (size == one) return true;
  }
  return false;
}

/// Where a card lies: a hash that only who may read it, and its keeper, can make.
using Spot = std::array<std::byte, 32>;
using OwnerSecret = std::array<std::byte, 32>;
using InboxId = std::array<std::byte, 32>;
using Binding = std::array<std::byte, 16>;
/// The first bytes of SHA-256 of a letter's KEM ciphertext.
using LetterId = std::array<std::byte, 16>;

enum class NoReason : std::uint8_t {
  no_inbox = 1,
  away = 2,
  stored = 3,
  busy = 4,
  declined = 5,
  no_room = 6,
  too_fast = 7,
  receiver_ended = 8,
  stopping = 9,
  too_large = 10,
};
inline constexpr std::uint8_t kNoReasonMax = 10;

enum class PartReason : std::uint8_t { done = 0, other_ended = 1, limit = 2, stopping = 3 };
inline constexpr std::uint8_t kPartReasonMax = 3;

enum class RegisterStatus : std::uint8_t { taken = 0, no_room = 1, replaced = 2 };
inline constexpr std::uint8_t kRegisterStatusMax = 2;

/// One inbox of a REGISTER: what its owner lets callers have of the keeper's limits.
struct InboxEntry {
  OwnerSecret owner{};
  std::uint16_t letters = 0;
  std::uint32_t letter_bytes = 0;
  std::uint16_t joins_per_second = 0;
  std::uint16_t burst = 0;
  std::uint16_t splices = 0;
  bool operator==(const InboxEntry&) const = default;
};
struct RegisterFrame {
  std::vector<InboxEntry> inboxes;  // 1 to kInboxesMax
  bool operator==(const RegisterFrame&) const = default;
};
struct InboxStatus {
  RegisterStatus status = RegisterStatus::taken;
  std::uint16_t letters_waiting = 0;
  bool operator==(const InboxStatus&) const = default;
};
struct RegisteredFrame {
  RegisterStatus status = RegisterStatus::taken;
  Binding binding{};
  std::uint8_t standbys = 0;  // that may wait at a time
  std::uint32_t valid_seconds = 0;
  std::vector<InboxStatus> inboxes;  // in the order of the REGISTER
  bool operator==(const RegisteredFrame&) const = default;
};
struct RevokeFrame {
  OwnerSecret owner{};
  bool drop_letters = false;
  bool operator==(const RevokeFrame&) const = default;
};
struct StandbyFrame {
  Binding binding{};
  bool operator==(const StandbyFrame&) const = default;
};
struct KnockFrame {
  std::uint8_t normal = 0, low = 0;  // so many more standbys are wanted
  bool operator==(const KnockFrame&) const = default;
};
struct JoinFrame {
  InboxId inbox{};
  bool store = false;
  std::uint32_t effort = 0;
  std::array<std::byte, 16> nonce{};
  Bytes hail;  // kHailBytes
};
struct OfferFrame {
  InboxId inbox{};
  std::uint32_t effort = 0;
  Bytes hail;  // kHailBytes
};
struct AcceptFrame {
  Bytes answer;  // kAnswerBytes
};
struct DeclineFrame {
  std::uint8_t reason = 0;
};
struct JoinedFrame {
  Bytes answer;  // kAnswerBytes
};
struct NoFrame {
  NoReason reason = NoReason::no_inbox;
  std::uint16_t wait_seconds = 0;
  std::array<std::byte, 32> seed{};
  std::uint32_t effort = 0;
  bool operator==(const NoFrame&) const = default;
};
struct PartFrame {
  PartReason reason = PartReason::done;
};
struct PutFrame {
  Spot spot{};
  std::uint32_t expires_minutes = 0;  // since 1970-01-01
  std::uint32_t effort = 0;
  std::array<std::byte, 16> nonce{};
  Bytes blob;  // kCardBlobBytes
};
struct GetFrame {
  Spot spot{};
  bool operator==(const GetFrame&) const = default;
};
/// One of `of` answers to a GET; of 0 there is none, and no blob.
struct CardFrame {
  std::uint8_t index = 0, of = 0;
  Bytes blob;  // kCardBlobBytes, or empty
};
enum class KeptStatus : std::uint8_t { kept = 0, no_room = 1, too_fast = 2 };
inline constexpr std::uint8_t kKeptStatusMax = 2;
struct KeptFrame {
  KeptStatus status = KeptStatus::kept;
};
/// A letter follows, in pieces that are `size` bytes in all: one of kLetterSizes but the first.
struct DepositFrame {
  InboxId inbox{};
  LetterId id{};
  std::uint32_t size = 0;
  std::uint32_t effort = 0;
  std::array<std::byte, 16> nonce{};
  bool operator==(const DepositFrame&) const = default;
};
struct PieceFrame {
  Bytes bytes;  // 1 to kPieceBytesMax
};
enum class StoredStatus : std::uint8_t {
  stored = 0,
  no_inbox = 1,
  no_room = 2,
  too_fast = 3,
  failed = 4
};
inline constexpr std::uint8_t kStoredStatusMax = 4;
struct StoredFrame {
  LetterId id{};
  StoredStatus status = StoredStatus::stored;
  bool operator==(const StoredFrame&) const = default;
};
/// A letter of that inbox follows, in pieces that are `size` bytes in all.
struct LetterFrame {
  InboxId inbox{};
  std::uint64_t number = 0;
  LetterId id{};
  std::uint32_t size = 0;  // one of kLetterSizes
  bool operator==(const LetterFrame&) const = default;
};
struct TakenFrame {
  std::vector<std::uint64_t> numbers;  // 1 to kTakenMax
  bool operator==(const TakenFrame&) const = default;
};
/// So many more bytes of letters may come; 0: none, and the next FETCH begins with the oldest.
struct FetchFrame {
  std::uint32_t bytes = 0;
  bool operator==(const FetchFrame&) const = default;
};
struct KeeperPing {
  std::uint64_t token = 0;
};
struct KeeperPong {
  std::uint64_t token = 0;
};

using KeeperFrame =
    std::variant<RegisterFrame, RegisteredFrame, RevokeFrame, StandbyFrame, KnockFrame, JoinFrame,
                 OfferFrame, AcceptFrame, DeclineFrame, JoinedFrame, NoFrame, PartFrame, PutFrame,
                 GetFrame, CardFrame, KeptFrame, DepositFrame, PieceFrame, StoredFrame, LetterFrame,
                 TakenFrame, FetchFrame, KeeperPing, KeeperPong>;

KeeperFrameType type_of(const KeeperFrame& frame);
/// Appends the frame whole.
void append(std::vector<std::byte>& out, const KeeperFrame& frame);

/// Reads frames from a stream of bytes that comes in pieces: the rider, then payloads.
class KeeperStream {
 public:
  /// The frames in one piece, in order; `f` says whether to go on. False: the piece breaks the
  /// protocol, or `f` said no. What follows a padding must be zeros, and a piece of padding alone
  /// says nothing: it is refused.
  template <class F>
  bool take(Bytes piece, F&& f) {
    bool began = !pending_.empty();
    while (!piece.empty()) {
      if (pending_.empty() && piece.front() == std::byte{0}) return began && all_zero(piece);
      began = true;
      const Step step = fill(piece);
      if (step == Step::malformed) return false;
      if (step == Step::more) continue;
      KeeperFrame frame;
      if (!read(frame)) return false;
      const bool goes_on = f(std::as_const(frame));
      std::vector<std::byte>().swap(pending_);  // most circuits say no other long one
      if (!goes_on) return false;
    }
    return began;
  }
  /// A frame has begun and not ended.
  bool partial() const { return !pending_.empty(); }
  /// Bytes of memory that it holds for that.
  std::size_t held() const { return pending_.capacity(); }

 private:
  enum class Step : std::uint8_t { more, whole, malformed };
  Step fill(Bytes& piece);
  bool read(KeeperFrame& out) const;
  static bool all_zero(Bytes bytes);

  std::vector<std::byte> pending_;
};

}  // namespace qudag::wire
