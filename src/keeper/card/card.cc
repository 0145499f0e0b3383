// card (<= 7,944) = 1 u8 || identity (1952) || published u64 || expires u64 || flags u32
//                   || effort u32 || n u8 || n * (keeper id, inbox id)
//                   || m u8 || m * (not before u64, not after u64, KEM key) || signature (3309)
// blob (8,192)    = salt (16) || tag (16) || sealed (card, zeros to 8,160)
#include "keeper/card/card.h"

#include "crypto/aead.h"
#include "crypto/kdf.h"

#include <algorithm>
#include <optional>

namespace qudag::keeper {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kPlaceBytes = NodeId::kSize + 32;
constexpr std::size_t kKeyBytes = 8 + 8 + crypto::kKemPublicSize;
constexpr std::size_t kTextAt = sizeof(CardSalt) + crypto::kTagSize;
constexpr std::size_t kTextBytes = wire::kCardBlobBytes - kTextAt;
/// A receiver whose clock is ahead of ours by no more.
constexpr UnixSeconds kAheadMax = 600;

constexpr std::size_t card_bytes(std::size_t places, std::size_t keys) {
  return 1 + crypto::kIdentityPublicSize + 8 + 8 + 4 + 4 + 1 + places * kPlaceBytes + 1 +
         keys * kKeyBytes + crypto::kSignatureSize;
}
static_assert(card_bytes(kKeepersMax, kCardKeysMax) == kCardBytesMax);
static_assert(kCardBytesMax <= kTextBytes);

const crypto::Nonce kNonceZero{};

Key256 blob_key(const NodeId& receiver, const Pin& pin, const wire::Spot& spot, Bytes salt) {
  std::array<std::byte, NodeId::kSize + sizeof(Pin)> who;
  ByteWriter writer(who);
  writer.put(receiver.bytes);
  writer.put(pin);
  const Key256 prk = crypto::hkdf_extract(as_bytes(kCardContext), who);
  std::array<std::byte, sizeof(wire::Spot) + sizeof(CardSalt)> context;
  ByteWriter where(context);
  where.put(spot);
  where.put(salt);
  return crypto::hkdf_expand_key(prk, "key", context);
}

/// Its bytes within `text`, whose rest is zeros; nothing if the counts in it are impossible.
std::optional<Bytes> card_in(Bytes text) {
  constexpr std::size_t kPlacesAt = 1 + crypto::kIdentityPublicSize + 8 + 8 + 4 + 4;
  const std::size_t places = std::to_integer<std::size_t>(text[kPlacesAt]);
  if (places < 1 || places > kKeepersMax) return std::nullopt;
  const std::size_t keys = std::to_integer<std::size_t>(text[kPlacesAt + 1 + places * kPlaceBytes]);
  if (keys < 1 || keys > kCardKeysMax) return std::nullopt;
  const std::size_t bytes = card_bytes(places, keys);
  if (std::ranges::any_of(text.subspan(bytes), [](std::byte b) { return b != std::byte{0}; })) {
    return std::nullopt;
  }
  return text.first(bytes);
}

bool read_body(ByteReader& in, CardFields& out) {
  out.published = in.u64();
  out.expires = in.u64();
  out.flags = in.u32();
  out.effort = in.u32();
  const std::size_t places = in.u8();
  if (places < 1 || places > kKeepersMax) return false;
  for (std::size_t i = 0; i < places; ++i) {
    Card::Place place;
    place.keeper.bytes = in.array<32>();
    place.inbox = in.array<32>();
    out.places.push_back(place);
  }
  const std::size_t keys = in.u8();
  if (keys < 1 || keys > kCardKeysMax) return false;
  for (std::size_t i = 0; i < keys; ++i) {
    CardFields::Key key;
    key.not_before = in.u64();
    key.not_after = in.u64();
    key.key = in.array<crypto::kKemPublicSize>();
    out.keys.push_back(key);
  }
  return in.done();
}

/// That of the keys which is good now and came last; null: there is none.
const CardFields::Key* key_of(const CardFields& fields, std::uint64_t now) {
  const CardFields::Key* best = nullptr;
  for (const CardFields::Key& key : fields.keys) {
    const bool good = key.not_before <= now + kAheadMax && key.not_after > now;
    if (good && (best == nullptr || key.not_before > best->not_before)) best = &key;
  }
  return best;
}

}  // namespace

wire::Spot spot_here(const wire::InboxId& inbox) {
  return crypto::sha256({as_bytes("qudag/1 card here"), inbox});
}

