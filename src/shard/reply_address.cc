#include "shard/reply_address.h"

#include "base/bytes.h"
#include "crypto/block_cipher.h"
#include "crypto/random.h"

namespace qudag {
namespace {

/// In each plain one: what was not made here shows.
constexpr std::uint16_t kMade = 0x7164;

const crypto::BlockCipher& cipher() {
  static const Key256 key = [] {
    Key256 drawn;
    crypto::SystemRng().fill(drawn.span());
    return drawn;
  }();
  thread_local const crypto::BlockCipher of_thread(key);
  return of_thread;
}

}  // namespace

ReplyTo::ReplyTo(const Handle& handle) : plain_(cipher().decrypt(handle)) {}

ReplyTo::Handle ReplyTo::handle() const { return cipher().encrypt(plain_); }

namespace shard {

ReplyTo ReplyAddress::pack() const {
  ReplyTo to;
  ByteWriter out(to.plain_);
  out.u64(circuit);
  out.u32(ref);
  out.u16(static_cast<std::uint16_t>(shard));
  out.u16(kMade);
  return to;
}

std::optional<ReplyAddress> ReplyAddress::unpack(const ReplyTo& to) {
  ByteReader in(to.plain_);
  ReplyAddress address;
  address.circuit = in.u64();
  address.ref = in.u32();
  address.shard = in.u16();
  if (in.u16() != kMade) return std::nullopt;
  return address;
}

Receipt ReplyAddress::receipt() const {
  Receipt out;
  out.circuit_ = circuit;
  out.ref_ = ref;
  out.shard_ = shard;
  return out;
}

std::optional<ReplyAddress> ReplyAddress::of(const Receipt& receipt) {
  if (receipt.circuit_ == UINT64_MAX) return std::nullopt;
  return ReplyAddress{.circuit = receipt.circuit_, .ref = receipt.ref_, .shard = receipt.shard_};
}

}  // namespace shard
}  // namespace qudag
