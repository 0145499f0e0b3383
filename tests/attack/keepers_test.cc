// Strangers at a keeper: callers by the hundred that begin to speak and stop, standbys that are
// hoarded, conversations that one end does not read. And an opener of pipes that never stops.
#include "attack/arena.h"
#include "attack/rogue.h"

#include "keeper/hail.h"
#include "keeper/say.h"
#include "wire/pipe_frames.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <span>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;
using circuit::CircuitId;

/// A rogue's circuits to a keeper: what it says on them is up to the test.
class AtKeeper final : public circuit::CircuitEvents {
 public:
  AtKeeper(Rogue& of, onion::RouteHop hop) : rogue(of), route{hop} {
    rogue.circuits().set_events(*this, circuit::EndKind::keeper);
  }
  std::optional<CircuitId> build(const wire::KeeperFrame& frame) {
    std::array<std::byte, onion::kRiderBytes> rider;
    keeper::write_rider(frame, rider);
    const auto circuit = rogue.circuits().build(route, Priority::normal, Rogue::now(), rider,
                                                circuit::EndKind::keeper);
    ++asked;
    return circuit ? std::optional(*circuit) : std::nullopt;
  }
  bool say(CircuitId circuit, const wire::KeeperFrame& frame) {
    return keeper::say(rogue.circuits(), circuit, Priority::normal, frame, Rogue::now());
  }
  /// The first payloads of a frame, and never the rest.
  void begin(CircuitId circuit, const wire::KeeperFrame& frame, std::size_t payloads) {
    std::vector<std::byte> raw;
    wire::append(raw, frame);
    for (std::size_t i = 0; i < payloads; ++i) {
      memory::Block block = rogue.circuits().payload_block(Priority::normal);
      if (!block) return;  // all of its own are on the way
      const std::size_t n = block.size() - 1;
      block.bytes().front() = std::byte{1};
      std::ranges::copy(Bytes(raw).subspan(i * n, n), block.bytes().begin() + 1);
      rogue.circuits().send(circuit, std::move(block), Rogue::now());
    }
  }
  /// So many payloads of a tunnel, as far as there is room.
  void fill(CircuitId circuit) {
    while (rogue.circuits().sendable(circuit) > 0) {
      memory::Block block = rogue.circuits().payload_block(Priority::normal);
      if (!block) return;
      std::ranges::fill(block.bytes(), std::byte{0});
      rogue.circuits().send(circuit, std::move(block), Rogue::now());
    }
  }

  void on_built(CircuitId circuit, Duration, Now) override { built.push_back(circuit); }
  void on_incoming(CircuitId, Priority, Now) override {}
  std::size_t on_payload(CircuitId circuit, memory::Block payload, Now) override {
    if (payload.bytes().front() != std::byte{1}) return 1;
    static_cast<void>(streams[circuit.value].take(
        payload.bytes().subspan(1), [&](const wire::KeeperFrame& frame) {
          if (const auto* registered = std::get_if<wire::RegisteredFrame>(&frame)) {
            binding = registered->binding;
          }
          offers += std::holds_alternative<wire::OfferFrame>(frame) ? 1 : 0;
          if (std::holds_alternative<wire::OfferFrame>(frame)) {
            EXPECT_TRUE(say(circuit, wire::AcceptFrame{answer}));
          }
          if (std::holds_alternative<wire::JoinedFrame>(frame)) joined.push_back(circuit);
          return true;
        }));
    return 1;
  }
  void on_sendable(CircuitId, Now) override {}
  void on_ended(CircuitId, const Error&, Now) override { ++ended; }

  Rogue& rogue;
  std::array<onion::RouteHop, 1> route;
  std::vector<CircuitId> built, joined;
  std::map<std::uint64_t, wire::KeeperStream> streams;
  std::optional<wire::Binding> binding;
  std::size_t asked = 0, ended = 0, offers = 0;
  const std::vector<std::byte> hail = std::vector<std::byte>(keeper::kHailBytes, std::byte{3});
  const std::vector<std::byte> answer = std::vector<std::byte>(keeper::kAnswerBytes, std::byte{4});
};

