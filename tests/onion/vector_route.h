// The hops of tests/vectors/onion_build.txt and onion_routes.txt, and what their source draws.
#pragma once

#include "onion/support.h"
#include "vectors/vectors.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace qudag::onion::test {

using Vectors = qudag::test::Vectors;

inline Vectors load(const std::string& file) {
  return Vectors(std::string(QUDAG_VECTORS "/") + file);
}

inline Key256 key(const Vectors& v, const std::string& name) {
  Key256 out;
  const auto raw = v.array<32>(name);
  std::memcpy(out.span().data(), raw.data(), raw.size());
  return out;
}

/// What hop `i` says of its time when hop `last` answers.
inline HopTimes vector_times(std::size_t i, std::size_t last) {
  return {.kept_ms = static_cast<std::uint16_t>(1'000 + i),
          .waited_ms = static_cast<std::uint16_t>(i == last ? 0 : 2'000 + i)};
}

/// Draws the bytes of a keyed stream, as the vectors want them.
class StreamRng final : public Rng {
 public:
  explicit StreamRng(const Key256& key) : stream_(key) {}
  void fill(std::span<std::byte> out) override { stream_.next(out); }

 private:
  crypto::KeyStream stream_;
};

/// Draws these bytes, once.
class BytesRng final : public Rng {
 public:
  explicit BytesRng(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::byte> out) override {
    ASSERT_EQ(out.size(), bytes_.size());
    std::memcpy(out.data(), bytes_.data(), out.size());
  }

 private:
  std::vector<std::byte> bytes_;
};

/// The first `hops` of the file's hops, the last of them the destination, with all public-key work
/// done from seeds: `first` to the onion keys by the source, `second` to its ephemeral keys.
struct VectorRoute {
  VectorRoute(const Vectors& v, std::size_t hops)
      : now(load_be<std::uint64_t>(v.bytes("now").data())),
        priority(static_cast<Priority>(v.bytes("priority")[0])) {
    for (std::size_t i = 0; i < hops; ++i) add(v, "hop_" + std::to_string(i) + "_");
  }

  void add(const Vectors& v, const std::string& hop) {
    auto pair = std::make_shared<const crypto::KemKeyPair>(
        crypto::KemKeyPair::from_seed(v.array<crypto::kKemSeedSize>(hop + "onion_seed")).value());
    auto onion_public = std::make_shared<const crypto::KemPublicKey>(
        crypto::KemPublicKey::import(pair->public_bytes()).value());
    onion_keys.push_back({pair, now, now + 1});
    auto ephemeral =
        crypto::KemKeyPair::from_seed(v.array<crypto::kKemSeedSize>(hop + "ephemeral_seed"))
            .value();
    second.push_back(
        crypto::KemPublicKey::import(ephemeral.public_bytes())
            ->encapsulate_from(v.array<crypto::kKemEncapsulationSeedSize>(hop + "second_seed"))
            .value());
    auto first =
        onion_public
            ->encapsulate_from(v.array<crypto::kKemEncapsulationSeedSize>(hop + "first_seed"))
            .value();
    // Within what a source may draw: its time and five minutes, rounded up.
    chance.push_back({std::move(ephemeral), std::move(first),
                      static_cast<std::uint32_t>((now + 300 + 59) / 60)});
    route.push_back({NodeId{v.array<32>(hop + "id")}, onion_public});
  }

  UnixSeconds now;
  Priority priority;
  std::vector<RouteHop> route;
  std::vector<OnionKey> onion_keys;
  std::vector<detail::HopChance> chance;  // start_build_with() takes it
  std::vector<crypto::KemPublicKey::Encapsulation> second;
};

}  // namespace qudag::onion::test
