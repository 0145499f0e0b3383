// What became of work that a worker pool took. Every `done` hears it, so that nobody takes what was
// there before for the result: work that was never begun has none.
#pragma once

#include <cstdint>

namespace qudag {

enum class WorkEnd : std::uint8_t {
  ran,      ///< it was done
  expired,  ///< it waited for too long (the process was stopped, say) and was never begun
};

}  // namespace qudag
