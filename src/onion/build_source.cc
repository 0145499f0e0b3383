// Source side of the build handshake.
//
// start:  per hop an ephemeral key pair and an encapsulation; keys from ss1; the known tail of all
//         fillers; then the layers from the destination outwards, in place in the message.
// finish: per candidate for "the hop that sealed first" the tails that were dropped on the way;
//         layers opened one by one; ss2 and the traffic keys when the destination's is reached.
#include "base/assert.h"
#include "crypto/aead.h"
#include "onion/build.h"
#include "onion/build_detail.h"
#include "onion/key_schedule.h"
#include "onion/key_stock.h"
#include "onion/layers.h"
#include "onion/record.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace qudag::onion {

using limits::kBuildLayerBytes;
using limits::kBuildRecordBytes;
using limits::kKemCiphertextBytes;
using limits::kReplyLayerBytes;
using limits::kTagBytes;

struct PendingBuild::State {
  struct Hop {
    NodeId id;
    std::shared_ptr<const crypto::KemPublicKey> onion_key;  // owners: see RouteHop
    crypto::KemKeyPair ephemeral;
    crypto::KemCiphertext kem_ct;
    Key256 ss1;
    Key256 reply_key;
    crypto::Cipher cipher;
    Secret<kBuildRecordBytes> record;  // names the next hop
  };
  std::vector<Hop> hops;
};

PendingBuild::PendingBuild() = default;
PendingBuild::~PendingBuild() = default;
PendingBuild::PendingBuild(PendingBuild&&) noexcept = default;
PendingBuild& PendingBuild::operator=(PendingBuild&&) noexcept = default;

namespace {

const crypto::Nonce kNonceZero{};

template <std::size_t N>
std::span<std::byte, N> fixed(std::byte* at) {
  return std::span<std::byte, N>(at, N);
}

using Hops = std::vector<PendingBuild::State::Hop>;

// The first `count` reply keys, set up, and pointers to them as layers.h takes them.
struct ReplyKeys {
  explicit ReplyKeys(const Hops& hops) {
    keys.reserve(hops.size());
    for (const auto& hop : hops) {
      keys.emplace_back(hop.reply_key, crypto::Aead::kOpen | crypto::Aead::kKeystream);
    }
    for (auto& key : keys) pointers.push_back(&key);
  }
  std::vector<crypto::Aead> keys;
  std::vector<crypto::Aead*> pointers;
};

struct Opened {
  BuildStatus status = BuildStatus::ready;
  std::size_t layers = 0;  // that verified
  bool tail_zero = true;   // behind the record of the last one
  std::vector<crypto::KemCiphertext> ct2;
  std::vector<HopTimes> times;
};

// Opens layers as if hop `last` had sealed first. The reply is a copy: opening spoils it.
Result<Opened> open_layers(ReplyKeys& reply_keys, std::size_t last, ReplyMessage reply) {
  std::array<std::byte, kReplyLayerBytes*(limits::kHopsMax - 1)> tails;
  const MutableBytes dropped = MutableBytes(tails).first(kReplyLayerBytes * last);
  backward_tails(kReplyShape, std::span(reply_keys.pointers).first(last + 1), kNonceZero, dropped);

  Opened out;
  for (std::size_t hop = 0; hop <= last; ++hop) {
    std::byte* text = reply.data() + kTagBytes;
    if (!reply_keys.keys[hop].open(kNonceZero, {}, MutableBytes(reply).subspan(kTagBytes),
                                   fixed<kTagBytes>(reply.data()))) {
      return out;
    }
    const auto record = parse_reply_record(fixed<limits::kReplyRecordBytes>(text));
    if (!record) return std::unexpected(record.error());
    out.layers = hop + 1;
    out.status = record->status;
    out.times.push_back(record->times);
    std::memcpy(out.ct2.emplace_back().data(), record->ct2.data(), kKemCiphertextBytes);
    if (out.status != BuildStatus::ready || hop == last) {
      const Bytes behind = Bytes(reply).subspan(kTagBytes + limits::kReplyRecordBytes);
      out.tail_zero = std::ranges::all_of(behind, [](std::byte b) { return b == std::byte{0}; });
      return out;
    }
    std::memmove(reply.data(), reply.data() + kReplyLayerBytes, reply.size() - kReplyLayerBytes);
    std::memcpy(reply.data() + reply.size() - kReplyLayerBytes,
                dropped.data() + hop * kReplyLayerBytes, kReplyLayerBytes);
  }
  return out;
}

}  // namespace

