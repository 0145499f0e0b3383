// Steps of a hail: encapsulate to the inbox key -> seal fields, ephemeral key and frames under what
// follows from that secret; of an answer: encapsulate to the ephemeral key -> seal -> the tunnel's
// chains from both secrets and from all that was said.
#include "keeper/hail.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace qudag::keeper {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kTextAt = crypto::kKemCiphertextSize + crypto::kTagSize;
constexpr std::size_t kTextBytes = kHailBytes - kTextAt;
constexpr std::size_t kEphemeralAt = detail::kHailHeadBytes;
constexpr std::size_t kFramesAt = kEphemeralAt + crypto::kKemPublicSize;
static_assert(kTextBytes == kFramesAt + kHailFramesBytes);
constexpr std::uint8_t kNewerCard = 1;

const crypto::Nonce kNonceZero{};

using Context = std::array<std::byte, detail::kContextBytes>;
using detail::context_of;

struct FirstKeys {
  Key256 hail, answer;
};

FirstKeys first_keys(const Key256& ss_a, const Context& context) {
  const Key256 prk = crypto::hkdf_extract(as_bytes("qudag/1 hail"), ss_a.span());
  return {crypto::hkdf_expand_key(prk, "hail", context),
          crypto::hkdf_expand_key(prk, "answer", context)};
}

/// Of the hail, as it was sent: h is that and the answer's ciphertext.
std::unique_ptr<crypto::Sha256> hash_of(const Context& context, Bytes inbox_key, Bytes hail) {
  auto hash = std::make_unique<crypto::Sha256>();
  hash->add(as_bytes("qudag/1 tunnel"));
  hash->add(context);
  hash->add(inbox_key);
  hash->add(hail);
  return hash;
}

struct Chains {
  Key256 forward, backward;
};

Chains chains_of(crypto::Sha256& hash, Bytes ct_b, const Key256& ss_a, const Key256& ss_b) {
  hash.add(ct_b);
  const crypto::Digest h = hash.finish();
  Secret<64> both;
  std::memcpy(both.span().data(), ss_b.span().data(), 32);
  std::memcpy(both.span().data() + 32, ss_a.span().data(), 32);
  const Key256 prk = crypto::hkdf_extract(h, both.span());
  return {crypto::hkdf_expand_key(prk, "forward chain"),
          crypto::hkdf_expand_key(prk, "backward chain")};
}

template <std::size_t N>
std::span<std::byte, N> fixed(MutableBytes bytes, std::size_t at) {
  return std::span<std::byte, N>(bytes.data() + at, N);
}

void write_text(const HailFields& fields, Bytes ephemeral, Bytes frames, MutableBytes out) {
  ByteWriter writer(out);
  detail::write_head(fields, writer);
  writer.put(ephemeral);
  writer.put(frames);
  writer.zero(writer.remaining());
}

Status check_expiry(const HailFields& fields, UnixSeconds now) {
  constexpr UnixSeconds kAheadMax = std::chrono::seconds(kHailLifeMax).count();
  const UnixSeconds expires = UnixSeconds{fields.expiry_minutes} * 60;
  if (expires <= now || expires > now + kAheadMax) return fail(Errc::expired);
  return {};
}

}  // namespace

namespace detail {

std::array<std::byte, kContextBytes> context_of(const Called& called) {
  Context out;
  ByteWriter writer(out);
  writer.put(called.receiver.bytes);
  writer.put(called.inbox);
  return out;
}

void write_head(const HailFields& fields, ByteWriter& out) {
  out.u8(kVersion);
  out.u8(static_cast<std::uint8_t>(fields.kind));
  out.u8(static_cast<std::uint8_t>(fields.cipher));
  out.u8(0);
  out.u32(fields.expiry_minutes);
  out.u64(fields.card_published);
}

std::optional<HailFields> parse_head(Bytes text) {
  ByteReader in(text);
  const std::uint8_t version = in.u8(), kind = in.u8(), cipher = in.u8(), zero = in.u8();
  HailFields out;
  out.expiry_minutes = in.u32();
  out.card_published = in.u64();
  if (!in.ok() || version != kVersion || kind < 1 || kind > 3 || cipher >= crypto::kCipherCount ||
      zero != 0) {
    return std::nullopt;
  }
  out.kind = static_cast<HailKind>(kind);
  out.cipher = static_cast<crypto::Cipher>(cipher);
  return out;
}

}  // namespace detail

