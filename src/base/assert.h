// Assertions for what cannot happen. Never for bytes that come from outside.
#pragma once

namespace qudag {
[[noreturn]] void assertion_failed(const char* what, const char* file, int line) noexcept;
}

/// Always on: a broken invariant in a network daemon must stop it, not corrupt it.
#define QUDAG_ASSERT(cond) \
  ((cond) ? static_cast<void>(0) : ::qudag::assertion_failed(#cond, __FILE__, __LINE__))

/// On in the dev, sanitizer and fuzz presets only (QUDAG_DEBUG_CHECKS): for hot paths.
#ifdef QUDAG_DEBUG_CHECKS
#define QUDAG_DCHECK(cond) QUDAG_ASSERT(cond)
#else
#define QUDAG_DCHECK(cond) static_cast<void>(0)
#endif
