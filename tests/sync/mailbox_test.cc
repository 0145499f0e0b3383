#include "sync/mailbox.h"

#include <gtest/gtest.h>

#include <array>
#include <barrier>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace qudag::sync {
namespace {

template <class T>
std::vector<T> drained(Mailbox<T>& box) {
  std::vector<T> out;
  const std::size_t n = box.drain([&](T&& item) { out.push_back(std::move(item)); });
  EXPECT_EQ(n, out.size());
  return out;
}

TEST(Mailbox, IsFifoAndBounded) {
  Mailbox<std::unique_ptr<int>> box("test", 3);
  EXPECT_EQ(box.items_max(), 3u);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_NE(box.push(std::make_unique<int>(i)), Pushed::full);
    }
    auto extra = std::make_unique<int>(99);
    EXPECT_EQ(box.push(std::move(extra)), Pushed::full);
    EXPECT_NE(extra, nullptr) << "a refused item stays with the pusher";
    EXPECT_EQ(box.depth(), 3u);
    const auto items = drained(box);
    ASSERT_EQ(items.size(), 3u);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(*items[static_cast<std::size_t>(i)], i);
    EXPECT_EQ(box.depth(), 0u);
  }
  EXPECT_EQ(box.refused(), 5u);
}

TEST(Mailbox, OneWakeForEachSleep) {
  Mailbox<int> box("test", 8);
  EXPECT_EQ(box.push(1), Pushed::wake) << "it begins asleep";
  EXPECT_EQ(box.push(2), Pushed::queued);
  EXPECT_FALSE(box.sleep()) << "there is something to do";
  std::vector<int> seen;
  box.drain([&](int&& item) {
    seen.push_back(item);
    if (item == 1) {
      EXPECT_EQ(box.push(3), Pushed::queued) << "for the next drain";
    }
  });
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
  EXPECT_FALSE(box.sleep());
  EXPECT_EQ(drained(box), (std::vector<int>{3}));
  EXPECT_EQ(box.push(4), Pushed::queued) << "the consumer has not gone to sleep";
  EXPECT_EQ(drained(box), (std::vector<int>{4}));
  EXPECT_TRUE(box.sleep());
  EXPECT_TRUE(box.sleep());
  EXPECT_EQ(drained(box), std::vector<int>{});
  EXPECT_EQ(box.push(5), Pushed::wake);
  EXPECT_EQ(box.push(6), Pushed::queued);
  EXPECT_EQ(drained(box), (std::vector<int>{5, 6}));
}

/// More producers at a time than there are threads: some share a lane.
TEST(Mailbox, MoreThreadsThanSeats) {
  constexpr std::size_t kThreads = memory::kThreadIndices + 8;
  constexpr std::uint64_t kEach = 50;
  Mailbox<std::uint64_t> box("test", kThreads * kEach);
  std::barrier together(static_cast<std::ptrdiff_t>(kThreads));
  std::vector<std::thread> producers;
  for (std::size_t p = 0; p < kThreads; ++p) {
    producers.emplace_back([&, p] {
      (void)memory::thread_index();
      together.arrive_and_wait();
      for (std::uint64_t i = 0; i < kEach; ++i) {
        EXPECT_LE(box.push(std::uint64_t{p} << 32 | i), Pushed::wake);
      }
    });
  }
  for (auto& thread : producers) thread.join();
  std::array<std::uint32_t, kThreads> next{};
  EXPECT_EQ(box.drain([&](std::uint64_t&& item) {
    EXPECT_EQ(static_cast<std::uint32_t>(item), next[item >> 32]++);
  }),
            kThreads * kEach);
}

