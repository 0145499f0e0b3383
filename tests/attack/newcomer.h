// Somebody honest who comes during an attack: a link of its own, and new circuits over the victim,
// one after the other.
#pragma once

#include "attack/arena.h"
#include "attack/rogue.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <array>
#include <chrono>

namespace qudag::attack {

class Newcomer {
 public:
  /// `beside` is done in every turn, that of the attack.
  explicit Newcomer(const Arena& arena, const std::function<void()>& beside = {}) {
    const TimePoint began = Rogue::now().mono;
    const auto link = rogue_.endpoint().dial(arena.victim().id, arena.victim().at,
                                             rogue_.wire.local(), Rogue::now());
    if (!link) return;
    known_ = rogue_.run(std::chrono::seconds(20), [&] {
      if (beside) beside();
      if (rogue_.links_closed > 0) return true;
      return rogue_.hop(arena.victim().id) && rogue_.hop(arena.honest_destination());
    }) && rogue_.links_closed == 0;
    join_time = Rogue::now().mono - began;
    if (known_) route_ = {*rogue_.hop(arena.victim().id), *rogue_.hop(arena.honest_destination())};
  }

  bool joined() const { return known_; }

  /// So many circuits, one at a time, `beside` in every turn; each is closed when it is ready.
  void build(std::size_t count, const std::function<void()>& beside) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t built = rogue_.built.size(), ended = rogue_.ended_all;
      const TimePoint began = Rogue::now().mono;
      ++asked;
      if (!rogue_.build(route_, Priority::normal)) {
        ++not_begun;
        continue;
      }
      // How long it takes is the figures' matter: a busy machine refuses nobody.
      rogue_.run(std::chrono::seconds(20), [&] {
        beside();
        return rogue_.built.size() > built || rogue_.ended_all > ended;
      });
      if (rogue_.built.size() == built) continue;
      ++ready;
      took_ns.record(static_cast<std::uint64_t>((Rogue::now().mono - began).count()));
      rogue_.circuits().close(rogue_.built.back(), Rogue::now());
    }
  }
  std::string figures() const {
    std::string out =
        fmt::format("{} of {} new honest circuits built, p99 {:.0f} ms", ready, asked,
                    ready == 0 ? 0 : static_cast<double>(took_ns.percentile(99)) / 1e6);
    if (not_begun > 0) out += fmt::format(", {} could not begin", not_begun);
    for (const auto& [why, count] : rogue_.ended) {
      if (ready < asked) out += fmt::format(", {} x {}", count, why);
    }
    return out;
  }

  std::size_t asked = 0, ready = 0, not_begun = 0;
  Histogram took_ns;
  Duration join_time{};
  Rogue& rogue() { return rogue_; }

 private:
  Rogue rogue_;
  bool known_ = false;
  std::vector<onion::RouteHop> route_;
};

/// So many of them, one after the other, each with three circuits.
struct Newcomers {
  static constexpr std::size_t kCircuits = 3;
  static constexpr std::chrono::milliseconds kApart{200};

  Newcomers(const Arena& arena, std::size_t count, const std::function<void()>& beside) {
    for (; wanted < count; ++wanted) {
      Newcomer one(arena, beside);
      joined += one.joined();
      if (!one.joined()) continue;
      one.build(kCircuits, beside);
      built += one.ready;
      if (one.ready < one.asked) lost += one.figures() + "; ";
      one.rogue().run(kApart, [&] {
        beside();
        return false;
      });
    }
  }

  std::size_t wanted = 0, joined = 0, built = 0;
  std::string lost;  // why circuits did not come to be
  std::string told() const {
    return fmt::format("{} of {} newcomers got a link, and {} of {} new honest circuits", joined,
                       wanted, built, kCircuits * wanted);
  }
};

inline void expect_all(const Newcomers& newcomers) {
  EXPECT_EQ(newcomers.joined, newcomers.wanted) << "new links are refused";
  EXPECT_EQ(newcomers.built, Newcomers::kCircuits * newcomers.wanted) << newcomers.lost;
}

}  // namespace qudag::attack