namespace detail {
namespace {

Result<crypto::KemKeyPair> fresh_pair(KeyStock* stock) {
  auto pair = stock != nullptr ? stock->take() : std::nullopt;
  if (pair) return std::move(*pair);
  return crypto::KemKeyPair::generate();
}

}  // namespace

Result<std::vector<HopChance>> draw_chance(std::span<const RouteHop> route, KeyStock* stock) {
  std::vector<HopChance> chance;
  chance.reserve(route.size());
  for (const RouteHop& hop : route) {
    auto ephemeral = fresh_pair(stock);
    if (!ephemeral) return std::unexpected(ephemeral.error());
    auto first = hop.onion_key->encapsulate();
    if (!first) return std::unexpected(first.error());
    chance.push_back({std::move(*ephemeral), std::move(*first)});
  }
  return chance;
}

std::uint32_t draw_expiry(UnixSeconds now, Rng& rng) {
  using std::chrono::seconds;
  constexpr std::uint64_t kLeast = seconds(limits::kClockDifferenceMax).count();
  constexpr std::uint64_t kSpread = seconds(limits::kBuildExpirySpread).count();
  return static_cast<std::uint32_t>((now + kLeast + rng.below(kSpread) + 59) / 60);
}

Result<PendingBuild> start_build_with(std::span<const RouteHop> route, Priority priority, Rng& rng,
                                      std::vector<HopChance> chance, BuildMessage& out, Bytes rider,
                                      Role last) {
  QUDAG_ASSERT(last != Role::relay);
  const std::size_t n = route.size();
  if (n < 1 || n > limits::kHopsMax || chance.size() != n) return fail(Errc::invalid_argument);
  if (!rider.empty() && rider.size() != rider_room(n)) return fail(Errc::invalid_argument);

  auto state = std::make_unique<PendingBuild::State>();
  state->hops.reserve(n);
  std::vector<crypto::Aead> keys;
  keys.reserve(n);
  std::array<crypto::Aead*, limits::kHopsMax> key_at{};
  std::vector<std::array<std::byte, kBuildLayerBytes>> fillers(n - 1);
  std::array<Bytes, limits::kHopsMax> filler_at{};

  // 1. Records and keys.
  for (std::size_t i = 0; i < n; ++i) {
    const bool end = i + 1 == n;
    BuildKeys build = derive_build_keys(chance[i].first.secret);
    auto& hop = state->hops.emplace_back(PendingBuild::State::Hop{route[i].id,
                                                                  route[i].onion_key,
                                                                  std::move(chance[i].ephemeral),
                                                                  chance[i].first.ciphertext,
                                                                  std::move(chance[i].first.secret),
                                                                  std::move(build.reply_key),
                                                                  route[i].cipher,
                                                                  {}});
    write_build_record({.role = end ? last : Role::relay,
                        .priority = priority,
                        .cipher = hop.cipher,
                        .expiry_minutes = chance[i].expiry_minutes,
                        .next = end ? NodeId{} : route[i + 1].id,
                        .ephemeral = hop.ephemeral.public_bytes(),
                        .rider = end && !rider.empty()},
                       fixed<kBuildRecordBytes>(hop.record.span().data()));
    keys.emplace_back(build.build_key, crypto::Aead::kSeal | crypto::Aead::kKeystream);
    key_at[i] = &keys.back();
    if (!end) {
      crypto::KeyStream(build.build_filler).next(fillers[i]);
      filler_at[i] = fillers[i];
    }
  }

  // 2. What the destination finds behind its record: the rider, random bytes, the known tail.
  const std::size_t known = kBuildLayerBytes * (n - 1);
  const MutableBytes body = MutableBytes(out).subspan(kBuildLayerBytes);
  if (!rider.empty()) std::memcpy(body.data(), rider.data(), rider.size());
  rng.fill(body.first(body.size() - known).subspan(rider.size()));
  forward_tail(kBuildShape, std::span(key_at).first(n), kNonceZero, std::span(filler_at).first(n),
               body.last(known));

  // 3. Layers, from the destination outwards; every layer pushes one filler off the end.
  for (std::size_t i = n; i-- > 0;) {
    const auto& hop = state->hops[i];
    if (i + 1 < n) std::memmove(body.data(), out.data(), body.size());
    std::byte* record = out.data() + kBuildShape.header;
    std::memcpy(out.data(), hop.kem_ct.data(), kKemCiphertextBytes);
    std::memcpy(record, hop.record.span().data(), kBuildRecordBytes);
    keys[i].seal(kNonceZero, {}, MutableBytes(out).subspan(kBuildShape.header),
                 fixed<kTagBytes>(out.data() + kKemCiphertextBytes));
  }

  PendingBuild pending;
  pending.state = std::move(state);
  return pending;
}

}  // namespace detail

