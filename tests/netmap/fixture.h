// What the netmap tests share: a seeded Rng, nodes with identities from seeds, and an in-memory
// sink.
#pragma once

#include "base/rng.h"
#include "netmap/netmap.h"
#include "wire/control.h"
#include "wire/gossip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace qudag::netmap::test {

inline constexpr UnixSeconds kToday = 1'800'000'000;
inline constexpr UnixSeconds kDay = 86'400;

/// SplitMix64: small, seeded, the same everywhere.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(next() >> 56);
  }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

/// Seconds since the start of the test, on both clocks.
inline Now at(std::chrono::nanoseconds since) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  return {TimePoint(since), kToday + static_cast<UnixSeconds>(whole)};
}

inline crypto::Identity identity_of(std::uint64_t number) {
  SeededRng rng(number * 2 + 1);
  return std::move(*crypto::Identity::from_seed(rng.bytes<crypto::kIdentitySeedSize>()));
}

inline crypto::KemPublicBytes onion_key_of(std::uint64_t number) {
  SeededRng rng(number * 2 + 2);
  return crypto::KemKeyPair::from_seed(rng.bytes<crypto::kKemSeedSize>())->public_bytes();
}

/// A relay at 10.<number>.0.1 with one onion key, published today.
inline Descriptor descriptor_of(std::uint64_t number) {
  static const crypto::KemPublicBytes kKey =
      onion_key_of(1);  // same for all: it costs time to make
  Descriptor d;
  d.published = kToday - 10;
  d.expires = kToday + kDay;
  d.relay = true;
  d.capacity_kib_s = 1000;
  d.addresses = {SocketAddress::v4(10, static_cast<std::uint8_t>(number), 0, 1, 4433)};
  d.onion_keys = {{kToday - kDay, kToday + kDay, kKey}};
  return d;
}

inline std::vector<std::byte> signed_by(const crypto::Identity& identity, const Descriptor& d) {
  auto raw = encode_and_sign(d, identity);
  EXPECT_TRUE(raw.has_value());
  return raw ? std::move(*raw) : std::vector<std::byte>{};
}

/// The same every time: a signature has chance in it.
inline const std::vector<std::byte>& raw_of(std::uint64_t number) {
  static std::map<std::uint64_t, std::vector<std::byte>> made;
  const auto [at, is_new] = made.try_emplace(number);
  if (is_new) at->second = signed_by(identity_of(number), descriptor_of(number));
  return at->second;
}

inline std::uint64_t rank_in(Bytes raw) { return parse(raw, kToday)->rank; }

/// An entry that nobody signed, for views and routes: id and address follow from the number.
inline std::shared_ptr<Entry> entry_of(std::uint64_t number, std::uint32_t capacity = 1000) {
  const Descriptor d = descriptor_of(number);
  auto entry = std::make_shared<Entry>();
  entry->descriptor = d;
  entry->keys.resize(16 + crypto::kKemPublicSize);
  ByteWriter out(entry->keys);
  out.u64(d.onion_keys[0].not_before);
  out.u64(d.onion_keys[0].not_after);
  out.put(d.onion_keys[0].key);
  entry->descriptor.capacity_kib_s = capacity;
  store_be(entry->descriptor.id.bytes.data(), number);
  entry->descriptor.rank = rank_of(entry->descriptor.published, 0);
  return entry;
}

constexpr LinkId link_number(std::uint64_t number) {
  return {.slot = static_cast<std::uint32_t>(number), .generation = 1};
}
constexpr NodeLink node_link(std::uint64_t number) { return {0, link_number(number)}; }
inline NodeId id_of(std::uint64_t number) { return entry_of(number)->descriptor.id; }

struct Frame {
  NodeLink link;
  std::uint8_t type = 0;
  std::vector<std::byte> body;
};

class RecordingSink final : public GossipSink {
 public:
  bool send(NodeLink link, std::uint8_t type, Bytes body) override {
    if (refuse) return false;
    frames.push_back({link, type, {body.begin(), body.end()}});
    return true;
  }
  std::vector<Frame> take() { return std::exchange(frames, {}); }
  std::size_t count(NodeLink link, wire::ControlType type) const {
    return static_cast<std::size_t>(std::ranges::count_if(frames, [&](const Frame& frame) {
      return frame.link == link && frame.type == static_cast<std::uint8_t>(type);
    }));
  }

  std::vector<Frame> frames;
  bool refuse = false;
};

inline constexpr auto kDigest = static_cast<std::uint8_t>(wire::ControlType::digest);
inline constexpr auto kSummary = static_cast<std::uint8_t>(wire::ControlType::summary);
inline constexpr auto kAsk = static_cast<std::uint8_t>(wire::ControlType::ask);
inline constexpr auto kWant = static_cast<std::uint8_t>(wire::ControlType::want);
inline constexpr auto kDescriptor = static_cast<std::uint8_t>(wire::ControlType::descriptor);

/// Of a range, in any order.
inline std::vector<std::byte> digest_of(std::vector<wire::DigestEntry> entries,
                                        const wire::IdRange& range = {}) {
  std::ranges::sort(entries);
  return wire::encode_digest(range, entries);
}
/// Asks for what is shown of a range: its entries.
inline std::vector<std::byte> ask_of(const wire::IdRange& range, bool entries = true) {
  const std::array asks{wire::Ask{.range = range, .entries = entries}};
  return wire::encode_ask(asks);
}

}  // namespace qudag::netmap::test
