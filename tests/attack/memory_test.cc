// Ways to hold a node's memory, or its time, that look like ordinary use: readers that do not read,
// holes in what is acknowledged, cells that wait, one id again and again, bodies without a length.
#include "api/client/stream_client.h"
#include "attack/arena.h"
#include "attack/rogue.h"
#include "wire/control.h"
#include "wire/message_frames.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ngtcp2/ngtcp2_crypto.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace qudag::attack {
namespace {
/// Of this thread: packets that its rogues do not want to have seen.
thread_local std::function<bool(Bytes frames)> unseen;
}  // namespace
}  // namespace qudag::attack

extern "C" {
int __real_ngtcp2_crypto_decrypt_cb(uint8_t*, const ngtcp2_crypto_aead*,
                                    const ngtcp2_crypto_aead_ctx*, const uint8_t*, size_t,
                                    const uint8_t*, size_t, const uint8_t*, size_t);
int __wrap_ngtcp2_crypto_decrypt_cb(uint8_t* dest, const ngtcp2_crypto_aead* aead,
                                    const ngtcp2_crypto_aead_ctx* ctx, const uint8_t* text,
                                    size_t size, const uint8_t* nonce, size_t nonce_size,
                                    const uint8_t* aad, size_t aad_size);
int __wrap_ngtcp2_crypto_decrypt_cb(uint8_t* dest, const ngtcp2_crypto_aead* aead,
                                    const ngtcp2_crypto_aead_ctx* ctx, const uint8_t* text,
                                    size_t size, const uint8_t* nonce, size_t nonce_size,
                                    const uint8_t* aad, size_t aad_size) {
  const int rv = __real_ngtcp2_crypto_decrypt_cb(dest, aead, ctx, text, size, nonce, nonce_size,
                                                 aad, aad_size);
  if (rv != 0 || !qudag::attack::unseen || size < 16) return rv;
  const qudag::Bytes frames(reinterpret_cast<const std::byte*>(dest), size - 16);
  return qudag::attack::unseen(frames) ? NGTCP2_ERR_DECRYPT : 0;
}
}

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

std::string said(const Rogue& rogue) {
  std::string out;
  for (const auto& [why, count] : rogue.ended) out += fmt::format(" {} x {}", count, why);
  return out.empty() ? " nothing" : out;
}

/// Two rogues with circuits over the victim, from one to the other, whose end does not read.
struct HighPipe {
  explicit HighPipe(Arena& arena)
      : sink({.link = {.stream_window_bytes = 16 * 1024,
                       .link_window_bytes = std::size_t{1} << 30,
                       .known = true},
              .announce = true}) {
    joined = source.join(arena.victim()) && sink.join(arena.victim());
    if (!joined) return;
    joined = source.run(20s, [&] {
      sink.turn();
      return source.hop(sink.id()) && source.hop(arena.victim().id);
    });
    if (joined) route = {*source.hop(arena.victim().id), *source.hop(sink.id())};
  }
  Rogue source, sink;
  bool joined = false;
  std::vector<onion::RouteHop> route;
};

/// As SlowReaderPinsWindows, but of the priority that nothing is taken back from.
void pin(const std::string& name, Priority priority, std::size_t pipes_wanted,
         std::size_t circuits) {
  Arena arena;
  arena.begin();
  std::vector<std::unique_ptr<HighPipe>> pipes;
  const auto turn = [&] {
    for (auto& pipe : pipes) {
      pipe->source.turn(0);
      pipe->sink.turn(0);
    }
  };
  for (std::size_t p = 0; p < pipes_wanted; ++p) {
    pipes.push_back(std::make_unique<HighPipe>(arena));
    ASSERT_TRUE(pipes.back()->joined);
    turn();
  }
  double used = 0, pressure = 0;
  std::size_t cells = 0;
  TimePoint look{};
  const TimePoint end = end_of_attack(3s);
  while (Rogue::now().mono < end) {
    for (auto& pipe : pipes) {
      if (pipe->source.circuits().size() < circuits && pipe->source.circuits().building() < 8) {
        (void)pipe->source.build(pipe->route, priority);
      }
      pipe->sink.grip().keep_windows = pipe->source.circuits().building() == 0;
      for (const circuit::CircuitId circuit : pipe->source.built) {
        if (pipe->source.circuits().info(circuit)) cells += pipe->source.fill(circuit, priority, 8);
      }
    }
    turn();
    if (Rogue::now().mono >= look) {
      look = Rogue::now().mono + 1s;
      used = std::max(used, arena.metric("qudag_pool_blocks", "state=\"used\",size=\"cell\""));
      pressure = std::max(pressure, arena.metric("qudag_overload_pressure", "memory"));
    }
  }
  std::string ended;
  std::size_t open = 0;
  for (const auto& pipe : pipes) {
    open += pipe->source.circuits().size();
    ended += said(pipe->source) + ";";
  }
  const double memory_ended = arena.metric("qudag_circuits_ended_total", "memory");
  const double no_block = arena.metric("qudag_circuits_ended_total", "no_block");
  arena.end(name, fmt::format("{} circuits open, {} cells, {} blocks at most, memory {:.2f}; "
                              "victim ended for memory {}, no block {}; ended:{}",
                              open, cells, used, pressure, memory_ended, no_block, ended));
}

