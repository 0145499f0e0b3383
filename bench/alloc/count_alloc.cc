// Loaded with LD_PRELOAD: counts calls into glibc's allocator in a file of 8 bytes that another
// process reads, $QUDAG_COUNT_ALLOC.<pid>. realloc counts as one, free not at all.
//
// With $QUDAG_TRACE_ALLOC=<seconds> every call that long after the start is also written down, into
// $QUDAG_COUNT_ALLOC.<pid>.trace: bytes, thread, and who called (bench/alloc/callers.py reads it).
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

std::atomic<std::uint64_t> early{0};  // until the file is there
std::atomic<std::atomic<std::uint64_t>*> counter{&early};

int trace_to = -1;
time_t trace_from = 0;
thread_local bool tracing = false;  // backtrace() may allocate

time_t seconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

void trace(std::size_t bytes) {
  if (tracing || seconds_now() < trace_from) return;
  tracing = true;
  void* callers[24];
  const int depth = ::backtrace(callers, 24);
  char thread[17] = {};
  ::prctl(PR_GET_NAME, thread);
  char line[640];
  int used = std::snprintf(line, sizeof line, "%zu %s", bytes, thread);
  for (int i = 2; i < depth; ++i) {
    used +=
        std::snprintf(line + used, sizeof line - static_cast<std::size_t>(used), " %p", callers[i]);
  }
  line[used++] = '\n';
  if (::write(trace_to, line, static_cast<std::size_t>(used)) < 0) trace_to = -1;
  tracing = false;
}

void count(std::size_t bytes) {
  counter.load(std::memory_order_relaxed)->fetch_add(1, std::memory_order_relaxed);
  if (trace_to >= 0) trace(bytes);
}

/// The map of the process first: addresses mean nothing without.
void open_trace(const char* counts, const char* after) {
  char path[520];
  std::snprintf(path, sizeof path, "%s.trace", counts);
  const int to = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (to < 0 || maps < 0) return;
  char part[4096];
  for (ssize_t n = 0; (n = ::read(maps, part, sizeof part)) > 0;) {
    if (::write(to, part, static_cast<std::size_t>(n)) < 0) break;
  }
  ::close(maps);
  void* warm[1];
  ::backtrace(warm, 1);  // loads the unwinder now
  trace_from = seconds_now() + std::atoi(after);
  trace_to = to;
}

[[gnu::constructor]] void share() {
  const char* prefix = std::getenv("QUDAG_COUNT_ALLOC");
  if (prefix == nullptr) return;
  char path[512];
  std::snprintf(path, sizeof path, "%s.%d", prefix, static_cast<int>(::getpid()));
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, 8) != 0) return;
  void* at = ::mmap(nullptr, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at != MAP_FAILED) counter.store(static_cast<std::atomic<std::uint64_t>*>(at));
  if (const char* after = std::getenv("QUDAG_TRACE_ALLOC")) open_trace(path, after);
}

}  // namespace

extern "C" {
[[gnu::visibility("default")]] void* malloc(std::size_t n) {
  count(n);
  return __libc_malloc(n);
}
[[gnu::visibility("default")]] void* calloc(std::size_t n, std::size_t size) {
  count(n * size);
  return __libc_calloc(n, size);
}
[[gnu::visibility("default")]] void* realloc(void* p, std::size_t n) {
  count(n);
  return __libc_realloc(p, n);
}
[[gnu::visibility("default")]] void* memalign(std::size_t alignment, std::size_t n) {
  count(n);
  return __libc_memalign(alignment, n);
}
[[gnu::visibility("default")]] void* aligned_alloc(std::size_t alignment, std::size_t n) {
  count(n);
  return __libc_memalign(alignment, n);
}
[[gnu::visibility("default")]] int posix_memalign(void** out, std::size_t alignment,
                                                  std::size_t n) {
  count(n);
  *out = __libc_memalign(alignment, n);
  return *out == nullptr ? ENOMEM : 0;
}
}
