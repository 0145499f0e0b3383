// Durations as ngtcp2 has them: nanoseconds without a sign.
#pragma once

#include "base/time.h"

#include <ngtcp2/ngtcp2.h>

namespace qudag::link {

inline ngtcp2_duration to_native(Duration duration) {
  return static_cast<ngtcp2_duration>(duration.count());
}
inline Duration to_duration(ngtcp2_duration native) {
  return Duration(static_cast<Duration::rep>(native));
}

}  // namespace qudag::link
