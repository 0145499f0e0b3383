// The queue at two depths, and the mailbox against queues of other libraries on the same work:
// producers that push as fast as they can, one consumer that takes everything, 64-bit items.
// modules: sync
#include "sync/mailbox.h"
#include "sync/queue.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <semaphore>
#include <thread>
#include <vector>

#if __has_include(<boost/lockfree/queue.hpp>)
#include <boost/lockfree/queue.hpp>
#define QUDAG_BENCH_BOOST
#endif
#if __has_include(<concurrentqueue/blockingconcurrentqueue.h>)
#include <concurrentqueue/blockingconcurrentqueue.h>
#define QUDAG_BENCH_MOODYCAMEL
#endif

namespace qudag::sync {
namespace {

using namespace std::chrono_literals;

// ---- one thread ---------------------------------------------------------------------------------

/// One push and one pop with so many items waiting, each with a time to live of its own.
void queue_push_pop(benchmark::State& state) {
  const auto depth = static_cast<std::size_t>(state.range(0));
  const Bounds bounds(depth + 1, (depth + 1) * 1'000, 1h, WhenFull::drop_expired);
  Queue<std::uint64_t> queue("bench", bounds, [](std::uint64_t&&) {});
  TimePoint now(1h);
  std::uint64_t number = 0;
  const auto push = [&] {
    queue.push(std::uint64_t{++number}, 256, now, now + 60s);
    now += 100ns;
  };
  for (std::size_t i = 0; i < depth; ++i) push();
  for (auto _ : state) {
    push();
    benchmark::DoNotOptimize(queue.pop(now));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(queue_push_pop)->Arg(10)->Arg(100'000);

// ---- from thread to thread ----------------------------------------------------------------------
// The work of a shard's entrance: the consumer sleeps while nothing waits, is woken, and takes what
// there is. `Polled` is without the sleep, which is no work for a program that has other things to
// do, but is what ConcurrentQueue alone is made for.

constexpr std::size_t kCapacity = 16'384;
constexpr std::uint64_t kItems = 400'000;  // of all producers together

/// Looks for a moment before it sleeps, as the semaphore of BlockingConcurrentQueue does.
class Bell {
 public:
  /// For queues that do not tell when to wake: only the first push since the consumer looked does.
  void ring() {
    if (!rung_.exchange(true, std::memory_order_acq_rel)) ring_always();
  }
  void ring_always() { semaphore_.release(); }
  void wait() {
    sleep();
    rung_.exchange(false, std::memory_order_acq_rel);
  }
  void sleep() {
    for (int looks = 0; looks < kLooks; ++looks) {
      if (semaphore_.try_acquire()) return;
    }
    acquire();
  }
  void acquire() { semaphore_.acquire(); }
  static constexpr int kLooks = 1'024;

 private:
  std::atomic<bool> rung_{false};
  std::counting_semaphore<> semaphore_{0};
};

struct OurMailbox {
  bool push(std::uint64_t item) {
    const Pushed pushed = box.push(std::move(item));
    if (pushed == Pushed::wake) bell.ring_always();
    return pushed != Pushed::full;
  }
  template <class F>
  std::size_t poll(F&& f) {
    return box.drain(f);
  }
  template <class F>
  std::size_t wait(F&& f) {
    for (int looks = 0; looks < Bell::kLooks; ++looks) {
      if (const std::size_t taken = poll(f); taken > 0) return taken;
    }
    if (box.sleep()) bell.acquire();
    return 0;
  }
  Mailbox<std::uint64_t> box{"bench", kCapacity};
  Bell bell;
};

#ifdef QUDAG_BENCH_BOOST
struct BoostQueue {
  bool push(std::uint64_t item) {
    if (!queue.bounded_push(item)) return false;
    bell.ring();
    return true;
  }
  template <class F>
  std::size_t poll(F&& f) {
    return queue.consume_all(f);
  }
  template <class F>
  std::size_t wait(F&& f) {
    bell.wait();
    return poll(f);
  }
  boost::lockfree::queue<std::uint64_t> queue{kCapacity};
  Bell bell;
};
#endif

#ifdef QUDAG_BENCH_MOODYCAMEL
// It has no bound that could be said exactly; try_enqueue does not allocate.
template <class Queue>
struct Moodycamel {
  bool push(std::uint64_t item) { return queue.try_enqueue(item); }
  template <class F>
  std::size_t poll(F&& f) {
    return give(queue.try_dequeue_bulk(batch, 256), f);
  }
  template <class F>
  std::size_t wait(F&& f) {
    return give(queue.wait_dequeue_bulk(batch, 256), f);
  }
  template <class F>
  std::size_t give(std::size_t n, F&& f) {
    for (std::size_t i = 0; i < n; ++i) f(std::move(batch[i]));
    return n;
  }
  Queue queue{kCapacity, 0, 4};
  std::uint64_t batch[256];
};
using MoodycamelBlocking = Moodycamel<moodycamel::BlockingConcurrentQueue<std::uint64_t>>;
using MoodycamelPolled = Moodycamel<moodycamel::ConcurrentQueue<std::uint64_t>>;
#endif

/// Arguments: producers; steps of work for each item at the consumer (2 ns each, about).
template <class Q, bool kSleeps>
void handed_over(benchmark::State& state) {
  const auto producers = static_cast<std::uint64_t>(state.range(0));
  const auto steps = state.range(1);
  for (auto _ : state) {
    state.PauseTiming();
    Q queue;
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (std::uint64_t p = 0; p < producers; ++p) {
      threads.emplace_back([&] {
        while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
        for (std::uint64_t i = 0; i < kItems / producers; ++i) {
          while (!queue.push(i)) std::this_thread::yield();
        }
      });
    }
    const std::uint64_t all = kItems / producers * producers;
    std::uint64_t taken = 0, sum = 0;
    const auto take = [&](std::uint64_t item) {
      sum += item;
      for (std::int64_t i = 0; i < steps; ++i) sum = sum * 6364136223846793005u + 1;
    };
    state.ResumeTiming();
    go.store(true, std::memory_order_release);
    while (taken < all) {
      if constexpr (kSleeps) {
        taken += queue.wait(take);
      } else {
        taken += queue.poll(take);
      }
    }
    state.PauseTiming();
    benchmark::DoNotOptimize(sum);
    for (std::thread& thread : threads) thread.join();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kItems));
}
#define QUDAG_BENCH(queue, sleeps) \
  BENCHMARK(handed_over<queue, sleeps>)->ArgsProduct({{1, 3}, {0, 50}})->UseRealTime()
QUDAG_BENCH(OurMailbox, true);
QUDAG_BENCH(OurMailbox, false);
#ifdef QUDAG_BENCH_BOOST
QUDAG_BENCH(BoostQueue, true);
QUDAG_BENCH(BoostQueue, false);
#endif
#ifdef QUDAG_BENCH_MOODYCAMEL
QUDAG_BENCH(MoodycamelBlocking, true);
QUDAG_BENCH(MoodycamelPolled, false);
#endif

}  // namespace
}  // namespace qudag::sync
