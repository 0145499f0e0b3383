// Building circuits: every length, every way in which it can fail, and what the source hears of it.
#include "circuit/cell_turns.h"
#include "circuit/net.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace qudag::circuit::test {
namespace {

constexpr std::size_t kPrefaceBytes = 2;
constexpr std::size_t kHandshakeBytes = kPrefaceBytes + limits::kBuildMessageBytes;

/// The bytes of a valid build from node 0, addressed to node 1 as its first hop, that was never
/// sent.
Data valid_build(Net& net, std::size_t hops, Priority priority) {
  onion::BuildMessage message;
  auto pending = onion::start_build(net.route(hops), priority, net.now().unix_seconds,
                                    net.node(0).rng, message);
  EXPECT_TRUE(pending.has_value());
  Data out{std::byte{0x01}, static_cast<std::byte>(priority)};
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

class BuildLengths : public ::testing::TestWithParam<std::tuple<int, Priority>> {};

TEST_P(BuildLengths, BuildsEndToEndInOneRoundTrip) {
  const auto [relays, priority] = GetParam();
  const std::size_t hops = static_cast<std::size_t>(relays) + 1;
  Net net({.seed = 100 + hops});
  net.add_many(hops + 1);
  const auto [out, in] = net.build(hops, priority);

  const CircuitInfo source = *net.node(0).circuits.info(out);
  EXPECT_TRUE(source.ready);
  EXPECT_EQ(source.role, CircuitRole::source);
  EXPECT_EQ(source.priority, priority);
  const CircuitInfo destination = *net.node(hops).circuits.info(in);
  EXPECT_TRUE(destination.ready);
  EXPECT_EQ(destination.role, CircuitRole::destination);
  for (std::size_t i = 1; i < hops; ++i) {
    const CircuitInfo relay = net.node(i).circuits.list().at(0);
    EXPECT_TRUE(relay.ready);
    EXPECT_EQ(relay.role, CircuitRole::relay);
    EXPECT_EQ(relay.priority, priority);
    EXPECT_EQ(net.node(i).circuits.stats().accepted_relay, 1u);
  }
  // All streams carry the same number of bytes, and both ends of each know the priority.
  for (Stream* stream : net.streams()) {
    EXPECT_EQ(stream->end[0].sent, kHandshakeBytes);
    EXPECT_EQ(stream->end[1].sent, limits::kReplyMessageBytes);
    EXPECT_EQ(stream->end[1].priority, priority);
  }
  EXPECT_EQ(net.node(0).circuits.stats().builds_ready, 1u);
  EXPECT_EQ(net.node(hops).circuits.stats().accepted_destination, 1u);
  net.expect_drained();
  net.node(0).circuits.close(out, net.now());
  net.run();
  net.expect_empty();
}

INSTANTIATE_TEST_SUITE_P(All, BuildLengths,
                         ::testing::Combine(::testing::Range(0, 6),
                                            ::testing::Values(Priority::high, Priority::normal,
                                                              Priority::low)));

// ---- riders -------------------------------------------------------------------------------------

Data some_rider(Net& net) {
  Data out(onion::kRiderBytes);
  for (std::byte& b : out) b = static_cast<std::byte>(net.chance());
  return out;
}

/// On every link the same bytes in number and time as without one; at the destination once.
TEST(Riders, AreThereWithTheBuildAndChangeNoSizeOnAnyLink) {
  for (const std::size_t hops : {1u, 2u, 3u, 4u}) {
    std::map<std::pair<std::size_t, std::size_t>, std::size_t> bytes[2];
    for (const bool rides : {false, true}) {
      Net net({.seed = 5});
      net.add_many(hops + 1);
      net.tamper = [&](std::size_t from, std::size_t to, std::size_t, Data& data) {
        bytes[rides ? 1 : 0][{from, to}] += data.size();
      };
      const Data rider = rides ? some_rider(net) : Data{};
      const auto id =
          net.node(0).circuits.build(net.route(hops), Priority::normal, net.now(), rider);
      ASSERT_TRUE(id.has_value());
      net.run();
      EXPECT_EQ(net.node(0).built.size(), 1u);
      Node& end = net.node(hops);
      EXPECT_EQ(end.riders.size(), rides ? 1u : 0u);
      if (rides) {
        EXPECT_EQ(end.riders.at(end.incoming.at(0)), rider);
      }
      EXPECT_EQ(net.node(0).circuits.stats().riders_sent, rides ? 1u : 0u);
      EXPECT_EQ(end.circuits.stats().riders_taken, rides ? 1u : 0u);
      net.node(0).circuits.close(*id, net.now());
      net.run();
      net.expect_empty();
    }
    EXPECT_EQ(bytes[0], bytes[1]);
  }
}

TEST(Riders, AreRefusedWhereThereIsNoRoom) {
  Net net;
  net.add_many(6);
  const Data rider = some_rider(net);
  EXPECT_EQ(net.node(0).circuits.build(net.route(5), Priority::normal, net.now(), rider).error(),
            Errc::invalid_argument);
  net.expect_empty();
}

/// Who recorded a build and brings it again, to the same node over whichever link, changes nothing.
TEST(Riders, AReplayedBuildDeliversNothing) {
  Net net({.seed = 9});
  net.add_many(3);
  Data seen;
  net.tamper = [&](std::size_t from, std::size_t to, std::size_t, Data& data) {
    if (from == 1 && to == 2) seen.insert(seen.end(), data.begin(), data.end());
  };
  ASSERT_TRUE(
      net.node(0).circuits.build(net.route(2), Priority::normal, net.now(), some_rider(net)));
  net.run();
  net.tamper = nullptr;
  ASSERT_EQ(seen.size(), 2 + limits::kBuildMessageBytes);
  ASSERT_EQ(net.node(2).riders.size(), 1u);
  for (int i = 0; i < 3; ++i) {
    Stream& again = net.connect(SIZE_MAX, 2);
    net.raw_write(again, seen);
    net.run();
    EXPECT_EQ(again.end[0].ended, EndCode::refused);
  }
  EXPECT_EQ(net.node(2).riders.size(), 1u);
  EXPECT_EQ(net.node(2).circuits.stats().refused_replay, 3u);
}

/// One that was changed on the way is not heard of at all.
TEST(Riders, AChangedOneEndsTheBuild) {
  for (const std::size_t at : {2'402u, 5'000u, 7'201u}) {  // of preface and build
    Net net({.seed = 10});
    net.add_many(3);
    net.tamper = [&](std::size_t from, std::size_t to, std::size_t offset, Data& data) {
      if (from != 1 || to != 2 || at < offset || at >= offset + data.size()) return;
      data[at - offset] ^= std::byte{1};
    };
    ASSERT_TRUE(
        net.node(0).circuits.build(net.route(2), Priority::normal, net.now(), some_rider(net)));
    net.run();
    EXPECT_TRUE(net.node(2).riders.empty());
    EXPECT_TRUE(net.node(2).incoming.empty());
    EXPECT_EQ(net.node(2).circuits.stats().refused_auth, 1u);
  }
}

/// The layer above may close the circuit while it hears of it.
TEST(Riders, ACircuitThatIsClosedAtOnceHasNone) {
  Net net({.seed = 12});
  net.add_many(2);
  Node& end = net.node(1);
  end.when_incoming = [&](CircuitId circuit) { end.circuits.close(circuit, net.now()); };
  ASSERT_TRUE(
      net.node(0).circuits.build(net.route(1), Priority::normal, net.now(), some_rider(net)));
  net.run();
  EXPECT_TRUE(end.riders.empty());
  EXPECT_EQ(net.node(0).ended.size(), 1u);
  net.expect_empty();
}

/// What a rider costs is work of the turn: cells for this node wait for what is left of it.
TEST(Riders, WhatTheyCostIsWorkOfTheTurn) {
  CellTurns turns;
  const Now now{TimePoint(1h), 0};
  EXPECT_TRUE(turns.at_once(now));
  turns.spend(CellTurns::kTurnWork, now);
  EXPECT_FALSE(turns.at_once(now));
  EXPECT_TRUE(turns.at_once({now.mono + 1ms, 0})) << "the next turn";
}

TEST(Build, ManyAtOnceOverSharedLinks) {
  Net net({.seed = 7});
  net.add_many(4);
  std::vector<CircuitId> ids;
  for (int i = 0; i < 40; ++i) {
    ids.push_back(*net.node(0).circuits.build(net.route(3), Priority::normal, net.now()));
  }
  net.run();
  EXPECT_EQ(net.node(0).built.size(), 40u);
  EXPECT_EQ(net.node(3).incoming.size(), 40u);
  for (const CircuitId id : ids) net.node(0).circuits.close(id, net.now());
  net.run();
  net.expect_empty();
  EXPECT_TRUE(net.node(0).ended.empty()) << "our own close is not told";
  EXPECT_EQ(net.node(3).ended.size(), 40u);
}

TEST(Build, RefusesBadRoutes) {
  Net net;
  net.add_many(8);
  EXPECT_EQ(net.node(0).circuits.build({}, Priority::normal, net.now()).error(),
            Errc::invalid_argument);
  EXPECT_EQ(net.node(0).circuits.build(net.route(7), Priority::normal, net.now()).error(),
            Errc::invalid_argument);
  net.expect_empty();
}

// ---- a hop that cannot go on --------------------------------------------------------------------

struct FailedExtend {
  Errc answer;               // of the failing node's Sink
  Errc at_source;            // when the failing node is a relay
  std::size_t failed_after;  // 1: the hop behind the failing one is blamed
};

class ExtendFails : public ::testing::TestWithParam<std::tuple<FailedExtend, int, bool>> {};

TEST_P(ExtendFails, SourceHearsWhichHopAndWhy) {
  const auto [fault, at, inside] = GetParam();
  const auto failing = static_cast<std::size_t>(at);
  Net net({.seed = 11});
  net.add_many(5);
  net.node(failing).extend_error = fault.answer;
  net.node(failing).extend_inside = inside;
  const auto id = net.node(0).circuits.build(net.route(4), Priority::normal, net.now());
  net.run();

  Node& source = net.node(0);
  if (failing == 0 && inside) {
    ASSERT_FALSE(id.has_value());
    EXPECT_EQ(id.error(), fault.answer);
    EXPECT_TRUE(source.ended.empty()) << "build() said it already";
  } else {
    ASSERT_TRUE(id.has_value());
    ASSERT_EQ(source.ended.size(), 1u);
    EXPECT_EQ(source.ended[0].circuit, *id);
    EXPECT_EQ(source.ended[0].why, failing == 0 ? fault.answer : fault.at_source);
    EXPECT_EQ(source.ended[0].failed_hop, failing == 0 ? 0 : failing - 1 + fault.failed_after);
  }
  EXPECT_EQ(net.node(failing).circuits.stats().extend_failed, 1u);
  EXPECT_EQ(source.circuits.stats().builds_failed, 1u);
  EXPECT_TRUE(source.built.empty());
  net.expect_empty();
}

INSTANTIATE_TEST_SUITE_P(
    All, ExtendFails,
    ::testing::Combine(
        ::testing::Values(FailedExtend{Errc::unknown_destination, Errc::unreachable, 1},
                          FailedExtend{Errc::unreachable, Errc::unreachable, 1},
                          FailedExtend{Errc::refused_links, Errc::refused_by_peer, 0},
                          FailedExtend{Errc::would_block, Errc::refused_by_peer, 0}),
        ::testing::Range(0, 4), ::testing::Bool()));

TEST(Build, NextHopThatResetsIsReportedByTheHopBeforeIt) {
  Net net({.seed = 3});
  net.add_many(2);
  net.add({.circuits = {.circuits_max = 0}});  // node 2 refuses every stream
  net.add();
  ASSERT_TRUE(net.node(0).circuits.build(net.route(3), Priority::low, net.now()).has_value());
  net.run();
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::refused_by_peer) << "a limit is no defect";
  EXPECT_EQ(net.node(0).ended[0].failed_hop, 1u);
  EXPECT_EQ(net.node(2).circuits.stats().refused_limit, 1u);
  net.expect_empty();
}

TEST(Build, FirstHopThatRefusesIsBlamed) {
  Net net;
  net.add();
  net.add({.circuits = {.circuits_max = 0}});
  ASSERT_TRUE(net.node(0).circuits.build(net.route(1), Priority::low, net.now()).has_value());
  net.run();
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::refused_by_peer);
  EXPECT_EQ(net.node(0).ended[0].failed_hop, 0u);
  net.expect_empty();
}

TEST(Build, NodeThatIsNoRelayRefusesToGoOnButIsADestination) {
  Net net;
  net.add_many(2);
  net.add({.circuits = {.relay = false}});
  net.add();
  ASSERT_TRUE(net.node(0).circuits.build(net.route(3), Priority::normal, net.now()).has_value());
  net.run();
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::refused_by_peer);
  EXPECT_EQ(net.node(0).ended[0].failed_hop, 1u);
  EXPECT_EQ(net.node(2).circuits.stats().refused_not_relay, 1u);
  EXPECT_EQ(net.node(2).circuits.stats().accepted_relay, 0u);
  net.expect_empty();

