#include "link/tls/tls_engine.h"

#include "base/assert.h"
#include "base/secret.h"

#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>

namespace qudag::link {
namespace {

constexpr std::size_t kMessageHeaderBytes = 4;  // type, length (RFC 8446, 4)

/// Messages that others of the same flight follow: EncryptedExtensions, Certificate,
/// CertificateRequest, CertificateVerify.
bool more_follow(std::uint8_t type) { return type == 8 || type == 11 || type == 13 || type == 15; }

std::unexpected<Error> engine_failure(const char* what) {
  ERR_clear_error();
  return fail(Errc::internal, std::string("TLS session: ") + what);
}

Bytes bytes_of(const unsigned char* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

}  // namespace

TlsEffect::~TlsEffect() { wipe(data); }

/// What OpenSSL calls during a step (SSL_set_quic_tls_cbs).
struct TlsCalls {
  static TlsEngine& self(void* arg) { return *static_cast<TlsEngine*>(arg); }

  static int send(SSL*, const unsigned char* data, std::size_t size, std::size_t* taken,
                  void* arg) {
    self(arg).add(TlsEffect::Kind::send, self(arg).write_level_, bytes_of(data, size));
    *taken = size;
    return 1;
  }

  static int receive(SSL*, const unsigned char** data, std::size_t* size, void* arg) {
    TlsEngine& engine = self(arg);
    *data = nullptr;
    *size = 0;
    if (engine.unread_ == engine.input_.size()) return 1;
    const std::vector<std::byte>& piece = engine.input_[engine.unread_++];
    *data = reinterpret_cast<const unsigned char*>(piece.data());
    *size = piece.size();
    return 1;
  }

  static int release(SSL*, std::size_t size, void* arg) {
    TlsEngine& engine = self(arg);
    engine.released_ += size;
    while (engine.unread_ > 0 && engine.released_ >= engine.input_.front().size()) {
      engine.released_ -= engine.input_.front().size();
      engine.input_bytes_ -= engine.input_.front().size();
      engine.input_.pop_front();
      --engine.unread_;
    }
    return 1;
  }

  static int secret(SSL*, std::uint32_t protection, int writing, const unsigned char* data,
                    std::size_t size, void* arg) {
    const ngtcp2_encryption_level level = ngtcp2_crypto_ossl_from_ossl_encryption_level(protection);
    if (writing != 0) self(arg).write_level_ = level;
    self(arg).add(writing != 0 ? TlsEffect::Kind::write_secret : TlsEffect::Kind::read_secret,
                  level, bytes_of(data, size));
    return 1;
  }

  static int parameters(SSL*, const unsigned char* data, std::size_t size, void* arg) {
    self(arg).add(TlsEffect::Kind::peer_parameters, NGTCP2_ENCRYPTION_LEVEL_INITIAL,
                  bytes_of(data, size));
    return 1;
  }

  static int alert(SSL*, unsigned char code, void* arg) {
    self(arg).alert_ = code;
    return 1;
  }

