#include "node/gate.h"

#include "memory/bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace qudag::node {
namespace {

using namespace std::chrono_literals;

constexpr auto kLong = 60s;  // a test that waits so long has failed

TEST(Gate, PausesAtTheLimitAndGoesOnAtHalfOfIt) {
  Gate gate({1, 10, 1});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(gate.enter(Class::normal));
  EXPECT_FALSE(gate.paused(Class::normal));
  EXPECT_FALSE(gate.enter(Class::normal));
  EXPECT_TRUE(gate.paused(Class::normal));
  EXPECT_EQ(gate.under_way(Class::normal), 10u);
  EXPECT_FALSE(gate.leave(Class::normal, 4));  // 6 are left
  EXPECT_TRUE(gate.paused(Class::normal));
  EXPECT_TRUE(gate.leave(Class::normal, 1));
  EXPECT_FALSE(gate.paused(Class::normal));
  EXPECT_FALSE(gate.leave(Class::normal, 5));
  EXPECT_EQ(gate.pauses(), (Gate::ByClass{0, 1, 0}));
}

TEST(Gate, BytesOfAClassHaveAWindowAndALargeMessageEntersAlone) {
  Gate::Windows windows{.bytes_max = {1'000, 1'000, 1'000}, .gates = {}};
  Gate gate({10, 10, 10}, &windows);
  windows.gates = {&gate};
  EXPECT_TRUE(gate.enter(Class::low, 600));
  EXPECT_FALSE(gate.enter(Class::low, 401));
  EXPECT_TRUE(gate.paused(Class::low));
  EXPECT_TRUE(gate.enter(Class::low, 400)) << "there may be room for a smaller one";
  EXPECT_TRUE(gate.enter(Class::normal, 1'000)) << "low takes nothing of normal's";
  EXPECT_EQ(gate.bytes_under_way(Class::low), 1'000u);
  EXPECT_FALSE(gate.leave(Class::low, 1, 400));
  EXPECT_TRUE(gate.leave(Class::low, 1, 600));
  EXPECT_EQ(gate.bytes_under_way(Class::low), 0u);
  EXPECT_TRUE(gate.enter(Class::low, 5'000)) << "larger than the window";
  EXPECT_FALSE(gate.enter(Class::low, 1));
  EXPECT_TRUE(gate.leave(Class::low, 1, 5'000));
}

TEST(Gate, GatesOfANodeLendEachOtherWhatTheyDoNotUse) {
  Gate::Windows windows{.bytes_max = {1'000, 1'000, 1'000}, .gates = {}};
  Gate busy({99, 99, 99}, &windows), idle({99, 99, 99}, &windows);
  windows.gates = {&busy, &idle};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(busy.enter(Class::normal, 100));
  EXPECT_FALSE(busy.enter(Class::normal, 100)) << "the whole window, and no more";
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(idle.enter(Class::normal, 100)) << "its own half";
  EXPECT_FALSE(idle.enter(Class::normal, 100));
}

TEST(Gate, WindowsLeaveMemoryCalmAndRoomForTheRest) {
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

TEST(Gate, WhoDoesNotWaitMayTryWhilePaused) {
  Gate gate({1, 2, 1});
  ASSERT_TRUE(gate.enter(Class::normal));
  ASSERT_TRUE(gate.enter(Class::normal));
  EXPECT_FALSE(gate.enter(Class::normal));
  EXPECT_FALSE(gate.enter(Class::normal));
  EXPECT_EQ(gate.pauses()[1], 1u);  // one pause, however many knock
  EXPECT_TRUE(gate.leave(Class::normal, 1));
  EXPECT_TRUE(gate.enter(Class::normal));
}

TEST(Gate, ARefusalFurtherOnPausesToo) {
  Gate gate({10, 10, 10});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(gate.enter(Class::low));
  EXPECT_FALSE(gate.leave(Class::low, 1));
  gate.pause(Class::low);
  EXPECT_EQ(gate.under_way(Class::low), 3u);
  EXPECT_TRUE(gate.paused(Class::low));
  EXPECT_FALSE(gate.paused(Class::high));
  EXPECT_FALSE(gate.leave(Class::low, 1));
  EXPECT_TRUE(gate.leave(Class::low, 1));
}

TEST(Gate, IsNotPausedWhenNothingIsUnderWayThatCouldEndIt) {
  Gate gate({10, 10, 10});
  ASSERT_TRUE(gate.enter(Class::low));
  EXPECT_FALSE(gate.leave(Class::low, 1));
  gate.pause(Class::low);
  EXPECT_FALSE(gate.paused(Class::low));
  EXPECT_EQ(gate.pauses()[2], 0u);
}

TEST(Gate, WaitEndsByRoomByTimeAndByClosing) {
  Gate gate({1, 1, 1});
  EXPECT_EQ(gate.wait(Class::high, Gate::Clock::now()), Gate::Waited::room);
  ASSERT_TRUE(gate.enter(Class::high));
  ASSERT_FALSE(gate.enter(Class::high));
  EXPECT_EQ(gate.wait(Class::high, Gate::Clock::now()), Gate::Waited::too_long);
  std::thread shard([&] { EXPECT_TRUE(gate.leave(Class::high, 1)); });
  EXPECT_EQ(gate.wait(Class::high, Gate::Clock::now() + kLong), Gate::Waited::room);
  shard.join();
  ASSERT_TRUE(gate.enter(Class::high));
  ASSERT_FALSE(gate.enter(Class::high));
  gate.close();
  EXPECT_EQ(gate.wait(Class::high, Gate::Clock::now() + kLong), Gate::Waited::closed);
}

// No wake-up is lost: all senders get everything through a gate of three, whatever the order.
TEST(Gate, SendersWhoWaitAllGetThrough) {
  constexpr std::uint64_t kSenders = 4;
  constexpr std::uint64_t kEach = 2'000;
  Gate gate({1, 3, 1});
  std::atomic<std::uint64_t> entered{0};
  std::vector<std::thread> senders;
  for (std::uint64_t i = 0; i < kSenders; ++i) {
    senders.emplace_back([&] {
      for (std::uint64_t n = 0; n < kEach;) {
        if (gate.enter(Class::normal)) {
          ++n;
          ++entered;
        } else if (gate.wait(Class::normal, Gate::Clock::now() + kLong) != Gate::Waited::room) {
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
    (void)gate.leave(Class::normal, now);
    ended += now;
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(entered.load(), kSenders * kEach);
  EXPECT_EQ(gate.under_way(Class::normal), 0u);
}

}  // namespace
}  // namespace qudag::node
