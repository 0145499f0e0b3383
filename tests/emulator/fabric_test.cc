// The switch, the NAT and the language of scenarios, without a kernel.
#include "fabric.h"

#include <gtest/gtest.h>

#include <numeric>

namespace qudag::emulator {
namespace {

using namespace std::chrono_literals;
using Bytes8 = std::vector<std::uint8_t>;

void put16(Bytes8& bytes, std::size_t at, unsigned value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value & 0xff);
}
void put32(Bytes8& bytes, std::size_t at, Ipv4 value) {
  put16(bytes, at, value >> 16);
  put16(bytes, at + 2, value & 0xffff);
}
unsigned get16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<unsigned>(bytes[at] << 8 | bytes[at + 1]);
}

std::uint32_t sum_of(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += get16(bytes, i);
  if (bytes.size() % 2 != 0) sum += std::uint32_t{bytes.back()} << 8;
  return sum;
}
unsigned folded(std::uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
/// Both sums over a right packet, with their fields in, are 0xffff.
unsigned ip_sum(std::span<const std::uint8_t> p) { return folded(sum_of(p.first(20))); }
unsigned udp_sum(std::span<const std::uint8_t> p) {
  return folded(sum_of(p.subspan(12, 8)) + 17 + get16(p, 24) + sum_of(p.subspan(20)));
}

Bytes8 udp(Ipv4 from, unsigned from_port, Ipv4 to, unsigned to_port, std::size_t payload = 11) {
  Bytes8 p(28 + payload);
  p[0] = 0x45;
  put16(p, 2, static_cast<unsigned>(p.size()));
  p[8] = 64;
  p[9] = 17;
  put32(p, 12, from);
  put32(p, 16, to);
  put16(p, 20, from_port);
  put16(p, 22, to_port);
  put16(p, 24, static_cast<unsigned>(8 + payload));
  std::iota(p.begin() + 28, p.end(), std::uint8_t{1});
  put16(p, 10, ~ip_sum(p) & 0xffff);
  put16(p, 26, ~udp_sum(p) & 0xffff);
  return p;
}

struct Net {
  explicit Net(std::vector<std::string> lines = {}) {
    for (const char* node : {"node a 10.1.0.1", "node b 10.2.0.1", "node c 10.3.0.1"}) {
      EXPECT_TRUE(scenario.add(node));
    }
    for (const std::string& line : lines) EXPECT_TRUE(scenario.add(line)) << line;
    EXPECT_TRUE(scenario.check());
    fabric.emplace(scenario, 100ms);
    for (const Timed& timed : scenario.timed) EXPECT_TRUE(fabric->apply(timed.command, timed.at));
  }
  void command(std::string_view line, Nanos now = 0ns) {
    const auto parsed = parse_command(line);
    ASSERT_TRUE(parsed) << line;
    ASSERT_TRUE(fabric->apply(*parsed, now)) << line;
  }
  void send(std::size_t from, Bytes8 packet, Nanos now = 0ns) { fabric->send(from, packet, now); }
  bool arrives(Nanos now) { return fabric->arrived(now).has_value(); }

  Scenario scenario;
  std::optional<Fabric> fabric;
};

constexpr Ipv4 kA = 0x0a010001, kB = 0x0a020001, kC = 0x0a030001;

TEST(Fabric, PacketsGoToTheirAddressInTheOrderOfTheirTimes) {
  Net net({"link a b delay=20ms", "way c b delay=5ms"});
  net.send(0, udp(kA, 1, kB, 2));
  net.send(2, udp(kC, 1, kB, 2), 1ms);
  net.send(0, udp(kA, 1, 0x01020304, 2));
  EXPECT_EQ(net.fabric->next(), 6ms);
  EXPECT_FALSE(net.arrives(5ms));
  EXPECT_EQ(net.fabric->arrived(30ms)->due, 6ms);
  const auto second = net.fabric->arrived(30ms);
  EXPECT_EQ(second->due, 20ms);
  EXPECT_EQ(second->to, 1U);
  EXPECT_FALSE(net.arrives(30ms));
  EXPECT_EQ(net.fabric->counters(0).no_route, 1U);
}

TEST(Fabric, SettingsOfOneDirectionLeaveTheOtherAlone) {
  Net net({"link * * delay=3ms loss=1%", "way a b delay=9ms"});
  EXPECT_EQ(net.fabric->way(0, 1).settings().delay, 9ms);
  EXPECT_EQ(net.fabric->way(0, 1).settings().loss, 0.01);
  EXPECT_EQ(net.fabric->way(1, 0).settings().delay, 3ms);
}

TEST(Fabric, APartitionCutsTwoGroupsAndHealsByItself) {
  Net net;
  net.command("partition a b,c for 1s", 5s);
  net.send(0, udp(kA, 1, kB, 2), 5s);
  EXPECT_FALSE(net.arrives(6s));
  net.send(1, udp(kB, 1, kC, 2), 5s);
  EXPECT_TRUE(net.arrives(6s));
  EXPECT_EQ(net.fabric->next(), 6s);
  net.fabric->on_time(6s);
  net.send(0, udp(kA, 1, kB, 2), 6s);
  EXPECT_TRUE(net.arrives(6s));
}

TEST(Fabric, AMovedNodeIsFoundAtItsNewAddressOnly) {
  Net net;
  net.command("move b 10.9.0.1");
  net.send(0, udp(kA, 1, kB, 2));
  EXPECT_FALSE(net.arrives(0ns));
  net.send(0, udp(kA, 1, 0x0a090001, 2));
  EXPECT_TRUE(net.arrives(0ns));
}

TEST(Fabric, ANatChangesWhatOthersSeeAndUndoesItForAnswers) {
  Net net;
  net.command("rebind a 10.8.0.1");
  net.send(0, udp(kA, 5'000, kB, 4'433));
  const auto seen = net.fabric->arrived(0ns);
  ASSERT_TRUE(seen);
  const Bytes8 request(seen->packet.begin(), seen->packet.end());
  Bytes8 copy = request;
  const Packet packet(copy);
  EXPECT_EQ(packet.source(), 0x0a080001U);
  EXPECT_NE(get16(request, 20), 5'000U);
  EXPECT_EQ(get16(request, 22), 4'433U);
  EXPECT_EQ(ip_sum(request), 0xffffU);
  EXPECT_EQ(udp_sum(request), 0xffffU);

  net.send(1, udp(kB, 4'433, 0x0a080001, get16(request, 20)));
  const auto answer = net.fabric->arrived(0ns);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->to, 0U);
  EXPECT_EQ(get16(answer->packet, 22), 5'000U);
  EXPECT_EQ(ip_sum(answer->packet), 0xffffU);
  EXPECT_EQ(udp_sum(answer->packet), 0xffffU);

  net.send(1, udp(kB, 4'433, kA, 5'000));  // what was true before the rebinding
  EXPECT_FALSE(net.arrives(0ns));
}

TEST(Fabric, EveryPortAndChecksumSurvivesTheNat) {
  Net net;
  net.command("rebind a 10.8.0.1");
  net.command("rebind a");
  for (unsigned port = 1; port < 65'536; port += 97) {
    net.send(0, udp(kA, port, kB, 4'433, port % 7));
    const auto seen = net.fabric->arrived(0ns);
    ASSERT_TRUE(seen);
    ASSERT_EQ(udp_sum(seen->packet), 0xffffU) << port;
    net.send(1, udp(kB, 4'433, 0x0a080001, get16(seen->packet, 20)));
    const auto answer = net.fabric->arrived(0ns);
    ASSERT_TRUE(answer);
    ASSERT_EQ(get16(answer->packet, 22), port);
  }
}

TEST(Fabric, WhatIsNoIpv4PacketIsCountedAndGone) {
  Net net;
  net.send(0, Bytes8{});
  net.send(0, Bytes8(19, 0x45));
  net.send(0, Bytes8(60, 0x60));
  EXPECT_EQ(net.fabric->counters(0).not_ipv4, 3U);
  EXPECT_FALSE(net.arrives(0ns));
}

TEST(Fabric, ASeriesCountsByInterval) {
  Net net({"way a b rate=12mbit queue=1500"});
  for (int i = 0; i < 4; ++i) net.send(0, udp(kA, 1, kB, 2, 1'472), i < 3 ? 0ms : 250ms);
  const auto& series = net.fabric->series(0, 1);
  ASSERT_EQ(series.size(), 3U);
  EXPECT_EQ(series[0].bytes, 3'000U);
  EXPECT_EQ(series[0].dropped, 1U);
  EXPECT_EQ(series[0].waited_max, 1ms);
  EXPECT_EQ(series[1].packets, 0U);
  EXPECT_EQ(series[2].bytes, 1'500U);
}

TEST(Fabric, BehindASymmetricNatEachPeerHasAPortOfItsOwnAndOnlyThatPeerGetsIn) {
  Net net;
  net.command("nat a 10.8.0.1");
  const auto port_seen_by = [&](std::size_t peer, Ipv4 address, unsigned port) {
    net.send(0, udp(kA, 5'000, address, port));
    const auto seen = net.fabric->arrived(0ns);
    if (!seen || seen->to != peer) return 0U;
    EXPECT_EQ(udp_sum(seen->packet), 0xffffU);
    Bytes8 copy(seen->packet.begin(), seen->packet.end());
    EXPECT_EQ(Packet(copy).source(), 0x0a080001U);
    return get16(seen->packet, 20);
  };
  const unsigned at_b = port_seen_by(1, kB, 4'433);
  EXPECT_EQ(port_seen_by(1, kB, 4'433), at_b) << "the same flow, the same port";
  EXPECT_NE(port_seen_by(1, kB, 4'434), at_b);
  EXPECT_NE(port_seen_by(2, kC, 4'433), at_b);

  net.send(1, udp(kB, 4'433, 0x0a080001, at_b));
  const auto answer = net.fabric->arrived(0ns);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->to, 0U);
  EXPECT_EQ(get16(answer->packet, 22), 5'000U);
  EXPECT_EQ(ip_sum(answer->packet), 0xffffU);
  EXPECT_EQ(udp_sum(answer->packet), 0xffffU);

  net.send(2, udp(kC, 4'433, 0x0a080001, at_b));  // another host at b's port
  net.send(1, udp(kB, 4'435, 0x0a080001, at_b));  // another port of b
  net.send(1, udp(kB, 4'433, 0x0a080001, 1'000));
  net.send(1, udp(kB, 4'433, kA, 5'000));  // what it calls itself
  EXPECT_FALSE(net.arrives(0ns));
  EXPECT_EQ(net.fabric->counters(0).not_let_in, 3U);

  net.command("rebind a");
  net.send(1, udp(kB, 4'433, 0x0a080001, at_b));
  EXPECT_FALSE(net.arrives(0ns)) << "what was open is not";
  EXPECT_NE(port_seen_by(1, kB, 4'433), at_b);

  net.command("move a 10.9.0.1");
  net.send(1, udp(kB, 4'433, 0x0a090001, 5'000));
  EXPECT_TRUE(net.arrives(0ns)) << "no NAT where it is now";
}

TEST(Nat, TheOldestFlowGoesWhenAllPortsAreInUse) {
  Nat nat;
  const Nat::Flow first{17, 5'000, kB, 1};
  const std::uint16_t port = nat.out(first);
  EXPECT_EQ(nat.in({17, port, kB, 1}), 5'000);
  for (Ipv4 peer = 1; nat.out({17, 5'000, kC + peer, 1}) != port; ++peer) ASSERT_LT(peer, 65'536U);
  EXPECT_FALSE(nat.in({17, port, kB, 1}));
  EXPECT_NE(nat.out(first), port);
}

TEST(Fabric, ANodeWithMoreAddressesIsFoundAtEach) {
  Net net({"node d 10.4.0.1 10.5.0.1"});
  for (const Ipv4 address : {Ipv4{0x0a040001}, Ipv4{0x0a050001}}) {
    net.send(0, udp(kA, 1, address, 2));
    EXPECT_EQ(net.fabric->arrived(0ns)->to, 3U);
  }
  net.send(3, udp(0x0a050001, 1, kA, 2));
  EXPECT_TRUE(net.arrives(0ns));
}

TEST(Scenario, LinesOfEveryKind) {
  Scenario s;
  for (const char* line :
       {"seed 7", "time 1.5s", "mtu 1400", "# nothing", "", "node a 10.1.0.1  # here",
        "node b 10.2.0.1",
        "link a b delay=25ms jitter=1ms rate=100mbit queue=300kB loss=1% burst=3",
        "way * a rate=none queue_packets=10 dup=0.5 reorder=2% reorder_by=3ms",
        "at 2s move a 10.9.0.1", "at 1s partition a b", "at 1s heal", "at 3s rebind a",
        "at 4s nat a 10.8.0.1", "run a prog \"two words\" x", "serve b prog"}) {
    EXPECT_TRUE(s.add(line)) << line;
  }
  EXPECT_TRUE(s.check());
  EXPECT_EQ(s.time, 1'500ms);
  ASSERT_EQ(s.timed.size(), 7U);
  EXPECT_TRUE(std::holds_alternative<Partition>(s.timed[2].command));
  EXPECT_TRUE(std::holds_alternative<Heal>(s.timed[3].command));
  EXPECT_EQ(s.programs[0].arguments, (std::vector<std::string>{"prog", "two words", "x"}));
  EXPECT_TRUE(s.programs[1].serves);
}

TEST(Scenario, WrongLinesAreNamed) {
  for (const char* line :
       {"nod a 10.1.0.1", "node a 10.1.0", "node host 10.1.0.1", "time 5", "seed x", "mtu 20",
        "link a b", "link a b delay=5", "way a b loss=101%", "way a b speed=1", "at x heal",
        "partition a", "partition a b for", "move a", "rebind a b", "nat a", "node c 10.4.0.1 x",
        "run a", "way a b delay=-1ms"}) {
    Scenario s;
    const Status status = s.add(line);
    ASSERT_FALSE(status) << line;
    EXPECT_EQ(status.error().code, Errc::malformed);
  }
  Scenario s;
  EXPECT_TRUE(s.add("node a 10.1.0.1"));
  EXPECT_TRUE(s.add("node b 10.1.0.1"));
  EXPECT_FALSE(s.check()) << "one address, two nodes";
}

}  // namespace
}  // namespace qudag::emulator
