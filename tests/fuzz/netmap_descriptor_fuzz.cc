// modules: netmap
// Any bytes as a descriptor, at a time taken from themselves so that times do not hide the rest:
// what parses is written again to the same bytes.
#include "netmap/map/descriptor.h"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const Bytes raw(reinterpret_cast<const std::byte*>(data), size);
  constexpr std::size_t kPublishedAt = 1 + crypto::kIdentityPublicSize;
  UnixSeconds now = 0;
  if (size >= kPublishedAt + 8) now = load_be<std::uint64_t>(raw.data() + kPublishedAt);
  const auto descriptor = netmap::parse(raw, now);
  if (!descriptor) return 0;
  const auto again = netmap::encode_unsigned(*descriptor);
  QUDAG_ASSERT(again.size() + crypto::kSignatureSize == size);
  QUDAG_ASSERT(std::equal(again.begin(), again.end(), raw.begin()));
  QUDAG_ASSERT(descriptor->id == crypto::id_of(descriptor->identity));
  QUDAG_ASSERT(descriptor->expires > now);
  return 0;
}
