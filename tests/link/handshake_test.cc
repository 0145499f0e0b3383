// Handshakes: what is negotiated, who is believed, who is refused.
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
  EXPECT_EQ(pair.a->info(pair.link)->peer, pair.b.id());
}

}  // namespace
}  // namespace qudag::link::testing
