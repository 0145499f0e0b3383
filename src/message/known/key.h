// What a destination knows a message by, and how such keys are spread over tables.
#pragma once

#include "crypto/kdf.h"
#include "wire/message_frames.h"

#include <qudag/address.h>

#include <cstdint>
#include <cstring>
#include <optional>

namespace qudag::message {

/// What a destination remembers a message by: who does not know the scope cannot name it.
inline wire::MessageId key_of(const wire::Scope& scope, const wire::MessageId& id) {
  wire::MessageId key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = scope[i] ^ id[i];
  return key;
}

/// What a node knows by a key that a peer chose, of a message or of a pipe, when that came to a
/// receiver of it. The peer must not find out by the key that two receivers, or a receiver and the
/// node, are one machine.
inline wire::MessageId key_at(const std::optional<NodeId>& receiver, const wire::MessageId& key) {
  if (!receiver) return key;
  const crypto::Digest digest = crypto::sha256({Bytes(receiver->bytes), Bytes(key)});
  wire::MessageId out;
  std::memcpy(out.data(), digest.data(), out.size());
  return out;
}

/// Spreads message keys, which a hostile peer chooses, over buckets that it cannot predict.
struct IdHash {
  std::uint64_t key0 = 0, key1 = 0;

  std::uint64_t hash(const wire::MessageId& id) const {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::memcpy(&low, id.data(), 8);
    std::memcpy(&high, id.data() + 8, 8);
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(low ^ key0) * (high ^ key1);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
};

}  // namespace qudag::message
