#include "onion/record.h"

#include <algorithm>

namespace qudag::onion {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kBuildTailZeros = 7;
constexpr std::size_t kReplyTailZeros = 11;

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void write_build_record(const BuildRecord& record,
                        std::span<std::byte, limits::kBuildRecordBytes> out) {
  ByteWriter w(out);
  w.u8(kVersion);
  w.u8(static_cast<std::uint8_t>(record.role));
  w.u8(static_cast<std::uint8_t>(record.priority));
  w.u8(static_cast<std::uint8_t>(record.cipher));
  w.u32(record.expiry_minutes);
  w.put(record.next.bytes);
  w.put(record.ephemeral);
  w.u8(record.rider ? 1 : 0);
  w.zero(kBuildTailZeros);
  QUDAG_ASSERT(w.remaining() == 0);
}

Result<BuildRecord> parse_build_record(std::span<const std::byte, limits::kBuildRecordBytes> in) {
  ByteReader r(in);
  const std::uint8_t version = r.u8();
  const std::uint8_t role = r.u8();
  const std::uint8_t priority = r.u8();
  const std::uint8_t cipher = r.u8();
  BuildRecord record;
  record.expiry_minutes = r.u32();
  record.next.bytes = r.array<NodeId::kSize>();
  record.ephemeral = r.take(limits::kKemPublicBytes);
  const std::uint8_t rider = r.u8();
  const bool tail_zero = all_zero(r.take(kBuildTailZeros));
  if (!r.done() || version != kVersion || cipher >= crypto::kCipherCount || !tail_zero ||
      priority >= kPriorityCount) {
    return fail(Errc::malformed);
  }
  if (role < static_cast<std::uint8_t>(Role::relay) ||
      role > static_cast<std::uint8_t>(Role::keeper)) {
    return fail(Errc::malformed);
  }
  record.role = static_cast<Role>(role);
  record.priority = static_cast<Priority>(priority);
  record.cipher = static_cast<crypto::Cipher>(cipher);
  // A relay needs a next hop, and a last hop must not have one.
  const bool last = record.role != Role::relay;
  if (all_zero(record.next.bytes) != last) return fail(Errc::malformed);
  if (rider > (last ? 1 : 0)) return fail(Errc::malformed);
  record.rider = rider != 0;
  return record;
}

void write_reply_record(std::span<const std::byte, limits::kKemCiphertextBytes> ct2,
                        BuildStatus status, const HopTimes& times,
                        std::span<std::byte, limits::kReplyRecordBytes> out) {
  ByteWriter w(out);
  w.put(ct2);
  w.u8(static_cast<std::uint8_t>(status));
  w.u16(times.kept_ms);
  w.u16(times.waited_ms);
  w.zero(kReplyTailZeros);
  QUDAG_ASSERT(w.remaining() == 0);
}

Result<ReplyRecord> parse_reply_record(std::span<const std::byte, limits::kReplyRecordBytes> in) {
  ByteReader r(in);
  ReplyRecord record;
  record.ct2 = r.take(limits::kKemCiphertextBytes);
  const std::uint8_t status = r.u8();
  record.times.kept_ms = r.u16();
  record.times.waited_ms = r.u16();
  if (!all_zero(r.take(kReplyTailZeros)) || !r.done() ||
      status > static_cast<std::uint8_t>(kLastBuildStatus)) {
    return fail(Errc::malformed);
  }
  record.status = static_cast<BuildStatus>(status);
  return record;
}

}  // namespace qudag::onion
