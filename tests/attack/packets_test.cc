// Attacks below the links: half-open handshakes, garbage, packets of real links that were changed.
#include "attack/arena.h"
#include "attack/rogue.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

NodeId invented(std::uint64_t n) {
  NodeId out;
  std::memcpy(out.bytes.data(), &n, sizeof n);
  return out;
}

TEST(Packets, HalfOpenHandshakesFromManyAddresses) {
  Arena arena;
  arena.begin();
  Rogue rogue;
  rogue.wire.spoofed = true;
  rogue.wire.let = [](Bytes datagram) { return datagram.size() >= 1'200; };  // Initials, no closes
  const std::size_t handshakes = scaled(10'000);
  for (std::size_t done = 0; done < handshakes;) {
    std::vector<link::LinkId> links;
    for (int i = 0; i < 50 && done < handshakes; ++i, ++done) {
      const auto link = rogue.endpoint().dial(invented(done + 1), arena.victim().at,
                                              rogue.wire.local(), Rogue::now());
      ASSERT_TRUE(link.has_value());
      links.push_back(*link);
    }
    rogue.endpoint().flush(rogue.wire, Rogue::now());
    for (const link::LinkId link : links) {
      rogue.endpoint().close(link, wire::EndCode::none, Rogue::now());
    }
    rogue.endpoint().flush(rogue.wire, Rogue::now());
  }
  const double retries = arena.metric("qudag_retries_sent_total");
  const double refused = arena.metric("qudag_links_refused_total");
  const double links = arena.metric("qudag_links");
  EXPECT_GT(retries + refused, 0) << "nobody was asked for proof or refused";
  EXPECT_LE(links, 256 + 16) << "more half-open handshakes than limits.half_open";
  arena.end(
      "half-open handshakes",
      fmt::format("{} from as many addresses ({} datagrams), {} retries, {} refused, {} links "
                  "at the end",
                  handshakes, rogue.wire.sent_spoofed, retries, refused, links));
}

TEST(Packets, Garbage) {
  Arena arena;
  arena.begin();
  const double before = arena.metric("qudag_datagrams_dropped_total");
  RawFlood flood(arena.victim().at);
  std::mt19937_64 chance(1);
  std::vector<std::byte> junk(1'452);
  const std::size_t packets = scaled(500'000);
  for (std::size_t i = 0; i < packets; ++i) {
    for (std::size_t at = 0; at + 8 <= 64; at += 8) {
      const std::uint64_t word = chance();
      std::memcpy(junk.data() + at, &word, sizeof word);
    }
    flood.add(Bytes(junk).first(1 + chance() % junk.size()));
  }
  flood.flush();
  const double dropped = arena.metric("qudag_datagrams_dropped_total") - before;
  EXPECT_GT(dropped, 0);
  arena.end("garbage", fmt::format("{} packets, {} dropped by the node, the others by its full "
                                   "socket or answered as resets and version negotiations",
                                   flood.sent(), dropped));
}

TEST(Packets, Mutated) {
  Arena arena;
  arena.begin();
  // Real packets of a link: handshake, control stream, acknowledgements; the honest one goes too.
  std::vector<std::vector<std::byte>> real;
  Rogue rogue;
  rogue.wire.let = [&](Bytes datagram) {
    if (real.size() < 256) real.emplace_back(datagram.begin(), datagram.end());
    return true;
  };
  const auto link = rogue.join(arena.victim());
  ASSERT_TRUE(link.has_value());
  rogue.run_for(200ms);
  ASSERT_GT(real.size(), 4u);
  RawFlood flood(arena.victim().at);
  std::mt19937_64 chance(2);
  const std::size_t packets = scaled(500'000);
  for (std::size_t i = 0; i < packets; ++i) {
    std::vector<std::byte> packet = real[chance() % real.size()];
    const std::size_t flips = 1 + chance() % 4;
    for (std::size_t f = 0; f < flips; ++f) {
      packet[chance() % packet.size()] ^= static_cast<std::byte>(1 << (chance() % 8));
    }
    if (chance() % 8 == 0) packet.resize(1 + chance() % packet.size());
    flood.add(packet);
    if (i % 4'096 == 0) rogue.turn();
  }
  flood.flush();
  rogue.run_for(200ms);
  EXPECT_EQ(rogue.links_closed, 0u) << "a forged packet ended a link";
  arena.end("mutated packets", fmt::format("{} packets; their link lives", flood.sent()));
}

}  // namespace
}  // namespace qudag::attack