  const auto [out, in] = net.build(2, Priority::normal);
  net.node(2).circuits.close(in, net.now());
  net.run();
  ASSERT_EQ(net.node(0).ended.size(), 2u);
  EXPECT_EQ(net.node(0).ended[1].circuit, out);
  net.expect_empty();
}

// A reply that was changed on its way is not taken for anything.
TEST(Build, ChangedReplyFailsAuthentication) {
  for (std::size_t link = 0; link < 3; ++link) {
    Net net({.seed = 20 + link});
    net.add_many(4);
    net.tamper = [link](std::size_t from, std::size_t to, std::size_t offset, Data& data) {
      if (from == link + 1 && to == link && offset <= 100 && offset + data.size() > 100) {
        data[100 - offset] ^= std::byte{1};
      }
    };
    ASSERT_TRUE(net.node(0).circuits.build(net.route(3), Priority::normal, net.now()).has_value());
    net.run();
    ASSERT_EQ(net.node(0).ended.size(), 1u);
    EXPECT_EQ(net.node(0).ended[0].why, Errc::authentication_failed);
    net.expect_empty();
  }
}

TEST(Build, ChangedBuildIsRefusedByTheNextHop) {
  for (std::size_t link = 0; link < 3; ++link) {
    for (const std::size_t position : {2u, 1122u, 1138u, 2402u, 9000u, 14401u}) {
      Net net({.seed = 30 + link});
      net.add_many(4);
      net.tamper = [link, position](std::size_t from, std::size_t to, std::size_t offset,
                                    Data& data) {
        if (from == link && to == link + 1 && offset <= position &&
            offset + data.size() > position) {
          data[position - offset] ^= std::byte{0x80};
        }
      };
      ASSERT_TRUE(
          net.node(0).circuits.build(net.route(3), Priority::normal, net.now()).has_value());
      net.run();
      EXPECT_EQ(net.node(link + 1).circuits.stats().refused_auth, 1u) << position;
      ASSERT_EQ(net.node(0).ended.size(), 1u);
      // Hop 1 speaks for itself with `protocol`; of later hops the hop before tells.
      EXPECT_EQ(net.node(0).ended[0].why, link == 0 ? Errc::circuit_failed : Errc::unreachable);
      EXPECT_EQ(net.node(0).ended[0].failed_hop, link);
      net.expect_empty();
    }
  }
}

