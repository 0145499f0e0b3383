// TLS 1.3 of a link: one group, one signature, raw public keys on both sides (RFC 7250).
//
//   X25519MLKEM768 only; mldsa65 only; AES-256-GCM or ChaCha20-Poly1305; ALPN "qudag/1"; no
//   tickets, no resumption, no 0-RTT. The dialer compares SHA-256 of the peer's raw key with the id
//   that it dialed, in the verify callback and again when the handshake is complete.
//
// Each SSL_CTX also holds a self-signed certificate of the same key, which is never sent: OpenSSL
// before 3.5.8 dereferences null for a key without a certificate (CVE-2026-14457).
#pragma once

#include "crypto/aead.h"
#include "crypto/identity.h"
#include "memory/scratch.h"

#include <qudag/error.h>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_ossl.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace qudag::link {

inline constexpr std::string_view kAlpn = "qudag/1";

struct SslDeleter {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};
struct SslContextDeleter {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
struct CertificateDeleter {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextDeleter>;
using Certificate = std::unique_ptr<X509, CertificateDeleter>;

/// A key and the certificate that goes with it.
struct TlsKey {
  crypto::Pkey key;
  Certificate certificate;

  static Result<TlsKey> of(evp_pkey_st* key);  // adds a reference
  static Result<TlsKey> throwaway();           // 1.5 ms
};

/// SHA-256 of the raw key, or nothing if it is no ML-DSA-65 key.
std::optional<NodeId> id_of_key(evp_pkey_st* key);

/// A line of key material for a packet capture in a test, in the NSS format; unset everywhere else.
using KeyLog = std::function<void(std::string_view line)>;

class TlsContexts {
 public:
  static Result<TlsContexts> create(const crypto::Identity& identity, bool known,
                                    crypto::Cipher cipher, KeyLog keylog);

  SSL_CTX* acceptor() const { return acceptor_.get(); }
  SSL_CTX* dialer() const { return dialer_.get(); }
  /// A session that never talks, for TlsSession.
  SSL* idle() const { return idle_.get(); }
  bool known() const { return known_; }
  const KeyLog& keylog() const { return keylog_; }

  /// The key for the next dial of a dialer that stays unknown, if one was made ahead.
  std::optional<TlsKey> take_throwaway() { return std::exchange(next_throwaway_, std::nullopt); }
  bool wants_throwaway() const { return !known_ && !next_throwaway_; }
  void keep_throwaway(TlsKey key) { next_throwaway_ = std::move(key); }

 private:
  TlsContexts() = default;

  KeyLog keylog_;
  SslContext acceptor_;
  SslContext dialer_;
  std::unique_ptr<SSL, SslDeleter> idle_;
  bool known_ = false;
  std::optional<TlsKey> next_throwaway_;
};

/// What the handshake negotiated.
struct TlsFacts {
  std::string group;
  std::string signature;  // of the peer
  const char* cipher = "";
  NodeId peer_key_id;  // SHA-256 of the peer's raw key
};

class TlsEngine;

/// TLS of one connection: its engine, and what the engine's effects do to the connection. On the
/// shard's thread; not to be used but for end() while a step of the engine is under way.
class TlsSession {
 public:
  TlsSession() = default;
  ~TlsSession() { end(); }
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// `expected` is the dialed id, or nothing on the accepting side.
  Status start(TlsContexts& contexts, ngtcp2_conn* conn, std::optional<NodeId> expected,
               memory::Scratch& scratch);
  /// Before ngtcp2_conn_del. May be called early, once the handshake is confirmed, and during a
  /// step, which then ends for nobody.
  void end() noexcept;
  bool active() const { return engine_ != nullptr; }
  const std::shared_ptr<TlsEngine>& engine() const { return engine_; }

  /// After a step, inside a callback of ngtcp2: keys, flights and alerts go to the connection.
  /// Returns an ngtcp2 error.
  int apply();

  /// In handshake_completed: everything again, from the finished session.
  Result<TlsFacts> check() const;
  bool identity_mismatch() const;

 private:
  TlsContexts* contexts_ = nullptr;
  ngtcp2_conn* conn_ = nullptr;
  std::shared_ptr<TlsEngine> engine_;       // owners: this, the step under way
  ngtcp2_crypto_ossl_ctx* glue_ = nullptr;  // tells ngtcp2 the cipher that was negotiated
  std::optional<NodeId> expected_;
  bool completed_ = false;
};

}  // namespace qudag::link
