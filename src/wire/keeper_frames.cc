#include "wire/keeper_frames.h"

#include <algorithm>
#include <optional>
#include <type_traits>

namespace qudag::wire {
namespace {

struct Length {
  std::size_t least, most;
};

/// Of the body of a frame; nothing for a type that does not exist.
std::optional<Length> length_of(std::uint8_t type) {
  const auto exactly = [](std::size_t bytes) { return Length{bytes, bytes}; };
  switch (static_cast<KeeperFrameType>(type)) {
    case KeeperFrameType::register_inboxes:
      return Length{1 + kInboxEntryBytes, 1 + kInboxesMax * kInboxEntryBytes};
    case KeeperFrameType::registered:
      return Length{23, 23 + kInboxesMax * kInboxStatusBytes};
    case KeeperFrameType::revoke:
      return exactly(33);
    case KeeperFrameType::standby:
      return exactly(16);
    case KeeperFrameType::knock:
      return exactly(2);
    case KeeperFrameType::join:
      return exactly(kJoinBytes);
    case KeeperFrameType::offer:
      return exactly(kOfferBytes);
    case KeeperFrameType::accept:
    case KeeperFrameType::joined:
      return exactly(kAnswerBytes);
    case KeeperFrameType::decline:
    case KeeperFrameType::part:
      return exactly(1);
    case KeeperFrameType::no:
      return exactly(39);
    case KeeperFrameType::put:
      return exactly(kPutBytes);
    case KeeperFrameType::get:
      return exactly(32);
    case KeeperFrameType::card:
      return Length{2, 2 + kCardBlobBytes};
    case KeeperFrameType::kept:
      return exactly(1);
    case KeeperFrameType::deposit:
      return exactly(kDepositBytes);
    case KeeperFrameType::piece:
      return Length{1, kPieceBytesMax};
    case KeeperFrameType::stored:
      return exactly(17);
    case KeeperFrameType::letter:
      return exactly(kLetterBytes);
    case KeeperFrameType::taken:
      return Length{2 + 8, 2 + 8 * kTakenMax};
    case KeeperFrameType::fetch:
      return exactly(4);
    case KeeperFrameType::ping:
    case KeeperFrameType::pong:
      return exactly(8);
    case KeeperFrameType::padding:
      break;
  }
  return std::nullopt;
}

bool read_flag(ByteReader& in, bool& out) {
  const std::uint8_t value = in.u8();
  out = value != 0;
  return value <= 1;
}

template <class Enum>
bool read_enum(ByteReader& in, Enum& out, std::uint8_t least, std::uint8_t most) {
  const std::uint8_t value = in.u8();
  out = static_cast<Enum>(value);
  return value >= least && value <= most;
}

bool read(ByteReader& in, RegisterFrame& out) {
  const std::size_t count = in.u8();
  if (count == 0 || count > kInboxesMax || in.remaining() != count * kInboxEntryBytes) return false;
  out.inboxes.resize(count);
  for (InboxEntry& one : out.inboxes) {
    one.owner = in.array<32>();
    one.letters = in.u16();
    one.letter_bytes = in.u32();
    one.joins_per_second = in.u16();
    one.burst = in.u16();
    one.splices = in.u16();
  }
  return true;
}

bool read(ByteReader& in, RegisteredFrame& out) {
  if (!read_enum(in, out.status, 0, kRegisterStatusMax)) return false;
  out.binding = in.array<16>();
  out.standbys = in.u8();
  out.valid_seconds = in.u32();
  const std::size_t count = in.u8();
  if (count > kInboxesMax || in.remaining() != count * kInboxStatusBytes) return false;
  out.inboxes.resize(count);
  for (InboxStatus& one : out.inboxes) {
    if (!read_enum(in, one.status, 0, kRegisterStatusMax)) return false;
    one.letters_waiting = in.u16();
  }
  return true;
}

bool read(ByteReader& in, RevokeFrame& out) {
  out.owner = in.array<32>();
  return read_flag(in, out.drop_letters);
}
bool read(ByteReader& in, StandbyFrame& out) {
  out.binding = in.array<16>();
  return true;
}
bool read(ByteReader& in, KnockFrame& out) {
  out.normal = in.u8();
  out.low = in.u8();
  return true;
}
bool read(ByteReader& in, JoinFrame& out) {
  out.inbox = in.array<32>();
  if (!read_flag(in, out.store)) return false;
  out.effort = in.u32();
  out.nonce = in.array<16>();
  out.hail = in.take(kHailBytes);
  return true;
}
bool read(ByteReader& in, OfferFrame& out) {
  out.inbox = in.array<32>();
  out.effort = in.u32();
  out.hail = in.take(kHailBytes);
  return true;
}
bool read(ByteReader& in, AcceptFrame& out) {
  out.answer = in.take(kAnswerBytes);
  return true;
}
bool read(ByteReader& in, JoinedFrame& out) {
  out.answer = in.take(kAnswerBytes);
  return true;
}
bool read(ByteReader& in, DeclineFrame& out) {
  out.reason = in.u8();
  return true;
}
bool read(ByteReader& in, NoFrame& out) {
  if (!read_enum(in, out.reason, 1, kNoReasonMax)) return false;
  out.wait_seconds = in.u16();
  out.seed = in.array<32>();
  out.effort = in.u32();
  return true;
}
bool read(ByteReader& in, PartFrame& out) { return read_enum(in, out.reason, 0, kPartReasonMax); }
bool read(ByteReader& in, PutFrame& out) {
  out.spot = in.array<32>();
  out.expires_minutes = in.u32();
  out.effort = in.u32();
  out.nonce = in.array<16>();
  out.blob = in.take(kCardBlobBytes);
  return true;
}
bool read(ByteReader& in, GetFrame& out) {
  out.spot = in.array<32>();
  return true;
}
bool read(ByteReader& in, CardFrame& out) {
  out.index = in.u8();
  out.of = in.u8();
  if (out.of == 0) return out.index == 0;
  out.blob = in.take(kCardBlobBytes);
  return out.index < out.of;
}
bool read(ByteReader& in, KeptFrame& out) { return read_enum(in, out.status, 0, kKeptStatusMax); }
bool read(ByteReader& in, DepositFrame& out) {
  out.inbox = in.array<32>();
  out.id = in.array<16>();
  out.size = in.u32();
  out.effort = in.u32();
  out.nonce = in.array<16>();
  return is_letter_size(out.size) && out.size != kHailBytes;
}
bool read(ByteReader& in, PieceFrame& out) {
  out.bytes = in.take(in.remaining());
  return true;
}
bool read(ByteReader& in, StoredFrame& out) {
  out.id = in.array<16>();
  return read_enum(in, out.status, 0, kStoredStatusMax);
}
bool read(ByteReader& in, LetterFrame& out) {
  out.inbox = in.array<32>();
  out.number = in.u64();
  out.id = in.array<16>();
  out.size = in.u32();
  return is_letter_size(out.size);
}
bool read(ByteReader& in, TakenFrame& out) {
  const std::size_t count = in.u16();
  if (count == 0 || count > kTakenMax || in.remaining() != count * 8) return false;
  out.numbers.resize(count);
  for (std::uint64_t& one : out.numbers) one = in.u64();
  return true;
}
bool read(ByteReader& in, FetchFrame& out) {
  out.bytes = in.u32();
  return true;
}
bool read(ByteReader& in, KeeperPing& out) {
  out.token = in.u64();
  return true;
}
bool read(ByteReader& in, KeeperPong& out) {
  out.token = in.u64();
  return true;
}

template <class Frame>
bool read_as(ByteReader& in, KeeperFrame& out) {
  return read(in, out.emplace<Frame>()) && in.done();
}

// ---- writing ------------------------------------------------------------------------------------

class Appender {
 public:
  explicit Appender(std::vector<std::byte>& out) : out_(out) {}
  template <class T>
  void be(T value) {
    std::array<std::byte, sizeof(T)> raw;
    store_be(raw.data(), value);
    put(raw);
  }
  void u8(std::uint8_t value) { be(value); }
  template <class Enum>
  void named(Enum value) {
    u8(static_cast<std::uint8_t>(value));
  }
  void put(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

 private:
  std::vector<std::byte>& out_;
};

void write(Appender& out, const RegisterFrame& frame) {
  QUDAG_ASSERT(!frame.inboxes.empty() && frame.inboxes.size() <= kInboxesMax);
  out.u8(static_cast<std::uint8_t>(frame.inboxes.size()));
  for (const InboxEntry& one : frame.inboxes) {
    out.put(one.owner);
    out.be(one.letters);
    out.be(one.letter_bytes);
    out.be(one.joins_per_second);
    out.be(one.burst);
    out.be(one.splices);
  }
}
void write(Appender& out, const RegisteredFrame& frame) {
  QUDAG_ASSERT(frame.inboxes.size() <= kInboxesMax);
  out.named(frame.status);
  out.put(frame.binding);
  out.u8(frame.standbys);
  out.be(frame.valid_seconds);
  out.u8(static_cast<std::uint8_t>(frame.inboxes.size()));
  for (const InboxStatus& one : frame.inboxes) {
    out.named(one.status);
    out.be(one.letters_waiting);
  }
}
void write(Appender& out, const RevokeFrame& frame) {
  out.put(frame.owner);
  out.u8(frame.drop_letters ? 1 : 0);
}
void write(Appender& out, const StandbyFrame& frame) { out.put(frame.binding); }
void write(Appender& out, const KnockFrame& frame) {
  out.u8(frame.normal);
  out.u8(frame.low);
}
void write(Appender& out, const JoinFrame& frame) {
  QUDAG_ASSERT(frame.hail.size() == kHailBytes);
  out.put(frame.inbox);
  out.u8(frame.store ? 1 : 0);
  out.be(frame.effort);
  out.put(frame.nonce);
  out.put(frame.hail);
}
void write(Appender& out, const OfferFrame& frame) {
  QUDAG_ASSERT(frame.hail.size() == kHailBytes);
  out.put(frame.inbox);
  out.be(frame.effort);
  out.put(frame.hail);
}
void write(Appender& out, const AcceptFrame& frame) {
  QUDAG_ASSERT(frame.answer.size() == kAnswerBytes);
  out.put(frame.answer);
}
void write(Appender& out, const JoinedFrame& frame) {
  QUDAG_ASSERT(frame.answer.size() == kAnswerBytes);
  out.put(frame.answer);
}
void write(Appender& out, const DeclineFrame& frame) { out.u8(frame.reason); }
void write(Appender& out, const NoFrame& frame) {
  out.named(frame.reason);
  out.be(frame.wait_seconds);
  out.put(frame.seed);
  out.be(frame.effort);
}
void write(Appender& out, const PartFrame& frame) { out.named(frame.reason); }
void write(Appender& out, const PutFrame& frame) {
  QUDAG_ASSERT(frame.blob.size() == kCardBlobBytes);
  out.put(frame.spot);
  out.be(frame.expires_minutes);
  out.be(frame.effort);
  out.put(frame.nonce);
  out.put(frame.blob);
}
void write(Appender& out, const GetFrame& frame) { out.put(frame.spot); }
void write(Appender& out, const CardFrame& frame) {
  QUDAG_ASSERT(frame.blob.size() == (frame.of == 0 ? 0 : kCardBlobBytes));
  out.u8(frame.index);
  out.u8(frame.of);
  out.put(frame.blob);
}
void write(Appender& out, const KeptFrame& frame) { out.named(frame.status); }
void write(Appender& out, const DepositFrame& frame) {
  QUDAG_ASSERT(is_letter_size(frame.size) && frame.size != kHailBytes);
  out.put(frame.inbox);
  out.put(frame.id);
  out.be(frame.size);
  out.be(frame.effort);
  out.put(frame.nonce);
}
void write(Appender& out, const PieceFrame& frame) {
  QUDAG_ASSERT(!frame.bytes.empty() && frame.bytes.size() <= kPieceBytesMax);
  out.put(frame.bytes);
}
void write(Appender& out, const StoredFrame& frame) {
  out.put(frame.id);
  out.named(frame.status);
}
void write(Appender& out, const LetterFrame& frame) {
  QUDAG_ASSERT(is_letter_size(frame.size));
  out.put(frame.inbox);
  out.be(frame.number);
  out.put(frame.id);
  out.be(frame.size);
}
void write(Appender& out, const TakenFrame& frame) {
  QUDAG_ASSERT(!frame.numbers.empty() && frame.numbers.size() <= kTakenMax);
  out.be(static_cast<std::uint16_t>(frame.numbers.size()));
  for (const std::uint64_t one : frame.numbers) out.be(one);
}
void write(Appender& out, const FetchFrame& frame) { out.be(frame.bytes); }
void write(Appender& out, const KeeperPing& frame) { out.be(frame.token); }
void write(Appender& out, const KeeperPong& frame) { out.be(frame.token); }

}  // namespace

KeeperFrameType type_of(const KeeperFrame& frame) {
  constexpr KeeperFrameType kTypes[] = {
      KeeperFrameType::register_inboxes,
      KeeperFrameType::registered,
      KeeperFrameType::revoke,
      KeeperFrameType::standby,
      KeeperFrameType::knock,
      KeeperFrameType::join,
      KeeperFrameType::offer,
      KeeperFrameType::accept,
      KeeperFrameType::decline,
      KeeperFrameType::joined,
      KeeperFrameType::no,
      KeeperFrameType::part,
      KeeperFrameType::put,
      KeeperFrameType::get,
      KeeperFrameType::card,
      KeeperFrameType::kept,
      KeeperFrameType::deposit,
      KeeperFrameType::piece,
      KeeperFrameType::stored,
      KeeperFrameType::letter,
      KeeperFrameType::taken,
      KeeperFrameType::fetch,
      KeeperFrameType::ping,
      KeeperFrameType::pong,
  };
  static_assert(std::size(kTypes) == std::variant_size_v<KeeperFrame>);
  return kTypes[frame.index()];
}

void append(std::vector<std::byte>& out, const KeeperFrame& frame) {
  const std::size_t at = out.size();
  Appender writer(out);
  writer.u8(static_cast<std::uint8_t>(type_of(frame)));
  writer.be(std::uint16_t{0});
  std::visit([&](const auto& one) { write(writer, one); }, frame);
  const std::size_t body = out.size() - at - kKeeperHeadBytes;
  QUDAG_ASSERT(body <= kKeeperBodyMax);
  store_be(out.data() + at + 1, static_cast<std::uint16_t>(body));
}

/// As much of the frame as the piece has. The length is judged as soon as it is known.
KeeperStream::Step KeeperStream::fill(Bytes& piece) {
  const auto move = [&](std::size_t wanted) {
    const std::size_t n = std::min(wanted - pending_.size(), piece.size());
    pending_.insert(pending_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
    piece = piece.subspan(n);
    return pending_.size() == wanted;
  };
  if (pending_.size() < kKeeperHeadBytes && !move(kKeeperHeadBytes)) {
    return length_of(std::to_integer<std::uint8_t>(pending_.front())) ? Step::more
                                                                      : Step::malformed;
  }
  const auto length = length_of(std::to_integer<std::uint8_t>(pending_.front()));
  const std::size_t body = load_be<std::uint16_t>(pending_.data() + 1);
  if (!length || body < length->least || body > length->most) return Step::malformed;
  return move(kKeeperHeadBytes + body) ? Step::whole : Step::more;
}

bool KeeperStream::read(KeeperFrame& out) const {
  ByteReader in(Bytes(pending_).subspan(kKeeperHeadBytes));
  switch (static_cast<KeeperFrameType>(pending_.front())) {
    case KeeperFrameType::register_inboxes:
      return read_as<RegisterFrame>(in, out);
    case KeeperFrameType::registered:
      return read_as<RegisteredFrame>(in, out);
    case KeeperFrameType::revoke:
      return read_as<RevokeFrame>(in, out);
    case KeeperFrameType::standby:
      return read_as<StandbyFrame>(in, out);
    case KeeperFrameType::knock:
      return read_as<KnockFrame>(in, out);
    case KeeperFrameType::join:
      return read_as<JoinFrame>(in, out);
    case KeeperFrameType::offer:
      return read_as<OfferFrame>(in, out);
    case KeeperFrameType::accept:
      return read_as<AcceptFrame>(in, out);
    case KeeperFrameType::decline:
      return read_as<DeclineFrame>(in, out);
    case KeeperFrameType::joined:
      return read_as<JoinedFrame>(in, out);
    case KeeperFrameType::no:
      return read_as<NoFrame>(in, out);
    case KeeperFrameType::part:
      return read_as<PartFrame>(in, out);
    case KeeperFrameType::put:
      return read_as<PutFrame>(in, out);
    case KeeperFrameType::get:
      return read_as<GetFrame>(in, out);
    case KeeperFrameType::card:
      return read_as<CardFrame>(in, out);
    case KeeperFrameType::kept:
      return read_as<KeptFrame>(in, out);
    case KeeperFrameType::deposit:
      return read_as<DepositFrame>(in, out);
    case KeeperFrameType::piece:
      return read_as<PieceFrame>(in, out);
    case KeeperFrameType::stored:
      return read_as<StoredFrame>(in, out);
    case KeeperFrameType::letter:
      return read_as<LetterFrame>(in, out);
    case KeeperFrameType::taken:
      return read_as<TakenFrame>(in, out);
    case KeeperFrameType::fetch:
      return read_as<FetchFrame>(in, out);
    case KeeperFrameType::ping:
      return read_as<KeeperPing>(in, out);
    case KeeperFrameType::pong:
      return read_as<KeeperPong>(in, out);
    case KeeperFrameType::padding:
      break;
  }
  return false;
}

bool KeeperStream::all_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace qudag::wire
