// modules: wire
// Any payload: every frame that is read is written again and must give the same bytes, so that no
// two byte strings mean the same frame. The frames lie in the payload without gaps.
#include "wire/message_frames.h"

#include <algorithm>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  const Bytes payload(reinterpret_cast<const std::byte*>(data), size);
  std::vector<std::byte> again(size + 1);
  ByteWriter out(again);
  wire::FrameReader frames(payload);
  while (auto frame = frames.next()) wire::append(out, *frame);
  QUDAG_ASSERT(out.written() <= size);
  QUDAG_ASSERT(std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(out.written()),
                          payload.begin()));
  const bool at_padding = out.written() == size || payload[out.written()] == std::byte{0};
  QUDAG_ASSERT(frames.malformed() != at_padding);
  return 0;
}
