// modules: node
// Any bytes as a registration on a keeper's disk: what passes is written again to the same bytes.
#include "node/letters/letter_rows.h"

#include "base/assert.h"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto row = node::decode_registered(bytes, 5);
  if (row) QUDAG_ASSERT(std::ranges::equal(node::encode(*row), bytes));
  return 0;
}