TEST(Keepers, CallersThatStopInTheMiddleAndReceiversThatDoNotRead) {
  Arena arena({"--keeper", "true"});
  arena.begin();
  Rogue rogue;
  ASSERT_TRUE(rogue.join(arena.victim()));
  ASSERT_TRUE(rogue.run(20s, [&] { return rogue.hop(arena.victim().id).has_value(); }));
  AtKeeper at(rogue, *rogue.hop(arena.victim().id));

  // A receiver with all the standbys that it gets, all taken by its own callers.
  wire::OwnerSecret owner;
  owner.fill(std::byte{9});
  const wire::InboxId inbox = keeper::inbox_id(arena.victim().id, owner);
  ASSERT_TRUE(at.build(wire::RegisterFrame{{wire::InboxEntry{.owner = owner}}}));
  ASSERT_TRUE(rogue.run(20s, [&] { return at.binding.has_value(); }));
  const wire::JoinFrame join{.inbox = inbox, .hail = at.hail};
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(at.build(wire::StandbyFrame{*at.binding}));
  ASSERT_TRUE(rogue.run(20s, [&] { return at.built.size() >= 17; }));
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(at.build(join));
  EXPECT_TRUE(rogue.run(20s, [&] { return at.joined.size() >= 16; })) << at.joined.size();
  rogue.grip().keep_windows = true;  // from here on it reads nothing
  for (const CircuitId caller : at.joined) at.fill(caller);

  // Callers of nobody: NO comes at once, and then the half of another JOIN.
  wire::JoinFrame nobody = join;
  nobody.inbox.fill(std::byte{1});
  const std::size_t wanted = scaled(4'000);
  std::size_t begun = 33;
  const std::size_t before = at.built.size() + at.ended;
  const bool answered = rogue.run(60s, [&] {
    while (at.asked < wanted + 33 && at.asked - 33 < at.built.size() + at.ended - before + 100) {
      if (!at.build(nobody)) break;
    }
    for (; begun < at.built.size(); ++begun) {
      if (rogue.circuits().info(at.built[begun])) at.begin(at.built[begun], nobody, 5);
    }
    for (const CircuitId caller : at.joined) {
      if (rogue.circuits().info(caller)) at.fill(caller);
    }
    return at.asked >= wanted + 33 && at.built.size() + at.ended >= at.asked;
  });
  EXPECT_TRUE(answered) << at.asked << " asked, " << at.built.size() << " built";
  rogue.run_for(500ms);
  arena.end("callers and receivers at a keeper",
            fmt::format("{} circuits asked, {} built, {} ended; {} offers, {} joined", at.asked,
                        at.built.size(), at.ended, at.offers, at.joined.size()));
}

/// Pipes to a service that is not there, each moved to where it is and broken off at once, on as
/// many circuits as that takes: those that open too many end.
TEST(Pipes, OpenedMovedAndBrokenOffWithoutEnd) {
  Arena arena({"--services", "echo=127.0.0.1:1"});
  arena.begin();
  Rogue rogue;
  ASSERT_TRUE(rogue.join(arena.victim()));
  ASSERT_TRUE(rogue.run(20s, [&] { return rogue.hop(arena.victim().id).has_value(); }));
  const std::array route{*rogue.hop(arena.victim().id)};
  const TimePoint end = end_of_attack(1500ms);
  std::size_t opens = 0, asked = 0;
  std::map<std::uint64_t, std::uint32_t> numbers;
  static constexpr char kService[] = "echo";
  std::uint64_t key = 0;
  rogue.run(30s, [&] {
    while (asked < 20 + rogue.ended_all && asked < rogue.built.size() + rogue.ended_all + 20) {
      if (!rogue.build(route, Priority::normal)) break;
      ++asked;
    }
    for (const CircuitId circuit : rogue.built) {
      if (!rogue.circuits().info(circuit)) continue;
      std::array<std::byte, 900> text;
      ByteWriter out(text);
      while (out.remaining() > 200) {
        wire::OpenFrame open{.pipe = numbers[circuit.value]++,
                             .attempt = 1,
                             .limit = wire::kPipeAheadMax,
                             .name = std::as_bytes(std::span(kService, 4))};
        store_be(open.key.data(), ++key);
        wire::append(out, open);
        wire::append(out, wire::MoveFrame{numbers[circuit.value]++, open.key, 7, 0, 0, 1});
        wire::append(out, wire::ResetFrame{open.pipe, PipeCode::broken_off});
        ++opens;
      }
      static_cast<void>(rogue.say(circuit, Priority::normal, Bytes(text).first(out.written())));
    }
    return Rogue::now().mono >= end;
  });
  EXPECT_GT(opens, 1'000u);
  EXPECT_GT(rogue.ended_all, 0u) << "OPENs have a rate";
  arena.end(
      "pipes opened, moved and broken off without end",
      fmt::format("{} opens on {} circuits, {} ended", opens, rogue.built.size(), rogue.ended_all));
}

}  // namespace
}  // namespace qudag::attack