// ---- what strangers send ------------------------------------------------------------------------

TEST(Incoming, ReplayedBuildIsRefused) {
  Net net({.seed = 5});
  net.add_many(3);
  const Data bytes = valid_build(net, 2, Priority::normal);
  Stream& first = net.connect(SIZE_MAX, 1);
  net.raw_write(first, bytes);
  net.run();
  EXPECT_EQ(first.end[0].got.size(), limits::kReplyMessageBytes);
  EXPECT_EQ(net.node(2).incoming.size(), 1u);

  Stream& second = net.connect(SIZE_MAX, 1);
  net.raw_write(second, bytes);
  net.run();
  EXPECT_EQ(second.end[0].ended, EndCode::refused);
  EXPECT_TRUE(second.end[0].got.empty());
  EXPECT_EQ(net.node(1).circuits.stats().refused_replay, 1u);
  EXPECT_EQ(net.node(2).incoming.size(), 1u);

  net.raw_reset(first, EndCode::none);
  net.run();
  net.expect_empty();
}

TEST(Incoming, ExpiredBuildIsRefused) {
  Net net;
  net.add_many(2);
  const Data bytes = valid_build(net, 1, Priority::normal);
  net.pass(20min);
  Stream& stream = net.connect(SIZE_MAX, 1);
  net.raw_write(stream, bytes);
  net.run();
  EXPECT_EQ(stream.end[0].ended, EndCode::refused);
  EXPECT_EQ(net.node(1).circuits.stats().refused_expired, 1u);
  net.expect_empty();
}

