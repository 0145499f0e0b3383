#include "queue/mailbox.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace qudag::queue {
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

TEST(Mailbox, OneWakeForEachBatch) {
  Mailbox<int> box("test", 8);
  EXPECT_EQ(box.push(1), Pushed::wake);
  EXPECT_EQ(box.push(2), Pushed::queued);
  std::vector<int> seen;
  box.drain([&](int&& item) {
    seen.push_back(item);
    if (item == 1) {
      EXPECT_EQ(box.push(3), Pushed::wake) << "pushed during a drain: for the next";
      EXPECT_EQ(box.push(4), Pushed::queued);
    }
  });
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
  EXPECT_EQ(drained(box), (std::vector<int>{3, 4}));
  EXPECT_EQ(drained(box), std::vector<int>{});
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
  EXPECT_EQ(report.waited_max, std::chrono::milliseconds(3));
  EXPECT_GT(report.bytes_max, 4 * sizeof(int));
}

// Four producers, one consumer that sleeps unless it was woken: a lost wake would hang this test,
// and a lost, doubled or reordered item fails it.
TEST(Mailbox, ManyProducersOneConsumerThatSleeps) {
  constexpr std::uint32_t kProducers = 4, kEach = 20'000;
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
    bell.acquire();
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
}  // namespace qudag::queue