TEST(Memory, ReadersOfHighPriorityThatDoNotRead) {
  pin("readers of high priority that do not read", Priority::high, 16, 120);
}

/// Cells for the victim itself, each as much work as fits: numbers of messages that never were.
struct Dear {
  std::map<std::uint64_t, bool> begun;
  bool say(Rogue& rogue, circuit::CircuitId circuit, Priority priority) {
    if (rogue.circuits().sendable(circuit) == 0) return false;
    std::array<std::byte, 8'096> bytes{};
    const std::size_t room = priority == Priority::low ? 8'096 : 928;
    ByteWriter out(MutableBytes(bytes).first(room));
    if (!std::exchange(begun[circuit.value], true)) {
      wire::append(out, wire::Frame(wire::ScopeFrame{}));
      wire::MessageStart start{.size = 0, .ttl_ms = 1u << 20};
      start.id[0] = std::byte{7};
      wire::append(out, wire::Frame(wire::DataFrame{.ref = 0, .start = start, .last = true}));
    }
    while (out.remaining() >= 5) wire::append(out, wire::Frame(wire::CancelFrame{0}));
    return rogue.say(circuit, priority, Bytes(bytes).first(out.written()));
  }
};

/// Peers that keep so many circuits of one route full of such cells.
struct DearPeers {
  struct Peer {
    Rogue rogue;
    Dear dear;
  };
  std::vector<std::unique_ptr<Peer>> all;
  std::vector<onion::RouteHop> route;
  std::size_t cells = 0;

  /// With so many links to the victim; the route goes through these nodes.
  bool join(const Arena& arena, std::size_t links, const std::vector<NodeId>& nodes) {
    for (std::size_t i = 0; i < links; ++i) {
      Rogue& rogue = all.emplace_back(std::make_unique<Peer>())->rogue;
      const auto knows_all = [&] {
        return std::ranges::all_of(nodes,
                                   [&](const NodeId& id) { return rogue.hop(id).has_value(); });
      };
      if (!rogue.join(arena.victim()) || !rogue.run(20s, knows_all)) return false;
      for (auto& peer : all) peer->rogue.turn(0);
    }
    for (const NodeId& id : nodes) route.push_back(*all[0]->rogue.hop(id));
    return true;
  }
  void turn(Priority priority, std::size_t circuits) {
    for (auto& peer : all) {
      Rogue& rogue = peer->rogue;
      if (rogue.circuits().size() < circuits && rogue.circuits().building() < 4) {
        (void)rogue.build(route, priority);
      }
      for (const circuit::CircuitId circuit : rogue.built) {
        if (!rogue.circuits().info(circuit)) continue;
        for (int n = 0; n < 8; ++n, ++cells) {
          if (!peer->dear.say(rogue, circuit, priority)) break;
        }
      }
      rogue.turn(0);
    }
  }
};

