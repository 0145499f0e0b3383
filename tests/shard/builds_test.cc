// What admission lets in, the replay window remembers: no flood of builds makes it refuse honest
// ones, whatever memory the node has.
#include "onion/build.h"
#include "shard/protection/build_limiter.h"
#include "shard/setup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace qudag::shard {
namespace {

using namespace std::chrono_literals;
using Verdict = onion::ReplayWindow::Verdict;

std::array<std::byte, 32> digest(std::uint64_t number) {
  std::array<std::byte, 32> out{};
  for (std::size_t i = 0; i < 4; ++i) {
    std::uint64_t z = (number * 4 + i + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    std::memcpy(out.data() + i * 8, &z, 8);
  }
  return out;
}

struct Told {
  std::uint64_t asked = 0, limiter = 0, full = 0, replayed = 0;
  std::uint64_t refused() const { return limiter + full + replayed; }
};

/// A node of so much memory for half an hour: `floods` links ask for `flood_rate` builds a second
/// each, all of them expiring as late as is taken; thirty honest links for one a second and one, a
/// relay's, for `busy_rate`.
struct Flooded {
  Flooded(const Limits& limits, std::uint32_t floods, std::uint64_t flood_rate,
          std::uint64_t busy_rate)
      : window(replay_entries(limits)),
        limiter({.per_second = builds_admitted(limits),
                 .per_link_per_second = limits.builds_per_link}) {
    constexpr std::uint64_t kTicks = 100;  // a second
    for (std::uint64_t tick = 0; tick < 1'800 * kTicks; ++tick) {
      const TimePoint mono(Duration(10ms) * tick);
      const Now now{mono, 1'700'000'000 + tick / kTicks};
      const auto ask = [&](std::uint32_t link, std::uint64_t rate, UnixSeconds expires,
                           Told& told) {
        const std::uint64_t due =
            rate * (tick % kTicks + 1) / kTicks - rate * (tick % kTicks) / kTicks;
        for (std::uint64_t i = 0; i < due; ++i) build(link, expires, told, now);
      };
      const UnixSeconds latest = (now.unix_seconds + 600) / 60 * 60;
      for (std::uint32_t f = 0; f < floods; ++f) ask(100 + f, flood_rate, latest, flood);
      const UnixSeconds usual = (now.unix_seconds + 300 + 59) / 60 * 60;
      ask(1, busy_rate, usual, honest);
      for (std::uint32_t h = 0; h < 30; ++h) {
        if (tick % kTicks == h * 3) build(10 + h, usual, honest, now);
      }
      most = std::max(most, window.size());
    }
  }

  void build(std::uint32_t link, UnixSeconds expires, Told& told, Now now) {
    ++told.asked;
    if (limiter.ask({link, 1}, now) != wire::EndCode::none) {
      ++told.limiter;
      return;
    }
    const Verdict verdict = window.check_and_add(digest(++number), expires, now.unix_seconds);
    told.full += verdict == Verdict::full;
    told.replayed += verdict == Verdict::replayed;
  }

  onion::ReplayWindow window;
  BuildLimiter limiter;
  Told flood, honest;
  std::size_t most = 0;
  std::uint64_t number = 0;
};

TEST(Replays, AThousandBuildsASecondMakeNoHonestOneARefusal) {
  const Flooded node(Limits{}, 3, 400, 20);
  EXPECT_EQ(node.honest.refused(), 0u)
      << node.honest.limiter << " " << node.honest.full << " " << node.honest.replayed;
  EXPECT_EQ(node.flood.refused(), 0u) << "within the rate: 1,200 of 2,000 a second";
  EXPECT_LE(node.most, limits::kReplayEntriesMax);
  EXPECT_GT(node.most, 650'000u) << "the attack did not happen";
  RecordProperty("entries", static_cast<int>(node.most));
}

TEST(Replays, ASmallNodeLowersWhatItAdmitsAndHonestOnesGoFirst) {
  Limits small;
  small.memory = std::uint64_t{32} << 20;
  EXPECT_EQ(builds_admitted(small), 434u);
  const Flooded node(small, 3, 400, 5);
  EXPECT_EQ(node.honest.refused(), 0u)
      << node.honest.limiter << " " << node.honest.full << " " << node.honest.replayed;
  EXPECT_EQ(node.flood.full + node.flood.replayed, 0u);
  EXPECT_GT(node.flood.limiter, node.flood.asked / 2) << "the flood waits";
  EXPECT_LE(node.most, replay_entries(small));
}

TEST(Replays, TheRateIsAtMostWhatTheWindowHolds) {
  for (const std::uint64_t mib : {32u, 64u, 128u, 512u, 4'096u}) {
    for (const std::uint64_t rate : {0u, 100u, 2'000u, 100'000u}) {
      Limits limits;
      limits.memory = mib << 20;
      limits.builds_per_second = rate;
      const std::size_t entries = replay_entries(limits);
      EXPECT_LE(limits::replay_entries(builds_admitted(limits)), entries);
      EXPECT_LE(entries * limits::kReplayEntryBytes, limits.memory / limits::kReplayMemoryOneIn);
      if (rate != 0) {
        EXPECT_LE(builds_admitted(limits), rate);
      }
    }
  }
}

// The heaviest links wait for the lighter ones, and a single one may have it all.
TEST(Replays, TheGateIsFairByLink) {
  BuildLimiter alone({.per_second = 100});
  std::size_t welcome = 0;
  for (int ms = 0; ms < 10'000; ++ms) {
    const Now now{TimePoint(Duration(1ms) * ms), 0};
    welcome += alone.ask({1, 1}, now) == wire::EndCode::none;
  }
  EXPECT_GE(welcome, 990u + 100u) << "all of the rate, and of its burst";
  EXPECT_LE(welcome, 1'200u);
}

}  // namespace
}  // namespace qudag::shard
