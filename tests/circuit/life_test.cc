// How circuits end: from either end, from every relay, by a link, by time, and from inside events.
#include "circuit/net.h"
#include "circuit/record.h"

#include <gtest/gtest.h>

namespace qudag::circuit::test {
namespace {

TEST(Record, IsSmall) {
  RecordProperty("relay_record_bytes", static_cast<int>(kCircuitRecordBytes));
  EXPECT_LE(kCircuitRecordBytes, 288u);
}

TEST(Record, ContextNamesCircuitAndSide) {
  const CircuitId id{(std::uint64_t{0xffffffff} << 32) | 0x7ffffffe};
  for (const Neighbor side : {Neighbor::next, Neighbor::previous}) {
    EXPECT_EQ(circuit_of(context_of(id, side)), id);
    EXPECT_EQ(side_of(context_of(id, side)), side);
  }
}

/// A circuit over three relays with traffic under way both ways.
struct Busy {
  explicit Busy(std::uint64_t seed) : net({.seed = seed}) {
    net.add_many(5);
    std::tie(out, in) = net.build(4, Priority::normal);
    net.node(0).stream(out, Priority::normal, 300);
    net.node(4).stream(in, Priority::normal, 300);
    net.pass(15ms);
    EXPECT_FALSE(net.node(0).payloads[out].empty() && net.node(4).payloads[in].empty());
  }
  Net net;
  CircuitId out, in;
};

TEST(Teardown, FromTheSource) {
  Busy busy(1);
  busy.net.node(0).circuits.close(busy.out, busy.net.now());
  busy.net.run();
  EXPECT_TRUE(busy.net.node(0).ended.empty());
  ASSERT_EQ(busy.net.node(4).ended.size(), 1u);
  EXPECT_EQ(busy.net.node(4).ended[0].why, Errc::circuit_failed);
  busy.net.expect_empty();
}

TEST(Teardown, FromTheDestination) {
  Busy busy(2);
  busy.net.node(4).circuits.close(busy.in, busy.net.now());
  busy.net.run();
  EXPECT_TRUE(busy.net.node(4).ended.empty());
  ASSERT_EQ(busy.net.node(0).ended.size(), 1u);
  EXPECT_EQ(busy.net.node(0).ended[0].why, Errc::circuit_failed);
  busy.net.expect_empty();
}

TEST(Teardown, FromEachRelay) {
  for (std::size_t relay = 1; relay < 4; ++relay) {
    Busy busy(10 + relay);
    Node& node = busy.net.node(relay);
    node.circuits.close(node.only(), busy.net.now());
    busy.net.run();
    EXPECT_EQ(busy.net.node(0).ended.size(), 1u);
    EXPECT_EQ(busy.net.node(4).ended.size(), 1u);
    EXPECT_TRUE(node.ended.empty());
    busy.net.expect_empty();
  }
}

// The code of a reset must not show where on the route the end began.
TEST(Teardown, EveryResetBehindTheFirstIsDestroyed) {
  for (std::size_t from = 0; from <= 4; ++from) {
    Busy busy(20 + from);
    Node& node = busy.net.node(from);
    node.circuits.shutdown(busy.net.now());
    busy.net.run();
    for (Stream* stream : busy.net.streams()) {
      for (const int side : {0, 1}) {
        if (!stream->end[side].ended) continue;
        const bool begun_here = stream->end[1 - side].node == from;
        EXPECT_EQ(*stream->end[side].ended, begun_here ? EndCode::shutdown : EndCode::destroyed);
      }
    }
    busy.net.expect_empty();
  }
}

TEST(Teardown, ByAClosedLink) {
  for (std::size_t link = 0; link < 4; ++link) {
    Busy busy(30 + link);
    busy.net.close_link(link, link + 1);
    busy.net.run();
    ASSERT_EQ(busy.net.node(0).ended.size(), 1u);
    ASSERT_EQ(busy.net.node(4).ended.size(), 1u);
    EXPECT_EQ(busy.net.node(0).ended[0].why, link == 0 ? Errc::link_closed : Errc::circuit_failed);
    EXPECT_EQ(busy.net.node(4).ended[0].why, link == 3 ? Errc::link_closed : Errc::circuit_failed);
    EXPECT_EQ(busy.net.node(link).circuits.stats().ended_link, 1u);
    EXPECT_EQ(busy.net.node(link + 1).circuits.stats().ended_link, 1u);
    busy.net.expect_empty();
  }
}

TEST(Teardown, AClosedLinkTakesAllItsCircuitsAndNoOthers) {
  Net net({.seed = 40});
  net.add_many(4);
  const auto direct = [&](std::size_t to) {
    const std::vector<onion::RouteHop> route{net.node(to).hop()};
    return *net.node(0).circuits.build(route, Priority::normal, net.now());
  };
  std::vector<CircuitId> to_1, to_2;
  for (int i = 0; i < 20; ++i) {
    to_1.push_back(direct(1));
    to_2.push_back(direct(2));
  }
  net.run();
  // Some leave the middle of the link's list first.
  for (const std::size_t i : {0u, 7u, 19u}) net.node(0).circuits.close(to_1[i], net.now());
  net.run();
  net.close_link(0, 1);
  net.run();
  EXPECT_EQ(net.node(0).ended.size(), 17u);
  EXPECT_EQ(net.node(1).circuits.size(), 0u);
  EXPECT_EQ(net.node(0).circuits.size(), 20u);
  for (const CircuitId id : to_2) EXPECT_TRUE(net.node(0).circuits.info(id)->ready);
  net.close_link(0, 2);
  net.run();
  net.expect_empty();
}

TEST(Teardown, LinkThatClosesDuringTheBuildIsReportedByTheHopBefore) {
  Net net({.seed = 41});
  net.add_many(4);
  net.node(2).extend_never = true;  // the build rests at hop 2
  ASSERT_TRUE(net.node(0).circuits.build(net.route(3), Priority::normal, net.now()).has_value());
  net.run();
  net.close_link(1, 2);
  net.run();
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::unreachable);
  EXPECT_EQ(net.node(0).ended[0].failed_hop, 1u);
  net.expect_empty();
}

TEST(Teardown, EndOfABuildOnTheWayBlamesNobody) {
  Net net({.seed = 42});
  net.add_many(4);
  net.node(2).extend_never = true;
  ASSERT_TRUE(net.node(0).circuits.build(net.route(3), Priority::normal, net.now()).has_value());
  net.run();
  net.node(1).circuits.close(net.node(1).only(), net.now());
  net.run();
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::circuit_failed);
  EXPECT_EQ(net.node(0).ended[0].failed_hop, Circuits::kHopUnknown);
  net.expect_empty();
}

