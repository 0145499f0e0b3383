// Attacks of a peer with a ready link: streams and descriptors.
#include "attack/arena.h"
#include "attack/rogue.h"

#include "base/limits.h"
#include "circuit/wire.h"
#include "wire/control.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

TEST(Streams, OpenAndResetStorm) {
  Arena arena;
  arena.begin();
  Rogue rogue;
  const auto link = rogue.join(arena.victim());
  ASSERT_TRUE(link.has_value());
  const std::size_t wanted = scaled(200'000);
  std::size_t opened = 0;
  const bool all = rogue.run(60s, [&] {
    for (int i = 0; i < 64 && opened < wanted; ++i) {
      const auto stream = rogue.endpoint().open(*link, Priority::normal, 0);
      if (!stream) break;  // the peer's limit of streams: more when it has closed some
      ++opened;
      rogue.endpoint().write(*stream, rogue.block(2));
      if (opened % 2 == 0) rogue.endpoint().flush(rogue.wire, Rogue::now());
      rogue.endpoint().reset(*stream, wire::EndCode::destroyed);
    }
    return opened >= wanted || rogue.links_closed > 0;
  });
  rogue.run_for(200ms);
  const double circuits = arena.metric("qudag_circuits");
  EXPECT_TRUE(all);
  EXPECT_LE(circuits, 16) << "streams that were reset left circuits";
  arena.end("stream-open and reset storm",
            fmt::format("{} streams opened and reset, {} circuits left, the link was {}", opened,
                        circuits, rogue.links_closed > 0 ? "closed" : "kept"));
}

// A build message that never gets complete, on every stream that a link may have: what a stream
// costs before its first real work. One byte more every turn keeps it alive.
TEST(Streams, ManyThatNeverFinishTheirBuild) {
  Arena arena;
  arena.begin();
  Rogue rogue;
  const auto link = rogue.join(arena.victim());
  ASSERT_TRUE(link.has_value());
  const std::size_t wanted = std::max<std::size_t>(400, scaled(4'000));  // more than are held
  std::size_t opened = 0;
  rogue.run(20s, [&] {
    for (int i = 0; i < 32 && opened < wanted; ++i) {
      const auto stream = rogue.endpoint().open(*link, Priority::low, 0);
      if (!stream) return false;
      ++opened;
      memory::Block first = rogue.block(limits::kBuildMessageBytes / 2);
      const circuit::Preface preface = circuit::preface(Priority::low);
      std::memcpy(first.data(), preface.data(), preface.size());
      rogue.endpoint().write(*stream, std::move(first));
    }
    return opened >= wanted || rogue.links_closed > 0;
  });
  rogue.run_for(500ms);
  const double circuits = arena.metric("qudag_circuits");
  const double refused = arena.metric("qudag_circuits_refused_total");
  EXPECT_LE(circuits, 256 + 16) << "more than limits.circuits_building";
  EXPECT_GT(refused + static_cast<double>(rogue.links_closed), 0) << "nothing was refused";
  arena.end("builds that never finish",
            fmt::format("{} streams, {} held, {} refused", opened, circuits, refused));
}

// Holes in streams: every second packet is lost on purpose, so that what came after a hole must
// wait in the victim's memory; then silence.
TEST(Streams, HolesThatWaitForTheirBytes) {
  Arena arena;
  arena.begin();
  const std::size_t wanted = scaled(4'000);
  std::size_t opened = 0;
  std::size_t links = 0;
  std::vector<std::unique_ptr<Rogue>> rogues;
  for (int r = 0; r < 4; ++r) {
    auto rogue = std::make_unique<Rogue>();
    const auto link = rogue->join(arena.victim());
    ASSERT_TRUE(link.has_value());
    ++links;
    std::size_t datagrams = 0;
    rogue->wire.let = [&datagrams](Bytes datagram) {
      return datagram.size() < 1'100 || ++datagrams % 2 == 0;  // acknowledgements go
    };
    std::size_t here = 0;
    rogue->run(700ms, [&] {
      for (int i = 0; i < 64 && here < wanted / 4; ++i, ++here) {
        const auto stream = rogue->endpoint().open(*link, Priority::low, 0);
        if (!stream) break;
        for (int piece = 0; piece < 2; ++piece) {
          rogue->endpoint().write(*stream, rogue->block(8'000));
        }
      }
      return false;
    });
    opened += here;
    rogue->wire.let = {};
    rogues.push_back(std::move(rogue));
  }
  const double quic = arena.metric("qudag_quic_memory_bytes");
  EXPECT_LE(quic, static_cast<double>(Arena::kMemory));
  arena.end("holes in streams", fmt::format("{} streams on {} links, QUIC's memory {:.1f} MB",
                                            opened, links, quic / 1e6));
}

// ---- descriptors --------------------------------------------------------------------------------

std::vector<std::byte> descriptor_of(const crypto::Identity& identity,
                                     const crypto::KemPublicBytes& key) {
  netmap::Descriptor out;
  out.identity = identity.public_bytes();
  out.id = identity.id();
  out.published = Rogue::now().unix_seconds;
  out.expires = out.published + 3'600;
  out.addresses = {SocketAddress::v4(10, 1, 2, 3, 4'433)};
  out.onion_keys = {{.not_before = out.published - 60, .not_after = out.expires, .key = key}};
  auto raw = netmap::encode_and_sign(out, identity);
  QUDAG_ASSERT(raw.has_value());
  return std::move(*raw);
}

/// An honest node that joins through the victim.
std::unique_ptr<Node> newcomer_at(const PeerAddress& victim) {
  Options options;
  options.bootstrap = {victim};
  options.shards = 1;
  options.gossip_interval = 1s;
  options.log_level = LogLevel::off;
  auto node = Node::start(options);
  QUDAG_ASSERT(node.has_value());
  return std::move(*node);
}

TEST(Descriptors, FloodOfInventedNodes) {
  Arena arena;
  arena.begin();
  Rogue rogue;
  const auto link = rogue.join(arena.victim());
  ASSERT_TRUE(link.has_value());
  const auto key = crypto::KemKeyPair::generate();
  ASSERT_TRUE(key.has_value());
  const auto type = static_cast<std::uint8_t>(wire::ControlType::descriptor);
  // One whose signature is wrong, while there is room for it.
  Rogue forger;
  const auto other = forger.join(arena.victim());
  ASSERT_TRUE(other.has_value());
  const auto its_identity = crypto::Identity::generate();
  std::vector<std::byte> forged = descriptor_of(*its_identity, key->public_bytes());
  forged.back() ^= std::byte{1};
  EXPECT_TRUE(forger.endpoint().send_control(*other, type, forged));
  forger.run_for(300ms);
  const double wrong = arena.metric("qudag_descriptors_rejected_total", "signature");
  EXPECT_EQ(wrong, 1);
  const std::size_t wanted = scaled(6'000);
  std::size_t sent = 0;
  double reached_before = 0;
  std::unique_ptr<Node> newcomer, sender;  // honest ones that come while it goes on
  for (; sent < wanted && rogue.links_closed == 0; ++sent) {
    if (sent == wanted / 2) {
      reached_before = arena.metric("qudag_relays_reached_total");
      newcomer = newcomer_at(arena.victim());
      sender = newcomer_at(arena.victim());
    }
    const auto identity = crypto::Identity::generate();
    ASSERT_TRUE(identity.has_value());
    const std::vector<std::byte> raw = descriptor_of(*identity, key->public_bytes());
    rogue.run(2s, [&] { return rogue.endpoint().send_control(*link, type, raw); });
    rogue.turn();
  }
  // Sooner or later, with the flood's turns between.
  const bool learned = rogue.run(
      10s, [&] { return arena.metric("qudag_relays_reached_total") >= reached_before + 2; });
  EXPECT_TRUE(learned) << "an honest newcomer is learned while the flood runs";
  newcomer->on_message([](Message&&) { return Accept::taken; });
  auto through =
      sender->send(newcomer->id(), std::array<std::byte, 5>{}, {.ttl = 10s, .relays = 1});
  rogue.run(10s, [&] { return through.wait_for(0s) == std::future_status::ready; });
  EXPECT_EQ(through.get().outcome, Outcome::delivered) << "and used";
  const double held = arena.metric("qudag_descriptors");
  EXPECT_GT(held, 4);
  EXPECT_LE(held, 5 + 2 * 64) << "two links of strangers have no more than their shares";
  EXPECT_LE(held, static_cast<double>(limits::kNetmapDescriptorsMax));
  const double full = arena.metric("qudag_descriptors_rejected_total", "reason=\"full\"");
  if (held < static_cast<double>(sent)) {
    EXPECT_GT(full, 0) << "what is not held was refused for no reason";
  }
  arena.end("descriptors flood",
            fmt::format("{} sent, {} held, {} refused (full), their link was {}; {} with a wrong "
                        "signature rejected, "
                        "its link was {}",
                        sent, held, full, rogue.links_closed > 0 ? "closed" : "kept", wrong,
                        forger.links_closed > 0 ? "closed" : "kept"));
}

}  // namespace
}  // namespace qudag::attack
