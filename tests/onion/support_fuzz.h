// What the fuzzers of onion/ start from: a hop with its keys, a good build for it, a good reply.
// No GoogleTest here.
#pragma once

#include "base/assert.h"
#include "base/rng.h"
#include "memory/block.h"
#include "onion/build.h"
#include "onion/build_detail.h"
#include "onion/cells.h"
#include "onion/key_schedule.h"
#include "onion/layers.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace qudag::onion::fuzz {

inline constexpr UnixSeconds kNow = 1'800'000'007;

/// A counter through a multiplier: fixed, and different at every call.
class FixedRng final : public Rng {
 public:
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out)
      b = static_cast<std::byte>((state_ = state_ * 6364136223846793005u + 1442695040888963407u) >>
                                 56);
  }

 private:
  std::uint64_t state_ = 1;
};

/// A route over two hops, and the first hop's view of it.
struct World {
  World() {
    for (std::size_t i = 0; i < 2; ++i) {
      pairs.push_back(std::make_shared<const crypto::KemKeyPair>(
          crypto::KemKeyPair::from_seed(rng.bytes<crypto::kKemSeedSize>()).value()));
      route.push_back({NodeId{rng.bytes<32>()},
                       std::make_shared<const crypto::KemPublicKey>(
                           crypto::KemPublicKey::import(pairs[i]->public_bytes()).value())});
    }
    id = route[0].id;
    onion_key = {pairs[0], 0, 2 * kNow};
    first_seed = rng.bytes<crypto::kKemEncapsulationSeedSize>();
    ephemeral_seed = rng.bytes<crypto::kKemSeedSize>();
    Started good = start();
    build = good.build;
    auto first = route[0].onion_key->encapsulate_from(first_seed).value();
    ss1 = std::move(first.secret);
    BuildMessage opened = build;
    QUDAG_ASSERT(crypto::Aead(derive_build_keys(ss1).build_key)
                     .open({}, {}, MutableBytes(opened).subspan(kBuildShape.header),
                           std::span<const std::byte, limits::kTagBytes>(
                               opened.data() + limits::kKemCiphertextBytes, limits::kTagBytes)));
    std::copy_n(opened.begin() + kBuildShape.header, record.size(), record.begin());
  }

  struct Started {
    PendingBuild pending;
    BuildMessage build;  // on the link to hop 1
    ReplyMessage reply;  // on the link from hop 1
  };
  /// Always the same handshake, ready to be finished.
  Started start() const {
    std::vector<detail::HopChance> chance;
    for (const RouteHop& hop : route) {
      chance.push_back({crypto::KemKeyPair::from_seed(ephemeral_seed).value(),
                        hop.onion_key->encapsulate_from(first_seed).value(),
                        static_cast<std::uint32_t>(kNow / 60 + 5)});
    }
    FixedRng padding;
    Started out;
    out.pending = std::move(
        detail::start_build_with(route, Priority::normal, padding, std::move(chance), out.build)
            .value());
    BuildMessage message = out.build;
    std::vector<AcceptedBuild> accepted;
    ReplayWindow window;
    const auto second =
        crypto::KemPublicKey::import(crypto::KemKeyPair::from_seed(ephemeral_seed)->public_bytes())
            ->encapsulate_from(first_seed)
            .value();
    for (std::size_t i = 0; i < route.size(); ++i) {
      const OnionKey key{pairs[i], 0, 2 * kNow};
      accepted.push_back(detail::accept_build_with(route[i].id, {&key, 1}, window, Priority::normal,
                                                   kNow, &second, message)
                             .value());
    }
    seal_reply(accepted[1], BuildStatus::ready, out.reply);
    relay_reply(accepted[0], out.reply);
    return out;
  }

  FixedRng rng;
  std::vector<std::shared_ptr<const crypto::KemKeyPair>>
      pairs;  // owners: the onion keys made of them
  std::vector<RouteHop> route;
  NodeId id;
  OnionKey onion_key;
  std::array<std::byte, crypto::kKemEncapsulationSeedSize> first_seed;
  std::array<std::byte, crypto::kKemSeedSize> ephemeral_seed;
  BuildMessage build;
  Key256 ss1;
  std::array<std::byte, limits::kBuildRecordBytes> record;  // of hop 1
};

}  // namespace qudag::onion::fuzz