TEST(Teardown, DuringTheBuildAtAnyMoment) {
  std::size_t unfinished = 0;
  for (int step = 0; step < 60; ++step) {
    Net net({.seed = 50});
    net.add_many(4);
    const auto id = net.node(0).circuits.build(net.route(3), Priority::low, net.now());
    net.pass(step * 1ms);
    unfinished += net.node(0).built.empty() ? 1 : 0;
    net.node(0).circuits.close(*id, net.now());
    net.run();
    EXPECT_TRUE(net.node(0).ended.empty());
    net.expect_empty();
  }
  EXPECT_GT(unfinished, 5u);
  EXPECT_LT(unfinished, 60u);
}

TEST(Idle, RelaysAndDestinationEndWhatNobodyUses) {
  Net net({.seed = 60});
  NodeOptions options;
  options.circuits.idle_timeout = 60s;
  net.add_many(4, options);
  const auto [out, in] = net.build(3, Priority::normal);
  for (int i = 0; i < 10; ++i) {
    net.pass(50s);
    ASSERT_TRUE(net.node(0).send(out, Priority::normal));
  }
  net.pass(59s);
  EXPECT_EQ(net.circuits(), 4u) << "a cell every 50 s keeps it";
  EXPECT_EQ(net.node(3).payloads[in].size(), 10u);
  net.pass(2s);
  net.run();
  EXPECT_EQ(net.node(0).ended.size(), 1u);
  ASSERT_EQ(net.node(3).ended.size(), 1u);
  std::size_t idle = 0;
  for (std::size_t i = 0; i < 4; ++i) idle += net.node(i).circuits.stats().ended_idle;
  EXPECT_GE(idle, 1u);
  net.expect_empty();
}

