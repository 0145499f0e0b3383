// The two records of the build handshake as bytes (docs/reference/protocol.md, 5.2 and 5.3).
//
// A build record tells one hop what it is and who comes next; a reply record carries the hop's
// second KEM ciphertext, its status, and how long it took. Both have exactly one valid encoding.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"
#include "base/time.h"
#include "onion/build.h"

#include <qudag/address.h>
#include <qudag/error.h>
#include <qudag/message.h>

namespace qudag::onion {

struct BuildRecord {
  Role role = Role::relay;
  Priority priority = Priority::normal;
  crypto::Cipher cipher = crypto::Cipher::aes_256_gcm;
  std::uint32_t expiry_minutes = 0;  // since 1970-01-01
  NodeId next;                       // zero for the last hop
  Bytes ephemeral;                   // 1216; a view of the bytes that were parsed
  bool rider = false;                // something rides behind the record; only for the last hop

  UnixSeconds expires() const { return UnixSeconds{expiry_minutes} * 60; }
};

void write_build_record(const BuildRecord& record,
                        std::span<std::byte, limits::kBuildRecordBytes> out);
/// `malformed` for any byte that the encoding does not produce.
Result<BuildRecord> parse_build_record(std::span<const std::byte, limits::kBuildRecordBytes> in);

void write_reply_record(std::span<const std::byte, limits::kKemCiphertextBytes> ct2,
                        BuildStatus status, const HopTimes& times,
                        std::span<std::byte, limits::kReplyRecordBytes> out);

struct ReplyRecord {
  Bytes ct2;  // a view
  BuildStatus status = BuildStatus::ready;
  HopTimes times;
};
Result<ReplyRecord> parse_reply_record(std::span<const std::byte, limits::kReplyRecordBytes> in);

}  // namespace qudag::onion
