#include "link/admission/address_tokens.h"

#include "base/bytes.h"
#include "crypto/kdf.h"
#include "link/path/cid.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include <utility>

namespace qudag::link {
namespace {

/// ngtcp2 seals a time; ours is that of the wall, which a restarted node knows again.
ngtcp2_tstamp wall(Now now) { return now.unix_seconds * NGTCP2_SECONDS; }

const ngtcp2_sockaddr* native(const sockaddr_in6& address) {
  return reinterpret_cast<const ngtcp2_sockaddr*>(&address);
}

std::uint64_t period_of(Now now) {
  return now.unix_seconds / static_cast<std::uint64_t>(AddressKeys::kKeyLife.count());
}

}  // namespace

// ---- The acceptor -------------------------------------------------------------------------------

AddressKeys::AddressKeys(const crypto::Identity& identity) {
  const Secret<crypto::kIdentitySeedSize> seed = identity.seed();
  root_ = crypto::hkdf_expand_key(crypto::hkdf_extract({}, seed.span()), "qudag/1 address token");
}

Key256& AddressKeys::key_of(std::uint64_t period) {
  Kept& kept = kept_[period % kept_.size()];
  if (kept.period != period) {
    std::array<std::byte, 8> context;
    store_be(context.data(), period);
    kept.key = crypto::hkdf_expand_key(root_, "qudag/1 address token period", context);
    kept.period = period;
  }
  return kept.key;
}

bool AddressKeys::is_token(Bytes token) {
  return !token.empty() && std::to_integer<unsigned>(token[0]) == NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR;
}

std::vector<std::byte> AddressKeys::seal(const sockaddr_in6& peer, Now now) {
  std::vector<std::byte> out(NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN);
  const ngtcp2_ssize size =
      ngtcp2_crypto_generate_regular_token(u8(MutableBytes(out)), u8(key_of(period_of(now)).span()),
                                           Key256::size(), native(peer), sizeof peer, wall(now));
  out.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return out;
}

bool AddressKeys::open(Bytes token, const sockaddr_in6& peer, Now now) {
  const std::uint64_t period = period_of(now);
  constexpr auto kLife = 2 * static_cast<ngtcp2_duration>(kKeyLife.count()) * NGTCP2_SECONDS;
  for (const std::uint64_t of : {period, period - 1}) {
    if (ngtcp2_crypto_verify_regular_token(u8(token), token.size(), u8(key_of(of).span()),
                                           Key256::size(), native(peer), sizeof peer, kLife,
                                           wall(now)) == 0) {
      return true;
    }
  }
  return false;
}

// ---- The dialer ---------------------------------------------------------------------------------

void AddressTokens::put(const NodeId& peer, Bytes token) {
  if (token.empty() || token.size() > kTokenBytesMax) return;
  const std::uint64_t number = put_++;
  tokens_[peer] = {number, {token.begin(), token.end()}};
  order_.emplace_back(number, peer);
  while (tokens_.size() > kTokensMax || order_.size() > 2 * kTokensMax) {
    const auto& [oldest, of] = order_.front();
    const auto found = tokens_.find(of);
    if (found != tokens_.end() && found->second.number == oldest) tokens_.erase(found);
    order_.pop_front();
  }
}

std::vector<std::byte> AddressTokens::take(const NodeId& peer) {
  auto node = tokens_.extract(peer);
  return node ? std::move(node.mapped().bytes) : std::vector<std::byte>();
}

void AddressTokens::clear() {
  tokens_.clear();
  order_.clear();
}

void AddressTokens::report(BoundedList& out) const {
  out.push_back(bounded(Bounded::Kind::table, "proofs of address from peers",
                        "the oldest is forgotten", tokens_.size(), kTokensMax, kTokenBytesMax));
}

}  // namespace qudag::link