void waiting(const std::string& name, Priority priority, std::size_t links, std::size_t circuits) {
  Arena arena;
  arena.built_share_least = 0.9;  // while memory is short, some are refused and go elsewhere
  arena.begin();
  DearPeers peers;
  ASSERT_TRUE(peers.join(arena, links, {arena.victim().id}));
  std::map<std::string, double> worst;
  double waits = 0;
  TimePoint look{};
  const TimePoint end = end_of_attack(3s);
  while (Rogue::now().mono < end) {
    peers.turn(priority, circuits);
    if (Rogue::now().mono >= look) {
      look = Rogue::now().mono + 1s;
      for (const char* one : {"queue_delay", "loop_lag", "memory"}) {
        worst[one] = std::max(worst[one], arena.metric("qudag_overload_pressure", one));
      }
      const double size = priority == Priority::low ? 8'192 : 1'024;
      waits = std::max(
          waits, size * arena.metric("qudag_pool_blocks", priority == Priority::low
                                                              ? "state=\"used\",size=\"bulk\""
                                                              : "state=\"used\",size=\"cell\""));
    }
  }
  std::string why;
  std::map<std::string, std::size_t> ended;
  std::size_t open = 0;
  for (const auto& peer : peers.all) {
    open += peer->rogue.circuits().size();
    for (const auto& [what, count] : peer->rogue.ended) ended[what] += count;
  }
  for (const auto& [what, count] : ended) why += fmt::format(" {} x {};", count, what);
  for (const auto& [what, value] : worst) why += fmt::format(" {} {:.2f}", what, value);
  const double put_off = arena.metric("qudag_cells_put_off_total");
  const double memory_ended = arena.metric("qudag_circuits_ended_total", "memory");
  const double no_block = arena.metric("qudag_circuits_ended_total", "no_block");
  arena.end(name,
            fmt::format("{} circuits open, {} cells, {} put off, {:.1f} MB of blocks at most, "
                        "ended for memory {}, no block {}; ended:{}",
                        open, peers.cells, put_off, waits / 1e6, memory_ended, no_block, why));
}

TEST(Memory, CellsThatWait) { waiting("cells that wait", Priority::normal, 16, 80); }
TEST(Memory, CellsOfHighPriorityThatWait) {
  waiting("cells of high priority that wait", Priority::high, 16, 80);
}

/// Cells over the victim to the honest destination: there they are before those of honest circuits,
/// which come over the same link.
void ahead_of_others(const std::string& name, std::size_t links, std::size_t circuits) {
  constexpr Priority priority = Priority::normal;
  Arena arena;
  arena.begin();
  DearPeers peers;
  ASSERT_TRUE(peers.join(arena, links, {arena.victim().id, arena.honest_destination()}));
  std::size_t open = 0;
  const TimePoint end = end_of_attack(3s);
  while (Rogue::now().mono < end) {
    peers.turn(priority, circuits);
  }
  std::string why;
  for (const auto& peer : peers.all) {
    open += peer->rogue.circuits().size();
    why += said(peer->rogue) + ";";
  }
  arena.end(name, fmt::format("{} circuits open, {} cells; ended:{}", open, peers.cells, why));
}

