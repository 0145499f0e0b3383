#include "link/tls.h"

#include "base/secret.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <mutex>

namespace qudag::link {
namespace {

constexpr const char* kGroups = "X25519MLKEM768";
constexpr const char* kSignatures = "mldsa65";
constexpr const char* kSuites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr std::array<unsigned char, 8> kAlpnWire = {7, 'q', 'u', 'd', 'a', 'g', '/', '1'};

std::unexpected<Error> tls_failure(const char* what) {
  ERR_clear_error();
  return fail(Errc::internal, std::string("TLS set-up: ") + what);
}

/// Fetches algorithms once per process; without it ngtcp2 fetches them for every connection.
void init_library_once() {
  static std::once_flag once;
  std::call_once(once, [] { ngtcp2_crypto_ossl_init(); });
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned int in_size, void*) {
  for (unsigned int at = 0; at < in_size; at += in[at] + 1u) {
    const std::size_t size = in[at];
    if (at + 1 + size > in_size) break;
    const std::string_view name(reinterpret_cast<const char*>(in + at + 1), size);
    if (name == kAlpn) {
      *out = in + at + 1;
      *out_size = static_cast<unsigned char>(size);
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int keylog_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void log_key(const SSL* ssl, const char* line) {
  const auto* log =
      static_cast<const KeyLog*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), keylog_index()));
  if (log != nullptr && *log) (*log)(line);
}

/// SHA-256 of the raw key, or nothing if it is no ML-DSA-65 key.
std::optional<NodeId> id_of_key(EVP_PKEY* key) {
  if (key == nullptr || EVP_PKEY_is_a(key, "ML-DSA-65") != 1) return std::nullopt;
  crypto::IdentityPublicBytes raw{};
  std::size_t size = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(raw.data()), &size) != 1 ||
      size != raw.size()) {
    return std::nullopt;
  }
  return crypto::id_of(raw);
}

/// What both roles share.
Result<SslContext> make_context(int (*verify)(int, X509_STORE_CTX*), KeyLog* keylog) {
  SslContext out(SSL_CTX_new(TLS_method()));
  if (!out) return tls_failure("context");
  SSL_CTX* const context = out.get();
  constexpr std::array<unsigned char, 1> kRawKeys = {TLSEXT_cert_type_rpk};
  const bool ok = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set_ciphersuites(context, kSuites) == 1 &&
                  SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
                  SSL_CTX_set1_sigalgs_list(context, kSignatures) == 1 &&
                  SSL_CTX_set1_client_sigalgs_list(context, kSignatures) == 1 &&
                  SSL_CTX_set1_server_cert_type(context, kRawKeys.data(), kRawKeys.size()) == 1 &&
                  SSL_CTX_set1_client_cert_type(context, kRawKeys.data(), kRawKeys.size()) == 1 &&
                  SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!ok) return tls_failure("parameters");
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
  if (*keylog) {
    SSL_CTX_set_ex_data(context, keylog_index(), keylog);
    SSL_CTX_set_keylog_callback(context, log_key);
  }
  return out;
}

bool use_key(SSL_CTX* context, const TlsKey& key) {
  return SSL_CTX_use_certificate(context, key.certificate.get()) == 1 &&
         SSL_CTX_use_PrivateKey(context, key.key.get()) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
}

}  // namespace

Result<TlsKey> TlsKey::of(evp_pkey_st* key) {
  TlsKey out;
  if (key == nullptr || EVP_PKEY_up_ref(key) != 1) return tls_failure("key");
  out.key.reset(key);
  out.certificate.reset(X509_new());
  X509* const certificate = out.certificate.get();
  if (certificate == nullptr) return tls_failure("certificate");
  // Never sent, so its contents say nothing; the dates only have to be valid.
  X509_NAME* const name = X509_get_subject_name(certificate);
  const bool ok =
      X509_set_version(certificate, X509_VERSION_3) == 1 &&
      ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
      ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20000101000000Z") == 1 &&
      ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>("node"), -1, -1, 0) == 1 &&
      X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
      X509_sign(certificate, key, nullptr) > 0;
  if (!ok) return tls_failure("certificate");
  return out;
}

Result<TlsKey> TlsKey::throwaway() {
  const crypto::Pkey key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ML-DSA-65"));
  return of(key.get());
}

Result<TlsContexts> TlsContexts::create(const crypto::Identity& identity, bool known,
                                        KeyLog keylog) {
  init_library_once();
  TlsContexts out;
  out.known_ = known;
  out.keylog_ = std::make_unique<KeyLog>(std::move(keylog));
  auto key = TlsKey::of(identity.pkey());
  if (!key) return std::unexpected(key.error());

  auto acceptor = make_context(TlsSession::verify_peer, out.keylog_.get());
  if (!acceptor) return std::unexpected(acceptor.error());
  out.acceptor_ = std::move(*acceptor);
  if (!use_key(out.acceptor_.get(), *key)) return tls_failure("key");
  SSL_CTX_set_alpn_select_cb(out.acceptor_.get(), select_alpn, nullptr);

  auto dialer = make_context(TlsSession::verify_peer, out.keylog_.get());
  if (!dialer) return std::unexpected(dialer.error());
  out.dialer_ = std::move(*dialer);
  if (SSL_CTX_set_alpn_protos(out.dialer_.get(), kAlpnWire.data(), kAlpnWire.size()) != 0) {
    return tls_failure("ALPN");
  }
  if (known && !use_key(out.dialer_.get(), *key)) return tls_failure("key");
  out.prepare();
  return out;
}

