// Steps: hash the payload -> text = destination || id || hash -> sign or verify. The prefix goes in
// front of the payload as blocks of its own, so the payload is not copied.
#include "message/signing.h"

#include "crypto/kdf.h"

#include <cstring>
#include <vector>

namespace qudag::message {
namespace {

constexpr std::size_t kKeyBytes = crypto::kIdentityPublicSize;
static_assert(kKeyBytes + crypto::kSignatureSize == wire::kSignedPrefixBytes);

using Text = std::array<std::byte, NodeId::kSize + wire::kMessageIdBytes + 32>;

/// crypto/ hashes what lies in one piece; a payload of several blocks is copied together for that.
Result<crypto::Digest> hash_of(const memory::Chain& payload, memory::Budget& budget) {
  if (payload.blocks() == 0) return crypto::sha256(Bytes{});
  if (payload.blocks() == 1) return crypto::sha256(memory::Chain::view(payload.front()));
  const auto room = memory::Reservation::take(budget, payload.bytes());
  if (!room) return fail(Errc::refused_memory);
  std::vector<std::byte> whole(payload.bytes());
  payload.copy_out(whole);
  return crypto::sha256(whole);
}

Text text_of(const NodeId& destination, const wire::MessageId& id, const crypto::Digest& hash) {
  Text text;
  ByteWriter out(text);
  out.put(destination.bytes);
  out.put(id);
  out.put(hash);
  return text;
}

/// Copies the first out.size() bytes out and takes them off the chain.
void take_front(memory::Chain& chain, MutableBytes out) {
  while (!out.empty()) {
    memory::Block block = chain.pop_front();
    const std::size_t n = std::min(out.size(), block.size());
    if (n > 0) std::memcpy(out.data(), block.data(), n);
    out = out.subspan(n);
    if (n == block.size()) continue;
    block.drop_front(n);
    memory::Chain rest;
    rest.push_back(std::move(block));
    rest.append(std::move(chain));
    chain = std::move(rest);
  }
}

}  // namespace

Result<memory::Chain> sign_message(const crypto::Identity& identity, const NodeId& destination,
                                   const wire::MessageId& id, memory::Chain payload,
                                   memory::BlockPool& pool, memory::Budget& budget) {
  const auto hash = hash_of(payload, budget);
  if (!hash) return std::unexpected(hash.error());
  const auto signature = identity.sign(crypto::kMessageContext, text_of(destination, id, *hash));
  if (!signature) return std::unexpected(signature.error());

  std::array<std::byte, wire::kSignedPrefixBytes> prefix;
  ByteWriter out(prefix);
  out.put(identity.public_bytes());
  out.put(*signature);
  memory::Chain whole;
  if (!memory::Chain::copy_in(pool, memory::BlockSize::bulk, prefix, whole)) {
    return fail(Errc::refused_memory);
  }
  whole.append(std::move(payload));
  return whole;
}

Result<NodeId> open_signed(const NodeId& destination, const wire::MessageId& id,
                           memory::Chain& bytes, memory::Budget& budget) {
  QUDAG_ASSERT(bytes.bytes() >= wire::kSignedPrefixBytes);
  crypto::IdentityPublicBytes key;
  crypto::Signature signature;
  take_front(bytes, key);
  take_front(bytes, signature);
  const auto hash = hash_of(bytes, budget);
  if (!hash) return std::unexpected(hash.error());
  if (!crypto::verify(key, crypto::kMessageContext, text_of(destination, id, *hash), signature)) {
    return fail(Errc::authentication_failed);
  }
  return crypto::id_of(key);
}

}  // namespace qudag::message