struct Call::State {
  crypto::KemKeyPair ephemeral;
  Key256 ss_a;
  Key256 answer_key;
  std::unique_ptr<crypto::Sha256> hash;
  crypto::Cipher cipher;
};
Call::Call() = default;
Call::~Call() = default;
Call::Call(Call&&) noexcept = default;
Call& Call::operator=(Call&&) noexcept = default;

struct Hailed::State {
  HailFields fields;
  crypto::KemPublicKey ephemeral;
  Key256 ss_a;
  Key256 answer_key;
  std::unique_ptr<crypto::Sha256> hash;
  Bytes frames;
};
Hailed::Hailed() = default;
Hailed::~Hailed() = default;
Hailed::Hailed(Hailed&&) noexcept = default;
Hailed& Hailed::operator=(Hailed&&) noexcept = default;
const HailFields& Hailed::fields() const { return state->fields; }
Bytes Hailed::frames() const { return state->frames; }

std::uint32_t hail_expiry(UnixSeconds now) {
  constexpr UnixSeconds kLife = std::chrono::seconds(kHailLife).count();
  return static_cast<std::uint32_t>((now + kLife + 59) / 60);
}

InboxId inbox_id(const NodeId& keeper, const wire::OwnerSecret& owner) {
  return crypto::sha256({as_bytes("qudag/1 inbox id"), keeper.bytes, owner});
}

// ---- the caller ---------------------------------------------------------------------------------

namespace detail {

Result<Call> make_hail_with(const Called& called, const crypto::KemPublicKey& inbox_key,
                            const HailFields& fields, Bytes frames, crypto::KemKeyPair ephemeral,
                            const crypto::KemPublicKey::Encapsulation& first, Hail& out) {
  if (frames.size() > kHailFramesBytes) return fail(Errc::too_large);
  const Context context = context_of(called);
  FirstKeys keys = first_keys(first.secret, context);
  const MutableBytes text = MutableBytes(out).subspan(kTextAt);
  std::ranges::copy(first.ciphertext, out.begin());
  write_text(fields, ephemeral.public_bytes(), frames, text);
  crypto::Aead(keys.hail, crypto::Aead::kSeal)
      .seal(kNonceZero, {}, text, fixed<crypto::kTagSize>(out, crypto::kKemCiphertextSize));
  Call call;
  call.state =
      std::make_unique<Call::State>(Call::State{.ephemeral = std::move(ephemeral),
                                                .ss_a = first.secret.clone(),
                                                .answer_key = std::move(keys.answer),
                                                .hash = hash_of(context, inbox_key.bytes(), out),
                                                .cipher = fields.cipher});
  return call;
}

}  // namespace detail

Result<Call> make_hail(const Called& called, const crypto::KemPublicKey& inbox_key,
                       const HailFields& fields, Bytes frames, Hail& out) {
  auto ephemeral = crypto::KemKeyPair::generate();
  if (!ephemeral) return std::unexpected(ephemeral.error());
  auto first = inbox_key.encapsulate();
  if (!first) return std::unexpected(first.error());
  return detail::make_hail_with(called, inbox_key, fields, frames, std::move(*ephemeral), *first,
                                out);
}

Result<Answered> finish_call(Call call, Answer& answer) {
  Call::State& state = *call.state;
  const MutableBytes text = MutableBytes(answer).subspan(crypto::kTagSize);
  if (!crypto::Aead(state.answer_key, crypto::Aead::kOpen)
           .open(kNonceZero, {}, text, fixed<crypto::kTagSize>(answer, 0))) {
    return fail(Errc::authentication_failed, "the answer is not the receiver's");
  }
  ByteReader in(text);
  const Bytes ct_b = in.take(crypto::kKemCiphertextSize);
  AnswerFields fields;
  fields.status = in.u8();
  const std::uint8_t flags = in.u8();
  const std::uint16_t zero = in.u16();
  fields.card_published = in.u64();
  const std::uint32_t zeros = in.u32();
  fields.newer_card = flags == kNewerCard;
  if (!in.done() || flags > kNewerCard || zero != 0 || zeros != 0) return fail(Errc::malformed);
  auto ss_b = state.ephemeral.decapsulate(ct_b);
  if (!ss_b) return fail(Errc::authentication_failed);
  Chains chains = chains_of(*state.hash, ct_b, state.ss_a, *ss_b);
  return Answered{fields,
                  Tunnel(std::move(chains.forward), std::move(chains.backward), state.cipher)};
}