TEST(Idle, EndsSoonerWhenAskedAndOnlyWhatIsIdle) {
  Net net({.seed = 61});
  net.add_many(3);
  const auto [quiet, quiet_in] = net.build(2, Priority::normal);
  net.pass(30s);
  const auto [busy, busy_in] = net.build(2, Priority::normal);
  Circuits& relay = net.node(1).circuits;
  ASSERT_EQ(relay.size(), 2u);
  EXPECT_EQ(relay.end_idle(60s, 100, net.now()), 0u);
  // In pieces of one, it comes round to all of them.
  std::size_t ended = 0;
  for (int i = 0; i < 4; ++i) ended += relay.end_idle(20s, 1, net.now());
  EXPECT_EQ(ended, 1u);
  net.run();
  EXPECT_EQ(relay.size(), 1u);
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].circuit, quiet);
  EXPECT_TRUE(net.node(0).send(busy, Priority::normal));
  net.run();
  EXPECT_EQ(net.node(2).payloads[busy_in].size(), 1u);
}

TEST(Shed, EndsTheRelayedCircuitsThatAreStuckForLongest) {
  Net net({.seed = 62});
  net.add_many(3);
  const auto [first, first_in] = net.build(2, Priority::low);
  const auto [second, second_in] = net.build(2, Priority::low);
  const auto [normal, normal_in] = net.build(2, Priority::normal);
  net.node(2).window_shut = true;  // a slow receiver: cells pile up at the relay
  net.node(0).stream(first, Priority::low, 50);
  net.run();
  net.pass(1s);
  net.node(0).stream(second, Priority::low, 50);
  net.node(0).stream(normal, Priority::normal, 500);
  net.run();
  Circuits& relay = net.node(1).circuits;
  EXPECT_EQ(relay.shed(Priority::high, 10, net.now()), 0u) << "there are none";
  ASSERT_EQ(relay.shed(Priority::low, 1, net.now()), 1u);
  net.run();
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].circuit, first);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::refused_by_peer);
  EXPECT_EQ(relay.stats().ended_shed[2], 1u);
  EXPECT_EQ(relay.shed(Priority::low, 10, net.now()), 1u);
  EXPECT_EQ(relay.size(), 1u) << "normal is another step";
}

