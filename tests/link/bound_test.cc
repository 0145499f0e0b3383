// Links and the memory bound: allocations that fail, handshakes behind their wall, windows that
// follow what there is.
#include "link/net.h"

#include "link/connection/connection.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

namespace qudag::link::testing {
namespace {

// ---- OpenSSL's allocations, of which one fails --------------------------------------------------

std::atomic<std::int64_t> until_failure{-1};  // counts down to 0, then that one fails

bool fails() {
  return until_failure.load(std::memory_order_relaxed) >= 0 &&
         until_failure.fetch_sub(1, std::memory_order_relaxed) == 0;
}
std::atomic<std::size_t> live{0};  // bytes, with the allocator's head of each
std::atomic<std::size_t> live_peak{0};

std::size_t taken_by(void* object) {
  return object == nullptr ? 0 : ::malloc_usable_size(object) + sizeof(void*);
}
void* counted(void* object) {
  live_peak = std::max(live_peak.load(), live += taken_by(object));
  return object;
}
void* failing_malloc(std::size_t size, const char*, int) {
  return size == 0 || fails() ? nullptr : counted(std::malloc(size));
}
void plain_free(void* object, const char*, int) {
  live -= taken_by(object);
  std::free(object);
}
void* failing_realloc(void* object, std::size_t size, const char* file, int line) {
  if (size == 0) {
    plain_free(object, file, line);
    return nullptr;
  }
  if (fails()) return nullptr;
  live -= taken_by(object);
  return counted(std::realloc(object, size));
}

// Before main, and so before OpenSSL's first allocation.
const bool hooked = CRYPTO_set_mem_functions(failing_malloc, failing_realloc, plain_free) == 1;

/// Connects as far as it goes, sends a little both ways, and says whether it all arrived.
bool talk(Pair& pair, bool b_dials) {
  Peer& dialer = b_dials ? pair.b : pair.a;
  Peer& other = b_dials ? pair.a : pair.b;
  const auto link = dialer->dial(other.id(), other.address, dialer.address, pair.net.now());
  if (!link) return false;
  pair.net.run(3s, [&] {
    return (!dialer.events.ready.empty() && !other.events.ready.empty()) ||
           !dialer.events.closed.empty();
  });
  if (dialer.events.ready.empty() || other.events.ready.empty()) return false;
  const auto stream = dialer->open(*link, Priority::normal, 0);
  if (!stream) return false;
  for (int i = 0; i < 40; ++i) dialer->write(*stream, dialer.block(pattern(1000, 1)));
  pair.net.run(3s, [&] { return other.events.bytes_in == 40'000; });
  if (other.events.bytes_in != 40'000) return false;
  const StreamId back{other.events.ready.back(), stream->index};
  for (int i = 0; i < 20; ++i) other->write(back, other.block(pattern(1000, 2)));
  pair.net.run(3s, [&] { return dialer.events.bytes_in == 20'000; });
  const bool whole = dialer.events.bytes_in == 20'000;
  dialer->reset(*stream, EndCode::none);
  pair.net.run_for(200ms);
  return whole;
}

TEST(LinkMemory, QuicFailsCleanlyWhereverItsMemoryEnds) {
  std::size_t worked = 0;
  std::size_t failed = 0;
  for (std::size_t bytes = 0; bytes <= 704 * 1024; bytes += 11 * 1024) {
    memory::Budget budget("quic", bytes);
    {
      Pair pair(bytes + 1, EndpointOptions{.memory = &budget});
      const bool whole = talk(pair, bytes % 2 != 0);
      ++(whole ? worked : failed);
      EXPECT_LE(budget.peak(), bytes + 64) << "but for what malloc adds";
      EXPECT_LE(pair.a.events.closed.size(), 1u);
    }
    EXPECT_EQ(budget.used(), 0u) << bytes;
  }
  EXPECT_GT(worked, 2u);
  EXPECT_GT(failed, 2u);
}

TEST(LinkMemory, OpenSslFailsCleanlyAtEveryPlaceOfAHandshake) {
  ASSERT_TRUE(hooked);
  std::size_t reached = 0;
  std::size_t whole = 0;
  // Primes, so that the places differ from round to round; the last ones are behind the end.
  for (std::int64_t place = 0; place < 9'000; place += place < 200 ? 7 : 61) {
    Pair pair(static_cast<std::uint64_t>(place) + 1);
    until_failure = place;
    const bool worked = talk(pair, place % 2 != 0);
    if (until_failure.exchange(-1) < 0) ++reached;
    whole += worked ? 1 : 0;
    // The next link between the same two works: nothing was left broken.
    if (worked || place % 5 != 0) continue;
    pair.net.run_for(4s);
    auto again = pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now());
    ASSERT_TRUE(again) << place << " " << again.error().message();
    const std::size_t before = pair.a.events.ready.size();
    EXPECT_TRUE(pair.net.run(20s, [&] {
      return pair.a.events.ready.size() > before || pair.a->find(pair.b.id()).has_value();
    })) << place;
  }
  EXPECT_GT(reached, 50u);
  EXPECT_GT(whole, 5u);
}

/// What is reserved for a handshake and for a link is what OpenSSL takes at most, our own records
/// beside it, and not half as much again.
TEST(LinkMemory, WhatIsReservedIsWhatIsTaken) {
  ASSERT_TRUE(hooked);
  constexpr std::size_t kLinks = 32;
  memory::Budget handshakes("handshakes", 64 << 20);
  memory::Budget links("links", 64 << 20);
  Net net;
  Peer& server = net.add({.handshake_memory = &handshakes, .link_memory = &links});
  std::vector<Peer*> clients;
  for (std::size_t i = 0; i < kLinks; ++i) clients.push_back(&net.add());
  const std::size_t before = live;
  live_peak = before;
  for (Peer* client : clients) {
    ASSERT_TRUE((*client)->dial(server.id(), server.address, client->address, net.now()));
  }
  net.run(3s, [&] { return server.events.ready.size() == kLinks; });
  ASSERT_EQ(server.events.ready.size(), kLinks);
  net.run_for(500ms);
  // Both ends are ours.
  const std::size_t handshake = (live_peak - before) / (2 * kLinks) + sizeof(Connection);
  const std::size_t link = (live - before) / (2 * kLinks) + sizeof(Connection);
  const std::uint64_t for_handshake = (handshakes.peak() + links.peak()) / kLinks;
  const std::uint64_t for_link = links.used() / kLinks;
  EXPECT_LE(handshake, for_handshake);
  EXPECT_LE(for_handshake, handshake * 3 / 2);
  EXPECT_LE(link, for_link);
  EXPECT_LE(for_link, link * 3 / 2);
}

TEST(LinkMemory, HandshakesOfStrangersHaveAShareAndNoMore) {
  memory::Budget wall("handshakes", 150 * 1024);
  memory::Budget links("links", 1 << 20);
  Net net;
  Peer& server = net.add({.handshake_memory = &wall, .link_memory = &links});
  std::vector<Peer*> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(&net.add());
  for (Peer* client : clients) {
    ASSERT_TRUE((*client)->dial(server.id(), server.address, client->address, net.now()));
  }
  // All at once: two fit, the others are told so and not left to wait.
  const auto ready = [&] {
    std::size_t out = 0;
    for (const Peer* client : clients) out += client->events.ready.size();
    return out;
  };
  net.run_for(2s);
  EXPECT_EQ(ready(), 2u);
  for (const Peer* client : clients) {
    if (!client->events.ready.empty()) continue;
    ASSERT_EQ(client->events.closed.size(), 1u);
    EXPECT_EQ(client->events.closed[0].second, Errc::refused_by_peer);
  }
  EXPECT_GE(server->stats().links_refused, 4u);
  EXPECT_EQ(wall.used(), 0u) << "TLS of a ready link is gone";
  EXPECT_GT(links.used(), 0u);
  // One after another there is room for all, and our own dial needs no wall.
  const memory::Reservation full = memory::Reservation::take(wall, wall.bytes_max());
  Peer& other = net.add();
  ASSERT_TRUE(server->dial(other.id(), other.address, server.address, net.now()));
  net.run_for(1s);
  EXPECT_EQ(other.events.ready.size(), 1u);
}

TEST(LinkMemory, WindowsGrowAndShrinkWithWhatIsConsumed) {
  EndpointOptions small{.stream_window_bytes = 64 * 1024};
  Pair pair(1, small, small);
  pair.connect();
  const StreamId stream = pair.open();
  const std::vector<std::byte> piece = pattern(1000, 5);
  for (int i = 0; i < 3000; ++i) pair.a->write(stream, pair.a.block(piece));
  pair.net.run_for(1s);
  EXPECT_EQ(pair.b.events.bytes_in, 64u * 1024) << "no consume: exactly a window";
  pair.b->set_stream_window(256 * 1024);
  const auto ahead = [&](std::size_t consumed) {
    pair.b->consume(pair.at_b(stream), consumed);
    pair.net.run_for(1s);
    return pair.b.events.bytes_in;
  };
  std::size_t consumed = 64 * 1024;
  EXPECT_EQ(ahead(consumed) - consumed, 128u * 1024) << "doubled by one window";
  consumed += 128 * 1024;
  EXPECT_EQ(ahead(128 * 1024) - consumed, 256u * 1024);
  pair.b->set_stream_window(64 * 1024);
  consumed += 100 * 1024;
  EXPECT_EQ(ahead(100 * 1024) - consumed, 156u * 1024) << "memory is short: nothing is given back";
  consumed += 156 * 1024;
  EXPECT_EQ(ahead(156 * 1024) - consumed, 64u * 1024);
}

TEST(LinkMemory, AResetStreamFreesWhatIsInNoPacket) {
  Pair pair(1, {}, EndpointOptions{.stream_window_bytes = 64 * 1024});
  pair.connect();
  const StreamId stream = pair.open(Priority::low);
  for (int i = 0; i < 300; ++i) pair.a->write(stream, pair.a.block(pattern(1000, 1)));
  pair.net.run_for(500ms);
  pair.a->on_time(pair.net.now());
  EXPECT_GT(pair.a->held(stream).bytes, 200'000u);
  EXPECT_GE(pair.a->held(stream).waited, 490ms);
  pair.net.faults.loss = 1;  // the peer never says that it knows
  pair.a->reset(stream, EndCode::refused);
  EXPECT_LE(pair.a.pool.stats().in_use[0], 1u) << "the one that is half in a packet";
  EXPECT_EQ(pair.a->held(stream).bytes, 0u);
}

}  // namespace
}  // namespace qudag::link::testing