TEST(Memory, CellsAheadOfOthersAtADestination) {
  ahead_of_others("cells ahead of others at a destination", 4, 100);
}
/// One message that is taken, which stays at the front of what is remembered; then one id again and
/// again, to a channel that nobody listens to: each is remembered, given back, and passed by all
/// that come after it.
void same_id(const std::string& name, bool over, std::size_t links) {
  Arena arena;
  api::ClientLoop loop;
  const auto client =
      api::StreamClient::open(loop, arena.socket(), [](const api::ServerRecord&) {});
  ASSERT_TRUE(client.has_value());
  ASSERT_TRUE((*client)->subscribe().has_value());
  loop.run_until([] { return false; }, 200ms);
  arena.begin();
  std::vector<std::unique_ptr<Rogue>> rogues;
  for (std::size_t i = 0; i < links; ++i) {
    Rogue& rogue = *rogues.emplace_back(std::make_unique<Rogue>());
    ASSERT_TRUE(rogue.join(arena.victim()));
    ASSERT_TRUE(rogue.run(20s, [&] {
      return rogue.hop(arena.victim().id) && rogue.hop(arena.honest_destination());
    }));
    for (auto& one : rogues) one->turn(0);
  }
  std::vector<onion::RouteHop> route{*rogues[0]->hop(arena.victim().id)};
  if (over) route.push_back(*rogues[0]->hop(arena.honest_destination()));
  std::map<std::uint64_t, std::uint32_t> refs;
  std::size_t messages = 0;
  double lag = 0;
  TimePoint look{};
  const TimePoint end = end_of_attack(3s);
  while (Rogue::now().mono < end) {
    for (auto& one : rogues) {
      Rogue& rogue = *one;
      if (rogue.circuits().size() < 4 && rogue.circuits().building() < 2) {
        (void)rogue.build(route, Priority::normal);
      }
      for (const circuit::CircuitId circuit : rogue.built) {
        if (!rogue.circuits().info(circuit)) continue;
        for (int n = 0; n < 8 && rogue.circuits().sendable(circuit) > 0; ++n) {
          std::array<std::byte, 928> bytes{};
          ByteWriter out(bytes);
          const bool first = !refs.contains(circuit.value);
          std::uint32_t& ref = refs[circuit.value];
          if (first) wire::append(out, wire::Frame(wire::ScopeFrame{}));
          for (; out.remaining() >= 40; ++ref, ++messages) {
            wire::MessageStart start{.size = 0, .ttl_ms = 1u << 27};
            start.id[0] = std::byte{1};
            if (ref > 0) start.id[0] = std::byte{2}, start.channel = 9;
            wire::append(out,
                         wire::Frame(wire::DataFrame{.ref = ref, .start = start, .last = true}));
          }
          (void)rogue.say(circuit, Priority::normal, Bytes(bytes).first(out.written()));
        }
      }
      rogue.turn(0);
    }
    if (Rogue::now().mono >= look) {
      look = Rogue::now().mono + 1s;
      if (!over) lag = std::max(lag, arena.metric("qudag_overload_pressure", "loop_lag"));
    }
  }
  std::string why;
  for (const auto& one : rogues) why += said(*one) + ";";
  arena.end(name,
            fmt::format("{} messages of one id, loop lag {:.2f}; ended:{}", messages, lag, why));
}

TEST(Memory, OneIdAgainAndAgainAtARelay) { same_id("one id again and again", false, 1); }
TEST(Memory, OneIdAgainAndAgainAtADestination) {
  same_id("one id again and again, at the destination", true, 1);
}

/// Frames of QUIC (RFC 9000, 19) as far as a relay sends them to a ready peer.
struct QuicFrames {
  explicit QuicFrames(Bytes in) : rest(in) {}
  Bytes rest;
  bool bad = false;
  std::uint64_t number() {
    if (rest.empty()) return bad = true, 0;
    const std::size_t size = std::size_t{1} << (std::to_integer<unsigned>(rest[0]) >> 6);
    if (rest.size() < size) return bad = true, 0;
    std::uint64_t out = std::to_integer<std::uint64_t>(rest[0]) & 0x3f;
    for (std::size_t i = 1; i < size; ++i) out = out << 8 | std::to_integer<std::uint64_t>(rest[i]);
    rest = rest.subspan(size);
    return out;
  }
  void skip(std::uint64_t bytes) {
    bad = bad || bytes > rest.size();
    rest = bad ? Bytes{} : rest.subspan(static_cast<std::size_t>(bytes));
  }
};

/// Whether a packet tells of the first cell of a circuit's stream, or that such a stream ended.
bool tells_of_first_cell(Bytes frames) {
  constexpr std::uint64_t kFirstCell = 2 + limits::kBuildMessageBytes;
  QuicFrames in(frames);
  while (!in.rest.empty() && !in.bad) {
    const std::uint64_t type = in.number();
    if (type == 0x00 || type == 0x01) continue;
    if (type == 0x02 || type == 0x03) {
      in.number(), in.number();
      const std::uint64_t ranges = in.number();
      in.number();
      for (std::uint64_t i = 0; i < ranges && !in.bad; ++i) in.number(), in.number();
      if (type == 0x03) in.number(), in.number(), in.number();
    } else if (type == 0x04 || type == 0x05) {
      return true;
    } else if (type >= 0x08 && type <= 0x0f) {
      const std::uint64_t id = in.number();
      const std::uint64_t offset = (type & 4) != 0 ? in.number() : 0;
      const std::uint64_t size = (type & 2) != 0 ? in.number() : in.rest.size();
      in.skip(size);
      if (id % 4 == 1 && offset <= kFirstCell && kFirstCell < offset + size) return true;
    } else if (type == 0x10 || type == 0x12 || type == 0x13 || type == 0x14 || type == 0x16 ||
               type == 0x17 || type == 0x19) {
      in.number();
    } else if (type == 0x11 || type == 0x15) {
      in.number(), in.number();
    } else {
      return false;  // of a handshake, and others that no stream's bytes come with
    }
  }
  return false;
}

