#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace qudag {

// stdio and not the logger: the logger may be what broke, and this must not allocate.
void assertion_failed(const char* what, const char* file, int line) noexcept {
  std::fprintf(stderr, "qudag: assertion failed: %s (%s:%d)\n", what, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace qudag
