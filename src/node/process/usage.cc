#include "node/process/usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

namespace qudag::node {
namespace {

struct Files {
  std::uint64_t open = 0;
  std::uint64_t sockets = 0;
};

/// Not by std::filesystem, which allocates for every entry. `look`: also at what each one is.
Files open_files(bool look) {
  Files out;
  const std::unique_ptr<DIR, int (*)(DIR*)> files(::opendir("/proc/self/fd"), ::closedir);
  if (files == nullptr) return out;
  while (const dirent* const one = ::readdir(files.get())) {
    if (one->d_name[0] == '.') continue;
    ++out.open;
    char target[8] = {};
    if (look && ::readlinkat(::dirfd(files.get()), one->d_name, target, sizeof target - 1) > 0 &&
        std::strncmp(target, "socket:", 7) == 0) {
      ++out.sockets;
    }
  }
  if (out.open > 0) --out.open;  // the directory itself
  return out;
}

std::uint64_t files_max() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 0;
  return limit.rlim_cur;
}

double now_of(clockid_t clock) {
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) return 0;
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// proc(5), /proc/pid/stat, field 22: clock ticks after boot. Fields are counted behind the name,
/// which may hold anything.
double start_time() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/stat", "re"),
                                                             std::fclose);
  char text[1024] = {};
  if (file == nullptr || std::fread(text, 1, sizeof text - 1, file.get()) == 0) return 0;
  const char* at = std::strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 22; ++field) at = std::strchr(at + 1, ' ');
  unsigned long long ticks = 0;
  if (at == nullptr || std::sscanf(at, " %llu", &ticks) != 1) return 0;
  const double booted = now_of(CLOCK_REALTIME) - now_of(CLOCK_BOOTTIME);
  return booted + static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

ProcessUsage process_usage() {
  // Once: the difference of two clocks is another one each time, and Prometheus' changes() would
  // take that for a restart.
  static const double started = start_time();
  const Files files = open_files(true);
  return {.cpu_seconds = now_of(CLOCK_PROCESS_CPUTIME_ID),
          .started = started,
          .files_open = files.open,
          .files_max = files_max(),
          .sockets_open = files.sockets,
          .resident_bytes = resident_bytes()};
}

double descriptors_used() {
  const std::uint64_t max = files_max();
  if (max == 0) return 0;
  return std::clamp(static_cast<double>(open_files(false).open) / static_cast<double>(max), 0.0,
                    1.0);
}

std::uint64_t resident_bytes() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"),
                                                             std::fclose);
  unsigned long size = 0;
  unsigned long resident = 0;
  if (file == nullptr || std::fscanf(file.get(), "%lu %lu", &size, &resident) != 2) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace qudag::node