TEST(Incoming, GarbagePrefacesAreRefusedAtTheirFirstWrongByte) {
  for (int first = 0; first < 256; ++first) {
    for (const int second : {0, 1, 2, 3, 0x7f, 0xff}) {
      if (first == 1 && second <= 2) continue;
      Net net({.seed = static_cast<std::uint64_t>(first), .chunk_max = 1});
      net.add_many(1);
      Stream& stream = net.connect(SIZE_MAX, 0);
      net.raw_write(stream, Data{static_cast<std::byte>(first), static_cast<std::byte>(second)});
      net.run();
      ASSERT_EQ(stream.end[0].ended, EndCode::protocol) << first << " " << second;
      ASSERT_EQ(net.node(0).circuits.stats().refused_malformed, 1u);
      net.expect_empty();
      if (first > 3 && first < 250) break;  // one second byte will do
    }
    if (first == 3) first = 249;
  }
}

TEST(Incoming, PriorityOfPrefaceMustBeTheRecords) {
  Net net;
  net.add_many(2);
  Data bytes = valid_build(net, 1, Priority::normal);
  bytes[1] = static_cast<std::byte>(Priority::low);
  Stream& stream = net.connect(SIZE_MAX, 1);
  net.raw_write(stream, bytes);
  net.run();
  EXPECT_EQ(stream.end[0].ended, EndCode::protocol);
  EXPECT_EQ(net.node(1).circuits.stats().refused_malformed, 1u);
  net.expect_empty();
}

