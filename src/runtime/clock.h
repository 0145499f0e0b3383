// The real clocks: CLOCK_BOOTTIME, which goes on while the machine sleeps, and the wall clock, read
// together once per turn.
#pragma once

#include "base/time.h"

namespace qudag::runtime {

/// Any thread. The only place of the shipped program, with Loop, that asks what time it is.
Now system_now();

}  // namespace qudag::runtime
