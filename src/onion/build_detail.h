// The build handshake with its chance as an argument: for golden vectors and for tests.
#pragma once

#include "onion/build.h"

#include <vector>

namespace qudag::onion::detail {

/// The public-key work of one hop of a build.
struct HopChance {
  crypto::KemKeyPair ephemeral;               // fresh, for the hop's reply
  crypto::KemPublicKey::Encapsulation first;  // (kem_ct, ss1) to the hop's onion key
  std::uint32_t expiry_minutes = 0;           // of the hop's record: draw_expiry()
};

Result<std::vector<HopChance>> draw_chance(std::span<const RouteHop> route,
                                           KeyStock* stock = nullptr);

/// The expiry of one record: a minute between 3 and 7 from now. Each hop gets its own, or two hops
/// could tell that they are on the same circuit, and when it was asked for.
std::uint32_t draw_expiry(UnixSeconds now, Rng& rng);

/// start_build() with chance[i] for route[i]; `rng` fills what no hop reads.
Result<PendingBuild> start_build_with(std::span<const RouteHop> route, Priority priority, Rng& rng,
                                      std::vector<HopChance> chance, BuildMessage& out,
                                      Bytes rider = {}, Role last = Role::destination);

/// accept_build() with (ct2, ss2) given; null draws them.
Result<AcceptedBuild> accept_build_with(const NodeId& self, std::span<const OnionKey> keys,
                                        ReplayWindow& window, Priority preface_priority,
                                        UnixSeconds now,
                                        const crypto::KemPublicKey::Encapsulation* second,
                                        BuildMessage& message);

}  // namespace qudag::onion::detail
