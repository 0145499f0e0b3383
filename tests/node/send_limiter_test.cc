#include "node/send_limiter.h"

#include "memory/bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace qudag::node {
namespace {

using namespace std::chrono_literals;

constexpr auto kLong = 60s;  // a test that waits so long has failed

TEST(SendLimiter, PausesAtTheLimitAndGoesOnAtHalfOfIt) {
  SendLimiter limiter({1, 10, 1});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.enter(Priority::normal));
  EXPECT_FALSE(limiter.paused(Priority::normal));
  EXPECT_FALSE(limiter.enter(Priority::normal));
  EXPECT_TRUE(limiter.paused(Priority::normal));
  EXPECT_EQ(limiter.under_way(Priority::normal), 10u);
  EXPECT_FALSE(limiter.leave(Priority::normal, 4));  // 6 are left
  EXPECT_TRUE(limiter.paused(Priority::normal));
  EXPECT_TRUE(limiter.leave(Priority::normal, 1));
  EXPECT_FALSE(limiter.paused(Priority::normal));
  EXPECT_FALSE(limiter.leave(Priority::normal, 5));
  EXPECT_EQ(limiter.pauses(), (SendLimiter::ByPriority{0, 1, 0}));
}

TEST(SendLimiter, BytesOfAPriorityHaveAWindowAndALargeMessageEntersAlone) {
  SendLimiter::Windows windows{.bytes_max = {1'000, 1'000, 1'000}, .limiters = {}};
  SendLimiter limiter({10, 10, 10}, &windows);
  windows.limiters = {&limiter};
  EXPECT_TRUE(limiter.enter(Priority::low, 600));
  EXPECT_FALSE(limiter.enter(Priority::low, 401));
  EXPECT_TRUE(limiter.paused(Priority::low));
  EXPECT_TRUE(limiter.enter(Priority::low, 400)) << "there may be room for a smaller one";
  EXPECT_TRUE(limiter.enter(Priority::normal, 1'000)) << "low takes nothing of normal's";
  EXPECT_EQ(limiter.bytes_under_way(Priority::low), 1'000u);
  EXPECT_FALSE(limiter.leave(Priority::low, 1, 400));
  EXPECT_TRUE(limiter.leave(Priority::low, 1, 600));
  EXPECT_EQ(limiter.bytes_under_way(Priority::low), 0u);
  EXPECT_TRUE(limiter.enter(Priority::low, 5'000)) << "larger than the window";
  EXPECT_FALSE(limiter.enter(Priority::low, 1));
  EXPECT_TRUE(limiter.leave(Priority::low, 1, 5'000));
}

TEST(SendLimiter, GatesOfANodeLendEachOtherWhatTheyDoNotUse) {
  SendLimiter::Windows windows{.bytes_max = {1'000, 1'000, 1'000}, .limiters = {}};
  SendLimiter busy({99, 99, 99}, &windows), idle({99, 99, 99}, &windows);
  windows.limiters = {&busy, &idle};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(busy.enter(Priority::normal, 100));
  EXPECT_FALSE(busy.enter(Priority::normal, 100)) << "the whole window, and no more";
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(idle.enter(Priority::normal, 100)) << "its own half";
  EXPECT_FALSE(idle.enter(Priority::normal, 100));
}

TEST(SendLimiter, MessagesOfABusyShardMayBeNearlyAllOfTheNodes) {
  SendLimiter::Windows windows{.bytes_max = {1'000, 1'000, 1'000}, .limiters = {}};
  SendLimiter busy({100, 100, 100}, &windows), idle({100, 100, 100}, &windows);
  windows.limiters = {&busy, &idle};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(idle.enter(Priority::high));
  int entered = 0;
  while (busy.enter(Priority::high)) ++entered;
  EXPECT_EQ(entered, 90) << "all that the other one does not use";
  EXPECT_TRUE(idle.enter(Priority::high)) << "which has its half for itself";
}

TEST(SendLimiter, WindowsLeaveMemoryCalmAndRoomForTheRest) {
  for (const std::uint64_t mebi : {32u, 64u, 512u, 4'096u}) {
    Limits limits;
    limits.memory = mebi << 20;
    const std::uint64_t process = std::uint64_t{14} << 20;
    const auto windows = send_windows(limits, process);
    const std::uint64_t all = windows[1] + windows[2];
    EXPECT_GE(all, std::min(limits.memory / 8, limits.queue_low_bytes)) << mebi;
    EXPECT_GE(windows[1], all / 4);
    EXPECT_GE(windows[2], all / 4);
    if (mebi < 64) continue;  // with so little, an eighth is more than would be calm
    EXPECT_LT(static_cast<double>(all + process + memory::Bound::reserved_bytes(limits.memory)),
              0.70 * static_cast<double>(limits.memory))
        << mebi;
  }
}

TEST(SendLimiter, WhoDoesNotWaitMayTryWhilePaused) {
  SendLimiter limiter({1, 2, 1});
  ASSERT_TRUE(limiter.enter(Priority::normal));
  ASSERT_TRUE(limiter.enter(Priority::normal));
  EXPECT_FALSE(limiter.enter(Priority::normal));
  EXPECT_FALSE(limiter.enter(Priority::normal));
  EXPECT_EQ(limiter.pauses()[1], 1u);  // one pause, however many knock
  EXPECT_TRUE(limiter.leave(Priority::normal, 1));
  EXPECT_TRUE(limiter.enter(Priority::normal));
}

TEST(SendLimiter, ARefusalFurtherOnPausesToo) {
  SendLimiter limiter({10, 10, 10});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(limiter.enter(Priority::low));
  EXPECT_FALSE(limiter.leave(Priority::low, 1));
  limiter.pause(Priority::low);
  EXPECT_EQ(limiter.under_way(Priority::low), 3u);
  EXPECT_TRUE(limiter.paused(Priority::low));
  EXPECT_FALSE(limiter.paused(Priority::high));
  EXPECT_FALSE(limiter.leave(Priority::low, 1));
  EXPECT_TRUE(limiter.leave(Priority::low, 1));
}

TEST(SendLimiter, IsNotPausedWhenNothingIsUnderWayThatCouldEndIt) {
  SendLimiter limiter({10, 10, 10});
  ASSERT_TRUE(limiter.enter(Priority::low));
  EXPECT_FALSE(limiter.leave(Priority::low, 1));
  limiter.pause(Priority::low);
  EXPECT_FALSE(limiter.paused(Priority::low));
  EXPECT_EQ(limiter.pauses()[2], 0u);
}

TEST(SendLimiter, WaitEndsByRoomByTimeAndByClosing) {
  SendLimiter limiter({1, 1, 1});
  EXPECT_EQ(limiter.wait(Priority::high, SendLimiter::Clock::now()), SendLimiter::Waited::room);
  ASSERT_TRUE(limiter.enter(Priority::high));
  ASSERT_FALSE(limiter.enter(Priority::high));
  EXPECT_EQ(limiter.wait(Priority::high, SendLimiter::Clock::now()), SendLimiter::Waited::too_long);
  std::thread shard([&] { EXPECT_TRUE(limiter.leave(Priority::high, 1)); });
  EXPECT_EQ(limiter.wait(Priority::high, SendLimiter::Clock::now() + kLong),
            SendLimiter::Waited::room);
  shard.join();
  ASSERT_TRUE(limiter.enter(Priority::high));
  ASSERT_FALSE(limiter.enter(Priority::high));
  limiter.close();
  EXPECT_EQ(limiter.wait(Priority::high, SendLimiter::Clock::now() + kLong),
            SendLimiter::Waited::closed);
}

// No wake-up is lost: all senders get everything through a limiter of three, whatever the order.
TEST(SendLimiter, SendersWhoWaitAllGetThrough) {
  constexpr std::uint64_t kSenders = 4;
  constexpr std::uint64_t kEach = 2'000;
  SendLimiter limiter({1, 3, 1});
  std::atomic<std::uint64_t> entered{0};
  std::vector<std::thread> senders;
  for (std::uint64_t i = 0; i < kSenders; ++i) {
    senders.emplace_back([&] {
      for (std::uint64_t n = 0; n < kEach;) {
        if (limiter.enter(Priority::normal)) {
          ++n;
          ++entered;
        } else if (limiter.wait(Priority::normal, SendLimiter::Clock::now() + kLong) !=
                   SendLimiter::Waited::room) {
          return;
        }
      }
    });
  }
  for (std::uint64_t ended = 0; ended < kSenders * kEach;) {
    const std::uint64_t now = entered.load() - ended;
    if (now == 0) {
      std::this_thread::yield();
      continue;
    }
    (void)limiter.leave(Priority::normal, now);
    ended += now;
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(entered.load(), kSenders * kEach);
  EXPECT_EQ(limiter.under_way(Priority::normal), 0u);
}

}  // namespace
}  // namespace qudag::node
