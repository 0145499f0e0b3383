// The end-to-end protection of payloads between caller and receiver, from the answer to a PART
// (docs/reference/protocol.md, 14.3): one chain for each direction, a key for each epoch of 65,536
// payloads, counters that both ends keep. So a keeper can neither read, change, repeat nor reorder.
//
// Not thread-safe; owned by the shard that owns the circuit. Nothing allocates but a new epoch.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/aead.h"

#include <cstdint>
#include <optional>

namespace qudag::keeper {

/// kind u8 || tag: what a payload of a tunnel has in front of its text.
inline constexpr std::size_t kTunnelHeaderBytes = 1 + crypto::kTagSize;

class Tunnel {
 public:
  /// `out` is of the direction in which this end sends.
  Tunnel(Key256 out, Key256 in, crypto::Cipher cipher);

  /// Seals a payload in place: header, then the text, which stands behind it already.
  void seal(MutableBytes payload);
  /// False: it is not the next one of the other end, and the tunnel is over.
  [[nodiscard]] bool open(MutableBytes payload);

  crypto::Cipher cipher() const { return cipher_; }

 private:
  struct Direction {
    Key256 chain;
    std::optional<crypto::Aead> aead;
    std::uint64_t counter = 0;
  };
  crypto::Aead& aead_for(Direction& direction, crypto::Aead::Uses use) const;

  Direction out_, in_;
  crypto::Cipher cipher_;
};

}  // namespace qudag::keeper
