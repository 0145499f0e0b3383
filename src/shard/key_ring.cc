#include "shard/key_ring.h"

#include "crypto/key_memory.h"

#include <algorithm>

namespace qudag::shard {

namespace {

// A peer's clock may run behind ours: keys and descriptors are valid a little before they are made.
constexpr UnixSeconds kClockSlackSeconds = 300;

Duration lifetime_of_keys(const AnnouncementInput& input) {
  return std::chrono::seconds(input.onion_key_lifetime_s);
}

Result<HeldKey> make_key(const AnnouncementInput& input) {
  const crypto::KeyScope scope;  // it lives for hours
  auto pair = crypto::KemKeyPair::generate();
  if (!pair) return std::unexpected(pair.error());
  const UnixSeconds now = input.now.unix_seconds;
  return HeldKey{.key = {.pair = std::make_shared<const crypto::KemKeyPair>(std::move(*pair)),
                         .not_before = now - std::min(now, kClockSlackSeconds),
                         .not_after = now + input.onion_key_lifetime_s},
                 .made = input.now.mono};
}

/// By the wall clock, as everybody who reads the descriptor judges it.
bool is_valid(const HeldKey& held, UnixSeconds now) {
  return held.key.not_before <= now && now < held.key.not_after;
}

/// By either clock past half of its life, or not valid: another is wanted.
bool is_stale(const HeldKey& held, const AnnouncementInput& input) {
  const bool old = input.now.mono - held.made >= lifetime_of_keys(input) / 2;
  return old || !is_valid(held, input.now.unix_seconds) ||
         held.key.not_after <= input.now.unix_seconds + input.onion_key_lifetime_s / 2;
}

/// The valid ones first, the newest of them before the others: so they are announced, and tried.
void sort_keys(std::vector<HeldKey>& keys, UnixSeconds now) {
  std::ranges::stable_sort(keys, [now](const HeldKey& a, const HeldKey& b) {
    const bool valid_a = is_valid(a, now);
    const bool valid_b = is_valid(b, now);
    return valid_a != valid_b ? valid_a : a.made > b.made;
  });
}

Result<std::vector<HeldKey>> keys_for(const AnnouncementInput& input) {
  std::vector<HeldKey> keys = input.keys;
  std::erase_if(keys, [&](const HeldKey& held) {
    return input.now.mono - held.made >= lifetime_of_keys(input);
  });
  const UnixSeconds now = input.now.unix_seconds;
  sort_keys(keys, now);
  if (keys.empty() || is_stale(keys.front(), input)) {
    auto fresh = make_key(input);
    if (!fresh) return std::unexpected(fresh.error());
    keys.insert(keys.begin(), std::move(*fresh));
  }
  if (keys.size() > kOnionKeysHeldMax) keys.resize(kOnionKeysHeldMax);
  return keys;
}

}  // namespace

std::vector<onion::OnionKey> onion_keys(const std::vector<HeldKey>& held) {
  std::vector<onion::OnionKey> out;
  out.reserve(held.size());
  for (const HeldKey& one : held) out.push_back(one.key);
  return out;
}

UnixSeconds published_at(UnixSeconds now, UnixSeconds before) {
  const bool held = before < now + netmap::kPublishedAheadMax;
  return held ? std::max(now, before + 1) : now;
}

Result<Announcement> announce(const AnnouncementInput& input) {
  auto keys = keys_for(input);
  if (!keys) return std::unexpected(keys.error());
  Announcement out;
  out.keys = std::move(*keys);
  out.published = published_at(input.now.unix_seconds, input.published_before);

  netmap::Descriptor descriptor;
  descriptor.identity = input.identity->public_bytes();
  descriptor.id = input.identity->id();
  descriptor.published = out.published;
  // Who holds the descriptor can always build: it does not outlive its newest key.
  descriptor.expires = std::max(
      out.published + 1,
      std::min(out.published + input.descriptor_lifetime_s, out.keys.front().key.not_after));
  descriptor.relay = input.relay;
  descriptor.keeper = input.relay && input.keeper;
  descriptor.addresses = input.addresses;
  for (const HeldKey& held : out.keys) {
    if (descriptor.onion_keys.size() >= limits::kDescriptorOnionKeysMax) break;
    if (!is_valid(held, input.now.unix_seconds)) continue;
    descriptor.onion_keys.push_back({.not_before = held.key.not_before,
                                     .not_after = held.key.not_after,
                                     .key = held.key.pair->public_bytes()});
  }
  auto raw = netmap::encode_and_sign(descriptor, *input.identity);
  if (!raw) return std::unexpected(raw.error());
  out.descriptor = std::move(*raw);
  // In time for the next of each; and a key that has ended is wiped then, not some time later.
  const HeldKey& oldest = *std::ranges::min_element(out.keys, {}, &HeldKey::made);
  const Duration half =
      std::chrono::seconds(std::min(input.descriptor_lifetime_s, input.onion_key_lifetime_s) / 2);
  const Duration left = oldest.made + lifetime_of_keys(input) - input.now.mono;
  out.renew_in = std::min(half, std::max<Duration>(std::chrono::seconds(1), left));
  return out;
}

Result<std::vector<std::byte>> withdrawal(const crypto::Identity& identity,
                                          std::uint64_t descriptor_lifetime_s, Now now,
                                          UnixSeconds published_before) {
  netmap::Descriptor descriptor;
  descriptor.published = published_at(now.unix_seconds, published_before);
  descriptor.expires = descriptor.published + descriptor_lifetime_s;
  descriptor.withdrawn = true;
  return netmap::encode_and_sign(descriptor, identity);
}

}  // namespace qudag::shard
