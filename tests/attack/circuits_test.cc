// Attacks of a peer with circuits: floods of builds and cells, and a destination that does not
// read.
#include "attack/arena.h"
#include "attack/rogue.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

std::string said(const Rogue& rogue) {
  std::string out;
  for (const auto& [why, count] : rogue.ended) out += fmt::format(" {} x {}", count, why);
  return out.empty() ? " nothing" : out;
}

TEST(Circuits, BuildFlood) {
  constexpr double kCircuits = 300;
  Arena arena({"--limits.circuits", "300"});
  arena.begin();
  Rogue rogue;
  ASSERT_TRUE(rogue.join(arena.victim()));
  ASSERT_TRUE(rogue.run(
      20s, [&] { return rogue.hop(arena.victim().id) && rogue.hop(arena.honest_destination()); }));
  const std::array route{*rogue.hop(arena.victim().id), *rogue.hop(arena.honest_destination())};
  const std::size_t wanted = scaled(10'000);
  std::size_t asked = 0;
  const bool answered = rogue.run(60s, [&] {
    // No more under way than a flood needs: our own KEM work is as dear as the victim's.
    while (asked < wanted && asked < rogue.built.size() + rogue.ended_all + 400) {
      if (!rogue.build(asked % 2 == 0 ? std::span(route) : std::span(route).first(1),
                       Priority::normal)) {
        break;
      }
      ++asked;
    }
    return (asked >= wanted && rogue.built.size() + rogue.ended_all >= asked) ||
           rogue.links_closed > 0;
  });
  EXPECT_TRUE(answered) << asked << " asked, " << rogue.built.size() << " built, "
                        << rogue.ended_all << " ended";
  const double held = arena.metric("qudag_circuits");
  const double refused = arena.metric("qudag_circuits_refused_total");
  EXPECT_LE(held, kCircuits);
  if (static_cast<double>(asked) > 2 * kCircuits) {
    EXPECT_GT(refused, 0) << "no reason was counted";
  }
  arena.end("circuit-build flood",
            fmt::format("{} builds asked, {} ready, ended:{}; the victim holds {} and counted {} "
                        "refused",
                        asked, rogue.built.size(), said(rogue), held, refused));
}

/// Two rogues with circuits over the victim, from one to the other.
struct Pipe {
  explicit Pipe(Arena& arena, std::size_t stream_window = 512 * 1024)
      : sink({.link = {.stream_window_bytes = stream_window,
                       .link_window_bytes = std::size_t{1} << 30,
                       .known = true},
              .announce = true}) {
    joined = source.join(arena.victim()) && sink.join(arena.victim());
    if (!joined) return;
    joined = run(20s, [&] { return source.hop(sink.id()) && source.hop(arena.victim().id); });
    if (joined) route = {*source.hop(arena.victim().id), *source.hop(sink.id())};
  }
  bool run(std::chrono::milliseconds most, const std::function<bool()>& done) {
    return source.run(most, [&] {
      sink.turn();
      beside();
      return done();
    });
  }
  /// So many circuits are ready, or as many as are granted.
  void open(std::size_t count, Priority priority) {
    std::size_t asked = 0;
    run(20s, [&] {
      while (asked < count && asked < source.built.size() + source.ended_all + 32) {
        if (!source.build(route, priority)) return true;
        ++asked;
      }
      return source.built.size() + source.ended_all >= count;
    });
  }
  std::size_t fill(Priority priority, std::size_t most = 64) {
    std::size_t cells = 0;
    for (const circuit::CircuitId circuit : source.built)
      cells += source.fill(circuit, priority, most);
    return cells;
  }

  std::function<void()> beside = [] {};  // also done in run()
  Rogue source, sink;
  bool joined = false;
  std::vector<onion::RouteHop> route;
};

/// Several at once, because a link has a window over all its streams. All of them go on all the
/// time: a link that is silent ends.
class Pipes {
 public:
  Pipes(Arena& arena, std::size_t count, std::size_t circuits) {
    for (std::size_t p = 0; p < count; ++p) {
      // The build's reply fits the window, and hardly a cell after it.
      auto pipe = std::make_unique<Pipe>(arena, 16 * 1024);
      joined_ = joined_ && pipe->joined;
      pipe->beside = [this] { turn(); };
      pipe->open(circuits, Priority::low);
      pipe->sink.grip().keep_windows = true;
      pipes_.push_back(std::move(pipe));
    }
  }
  bool joined() const { return joined_; }
  std::size_t circuits() const {
    std::size_t all = 0;
    for (const auto& pipe : pipes_) all += pipe->source.built.size();
    return all;
  }
  std::string ended() const {
    std::string all;
    for (const auto& pipe : pipes_) all += said(pipe->source) + ";";
    return all;
  }

  struct Pinned {
    std::size_t cells = 0;
    double most = 0;  // blocks
  };
  /// Cells into every circuit until the victim holds no more of them, whatever it does about it.
  Pinned pin(Arena& arena) {
    constexpr int kRounds = 300, kCalmRounds = 20;
    Pinned out;
    for (int round = 0, calm = 0; round < kRounds && calm < kCalmRounds; ++round) {
      for (auto& pipe : pipes_) {
        out.cells += pipe->fill(Priority::low, 8);
        turn();
      }
      for (int i = 0; i < 20; ++i) turn();
      const double now = arena.metric("qudag_pool_blocks", "state=\"used\",size=\"bulk\"");
      calm = now > out.most * 1.01 ? 0 : calm + (out.most > 0);
      out.most = std::max(out.most, now);
    }
    return out;
  }

 private:
  void turn() {
    for (auto& pipe : pipes_) {
      pipe->source.turn();
      pipe->sink.turn();
    }
  }

  std::vector<std::unique_ptr<Pipe>> pipes_;
  bool joined_ = true;
};

TEST(Circuits, SlowReaderPinsWindows) {
  Arena arena;
  arena.begin();
  Pipes pipes(arena, 6, scaled(400));
  ASSERT_TRUE(pipes.joined());
  const std::size_t open = pipes.circuits();
  const Pipes::Pinned pinned = pipes.pin(arena);
  EXPECT_GT(pinned.most, static_cast<double>(open)) << "the attack did not happen";
  EXPECT_LE(pinned.most * 8'192, static_cast<double>(Arena::kMemory));
  arena.end("slow reader pinning windows",
            fmt::format("{} circuits on 12 links, {} cells of 8 KiB offered, {:.1f} MB pinned in "
                        "bulk blocks at most; ended:{}",
                        open, pinned.cells, pinned.most * 8'192 / 1e6, pipes.ended()));
}

TEST(Circuits, OneByteOfEachCell) {
  Arena arena;
  arena.begin();
  Pipe pipe(arena);
  ASSERT_TRUE(pipe.joined);
  pipe.open(scaled(4'000), Priority::low);
  // One byte each of a cell of 8 KiB: the victim keeps a block for it.
  pipe.source.grip().first_bytes_only = 1;
  std::size_t begun = 0;
  for (const circuit::CircuitId circuit : pipe.source.built) {
    begun += pipe.source.fill(circuit, Priority::low, 1);
  }
  pipe.run(500ms, [] { return false; });
  const double blocks = arena.metric("qudag_pool_blocks", "state=\"used\",size=\"bulk\"");
  EXPECT_GT(begun, 0u);
  EXPECT_GT(blocks, static_cast<double>(begun) / 2) << "the attack did not happen";
  EXPECT_LE(blocks * 8'192, static_cast<double>(Arena::kMemory));
  arena.end(
      "one byte per 8 KiB cell",
      fmt::format("{} circuits, a byte of a cell on {}, {} bulk blocks held for them ({:.1f} MB)",
                  pipe.source.built.size(), begun, blocks, blocks * 8'192 / 1e6));
}

TEST(Circuits, FloodOfCellsByOnePeer) {
  Arena arena;
  Pipe pipe(arena);
  ASSERT_TRUE(pipe.joined);
  arena.begin();
  pipe.open(8, Priority::low);
  ASSERT_FALSE(pipe.source.built.empty()) << said(pipe.source);
  std::size_t cells = 0;
  pipe.run(std::chrono::milliseconds(scaled(20'000)), [&] {
    cells += pipe.fill(Priority::low);
    return false;
  });
  EXPECT_GT(pipe.sink.payloads, 0u);
  arena.end("flood of cells by one peer",
            fmt::format("{} cells of 8 KiB sent, {} came through", cells, pipe.sink.payloads));
}

}  // namespace
}  // namespace qudag::attack
