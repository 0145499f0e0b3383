// modules: wire
// Any bytes as a stream of a keeper's frames, in pieces that the first byte chooses: what is read
// is written again and must give the same bytes, and a stream keeps no more than the longest frame.
#include "wire/keeper_frames.h"

#include <algorithm>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? 927 : data[0];
  Bytes stream(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  const Bytes whole = stream;
  wire::KeeperStream in;
  std::vector<std::byte> again;
  bool in_order = true;  // no padding so far
  while (!stream.empty()) {
    const Bytes now = stream.first(std::min(piece, stream.size()));
    if (!in.take(now, [&](const wire::KeeperFrame& frame) {
          wire::append(again, frame);
          return true;
        })) {
      break;
    }
    stream = stream.subspan(now.size());
    const std::size_t read = whole.size() - stream.size();
    if (!in.partial()) in_order = in_order && again.size() == read;
    if (!in_order) break;  // after padding the offsets differ
  }
  QUDAG_ASSERT(again.size() <= whole.size());
  QUDAG_ASSERT(std::equal(again.begin(), again.end(), whole.begin()));
  return 0;
}
