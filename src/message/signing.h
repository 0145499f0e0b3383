// Messages that say who sent them (docs/reference/protocol.md, 7.1): pk || signature || minute ||
// payload.
//
// What is signed is short: the payload's hash, bound to destination, message id, time, time to live
// and priority. Who has such a message can show it to its destination for as long as that remembers
// it, and then it is too old. Signing (1.2 ms) and verifying (0.22 ms), and the hash before both (1
// ms for 1 to 2 MB), are for a worker: they touch nothing but their arguments, which nobody else
// uses meanwhile.
#pragma once

#include "crypto/identity.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "wire/message_frames.h"

namespace qudag::message {

/// What a signature covers, beside the payload's size and hash.
struct SignedFields {
  NodeId destination;
  wire::MessageId id{};
  std::uint32_t minute = 0;  // when it was signed, since 1970
  std::uint32_t ttl_ms = 0;
  Priority priority = Priority::normal;
  ChannelNumber channel = 0;
};

constexpr std::uint32_t minute_of(std::uint64_t unix_seconds) {
  return static_cast<std::uint32_t>(unix_seconds / 60);
}
/// By how much the clocks of a sender and of its destination may differ.
inline constexpr std::uint64_t kClocksApart_s = 300;
/// When a signed message begins to be too old, seconds since 1970. Its minute may be any.
constexpr std::uint64_t too_old_at(std::uint32_t minute, std::uint32_t ttl_ms) {
  return (std::uint64_t{minute} + 1) * 60 + (ttl_ms + 999) / 1000 + kClocksApart_s;
}
constexpr bool is_of_now(std::uint32_t minute, std::uint32_t ttl_ms, std::uint64_t unix_seconds) {
  return std::uint64_t{minute} * 60 <= unix_seconds + kClocksApart_s &&
         unix_seconds < too_old_at(minute, ttl_ms);
}

/// Who signed, and when they say.
struct Signer {
  NodeId id;
  std::uint32_t minute = 0;
};
/// What a destination remembers a signed message by, whoever brings it.
wire::MessageId key_of(const Signer& signer, const wire::MessageId& id);

/// The payload behind an empty prefix. refused_memory if there is no block for it.
Result<memory::Chain> make_signed(memory::Chain payload, memory::BlockPool& pool);
/// Fills the prefix of a chain that make_signed() made. Any thread.
Status sign_in_place(const crypto::Identity& identity, const SignedFields& fields,
                     const memory::Chain& bytes);

/// Who signed; authentication_failed if nobody did. `bytes` has a prefix, cut anywhere; the minute
/// of `fields` is not looked at. Any thread.
Result<Signer> verify_signed(SignedFields fields, const memory::Chain& bytes);
/// Leaves the payload.
void drop_prefix(memory::Chain& bytes);

}  // namespace qudag::message
