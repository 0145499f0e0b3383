#include "store/state_file.h"

#include "base/assert.h"
#include "crypto/kdf.h"

#include <algorithm>
#include <array>
#include <string>

namespace qudag::store {
namespace {

static_assert(kStateTitle.size() == 12);

std::array<std::byte, kStateKindBytes> kind_bytes(std::string_view name) {
  QUDAG_ASSERT(name.size() <= kStateKindBytes);
  std::array<std::byte, kStateKindBytes> out{};
  std::ranges::copy(as_bytes(name), out.begin());
  return out;
}

}  // namespace

std::vector<std::byte> encode_state(const StateKind& kind, Bytes body) {
  std::vector<std::byte> file(kStateHeaderBytes + body.size());
  ByteWriter out(file);
  out.put(as_bytes(kStateTitle));
  out.put(kind_bytes(kind.name));
  out.u32(kind.version);
  out.u64(body.size());
  out.put(crypto::sha256(body));
  out.put(body);
  QUDAG_ASSERT(out.remaining() == 0);
  return file;
}

Result<Bytes> parse_state(const StateKind& kind, Bytes file) {
  if (file.size() < kStateHeaderBytes) return fail(Errc::malformed, "it is cut off");
  ByteReader in(file);
  if (!std::ranges::equal(in.take(kStateTitle.size()), as_bytes(kStateTitle))) {
    return fail(Errc::malformed, "it is no state file");
  }
  if (!std::ranges::equal(in.take(kStateKindBytes), kind_bytes(kind.name))) {
    return fail(Errc::malformed, "it is a state file of something else");
  }
  const std::uint32_t version = in.u32();
  if (version != kind.version) {
    return fail(Errc::unsupported, "its version is " + std::to_string(version));
  }
  const std::uint64_t length = in.u64();
  const Bytes digest = in.take(32);
  if (length != in.remaining()) return fail(Errc::malformed, "its length is wrong");
  const Bytes body = in.take(in.remaining());
  if (!std::ranges::equal(digest, crypto::sha256(body))) {
    return fail(Errc::malformed, "its checksum is wrong");
  }
  return body;
}

}  // namespace qudag::store
