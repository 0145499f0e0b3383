// An acceptor that would rather be elsewhere: its dialers go there, or stay if that does not work.
#include "link/path/preferred.h"
#include "base/reach.h"
#include "net.h"

#include <gtest/gtest.h>

#include <set>

namespace qudag::link::testing {
namespace {

const SocketAddress kFar = SocketAddress::v4(10, 9, 9, 9, 5000);

SocketAddress at(std::string_view text) { return *SocketAddress::parse(text); }

/// b prefers to be at `there`.
EndpointOptions prefers(const SocketAddress& there, std::uint8_t shards) {
  return {.shard = static_cast<std::uint8_t>(shards - 1),
          .shards = shards,
          .preferred_address = {there}};
}

/// a dials b and both send `bytes`, with streams opened before and after b is where it prefers.
struct Talk {
  explicit Talk(const SocketAddress& preferred, std::uint64_t seed = 1, std::uint8_t shards = 1)
      : pair(seed, {}, prefers(preferred, shards)), home(pair.b.address), there(preferred) {
    pair.b.also = {there};
    pair.net.tap = [this](const SocketAddress&, const SocketAddress& to, Bytes data) {
      if (!pair.b.is_at(to)) return;
      (to == there ? last_there : last_home) = ++count;
      const bool is_short = (std::to_integer<unsigned>(data[0]) & 0x80u) == 0;
      if (is_short) ids[to].insert({data.begin() + 1, data.begin() + 13});
    };
  }

