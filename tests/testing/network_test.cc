// The network that embedders test their programs against.
#include <qudag/testing/network.h>

#include <gtest/gtest.h>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

const std::vector<std::byte> kPayload(100);

void answer_all(Node& node) {
  node.on_message([&node](Message&& message) {
    EXPECT_TRUE(node.reply(*message.reply_to, std::move(message.payload), {}, {}));
    return Accept::taken;
  });
}

TEST(Network, EachNodeReachesEachAtOnce) {
  const auto network = Network::start();
  ASSERT_TRUE(network) << network.error().message();
  ASSERT_EQ((*network)->size(), 5u);
  for (std::size_t to = 0; to < 5; ++to) answer_all((**network)[to]);
  for (std::size_t from = 0; from < 5; ++from) {
    EXPECT_TRUE((**network)[from].join_state().joined);
    for (std::size_t to = 0; to < 5; ++to) {
      if (from == to) continue;
      const auto answer = (**network)[from].request((**network)[to].id(), kPayload, {}, 30s).get();
      EXPECT_TRUE(answer) << from << " to " << to << ": " << answer.error().message();
    }
  }
}

TEST(Network, TakesGuests) {
  const auto network = Network::start({.nodes = 4});
  ASSERT_TRUE(network) << network.error().message();
  answer_all((**network)[0]);
  Options options = (*network)->guest();
  options.relay = false;
  const auto guest = Node::start(options);
  ASSERT_TRUE(guest) << guest.error().message();
  const auto ready = (*network)->wait_for(**guest, 1min);
  ASSERT_TRUE(ready) << ready.error().message();
  const auto answer = (*guest)->request((**network)[0].id(), kPayload, {}, 30s).get();
  EXPECT_TRUE(answer) << answer.error().message();
}

TEST(Network, AsksForEachNodesOptions) {
  std::vector<std::size_t> asked;
  const auto network = Network::start({.nodes = 4, .adjust = [&](std::size_t i, Options& options) {
                                         asked.push_back(i);
                                         options.relay = i != 3;  // this one only sends
                                       }});
  ASSERT_TRUE(network) << network.error().message();
  EXPECT_EQ(asked, (std::vector<std::size_t>{0, 1, 2, 3}));
  answer_all((**network)[0]);
  const auto answer =
      (**network)[3].request((**network)[0].id(), kPayload, {.relays = 2}, 30s).get();
  EXPECT_TRUE(answer) << answer.error().message();
}

TEST(Network, SaysWhatIsWrong) {
  EXPECT_EQ(Network::start({.nodes = 1}).error(), Errc::invalid_argument);
  EXPECT_EQ(Network::start({.nodes = 33}).error(), Errc::invalid_argument);
  EXPECT_EQ(Network::start({.nodes = 2, .join_max = 0ms}).error(), Errc::timed_out);
  const auto broken = [](std::size_t, Options& options) { options.limits.memory = 1; };
  EXPECT_EQ(Network::start({.nodes = 2, .adjust = broken}).error(), Errc::config_invalid);
}

}  // namespace
}  // namespace qudag::testing
