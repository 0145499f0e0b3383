#include "node/shard/key_ring.h"

#include <algorithm>

namespace qudag::node {

namespace {

// A peer's clock may run behind ours: keys and descriptors are valid a little before they are made.
constexpr UnixSeconds kClockSlackSeconds = 300;

Result<onion::OnionKey> make_key(UnixSeconds now, UnixSeconds lifetime) {
  auto pair = crypto::KemKeyPair::generate();
  if (!pair) return std::unexpected(pair.error());
  return onion::OnionKey{.pair = std::make_shared<const crypto::KemKeyPair>(std::move(*pair)),
                         .not_before = now - std::min(now, kClockSlackSeconds),
                         .not_after = now + lifetime};
}

}  // namespace

Result<Announcement> announce(const AnnouncementInput& input) {
  Announcement out;
  out.keys = input.keys;
  std::erase_if(out.keys, [&](const onion::OnionKey& key) { return key.not_after <= input.now; });
  const bool stale =
      out.keys.empty() || out.keys.front().not_after <= input.now + input.onion_key_lifetime_s / 2;
  if (stale) {
    auto fresh = make_key(input.now, input.onion_key_lifetime_s);
    if (!fresh) return std::unexpected(fresh.error());
    out.keys.insert(out.keys.begin(), std::move(*fresh));
    out.keys.resize(std::min(out.keys.size(), limits::kDescriptorOnionKeysMax));
  }

  netmap::Descriptor descriptor;
  descriptor.identity = input.identity->public_bytes();
  descriptor.id = input.identity->id();
  descriptor.published = std::max(input.now, input.published_before + 1);
  // Who holds the descriptor can always build: it does not outlive its newest key.
  descriptor.expires = std::max(
      descriptor.published + 1,
      std::min(descriptor.published + input.descriptor_lifetime_s, out.keys.front().not_after));
  descriptor.relay = input.relay;
  descriptor.addresses = input.addresses;
  for (const onion::OnionKey& key : out.keys) {
    descriptor.onion_keys.push_back({.not_before = key.not_before,
                                     .not_after = key.not_after,
                                     .key = key.pair->public_bytes()});
  }
  auto raw = netmap::encode_and_sign(descriptor, *input.identity);
  if (!raw) return std::unexpected(raw.error());
  out.descriptor = std::move(*raw);
  // In time for the next of each; and a key that has ended is wiped then, not some time later.
  out.renew_at =
      std::min(input.now + std::min(input.descriptor_lifetime_s, input.onion_key_lifetime_s) / 2,
               std::max(input.now + 1, out.keys.back().not_after));
  return out;
}

}  // namespace qudag::node
