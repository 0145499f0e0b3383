// Attacks on the places of a relay: build slots, circuits, dials. In each of them somebody honest
// comes anew, and must get a circuit.
#include "attack/arena.h"
#include "attack/newcomer.h"
#include "attack/rogue.h"

#include "circuit/wire.h"
#include "wire/control.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

// A stream for every build slot, and a few bytes a second over all of them.
TEST(Places, SlowBuildsHoldTheSlots) {
  Arena arena;
  Newcomer newcomer(arena);
  ASSERT_TRUE(newcomer.joined());
  arena.begin();
  Rogue rogue;
  const auto link = rogue.join(arena.victim());
  ASSERT_TRUE(link.has_value());
  constexpr std::size_t kStreams = 400;  // more than limits.circuits_building
  std::vector<link::StreamId> streams;
  const auto open_one = [&] {
    const auto stream = rogue.endpoint().open(*link, Priority::normal, 0);
    if (!stream) return;
    memory::Block first = rogue.block(16);
    const circuit::Preface preface = circuit::preface(Priority::normal);
    std::memcpy(first.data(), preface.data(), preface.size());
    rogue.endpoint().write(*stream, std::move(first));
    streams.push_back(*stream);
  };
  while (streams.size() < kStreams) open_one();
  rogue.run_for(300ms);

  // Thirty bytes a second, and a new stream for each that was refused.
  TimePoint drip_at = Rogue::now().mono;
  std::size_t dripped = 0, reopened = 0;
  const auto attack = [&] {
    const TimePoint now = Rogue::now().mono;
    for (; drip_at <= now; drip_at += 33ms) {
      rogue.endpoint().write(streams[dripped++ % streams.size()], rogue.block(1));
      if (reopened++ % 4 == 0) open_one();
    }
    rogue.turn();
  };
  newcomer.build(std::max<std::size_t>(50, scaled(500)), attack);
  EXPECT_GE(static_cast<double>(newcomer.ready), 0.99 * static_cast<double>(newcomer.asked));
  arena.end("build slots held by a slow link",
            fmt::format("{} streams, {} bytes over them; {}", streams.size(), dripped,
                        newcomer.figures()));
}

// As many circuits as the victim takes, then nothing on them.
TEST(Places, IdleCircuitsFillTheTable) {
  Arena arena({"--limits.circuits", "200"});
  Newcomer newcomer(arena);
  ASSERT_TRUE(newcomer.joined());
  arena.begin();
  Rogue rogue;
  ASSERT_TRUE(rogue.join(arena.victim()));
  ASSERT_TRUE(rogue.run(20s, [&] { return rogue.hop(arena.victim().id).has_value(); }));
  const std::array route{*rogue.hop(arena.victim().id)};
  std::size_t asked = 0;
  rogue.run(30s, [&] {
    newcomer.rogue().turn();  // its link lives meanwhile
    // One that was built and then gave up its place counts twice: more are asked for at once then.
    while (asked < 400 && asked < rogue.built.size() + rogue.ended_all + 32) {
      if (!rogue.build(route, Priority::high)) break;
      ++asked;
    }
    return asked >= 400 && rogue.built.size() + rogue.ended_all >= 400;
  });
  EXPECT_GT(rogue.built.size(), 150u) << "the attack did not happen";
  newcomer.build(std::max<std::size_t>(50, scaled(500)), [&] { rogue.turn(); });
  EXPECT_GE(static_cast<double>(newcomer.ready), 0.99 * static_cast<double>(newcomer.asked));
  arena.end("idle circuits fill the table",
            fmt::format("{} held idle by one link, limits.circuits at 200; {}", rogue.built.size(),
                        newcomer.figures()));
}

/// A socket that nobody answers at, and the descriptor of somebody who says that he is there.
class Deaf {
 public:
  explicit Deaf(const crypto::KemPublicBytes& key)
      : identity_(crypto::Identity::generate().value()) {
    netmap::Descriptor out;
    out.identity = identity_.public_bytes();
    out.id = identity_.id();
    out.published = Rogue::now().unix_seconds;
    out.expires = out.published + 3'600;
    out.addresses = {wire_.local()};
    out.onion_keys = {{.not_before = out.published - 60, .not_after = out.expires, .key = key}};
    raw_ = netmap::encode_and_sign(out, identity_).value();
  }
  const NodeId& id() const { return identity_.id(); }
  Bytes descriptor() const { return raw_; }

 private:
  Wire wire_;
  crypto::Identity identity_;
  std::vector<std::byte> raw_;
};

