// How many circuits others can make a flow draw without breaking one: a destination that says
// CLOSE, a first relay that says GOODBYE 0.
#include "message/flow.h"
#include "peer.h"
#include "world.h"

namespace qudag::message::testing {
namespace {

constexpr std::size_t most_in(Duration time) {
  return kLossBurst / kLossCost + static_cast<std::size_t>(time / (1s * kLossCost)) + 1;
}

/// The destination's CLOSE comes right behind its reply: one message with ten minutes to live.
class Closing : public Peer {
 protected:
  Result<std::vector<onion::RouteHop>> draw(const NodeId& to, unsigned, Now) override {
    std::vector<onion::RouteHop> route(3);
    for (std::size_t i = 0; i < route.size(); ++i) route[i].id = node_id(100 + i);
    route.push_back({to, nullptr});
    return route;
  }
};

TEST_F(Closing, ADestinationThatClosesEveryCircuitIsGivenFewOthers) {
  const auto id =
      messages->send(node_id(1), chain_of(pool, pattern(1, 100), memory::BlockSize::cell), {},
                     {.ttl = 10min}, now);
  ASSERT_TRUE(id);
  const Duration rtt = 100ms;
  std::uint64_t answered = 0;
  messages->pump(now);
  for (Duration t{}; t < Duration(60s); t += rtt) {
    const std::uint64_t until = builds;
    now.mono += rtt;
    messages->on_time(now);
    for (; answered < until; ++answered) {
      const circuit::CircuitId circuit{kBuilt.value + answered};
      messages->on_built(circuit, rtt, now);
      arrive({wire::CloseFrame{}}, circuit);  // in the packet that brought the reply
    }
    messages->pump(now);
  }
  std::printf(
      "CLOSE behind the reply: %llu circuits drawn in 60 s for one message, %zu cells of it sent\n",
      static_cast<unsigned long long>(builds), payloads);
  EXPECT_LE(builds, most_in(60s));
}

constexpr std::size_t kMessages = 590;

void send_each_second(World& world) {
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    world.after(i * 1s,
                [&world, i] { ASSERT_TRUE(world[0].send(1, i, 100, {.ttl = 60s, .relays = 3})); });
  }
}

/// It takes each message, and says CLOSE.
TEST(ClosingPeers, ADestinationThatTakesOneMessageFromEachCircuit) {
  World world(2);
  send_each_second(world);
  world[1].on_got = [&](const Got&) {
    Line* line = world.line(world.lines() - 1);
    world.after(30ms, [&world, line] {
      if (!line->alive) return;
      memory::Block block = world[0].pool.take(memory::BlockSize::cell);
      block.append(onion::payload_bytes(line->priority));
      std::memset(block.data(), 0, block.size());
      block.data()[0] = std::byte{0x06};
      world[0].messages->on_payload(line->ends[0].id, std::move(block), world.now());
    });
    return Taken::yes;
  };
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == kMessages; }, 900s));
  std::printf("CLOSE behind each answer: %zu circuits in ten minutes, the bound is %zu\n",
              world.lines(), most_in(600s));
  EXPECT_LE(world.lines(), most_in(600s));
}

/// Its first relay replaces the link as soon as there is a circuit on it.
TEST(ClosingPeers, AFirstRelayThatReplacesItsLinkAgainAndAgain) {
  World world(2);
  std::size_t worn = 0;
  send_each_second(world);
  std::function<void()> look = [&] {
    for (; worn < world.lines(); ++worn) {
      Line* line = world.line(worn);
      world.after(60ms, [&world, line] {
        world[0].messages->on_draining(line->ends[0].id, false, world.now());
      });
    }
    if (world[0].outcomes() < kMessages) world.after(20ms, look);
  };
  look();
  ASSERT_TRUE(world.run_until([&] { return world[0].outcomes() == kMessages; }, 900s));
  std::printf("GOODBYE 0 on each link: %zu circuits in ten minutes, the bound is %zu\n",
              world.lines(), most_in(600s));
  EXPECT_LE(world.lines(), most_in(600s));
}

/// The worn circuit is ended when its successor is there: it costs nothing.
TEST(ClosingPeers, AWornCircuitThatIsBrokenCostsNothing) {
  World world(2);
  std::size_t worn = 0;
  ASSERT_TRUE(world[0].send(1, 1, 100, {.ttl = 600s, .relays = 3}));
  world[1].on_got = [](const Got&) { return Taken::later; };
  std::function<void()> look = [&] {
    for (; worn < world.lines(); ++worn) {
      Line* line = world.line(worn);
      Line* before = worn > 0 ? world.line(worn - 1) : nullptr;
      world.after(60ms, [&world, line, before] {
        if (before != nullptr) world.kill(*before);
        world[0].messages->on_draining(line->ends[0].id, false, world.now());
      });
    }
    world.after(20ms, look);
  };
  look();
  world.run_for(60s);
  std::printf(
      "GOODBYE 0, then the old circuit is broken: %zu circuits in a minute for one message\n",
      world.lines());
  EXPECT_LE(world.lines(), most_in(60s));
}

}  // namespace
}  // namespace qudag::message::testing