/// A destination that acknowledges everything but the packet with the first cell of each circuit,
/// and announces a large window: what was sent is kept from there on, however much that is; and
/// when the circuit ends it is still kept, for the end is not acknowledged either.
void holes(const std::string& name, std::size_t links) {
  Arena arena;
  arena.begin();
  Rogue source;
  ASSERT_TRUE(source.join(arena.victim()));
  std::vector<std::unique_ptr<Rogue>> sinks;
  std::size_t dropped = 0;
  const auto turn_sinks = [&] {
    unseen = [&](Bytes frames) {
      const bool drop = tells_of_first_cell(frames);
      dropped += drop;
      return drop;
    };
    for (auto& sink : sinks) sink->turn(0);
    unseen = nullptr;
  };
  for (std::size_t i = 0; i < links; ++i) {
    sinks.push_back(
        std::make_unique<Rogue>(RogueOptions{.link = {.stream_window_bytes = std::size_t{60} << 20,
                                                      .link_window_bytes = std::size_t{1} << 30,
                                                      .known = true},
                                             .announce = true}));
    ASSERT_TRUE(sinks.back()->join(arena.victim()));
    source.turn(0);
    turn_sinks();
  }
  ASSERT_TRUE(source.run(20s, [&] {
    turn_sinks();
    return source.hop(arena.victim().id).has_value() &&
           std::ranges::all_of(
               sinks, [&](const auto& sink) { return source.hop(sink->id()).has_value(); });
  }));
  std::size_t cells = 0, asked = 0;
  double pressure = 0, used = 0;
  TimePoint look{};
  const TimePoint end = end_of_attack(3s);
  while (Rogue::now().mono < end) {
    while (source.circuits().size() < links && source.circuits().building() < 4) {
      const std::array route{*source.hop(arena.victim().id),
                             *source.hop(sinks[asked++ % links]->id())};
      if (!source.build(route, Priority::normal)) break;
    }
    for (const circuit::CircuitId circuit : source.built) {
      if (source.circuits().info(circuit)) cells += source.fill(circuit, Priority::normal, 64);
    }
    source.turn(0);
    turn_sinks();
    if (Rogue::now().mono >= look) {
      look = Rogue::now().mono + 1s;
      pressure = std::max(pressure, arena.metric("qudag_overload_pressure", "memory"));
      used = std::max(used, arena.metric("qudag_pool_blocks", "state=\"used\",size=\"cell\""));
    }
  }
  const double memory_ended = arena.metric("qudag_circuits_ended_total", "memory");
  const double no_block = arena.metric("qudag_circuits_ended_total", "no_block");
  const double after = arena.metric("qudag_pool_blocks", "state=\"used\",size=\"cell\"");
  std::size_t closed = source.links_closed;
  for (const auto& sink : sinks) closed += sink->links_closed;
  arena.end(name, fmt::format("{} cells, {} packets unseen, memory {:.2f}, {:.1f} MB of cells "
                              "pinned at most, {:.1f} MB at the end; ended for memory {}, no block "
                              "{}; links closed {}; ended:{}",
                              cells, dropped, pressure, used * 1'024 / 1e6, after * 1'024 / 1e6,
                              memory_ended, no_block, closed, said(source)));
}

TEST(Memory, HolesInWhatIsAcknowledged) { holes("holes in what is acknowledged", 8); }

int connect_to(const std::string& socket) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::strncpy(at.sun_path, socket.c_str(), sizeof at.sun_path - 1);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  return fd;
}