TEST(Incoming, TruncatedBuildsTimeOut) {
  Net net;
  net.add_many(2);
  const Data bytes = valid_build(net, 1, Priority::normal);
  std::vector<Stream*> streams;
  for (const std::size_t length : {0u, 1u, 2u, 3u, 1000u, 14401u}) {
    streams.push_back(&net.connect(SIZE_MAX, 1));
    net.raw_write(*streams.back(), Bytes(bytes).first(length));
  }
  net.run();
  EXPECT_EQ(net.circuits(), streams.size());
  net.pass(1'900ms);
  EXPECT_EQ(net.circuits(), streams.size());
  net.pass(200ms);
  EXPECT_EQ(net.circuits(), 1u) << "the one that had a fifth of its build and more";
  net.pass(2s);
  EXPECT_EQ(net.node(1).circuits.stats().builds_timed_out, streams.size());
  for (const Stream* stream : streams) EXPECT_EQ(stream->end[0].ended, EndCode::refused);
  net.expect_empty();
}

TEST(Incoming, TruncatedBuildsThatAreResetLeaveNothing) {
  Net net;
  net.add_many(2);
  const Data bytes = valid_build(net, 1, Priority::normal);
  for (const std::size_t length : {0u, 1u, 2u, 5000u, 14401u}) {
    Stream& stream = net.connect(SIZE_MAX, 1);
    net.raw_write(stream, Bytes(bytes).first(length));
    net.run();
    net.raw_reset(stream, EndCode::none);
    net.run();
    net.expect_empty();
  }
  EXPECT_EQ(net.node(1).circuits.stats().ended_peer, 5u);
}

TEST(Incoming, BytesBeforeTheReplyAreAProtocolError) {
  Net net;
  net.add_many(3);
  net.node(1).extend_never = true;
  Data bytes = valid_build(net, 2, Priority::normal);
  bytes.push_back(std::byte{0});
  Stream& stream = net.connect(SIZE_MAX, 1);
  net.raw_write(stream, bytes);
  net.run();
  EXPECT_EQ(stream.end[0].ended, EndCode::protocol);
  net.expect_empty();

  // The same while the next hop has the build and has not answered.
  net.node(1).extend_never = false;
  bytes = valid_build(net, 2, Priority::normal);
  net.tamper = [&](std::size_t from, std::size_t to, std::size_t, Data&) {
    if (from == 1 && to == 2 && net.streams().size() == 3)
      net.raw_write(*net.streams()[1], Data(1));
  };
  Stream& again = net.connect(SIZE_MAX, 1);
  net.raw_write(again, bytes);
  net.run();
  EXPECT_EQ(again.end[0].ended, EndCode::protocol);
  net.expect_empty();
}

// ---- time and limits ----------------------------------------------------------------------------

TEST(Limits, BuildTimesOutAtTheSource) {
  Net net;
  net.add_many(3);
  net.node(1).extend_never = true;
  ASSERT_TRUE(net.node(0).circuits.build(net.route(2), Priority::normal, net.now()).has_value());
  net.run();
  net.pass(9900ms);
  EXPECT_TRUE(net.node(0).ended.empty());
  net.pass(200ms);
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::timed_out);
  EXPECT_EQ(net.node(0).ended[0].failed_hop, Circuits::kHopUnknown);
  EXPECT_EQ(net.node(0).circuits.stats().builds_timed_out, 1u);
  EXPECT_EQ(net.node(0).circuits.stats().builds_failed, 1u);
  net.expect_empty();
}

