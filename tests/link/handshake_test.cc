// Handshakes: what is negotiated, who is believed, who is refused, what it costs a stranger.
#include "link/net.h"

namespace qudag::link::testing {
namespace {

TEST(Handshake, NegotiatesOnlyPostQuantum) {
  Pair pair;
  pair.connect();
  for (Peer* peer : {&pair.a, &pair.b}) {
    const auto info = (*peer)->info(peer->events.ready.at(0));
    ASSERT_TRUE(info);
    EXPECT_EQ(info->state, LinkState::ready);
    EXPECT_EQ(info->tls_group, "X25519MLKEM768");
    EXPECT_EQ(info->tls_signature, "mldsa65");
    EXPECT_EQ(info->tls_cipher, "TLS_AES_256_GCM_SHA384");
    EXPECT_EQ(info->alpn, "qudag/1");
  }
  EXPECT_TRUE(pair.a->info(pair.link)->dialer);
  EXPECT_FALSE(pair.b->info(pair.remote_link)->dialer);
  EXPECT_EQ(pair.a->info(pair.link)->peer, pair.b.id());
}

TEST(Handshake, TemporariesOfATurnAreTakenBack) {
  Pair pair;
  pair.connect();
  const std::uint64_t one = pair.a->stats().scratch_bytes;
  EXPECT_GT(one, 0u);
  EXPECT_GT(pair.b->stats().scratch_bytes, 0u);
  const auto again = pair.b->dial(pair.a.id(), pair.a.address, pair.b.address, pair.net.now());
  ASSERT_TRUE(again);
  pair.net.run_for(1s);
  EXPECT_EQ(pair.a->stats().scratch_bytes, one) << "not added up over turns";
}

TEST(Handshake, AesOnlyWhereBothSidesWantItFirst) {
  using crypto::Cipher;
  for (const Cipher dialer : {Cipher::aes_256_gcm, Cipher::chacha20_poly1305}) {
    for (const Cipher acceptor : {Cipher::aes_256_gcm, Cipher::chacha20_poly1305}) {
      Pair pair(1, {.cipher = dialer}, {.cipher = acceptor});
      pair.connect();
      const bool aes = dialer == Cipher::aes_256_gcm && acceptor == Cipher::aes_256_gcm;
      for (Peer* peer : {&pair.a, &pair.b}) {
        EXPECT_EQ((*peer)->info(peer->events.ready.at(0))->tls_cipher,
                  aes ? "TLS_AES_256_GCM_SHA384" : "TLS_CHACHA20_POLY1305_SHA256");
      }
    }
  }
}

TEST(Handshake, TakesTwoRoundTripsAtMost) {
  Pair pair;
  const TimePoint start = pair.net.now().mono;
  pair.connect();
  // One round trip for the dialer, and one more where the acceptor's flight meets the
  // amplification limit (RFC 9000, 8.1); half of one until the acceptor knows.
  EXPECT_LE(pair.net.now().mono - start, 5 * pair.net.faults.latency + 1ms);
}

TEST(Handshake, ANodeThatIsNotTheDialedOneIsRefused) {
  Pair pair;
  NodeId other = pair.b.id();
  other.bytes[31] ^= std::byte{1};
  const auto link = pair.a->dial(other, pair.b.address, pair.a.address, pair.net.now());
  ASSERT_TRUE(link);
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.a.events.closed.empty(); }));
  EXPECT_EQ(pair.a.events.closed[0].first, *link);
  EXPECT_EQ(pair.a.events.closed[0].second.code, Errc::identity_mismatch);
  pair.net.run_for(1s);
  EXPECT_TRUE(pair.a.events.ready.empty());
  EXPECT_TRUE(pair.b.events.ready.empty());
  EXPECT_TRUE(pair.b.events.closed.empty()) << "the acceptor's owner never knew of it";
  EXPECT_TRUE(pair.a->links().empty());
  EXPECT_TRUE(pair.b->links().empty());
  EXPECT_EQ(pair.a->stats().handshakes_failed, 1u);
}