/// A local program that sends bodies of unknown length over several connections of the API.
/// A program of the node's own user may use up what the node has; it may not go beyond its bound.
TEST(Memory, BodiesWithoutALengthOfALocalProgram) {
  constexpr int kConnections = 12;
  constexpr std::size_t kBytes = std::size_t{56} << 20;
  Arena arena;
  arena.built_share_least = 0;  // memory is short, and new circuits are refused meanwhile
  arena.begin();
  std::array<int, kConnections> fds{};
  for (int& fd : fds) {
    fd = connect_to(arena.socket());
    const std::string head = fmt::format(
        "POST /v1/messages?to={} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        arena.victim().id.to_string());
    ASSERT_EQ(::write(fd, head.data(), head.size()), static_cast<ssize_t>(head.size()));
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  std::array<std::size_t, kConnections> sent{};
  double pressure = 0;
  TimePoint look{};
  const TimePoint end = end_of_attack(3s);
  while (Rogue::now().mono < end) {
    bool any = false;
    std::array<pollfd, kConnections> blocked{};
    for (int i = 0; i < kConnections; ++i) {
      const auto at = static_cast<std::size_t>(i);
      blocked[at] = {.fd = -1, .events = POLLOUT, .revents = 0};
      if (sent[at] >= kBytes) continue;
      const std::size_t in = sent[at] % chunk.size();
      const ssize_t n = ::send(fds[at], chunk.data() + in, chunk.size() - in, MSG_NOSIGNAL);
      if (n > 0) sent[at] += static_cast<std::size_t>(n), any = true;
      if (n < 0 && errno == EAGAIN) blocked[at].fd = fds[at];
    }
    ::poll(blocked.data(), blocked.size(), any ? 0 : 1);
    if (Rogue::now().mono >= look) {
      look = Rogue::now().mono + 1s;
      pressure = std::max(pressure, arena.metric("qudag_overload_pressure", "memory"));
    }
  }
  std::size_t all = 0;
  for (const std::size_t one : sent) all += one;
  arena.end("chunked bodies of a local program",
            fmt::format("{:.0f} MB over {} connections, memory {:.2f}",
                        static_cast<double>(all) / 1e6, kConnections, pressure));
  for (const int fd : fds) ::close(fd);
}

/// A stranger's large messages to a program that takes them as JSON.
TEST(Memory, DISABLED_LargeMessagesForASubscriberOfJson) {
  Arena arena;
  const int fd = connect_to(arena.socket());
  const std::string get = "GET /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(::write(fd, get.data(), get.size()), static_cast<ssize_t>(get.size()));
  std::atomic<bool> stop{false};
  std::atomic<std::size_t> bytes_read{0};
  std::thread reader([&] {
    std::vector<char> in(1 << 16);
    std::this_thread::sleep_for(3s);  // a slow one
    while (!stop) {
      const ssize_t n = ::recv(fd, in.data(), in.size(), 0);
      if (n <= 0) break;
      bytes_read += static_cast<std::size_t>(n);
    }
  });
  Options options;
  options.shards = 1;
  options.relay = false;
  options.bootstrap = {arena.victim()};
  options.gossip_interval = 1s;
  options.log_level = LogLevel::off;
  auto stranger = Node::start(options);
  ASSERT_TRUE(stranger.has_value());
  ASSERT_TRUE((*stranger)->wait_until_known(arena.victim().id, 30s));
  arena.begin();
  const std::vector<std::byte> payload(std::size_t{20} << 20);
  std::map<std::string, int> outcomes;
  std::mutex mutex;
  double pressure = 0;
  for (int i = 0; i < 8; ++i) {
    const auto sent = (*stranger)->send(
        arena.victim().id, payload, {.priority = Priority::low, .ttl = 20s, .relays = 0},
        [&](const Delivery& delivery) {
          const std::lock_guard lock(mutex);
          ++outcomes[delivery.outcome == Outcome::delivered ? "delivered"
                                                            : delivery.reason.message()];
        });
    EXPECT_TRUE(sent.has_value());
    std::this_thread::sleep_for(1s);
    pressure = std::max(pressure, arena.metric("qudag_overload_pressure", "memory"));
  }
  std::this_thread::sleep_for(2s);
  (*stranger)->stop(0s);
  stop = true;
  ::shutdown(fd, SHUT_RDWR);
  reader.join();
  ::close(fd);
  std::string told;
  for (const auto& [what, count] : outcomes) told += fmt::format(" {} x {};", count, what);
  arena.end("large messages for a subscriber of JSON",
            fmt::format("8 messages of 20 MiB:{} memory {:.2f}, {} bytes of JSON read", told,
                        pressure, bytes_read.load()));
}

}  // namespace
}  // namespace qudag::attack
