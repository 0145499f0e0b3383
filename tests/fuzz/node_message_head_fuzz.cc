// modules: node
// Any bytes as the head of a message that the inbox kept: what passes is written again to the same
// bytes.
#include "node/inbox/message_head.h"

#include "base/assert.h"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto head = node::parse_message_head(bytes);
  if (head) QUDAG_ASSERT(std::ranges::equal(node::encode(*head), bytes));
  return 0;
}
