// The key schedule of a circuit, from shared secrets to the keys of an epoch
// (docs/reference/protocol.md, 5.2 and 5.5). Pure; every result wipes itself.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "onion/build.h"

#include <qudag/address.h>

namespace qudag::onion {

/// What protects one hop's layer of the build message and of the reply; from ss1 alone.
struct BuildKeys {
  Key256 build_key;
  Key256 build_filler;
  Key256 reply_key;
};
BuildKeys derive_build_keys(const Key256& ss1);

/// Everything that the traffic keys of one hop are bound to.
struct Transcript {
  const NodeId& id;
  Bytes onion_key;  // 1216
  Bytes kem_ct;     // 1120
  Bytes record;     // 1264
  Bytes ct2;        // 1120
};
HopSecrets derive_hop_secrets(const Transcript& transcript, const Key256& ss1, const Key256& ss2);

Key256 cell_key(const Key256& chain);
Key256 filler_key(const Key256& chain);
/// Moves a chain one epoch on; the old value is gone.
void advance_chain(Key256& chain);

}  // namespace qudag::onion