Result<std::vector<std::byte>> sign_card(const crypto::Identity& receiver,
                                         const CardFields& fields) {
  QUDAG_ASSERT(!fields.places.empty() && fields.places.size() <= kKeepersMax);
  QUDAG_ASSERT(!fields.keys.empty() && fields.keys.size() <= kCardKeysMax);
  std::vector<std::byte> out(card_bytes(fields.places.size(), fields.keys.size()));
  ByteWriter writer(out);
  writer.u8(kVersion);
  writer.put(receiver.public_bytes());
  writer.u64(fields.published);
  writer.u64(fields.expires);
  writer.u32(fields.flags);
  writer.u32(fields.effort);
  writer.u8(static_cast<std::uint8_t>(fields.places.size()));
  for (const Card::Place& place : fields.places) {
    writer.put(place.keeper.bytes);
    writer.put(place.inbox);
  }
  writer.u8(static_cast<std::uint8_t>(fields.keys.size()));
  for (const CardFields::Key& key : fields.keys) {
    writer.u64(key.not_before);
    writer.u64(key.not_after);
    writer.put(key.key);
  }
  const auto signature = receiver.sign(kCardContext, Bytes(out).first(writer.written()));
  if (!signature) return std::unexpected(signature.error());
  writer.put(*signature);
  return out;
}

void seal_card(Bytes card, const NodeId& receiver, const Pin& pin, const wire::Spot& spot,
               const CardSalt& salt, CardBlob& out) {
  QUDAG_ASSERT(card.size() <= kTextBytes);
  std::ranges::copy(salt, out.begin());
  const MutableBytes text = MutableBytes(out).subspan(kTextAt);
  std::ranges::copy(card, text.begin());
  std::ranges::fill(text.subspan(card.size()), std::byte{0});
  crypto::Aead(blob_key(receiver, pin, spot, salt), crypto::Aead::kSeal)
      .seal(
          kNonceZero, {}, text,
          std::span<std::byte, crypto::kTagSize>(out.data() + sizeof(CardSalt), crypto::kTagSize));
}

Result<CardFields> read_card(Bytes card, const NodeId& receiver) {
  if (card.size() < card_bytes(1, 1) || card.size() > kCardBytesMax) return fail(Errc::malformed);
  const Bytes body = card.first(card.size() - crypto::kSignatureSize);
  ByteReader in(body);
  if (in.u8() != kVersion) return fail(Errc::malformed, "a card of another version");
  const auto identity = in.array<crypto::kIdentityPublicSize>();
  CardFields out;
  if (!read_body(in, out)) return fail(Errc::malformed);
  // Dear steps last.
  if (crypto::id_of(identity) != receiver) return fail(Errc::authentication_failed);
  const std::span<const std::byte, crypto::kSignatureSize> signature(card.data() + body.size(),
                                                                     crypto::kSignatureSize);
  if (!crypto::verify(identity, kCardContext, body, signature)) {
    return fail(Errc::authentication_failed, "the card is not signed by the receiver");
  }
  return out;
}

Result<Card> open_card(MutableBytes blob, const NodeId& receiver, const Pin& pin,
                       const wire::Spot& spot, UnixSeconds now) {
  if (blob.size() != wire::kCardBlobBytes) return fail(Errc::malformed);
  const MutableBytes text = blob.subspan(kTextAt);
  const std::span<const std::byte, crypto::kTagSize> tag(blob.data() + sizeof(CardSalt),
                                                         crypto::kTagSize);
  if (!crypto::Aead(blob_key(receiver, pin, spot, blob.first(sizeof(CardSalt))),
                    crypto::Aead::kOpen)
           .open(kNonceZero, {}, text, tag)) {
    return fail(Errc::authentication_failed, "the card does not open");
  }
  const auto card = card_in(text);
  if (!card) return fail(Errc::malformed);
  const auto fields = read_card(*card, receiver);
  if (!fields) return std::unexpected(fields.error());
  const auto today = static_cast<std::uint64_t>(now);
  constexpr std::uint64_t kLife = std::chrono::seconds(kCardLifeMax).count();
  if (fields->published > today + kAheadMax || fields->expires > fields->published + kLife) {
    return fail(Errc::malformed, "the card is from the future, or good for too long");
  }
  const CardFields::Key* const key = key_of(*fields, today);
  if (fields->expires <= today || key == nullptr) return fail(Errc::expired, "the card is old");
  return Card{.receiver = receiver,
              .places = fields->places,
              .inbox_key = key->key,
              .pin = pin,
              .published = fields->published,
              .expires = std::min(fields->expires, key->not_after)};
}

}  // namespace qudag::keeper