/// Another one was faster: it has not failed, and those who may have it hear of its end.
TEST(Limits, ABuildThatLostARaceIsCountedApart) {
  for (const bool lost : {true, false}) {
    Net net;
    net.add_many(3);
    net.node(1).extend_never = true;
    Circuits& source = net.node(0).circuits;
    const auto id = source.build(net.route(2), Priority::normal, net.now());
    ASSERT_TRUE(id.has_value());
    net.run();
    if (lost) {
      source.lost_race(*id, net.now());
    } else {
      source.close(*id, net.now());
    }
    net.run();
    EXPECT_TRUE(net.node(0).ended.empty());
    EXPECT_EQ(source.stats().builds_given_up, lost ? 1u : 0u);
    EXPECT_EQ(source.stats().builds_failed, lost ? 0u : 1u);
    net.expect_empty();
  }
}

TEST(Limits, AnswerThatComesTooLateIsReset) {
  Net net;
  net.add_many(2);
  Circuits& circuits = net.node(0).circuits;
  net.node(0).extend_never = true;
  const auto id = circuits.build(net.route(1), Priority::normal, net.now());
  net.pass(11s);
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  Stream& late = net.connect(0, 1);
  circuits.on_extended(id->value, late.key, net.now());
  net.run();
  EXPECT_FALSE(late.end[0].open);
  EXPECT_EQ(late.end[1].ended, EndCode::destroyed);
  net.expect_empty();
}

// A hop that waits for its last word to leave does not wait for ever.
TEST(Limits, UnsentRepliesAreGivenUp) {
  for (const bool next_failed_later : {false, true}) {
    Net net({.seed = 14});
    net.add_many(3);
    const Data bytes = valid_build(net, 2, Priority::normal);
    Node& relay = net.node(1);
    Node& destination = net.node(2);
    if (next_failed_later) {
      // Ready, and then over, before the reply of the destination could be passed on.
      destination.when_incoming = [&](CircuitId) { relay.mute = true; };
    } else {
      relay.extend_error = Errc::unreachable;
      relay.mute = true;
    }
    Stream& stream = net.connect(SIZE_MAX, 1);
    net.raw_write(stream, bytes);
    net.run();
    if (next_failed_later) destination.circuits.shutdown(net.now());
    net.run();
    EXPECT_EQ(relay.circuits.size(), 1u);
    EXPECT_FALSE(relay.circuits.list()[0].ready);
    net.raw_write(stream, Data(5000));
    net.run();
    EXPECT_EQ(stream.end[1].consumed, stream.end[1].received) << "ignored, and given back";
    net.pass(9s);
    EXPECT_EQ(relay.circuits.size(), 1u);
    net.pass(2s);
    EXPECT_EQ(stream.end[0].ended, EndCode::destroyed);
    EXPECT_EQ(relay.circuits.stats().builds_timed_out, 0u);
    EXPECT_EQ(relay.circuits.stats().ended_idle, 0u);
    net.expect_empty();
  }
}

TEST(Limits, TheLastPlacesAreForHighPriority) {
  for (const bool own : {false, true}) {
    Net net;
    const CircuitsOptions bounded{.circuits_max = 32};
    net.add({.circuits = own ? bounded : CircuitsOptions{}});
    net.add({.circuits = own ? CircuitsOptions{} : bounded});
    const auto build = [&](Priority priority) {
      const bool asked = net.node(0).circuits.build(net.route(1), priority, net.now()).has_value();
      net.run();
      return asked;
    };
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(build(Priority::low));
    EXPECT_EQ(build(Priority::normal), !own);
    Circuits& full = net.node(own ? 0 : 1).circuits;
    EXPECT_EQ(full.size(), 30u);
    if (!own) {
      EXPECT_EQ(full.stats().refused_limit, 1u);
      EXPECT_EQ(net.node(0).ended.back().why, Errc::refused_by_peer);
    }
    for (int i = 0; i < 3; ++i) EXPECT_EQ(build(Priority::high), !own || i < 2);
    EXPECT_EQ(full.size(), 32u) << "two more than any other priority may have";
  }
}

