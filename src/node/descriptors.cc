#include "node/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace qudag::node {

double descriptors_used() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur == 0) {
    return 0;
  }
  std::error_code failed;
  std::filesystem::directory_iterator at("/proc/self/fd", failed);
  if (failed) return 0;
  double open = -1;  // the directory itself is one of them
  for (const std::filesystem::directory_iterator end; at != end; at.increment(failed)) {
    ++open;
    if (failed) break;
  }
  return std::clamp(open / static_cast<double>(limit.rlim_cur), 0.0, 1.0);
}

}  // namespace qudag::node
