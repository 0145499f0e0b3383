// What waits and what is remembered: queues, records of messages, chains and scratch memory, each
// beside the plain way of the standard library.
#include "base/slot_map.h"
#include "memory/block.h"
#include "memory/scratch.h"
#include "scenarios.h"
#include "sync/queue.h"
#include "turns.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <list>
#include <memory>
#include <vector>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDeep = 100'000;
constexpr std::size_t kShallow = 10;
constexpr std::size_t kRun = 64;  // operations between two looks at the clock

using Numbers = sync::Queue<std::uint64_t>;

sync::Bounds room_for(std::size_t items) {
  return {items, items * 1'000, 1h, sync::WhenFull::drop_expired};
}

/// One in, one out, with so many waiting.
double queued(double seconds, std::size_t depth) {
  Numbers queue("bench", room_for(depth + 1), [](std::uint64_t&&) {});
  TimePoint now(1h);
  std::uint64_t number = 0;
  const auto push = [&] {
    queue.push(std::uint64_t{++number}, 256, now, now + 60s);
    now += 100ns;
  };
  for (std::size_t i = 0; i < depth; ++i) push();
  return ns_per(seconds, kRun, [&] {
    for (std::size_t i = 0; i < kRun; ++i) {
      push();
      static_cast<void>(queue.pop(now));
    }
  });
}

/// The same in a list: a node from malloc for each item, and no bound, no end, no books.
double listed(double seconds, std::size_t depth) {
  std::list<std::uint64_t> list(depth, 0);
  std::uint64_t number = 0;
  return ns_per(seconds, kRun, [&] {
    for (std::size_t i = 0; i < kRun; ++i) {
      list.push_back(++number);
      list.pop_front();
    }
  });
}

constexpr std::size_t kEnding = 100;  // of kDeep that expire at once

/// Time for each item that expires among kDeep that do not: by the wheel.
double purged(double seconds) {
  Numbers queue("bench", room_for(kDeep + kEnding), [](std::uint64_t&&) {});
  TimePoint now(1h);
  for (std::size_t i = 0; i < kDeep; ++i) queue.push(std::uint64_t{i}, 256, now, now + 1h);
  return ns_per(seconds, kEnding, [&] {
    for (std::size_t i = 0; i < kEnding; ++i) {
      queue.push(std::uint64_t{i}, 256, now, now + 2ms);
    }
    now += 10ms;
    queue.expire(now);
  });
}

/// By looking at all.
double searched(double seconds) {
  struct Item {
    std::uint64_t number;
    TimePoint expires;
  };
  std::list<Item> list;
  TimePoint now(1h);
  for (std::size_t i = 0; i < kDeep; ++i) list.push_back({i, now + 1h});
  return ns_per(seconds, kEnding, [&] {
    for (std::size_t i = 0; i < kEnding; ++i) list.push_back({i, now + 2ms});
    now += 10ms;
    list.remove_if([now](const Item& item) { return item.expires <= now; });
  });
}

/// About what an envelope is.
struct Record {
  std::array<std::byte, 200> raw;
};
constexpr std::size_t kUnderWay = 512;

double recycled(double seconds) {
  SlotMap<Record> records(kUnderWay);
  std::vector<SlotHandle> held(kUnderWay);
  return ns_per(seconds, kUnderWay, [&] {
    for (SlotHandle& handle : held) handle = records.insert();
    for (const SlotHandle handle : held) records.erase(handle);
  });
}

double made_anew(double seconds) {
  std::vector<std::unique_ptr<Record>> held(kUnderWay);
  return ns_per(seconds, kUnderWay, [&] {
    for (auto& record : held) record = std::make_unique<Record>();
    for (auto& record : held) record.reset();
  });
}

constexpr std::size_t kMessageKib = 64 * 1024;  // the largest message

/// A message of 64 MiB comes in pieces of 8 KiB: into a chain of blocks.
double chained(double seconds) {
  memory::PoolOptions options;
  options.blocks_max.fill(kMessageKib / 8);
  memory::BlockPool pool(options);
  const std::vector<std::byte> piece(8'192);
  return ns_per(seconds, kMessageKib, [&] {
    memory::Chain chain;
    for (std::size_t kib = 0; kib < kMessageKib; kib += 8) {
      memory::Block block = pool.take(memory::BlockSize::bulk);
      block.append(piece.size());
      std::copy(piece.begin(), piece.end(), block.data());
      chain.push_back(std::move(block));
    }
  });
}

/// Into one buffer that grows.
double grown(double seconds) {
  const std::vector<std::byte> piece(8'192);
  return ns_per(seconds, kMessageKib, [&] {
    std::vector<std::byte> buffer;
    for (std::size_t kib = 0; kib < kMessageKib; kib += 8) {
      buffer.insert(buffer.end(), piece.begin(), piece.end());
    }
  });
}

constexpr std::array<std::size_t, 8> kTemporaries = {64, 200, 1'200, 32, 512, 96, 2'048, 128};

double from_scratch(double seconds) {
  memory::Scratch scratch(16 * 1'024, 64 * 1'024);
  return ns_per(seconds, kTemporaries.size(), [&] {
    for (const std::size_t bytes : kTemporaries) {
      asm volatile("" : : "g"(scratch.allocate(bytes, 16)) : "memory");
    }
    scratch.reset();
  });
}

double from_the_system(double seconds) {
  return ns_per(seconds, kTemporaries.size(), [&] {
    std::array<std::unique_ptr<std::byte[]>, kTemporaries.size()> held;
    for (std::size_t i = 0; i < held.size(); ++i) {
      held[i] = std::make_unique_for_overwrite<std::byte[]>(kTemporaries[i]);
      asm volatile("" : : "g"(held[i].get()) : "memory");
    }
  });
}

}  // namespace

void features_of_records(const BenchArgs& args, Results& out) {
  const double seconds = args.quick ? 0.05 : 0.3;
  const auto row = [&](const char* id, const char* name, const char* unit, auto on, auto off) {
    const auto [with, without] = in_turns(args.runs, on, off);
    out.feature(id, name, unit, false, with, without);
  };
  row(
      "M1", "queue_against_list", "ns", [&] { return queued(seconds, kShallow); },
      [&] { return listed(seconds, kShallow); });
  row(
      "M3", "chain_against_growing_buffer", "ns/KiB", [&] { return chained(seconds); },
      [&] { return grown(seconds); });
  row(
      "M11", "record_recycled_against_new", "ns", [&] { return recycled(seconds); },
      [&] { return made_anew(seconds); });
  row(
      "M12", "scratch_against_new", "ns", [&] { return from_scratch(seconds); },
      [&] { return from_the_system(seconds); });
  row(
      "P9", "dequeue_deep_against_shallow", "ns", [&] { return queued(seconds, kDeep); },
      [&] { return queued(seconds, kShallow); });
  row(
      "L5", "purge_of_100_in_100000", "ns", [&] { return purged(seconds); },
      [&] { return searched(seconds); });
  out.note(
      "M1: off is a list without bound, end or books; P9: off is the same queue with 10 waiting, "
      "so 1 is the best; L5: for each item that expires, pushing it included");
}

}  // namespace qudag::app::bench
