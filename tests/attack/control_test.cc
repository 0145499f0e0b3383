// Cheap things that a peer may do to a live node: control frames without end, cells full of small
// frames, questions whose answers it does not read.
#include "wire/control.h"
#include "attack/arena.h"
#include "attack/rogue.h"
#include "wire/message_frames.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

/// Control frames of one kind over eight links, as many as they take.
void control_frames(const std::string& name, std::uint8_t type, Bytes body) {
  Arena arena;
  arena.begin();
  std::vector<std::unique_ptr<Rogue>> rogues;
  std::vector<link::LinkId> links;
  for (int i = 0; i < 8; ++i) {
    rogues.push_back(std::make_unique<Rogue>());
    const auto link = rogues.back()->join(arena.victim());
    ASSERT_TRUE(link);
    links.push_back(*link);
  }
  std::uint64_t sent = 0, in = 0;
  const TimePoint end = end_of_attack(2s);
  while (Rogue::now().mono < end) {
    for (std::size_t i = 0; i < rogues.size(); ++i) {
      for (int n = 0; n < 2'000; ++n) {
        if (!rogues[i]->endpoint().send_control(links[i], type, body)) break;
        ++sent;
      }
      rogues[i]->turn(0);
    }
  }
  std::size_t closed = 0;
  for (const auto& rogue : rogues) {
    closed += rogue->links_closed;
    in += rogue->endpoint().stats().datagrams_in;
  }
  arena.end(name, fmt::format("{} frames, {} datagrams came back, {} of 8 links closed", sent, in,
                              closed));
}

TEST(Control, PingsWithoutEnd) {
  control_frames("pings of control streams", 0x02, std::array<std::byte, 8>{});
}
TEST(Control, FramesThatAreIgnored) { control_frames("ignored frames", 0xf0, {}); }
TEST(Control, EmptyDigests) {
  control_frames("empty digests", 0x10,
                 std::array{std::byte{0}, std::byte{255}, std::byte{0}, std::byte{0}});
}
TEST(Control, EmptyWants) {
  control_frames("empty wants", 0x11, std::array{std::byte{0}, std::byte{0}});
}
TEST(Control, Loads) { control_frames("loads", 0x20, std::array{std::byte{0x80}, std::byte{0}}); }

/// Writes frames until no more fit, and counts up the ref of the circuit's messages; how many.
using Fill = std::function<std::size_t(ByteWriter& out, std::uint32_t& ref)>;

void put_message(ByteWriter& out, std::uint32_t ref, std::uint32_t size, bool last) {
  wire::MessageStart start{.size = size, .ttl_ms = 1u << 27};
  start.id[0] = static_cast<std::byte>(ref);
  start.id[1] = static_cast<std::byte>(ref >> 8);
  start.id[2] = static_cast<std::byte>(ref >> 16);
  start.id[3] = std::byte{1};
  wire::append(out,
               wire::Frame(wire::DataFrame{.ref = ref, .start = start, .last = last, .bytes = {}}));
}

/// A cell full of them. How many; nothing if the circuit has no room for it.
std::optional<std::size_t> say(Rogue& rogue, circuit::CircuitId circuit, Priority priority,
                               std::map<std::uint64_t, std::uint32_t>& refs, const Fill& fill) {
  if (rogue.circuits().sendable(circuit) == 0) return std::nullopt;
  std::array<std::byte, 928> bytes{};
  ByteWriter out(bytes);
  const auto known = refs.find(circuit.value);
  if (known == refs.end()) wire::append(out, wire::Frame(wire::ScopeFrame{}));
  std::uint32_t ref = known == refs.end() ? 0 : known->second;
  const std::size_t count = fill(out, ref);
  if (!rogue.say(circuit, priority, Bytes(bytes).first(out.written()))) return std::nullopt;
  refs[circuit.value] = ref;
  return count;
}

/// Cells to the victim itself, each full of the same small frame, over one link.
void cells_of(const std::string& name, Priority priority, const Fill& fill) {
  Arena arena;
  arena.begin();
  Rogue rogue;
  ASSERT_TRUE(rogue.join(arena.victim()));
  ASSERT_TRUE(rogue.run(20s, [&] { return rogue.hop(arena.victim().id).has_value(); }));
  const std::array route{*rogue.hop(arena.victim().id)};
  std::map<std::uint64_t, std::uint32_t> refs;
  std::uint64_t frames = 0, cells = 0;
  std::map<std::string, double> worst;
  TimePoint look = Rogue::now().mono;
  const TimePoint end = end_of_attack(2s);
  while (Rogue::now().mono < end) {
    if (rogue.built.size() < 16 + rogue.ended_all && rogue.circuits().building() < 8) {
      (void)rogue.build(route, priority);
    }
    for (const circuit::CircuitId circuit : rogue.built) {
      if (!rogue.circuits().info(circuit)) continue;
      for (int n = 0; n < 32; ++n, ++cells) {
        const auto said = say(rogue, circuit, priority, refs, fill);
        if (!said) break;
        frames += *said;
      }
    }
    rogue.turn(0);
    if (Rogue::now().mono >= look) {
      look = Rogue::now().mono + 1s;
      for (const char* one : {"queue_delay", "loop_lag", "memory", "circuits"}) {
        worst[one] = std::max(worst[one], arena.metric("qudag_overload_pressure", one));
      }
    }
  }
  std::string why;
  for (const auto& [what, count] : rogue.ended) why += fmt::format(" {} x {};", count, what);
  for (const char* one : {"queue_delay", "loop_lag", "memory", "circuits"}) {
    why += fmt::format(" {} {:.2f}", one, worst[one]);
  }
  arena.end(name + " of priority " + std::string(name_of(priority)),
            fmt::format("{} cells with {} frames on {} circuits, {} ended:{} {} answers", cells,
                        frames, rogue.built.size(), rogue.ended_all, why, rogue.payloads));
}