TEST(Shed, WhoBringsLittleLosesOnlyWhatHasBeenStuckForLong) {
  Net net({.seed = 63});
  net.add_many(4);
  const auto [busy, busy_in] = net.build(2, Priority::normal);
  const auto other = net.node(3).circuits.build(std::vector{net.node(1).hop(), net.node(2).hop()},
                                                Priority::normal, net.now());
  ASSERT_TRUE(other);
  net.run();
  net.pass(3s);  // what the builds brought is forgotten
  net.node(0).stream(busy, Priority::normal, 1'500);
  net.run();
  net.node(2).window_shut = true;
  net.node(0).stream(busy, Priority::normal, 200);
  net.node(3).stream(*other, Priority::normal, 100);
  net.run();
  Circuits& relay = net.node(1).circuits;
  EXPECT_EQ(relay.shed(Priority::normal, 10, net.now()), 1u);
  net.run();
  EXPECT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_TRUE(net.node(3).ended.empty());
  net.pass(6s);
  EXPECT_EQ(relay.shed(Priority::normal, 10, net.now()), 1u);
}

// Contexts are put away after 5 s and made again for the next cell, in both directions, as often as
// it takes; what was put away must not come back with an old counter.
TEST(Life, AnIdleCircuitRestsAndWakes) {
  Net net({.seed = 61});
  net.add_many(3);
  const auto [out, in] = net.build(2, Priority::normal);
  const auto rested = [&](std::size_t node) { return net.node(node).circuits.stats().rested; };
  for (std::uint64_t round = 1; round <= 3; ++round) {
    for (int i = 0; i < 40; ++i) {  // busy for longer than it takes to rest
      ASSERT_TRUE(net.node(0).send(out, Priority::normal));
      ASSERT_TRUE(net.node(2).send(in, Priority::normal));
      net.pass(200ms);
    }
    EXPECT_EQ(rested(1), round - 1) << "while cells pass it does not rest";
    EXPECT_EQ(rested(2), round - 1);
    net.pass(11s);
    EXPECT_EQ(rested(1), round);
    EXPECT_EQ(rested(2), round);
    EXPECT_EQ(rested(0), 0u) << "a source is message's to put away";
    EXPECT_EQ(net.node(2).payloads[in].size(), 40 * round);
    EXPECT_EQ(net.node(0).payloads[out].size(), 40 * round);
  }
  EXPECT_EQ(net.node(0).payloads[out], net.node(2).sent[in]);
  EXPECT_EQ(net.node(2).payloads[in], net.node(0).sent[out]);
}

TEST(Shutdown, EndsEverythingAndTakesNothingNew) {
  Busy busy(70);
  Node& node = busy.net.node(0);
  node.circuits.shutdown(busy.net.now());
  EXPECT_EQ(node.circuits.size(), 0u);
  ASSERT_EQ(node.ended.size(), 1u);
  EXPECT_EQ(node.ended[0].why, Errc::shutting_down);
  EXPECT_EQ(node.circuits.build(busy.net.route(1), Priority::normal, busy.net.now()).error(),
            Errc::shutting_down);
  Stream& stranger = busy.net.connect(SIZE_MAX, 0);
  busy.net.run();
  EXPECT_EQ(stranger.end[0].ended, EndCode::shutdown);
  busy.net.expect_empty();
}

// ---- events that call back ----------------------------------------------------------------------

TEST(Reentry, CloseInsidePayload) {
  for (const std::size_t closer : {std::size_t{0}, std::size_t{3}}) {
    Net net({.seed = 80, .chunk_max = 20'000});
    net.add_many(4);
    const auto [out, in] = net.build(3, Priority::normal);
    Node& node = net.node(closer);
    node.when_payload = [&](CircuitId id) {
      if (node.payloads[id].size() == 3) node.circuits.close(id, net.now());
    };
    if (closer == 0) {
      net.node(3).stream(in, Priority::normal, 100);
    } else {
      net.node(0).stream(out, Priority::normal, 100);
    }
    net.run();
    EXPECT_EQ(node.payloads[closer == 0 ? out : in].size(), 3u);
    EXPECT_TRUE(node.ended.empty());
    net.expect_empty();
  }
}

TEST(Reentry, AnswerInsidePayload) {
  Net net({.seed = 81});
  net.add_many(4);
  const auto [out, in] = net.build(3, Priority::normal);
  Node& echo = net.node(3);
  echo.when_payload = [&](CircuitId id) { ASSERT_TRUE(echo.send(id, Priority::normal)); };
  net.node(0).stream(out, Priority::normal, 200);
  net.run();
  EXPECT_TRUE(net.node(0).payloads[out] == echo.sent[in]);
  EXPECT_EQ(net.node(0).payloads[out].size(), 200u);
  net.expect_drained();
  echo.circuits.shutdown(net.now());
  net.run();
  net.expect_empty();
}

TEST(Reentry, CloseInsideBuiltAndIncoming) {
  for (const bool at_source : {false, true}) {
    Net net({.seed = 82});
    net.add_many(4);
    Node& node = net.node(at_source ? 0 : 3);
    const auto close = [&](CircuitId id) { node.circuits.close(id, net.now()); };
    (at_source ? node.when_built : node.when_incoming) = close;
    ASSERT_TRUE(net.node(0).circuits.build(net.route(3), Priority::normal, net.now()).has_value());
    net.run();
    EXPECT_EQ(net.node(at_source ? 3 : 0).ended.size(), 1u);
    EXPECT_TRUE(node.ended.empty());
    net.expect_empty();
  }
}

TEST(Reentry, BuildAndCloseInsideEnded) {
  Net net({.seed = 83});
  net.add_many(4);
  Node& source = net.node(0);
  std::vector<CircuitId> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(*source.circuits.build(net.route(3), Priority::normal, net.now()));
  }
  net.run();
  // The end of one circuit closes another, itself (gone), and builds a new one.
  std::size_t rebuilt = 0;
  source.when_ended = [&](CircuitId ended) {
    source.circuits.close(ended, net.now());
    if (!ids.empty()) {
      source.circuits.close(ids.back(), net.now());
      ids.pop_back();
    }
    if (source.circuits.build(net.route(3), Priority::normal, net.now()).has_value()) ++rebuilt;
  };
  net.close_link(0, 1);
  net.run();
  EXPECT_EQ(rebuilt, source.ended.size());
  EXPECT_EQ(source.circuits.size(), rebuilt);
  EXPECT_GT(rebuilt, 0u);
  source.when_ended = nullptr;
  source.circuits.shutdown(net.now());
  net.run();
  net.expect_empty();
}

TEST(Reentry, ShutdownInsideAnything) {
  for (int where = 0; where < 4; ++where) {
    Net net({.seed = 84});
    net.add_many(4);
    Node& source = net.node(0);
    Node& destination = net.node(3);
    const auto stop = [&](Node& node) {
      return [&](CircuitId) { node.circuits.shutdown(net.now()); };
    };
    if (where == 0) source.when_built = stop(source);
    if (where == 1) destination.when_incoming = stop(destination);
    if (where == 2) source.when_payload = stop(source);
    if (where == 3) destination.when_payload = stop(destination);
    const auto id = source.circuits.build(net.route(3), Priority::normal, net.now());
    net.run();
    if (where >= 2) {
      source.stream(*id, Priority::normal, 20);
      destination.stream(destination.incoming.at(0), Priority::normal, 20);
      net.run();
    }
    net.expect_empty();
  }
}

// ---- the same for many, at random ---------------------------------------------------------------

/// What an end of a circuit got is what one other end sent, from its beginning and in order.
void expect_prefixes(Net& net) {
  std::map<Data, std::vector<Data>*> by_first;
  for (std::size_t i = 0; i < net.size(); ++i) {
    for (auto& [id, sent] : net.node(i).sent) by_first[sent.at(0)] = &sent;
  }
  std::size_t received = 0;
  for (std::size_t i = 0; i < net.size(); ++i) {
    for (const auto& [id, got] : net.node(i).payloads) {
      received += got.size();
      const auto sent = by_first.find(got.at(0));
      ASSERT_NE(sent, by_first.end());
      ASSERT_LE(got.size(), sent->second->size());
      EXPECT_TRUE(std::equal(got.begin(), got.end(), sent->second->begin()));
    }
  }
  EXPECT_GT(received, 20u) << "too little happened";
}

TEST(Chaos, NothingIsLeftBehind) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Net net({.seed = seed, .window_bytes = 20'000});
    NodeOptions options;
    options.circuits.circuits_max = 12;
    options.circuits.ahead_bytes = 8 * 1024;
    net.add_many(7, options);
    for (int round = 0; round < 60; ++round) {
      Node& node = net.node(net.chance() % net.size());
      switch (net.chance() % 8) {
        case 0:
        case 1:
        case 2: {
          std::vector<onion::RouteHop> route;
          for (std::size_t i = 1; i < net.size() && route.size() <= net.chance() % 6; ++i) {
            route.push_back(net.node((node.index + i) % net.size()).hop());
          }
          (void)node.circuits.build(route, static_cast<Priority>(net.chance() % 3), net.now());
          break;
        }
        case 3: {
          const std::size_t other = (node.index + 1) % net.size();
          net.close_link(node.index, other);
          break;
        }
        case 4:
          node.extend_error =
              net.chance() % 2 == 0 ? std::optional(Errc::unreachable) : std::nullopt;
          break;
        default: {
          const auto list = node.circuits.list();
          if (list.empty()) break;
          const CircuitInfo info = list[net.chance() % list.size()];
          if (net.chance() % 4 == 0) {
            node.circuits.close(info.id, net.now());
          } else if (info.ready && info.role != CircuitRole::relay) {
            node.stream(info.id, info.priority, net.chance() % 60);
          }
        }
      }
      net.pass(Duration(static_cast<Duration::rep>(net.chance() % 20'000'000)));
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "seed " << seed;
    }
    net.run();
    net.expect_drained();
    expect_prefixes(net);
    for (std::size_t i = 0; i < net.size(); ++i) net.node(i).circuits.shutdown(net.now());
    net.run();
    net.pass(20s);
    net.expect_empty();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace qudag::circuit::test