// The overload manager's refusals: the priority is in the first two bytes.
TEST(Limits, CircuitsOfHighPriorityAreRefusedLast) {
  Net net;
  net.add_many(2);
  net.node(1).circuits.set_refusal({1, 0});
  for (const Priority priority : {Priority::normal, Priority::low}) {
    ASSERT_TRUE(net.node(0).circuits.build(net.route(1), priority, net.now()).has_value());
    net.run();
    EXPECT_EQ(net.node(0).ended.back().why, Errc::refused_by_peer);
  }
  EXPECT_EQ(net.node(1).circuits.stats().refused_overload, 2u);
  EXPECT_EQ(net.node(1).circuits.size(), 0u);
  net.build(1, Priority::high);
  EXPECT_EQ(net.node(1).circuits.size(), 1u);
  net.node(1).circuits.set_refusal({1, 1});
  ASSERT_TRUE(net.node(0).circuits.build(net.route(1), Priority::high, net.now()).has_value());
  net.run();
  EXPECT_EQ(net.node(1).circuits.size(), 1u) << "anybody may say that it is high";
  net.node(1).circuits.set_refusal({0, 0});
  net.build(1, Priority::low);
  EXPECT_EQ(net.node(1).circuits.size(), 2u);
}

TEST(Limits, CircuitsAndBuildsAreBounded) {
  Net net;
  net.add({.circuits = {.circuits_max = 5, .building_max = 3}});
  net.add({.circuits = {.circuits_max = 4}});
  Circuits& circuits = net.node(0).circuits;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(circuits.build(net.route(1), Priority::normal, net.now()).has_value());
  }
  EXPECT_EQ(circuits.build(net.route(1), Priority::normal, net.now()).error(),
            Errc::refused_circuits);
  net.run();
  EXPECT_EQ(net.node(0).built.size(), 3u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(circuits.build(net.route(1), Priority::normal, net.now()).has_value());
  }
  EXPECT_EQ(circuits.build(net.route(1), Priority::normal, net.now()).error(),
            Errc::refused_circuits)
      << "the table is full";
  net.run();
  EXPECT_EQ(net.node(0).built.size(), 4u);
  EXPECT_EQ(net.node(1).circuits.stats().refused_limit, 1u);
  ASSERT_EQ(net.node(0).ended.size(), 1u);
  EXPECT_EQ(net.node(0).ended[0].why, Errc::refused_by_peer);
  circuits.shutdown(net.now());
  net.run();
  net.expect_empty();
}

TEST(Limits, SilentStrangersDoNotStopOurOwnBuilds) {
  Net net;
  net.add({.circuits = {.building_max = 2}});
  net.add();
  std::vector<Stream*> strangers;
  for (int i = 0; i < 3; ++i) strangers.push_back(&net.connect(SIZE_MAX, 0));
  net.run();
  EXPECT_EQ(strangers[0]->end[0].ended, std::nullopt);
  EXPECT_EQ(std::ranges::count_if(strangers,
                                  [](Stream* s) { return s->end[0].ended == EndCode::refused; }),
            1);
  EXPECT_EQ(net.node(0).circuits.stats().refused_place, 1u);
  const auto [out, in] = net.build(1, Priority::normal);
  net.node(0).circuits.close(out, net.now());
  net.pass(11s);
  net.expect_empty();
}

TEST(Limits, ExhaustedPoolEndsTheBuild) {
  for (std::size_t starved = 0; starved < 3; ++starved) {
    Net net({.seed = starved});
    for (std::size_t i = 0; i < 3; ++i) {
      NodeOptions options;
      if (i == starved) options.pool.blocks_max = {0, 0};
      net.add(options);
    }
    const auto id = net.node(0).circuits.build(net.route(2), Priority::normal, net.now());
    net.run();
    ASSERT_TRUE(id.has_value());
    ASSERT_EQ(net.node(0).ended.size(), 1u);
    EXPECT_EQ(net.node(0).ended[0].why, starved == 0   ? Errc::refused_memory
                                        : starved == 1 ? Errc::circuit_failed
                                                       : Errc::unreachable);
    EXPECT_EQ(net.node(starved).circuits.stats().blocks_exhausted, 1u);
    EXPECT_TRUE(net.node(2).incoming.empty());
    EXPECT_TRUE(net.node(2).ended.empty()) << "never told of, so not told that it ended";
    net.expect_empty();
  }
}

}  // namespace
}  // namespace qudag::circuit::test
