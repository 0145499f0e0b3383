// Links whose ends change their addresses: paths, connection ids, and what is dialed anew.
#include "net.h"

#include <gtest/gtest.h>

#include <set>

namespace qudag::link::testing {
namespace {

const SocketAddress kElsewhere = SocketAddress::v4(10, 7, 7, 7, 999);
const SocketAddress kThere = SocketAddress::v4(10, 8, 8, 8, 998);

/// Of packets with a short header: which connection ids went to b, by the address they came from.
class Ids {
 public:
  explicit Ids(Pair& pair) {
    pair.net.tap = [this, &pair](const SocketAddress& from, const SocketAddress& to, Bytes data) {
      const bool is_short = (std::to_integer<unsigned>(data[0]) & 0x80u) == 0;
      if (!is_short || to != pair.b.address) return;
      seen_[from].insert({data.begin() + 1, data.begin() + 13});
    };
  }
  const std::set<std::vector<std::byte>>& from(const SocketAddress& address) {
    return seen_[address];
  }

 private:
  std::map<SocketAddress, std::set<std::vector<std::byte>>> seen_;
};

/// Data from a to b, in pieces, so that some is always under way.
void send_pieces(Pair& pair, StreamId stream, int count) {
  for (int i = 0; i < count; ++i) {
    pair.a->write(stream, pair.a.block(pattern(1'000, 1)));
    pair.net.run_for(2ms);
  }
}

void move_a(Pair& pair, const SocketAddress& to) {
  pair.a.address = to;
  pair.a->probe_peers(pair.a, pair.net.now());
}

TEST(Migration, AMovedLinkIsSeenWithOtherIds) {
  EndpointOptions sharded{.shard = 2, .shards = 3};
  Pair pair(1, {}, sharded);
  pair.connect();
  Ids ids(pair);
  pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
  const SocketAddress first = pair.a.address;
  const StreamId stream = pair.open();
  send_pieces(pair, stream, 20);
  move_a(pair, kElsewhere);
  send_pieces(pair, stream, 20);
  move_a(pair, kThere);
  send_pieces(pair, stream, 20);
  ASSERT_TRUE(pair.net.run(5s, [&] { return pair.b.events.bytes_in == 60'000; }));

  EXPECT_EQ((*pair.a).stats().links_moved, 2u);
  std::size_t all = 0;
  std::set<std::vector<std::byte>> distinct;
  for (const SocketAddress& at : {first, kElsewhere, kThere}) {
    ASSERT_FALSE(ids.from(at).empty());
    all += ids.from(at).size();
    distinct.insert(ids.from(at).begin(), ids.from(at).end());
    for (const auto& id : ids.from(at)) {
      EXPECT_EQ(std::to_integer<unsigned>(id[0]) % 3, 2u) << "it names its shard";
    }
  }
  EXPECT_EQ(distinct.size(), all) << "no id was seen at two addresses";
  EXPECT_EQ(pair.b->info(pair.remote_link)->remote, kThere);
  EXPECT_TRUE(pair.a.events.closed.empty());
  EXPECT_TRUE(pair.b.events.closed.empty());
}

TEST(Migration, SpareIdsComeAgain) {
  Pair pair;
  pair.connect();
  pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
  const StreamId stream = pair.open();
  pair.net.run_for(100ms);
  for (std::uint8_t i = 0; i < 20; ++i) {
    move_a(pair, SocketAddress::v4(10, 7, 7, i, 999));
    send_pieces(pair, stream, 100);
  }
  EXPECT_TRUE(pair.net.run(5s, [&] { return pair.b.events.bytes_in == 2'000'000; }))
      << pair.b.events.bytes_in
      << (pair.b.events.closed.empty() ? "" : pair.b.events.closed[0].second.message());
  EXPECT_EQ((*pair.a).stats().links_moved, 20u);
  EXPECT_TRUE(pair.a.events.closed.empty());
}

TEST(Migration, WithoutASpareIdTheOldOneGoesOnUntilOneComes) {
  Pair pair;
  pair.connect();
  Ids ids(pair);
  pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
  const StreamId stream = pair.open();
  send_pieces(pair, stream, 20);
  for (std::uint8_t i = 0; i < 10; ++i) move_a(pair, SocketAddress::v4(10, 7, 7, i, 999));
  EXPECT_LT((*pair.a).stats().links_moved, 10u);
  pair.net.run_for(1ms);
  const SocketAddress last = pair.a.address;
  const auto at_once = ids.from(last);
  EXPECT_FALSE(at_once.empty()) << "nothing waits for an id";
  send_pieces(pair, stream, 20);
  EXPECT_TRUE(pair.net.run(10s, [&] { return pair.b.events.bytes_in == 40'000; }));
  EXPECT_TRUE(pair.a.events.closed.empty());
  EXPECT_EQ(ids.from(last).size(), at_once.size() + 1) << "a fresh one goes on there";
  EXPECT_EQ(pair.b->info(pair.remote_link)->remote, last);
}

/// What the acceptor does about the first lasts for a second, with ids that the second needs.
TEST(Migration, ANatThatForgetsAndThenAMove) {
  for (int between = 0; between <= 500; between += 50) {
    SCOPED_TRACE(between);
    Pair pair;
    pair.net.faults.latency = 20ms;
    pair.connect();
    pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
    const StreamId stream = pair.open();
    send_pieces(pair, stream, 100);
    pair.a.address = kElsewhere;  // and a does not know
    send_pieces(pair, stream, between);
    move_a(pair, kThere);
    send_pieces(pair, stream, 1'000);
    const std::size_t bytes = 1'000u * (1'100u + static_cast<unsigned>(between));
    EXPECT_TRUE(pair.net.run(5s, [&] { return pair.b.events.bytes_in == bytes; }));
    EXPECT_EQ((*pair.a).stats().links_moved, 1u);
    EXPECT_TRUE(pair.a.events.closed.empty());
    EXPECT_TRUE(pair.b.events.closed.empty()) << pair.b.events.closed[0].second.message();
  }
}

TEST(Migration, NatsAndMovesInAnyOrder) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Pair pair(seed);
    pair.net.faults.latency = 20ms;
    pair.connect();
    pair.b.events.keep_data = false;
    pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
    const StreamId stream = pair.open();
    pair.net.run_for(100ms);  // in the handshake nobody may move (RFC 9000, 9)
    std::size_t bytes = 0;
    for (std::uint8_t i = 0; i < 10; ++i) {
      const auto pieces = static_cast<int>(pair.net.chance().below(200));
      send_pieces(pair, stream, pieces);
      bytes += 1'000u * static_cast<unsigned>(pieces);
      pair.a.address = SocketAddress::v4(10, 7, 7, i, 999);
      if (pair.net.chance().below(2) == 0) pair.a->probe_peers(pair.a, pair.net.now());
    }
    send_pieces(pair, stream, 1'000);
    bytes += 1'000'000;
    EXPECT_TRUE(pair.net.run(5s, [&] { return pair.b.events.bytes_in == bytes; }));
    EXPECT_TRUE(pair.a.events.closed.empty());
    EXPECT_TRUE(pair.b.events.closed.empty()) << pair.b.events.closed[0].second.message();
  }
}

TEST(Migration, AnAddressThatStaysChangesNothing) {
  Pair pair;
  pair.connect();
  pair.a->probe_peers(pair.a, pair.net.now());
  pair.b->probe_peers(pair.b, pair.net.now());
  pair.net.run_for(1s);
  EXPECT_EQ((*pair.a).stats().links_moved, 0u);
  EXPECT_EQ((*pair.a).stats().links_shown, 1u);
  EXPECT_EQ((*pair.b).stats().links_redialed, 0u);
}

EndpointOptions known() { return {.silence_max = 1'500ms, .known = true}; }

TEST(Migration, AnAcceptorThatMovedDialsWhoDialedIt) {
  Pair pair(1, known(), known());
  pair.connect();
  pair.b.events.when_data = [&](StreamId id, Bytes data) { pair.b->consume(id, data.size()); };
  const StreamId stream = pair.open();
  send_pieces(pair, stream, 20);
  ASSERT_EQ(pair.b->find(pair.a.id()), pair.remote_link);
  pair.net.run_for(1s);  // later than a dial at the same time could be

  pair.b.address = kElsewhere;
  const TimePoint moved = pair.net.now().mono;
  pair.b->probe_peers(pair.b, pair.net.now());
  pair.a->write(stream, pair.a.block(pattern(1'000, 1)));
  EXPECT_EQ((*pair.b).stats().links_redialed, 1u);
  ASSERT_TRUE(pair.net.run(5s, [&] { return !pair.a.events.closed.empty(); }));
  EXPECT_LT(pair.net.now().mono - moved, 1s) << "sooner than by silence alone";
  EXPECT_EQ(pair.a.events.closed[0].first, pair.link);
  EXPECT_EQ((*pair.a).stats().links_asked, 1u);
  const auto now = pair.a->find(pair.b.id());
  ASSERT_TRUE(now);
  EXPECT_EQ(*now, pair.a.events.ready.back()) << "what comes next goes over the new link";
  EXPECT_EQ(pair.a->info(*now)->remote, kElsewhere);
  EXPECT_TRUE(pair.a->open(*now, Priority::normal, 0));
}

TEST(Migration, ALinkThatIsAskedAndLivesStays) {
  // Two shards of one node have a link each: the second must not end the first.
  Pair pair(1, known(), known());
  pair.connect();
  EndpointOptions second = known();
  second.shard = 1;
  second.shards = 2;
  Peer& other = pair.net.add_twin(pair.b, second);
  ASSERT_TRUE(other->dial(pair.a.id(), pair.a.address, other.address, pair.net.now()));
  pair.net.run_for(10s);
  EXPECT_EQ(pair.a.events.ready.size(), 2u);
  EXPECT_EQ((*pair.a).stats().links_asked, 1u);
  EXPECT_TRUE(pair.a.events.closed.empty());
}

}  // namespace
}  // namespace qudag::link::testing
