// A hop's side of the build handshake.
//
// accept: 1. an onion key that is valid now opens the layer (decapsulate, derive, verify the tag);
//         2. the record has the one valid form, our priority, and a time in bounds; 3. it was not
//         seen before; 4. encapsulate to the source's ephemeral key, derive the traffic keys; 5.
//         shift the message to what the next hop gets. Nothing of 2 to 5 happens before the tag
//         verified.
#include "base/assert.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "onion/build.h"
#include "onion/build_detail.h"
#include "onion/key_schedule.h"
#include "onion/layers.h"
#include "onion/record.h"

#include <cstring>
#include <optional>

namespace qudag::onion {

using limits::kBuildLayerBytes;
using limits::kBuildRecordBytes;
using limits::kKemCiphertextBytes;
using limits::kReplyLayerBytes;
using limits::kReplyRecordBytes;
using limits::kTagBytes;

namespace {

const crypto::Nonce kNonceZero{};

template <std::size_t N>
std::span<std::byte, N> fixed(std::byte* at) {
  return std::span<std::byte, N>(at, N);
}

bool usable(const OnionKey& key, UnixSeconds now) {
  return key.pair && key.not_before <= now && now < key.not_after;
}

struct Unlocked {
  const crypto::KemKeyPair* key;
  Key256 ss1;
  BuildKeys keys;
};

// Opens the encrypted part in place with the first onion key that fits.
std::optional<Unlocked> unlock(std::span<const OnionKey> keys, UnixSeconds now,
                               BuildMessage& message) {
  const Bytes kem_ct = Bytes(message).first(kKemCiphertextBytes);
  const MutableBytes text = MutableBytes(message).subspan(kBuildShape.header);
  std::array<std::byte, kBuildShape.encrypted()> intact;  // a failed open spoils the text
  bool spoiled = false;
  std::memcpy(intact.data(), text.data(), text.size());
  for (const OnionKey& key : keys) {
    if (!usable(key, now)) continue;
    auto ss1 = key.pair->decapsulate(kem_ct);
    if (!ss1) continue;  // low-order point: as if the tag had not verified
    BuildKeys build = derive_build_keys(*ss1);
    if (spoiled) std::memcpy(text.data(), intact.data(), text.size());
    if (crypto::Aead(build.build_key, crypto::Aead::kOpen)
            .open(kNonceZero, {}, text, fixed<kTagBytes>(message.data() + kKemCiphertextBytes))) {
      return Unlocked{key.pair.get(), std::move(*ss1), std::move(build)};
    }
    spoiled = true;
  }
  return std::nullopt;
}

Status check_record(const BuildRecord& record, Priority preface_priority, UnixSeconds now) {
  if (record.priority != preface_priority) return fail(Errc::malformed);
  constexpr UnixSeconds kAheadMax =
      std::chrono::duration_cast<std::chrono::seconds>(limits::kBuildLifetimeMax).count();
  if (record.expires() <= now || record.expires() > now + kAheadMax) return fail(Errc::expired);
  return {};
}

Result<crypto::KemPublicKey::Encapsulation> encapsulate_to(Bytes ephemeral) {
  const auto key = crypto::KemPublicKey::import(ephemeral);
  if (!key) return fail(Errc::malformed);
  auto second = key->encapsulate();
  if (!second) return fail(Errc::authentication_failed);
  return second;
}

// record || rest -> rest || filler, where the record and this hop's header were.
void shift(const Key256& build_filler, BuildMessage& message) {
  constexpr std::size_t kKept = limits::kBuildMessageBytes - kBuildLayerBytes;
  std::memmove(message.data(), message.data() + kBuildLayerBytes, kKept);
  crypto::KeyStream(build_filler).next(MutableBytes(message).subspan(kKept));
}

}  // namespace

namespace detail {

Result<AcceptedBuild> accept_build_with(const NodeId& self, std::span<const OnionKey> keys,
                                        ReplayWindow& window, Priority preface_priority,
                                        UnixSeconds now,
                                        const crypto::KemPublicKey::Encapsulation* second,
                                        BuildMessage& message) {
  auto unlocked = unlock(keys, now, message);
  if (!unlocked) return fail(Errc::authentication_failed);

  const Bytes kem_ct = Bytes(message).first(kKemCiphertextBytes);
  const auto record_bytes = fixed<kBuildRecordBytes>(message.data() + kBuildShape.header);
  const auto record = parse_build_record(record_bytes);
  if (!record) return std::unexpected(record.error());
  if (const Status ok = check_record(*record, preface_priority, now); !ok) {
    return std::unexpected(ok.error());
  }
  switch (window.check_and_add(crypto::sha256(kem_ct), record->expires(), now)) {
    case ReplayWindow::Verdict::fresh:
      break;
    case ReplayWindow::Verdict::replayed:
      return fail(Errc::replayed);
    case ReplayWindow::Verdict::full:
      return fail(Errc::refused_overload);
  }

  std::optional<crypto::KemPublicKey::Encapsulation> drawn;
  if (second == nullptr) {
    auto made = encapsulate_to(record->ephemeral);
    if (!made) return std::unexpected(made.error());
    second = &drawn.emplace(std::move(*made));
  }
  AcceptedBuild out{.role = record->role,
                    .priority = record->priority,
                    .next = record->next,
                    .rider = record->rider,
                    .secrets = derive_hop_secrets({.id = self,
                                                   .onion_key = unlocked->key->public_bytes(),
                                                   .kem_ct = kem_ct,
                                                   .record = record_bytes,
                                                   .ct2 = second->ciphertext},
                                                  unlocked->ss1, second->secret),
                    .reply_key = std::move(unlocked->keys.reply_key),
                    .reply_ciphertext = second->ciphertext};
  out.secrets.cipher = record->cipher;
  shift(unlocked->keys.build_filler, message);
  return out;
}

}  // namespace detail

Result<AcceptedBuild> accept_build(const NodeId& self, std::span<const OnionKey> keys,
                                   ReplayWindow& window, Priority preface_priority, UnixSeconds now,
                                   BuildMessage& message) {
  return detail::accept_build_with(self, keys, window, preface_priority, now, nullptr, message);
}

namespace {

// The reply already holds, from kReplyLayerBytes on, what this hop's record goes in front of.
void seal_layer(const AcceptedBuild& build, BuildStatus status, const HopTimes& times,
                ReplyMessage& reply) {
  write_reply_record(build.reply_ciphertext, status, times,
                     fixed<kReplyRecordBytes>(reply.data() + kTagBytes));
  crypto::Aead(build.reply_key, crypto::Aead::kSeal)
      .seal(kNonceZero, {}, MutableBytes(reply).subspan(kTagBytes), fixed<kTagBytes>(reply.data()));
}

}  // namespace

void seal_reply(const AcceptedBuild& build, BuildStatus status, ReplyMessage& out,
                const HopTimes& times) {
  std::memset(out.data() + kReplyLayerBytes, 0, out.size() - kReplyLayerBytes);
  seal_layer(build, status, times, out);
}

void relay_reply(const AcceptedBuild& build, ReplyMessage& reply, const HopTimes& times) {
  std::memmove(reply.data() + kReplyLayerBytes, reply.data(), reply.size() - kReplyLayerBytes);
  seal_layer(build, BuildStatus::ready, times, reply);
}

}  // namespace qudag::onion
