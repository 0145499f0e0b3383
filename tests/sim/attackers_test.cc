// Twelve attackers of every kind among honest nodes. Many seeds of fifty nodes:
// `./dev sim 1 --attackers --count 100`.
#include "sim/attackers/attackers.h"

#include <gtest/gtest.h>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

TEST(Attackers, OneSeedGivesOneRun) {
  const AttackersOptions options{.seed = 3,
                                 .relays = 6,
                                 .clients = 2,
                                 .unknown = 1,
                                 .settling = 8s,
                                 .traffic = 5s,
                                 .after = 3s};
  EXPECT_EQ(run_attackers(options).summary(), run_attackers(options).summary());
}

}  // namespace
}  // namespace qudag::testing
