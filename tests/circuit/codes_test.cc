// What a reset before the reply comes to, for each code (docs/reference/protocol.md, 12.3): the
// status that a relay answers with, and what a source takes from hop 1's own word.
#include "circuit/net.h"

#include <gtest/gtest.h>

namespace qudag::circuit::test {
namespace {

struct Meaning {
  EndCode code;
  Errc of_the_next;  // at the source, when the next hop of a relay resets: status 4 or status 3
  Errc of_hop_1;
  bool hop_1_is_meant;
};

constexpr Meaning kMeanings[] = {
    {EndCode::none, Errc::unreachable, Errc::circuit_failed, true},
    {EndCode::protocol, Errc::unreachable, Errc::circuit_failed, true},
    {EndCode::refused, Errc::refused_by_peer, Errc::refused_by_peer, true},
    {EndCode::unreachable, Errc::unreachable, Errc::unreachable, true},
    {EndCode::destroyed, Errc::unreachable, Errc::circuit_failed, false},
    {EndCode::shutdown, Errc::unreachable, Errc::circuit_failed, true},
    {EndCode::internal, Errc::unreachable, Errc::circuit_failed, true},
    {EndCode::overload, Errc::refused_by_peer, Errc::refused_by_peer, true},
    {EndCode::rate, Errc::refused_by_peer, Errc::refused_by_peer, true},
};

class ResetCodes : public ::testing::TestWithParam<Meaning> {};
std::string name_of_code(const ::testing::TestParamInfo<Meaning>& meaning) {
  return "Code" + std::to_string(static_cast<int>(meaning.param.code));
}
INSTANTIATE_TEST_SUITE_P(All, ResetCodes, ::testing::ValuesIn(kMeanings), name_of_code);

/// Builds over `hops` nodes, of which the last says nothing but a reset of its stream.
const Node::Ended* end_of_build(Net& net, std::size_t hops, EndCode code) {
  net.add_many(hops + 1);
  Node& last = net.node(hops);
  last.mute = true;
  EXPECT_TRUE(net.node(0).circuits.build(net.route(hops), Priority::normal, net.now()));
  net.run();
  EXPECT_TRUE(net.node(0).ended.empty());
  for (Stream* stream : net.streams()) {
    if (stream->end[1].node == hops && stream->end[1].open) last.reset(stream->key, code);
  }
  net.run();
  return net.node(0).ended.size() == 1 ? &net.node(0).ended.front() : nullptr;
}

TEST_P(ResetCodes, OfTheNextHopIsAStatus) {
  Net net({.seed = 21});
  const Node::Ended* ended = end_of_build(net, 2, GetParam().code);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->why, GetParam().of_the_next);
  EXPECT_EQ(ended->failed_hop, 1u);
}

TEST_P(ResetCodes, OfHop1IsItsOwnWord) {
  Net net({.seed = 22});
  const Node::Ended* ended = end_of_build(net, 1, GetParam().code);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->why, GetParam().of_hop_1);
  EXPECT_EQ(ended->failed_hop, GetParam().hop_1_is_meant ? 0u : Circuits::kHopUnknown);
}

}  // namespace
}  // namespace qudag::circuit::test