// ---- the receiver -------------------------------------------------------------------------------

Result<Hailed> open_hail(const Called& called, std::span<const crypto::KemKeyPair* const> keys,
                         onion::ReplayWindow& seen, UnixSeconds now, MutableBytes hail) {
  if (hail.size() != kHailBytes) return fail(Errc::malformed);
  const Context context = context_of(called);
  const Bytes ct_a = hail.first(crypto::kKemCiphertextSize);
  const MutableBytes text = hail.subspan(kTextAt);
  std::array<std::byte, kTextBytes> intact;  // a failed open spoils the text
  std::memcpy(intact.data(), text.data(), text.size());
  for (const crypto::KemKeyPair* key : keys) {
    auto ss_a = key->decapsulate(ct_a);
    if (!ss_a) continue;  // low-order point: as if the tag had not verified
    auto hash = hash_of(context, key->public_bytes(), hail);
    FirstKeys first = first_keys(*ss_a, context);
    if (!crypto::Aead(first.hail, crypto::Aead::kOpen)
             .open(kNonceZero, {}, text,
                   fixed<crypto::kTagSize>(hail, crypto::kKemCiphertextSize))) {
      std::memcpy(text.data(), intact.data(), text.size());
      continue;
    }
    const auto fields = detail::parse_head(text);
    if (!fields) return fail(Errc::malformed);
    if (const Status ok = check_expiry(*fields, now); !ok) return std::unexpected(ok.error());
    auto ephemeral =
        crypto::KemPublicKey::import(text.subspan(kEphemeralAt, crypto::kKemPublicSize));
    if (!ephemeral) return fail(Errc::malformed);
    switch (
        seen.check_and_add(crypto::sha256(ct_a), UnixSeconds{fields->expiry_minutes} * 60, now)) {
      case onion::ReplayWindow::Verdict::fresh:
        break;
      case onion::ReplayWindow::Verdict::replayed:
        return fail(Errc::replayed);
      case onion::ReplayWindow::Verdict::full:
        return fail(Errc::refused_overload);
    }
    Hailed out;
    out.state = std::make_unique<Hailed::State>(Hailed::State{.fields = *fields,
                                                              .ephemeral = std::move(*ephemeral),
                                                              .ss_a = std::move(*ss_a),
                                                              .answer_key = std::move(first.answer),
                                                              .hash = std::move(hash),
                                                              .frames = text.subspan(kFramesAt)});
    return out;
  }
  return fail(Errc::authentication_failed);
}

namespace detail {

Result<Tunnel> accept_hail_with(Hailed hailed, const AnswerFields& fields,
                                const crypto::KemPublicKey::Encapsulation& second, Answer& out) {
  Hailed::State& state = *hailed.state;
  const MutableBytes text = MutableBytes(out).subspan(crypto::kTagSize);
  ByteWriter writer(text);
  writer.put(second.ciphertext);
  writer.u8(fields.status);
  writer.u8(fields.newer_card ? kNewerCard : 0);
  writer.u16(0);
  writer.u64(fields.card_published);
  writer.u32(0);
  QUDAG_ASSERT(writer.remaining() == 0);
  crypto::Aead(state.answer_key, crypto::Aead::kSeal)
      .seal(kNonceZero, {}, text, fixed<crypto::kTagSize>(out, 0));
  Chains chains = chains_of(*state.hash, second.ciphertext, state.ss_a, second.secret);
  return Tunnel(std::move(chains.backward), std::move(chains.forward), state.fields.cipher);
}

}  // namespace detail

Result<Tunnel> accept_hail(Hailed hailed, const AnswerFields& fields, Answer& out) {
  auto second = hailed.state->ephemeral.encapsulate();
  if (!second) return fail(Errc::authentication_failed);
  return detail::accept_hail_with(std::move(hailed), fields, *second, out);
}

}  // namespace qudag::keeper
