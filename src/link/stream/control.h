// The control stream (docs/reference/protocol.md, section 4) as it comes in: its frames are those
// of wire/control.h.
//
// ControlReader cuts the bytes of the stream into frames, whatever pieces they arrive in. It keeps
// bytes only while a frame is incomplete, at most one frame.
#pragma once

#include "base/bytes.h"
#include "wire/control.h"

#include <cstdint>
#include <vector>

namespace qudag::link {

struct ControlFrame {
  std::uint8_t type = 0;
  Bytes body;
};

class ControlReader {
 public:
  enum class Step : std::uint8_t { frame, need_more, malformed };

  /// Takes bytes off the front of `in`. After `frame`, call again; `out.body` is valid until then.
  Step next(Bytes& in, ControlFrame& out);

 private:
  Step next_held(Bytes& in, ControlFrame& out);

  std::vector<std::byte> held_;  // the start of an incomplete frame
  bool held_given_ = false;      // held_ was given out as a frame and is free
};

}  // namespace qudag::link
