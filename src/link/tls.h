// TLS 1.3 of a link: one group, one signature, raw public keys on both sides (RFC 7250).
//
//   X25519MLKEM768 only; mldsa65 only; AES-256-GCM or ChaCha20-Poly1305; ALPN "qudag/1"; no
//   tickets, no resumption, no 0-RTT. The dialer compares SHA-256 of the peer's raw key with the id
//   that it dialed, in the verify callback and again when the handshake is complete.
//
// Each SSL_CTX also holds a self-signed certificate of the same key, which is never sent: OpenSSL
// before 3.5.8 dereferences null for a key without a certificate (CVE-2026-14457).
#pragma once

#include "crypto/identity.h"

#include <qudag/error.h>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_ossl.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

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

/// A line of key material for a packet capture in a test, in the NSS format; unset everywhere else.
using KeyLog = std::function<void(std::string_view line)>;

class TlsContexts {
 public:
  static Result<TlsContexts> create(const crypto::Identity& identity, bool known, KeyLog keylog);

  SSL_CTX* acceptor() const { return acceptor_.get(); }
  SSL_CTX* dialer() const { return dialer_.get(); }
  /// The key for the next dial of a dialer that stays unknown; null if it is known.
  Result<std::optional<TlsKey>> take_throwaway();
  /// Makes the next throwaway key ahead of its use.
  void prepare();

 private:
  TlsContexts() = default;

  std::unique_ptr<KeyLog> keylog_;  // stable address: the contexts point to it
  SslContext acceptor_;
  SslContext dialer_;
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

/// The SSL object of one connection, with the order of tear-down that ngtcp2_crypto_ossl needs.
class TlsSession {
 public:
  TlsSession() = default;
  ~TlsSession() { end(); }
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// `expected` is the dialed id, or nothing on the accepting side.
  Status start(TlsContexts& contexts, ngtcp2_conn* conn, std::optional<NodeId> expected);
  /// Before ngtcp2_conn_del. May be called early, once the handshake is confirmed.
  void end() noexcept;
  bool active() const { return ssl_ != nullptr; }

  /// In handshake_completed: everything again, from the finished session.
  Result<TlsFacts> check() const;
  /// The verify callback refused the peer's key because it is not the dialed one.
  bool identity_mismatch() const { return mismatch_; }

 private:
  static ngtcp2_conn* connection_of(ngtcp2_crypto_conn_ref* ref);
  static int verify_peer(int preverified, X509_STORE_CTX* store);
  friend class TlsContexts;

  ngtcp2_crypto_conn_ref ref_{};
  ngtcp2_conn* conn_ = nullptr;
  std::unique_ptr<SSL, SslDeleter> ssl_;
  ngtcp2_crypto_ossl_ctx* glue_ = nullptr;
  std::optional<NodeId> expected_;
  bool mismatch_ = false;
};

}  // namespace qudag::link
