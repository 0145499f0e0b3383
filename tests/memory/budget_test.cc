#include "memory/budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace qudag::memory {
namespace {

TEST(Budget, ReservationCountsUpToTheRoot) {
  Budget root("node", 100);
  Budget links("links", 80, &root);
  Budget one("link", 50, &links);
  Reservation r = Reservation::take(one, 30);
  ASSERT_TRUE(r);
  EXPECT_EQ(one.used(), 30u);
  EXPECT_EQ(links.used(), 30u);
  EXPECT_EQ(root.used(), 30u);
  r.reset();
  EXPECT_EQ(root.used() + links.used() + one.used(), 0u);
  EXPECT_EQ(root.peak(), 30u);
}

TEST(Budget, RefusalAnywhereChangesNothing) {
  Budget root("node", 100);
  Budget a("a", 90, &root);
  Budget b("b", 90, &root);
  const Reservation held = Reservation::take(a, 60);
  ASSERT_TRUE(held);
  EXPECT_FALSE(Reservation::take(b, 50)) << "the root has no room";
  EXPECT_EQ(b.used(), 0u);
  EXPECT_EQ(root.used(), 60u);
  EXPECT_EQ(root.refused(), 1u);
  EXPECT_EQ(b.refused(), 1u) << "counted for who asked, and where the room is missing";
  EXPECT_TRUE(Reservation::take(b, 40));
  EXPECT_FALSE(Reservation::take(a, 31)) << "the leaf has no room";
  EXPECT_EQ(a.refused(), 1u);
  EXPECT_EQ(root.used(), 60u);
}

TEST(Budget, HugeAmountsDoNotWrapAround) {
  Budget root("node", 100);
  const Reservation held = Reservation::take(root, 60);
  EXPECT_FALSE(Reservation::take(root, UINT64_MAX));
  EXPECT_FALSE(Reservation::take(root, UINT64_MAX - 59));
  EXPECT_EQ(root.used(), 60u);
  Budget all("all", UINT64_MAX);
  const Reservation most = Reservation::take(all, UINT64_MAX - 1);
  EXPECT_FALSE(Reservation::take(all, 2));
  EXPECT_TRUE(Reservation::take(all, 1));
}

TEST(Reservation, GrowsShrinksAndMoves) {
  Budget root("node", 100);
  Reservation r = Reservation::take(root, 10);
  EXPECT_TRUE(r.grow(50));
  EXPECT_FALSE(r.grow(41));
  EXPECT_EQ(r.bytes(), 60u);
  r.shrink(20);
  EXPECT_EQ(root.used(), 40u);
  Reservation moved = std::move(r);
  EXPECT_FALSE(r);  // NOLINT
  EXPECT_FALSE(r.grow(1));
  EXPECT_EQ(root.used(), 40u);
  Reservation other = Reservation::take(root, 5);
  other = std::move(moved);
  EXPECT_EQ(root.used(), 40u);
  EXPECT_EQ(other.bytes(), 40u);
  EXPECT_DEATH(other.shrink(41), "assertion failed");
}

TEST(Budget, EndingWithSomethingReservedIsADefect) {
  EXPECT_DEATH(
      {
        Budget root("node", 100);
        EXPECT_TRUE(root.reserve(1));
      },
      "assertion failed");
}

TEST(Budget, ThreadsNeverPassTheBoundTogether) {
  Budget root("node", 1000);
  Budget a("a", 800, &root), b("b", 800, &root);
  const auto work = [&root](Budget& mine) {
    for (int i = 0; i < 5000; ++i) {
      Reservation r = Reservation::take(mine, 300);
      if (r && !r.grow(100)) r.shrink(50);
      EXPECT_LE(root.used(), 1000u);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back(work, std::ref(a));
    threads.emplace_back(work, std::ref(b));
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(root.used(), 0u);
  EXPECT_EQ(a.used() + b.used(), 0u);
  EXPECT_LE(root.peak(), 1000u);
}

TEST(Allowance, HandsOutInStepsAndKeepsNothingOnceTrimmed) {
  Budget budget("node", 1'000'000);
  Allowance allowance(&budget);
  std::vector<Reservation> held;
  for (int i = 0; i < 100; ++i) {
    held.push_back(allowance.hand_out(100));
    ASSERT_TRUE(held.back());
  }
  EXPECT_EQ(budget.used(), Allowance::kStepBytes);
  allowance.trim();
  EXPECT_EQ(budget.used(), 10'000u);
  for (Reservation& reservation : held) allowance.take_back(std::move(reservation));
  EXPECT_EQ(budget.used(), 10'000u);
  allowance.trim();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(Allowance, ReachesTheBoundExactly) {
  Budget budget("node", 1'000);
  Allowance allowance(&budget);
  Reservation first = allowance.hand_out(900);  // a step is more than there is
  ASSERT_TRUE(first);
  EXPECT_EQ(budget.used(), 900u);
  EXPECT_FALSE(allowance.hand_out(101));
  EXPECT_TRUE(allowance.hand_out(100));
}

TEST(Allowance, ReservationsMayEndElsewhere) {
  Budget budget("node", 1'000'000);
  Allowance allowance(&budget);
  Reservation out = allowance.hand_out(500);
  allowance.trim();
  out.reset();
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace qudag::memory
