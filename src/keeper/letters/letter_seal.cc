#include "keeper/letters/letter_seal.h"

#include <algorithm>
#include <cstring>

namespace qudag::keeper {
namespace {

constexpr std::size_t kTextAt = crypto::kKemCiphertextSize + crypto::kTagSize;
const crypto::Nonce kNonceZero{};

Key256 key_of(const Key256& ss_a, const Called& called, bool hail) {
  const Key256 prk = crypto::hkdf_extract(as_bytes("qudag/1 hail"), ss_a.span());
  return crypto::hkdf_expand_key(prk, hail ? "hail" : "letter", detail::context_of(called));
}

template <class Whole>
auto tag_of(Whole& whole) {
  return std::span<std::byte, crypto::kTagSize>(whole.data() + crypto::kKemCiphertextSize,
                                                crypto::kTagSize);
}

constexpr UnixSeconds seconds_of(std::chrono::seconds time) {
  return static_cast<UnixSeconds>(time.count());
}

}  // namespace

namespace detail {

std::vector<std::byte> seal_letter_with(const Called& called, const HailFields& fields,
                                        Bytes frames,
                                        const crypto::KemPublicKey::Encapsulation& first) {
  std::vector<std::byte> out(kLetterOverhead + frames.size());
  QUDAG_ASSERT(wire::is_letter_size(static_cast<std::uint32_t>(out.size())));
  std::ranges::copy(first.ciphertext, out.begin());
  const MutableBytes text = MutableBytes(out).subspan(kTextAt);
  ByteWriter writer(text);
  write_head(fields, writer);
  writer.put(frames);
  crypto::Aead(key_of(first.secret, called, false), crypto::Aead::kSeal)
      .seal(kNonceZero, {}, text, tag_of(out));
  return out;
}

}  // namespace detail

Result<std::vector<std::byte>> seal_letter(const Called& called,
                                           const crypto::KemPublicKey& inbox_key,
                                           const HailFields& fields, Bytes frames) {
  auto first = inbox_key.encapsulate();
  if (!first) return std::unexpected(first.error());
  return detail::seal_letter_with(called, fields, frames, *first);
}

Result<OpenedLetter> open_letter(const Called& called, std::span<const LetterKeyPair> keys,
                                 UnixSeconds now, MutableBytes sealed) {
  if (!wire::is_letter_size(static_cast<std::uint32_t>(sealed.size()))) {
    return fail(Errc::malformed);
  }
  const bool hail = sealed.size() == kHailBytes;
  const MutableBytes text = sealed.subspan(kTextAt);
  const std::vector<std::byte> intact(text.begin(), text.end());  // a failed open spoils the text
  for (const LetterKeyPair& key : keys) {
    auto ss_a = key.pair->decapsulate(sealed.first(crypto::kKemCiphertextSize));
    if (!ss_a) continue;
    if (!crypto::Aead(key_of(*ss_a, called, hail), crypto::Aead::kOpen)
             .open(kNonceZero, {}, text, tag_of(sealed))) {
      std::memcpy(text.data(), intact.data(), text.size());
      continue;
    }
    const auto fields = detail::parse_head(text);
    if (!fields) return fail(Errc::malformed);
    if (fields->kind != (hail ? HailKind::either : HailKind::letter)) return fail(Errc::malformed);
    const UnixSeconds expires = UnixSeconds{fields->expiry_minutes} * 60;
    const bool early = expires > now + seconds_of(kHailLifeMax);
    if (expires + seconds_of(kLetterAgeMax) <= now) return fail(Errc::expired);
    if (early && expires > key.last + seconds_of(kHailLifeMax)) return fail(Errc::expired);
    const std::size_t frames_at = detail::kHailHeadBytes + (hail ? crypto::kKemPublicSize : 0);
    return OpenedLetter{.fields = *fields, .frames = text.subspan(frames_at), .early = early};
  }
  return fail(Errc::authentication_failed);
}

}  // namespace qudag::keeper
