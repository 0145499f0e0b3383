// The build handshake with its chance as an argument: for golden vectors and for tests.
#pragma once

#include "onion/build.h"

#include <vector>

namespace qudag::onion::detail {

/// The public-key work of one hop of a build.
struct HopChance {
  crypto::KemKeyPair ephemeral;               // fresh, for the hop's reply
  crypto::KemPublicKey::Encapsulation first;  // (kem_ct, ss1) to the hop's onion key
};

Result<std::vector<HopChance>> draw_chance(std::span<const RouteHop> route,
                                           KeyStock* stock = nullptr);

/// start_build() with chance[i] for route[i]; `rng` fills what no hop reads.
Result<PendingBuild> start_build_with(std::span<const RouteHop> route, Class cls, UnixSeconds now,
                                      Rng& rng, std::vector<HopChance> chance, BuildMessage& out);

/// accept_build() with (ct2, ss2) given; null draws them.
Result<AcceptedBuild> accept_build_with(const NodeId& self, std::span<const OnionKey> keys,
                                        ReplayWindow& window, Class preface_class, UnixSeconds now,
                                        const crypto::KemPublicKey::Encapsulation* second,
                                        BuildMessage& message);

/// How long a source lets its builds live: half of what hops accept, so that clocks may differ.
inline constexpr std::uint64_t kBuildLifetimeSeconds = 300;

}  // namespace qudag::onion::detail
