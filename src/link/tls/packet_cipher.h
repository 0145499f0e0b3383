// AES-256-GCM of packets by crypto::Gcm, where there is one for this CPU. ngtcp2 makes a key of
// each direction through OpenSSL, so it is given a cipher of OpenSSL's that makes a Gcm; the
// callbacks then call that, past OpenSSL. Keys live and are wiped as ngtcp2 frees them.
#pragma once

#include <ngtcp2/ngtcp2_crypto.h>

struct evp_cipher_st;

namespace qudag::link {

/// Fetches the algorithms of packets, once per process; without it ngtcp2 fetches them for every
/// connection.
void init_packet_ciphers();
/// What `encrypt` and `decrypt` of a connection's callbacks are.
ngtcp2_encrypt packet_encrypt();
ngtcp2_decrypt packet_decrypt();
/// The cipher that ngtcp2 got, for tests; null: OpenSSL's own.
const evp_cipher_st* packet_cipher();

}  // namespace qudag::link
