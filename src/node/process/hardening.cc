#include "node/process/hardening.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

namespace qudag::node {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  char modes[5] = {};
  unsigned long inode = 0;
  char name[64] = {};
};

bool read_range(const char* line, Range& out) {
  return std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %lu %63s", &out.begin, &out.end,
                     out.modes, &out.inode, out.name) >= 4;
}

/// Private, writable, and of no file.
bool holds_data(const Range& range) {
  return range.modes[0] == 'r' && range.modes[1] == 'w' && range.modes[3] == 'p' &&
         range.inode == 0;
}

/// The main thread's says so; another thread's lies above a page that nobody may touch. So may a
/// heap of glibc's, but those begin at multiples of 64 MiB.
bool is_stack(const Range& range, const Range& before) {
  constexpr std::uintptr_t kHeapAlignment = 64u << 20;
  const bool guarded = before.end == range.begin && std::strncmp(before.modes, "---p", 4) == 0;
  return std::strcmp(range.name, "[stack]") == 0 || (guarded && range.begin % kHeapAlignment != 0);
}

}  // namespace

void harden_process(bool debuggable) {
  if (debuggable) return;
  // First the file, which belongs to root once the process is not dumpable.
  if (const File filter(std::fopen("/proc/self/coredump_filter", "we")); filter) {
    std::fputs("0", filter.get());
  }
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

std::size_t exclude_from_dumps() {
  const File maps(std::fopen("/proc/self/maps", "re"));
  if (!maps) return 0;
  std::size_t ranges = 0;
  char line[4096 + 128];  // a path, and what is before it
  Range before;
  while (std::fgets(line, sizeof line, maps.get()) != nullptr) {
    Range range;
    if (!read_range(line, range)) continue;
    if (holds_data(range) && !is_stack(range, before)) {
      ::madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, MADV_DONTDUMP);
      ++ranges;
    }
    before = range;
  }
  return ranges;
}

}  // namespace qudag::node