void TlsContexts::prepare() {
  if (known_ || next_throwaway_) return;
  if (auto key = TlsKey::throwaway()) next_throwaway_ = std::move(*key);
}

Result<std::optional<TlsKey>> TlsContexts::take_throwaway() {
  if (known_) return std::nullopt;
  if (next_throwaway_) return std::exchange(next_throwaway_, std::nullopt);
  auto key = TlsKey::throwaway();
  if (!key) return std::unexpected(key.error());
  return std::optional<TlsKey>(std::move(*key));
}

ngtcp2_conn* TlsSession::connection_of(ngtcp2_crypto_conn_ref* ref) {
  return static_cast<TlsSession*>(ref->user_data)->conn_;
}

Status TlsSession::start(TlsContexts& contexts, ngtcp2_conn* conn, std::optional<NodeId> expected) {
  const bool dialer = expected.has_value();
  conn_ = conn;
  expected_ = expected;
  ref_.get_conn = connection_of;
  ref_.user_data = this;
  ssl_.reset(SSL_new(dialer ? contexts.dialer() : contexts.acceptor()));
  if (!ssl_) return tls_failure("session");
  SSL* const ssl = ssl_.get();
  if (dialer) {
    auto key = contexts.take_throwaway();
    if (!key) return std::unexpected(key.error());
    if (*key && (SSL_use_certificate(ssl, (*key)->certificate.get()) != 1 ||
                 SSL_use_PrivateKey(ssl, (*key)->key.get()) != 1)) {
      return tls_failure("throwaway key");
    }
  }
  const int configured = dialer ? ngtcp2_crypto_ossl_configure_client_session(ssl)
                                : ngtcp2_crypto_ossl_configure_server_session(ssl);
  if (configured != 0) return tls_failure("QUIC callbacks");
  SSL_set_app_data(ssl, &ref_);
  dialer ? SSL_set_connect_state(ssl) : SSL_set_accept_state(ssl);
  if (ngtcp2_crypto_ossl_ctx_new(&glue_, ssl) != 0) return tls_failure("glue");
  ngtcp2_conn_set_tls_native_handle(conn, glue_);
  return {};
}

void TlsSession::end() noexcept {
  // SSL_free calls back into the connection unless the reference is gone first.
  if (ssl_) SSL_set_app_data(ssl_.get(), nullptr);
  ssl_.reset();
  if (glue_ != nullptr) {
    if (conn_ != nullptr) ngtcp2_conn_set_tls_native_handle(conn_, nullptr);
    ngtcp2_crypto_ossl_ctx_del(glue_);
    glue_ = nullptr;
  }
  conn_ = nullptr;
}

int TlsSession::verify_peer(int, X509_STORE_CTX* store) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* ref =
      ssl == nullptr ? nullptr : static_cast<const ngtcp2_crypto_conn_ref*>(SSL_get_app_data(ssl));
  if (ref == nullptr) return 0;
  auto& session = *static_cast<TlsSession*>(ref->user_data);
  const auto id = id_of_key(X509_STORE_CTX_get0_rpk(store));
  if (!id) return 0;
  if (session.expected_ && !equal_constant_time(id->bytes, session.expected_->bytes)) {
    session.mismatch_ = true;
    return 0;
  }
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

Result<TlsFacts> TlsSession::check() const {
  SSL* const ssl = ssl_.get();
  const bool dialer = expected_.has_value();
  const int peer_type =
      dialer ? SSL_get_negotiated_server_cert_type(ssl) : SSL_get_negotiated_client_cert_type(ssl);
  if (peer_type != TLSEXT_cert_type_rpk || SSL_get_verify_result(ssl) != X509_V_OK) {
    return fail(Errc::authentication_failed);
  }
  const auto id = id_of_key(SSL_get0_peer_rpk(ssl));
  if (!id) return fail(Errc::authentication_failed);
  if (expected_ && !equal_constant_time(id->bytes, expected_->bytes)) {
    return fail(Errc::identity_mismatch);
  }

  const unsigned char* alpn = nullptr;
  unsigned int alpn_size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  const std::string_view chosen(reinterpret_cast<const char*>(alpn), alpn_size);
  if (chosen != kAlpn) return fail(Errc::authentication_failed, "ALPN");

  TlsFacts out;
  out.peer_key_id = *id;
  out.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
  if (const char* group = SSL_get0_group_name(ssl)) out.group = group;
  const char* signature = nullptr;
  if (SSL_get0_peer_signature_name(ssl, &signature) == 1 && signature != nullptr) {
    out.signature = signature;
  }
  if (out.group != kGroups || out.signature != kSignatures) {
    return fail(Errc::authentication_failed, "negotiated algorithms");
  }
  return out;
}

}  // namespace qudag::link