  template <class Function>
  static OSSL_DISPATCH entry(int id, Function* function) {
    return {id, reinterpret_cast<void (*)()>(function)};
  }
};

Result<std::shared_ptr<TlsEngine>> TlsEngine::create(TlsContexts& contexts,
                                                     std::optional<NodeId> expected,
                                                     Bytes parameters) {
  static const OSSL_DISPATCH kCalls[] = {
      TlsCalls::entry(OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_SEND, TlsCalls::send),
      TlsCalls::entry(OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RECV_RCD, TlsCalls::receive),
      TlsCalls::entry(OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RELEASE_RCD, TlsCalls::release),
      TlsCalls::entry(OSSL_FUNC_SSL_QUIC_TLS_YIELD_SECRET, TlsCalls::secret),
      TlsCalls::entry(OSSL_FUNC_SSL_QUIC_TLS_GOT_TRANSPORT_PARAMS, TlsCalls::parameters),
      TlsCalls::entry(OSSL_FUNC_SSL_QUIC_TLS_ALERT, TlsCalls::alert),
      OSSL_DISPATCH_END,
  };
  std::shared_ptr<TlsEngine> out(new TlsEngine(expected, parameters));
  const bool dialer = expected.has_value();
  out->ssl_.reset(SSL_new(dialer ? contexts.dialer() : contexts.acceptor()));
  SSL* const ssl = out->ssl_.get();
  if (ssl == nullptr) return engine_failure("session");
  if (dialer && !contexts.known()) {
    const auto key = contexts.take_throwaway();
    out->needs_key_ = !key;
    if (key && !out->use_key(*key)) return engine_failure("throwaway key");
  }
  SSL_set_app_data(ssl, out.get());
  if (SSL_set_quic_tls_cbs(ssl, kCalls, out.get()) != 1 ||
      SSL_set_quic_tls_transport_params(
          ssl, reinterpret_cast<const unsigned char*>(out->parameters_.data()),
          out->parameters_.size()) != 1) {
    return engine_failure("QUIC callbacks");
  }
  dialer ? SSL_set_connect_state(ssl) : SSL_set_accept_state(ssl);
  return out;
}

TlsEngine::~TlsEngine() {
  ssl_.reset();  // calls release()
}

bool TlsEngine::use_key(const TlsKey& key) {
  return SSL_use_certificate(ssl_.get(), key.certificate.get()) == 1 &&
         SSL_use_PrivateKey(ssl_.get(), key.key.get()) == 1;
}

bool TlsEngine::give(Bytes data) {
  QUDAG_DCHECK(!stepping_.load(std::memory_order_relaxed));
  if (data.empty()) return true;
  if (input_bytes_ + data.size() > kTlsInputBytesMax) return false;
  input_bytes_ += data.size();
  input_.emplace_back(data.begin(), data.end());
  follow_messages(data);
  return true;
}

/// Follows types and lengths, so that half a flight costs no step. TLS judges the rest.
void TlsEngine::follow_messages(Bytes data) {
  while (!data.empty()) {
    if (header_bytes_ < kMessageHeaderBytes) {
      if (header_bytes_ == 0) {
        message_type_ = std::to_integer<std::uint8_t>(data[0]);
      } else {
        message_bytes_ = message_bytes_ << 8 | std::to_integer<std::size_t>(data[0]);
      }
      ++header_bytes_;
      data = data.subspan(1);
    } else {
      const std::size_t n = std::min(message_bytes_, data.size());
      message_bytes_ -= n;
      data = data.subspan(n);
    }
    if (header_bytes_ == kMessageHeaderBytes && message_bytes_ == 0) {
      has_flight_ = has_flight_ || !more_follow(message_type_);
      header_bytes_ = 0;
    }
  }
}

void TlsEngine::step() {
  QUDAG_ASSERT(!stepping_.exchange(true, std::memory_order_acquire));
  has_flight_ = false;
  ERR_clear_error();
  if (needs_key_) {
    const auto key = TlsKey::throwaway();
    needs_key_ = false;
    failed_ = !key || !use_key(*key);
  }
  if (!failed_ && !finished_) {
    const int rv = SSL_do_handshake(ssl_.get());
    const int error = rv > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), rv);
    finished_ = rv > 0;
    failed_ =
        error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
  }
  ERR_clear_error();
  stepping_.store(false, std::memory_order_release);
}

int TlsEngine::verify_peer(int, X509_STORE_CTX* store) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const engine = ssl == nullptr ? nullptr : static_cast<TlsEngine*>(SSL_get_app_data(ssl));
  if (engine == nullptr) return 0;
  const auto id = id_of_key(X509_STORE_CTX_get0_rpk(store));
  if (!id) return 0;
  if (engine->expected_ && !equal_constant_time(id->bytes, engine->expected_->bytes)) {
    engine->mismatch_ = true;
    return 0;
  }
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

void TlsEngine::log_key(const SSL* ssl, const char* line) {
  if (auto* const engine = static_cast<TlsEngine*>(SSL_get_app_data(ssl))) {
    engine->add(TlsEffect::Kind::log_key, NGTCP2_ENCRYPTION_LEVEL_INITIAL,
                std::as_bytes(std::span(std::string_view(line))));
  }
}

}  // namespace qudag::link
