// modules: store
// Any bytes as a state file: what passes is written again to the same bytes.
#include "store/state_file.h"

#include "base/assert.h"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const Bytes file(reinterpret_cast<const std::byte*>(data), size);
  constexpr store::StateKind kKind{.name = "guards", .version = 1};
  const auto body = store::parse_state(kKind, file);
  // The fuzzer seldom finds a checksum: the rest of the way is gone with one that is right.
  const auto whole = store::encode_state(kKind, file);
  const auto again = store::parse_state(kKind, whole);
  QUDAG_ASSERT(again && std::ranges::equal(*again, file));
  if (!body) return 0;
  QUDAG_ASSERT(std::ranges::equal(store::encode_state(kKind, *body), file));
  return 0;
}
