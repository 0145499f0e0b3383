// The letter, sealed for a receiver that may be away (docs/reference/protocol.md, 14.6).
//
// A small one is a hail of kind `either`: it joins, or it is kept. A larger one has a key of its
// own label, and no ephemeral key: there is no answer, so who has the inbox key later can read it.
// Its size is one of wire::kLetterSizes.
#pragma once

#include "keeper/hail.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qudag::keeper {

/// What surrounds the frames of a deposit.
inline constexpr std::size_t kLetterOverhead =
    crypto::kKemCiphertextSize + crypto::kTagSize + detail::kHailHeadBytes;
/// Frames of messages that a letter of that size has room for.
constexpr std::size_t letter_frames_bytes(std::uint32_t size) {
  return size == kHailBytes ? kHailFramesBytes : size - kLetterOverhead;
}
/// A letter is not older than this, by its own claim.
inline constexpr std::chrono::hours kLetterAgeMax{8 * 24};

/// One of the sizes of deposits; frames.size() is letter_frames_bytes() of it.
Result<std::vector<std::byte>> seal_letter(const Called& called,
                                           const crypto::KemPublicKey& inbox_key,
                                           const HailFields& fields, Bytes frames);

/// An inbox key, and the time after which nobody seals to it.
struct LetterKeyPair {
  const crypto::KemKeyPair* pair = nullptr;
  UnixSeconds last = 0;
};
struct OpenedLetter {
  HailFields fields;
  Bytes frames;        // in the letter that was opened
  bool early = false;  // by our clock, and by the key's life it is not: our clock may be behind
};
/// Opens a letter of any size in place; a hail only if its sender let it be kept.
/// authentication_failed, malformed, expired: also one from behind its key's life.
Result<OpenedLetter> open_letter(const Called& called, std::span<const LetterKeyPair> keys,
                                 UnixSeconds now, MutableBytes sealed);

namespace detail {

std::vector<std::byte> seal_letter_with(const Called& called, const HailFields& fields,
                                        Bytes frames,
                                        const crypto::KemPublicKey::Encapsulation& first);

}  // namespace detail
}  // namespace qudag::keeper
