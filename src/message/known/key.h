// What a destination knows a message by, and how such keys are spread over tables.
#pragma once

#include "wire/message_frames.h"

#include <cstdint>
#include <cstring>

namespace qudag::message {

/// What a destination remembers a message by: who does not know the scope cannot name it.
inline wire::MessageId key_of(const wire::Scope& scope, const wire::MessageId& id) {
  wire::MessageId key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = scope[i] ^ id[i];
  return key;
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
