// Descriptors. Steps of parse(): size, version, fields in order, length used up, rules, times, id.
// The rules stand once, in check_rules(), for the writer and the reader.
#include "netmap/map/descriptor.h"

#include "crypto/kdf.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace qudag::netmap {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint32_t kFlagRelay = 1;
constexpr std::uint32_t kFlagWithdrawn = 2;
constexpr std::uint32_t kFlagKeeper = 4;
constexpr UnixSeconds kLifetimeMax =
    std::chrono::duration_cast<std::chrono::seconds>(limits::kDescriptorLifetimeMax).count();

constexpr std::size_t kFixedBytes = 1 + crypto::kIdentityPublicSize + 8 + 8 + 4 + 4 + 2 + 2 + 1 + 1;
constexpr std::size_t kAddressBytes = 16 + 2;
constexpr std::size_t kOnionKeyBytes = 8 + 8 + crypto::kKemPublicSize;
static_assert(kFixedBytes + limits::kDescriptorAddressesMax * kAddressBytes +
                  limits::kDescriptorOnionKeysMax * kOnionKeyBytes + crypto::kSignatureSize <=
              limits::kDescriptorBytesMax);

/// The rule that is broken, or empty.
std::string_view check_rules(const Descriptor& d) {
  if (d.keeper && !d.relay) return "a keeper is a relay";
  if (d.withdrawn) {
    if (d.relay || d.capacity_kib_s != 0 || !d.addresses.empty() || !d.onion_keys.empty()) {
      return "a withdrawn one has no addresses, keys, capacity and is no relay";
    }
  } else if (d.addresses.empty() || d.addresses.size() > limits::kDescriptorAddressesMax) {
    return "1 to 4 addresses";
  } else if (d.onion_keys.empty() || d.onion_keys.size() > limits::kDescriptorOnionKeysMax) {
    return "1 to 2 onion keys";
  }
  // As a difference, because the sum of two numbers from the network could wrap.
  if (d.published >= d.expires || d.expires - d.published > kLifetimeMax) {
    return "published < expires <= published + 7 days";
  }
  if (d.version_min > d.version_max) return "protocol version range";
  for (const SocketAddress& address : d.addresses) {
    if (address.port == 0) return "port 0";
  }
  // A relay stands in one network: else it would keep relays of several out of its circuits by
  // naming addresses there, and count for none of its own.
  if (!in_one_network(d.addresses)) return "addresses in one network of each family";
  for (const OnionKeyPublic& key : d.onion_keys) {
    if (key.not_before >= key.not_after) return "validity of an onion key";
  }
  return {};
}

std::size_t unsigned_size(const Descriptor& d) {
  return kFixedBytes + d.addresses.size() * kAddressBytes + d.onion_keys.size() * kOnionKeyBytes;
}

SocketAddress read_address(ByteReader& in) {
  SocketAddress address;
  for (std::uint8_t& byte : address.ip) byte = in.u8();
  address.port = in.u16();
  return address;
}

OnionKeyPublic read_onion_key(ByteReader& in) {
  OnionKeyPublic key;
  key.not_before = in.u64();
  key.not_after = in.u64();
  key.key = in.array<crypto::kKemPublicSize>();
  return key;
}

/// The onion keys of a descriptor of the right form with so many addresses.
Bytes keys_in(Bytes raw, std::size_t addresses) {
  const std::size_t at = kFixedBytes - 1 + addresses * kAddressBytes;
  const auto count = std::to_integer<std::size_t>(raw[at]);
  return raw.subspan(at + 1, count * kOnionKeyBytes);
}

}  // namespace

std::vector<std::byte> encode_unsigned(const Descriptor& d) {
  QUDAG_ASSERT(check_rules(d).empty());
  std::vector<std::byte> raw(unsigned_size(d));
  ByteWriter out(raw);
  out.u8(kVersion);
  out.put(d.identity);
  out.u64(d.published);
  out.u64(d.expires);
  out.u32((d.relay ? kFlagRelay : 0) | (d.withdrawn ? kFlagWithdrawn : 0) |
          (d.keeper ? kFlagKeeper : 0));
  out.u32(d.capacity_kib_s);
  out.u16(d.version_min);
  out.u16(d.version_max);
  out.u8(static_cast<std::uint8_t>(d.addresses.size()));
  for (const SocketAddress& address : d.addresses) {
    for (const std::uint8_t byte : address.ip) out.u8(byte);
    out.u16(address.port);
  }
  out.u8(static_cast<std::uint8_t>(d.onion_keys.size()));
  for (const OnionKeyPublic& key : d.onion_keys) {
    out.u64(key.not_before);
    out.u64(key.not_after);
    out.put(key.key);
  }
  QUDAG_ASSERT(out.remaining() == 0);
  return raw;
}

Result<std::vector<std::byte>> encode_and_sign(const Descriptor& descriptor,
                                               const crypto::Identity& identity) {
  if (const auto broken = check_rules(descriptor); !broken.empty()) {
    return fail(Errc::invalid_argument, std::string(broken));
  }
  Descriptor ours = descriptor;
  ours.identity = identity.public_bytes();
  std::vector<std::byte> raw = encode_unsigned(ours);
  auto signature = identity.sign(crypto::kDescriptorContext, raw);
  if (!signature) return std::unexpected(std::move(signature.error()));
  raw.insert(raw.end(), signature->begin(), signature->end());
  return raw;
}

