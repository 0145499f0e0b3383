// A pipe over lines of 3 MB/s, while relays die: it goes on, every byte is right, and it stops for
// no longer than a new circuit takes.
#include "sim/sim_network.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRelays = 8;
constexpr std::size_t kBytes = 10'000'000;
constexpr double kLine = 3e6;

std::byte byte_at(std::size_t i) { return static_cast<std::byte>((i * 2654435761u) >> 24); }

struct PipeUnderFire {
  explicit PipeUnderFire(std::uint64_t seed)
      : random(seed), world(seed, Faults{}), network(world, kRelays + 2) {
    network[kSource].set_relay(false);
    network[kDestination].set_relay(false);
    network.start();
    EXPECT_TRUE(network.settle(120s));
    world.run_until(world.now().mono + 60s);  // relays have seen each other
    for (std::size_t i = 0; i < network.size(); ++i) {
      world.set_line(network[i].address().at, kLine, 100ms);
    }
    network[kDestination].on_pipe_handler = [this](PipeOffer&& offer) {
      ++offers;
      PipeEvents events;
      events.on_bytes = [this](Pipe& pipe, Buffer&& bytes) {
        longest = std::max(longest, world.now().mono - last);
        last = world.now().mono;
        for (const std::byte b : bytes.to_vector()) wrong += b != byte_at(received++) ? 1 : 0;
        pipe.take(bytes.size());
      };
      events.on_end = [](Pipe& pipe) { pipe.end(); };
      events.on_closed = [this](const PipeEnd& end) { theirs = end; };
      service_ = offer.accept(std::move(events));
    };
  }
  void kill_every(Duration time) {
    world.at(world.now().mono + time, [this, time] {
      if (mine) return;
      ++kills;
      const std::size_t victim = 1 + random() % (kRelays - 1);
      network[victim].crash();
      world.at(world.now().mono + 1s, [this, victim] {
        network[victim].start();
        world.wake(world.host(network[victim].address().at));
      });
      kill_every(time);
    });
  }
  void go_on(Pipe& pipe) {
    std::vector<std::byte> bytes(16'384);
    while (written < kBytes) {
      const std::size_t n = std::min(bytes.size(), kBytes - written);
      for (std::size_t i = 0; i < n; ++i) bytes[i] = byte_at(written + i);
      const auto taken = pipe.write(std::span(bytes).first(n));
      if (!taken) return;
      written += *taken;
    }
    pipe.end();
  }
  void run() {
    PipeEvents events;
    events.on_open = [this](Pipe& pipe) {
      last = world.now().mono;
      go_on(pipe);
    };
    events.on_room = [this](Pipe& pipe) { go_on(pipe); };
    events.on_closed = [this](const PipeEnd& end) { mine = end; };
    pipe_ = network[kSource].open_pipe(network[kDestination].id(), "store",
                                       {.priority = Priority::low}, std::move(events));
    world.run_until(world.now().mono + 300s, [this] { return mine && theirs; });
  }

  static constexpr std::size_t kSource = kRelays, kDestination = kRelays + 1;
  std::mt19937_64 random;
  World world;
  std::size_t kills = 0, offers = 0, written = 0, received = 0, wrong = 0;
  TimePoint last{};
  Duration longest{};
  std::optional<PipeEnd> mine, theirs;
  std::unique_ptr<Pipe> service_, pipe_;
  SimNetwork network;
};

TEST(Pipes, GoOnWhileRelaysDie) {
  std::uint64_t moved = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    PipeUnderFire fire(seed);
    fire.kill_every(2s);
    const TimePoint began = fire.world.now().mono;
    fire.run();
    ASSERT_TRUE(fire.mine && fire.theirs);
    EXPECT_EQ(fire.mine->how, PipeEnd::How::finished) << fire.mine->reason.message();
    EXPECT_EQ(fire.theirs->how, PipeEnd::How::finished) << fire.theirs->reason.message();
    EXPECT_EQ(fire.mine->taken_by_peer, kBytes);
    EXPECT_EQ(fire.received, kBytes);
    EXPECT_EQ(fire.wrong, 0u);
    EXPECT_EQ(fire.offers, 1u) << "one connection to the service";
    const message::MessagesStats sent =
        fire.network[PipeUnderFire::kSource].shard().report().message;
    fmt::print("{} kills in {} ms, moved {} times, longest stop {} ms, sent again {} of {}\n",
               fire.kills, (fire.world.now().mono - began) / 1ms, sent.pipes_moved,
               fire.longest / 1ms, sent.pipe_bytes_again, sent.pipe_bytes_sent);
    moved += sent.pipes_moved;
  }
  EXPECT_GE(moved, 2u);
}

}  // namespace
}  // namespace qudag::testing
