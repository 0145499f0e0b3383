// Pages of a buffer that are not needed now go back to the system; the buffer stays usable.
#pragma once

#include "base/bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace qudag::memory {

/// The contents of the buffer are lost. Its whole pages cost nothing until they are written again.
inline void drop_pages(MutableBytes buffer) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<std::uintptr_t>(buffer.data());
  const std::uintptr_t first = (at + page - 1) / page * page;
  const std::uintptr_t last = (at + buffer.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace qudag::memory
