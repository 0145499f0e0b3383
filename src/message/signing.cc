// Steps: make_signed puts an empty prefix in front of the payload, as a block of its own -> a
// worker hashes the payload, signs that with all that SignedFields has, and writes key, signature
// and minute into that block. The other end verifies over the same views, and drops the prefix. No
// byte of a payload is copied.
#include "message/signing.h"

#include "crypto/kdf.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace qudag::message {
namespace {

constexpr std::size_t kKeyBytes = crypto::kIdentityPublicSize;
constexpr std::size_t kMinuteBytes = 4;
static_assert(kKeyBytes + crypto::kSignatureSize + kMinuteBytes == wire::kSignedPrefixBytes);
static_assert(wire::kSignedPrefixBytes <= limits::kBulkCellBytes, "one bulk block holds it");

using Prefix = std::array<std::byte, wire::kSignedPrefixBytes>;
constexpr std::size_t kTextBytesMax = NodeId::kSize + wire::kMessageIdBytes + kMinuteBytes + 1 + 1 +
                                      4 + sizeof(crypto::Digest) + wire::kChannelBytes;
struct Text {
  std::array<std::byte, kTextBytesMax> bytes;
  std::size_t size = 0;
  Bytes view() const { return Bytes(bytes).first(size); }
};

/// f(view) for each block's part of what comes after the prefix.
template <class F>
void for_payload(const memory::Chain& bytes, F&& f) {
  std::size_t skip = wire::kSignedPrefixBytes;
  for (memory::BlockHeader* at = bytes.front(); at != nullptr; at = at->next) {
    const Bytes view = memory::Chain::view(at);
    const std::size_t n = std::min(skip, view.size());
    skip -= n;
    if (n < view.size()) f(view.subspan(n));
  }
}

Text text_of(const SignedFields& fields, const memory::Chain& bytes) {
  crypto::Sha256 hash;
  for_payload(bytes, [&hash](Bytes part) { hash.add(part); });
  Text text;
  ByteWriter out(text.bytes);
  out.put(fields.destination.bytes);
  out.put(fields.id);
  out.u32(fields.minute);
  out.u8(static_cast<std::uint8_t>(std::countr_zero(fields.ttl_ms)));
  out.u8(static_cast<std::uint8_t>(fields.priority));
  out.u32(static_cast<std::uint32_t>(bytes.bytes() - wire::kSignedPrefixBytes));
  out.put(hash.finish());
  if (fields.channel != 0) out.u16(fields.channel);
  text.size = out.written();
  return text;
}

Prefix prefix_of(const memory::Chain& bytes) {
  Prefix out;
  MutableBytes rest(out);
  for (memory::BlockHeader* at = bytes.front(); !rest.empty(); at = at->next) {
    const Bytes view = memory::Chain::view(at);
    const std::size_t n = std::min(rest.size(), view.size());
    if (n > 0) std::memcpy(rest.data(), view.data(), n);
    rest = rest.subspan(n);
  }
  return out;
}

}  // namespace

Result<memory::Chain> make_signed(memory::Chain payload, memory::BlockPool& pool) {
  memory::Block prefix = pool.take(memory::BlockSize::bulk);
  if (!prefix) return fail(Errc::refused_memory);
  prefix.append(wire::kSignedPrefixBytes);
  std::memset(prefix.data(), 0, prefix.size());  // another message was in this block before
  memory::Chain whole;
  whole.push_back(std::move(prefix));
  whole.append(std::move(payload));
  return whole;
}

wire::MessageId key_of(const Signer& signer, const wire::MessageId& id) {
  const crypto::Digest digest = crypto::sha256({Bytes(signer.id.bytes), Bytes(id)});
  wire::MessageId key;
  std::memcpy(key.data(), digest.data(), key.size());
  return key;
}

Status sign_in_place(const crypto::Identity& identity, const SignedFields& fields,
                     const memory::Chain& bytes) {
  const auto signature = identity.sign(crypto::kMessageContext, text_of(fields, bytes).view());
  if (!signature) return std::unexpected(signature.error());
  ByteWriter out(memory::Chain::view(bytes.front()));
  out.put(identity.public_bytes());
  out.put(*signature);
  out.u32(fields.minute);
  return {};
}

Result<Signer> verify_signed(SignedFields fields, const memory::Chain& bytes) {
  QUDAG_ASSERT(bytes.bytes() >= wire::kSignedPrefixBytes);
  const Prefix prefix = prefix_of(bytes);
  const auto key = std::span(prefix).first<kKeyBytes>();
  const auto signature = std::span(prefix).subspan<kKeyBytes, crypto::kSignatureSize>();
  fields.minute = ByteReader(Bytes(prefix).last(kMinuteBytes)).u32();
  if (!crypto::verify(key, crypto::kMessageContext, text_of(fields, bytes).view(), signature)) {
    return fail(Errc::authentication_failed);
  }
  return Signer{crypto::id_of(key), fields.minute};
}

void drop_prefix(memory::Chain& bytes) {
  for (std::size_t left = wire::kSignedPrefixBytes; left > 0;) {
    memory::Block block = bytes.pop_front();
    const std::size_t n = std::min(left, block.size());
    left -= n;
    if (n == block.size()) continue;
    block.drop_front(n);
    memory::Chain rest;
    rest.push_back(std::move(block));
    rest.append(std::move(bytes));
    bytes = std::move(rest);
  }
}

}  // namespace qudag::message
