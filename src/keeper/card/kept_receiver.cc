// body = identity seed (32) || master (32) || hidden u8 || keepers u8 || number u32 || published
// u64
//        || replaced u64 || n u8 || n * (keeper id, number u32, until u64, left u64, listed
//        u8)
//        || m u8 || m * (made u64, KEM seed (96))
#include "keeper/card/kept_receiver.h"

#include <algorithm>

namespace qudag::keeper {
namespace {

constexpr std::size_t kHeadBytes = crypto::kIdentitySeedSize + 32 + 1 + 1 + 4 + 8 + 8;
constexpr std::size_t kPostBytes = NodeId::kSize + 4 + 8 + 8 + 1;
constexpr std::size_t kKeyBytes = 8 + crypto::kKemSeedSize;
static_assert(kHeadBytes + 2 + KeptReceiver::kPostsMax * kPostBytes +
                  KeptReceiver::kKeysMax * kKeyBytes <=
              KeptReceiver::kEncodedBytesMax);

/// A time that a clock can show; anything else would overflow sums with it.
bool read_time(ByteReader& in, UnixSeconds& out) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  const std::uint64_t value = in.u64();
  out = static_cast<UnixSeconds>(value);
  return value < kMost;
}

bool read_truth(ByteReader& in, bool& out) {
  const std::uint8_t value = in.u8();
  out = value != 0;
  return value <= 1;
}

bool read_post(ByteReader& in, KeptReceiver::Post& out) {
  out.keeper.bytes = in.array<32>();
  out.number = in.u32();
  return read_time(in, out.until) && read_time(in, out.left) && read_truth(in, out.listed);
}

}  // namespace

KeptReceiver KeptReceiver::clone() const {
  KeptReceiver out;
  out.identity = identity.clone();
  out.master = master.clone();
  out.hidden = hidden;
  out.keepers = keepers;
  out.number = number;
  out.published = published;
  out.replaced = replaced;
  out.posts = posts;
  for (const Key& key : keys) out.keys.push_back({key.made, key.seed.clone()});
  return out;
}

std::vector<std::byte> KeptReceiver::encode() const {
  QUDAG_ASSERT(posts.size() <= kPostsMax && keys.size() <= kKeysMax);
  std::vector<std::byte> out(kHeadBytes + 2 + posts.size() * kPostBytes + keys.size() * kKeyBytes);
  ByteWriter writer(out);
  writer.put(identity.span());
  writer.put(master.span());
  writer.u8(hidden ? 1 : 0);
  writer.u8(static_cast<std::uint8_t>(keepers));
  writer.u32(number);
  writer.u64(published);
  writer.u64(static_cast<std::uint64_t>(replaced));
  writer.u8(static_cast<std::uint8_t>(posts.size()));
  for (const Post& post : posts) {
    writer.put(post.keeper.bytes);
    writer.u32(post.number);
    writer.u64(static_cast<std::uint64_t>(post.until));
    writer.u64(static_cast<std::uint64_t>(post.left));
    writer.u8(post.listed ? 1 : 0);
  }
  writer.u8(static_cast<std::uint8_t>(keys.size()));
  for (const Key& key : keys) {
    writer.u64(static_cast<std::uint64_t>(key.made));
    writer.put(key.seed.span());
  }
  return out;
}

Result<KeptReceiver> KeptReceiver::parse(Bytes raw) {
  ByteReader in(raw);
  KeptReceiver out;
  std::ranges::copy(in.array<crypto::kIdentitySeedSize>(), out.identity.span().begin());
  std::ranges::copy(in.array<32>(), out.master.span().begin());
  bool good = read_truth(in, out.hidden);
  out.keepers = in.u8();
  out.number = in.u32();
  out.published = in.u64();
  good = read_time(in, out.replaced) && good;
  const std::size_t posts = in.u8();
  good = good && in.ok() && out.keepers >= 1 && out.keepers <= kKeepersMax && posts <= kPostsMax;
  for (std::size_t i = 0; good && i < posts; ++i) good = read_post(in, out.posts.emplace_back());
  const std::size_t keys = good ? in.u8() : 0;
  good = good && keys <= kKeysMax;
  for (std::size_t i = 0; good && i < keys; ++i) {
    Key& key = out.keys.emplace_back();
    good = read_time(in, key.made);
    std::ranges::copy(in.array<crypto::kKemSeedSize>(), key.seed.span().begin());
  }
  if (!good || !in.done()) return fail(Errc::malformed, "it is not what a receiver keeps");
  return out;
}

}  // namespace qudag::keeper