// Builds that name next hops which do not answer: the victim dials each of them.
TEST(Places, DeadNextHopsFillTheLinks) {
  constexpr std::size_t kLinks = 40;
  constexpr std::size_t kDeaf = 60;  // what one link may tell of
  constexpr std::size_t kNewcomers = 10;
  Arena arena({"--limits.links", std::to_string(kLinks)});
  arena.begin([&] { Newcomers(arena, kNewcomers, [] {}); });
  Rogue rogue;
  const auto link = rogue.join(arena.victim());
  ASSERT_TRUE(link.has_value());
  ASSERT_TRUE(rogue.run(20s, [&] { return rogue.hop(arena.victim().id).has_value(); }));
  const auto key = crypto::KemKeyPair::generate().value();
  const auto public_key = std::make_shared<const crypto::KemPublicKey>(
      crypto::KemPublicKey::import(key.public_bytes()).value());
  std::vector<std::unique_ptr<Deaf>> deaf;
  for (std::size_t i = 0; i < kDeaf; ++i) {
    deaf.push_back(std::make_unique<Deaf>(key.public_bytes()));
    const auto type = static_cast<std::uint8_t>(wire::ControlType::descriptor);
    rogue.run(
        2s, [&] { return rogue.endpoint().send_control(*link, type, deaf.back()->descriptor()); });
  }
  ASSERT_TRUE(rogue.run(
      20s, [&] { return arena.metric("qudag_descriptors") >= static_cast<double>(deaf.size()); }));

  std::size_t asked = 0;
  TimePoint ask_at = Rogue::now().mono;
  const auto attack = [&] {
    const TimePoint now = Rogue::now().mono;
    ask_at = std::max(ask_at, now - 50ms);  // on a busy machine it is not made up for
    for (; ask_at <= now; ask_at += 5ms) {
      const std::array route{
          *rogue.hop(arena.victim().id),
          onion::RouteHop{.id = deaf[asked % deaf.size()]->id(), .onion_key = public_key}};
      if (rogue.build(route, Priority::normal)) ++asked;
    }
    rogue.turn();
  };
  rogue.run(1s, [&] {
    attack();
    return false;
  });
  const double dials = arena.metric("qudag_extends_failed_total");
  const Newcomers newcomers(arena, kNewcomers, attack);
  expect_all(newcomers);
  EXPECT_GT(arena.metric("qudag_extends_failed_total"), dials) << "the attack did not happen";
  arena.end("dead next hops fill the links",
            fmt::format("{} builds to {} next hops that do not answer, limits.links at {}; {}",
                        asked, deaf.size(), kLinks, newcomers.told()));
}

// The same with next hops that answer: identities are free, and each is a link.
TEST(Places, LiveNextHopsFillTheLinks) {
  constexpr std::size_t kLinks = 24;
  constexpr std::size_t kNewcomers = 3;
  Arena arena({"--limits.links", std::to_string(kLinks)});
  arena.begin([&] { Newcomers(arena, kNewcomers, [] {}); });
  Rogue rogue;
  const auto link = rogue.join(arena.victim());
  ASSERT_TRUE(link.has_value());
  ASSERT_TRUE(rogue.run(20s, [&] { return rogue.hop(arena.victim().id).has_value(); }));
  std::vector<std::unique_ptr<Rogue>> crowd;
  for (std::size_t i = 0; i < kLinks + 6; ++i) {
    crowd.push_back(std::make_unique<Rogue>(RogueOptions{.announce = true}));
    const auto type = static_cast<std::uint8_t>(wire::ControlType::descriptor);
    rogue.run(
        2s, [&] { return rogue.endpoint().send_control(*link, type, crowd.back()->descriptor()); });
  }
  ASSERT_TRUE(rogue.run(
      20s, [&] { return arena.metric("qudag_descriptors") >= static_cast<double>(crowd.size()); }));
  const auto attack = [&] {
    for (auto& one : crowd) one->turn(0);
    rogue.turn();
  };
  for (auto& one : crowd) {
    const std::array route{*rogue.hop(arena.victim().id), *one->hop(one->id())};
    EXPECT_TRUE(rogue.build(route, Priority::normal));
    rogue.run(500ms, [&] {
      attack();
      return !one->circuits().list().empty();
    });
  }
  const std::size_t taken = rogue.built.size();
  EXPECT_GT(taken, kLinks / 2) << "the attack did not happen";
  const Newcomers newcomers(arena, kNewcomers, attack);
  expect_all(newcomers);
  arena.end("live next hops fill the links",
            fmt::format("circuits to {} of {} identities that answer, limits.links at {}; {}",
                        taken, crowd.size(), kLinks, newcomers.told()));
}

}  // namespace
}  // namespace qudag::attack