TEST(Handshake, AnUnknownDialerStaysUnknown) {
  Pair pair;
  pair.connect();
  pair.net.run_for(100ms);
  EXPECT_FALSE(pair.b->info(pair.remote_link)->peer);
  EXPECT_FALSE(pair.b->find(pair.a.id()));
}

TEST(Handshake, AKnownDialerProvesItsId) {
  Pair pair(1, EndpointOptions{.known = true});
  pair.connect();
  pair.net.run_for(100ms);
  EXPECT_EQ(pair.b->info(pair.remote_link)->peer, pair.a.id());
  EXPECT_EQ(pair.b->find(pair.a.id()), pair.remote_link);
  // Dialing back uses that link.
  const auto back = pair.b->dial(pair.a.id(), pair.a.address, pair.b.address, pair.net.now());
  EXPECT_EQ(back, pair.remote_link);
}

TEST(Handshake, DialingTwiceIsOneLink) {
  Pair pair;
  const auto first = pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now());
  const auto second = pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now());
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(pair.a->links().size(), 1u);
  pair.net.run_for(1s);
  EXPECT_EQ(pair.a.events.ready.size(), 1u);
  EXPECT_EQ(pair.b.events.ready.size(), 1u);
}

TEST(Handshake, ABlackHoleIsUnreachable) {
  Pair pair(1, EndpointOptions{.handshake_timeout = 5s, .unanswered_max = 2s});
  pair.net.faults.loss = 1.0;
  const TimePoint start = pair.net.now().mono;
  const auto link = pair.a->dial(pair.b.id(), pair.b.address, pair.a.address, pair.net.now());
  ASSERT_TRUE(link);
  ASSERT_TRUE(pair.net.run(10s, [&] { return !pair.a.events.closed.empty(); }));
  EXPECT_EQ(pair.a.events.closed[0].second.code, Errc::unreachable);
  EXPECT_NEAR(std::chrono::duration<double>(pair.net.now().mono - start).count(), 2.0, 0.1);
  EXPECT_TRUE(pair.a->links().empty());
}

TEST(Handshake, SucceedsUnderHeavyLoss) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Pair pair(seed);
    pair.net.faults = {.loss = 0.2, .duplicate = 0.1, .reorder = 0.3};
    pair.connect();
  }
}

TEST(Handshake, LinkLimitRefuses) {
  Pair pair(1, {}, EndpointOptions{.links_max = 1});
  pair.connect();
  Peer& third = pair.net.add();
  ASSERT_TRUE(third->dial(pair.b.id(), pair.b.address, third.address, pair.net.now()));
  ASSERT_TRUE(pair.net.run(10s, [&] { return !third.events.closed.empty(); }));
  EXPECT_EQ(third.events.closed[0].second.code, Errc::refused_by_peer);
  EXPECT_GE(pair.b->stats().links_refused, 1u);
  EXPECT_EQ(pair.b->links().size(), 1u);
  // The acceptor's own dials meet the same limit.
  const auto dialed = pair.b->dial(third.id(), third.address, pair.b.address, pair.net.now());
  ASSERT_FALSE(dialed);
  EXPECT_EQ(dialed.error().code, Errc::refused_links);
}

TEST(Handshake, ManyHalfOpenHandshakesDemandProofOfAddress) {
  Pair pair(1, {}, EndpointOptions{.half_open_max = 4});
  // Two dialers that vanish after their first flight leave the acceptor half open.
  std::vector<Peer*> ghosts = {&pair.net.add(), &pair.net.add()};
  for (Peer* ghost : ghosts) {
    ASSERT_TRUE((*ghost)->dial(pair.b.id(), pair.b.address, ghost->address, pair.net.now()));
    (*ghost)->flush(*ghost, pair.net.now());
    ghost->endpoint.reset();
  }
  pair.net.run_for(20ms);
  EXPECT_EQ(pair.b->stats().retries_sent, 0u);
  pair.connect();
  EXPECT_GE(pair.b->stats().retries_sent, 1u);
  EXPECT_EQ(pair.b->stats().handshakes_done, 1u);
  // The ghosts' state goes with the handshake timeout.
  pair.net.run_for(15s);
  EXPECT_EQ(pair.b->links().size(), 1u);
}

