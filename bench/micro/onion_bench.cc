// What a cell costs at each role, against the AEAD alone over the same bytes.
// modules: onion
//
// Counter `aead` is the cost of one bare AEAD pass in ns, measured beside; `ratio` is the time per
// cell over the passes that the role must do (1 at a hop, one per hop at the source).
#include "onion/build_detail.h"
#include "onion/cells.h"
#include "onion/key_stock.h"

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

namespace {

using namespace qudag;
using namespace qudag::onion;

class BenchRng final : public Rng {
 public:
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      b = static_cast<std::byte>(state_ >> 56);
    }
  }

 private:
  std::uint64_t state_ = 1;
};

constexpr Priority priority_of(std::int64_t bytes) {
  return bytes == 8192 ? Priority::low : Priority::normal;
}

// ns per bare seal of a cell's encrypted part.
double bare_seal_ns(std::size_t bytes) {
  Key256 key;
  crypto::Aead aead(key);
  std::vector<std::byte> text(bytes);
  std::array<std::byte, 16> tag;
  double best = 1e9;
  for (int run = 0; run < 20; ++run) {
    const auto from = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < 1000; ++i) aead.seal(crypto::counter_nonce(i), {}, text, tag);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - from;
    best = std::min(best, took.count() / 1000);
  }
  return best;
}

struct Circuit {
  Circuit(std::size_t n, Priority c) : priority(c) {
    std::vector<HopSecrets> secrets;
    for (std::size_t i = 0; i < n; ++i) {
      HopSecrets s;
      rng.fill(s.forward_chain.span());
      rng.fill(s.backward_chain.span());
      hops.emplace_back(HopSecrets{s.forward_chain.clone(), s.backward_chain.clone()}, priority);
      secrets.push_back(std::move(s));
    }
    source = std::make_unique<SourceCrypto>(std::move(secrets), priority, rng);
  }
  void fill(memory::Block& block, std::size_t bytes) {
    block.clear();
    block.append(bytes);
  }
  memory::Block block(std::size_t bytes) {
    memory::Block out = pool.take(block_size(priority));
    fill(out, bytes);
    std::memset(out.data(), 0, bytes);
    return out;
  }

  memory::BlockPool pool;
  BenchRng rng;
  Priority priority;
  std::vector<HopCrypto> hops;
  std::unique_ptr<SourceCrypto> source;
};

