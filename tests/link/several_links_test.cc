// A peer with several shards has a link here from each: new streams go to the link with the fewest.
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

}  // namespace
}  // namespace qudag::link::testing