Result<PendingBuild> start_build(std::span<const RouteHop> route, Priority priority,
                                 UnixSeconds now, Rng& rng, BuildMessage& out, KeyStock* stock,
                                 Bytes rider, Role last) {
  if (route.empty() || route.size() > limits::kHopsMax) return fail(Errc::invalid_argument);
  auto chance = detail::draw_chance(route, stock);
  if (!chance) return std::unexpected(chance.error());
  for (detail::HopChance& hop : *chance) hop.expiry_minutes = detail::draw_expiry(now, rng);
  return detail::start_build_with(route, priority, rng, std::move(*chance), out, rider, last);
}

Result<BuildResult> finish_build(PendingBuild pending, ReplyMessage& reply) {
  QUDAG_ASSERT(pending.state != nullptr);
  const Hops& hops = pending.state->hops;
  const std::size_t n = hops.size();
  ReplyKeys reply_keys(hops);

  // Which bytes relays dropped depends on who sealed first: the destination, or an earlier hop
  // that could not go on. The likely case first; at most n tries of at most n layers.
  Opened opened;
  std::size_t last = n - 1;
  for (std::size_t tried = 0; tried < n; ++tried) {
    last = tried == 0 ? n - 1 : tried - 1;
    auto attempt = open_layers(reply_keys, last, reply);
    if (!attempt) return std::unexpected(attempt.error());
    opened = std::move(*attempt);
    if (opened.layers == 0) return fail(Errc::authentication_failed);  // no other try can help
    if (opened.status != BuildStatus::ready || opened.layers == n) break;
  }
  const bool refused = opened.status != BuildStatus::ready;
  if (!refused && opened.layers != n) return fail(Errc::authentication_failed);
  if (refused || !opened.tail_zero) {
    return BuildResult{opened.status, opened.layers - 1, !opened.tail_zero, {}, {}};
  }

  BuildResult result;
  result.times = std::move(opened.times);
  result.hops.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto ss2 = hops[i].ephemeral.decapsulate(opened.ct2[i]);
    if (!ss2) return fail(Errc::authentication_failed);
    result.hops.push_back(derive_hop_secrets({.id = hops[i].id,
                                              .onion_key = hops[i].onion_key->bytes(),
                                              .kem_ct = hops[i].kem_ct,
                                              .record = hops[i].record.span(),
                                              .ct2 = opened.ct2[i]},
                                             hops[i].ss1, *ss2));
    result.hops.back().cipher = hops[i].cipher;
  }
  return result;
}

}  // namespace qudag::onion
