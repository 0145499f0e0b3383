// Control frames in whatever pieces: the first byte chooses the size of the pieces, the rest is the
// stream. Cutting must not depend on the pieces, and nothing longer than a frame may be held.
// modules: link
#include "link/stream/control.h"

#include <cstdlib>
#include <vector>

using namespace qudag;
using namespace qudag::link;

namespace {

struct Seen {
  std::vector<std::pair<std::uint8_t, std::vector<std::byte>>> frames;
  bool malformed = false;
  bool operator==(const Seen&) const = default;
};

Seen read(Bytes stream, std::size_t piece) {
  Seen out;
  ControlReader reader;
  while (!stream.empty() && !out.malformed) {
    Bytes in = stream.first(std::min(piece, stream.size()));
    stream = stream.subspan(in.size());
    ControlFrame frame;
    for (;;) {
      const auto step = reader.next(in, frame);
      if (step == ControlReader::Step::need_more) break;
      if (step == ControlReader::Step::malformed) {
        out.malformed = true;
        break;
      }
      if (frame.body.size() > limits::kControlFrameBytesMax) std::abort();
      out.frames.push_back({frame.type, {frame.body.begin(), frame.body.end()}});
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes stream(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  if (read(stream, data[0] + 1u) != read(stream, SIZE_MAX)) std::abort();
  return 0;
}
