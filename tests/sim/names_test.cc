// Bootstrap entries with a name: looked up at each attempt, all their addresses tried.
#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* kName = "relay.example";

/// Node 0 is the relay with that name, which only node 1 knows of it.
struct Named {
  explicit Named(std::uint64_t seed) : world(seed, Faults{}), network(world, 3) {
    network[0].start();
    network[1].set_bootstrap({{.id = network[0].id(), .at = {.port = 4433}, .name = kName}});
    network[1].set_relay(false);
  }
  bool joined(Duration within) {
    return world.run_until(world.now().mono + within,
                           [&] { return network[1].view()->entries().size() >= 2; });
  }
  std::size_t asked() const { return network_.lookups.size(); }
  std::size_t said(std::string_view problem) const {
    return static_cast<std::size_t>(
        std::ranges::count(network_.lookups, std::pair<std::string, std::string>(kName, problem)));
  }

  World world;
  SimNetwork network;
  const SimNode& network_ = network[1];
};

TEST(Names, AllAddressesAreTriedAndALinkNeedsNoMoreLookups) {
  Named net(1);
  const SocketAddress dead = SocketAddress::v4(10, 77, 0, 1, 0);
  net.network[1].names[kName] = {dead, net.network[0].address().at};
  net.network[1].start();
  ASSERT_TRUE(net.joined(60s));
  const std::size_t asked = net.asked();
  EXPECT_LE(asked, 16u);
  net.world.run_until(net.world.now().mono + 600s);
  EXPECT_EQ(net.asked(), asked) << "while there is a link nobody asks";
}

TEST(Names, OneThatHasNoAddressYetIsLookedUpAgain) {
  Named net(2);
  net.network[1].start();
  EXPECT_FALSE(net.joined(20s));
  EXPECT_GE(net.said("relay.example: unknown"), 3u);
  net.network[1].names[kName] = {net.network[0].address().at};
  EXPECT_TRUE(net.joined(130s)) << "within two rounds";
  EXPECT_EQ(net.network_.lookups.back().second, "");
}

TEST(Names, ARelayThatMovedIsFoundWhereItsNameIs) {
  Named net(3);
  net.network[1].names[kName] = {net.network[0].address().at};
  net.network[1].start();
  ASSERT_TRUE(net.joined(30s));
  net.network[0].crash();
  // Another relay now answers for the name: it is not who was meant, and no link is made.
  net.network[2].set_bootstrap({});
  net.network[2].start();
  net.network[1].names[kName] = {net.network[2].address().at};
  const std::size_t asked = net.asked();
  net.world.run_until(net.world.now().mono + 300s);
  EXPECT_GT(net.asked(), asked) << "without a link it is looked up again";
  EXPECT_EQ(net.network[1].view()->find(net.network[2].id()), nullptr);
  net.network[0].start();
  net.world.wake(net.network[0].machine());
  net.network[1].names[kName] = {net.network[0].address().at};
  EXPECT_TRUE(net.world.run_until(net.world.now().mono + 300s, [&] {
    return net.network[0].view()->find(net.network[1].id()) != nullptr;
  }));
}

TEST(Names, AnEntryAtWhoseAddressAnotherNodeIsIsToldFromOneThatIsSilent) {
  Named net(4);
  SimNode& asker = net.network[1];
  net.network[2].start();
  NodeId gone;
  gone.bytes[0] = std::byte{1};
  asker.set_bootstrap({{.id = net.network[0].id(), .at = SocketAddress::v4(10, 77, 0, 1, 4433)},
                       {.id = gone, .at = net.network[2].address().at}});
  asker.start();
  net.world.run_until(net.world.now().mono + 60s);
  using Said = std::pair<std::string, std::string>;
  const Said wrong{"entry 2", "entry 2: another node is at its address, with another id"};
  EXPECT_EQ(net.network_.lookups, std::vector<Said>{wrong}) << "once, not at each attempt";
}

}  // namespace
}  // namespace qudag::testing
