#include "keeper/tunnel.h"

#include "onion/key_schedule.h"
#include "wire/keeper_frames.h"

#include <span>
#include <utility>

namespace qudag::keeper {
namespace {

constexpr std::uint64_t kEpoch = 65'536;

std::span<std::byte, crypto::kTagSize> tag_of(MutableBytes payload) {
  return std::span<std::byte, crypto::kTagSize>(payload.data() + 1, crypto::kTagSize);
}

}  // namespace

Tunnel::Tunnel(Key256 out, Key256 in, crypto::Cipher cipher) : cipher_(cipher) {
  out_.chain = std::move(out);
  in_.chain = std::move(in);
}

/// Of the epoch of the next payload. The chain goes on with each epoch, and the former is gone.
crypto::Aead& Tunnel::aead_for(Direction& direction, crypto::Aead::Uses use) const {
  if (direction.counter % kEpoch == 0) {
    if (direction.counter > 0) onion::advance_chain(direction.chain);
    direction.aead.emplace(onion::cell_key(direction.chain), use, cipher_);
  }
  return *direction.aead;
}

void Tunnel::seal(MutableBytes payload) {
  QUDAG_ASSERT(payload.size() > kTunnelHeaderBytes);
  crypto::Aead& aead = aead_for(out_, crypto::Aead::kSeal);
  payload.front() = static_cast<std::byte>(wire::KeeperPayload::tunnel);
  aead.seal(crypto::counter_nonce(out_.counter++ % kEpoch), {}, payload.subspan(kTunnelHeaderBytes),
            tag_of(payload));
}

bool Tunnel::open(MutableBytes payload) {
  if (payload.size() <= kTunnelHeaderBytes ||
      payload.front() != static_cast<std::byte>(wire::KeeperPayload::tunnel)) {
    return false;
  }
  crypto::Aead& aead = aead_for(in_, crypto::Aead::kOpen);
  return aead.open(crypto::counter_nonce(in_.counter++ % kEpoch), {},
                   payload.subspan(kTunnelHeaderBytes), tag_of(payload));
}

}  // namespace qudag::keeper