void finish(benchmark::State& state, std::size_t bytes, std::size_t passes, double seconds) {
  const double aead = bare_seal_ns(bytes - 16);
  const double ns = seconds * 1e9 / static_cast<double>(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.counters["aead"] = aead;
  state.counters["ratio"] = ns / (aead * static_cast<double>(passes));
}

double since(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

void BM_BareSeal(benchmark::State& state) {
  Key256 key;
  crypto::Aead aead(key);
  std::vector<std::byte> text(static_cast<std::size_t>(state.range(0)) - 16);
  std::array<std::byte, 16> tag;
  std::uint64_t i = 0;
  for (auto _ : state) aead.seal(crypto::counter_nonce(i++), {}, text, tag);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_BareSeal)->Arg(1024)->Arg(8192);

// The relay's backward direction, which needs no valid input.
void BM_RelayBackward(benchmark::State& state) {
  const std::size_t bytes = static_cast<std::size_t>(state.range(0));
  Circuit c(1, priority_of(state.range(0)));
  memory::Block cell = c.block(bytes);
  const auto from = std::chrono::steady_clock::now();
  for (auto _ : state) {
    c.fill(cell, bytes);
    c.hops[0].backward(cell);
  }
  finish(state, bytes, 1, since(from));
}
BENCHMARK(BM_RelayBackward)->Arg(1024)->Arg(8192);

// The relay's forward direction over cells that a source sealed before, in batches.
void BM_RelayForward(benchmark::State& state) {
  const std::size_t bytes = static_cast<std::size_t>(state.range(0));
  Circuit c(2, priority_of(state.range(0)));
  constexpr std::size_t kBatch = 64;
  std::vector<memory::Block> cells;
  for (std::size_t i = 0; i < kBatch; ++i) cells.push_back(c.block(bytes - 96));
  double seconds = 0;
  while (state.KeepRunningBatch(kBatch)) {
    for (auto& cell : cells) c.fill(cell, bytes - 96);
    for (auto& cell : cells) c.source->seal(cell);
    const auto from = std::chrono::steady_clock::now();
    for (auto& cell : cells) {
      if (!c.hops[0].forward(cell)) state.SkipWithError("cell refused");
    }
    const double took = since(from);
    seconds += took;
    state.SetIterationTime(took);
  }
  finish(state, bytes, 1, seconds);
}
BENCHMARK(BM_RelayForward)->Arg(1024)->Arg(8192)->UseManualTime();

void BM_SourceSeal(benchmark::State& state) {
  const std::size_t bytes = static_cast<std::size_t>(state.range(0));
  const std::size_t hops = static_cast<std::size_t>(state.range(1));
  Circuit c(hops, priority_of(state.range(0)));
  memory::Block cell = c.block(bytes - 96);
  const auto from = std::chrono::steady_clock::now();
  for (auto _ : state) {
    c.fill(cell, bytes - 96);
    c.source->seal(cell);
  }
  finish(state, bytes, hops, since(from));
}
BENCHMARK(BM_SourceSeal)->ArgsProduct({{1024, 8192}, {1, 4, 6}})->ArgNames({"bytes", "hops"});

void BM_SourceOpen(benchmark::State& state) {
  const std::size_t bytes = static_cast<std::size_t>(state.range(0));
  const std::size_t hops = static_cast<std::size_t>(state.range(1));
  Circuit c(hops, priority_of(state.range(0)));
  constexpr std::size_t kBatch = 64;
  std::vector<memory::Block> cells;
  for (std::size_t i = 0; i < kBatch; ++i) cells.push_back(c.block(bytes - 96));
  double seconds = 0;
  while (state.KeepRunningBatch(kBatch)) {
    for (auto& cell : cells) {
      c.fill(cell, bytes - 96);
      c.hops[hops - 1].seal(cell);
      for (std::size_t i = hops - 1; i-- > 0;) c.hops[i].backward(cell);
    }
    const auto from = std::chrono::steady_clock::now();
    for (auto& cell : cells) {
      if (c.source->open(cell)) state.SkipWithError("cell refused");
    }
    const double took = since(from);
    seconds += took;
    state.SetIterationTime(took);
  }
  finish(state, bytes, hops, seconds);
}
BENCHMARK(BM_SourceOpen)
    ->ArgsProduct({{1024, 8192}, {1, 4, 6}})
    ->ArgNames({"bytes", "hops"})
    ->UseManualTime();

// ---- build --------------------------------------------------------------------------------------

struct Route {
  explicit Route(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      pairs.push_back(
          std::make_shared<const crypto::KemKeyPair>(crypto::KemKeyPair::generate().value()));
      hops.push_back({NodeId{rng.bytes<32>()},
                      std::make_shared<const crypto::KemPublicKey>(
                          crypto::KemPublicKey::import(pairs[i]->public_bytes()).value())});
    }
  }
  BenchRng rng;
  std::vector<std::shared_ptr<const crypto::KemKeyPair>> pairs;  // owners: the keys made of them
  std::vector<RouteHop> hops;
};
constexpr UnixSeconds kNow = 1'800'000'000;

void BM_StartBuild(benchmark::State& state) {
  Route route(static_cast<std::size_t>(state.range(0)));
  BuildMessage message;
  for (auto _ : state) {
    benchmark::DoNotOptimize(start_build(route.hops, Priority::normal, kNow, route.rng, message));
  }
}
BENCHMARK(BM_StartBuild)->Arg(4);

// With ephemeral keys from a stock that workers fill: what the loop of a node does.
void BM_StartBuildFromStock(benchmark::State& state) {
  Route route(static_cast<std::size_t>(state.range(0)));
  BuildMessage message;
  KeyStock stock;
  for (auto _ : state) {
    state.PauseTiming();
    while (stock.size() < route.hops.size()) stock.put(crypto::KemKeyPair::generate().value());
    state.ResumeTiming();
    benchmark::DoNotOptimize(
        start_build(route.hops, Priority::normal, kNow, route.rng, message, &stock));
  }
}
BENCHMARK(BM_StartBuildFromStock)->Arg(4);

// With all public-key work done ahead: what is neither key generation nor encapsulation.
void BM_StartBuildWithKeysAhead(benchmark::State& state) {
  Route route(static_cast<std::size_t>(state.range(0)));
  BuildMessage message;
  for (auto _ : state) {
    state.PauseTiming();
    auto chance = detail::draw_chance(route.hops).value();
    state.ResumeTiming();
    benchmark::DoNotOptimize(detail::start_build_with(route.hops, Priority::normal, route.rng,
                                                      std::move(chance), message));
  }
}
BENCHMARK(BM_StartBuildWithKeysAhead)->Arg(4);

void BM_AcceptBuild(benchmark::State& state) {
  Route route(1);
  BuildMessage message;
  const auto pending = start_build(route.hops, Priority::normal, kNow, route.rng, message);
  const OnionKey key{route.pairs[0], 0, 2 * kNow};
  for (auto _ : state) {
    ReplayWindow window(8);
    BuildMessage copy = message;
    benchmark::DoNotOptimize(
        accept_build(route.hops[0].id, {&key, 1}, window, Priority::normal, kNow, copy));
  }
}
BENCHMARK(BM_AcceptBuild);

}  // namespace
