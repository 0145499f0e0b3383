// A number for the calling thread that is never used again, unlike std::thread::id: what a thread
// owned may outlive it. The counter is process-wide, and all it can do is count.
#pragma once

#include <atomic>
#include <cstdint>

namespace qudag::memory {

/// From 1; 0 stands for nobody.
inline std::uint64_t this_thread() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t number = threads.fetch_add(1, std::memory_order_relaxed) + 1;
  return number;
}

}  // namespace qudag::memory
