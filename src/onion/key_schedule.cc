#include "onion/key_schedule.h"

#include "crypto/kdf.h"

#include <array>
#include <cstring>

namespace qudag::onion {

BuildKeys derive_build_keys(const Key256& ss1) {
  const Key256 prk = crypto::hkdf_extract(as_bytes("qudag/1 build"), ss1.span());
  return {crypto::hkdf_expand_key(prk, "build key"), crypto::hkdf_expand_key(prk, "build filler"),
          crypto::hkdf_expand_key(prk, "reply key")};
}

HopSecrets derive_hop_secrets(const Transcript& transcript, const Key256& ss1, const Key256& ss2) {
  const crypto::Digest h =
      crypto::sha256({as_bytes("qudag/1 circuit"), transcript.id.bytes, transcript.onion_key,
                      transcript.kem_ct, transcript.record, transcript.ct2});
  Secret<64> ikm;
  std::memcpy(ikm.span().data(), ss2.span().data(), 32);
  std::memcpy(ikm.span().data() + 32, ss1.span().data(), 32);
  const Key256 prk = crypto::hkdf_extract(h, ikm.span());
  return {crypto::hkdf_expand_key(prk, "forward chain"),
          crypto::hkdf_expand_key(prk, "backward chain")};
}

Key256 cell_key(const Key256& chain) { return crypto::hkdf_expand_key(chain, "key"); }

Key256 filler_key(const Key256& chain) { return crypto::hkdf_expand_key(chain, "filler"); }

void advance_chain(Key256& chain) { chain = crypto::hkdf_expand_key(chain, "next"); }

}  // namespace qudag::onion