Result<Descriptor> parse(Bytes raw, UnixSeconds now) {
  if (raw.size() > limits::kDescriptorBytesMax) return fail(Errc::too_large);
  ByteReader in(raw);
  if (in.u8() != kVersion) {
    return fail(in.ok() ? Errc::unsupported : Errc::malformed, "descriptor version");
  }
  Descriptor d;
  d.identity = in.array<crypto::kIdentityPublicSize>();
  d.published = in.u64();
  d.expires = in.u64();
  const std::uint32_t flags = in.u32();
  d.capacity_kib_s = in.u32();
  d.version_min = in.u16();
  d.version_max = in.u16();
  // The counts are judged before anything is allocated for them.
  const std::size_t addresses = in.u8();
  if (addresses > limits::kDescriptorAddressesMax) return fail(Errc::malformed, "addresses");
  for (std::size_t i = 0; i < addresses; ++i) d.addresses.push_back(read_address(in));
  const std::size_t onion_keys = in.u8();
  if (onion_keys > limits::kDescriptorOnionKeysMax) return fail(Errc::malformed, "onion keys");
  for (std::size_t i = 0; i < onion_keys; ++i) d.onion_keys.push_back(read_onion_key(in));
  in.take(crypto::kSignatureSize);
  if (!in.done()) return fail(Errc::malformed, "length");

  if ((flags & ~(kFlagRelay | kFlagWithdrawn | kFlagKeeper)) != 0)
    return fail(Errc::malformed, "flags");
  d.relay = (flags & kFlagRelay) != 0;
  d.keeper = (flags & kFlagKeeper) != 0;
  d.withdrawn = (flags & kFlagWithdrawn) != 0;
  if (const auto broken = check_rules(d); !broken.empty()) {
    return fail(Errc::malformed, std::string(broken));
  }
  if (d.expires <= now) return fail(Errc::expired);
  if (d.published > now && d.published - now > kPublishedAheadMax) {
    return fail(Errc::expired, "published in the future");
  }
  d.id = crypto::id_of(d.identity);
  d.rank = rank_of(d.published, load_be<std::uint32_t>(crypto::sha256(raw).data()));
  return d;
}

Result<Descriptor> parse_and_verify(Bytes raw, UnixSeconds now) {
  auto descriptor = parse(raw, now);
  if (!descriptor) return descriptor;
  const std::size_t covered = raw.size() - crypto::kSignatureSize;
  const std::span<const std::byte, crypto::kSignatureSize> signature(raw.data() + covered,
                                                                     crypto::kSignatureSize);
  if (!crypto::verify(descriptor->identity, crypto::kDescriptorContext, raw.first(covered),
                      signature)) {
    return fail(Errc::authentication_failed, "descriptor signature");
  }
  return descriptor;
}

Bytes Entry::newest_key(UnixSeconds now) const {
  Bytes all = raw.empty() ? Bytes(keys) : keys_in(raw, descriptor.addresses.size());
  Bytes best;
  UnixSeconds best_from = 0;
  for (; !all.empty(); all = all.subspan(kOnionKeyBytes)) {
    const auto from = load_be<std::uint64_t>(all.data());
    const auto to = load_be<std::uint64_t>(all.data() + 8);
    if (from > now || to <= now || (!best.empty() && best_from >= from)) continue;
    best = all.subspan(16, crypto::kKemPublicSize);
    best_from = from;
  }
  return best;
}

std::shared_ptr<const crypto::KemPublicKey> Entry::onion_key(UnixSeconds now) const {
  const Bytes key = newest_key(now);
  if (key.empty()) return nullptr;
  auto imported = crypto::KemPublicKey::import(key);  // make_entry() has tried it
  if (!imported) return nullptr;
  return std::make_shared<const crypto::KemPublicKey>(std::move(*imported));
}

bool Entry::may_go_over(Reach path) const {
  return std::ranges::none_of(descriptor.addresses, [&](const SocketAddress& address) {
    return may_dial(address, path) && !dialable(address);
  });
}

std::shared_ptr<Entry> unverified_entry(const DescriptorFacts& facts, std::vector<std::byte> raw) {
  auto entry = std::make_shared<Entry>();
  entry->descriptor = facts;
  entry->descriptor.addresses.shrink_to_fit();
  entry->raw = std::move(raw);
  return entry;
}

EntryPtr without_raw(const Entry& entry) {
  auto out = unverified_entry(entry.descriptor, {});
  const Bytes keys = keys_in(entry.raw, entry.descriptor.addresses.size());
  out->keys.assign(keys.begin(), keys.end());
  out->told_over = entry.told_over;
  return out;
}

Result<EntryPtr> make_entry(Bytes raw, UnixSeconds now, Reach told_over) {
  auto descriptor = parse_and_verify(raw, now);
  if (!descriptor) return std::unexpected(std::move(descriptor.error()));
  for (const OnionKeyPublic& onion : descriptor->onion_keys) {
    if (!crypto::KemPublicKey::import(onion.key)) {
      return fail(Errc::malformed, "an onion key is no key");
    }
  }
  auto entry = unverified_entry(*descriptor, {raw.begin(), raw.end()});
  entry->told_over = told_over;
  return EntryPtr(std::move(entry));
}

}  // namespace qudag::netmap
