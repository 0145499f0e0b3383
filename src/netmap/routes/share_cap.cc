// Who is cut has exactly the height h, so with k of n cut and r the sum of the others' chances:
// h = share_max / n * (k * h + r). The fewest that must be cut are.
#include "netmap/routes/share_cap.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace qudag::netmap {

double chance_cap(std::vector<double> chances, double share_max) {
  if (chances.empty()) return 1;
  std::ranges::sort(chances, std::greater<>());
  double rest = std::accumulate(chances.begin(), chances.end(), 0.0);
  const auto all = static_cast<double>(chances.size());
  double cut = 0;
  for (const double chance : chances) {
    const double height = share_max * rest / (all - share_max * cut);
    if (height >= chance) return cut == 0 ? chance : height;
    rest -= chance;
    ++cut;
    if (all - share_max * cut <= 0) return chance;
  }
  return chances.back();
}

}  // namespace qudag::netmap
