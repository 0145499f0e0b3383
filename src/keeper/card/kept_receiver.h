// What of a receiver lasts over a restart: who it is, its keepers, its inbox keys. The node keeps
// it in a file of its state directory (node/state.h); this is the file's body.
//
// Pure. Secrets: whoever has the body is the receiver, and reads hails to keys that are in it.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/identity.h"
#include "crypto/kem.h"

#include <qudag/receiver.h>

#include <cstdint>
#include <vector>

namespace qudag::keeper {

struct KeptReceiver {
  struct Post {
    NodeId keeper;
    std::uint32_t number = 0;  // its owner secret follows from it
    UnixSeconds until = 0;     // then another keeper takes its place
    UnixSeconds left = 0;      // another has: until then letters may be there; 0: it has not
    bool listed = false;       // in the card
    bool operator==(const Post&) const = default;
  };
  struct Key {
    UnixSeconds made = 0;
    Secret<crypto::kKemSeedSize> seed;
  };
  /// Some leave while others come, or were left lately; and a key a day.
  static constexpr std::size_t kPostsMax = 4 * kKeepersMax, kKeysMax = 16;
  static constexpr std::size_t kEncodedBytesMax = 4'096;

  Secret<crypto::kIdentitySeedSize> identity;
  Secret<32> master;
  bool hidden = true;
  std::size_t keepers = 2;
  std::uint32_t number = 0;     // of the next inbox
  std::uint64_t published = 0;  // the last card
  UnixSeconds replaced = 0;     // the last keeper that was lost
  std::vector<Post> posts;
  std::vector<Key> keys;  // the newest first

  KeptReceiver clone() const;
  std::vector<std::byte> encode() const;
  /// malformed.
  static Result<KeptReceiver> parse(Bytes raw);
};

}  // namespace qudag::keeper
