// Routes, builds and circuits for the tests of onion/, all from fixed seeds.
#pragma once

#include "base/rng.h"
#include "memory/block.h"
#include "onion/build.h"
#include "onion/build_detail.h"
#include "onion/cells.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

namespace qudag::onion::test {

inline constexpr UnixSeconds kNow = 1'800'000'007;

/// splitmix64.
class TestRng final : public Rng {
 public:
  explicit TestRng(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) b = static_cast<std::byte>(next() >> 32);
  }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

inline Key256 key_from(Rng& rng) {
  Key256 key;
  rng.fill(key.span());
  return key;
}

inline HopSecrets clone(const HopSecrets& s) {
  return {s.forward_chain.clone(), s.backward_chain.clone(), s.cipher};
}

struct TestNode {
  NodeId id;
  OnionKey onion_key;
  std::shared_ptr<const crypto::KemPublicKey> onion_public;
  std::unique_ptr<ReplayWindow> window = std::make_unique<ReplayWindow>();
  crypto::Cipher cipher = crypto::Cipher::aes_256_gcm;  // of its layer of cells
};

/// n nodes; the last one is the destination.
class TestRoute {
 public:
  TestRoute(std::size_t n, std::uint64_t seed) : rng(seed) {
    for (std::size_t i = 0; i < n; ++i) {
      TestNode node;
      node.id.bytes = rng.bytes<32>();
      node.onion_key = {
          std::make_shared<const crypto::KemKeyPair>(
              crypto::KemKeyPair::from_seed(rng.bytes<crypto::kKemSeedSize>()).value()),
          kNow - 1000, kNow + 1000};
      node.onion_public = std::make_shared<const crypto::KemPublicKey>(
          crypto::KemPublicKey::import(node.onion_key.pair->public_bytes()).value());
      nodes.push_back(std::move(node));
    }
  }

  std::vector<RouteHop> hops() const {
    std::vector<RouteHop> out;
    for (const auto& node : nodes) out.push_back({node.id, node.onion_public, node.cipher});
    return out;
  }

  /// The public-key work of a build, from the seed.
  std::vector<detail::HopChance> chance(UnixSeconds now = kNow) {
    std::vector<detail::HopChance> out;
    for (const auto& node : nodes) {
      out.push_back(
          {crypto::KemKeyPair::from_seed(rng.bytes<crypto::kKemSeedSize>()).value(),
           node.onion_public->encapsulate_from(rng.bytes<crypto::kKemEncapsulationSeedSize>())
               .value(),
           detail::draw_expiry(now, rng)});
    }
    return out;
  }

  PendingBuild start(BuildMessage& out, Priority priority = Priority::normal,
                     UnixSeconds now = kNow, Bytes rider = {}) {
    auto pending = detail::start_build_with(hops(), priority, rng, chance(now), out, rider);
    EXPECT_TRUE(pending.has_value());
    return std::move(*pending);
  }

  Result<AcceptedBuild> accept(std::size_t hop, BuildMessage& message,
                               Priority priority = Priority::normal, UnixSeconds now = kNow) {
    return accept_build(nodes[hop].id, {&nodes[hop].onion_key, 1}, *nodes[hop].window, priority,
                        now, message);
  }

  TestRng rng;
  std::vector<TestNode> nodes;
};

/// A build that went through, with everything that was on the links.
struct Built {
  std::vector<BuildMessage> build_on_link;  // [i]: to hop i
  std::vector<AcceptedBuild> accepted;
  std::vector<ReplyMessage> reply_on_link;  // [i]: from hop i
  std::vector<HopSecrets> source;
};

inline Built build_circuit(TestRoute& route, Priority priority = Priority::normal,
                           Bytes rider = {}) {
  Built out;
  BuildMessage message;
  PendingBuild pending = route.start(message, priority, kNow, rider);
  for (std::size_t i = 0; i < route.nodes.size(); ++i) {
    out.build_on_link.push_back(message);
    auto accepted = route.accept(i, message, priority);
    EXPECT_TRUE(accepted.has_value()) << "hop " << i;
    out.accepted.push_back(std::move(*accepted));
  }
  out.reply_on_link.resize(route.nodes.size());
  ReplyMessage reply;
  seal_reply(out.accepted.back(), BuildStatus::ready, reply);
  out.reply_on_link.back() = reply;
  for (std::size_t i = route.nodes.size() - 1; i-- > 0;) {
    relay_reply(out.accepted[i], reply);
    out.reply_on_link[i] = reply;
  }
  auto result = finish_build(std::move(pending), reply);
  EXPECT_TRUE(result.has_value());
  EXPECT_EQ(result->status, BuildStatus::ready);
  out.source = std::move(result->hops);
  return out;
}

/// Both halves of a circuit from random chains, without a handshake.
class TestCircuit {
 public:
  /// Bit i of `chacha`: hop i uses ChaCha20-Poly1305.
  TestCircuit(std::size_t n, Priority c, std::uint64_t seed, unsigned chacha = 0)
      : rng(seed), priority(c) {
    std::vector<HopSecrets> secrets;
    for (std::size_t i = 0; i < n; ++i) {
      HopSecrets s{
          key_from(rng), key_from(rng),
          (chacha >> i & 1) != 0 ? crypto::Cipher::chacha20_poly1305 : crypto::Cipher::aes_256_gcm};
      hops.emplace_back(clone(s), priority);
      secrets.push_back(std::move(s));
    }
    source = std::make_unique<SourceCrypto>(std::move(secrets), priority, rng);
  }

  memory::Block payload(std::uint8_t fill) {
    memory::Block block = pool.take(block_size(priority));
    block.append(payload_bytes(priority));
    std::memset(block.data(), fill, block.size());
    return block;
  }
  memory::Block random_payload() {
    memory::Block block = payload(0);
    rng.fill(block.bytes());
    return block;
  }
  /// As a link hands it over: a new block at full headroom.
  memory::Block over_link(const memory::Block& sent) {
    EXPECT_EQ(sent.size(), cell_bytes(priority));
    memory::Block block = pool.take(block_size(priority));
    block.append(sent.size());
    std::memcpy(block.data(), sent.data(), sent.size());
    return block;
  }

  /// Hop `to` does its part of a forward cell. False as the hop says.
  bool step_forward(std::size_t to, memory::Block& cell) {
    return to + 1 == hops.size() ? hops[to].open(cell) : hops[to].forward(cell);
  }

  memory::BlockPool pool;
  TestRng rng;
  Priority priority;
  std::vector<HopCrypto> hops;
  std::unique_ptr<SourceCrypto> source;
};

inline std::vector<std::byte> copy_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

template <class A, class B>
bool same(const A& a, const B& b) {
  return Bytes(a).size() == Bytes(b).size() &&
         std::memcmp(Bytes(a).data(), Bytes(b).data(), Bytes(a).size()) == 0;
}

inline bool same(const HopSecrets& a, const HopSecrets& b) {
  return a.cipher == b.cipher && same(a.forward_chain.span(), b.forward_chain.span()) &&
         same(a.backward_chain.span(), b.backward_chain.span());
}

}  // namespace qudag::onion::test
