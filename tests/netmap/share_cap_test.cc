// However unequal the chances are, nobody's share is above the bound, and equal ones are left
// alone.
#include "netmap/routes/share_cap.h"

#include "netmap/fixture.h"

#include <algorithm>
#include <cmath>

namespace qudag::netmap {
namespace {

using namespace test;

double largest_share(const std::vector<double>& chances, double cap) {
  double sum = 0;
  double most = 0;
  for (const double chance : chances) {
    sum += std::min(cap, chance);
    most = std::max(most, std::min(cap, chance));
  }
  return most * static_cast<double>(chances.size()) / sum;
}

TEST(ShareCap, HoldsForAnyChances) {
  SeededRng rng(5);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<double> chances(1 + rng.below(60));
    const double spread = 1 + 12 * rng.unit();
    for (double& chance : chances) chance = std::exp2(-spread * rng.unit());
    const double bound = 1.05 + rng.unit();
    const double cap = chance_cap(chances, bound);
    const double highest = *std::ranges::max_element(chances);
    ASSERT_GT(cap, 0);
    ASSERT_LE(cap, highest);
    // No more is cut than must be.
    const double share = largest_share(chances, cap);
    ASSERT_LE(share, bound + 1e-9) << round;
    if (cap < highest) {
      ASSERT_NEAR(share, bound, 1e-6) << round;
    }
  }
}

TEST(ShareCap, LeavesAloneWhatIsWithinIt) {
  EXPECT_EQ(chance_cap({}, 2), 1);
  EXPECT_EQ(chance_cap({0.3}, 1.8), 0.3);
  EXPECT_EQ(chance_cap({1, 1, 1, 1}, 1.8), 1);
  EXPECT_EQ(chance_cap({1, 1, 1, 0.05}, 1.8), 1);
  EXPECT_NEAR(chance_cap({1, 0.05, 0.05, 0.05}, 1.8), 1.8 * 0.15 / 2.2, 1e-12);
}

}  // namespace
}  // namespace qudag::netmap