/// Messages of 0 bytes, whole.
std::size_t put_empty_messages(ByteWriter& out, std::uint32_t& ref) {
  std::size_t n = 0;
  for (; out.remaining() >= 40; ++n, ++ref) put_message(out, ref, 0, true);
  return n;
}

TEST(Control, CellsFullOfEmptyMessagesOfHighPriority) {
  cells_of("empty messages", Priority::high, put_empty_messages);
}
TEST(Control, CellsFullOfEmptyMessages) {
  cells_of("empty messages", Priority::normal, put_empty_messages);
}

std::size_t put_pings(ByteWriter& out, std::uint32_t&) {
  std::size_t n = 0;
  for (; out.remaining() >= 9; ++n) wire::append(out, wire::Frame(wire::PingFrame{n}));
  return n;
}

TEST(Control, CellsFullOfPings) { cells_of("pings in cells", Priority::normal, put_pings); }

TEST(Control, CellsFullOfCancels) {
  cells_of("begun and cancelled", Priority::normal, [](ByteWriter& out, std::uint32_t& ref) {
    std::size_t n = 0;
    for (; out.remaining() >= 46; ++n, ++ref) {
      put_message(out, ref, 1u << 20, false);
      wire::append(out, wire::Frame(wire::CancelFrame{ref}));
    }
    return n;
  });
}

std::size_t put_nothing(ByteWriter&, std::uint32_t&) { return 0; }

TEST(Control, CellsOfNothingOfHighPriority) {
  cells_of("cells of nothing", Priority::high, put_nothing);
}
TEST(Control, CellsOfNothing) { cells_of("cells of nothing", Priority::normal, put_nothing); }

/// Questions whose answers nobody reads, up to what a circuit may owe, on as many circuits as are
/// granted to six links.
void unread(const std::string& name, std::size_t cells_each, const Fill& fill) {
  Arena arena;
  arena.begin();
  struct Peer {
    Rogue rogue{RogueOptions{.link = {.stream_window_bytes = 64 * 1024, .known = true}}};
    std::map<std::uint64_t, std::size_t> sent;
    std::map<std::uint64_t, std::uint32_t> refs;
  };
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 6; ++i) {
    Rogue& rogue = peers.emplace_back(std::make_unique<Peer>())->rogue;
    ASSERT_TRUE(rogue.join(arena.victim()));
    ASSERT_TRUE(rogue.run(20s, [&] { return rogue.hop(arena.victim().id).has_value(); }));
  }
  std::uint64_t cells = 0;
  double most = 0;
  TimePoint look{};
  const TimePoint end = end_of_attack(2s) + 1s;
  while (Rogue::now().mono < end) {
    for (auto& peer : peers) {
      Rogue& rogue = peer->rogue;
      rogue.grip().keep_windows = rogue.circuits().building() == 0;
      const std::array route{*rogue.hop(arena.victim().id)};
      if (rogue.circuits().size() < 150 && rogue.circuits().building() < 4) {
        (void)rogue.build(route, Priority::normal);
      }
      for (const circuit::CircuitId circuit : rogue.built) {
        std::size_t& sent = peer->sent[circuit.value];
        if (!rogue.circuits().info(circuit)) continue;
        for (int n = 0; n < 8 && sent < cells_each; ++n, ++sent, ++cells) {
          if (!say(rogue, circuit, Priority::normal, peer->refs, fill)) break;
        }
      }
      rogue.turn(0);
    }
    if (Rogue::now().mono >= look) {
      look = Rogue::now().mono + 1s;
      most = std::max(most, arena.metric("qudag_overload_pressure", "memory"));
    }
  }
  std::map<std::string, std::size_t> ended;
  std::size_t circuits = 0;
  for (const auto& peer : peers) {
    circuits += peer->rogue.built.size();
    for (const auto& [what, count] : peer->rogue.ended) ended[what] += count;
  }
  std::string why;
  for (const auto& [what, count] : ended) why += fmt::format(" {} x {};", count, what);
  arena.end(name, fmt::format("{} cells on {} circuits, memory pressure {:.2f}, ended:{}", cells,
                              circuits, most, why));
}

TEST(Control, PongsThatNobodyReads) { unread("pongs that nobody reads", 220, put_pings); }
/// As many as are part of the circuit's record.
TEST(Control, FewPongsThatNobodyReads) { unread("few pongs that nobody reads", 4, put_pings); }
TEST(Control, AcksThatNobodyReads) {
  unread("acknowledgements that nobody reads", 600, put_empty_messages);
}

}  // namespace
}  // namespace qudag::attack