TEST(Handshake, ARetryTokenIsWorthNothingFromAnotherAddress) {
  Pair pair(1, {}, EndpointOptions{.half_open_max = 1});  // half of it is 0: always Retry
  std::vector<std::byte> with_token;
  pair.net.tap = [&](const SocketAddress& from, const SocketAddress&, Bytes data) {
    // What the dialer sends after the Retry carries the token.
    if (from == pair.a.address && pair.b->stats().retries_sent > 0 && with_token.empty()) {
      with_token.assign(data.begin(), data.end());
    }
  };
  pair.connect();
  ASSERT_FALSE(with_token.empty());
  EXPECT_LE(pair.b->stats().retries_sent, 2u) << "one for each datagram of the first flight";
  const auto before = pair.b->stats();
  const SocketAddress thief = SocketAddress::v4(10, 0, 0, 99, 1);
  // Its connection id is a link's by now, so the copy names another; the token covers both the id
  // and the address.
  with_token[8] ^= std::byte{1};
  pair.net.inject(pair.net.now().mono, thief, pair.b.address, with_token);
  pair.net.run_for(20ms);
  const auto after = pair.b->stats();
  EXPECT_EQ(after.dropped_malformed, before.dropped_malformed + 1);
  EXPECT_EQ(after.handshakes_started, before.handshakes_started);
  EXPECT_EQ(after.retries_sent, before.retries_sent);
}

TEST(Handshake, UnknownVersionsGetANegotiation) {
  Pair pair;
  std::vector<std::byte> packet(1200);
  packet[0] = std::byte{0xc0};
  packet[1] = packet[2] = packet[3] = packet[4] = std::byte{0x77};
  packet[5] = std::byte{8};
  packet[14] = std::byte{8};
  std::vector<std::byte> reply;
  pair.net.tap = [&](const SocketAddress& from, const SocketAddress&, Bytes data) {
    if (from == pair.b.address) reply.assign(data.begin(), data.end());
  };
  pair.net.inject(pair.net.now().mono, pair.a.address, pair.b.address, packet);
  pair.net.run_for(10ms);
  EXPECT_EQ(pair.b->stats().version_negotiations, 1u);
  ASSERT_GT(reply.size(), 5u);
  EXPECT_EQ(load_be<std::uint32_t>(reply.data() + 1), 0u) << "version 0 is a negotiation";
  EXPECT_LT(reply.size(), packet.size());

  // Small packets get nothing, and many get little.
  packet.resize(1199);
  pair.net.inject(pair.net.now().mono, pair.a.address, pair.b.address, packet);
  pair.net.run_for(10ms);
  EXPECT_EQ(pair.b->stats().version_negotiations, 1u);
  packet.resize(1200);
  for (int i = 0; i < 1000; ++i) {
    pair.net.inject(pair.net.now().mono, pair.a.address, pair.b.address, packet);
  }
  pair.net.run_for(10ms);
  EXPECT_LE(pair.b->stats().version_negotiations, 60u);
  EXPECT_TRUE(pair.b->links().empty());
}

TEST(Handshake, ConnectionIdsNameTheShard) {
  for (std::uint8_t shard = 0; shard < 3; ++shard) {
    Net net(shard + 1u);
    Peer& a = net.add(EndpointOptions{.shard = shard, .shards = 3});
    Peer& b = net.add();
    std::size_t seen = 0;
    net.tap = [&](const SocketAddress&, const SocketAddress& to, Bytes data) {
      if (to != a.address) return;
      const bool long_header = (std::to_integer<unsigned>(data[0]) & 0x80) != 0;
      EXPECT_EQ(std::to_integer<unsigned>(data[long_header ? 6 : 1]) % 3, shard);
      ++seen;
    };
    ASSERT_TRUE(a->dial(b.id(), b.address, a.address, net.now()));
    ASSERT_TRUE(net.run(10s, [&] { return !a.events.ready.empty(); }));
    EXPECT_GT(seen, 3u);
  }
}

}  // namespace
}  // namespace qudag::link::testing