/// A lane outlives its thread: the next one goes on in it, and blocks that wait are not lost.
TEST(Mailbox, ThreadsComeAndGo) {
  Mailbox<int> box("test", 4'096);
  for (int i = 0; i < 1'000; ++i) {
    std::thread([&] { EXPECT_LE(box.push(int{i}), Pushed::wake); }).join();
  }
  EXPECT_EQ(box.depth(), 1'000u);
  EXPECT_EQ(drained(box).size(), 1'000u);
}

TEST(Mailbox, CloseKeepsWhatWasAcceptedAndRefusesTheRest) {
  Mailbox<std::unique_ptr<int>> box("test", 2);
  box.push(std::make_unique<int>(1));
  EXPECT_FALSE(box.closed());
  box.close();
  auto late = std::make_unique<int>(2);
  EXPECT_EQ(box.push(std::move(late)), Pushed::closed);
  EXPECT_NE(late, nullptr);
  EXPECT_EQ(drained(box).size(), 1u);
  EXPECT_EQ(box.push(std::move(late)), Pushed::closed);
  EXPECT_EQ(box.depth(), 0u);
}

TEST(Mailbox, ItemsLeftInsideEndWithIt) {
  auto shared = std::make_shared<int>(1);
  {
    Mailbox<std::shared_ptr<int>> box("test", 4);
    box.push(std::shared_ptr<int>(shared));
    drained(box);
    EXPECT_EQ(shared.use_count(), 1) << "taking an item leaves no copy in its slot";
    box.push(std::shared_ptr<int>(shared));
    EXPECT_EQ(shared.use_count(), 2);
  }
  EXPECT_EQ(shared.use_count(), 1);
}

TEST(Mailbox, ReportsItsBoundAndItsBooks) {
  Mailbox<int> box("test", 4);
  for (int i = 0; i < 6; ++i) box.push(int{i});
  box.drain([](int&&) {});
  box.record_wait(std::chrono::milliseconds(3), 4);
  box.push(7);
  const Bounded report = box.report();
  EXPECT_EQ(report.name, "test");
  EXPECT_EQ(report.items, 1u);
  EXPECT_EQ(report.items_max, 4u);
  EXPECT_EQ(report.entered, 5u);
  EXPECT_EQ(report.left, 4u);
  EXPECT_EQ(report.drops[static_cast<std::size_t>(DropReason::items_full)], 2u);
  EXPECT_EQ(report.waited.max(), std::chrono::milliseconds(3));
  EXPECT_EQ(report.bytes_max, 4 * sizeof(int));
}

// Four producers, one consumer that sleeps unless it was woken: a lost wake would hang this test,
// and a lost, doubled or reordered item fails it.
TEST(Mailbox, ManyProducersOneConsumerThatSleeps) {
  constexpr std::uint32_t kProducers = 4, kEach = 5'000;
  Mailbox<std::uint64_t> box("test", 64);
  std::counting_semaphore<> bell(0);
  std::vector<std::thread> producers;
  for (std::uint32_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (std::uint32_t i = 0; i < kEach;) {
        const Pushed pushed = box.push((std::uint64_t{p} << 32) | i);
        if (pushed == Pushed::wake) bell.release();
        if (pushed == Pushed::full) {
          std::this_thread::yield();
        } else {
          ++i;
        }
      }
    });
  }
  std::array<std::uint32_t, kProducers> next{};
  std::uint64_t total = 0;
  while (total < std::uint64_t{kProducers} * kEach) {
    if (box.sleep()) bell.acquire();
    total += box.drain([&](std::uint64_t&& item) {
      const auto producer = static_cast<std::size_t>(item >> 32);
      ASSERT_EQ(static_cast<std::uint32_t>(item), next[producer]++);
    });
  }
  for (auto& thread : producers) thread.join();
  EXPECT_EQ(box.depth(), 0u);
  EXPECT_EQ(box.drain([](std::uint64_t&&) {}), 0u);
}

TEST(Mailbox, CloseAgainstProducersLosesNothingThatWasAccepted) {
  for (int round = 0; round < 100; ++round) {
    Mailbox<int> box("test", 1024);
    std::atomic<std::uint64_t> accepted{0};
    const auto produce = [&] {
      for (int i = 0; i < 200; ++i) {
        const Pushed pushed = box.push(1);
        if (pushed == Pushed::closed) return;
        if (pushed != Pushed::full) accepted.fetch_add(1);
      }
    };
    std::thread a(produce), b(produce);
    std::uint64_t taken = box.drain([](int&&) {});
    box.close();
    taken += box.drain([](int&&) {});
    const std::uint64_t after_close = box.drain([](int&&) {});
    a.join();
    b.join();
    EXPECT_EQ(after_close, 0u) << "all that was accepted before the close is there at once";
    EXPECT_EQ(taken, accepted.load());
  }
}

}  // namespace
}  // namespace qudag::sync