  void ready() {
    pair.connect();
    pair.b.events.when_data = [&](StreamId id, Bytes data) {
      pair.b->consume(id, data.size());
      pair.b->write(id, pair.b.block(data.first(std::min<std::size_t>(data.size(), 1'000))));
      echoed += std::min<std::size_t>(data.size(), 1'000);
    };
    pair.a.events.when_data = [&](StreamId id, Bytes data) { pair.a->consume(id, data.size()); };
  }

  /// 100 pieces in a fifth of a second, on two streams.
  void pieces() {
    for (int i = 0; i < 100; ++i) {
      const auto piece = pattern(1'000, ++salt);
      const StreamId stream = i % 2 == 0 ? first : second;
      pair.a->write(stream, pair.a.block(piece));
      auto& all = i % 2 == 0 ? sent_first : sent_second;
      all.insert(all.end(), piece.begin(), piece.end());
      pair.net.run_for(2ms);
    }
  }

  void all_of_it() {
    first = pair.open();
    second = pair.open(Priority::low);
    pieces();
    const std::size_t bytes = sent_first.size() + sent_second.size();
    EXPECT_TRUE(pair.net.run(
        20s, [&] { return pair.b.events.bytes_in == bytes && pair.a.events.bytes_in == echoed; }))
        << pair.b.events.bytes_in << " of " << bytes << ", " << pair.a.events.bytes_in << " of "
        << echoed;
    EXPECT_TRUE(pair.b.events.streams[pair.at_b(first)].data == sent_first);
    EXPECT_TRUE(pair.b.events.streams[pair.at_b(second)].data == sent_second);
    EXPECT_TRUE(pair.a.events.closed.empty()) << pair.a.events.closed[0].second.message();
    EXPECT_TRUE(pair.b.events.closed.empty()) << pair.b.events.closed[0].second.message();
  }

  SocketAddress remote() { return pair.a->info(pair.link)->remote; }

  Pair pair;
  SocketAddress home, there;
  std::size_t count = 0, last_there = 0, last_home = 0;           // when something went there
  std::map<SocketAddress, std::set<std::vector<std::byte>>> ids;  // seen at either address of b
  StreamId first, second;
  std::vector<std::byte> sent_first, sent_second;
  std::size_t echoed = 0;
  std::uint64_t salt = 0;
};

void expect_moved(Talk& talk, unsigned shards) {
  talk.ready();
  talk.all_of_it();
  EXPECT_EQ(talk.remote(), talk.there);
  EXPECT_EQ((*talk.pair.a).stats().preferred_moved, 1u);
  EXPECT_EQ((*talk.pair.a).stats().preferred_unreachable, 0u);
  EXPECT_EQ((*talk.pair.b).stats().preferred_moved, 0u) << "counted by who moved";
  EXPECT_GT(talk.last_there, talk.last_home) << "in the end nothing goes to the old address";
  ASSERT_FALSE(talk.ids[talk.there].empty());
  for (const auto& id : talk.ids[talk.there]) {
    EXPECT_EQ(std::to_integer<unsigned>(id[0]) % shards, shards - 1) << "it names its shard";
    EXPECT_FALSE(talk.ids[talk.home].contains(id)) << "no id was seen at two addresses";
  }
}

TEST(Preferred, ADialerGoesThere) {
  // With this seed the dialer's first packet comes to the last of three shards.
  Talk talk(kFar, 1, 3);
  expect_moved(talk, 3);
}

TEST(Preferred, OverIpv6) {
  Talk talk(at("[2001:db8:9::9]:5000"), 1, 3);
  talk.pair.a.address = at("[2001:db8:1::1]:4433");
  talk.pair.b.address = talk.home = at("[2001:db8:2::2]:4433");
  expect_moved(talk, 3);
}

TEST(Preferred, WhateverIsLostOnTheWay) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Talk talk(kFar, seed);
    talk.pair.net.faults = {.loss = 0.05, .duplicate = 0.02, .reorder = 0.1};
    talk.ready();
    talk.all_of_it();
    talk.pair.net.run_for(5s);
    const EndpointStats stats = (*talk.pair.a).stats();
    EXPECT_EQ(stats.preferred_moved + stats.preferred_unreachable, 1u);
    EXPECT_EQ(talk.remote(), stats.preferred_moved == 1 ? talk.there : talk.home);
  }
}

TEST(Preferred, ItStaysWhenNothingArrivesThere) {
  Talk talk(kFar);
  std::size_t asked = 0;
  talk.pair.net.lose = [&](const SocketAddress&, const SocketAddress& to, Bytes) {
    asked += to == talk.there ? 1 : 0;
    return to == talk.there;
  };
  talk.ready();
  talk.all_of_it();
  talk.pair.net.run_for(5s);
  EXPECT_GT(asked, 1u);
  EXPECT_LT(asked, 10u);
  EXPECT_EQ(talk.remote(), talk.home);
  EXPECT_EQ((*talk.pair.a).stats().preferred_moved, 0u);
  EXPECT_EQ((*talk.pair.a).stats().preferred_unreachable, 1u);
}

TEST(Preferred, ItStaysWhenNothingComesBackFromThere) {
  Talk talk(kFar);
  talk.pair.net.lose = [&](const SocketAddress& from, const SocketAddress&, Bytes) {
    return from == talk.there;
  };
  talk.ready();
  talk.all_of_it();
  talk.pair.net.run_for(5s);
  EXPECT_EQ(talk.remote(), talk.home);
  EXPECT_EQ((*talk.pair.a).stats().preferred_unreachable, 1u);
}

TEST(Preferred, ALinkThatWentThereCanStillMove) {
  Talk talk(kFar);
  talk.ready();
  talk.all_of_it();
  ASSERT_EQ(talk.remote(), talk.there);
  talk.pair.a.address = SocketAddress::v4(10, 7, 7, 7, 999);
  talk.pair.a->probe_peers(talk.pair.a, talk.pair.net.now());
  talk.pieces();
  talk.pair.net.run_for(1s);
  EXPECT_EQ(talk.pair.b.events.bytes_in, 200'000u);
  EXPECT_EQ((*talk.pair.a).stats().links_moved, 1u);
  EXPECT_EQ(talk.remote(), talk.there);
  EXPECT_EQ(talk.pair.b->info(talk.pair.remote_link)->remote, talk.pair.a.address);
  EXPECT_TRUE(talk.pair.a.events.closed.empty());
}

TEST(Preferred, WhereItIsAlreadyIsNotTold) {
  Talk talk(SocketAddress::v4(10, 0, 0, 2, 4433));
  ASSERT_EQ(talk.home, talk.there);
  talk.ready();
  talk.pair.net.run_for(1s);
  EXPECT_EQ((*talk.pair.a).stats().preferred_moved, 0u);
  EXPECT_EQ((*talk.pair.a).stats().preferred_refused, 0u);
  EXPECT_EQ(talk.remote(), talk.home);
}

TEST(Preferred, AnAddressOfTheDialersOwnMachineIsNotBelieved) {
  Talk talk(SocketAddress::v4(127, 0, 0, 1, 5000));
  talk.ready();
  talk.all_of_it();
  EXPECT_EQ(talk.last_there, 0u);
  EXPECT_EQ((*talk.pair.a).stats().preferred_refused, 1u);
  EXPECT_EQ(talk.remote(), talk.home);
}

TEST(Preferred, OneOfEachFamilyAndTheFamilyThatWasDialed) {
  const SocketAddress v4 = at("203.0.113.5:4433");
  const SocketAddress v6 = at("[2001:db8::5]:4434");
  ngtcp2_preferred_addr told{};
  const std::array both{v4, v6, kFar};
  ASSERT_TRUE(tell_preferred(told, both, at("198.51.100.1:1")));
  EXPECT_EQ(choose_preferred(told, at("198.51.100.1:1")), v4);
  EXPECT_EQ(choose_preferred(told, at("[2001:db8::1]:1")), v6);
  ngtcp2_preferred_addr one{};
  ASSERT_TRUE(tell_preferred(one, both, v4)) << "the one that was dialed is left out";
  EXPECT_EQ(choose_preferred(one, at("10.0.0.1:1")), kFar) << "but not the next";
  ngtcp2_preferred_addr bound{};
  ASSERT_TRUE(tell_preferred(bound, std::array{at("203.0.113.5:0")}, at("198.51.100.1:77")));
  EXPECT_EQ(choose_preferred(bound, v4), at("203.0.113.5:77"));
  ngtcp2_preferred_addr none{};
  EXPECT_FALSE(tell_preferred(none, std::array{v6}, v6));
  EXPECT_EQ(choose_preferred(none, v6), std::nullopt);
}

TEST(Preferred, HowFarAddressesReach) {
  using enum Reach;
  const std::pair<std::string_view, Reach> cases[] = {
      {"0.0.0.0:1", nowhere},     {"224.0.0.1:1", nowhere}, {"255.255.255.255:1", nowhere},
      {"203.0.113.5:0", nowhere}, {"127.0.0.1:1", machine}, {"169.254.1.1:1", link},
      {"10.1.1.1:1", site},       {"172.16.0.1:1", site},   {"172.32.0.1:1", world},
      {"192.168.1.1:1", site},    {"100.64.0.1:1", site},   {"203.0.113.5:1", world},
      {"[::]:1", nowhere},        {"[::1]:1", machine},     {"[ff02::1]:1", nowhere},
      {"[fe80::1]:1", link},      {"[fd00::1]:1", site},    {"[2001:db8::1]:1", world},
  };
  for (const auto& [text, reach] : cases) EXPECT_EQ(reach_of(at(text)), reach) << text;
}

TEST(Preferred, ADialerIsNotSentFromTheWorldIntoItsSite) {
  ngtcp2_preferred_addr told{};
  ASSERT_TRUE(tell_preferred(told, std::array{at("192.168.1.1:53")}, at("203.0.113.5:1")));
  EXPECT_EQ(choose_preferred(told, at("203.0.113.5:1")), std::nullopt);
  EXPECT_EQ(choose_preferred(told, at("10.0.0.1:1")), at("192.168.1.1:53"));
  EXPECT_EQ(choose_preferred(told, at("127.0.0.1:1")), at("192.168.1.1:53"));
}

}  // namespace
}  // namespace qudag::link::testing
