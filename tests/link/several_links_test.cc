// A peer with several shards has a link here from each: new streams go to the link with the fewest.
// And links that come to a node with several shards go where there is least to do.
#include "link/net.h"

namespace qudag::link::testing {
namespace {

EndpointOptions of_shard(std::uint8_t shard, std::uint8_t shards) {
  EndpointOptions out;
  out.shard = shard;
  out.shards = shards;
  out.known = true;
  return out;
}

TEST(SeveralLinks, NewStreamsGoToTheOneWithTheFewest) {
  Net net(1);
  Peer& here = net.add(of_shard(0, 1));
  Peer& there = net.add(of_shard(0, 2));
  Peer& also_there = net.add_twin(there, of_shard(1, 2));
  for (Peer* peer : {&there, &also_there}) {
    ASSERT_TRUE((*peer)->dial(here.id(), here.address, peer->address, net.now()));
    ASSERT_TRUE(net.run(5s, [&] { return !peer->events.ready.empty(); }));
  }
  net.run_for(200ms);
  ASSERT_EQ(here->links().size(), 2u);

  std::map<LinkId, std::vector<StreamId>> streams;
  const auto open = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto link = here->dial(there.id(), there.address, here.address, net.now());
      ASSERT_TRUE(link);
      const auto stream = here->open(*link, Priority::normal, 0);
      ASSERT_TRUE(stream);
      streams[*link].push_back(*stream);
    }
  };
  open(40);
  ASSERT_EQ(streams.size(), 2u);
  for (const auto& [link, on_it] : streams) EXPECT_EQ(on_it.size(), 20u);

  // What ends on one of them is made up for there.
  const LinkId first = streams.begin()->first;
  std::vector<StreamId>& ended = streams.begin()->second;
  for (const StreamId& stream : ended) here->reset(stream, EndCode::destroyed);
  ended.clear();
  net.run_for(200ms);
  open(10);
  EXPECT_EQ(streams[first].size(), 10u);

  // One goes: the other has them all.
  here->close(first, EndCode::none, net.now());
  ASSERT_TRUE(net.run(5s, [&] { return here->links().size() == 1; }));
  streams.clear();
  open(5);
  EXPECT_EQ(streams.size(), 1u);
  EXPECT_FALSE(streams.contains(first));
}

/// Two endpoints at one address, which give each other what is the other one's.
struct TwoShards {
  struct Other final : WrongShard {
    void hand_over(std::uint8_t shard, const runtime::Received& datagram) override {
      if (lose && lose(datagram)) return;
      runtime::Received one = datagram;
      Peer& to = *(*all)[shard];
      to->receive({&one, 1}, to.address, to.net.now());
    }
    std::vector<Peer*>* all = nullptr;
    std::function<bool(const runtime::Received&)> lose;
  };

  explicit TwoShards(std::uint64_t seed) : net(seed) {
    for (std::uint8_t i = 0; i < 2; ++i) {
      EndpointOptions options = of_shard(i, 2);
      options.places = &places;
      options.place_link = [this] { return place(); };
      Peer& peer = i == 0 ? net.add(options) : net.add_twin(*shards[0], options);
      peer.endpoint = std::move(
          *Endpoint::create(options, peer.identity, peer.pool, peer.rng, peer.events, &other));
      if (i > 0) peer.address = shards[0]->address;
      shards.push_back(&peer);
    }
    other.all = &shards;
    net.shards = shards.size();
  }
  /// A new node dials; false if it has no link after a while.
  bool dial() {
    Peer& dialer = net.add();
    EXPECT_TRUE(dialer->dial(shards[0]->id(), shards[0]->address, dialer.address, net.now()));
    return net.run(5s, [&] { return !dialer.events.ready.empty(); });
  }
  std::size_t links(std::size_t shard) { return (*shards[shard])->links().size(); }

  memory::LentPlaces places{10, 2};
  std::function<std::uint8_t()> place = [this] {
    return static_cast<std::uint8_t>(places.used(1) < places.used(0) ? 1 : 0);
  };
  Other other;
  std::vector<Peer*> shards;
  Net net;
};

TEST(Shards, IncomingLinksGoWhereThereIsLeastToDo) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    TwoShards node(seed);
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(node.dial()) << i;
    EXPECT_EQ(node.links(0), 4u) << "by chance it is one time in four";
    EXPECT_EQ(node.links(1), 4u);
    const std::uint64_t handed_on =
        (*node.shards[0])->stats().links_handed_on + (*node.shards[1])->stats().links_handed_on;
    EXPECT_LE(handed_on, 8u);
  }
}

TEST(Shards, ALinkThatWasHandedOnCarriesAndLivesThroughLossOfItsFirstPackets) {
  TwoShards node(3);
  std::size_t handed = 0;
  node.place = [] { return std::uint8_t{1}; };
  node.other.lose = [&](const runtime::Received& datagram) {
    return datagram.handed_on && handed++ % 3 == 0;  // a mailbox that was full
  };
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(node.dial()) << i;
  EXPECT_EQ(node.links(0), 0u);
  EXPECT_EQ(node.links(1), 5u);
  EXPECT_GT(handed, 0u);
  EXPECT_EQ((*node.shards[1])->stats().links_handed_on, 0u);
}

TEST(Shards, WhatARetryAskedForStaysWhereItWasAsked) {
  TwoShards node(4);
  for (Peer* shard : node.shards) (*shard)->require_proof(true);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(node.dial()) << i;
  EXPECT_EQ(node.links(0) + node.links(1), 4u);
  EXPECT_GE((*node.shards[0])->stats().retries_sent + (*node.shards[1])->stats().retries_sent, 4u);
}

/// Of ten places one shard may have nine or so, and the other one finds some.
TEST(Shards, LendEachOtherPlacesForLinks) {
  TwoShards node(5);
  node.place = [] { return std::uint8_t{0}; };
  for (int i = 0; i < 12; ++i) static_cast<void>(node.dial());
  EXPECT_GT(node.links(0), 8u);
  EXPECT_LE(node.links(0), 10u);
  EXPECT_EQ(node.links(1), 0u);
  const std::size_t before = node.links(0);
  for (int i = 0; i < 20; ++i) {  // the other one wants its share
    for (Peer* shard : node.shards) (*shard)->look_at_places(node.net.now());
    node.net.run_for(100ms);
  }
  EXPECT_LT(node.links(0), before) << "unused ones have gone";
  node.place = [] { return std::uint8_t{1}; };
  EXPECT_TRUE(node.dial());
  EXPECT_EQ(node.links(1), 1u);
}

}  // namespace
}  // namespace qudag::link::testing
