#include "node/process/usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace qudag::node {

double descriptors_used() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur == 0) {
    return 0;
  }
  // Not by std::filesystem, which allocates for every entry.
  DIR* const files = opendir("/proc/self/fd");
  if (files == nullptr) return 0;
  double open = -3;  // ".", ".." and the directory itself
  while (readdir(files) != nullptr) ++open;
  closedir(files);
  return std::clamp(open / static_cast<double>(limit.rlim_cur), 0.0, 1.0);
}

std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long size = 0;
  unsigned long resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &size, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace qudag::node
