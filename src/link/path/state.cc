#include "link/path/state.h"

#include "link/path/native_time.h"

namespace qudag::link {
namespace {

/// Paths whose shortest round trip is below this are not paced.
constexpr Duration kShortPath = std::chrono::milliseconds(1);

}  // namespace

/// A dialed link keeps the local address that it was dialed from: with a wildcard address the
/// kernel chose, and naming the choice would look like another path.
void PathState::arrived(NativePath& path) {
  if (is_wildcard(from_)) from_ = from_native(path.view().local);
  path.local = to_native(local_);
}

/// Pacing spreads a window over a round trip, for the sake of queues on a long path. Inside one
/// machine or one module there are none to protect, while a small window and a round trip that is
/// mostly the scheduler's would hold each packet back for longer than its whole way takes. There
/// bursts are bounded by the quantum and the congestion window, as TCP's are. Once for all: ngtcp2
/// counts what was not paced, and would make up for it.
void PathState::measured(const ngtcp2_conn_info& info) {
  if (info.min_rtt < to_native(kShortPath)) {
    paced_ = false;
    more_at_ = kNever;
    return;
  }
  round_trip_ = to_duration(info.smoothed_rtt);
  shortest_trip_ = to_duration(info.min_rtt);
}

std::size_t PathState::may_send(std::uint64_t window, TimePoint now) {
  pacer_.fill(window, round_trip_, now);
  return pacer_.available();
}

}  // namespace qudag::link
