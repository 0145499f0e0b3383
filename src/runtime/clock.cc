#include "runtime/clock.h"

#include <time.h>

namespace qudag::runtime {

Now system_now() {
  timespec mono{};
  timespec wall{};
  clock_gettime(CLOCK_BOOTTIME, &mono);
  clock_gettime(CLOCK_REALTIME_COARSE, &wall);
  return {
      .mono = TimePoint(std::chrono::seconds(mono.tv_sec) + std::chrono::nanoseconds(mono.tv_nsec)),
      .unix_seconds = static_cast<UnixSeconds>(wall.tv_sec)};
}

}  // namespace qudag::runtime
