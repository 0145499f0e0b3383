// Cost of messages alone: two nodes in one thread, joined by a port that passes payloads on at
// once.
//
// modules: message testing
//
// Packed: 256-byte messages, a thousand waiting at a time, until all are acknowledged: both ends'
// work, per message. allocs/msg counts operator new over the timed part.
#include "message/messages.h"
#include "message/port.h"
#include "testing/seeded_rng.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <new>

namespace {
std::atomic<std::uint64_t> allocations{0};
}

// Not inlined: GCC would see malloc and free where it expects new and delete.
[[gnu::noinline]] void* operator new(std::size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(n)) return p;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using namespace qudag;
using namespace std::chrono_literals;

class Node final : public message::Port, public message::Routes, public message::MessageEvents {
 public:
  explicit Node(std::uint64_t seed)
      : budget("bench", std::uint64_t{1} << 30),
        rng(seed),
        messages(message::MessagesOptions{}, static_cast<message::Port&>(*this),
                 static_cast<message::Routes&>(*this), pool, budget, rng, nullptr,
                 static_cast<message::MessageEvents&>(*this)) {}

  Result<circuit::CircuitId> build(std::span<const onion::RouteHop>, Priority priority, Now,
                                   Bytes) override {
    built_priority = priority;
    return kCircuit;
  }
  bool has_left(circuit::CircuitId) const override { return true; }
  std::size_t sendable(circuit::CircuitId) const override { return 128; }
  memory::Block payload_block(Priority priority) override {
    memory::Block block = pool.take(onion::block_size(priority));
    block.append(onion::payload_bytes(priority));
    return block;
  }
  void send(circuit::CircuitId, memory::Block payload, Now) override {
    ++cells;
    wire.push_back(std::move(payload));
  }
  std::size_t failed_hop() const override { return SIZE_MAX; }
  void close(circuit::CircuitId, Now) override { std::abort(); }
  Result<std::vector<onion::RouteHop>> draw(const NodeId& to, unsigned, Now) override {
    return std::vector<onion::RouteHop>{{to, nullptr}};
  }
  void report(std::span<const onion::RouteHop>, bool, std::size_t, Duration, Now) override {}
  message::Taken on_message(message::Received&& m, Now) override {
    benchmark::DoNotOptimize(m.payload.bytes());
    return message::Taken::yes;
  }
  void on_outcome(message::SendId, const Delivery& delivery, Now) override {
    if (delivery.outcome != Outcome::delivered) std::abort();
    ++delivered;
  }
  void on_progress(message::SendId, std::size_t, std::size_t, Now) override {}

  static constexpr circuit::CircuitId kCircuit{1};
  memory::BlockPool pool;
  memory::Budget budget;
  testing::SeededRng rng;
  std::deque<memory::Block> wire;
  std::uint64_t cells = 0, delivered = 0;
  Priority built_priority = Priority::normal;
  message::Messages messages;
};

/// Both nodes until nothing is left to pass on.
void run(Node& from, Node& to, Now now) {
  do {
    from.messages.pump(now);
    while (!from.wire.empty()) {
      memory::Block block = std::move(from.wire.front());
      from.wire.pop_front();
      to.messages.on_payload(Node::kCircuit, std::move(block), now);
    }
    to.messages.pump(now);
    while (!to.wire.empty()) {
      memory::Block block = std::move(to.wire.front());
      to.wire.pop_front();
      from.messages.on_payload(Node::kCircuit, std::move(block), now);
    }
    from.messages.pump(now);
  } while (!from.wire.empty());
}

void deliver(benchmark::State& state, std::size_t bytes, std::size_t batch, Priority priority) {
  Node from(1), to(2);
  Now now{TimePoint(1h), 1'800'000'000};
  const std::vector<std::byte> payload(bytes);
  const auto block = bytes > 2048 ? memory::BlockSize::bulk : memory::BlockSize::cell;
  auto round = [&] {
    for (std::size_t i = 0; i < batch; ++i) {
      memory::Chain chain;
      if (!memory::Chain::copy_in(from.pool, block, payload, chain)) std::abort();
      if (!from.messages.send({}, std::move(chain), {}, {.priority = priority}, now)) std::abort();
    }
    run(from, to, now);
    now.mono += 1us;  // so slowly that the circuit does not grow old
  };
  to.messages.on_incoming(Node::kCircuit, priority, now);
  {
    memory::Chain none;
    if (!from.messages.send({}, std::move(none), {}, {.priority = priority}, now)) std::abort();
    from.messages.pump(now);
    from.messages.on_built(Node::kCircuit, 1ms, now);
    run(from, to, now);
  }
  // The duplicate window fills and its tables grow once; that is no steady state.
  for (std::size_t n = 0; n < (std::size_t{1} << 18) && bytes < 4096; n += batch) round();
  round();

  const std::uint64_t cells = from.cells;
  const std::uint64_t delivered = from.delivered;
  const std::uint64_t before = allocations.load();
  for (auto _ : state) round();
  const auto messages = static_cast<double>(from.delivered - delivered);
  state.SetItemsProcessed(static_cast<std::int64_t>(from.delivered - delivered));
  state.SetBytesProcessed(static_cast<std::int64_t>((from.delivered - delivered) * bytes));
  state.counters["allocs/msg"] = static_cast<double>(allocations.load() - before) / messages;
  state.counters["cells/msg"] = static_cast<double>(from.cells - cells) / messages;
}

void Packed256(benchmark::State& state) { deliver(state, 256, 1000, Priority::normal); }
void Alone256(benchmark::State& state) { deliver(state, 256, 1, Priority::normal); }
void OneMebibyteNormal(benchmark::State& state) { deliver(state, 1 << 20, 1, Priority::normal); }
void OneMebibyteLow(benchmark::State& state) { deliver(state, 1 << 20, 1, Priority::low); }
BENCHMARK(Packed256);
BENCHMARK(Alone256);
BENCHMARK(OneMebibyteNormal);
BENCHMARK(OneMebibyteLow);

}  // namespace
