#include "link/stream/grant.h"

#include <algorithm>
#include <utility>

namespace qudag::link {
namespace {

/// In KiB. Paths that are not paced are too short for more than the usual window; memory may be,
/// too.
std::size_t wanted_window(Stream& stream, std::size_t usual, std::size_t consumed,
                          const WindowTerms& terms) {
  using std::chrono::microseconds;
  if (!terms.path.paced() || !terms.grown.may_grow(usual)) return usual;
  const auto now = static_cast<std::uint32_t>(terms.now.time_since_epoch() / microseconds(1));
  const Duration took = microseconds(now - stream.round_at);
  stream.round_bytes += static_cast<std::uint32_t>(consumed);
  if (took < terms.path.round_trip()) return std::max<std::size_t>(usual, stream.window_kib);
  stream.round_at = now;
  const WindowRound round{.bytes = std::exchange(stream.round_bytes, 0),
                          .took = took,
                          .round_trip = terms.path.shortest_trip(),
                          .held_back = stream.held_back * kHeldUnit};
  stream.held_back = (stream.held_back * 3u / 4) & kHeldMost;
  stream.wanted_kib = static_cast<std::uint16_t>(
      smoothed(stream.wanted_kib, wanted_in(round), round.held_back > 0));
  return next_window(stream.window_kib, usual, stream.wanted_kib);
}

}  // namespace

/// To its usual size a window goes at the pace of what the peer sends; for a long path it grows at
/// once, or the peer would wait.
std::size_t grant(Stream& stream, std::size_t consumed, const WindowTerms& terms) {
  if (stream.control()) return consumed;
  const std::size_t usual = std::max(terms.usual_kib, terms.grown.least());
  const std::size_t window = stream.window_kib;
  const std::size_t wanted = wanted_window(stream, usual, consumed, terms);
  if (wanted == window) return consumed;
  const std::size_t pace = consumed / 1024;
  const std::size_t step = wanted < window   ? std::min(pace, window - wanted)
                           : wanted <= usual ? std::min(pace, wanted - window)
                                             : std::min(terms.grown.left(), wanted - window);
  const std::size_t next = wanted > window ? window + step : window - step;
  terms.grown.change(window, next);
  stream.window_kib = static_cast<std::uint16_t>(next);
  return consumed + next * 1024 - window * 1024;
}

}  // namespace qudag::link
