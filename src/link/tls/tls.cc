#include "link/tls/tls.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/secret.h"
#include "link/tls/packet_cipher.h"
#include "link/tls/tls_engine.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>

namespace qudag::link {
namespace {

constexpr const char* kGroups = "X25519MLKEM768";
constexpr const char* kSignatures = "mldsa65";
/// In the order of what this machine does faster.
constexpr const char* kAesFirst = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kChachaFirst = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr std::size_t kParametersBytesMax = 256;
constexpr std::array<unsigned char, 8> kAlpnWire = {7, 'q', 'u', 'd', 'a', 'g', '/', '1'};

std::unexpected<Error> tls_failure(const char* what) {
  ERR_clear_error();
  return fail(Errc::internal, std::string("TLS set-up: ") + what);
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

/// What both roles share.
Result<SslContext> make_context(bool log_keys, crypto::Cipher cipher) {
  const char* const suites = cipher == crypto::Cipher::aes_256_gcm ? kAesFirst : kChachaFirst;
  SslContext out(SSL_CTX_new(TLS_method()));
  if (!out) return tls_failure("context");
  SSL_CTX* const context = out.get();
  constexpr std::array<unsigned char, 1> kRawKeys = {TLSEXT_cert_type_rpk};
  const bool ok = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set_ciphersuites(context, suites) == 1 &&
                  SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
                  SSL_CTX_set1_sigalgs_list(context, kSignatures) == 1 &&
                  SSL_CTX_set1_client_sigalgs_list(context, kSignatures) == 1 &&
                  SSL_CTX_set1_server_cert_type(context, kRawKeys.data(), kRawKeys.size()) == 1 &&
                  SSL_CTX_set1_client_cert_type(context, kRawKeys.data(), kRawKeys.size()) == 1 &&
                  SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!ok) return tls_failure("parameters");
  // The acceptor chooses: its own first suite, but ChaCha20 when the dialer wants that first. So
  // AES is used where both sides have instructions for it. The last two are of TLS 1.2, and would
  // be said all the same.
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_ENCRYPT_THEN_MAC |
                                   SSL_OP_NO_EXTENDED_MASTER_SECRET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     TlsEngine::verify_peer);
  if (log_keys) SSL_CTX_set_keylog_callback(context, TlsEngine::log_key);
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
                                        crypto::Cipher cipher, KeyLog keylog) {
  init_packet_ciphers();
  TlsContexts out;
  out.known_ = known;
  out.keylog_ = std::move(keylog);
  const bool log_keys = static_cast<bool>(out.keylog_);
  auto key = TlsKey::of(identity.pkey());
  if (!key) return std::unexpected(key.error());

  auto acceptor = make_context(log_keys, cipher);
  if (!acceptor) return std::unexpected(acceptor.error());
  out.acceptor_ = std::move(*acceptor);
  if (!use_key(out.acceptor_.get(), *key)) return tls_failure("key");
  SSL_CTX_set_alpn_select_cb(out.acceptor_.get(), select_alpn, nullptr);

  out.idle_.reset(SSL_new(out.acceptor_.get()));
  if (!out.idle_ || ngtcp2_crypto_ossl_configure_server_session(out.idle_.get()) != 0) {
    return tls_failure("session");
  }

  auto dialer = make_context(log_keys, cipher);
  if (!dialer) return std::unexpected(dialer.error());
  out.dialer_ = std::move(*dialer);
  if (SSL_CTX_set_alpn_protos(out.dialer_.get(), kAlpnWire.data(), kAlpnWire.size()) != 0) {
    return tls_failure("ALPN");
  }
  if (known && !use_key(out.dialer_.get(), *key)) return tls_failure("key");
  if (!known) {
    auto first = TlsKey::throwaway();
    if (!first) return std::unexpected(first.error());
    out.keep_throwaway(std::move(*first));
  }
  return out;
}

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

// ---- Session ------------------------------------------------------------------------------------

namespace {

/// The local transport parameters. An acceptor's lack what ngtcp2 fills in while TLS answers, which
/// is too late here: its connection id, and the version, of which there is one to choose.
Result<Bytes> encode_parameters(ngtcp2_conn* conn, memory::Scratch& scratch) {
  ngtcp2_transport_params parameters = *ngtcp2_conn_get_local_transport_params(conn);
  parameters.version_info.chosen_version = NGTCP2_PROTO_VER_V1;
  if (ngtcp2_conn_is_server(conn) != 0) {
    std::array<ngtcp2_cid, 2> ids;  // its own, and that of the preferred address
    QUDAG_ASSERT(ngtcp2_conn_get_scid(conn, nullptr) <= ids.size());
    ngtcp2_conn_get_scid(conn, ids.data());
    parameters.initial_scid = ids[0];
    parameters.initial_scid_present = 1;
  }
  const MutableBytes out = scratch.make<std::byte>(kParametersBytesMax);
  if (out.empty()) return fail(Errc::refused_memory);
  const ngtcp2_ssize size = ngtcp2_transport_params_encode(u8(out), out.size(), &parameters);
  if (size < 0) return tls_failure("transport parameters");
  return Bytes(out).first(static_cast<std::size_t>(size));
}

/// With an acceptor's first write key, ngtcp2 gives TLS the transport parameters. TLS has sent them
/// by now and refuses, so a session that does nothing takes them.
int install_first_write_key(ngtcp2_conn* conn, const TlsContexts& contexts, SSL* ssl,
                            const TlsEffect& effect) {
  auto* const glue = static_cast<ngtcp2_crypto_ossl_ctx*>(ngtcp2_conn_get_tls_native_handle(conn));
  ngtcp2_crypto_ctx cipher;
  if (ngtcp2_crypto_ctx_tls(&cipher, glue) == nullptr) return -1;
  ngtcp2_conn_set_crypto_ctx(conn, &cipher);
  ngtcp2_crypto_ossl_ctx_set_ssl(glue, contexts.idle());
  const int rv = ngtcp2_crypto_derive_and_install_tx_key(
      conn, nullptr, nullptr, nullptr, effect.level, u8(Bytes(effect.data)), effect.data.size());
  ngtcp2_crypto_ossl_ctx_set_ssl(glue, ssl);
  return rv;
}

/// Of the connection ids that the peer would take it gets one fewer. ngtcp2 1.24 as an acceptor,
/// whose dialer is seen elsewhere (a NAT forgot) and then moves, retires the id that it keeps to
/// fall back to, and goes on counting it: the one that comes in its place would be one too many.
int take_peer_parameters(ngtcp2_conn* conn, Bytes told) {
  ngtcp2_transport_params parameters;
  std::array<std::uint8_t, kParametersBytesMax> fewer;
  if (ngtcp2_transport_params_decode(&parameters, u8(told), told.size()) == 0 &&
      parameters.active_connection_id_limit > NGTCP2_DEFAULT_ACTIVE_CONNECTION_ID_LIMIT) {
    --parameters.active_connection_id_limit;
    const ngtcp2_ssize size =
        ngtcp2_transport_params_encode(fewer.data(), fewer.size(), &parameters);
    if (size > 0) {
      return ngtcp2_conn_decode_and_set_remote_transport_params(conn, fewer.data(),
                                                                static_cast<std::size_t>(size));
    }
  }
  return ngtcp2_conn_decode_and_set_remote_transport_params(conn, u8(told), told.size());
}

int apply_one(ngtcp2_conn* conn, const TlsContexts& contexts, SSL* ssl, const TlsEffect& effect) {
  const std::uint8_t* const data = u8(Bytes(effect.data));
  const std::size_t size = effect.data.size();
  int rv = 0;
  switch (effect.kind) {
    case TlsEffect::Kind::send:
      return ngtcp2_conn_submit_crypto_data(conn, effect.level, data, size);
    case TlsEffect::Kind::peer_parameters:
      return take_peer_parameters(conn, Bytes(effect.data));
    case TlsEffect::Kind::read_secret:
      rv = ngtcp2_crypto_derive_and_install_rx_key(conn, nullptr, nullptr, nullptr, effect.level,
                                                   data, size);
      break;
    case TlsEffect::Kind::write_secret:
      if (effect.level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE && ngtcp2_conn_is_server(conn) != 0) {
        rv = install_first_write_key(conn, contexts, ssl, effect);
        break;
      }
      rv = ngtcp2_crypto_derive_and_install_tx_key(conn, nullptr, nullptr, nullptr, effect.level,
                                                   data, size);
      break;
    case TlsEffect::Kind::log_key:
      contexts.keylog()({reinterpret_cast<const char*>(data), size});
      break;
  }
  return rv == 0 ? 0 : NGTCP2_ERR_CRYPTO;
}

}  // namespace

Status TlsSession::start(TlsContexts& contexts, ngtcp2_conn* conn, std::optional<NodeId> expected,
                         memory::Scratch& scratch) {
  contexts_ = &contexts;
  conn_ = conn;
  expected_ = expected;
  const auto parameters = encode_parameters(conn, scratch);
  if (!parameters) return std::unexpected(parameters.error());
  auto engine = TlsEngine::create(contexts, expected, *parameters);
  if (!engine) return std::unexpected(engine.error());
  engine_ = std::move(*engine);
  if (ngtcp2_crypto_ossl_ctx_new(&glue_, engine_->ssl()) != 0) return tls_failure("glue");
  ngtcp2_conn_set_tls_native_handle(conn, glue_);
  return {};
}

void TlsSession::end() noexcept {
  engine_.reset();
  if (glue_ != nullptr) {
    if (conn_ != nullptr) ngtcp2_conn_set_tls_native_handle(conn_, nullptr);
    ngtcp2_crypto_ossl_ctx_del(glue_);
    glue_ = nullptr;
  }
  conn_ = nullptr;
}

int TlsSession::apply() {
  for (const TlsEffect& effect : engine_->take_effects()) {
    if (const int rv = apply_one(conn_, *contexts_, engine_->ssl(), effect); rv != 0) return rv;
  }
  if (engine_->failed()) {
    if (const auto alert = engine_->alert()) ngtcp2_conn_set_tls_alert(conn_, *alert);
    return NGTCP2_ERR_CRYPTO;
  }
  if (engine_->finished() && !completed_) {
    completed_ = true;
    ngtcp2_conn_tls_handshake_completed(conn_);
  }
  return 0;
}

bool TlsSession::identity_mismatch() const {
  return engine_ != nullptr && engine_->identity_mismatch();
}

Result<TlsFacts> TlsSession::check() const {
  SSL* const ssl = engine_->ssl();
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
