// What M1 promises, counted: a million operations on each queue, and nothing from the allocator.
#include "support/allocation_count.h"
#include "sync/fair_lines.h"
#include "sync/mailbox.h"
#include "sync/queue.h"

#include <gtest/gtest.h>

namespace qudag::sync {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kOperations = 1'000'000;

TEST(Allocations, NoneInAMillionOperationsOfAQueue) {
  std::uint64_t dropped = 0;
  Queue<std::uint64_t> queue("test", {10'000, 1'000'000, 1min, WhenFull::drop_expired},
                             [&](std::uint64_t&&) { ++dropped; });
  TimePoint now{};
  std::uint64_t popped = 0;
  const std::uint64_t before = test::allocations();
  for (std::uint64_t i = 0; i < kOperations; ++i) {
    now += 1us;
    // Three pushes for two pops, so that it fills up and drops; some by their time.
    if (i % 5 < 3) {
      queue.push(std::uint64_t{i}, 100, now, now + (i % 7 == 0 ? 1ms : 30s));
    } else {
      popped += queue.pop(now) ? 1 : 0;
    }
    if (i % 1'000 == 0) queue.expire(now);
  }
  EXPECT_EQ(test::allocations(), before);
  EXPECT_GT(popped, 0u);
  EXPECT_GT(dropped, 0u);
}

TEST(Allocations, NoneInAMillionOperationsOfAMailbox) {
  Mailbox<std::uint64_t> box("test", 1'000);
  std::uint64_t taken = 0;
  const std::uint64_t before = test::allocations();
  for (std::uint64_t i = 0; i < kOperations; ++i) {
    box.push(std::uint64_t{i});
    if (i % 700 == 0) taken += box.drain([](std::uint64_t&&) {});
  }
  EXPECT_EQ(test::allocations(), before);
  EXPECT_GT(taken, kOperations - 1'000);
}

TEST(Allocations, NoneInAMillionOperationsOfFairLines) {
  constexpr std::size_t kPlaces = 2'048;
  FairLines<std::uint64_t> lines(kPlaces);
  std::uint64_t taken = 0;
  const std::uint64_t before = test::allocations();
  for (std::uint64_t i = 0; i < kOperations; ++i) {
    const std::uint64_t key = i * 7 % 300;  // lines come and go
    if (lines.size() == kPlaces) static_cast<void>(lines.drop_first(lines.longest(key)));
    lines.push(key, i);
    if (i % 3 != 0) taken += lines.pop() ? 1 : 0;
    if (i % 1'000 == 0) lines.forget(key);
  }
  EXPECT_EQ(test::allocations(), before);
  EXPECT_GT(taken, kOperations / 2);
}

}  // namespace
}  // namespace qudag::sync
