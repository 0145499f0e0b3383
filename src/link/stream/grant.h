// What a stream's peer may send after some of its bytes were consumed: link/path/window.h has the
// rules, this is their step for one stream.
#pragma once

#include "base/time.h"
#include "link/path/state.h"
#include "link/path/window.h"
#include "link/stream/stream.h"

#include <cstddef>

namespace qudag::link {

/// What the window of a stream follows, besides what is consumed.
struct WindowTerms {
  std::size_t usual_kib = 0;  // memory's
  WindowSum& grown;           // of all streams of the endpoint
  const PathState& path;
  TimePoint now;
};

/// Bytes that the peer may send more: more than was consumed where the window grows, less where it
/// shrinks. The control stream's stays.
std::size_t grant(Stream& stream, std::size_t consumed, const WindowTerms& terms);

}  // namespace qudag::link
