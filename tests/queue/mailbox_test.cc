#include "queue/mailbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace qudag::queue {
namespace {

TEST(Mailbox, IsFifoAndBounded) {
  Mailbox<std::unique_ptr<int>> box(3);  // rounded up to 4
  EXPECT_EQ(box.items_max(), 4u);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_NE(box.push(std::make_unique<int>(i)), Pushed::full);
    }
    auto extra = std::make_unique<int>(99);
    EXPECT_EQ(box.push(std::move(extra)), Pushed::full);
    EXPECT_NE(extra, nullptr) << "a refused item stays with the pusher";
    EXPECT_EQ(box.depth(), 4u);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(**box.pop(), i);
    EXPECT_FALSE(box.pop());
  }
  EXPECT_EQ(box.refused(), 5u);
}

TEST(Mailbox, RingsOncePerDrain) {
  Mailbox<int> box(8);
  EXPECT_EQ(box.push(1), Pushed::wake);
  EXPECT_EQ(box.push(2), Pushed::queued);
  box.begin_drain();
  EXPECT_EQ(*box.pop(), 1);
  EXPECT_EQ(box.push(3), Pushed::wake) << "pushed during a drain: ring, the drain may be over";
  EXPECT_EQ(*box.pop(), 2);
  EXPECT_EQ(*box.pop(), 3);
}

TEST(Mailbox, CloseKeepsWhatWasAcceptedAndRefusesTheRest) {
  Mailbox<std::unique_ptr<int>> box(8);
  box.push(std::make_unique<int>(1));
  EXPECT_FALSE(box.drained());
  box.close();
  auto late = std::make_unique<int>(2);
  EXPECT_EQ(box.push(std::move(late)), Pushed::closed);
  EXPECT_NE(late, nullptr);
  EXPECT_FALSE(box.drained());
  EXPECT_EQ(**box.pop(), 1);
  EXPECT_TRUE(box.drained());
}

TEST(Mailbox, ItemsLeftInsideEndWithIt) {
  auto shared = std::make_shared<int>(1);
  {
    Mailbox<std::shared_ptr<int>> box(4);
    box.push(std::shared_ptr<int>(shared));
    EXPECT_EQ(shared.use_count(), 2);
    box.push(std::shared_ptr<int>(shared));
    box.pop();
    EXPECT_EQ(shared.use_count(), 2) << "taking an item leaves no copy in its slot";
  }
  EXPECT_EQ(shared.use_count(), 1);
}

// Four producers, one consumer that sleeps unless it was rung: a lost wake would hang this test,
// and a lost, doubled or reordered item fails it.
TEST(Mailbox, ManyProducersOneConsumerThatSleeps) {
  constexpr std::uint32_t kProducers = 4, kEach = 20'000;
  Mailbox<std::uint64_t> box(64);
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
    box.begin_drain();
    while (const auto item = box.pop()) {
      const auto producer = static_cast<std::size_t>(*item >> 32);
      ASSERT_EQ(static_cast<std::uint32_t>(*item), next[producer]++);
      ++total;
    }
  }
  for (auto& thread : producers) thread.join();
  EXPECT_FALSE(box.pop());
}

TEST(Mailbox, CloseAgainstProducersLosesNothingThatWasAccepted) {
  for (int round = 0; round < 100; ++round) {
    Mailbox<int> box(1024);
    std::atomic<std::uint64_t> accepted{0};
    const auto produce = [&] {
      for (int i = 0; i < 200; ++i) {
        const Pushed pushed = box.push(1);
        if (pushed == Pushed::closed) return;
        if (pushed != Pushed::full) accepted.fetch_add(1);
      }
    };
    std::thread a(produce), b(produce);
    std::uint64_t taken = 0;
    for (int i = 0; i < 50; ++i) taken += box.pop() ? 1 : 0;
    box.close();
    while (!box.drained()) taken += box.pop() ? 1 : 0;
    a.join();
    b.join();
    EXPECT_EQ(taken, accepted.load());
  }
}

}  // namespace
}  // namespace qudag::queue
