// The TLS half of a handshake: the peer's bytes in, effects on the QUIC connection out.
//
//   1. give()          crypto data as it arrived, in order            the shard's thread
//   2. step()          TLS reads it: key exchange, signature,         any thread
//                      verification, secrets
//   3. take_effects()  what TLS wants done to the connection          the shard's thread
//
// ngtcp2's own glue does all three inside one callback, so that a signature stalls the loop. This
// one knows no connection: while a step runs on a worker, the connection stays with its shard, and
// may even end. See docs/design/handshakes.md.
//
// Threads: one at a time, passed on by the worker pool (asserted). Owners: the session, and the
// step under way. Limits: input that TLS did not read yet, kTlsInputBytesMax.
#pragma once

#include "link/tls/tls.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace qudag::link {

/// A flight of a handshake has 7 KB; ngtcp2 bounds what one level may carry, this the sum.
inline constexpr std::size_t kTlsInputBytesMax = 64 * 1024;

/// Something that TLS wants done to the QUIC connection. Wiped: it may be a secret.
struct TlsEffect {
  enum class Kind : std::uint8_t { send, read_secret, write_secret, peer_parameters, log_key };

  TlsEffect(Kind what, ngtcp2_encryption_level at, Bytes bytes)
      : kind(what), level(at), data(bytes.begin(), bytes.end()) {}
  ~TlsEffect();
  TlsEffect(TlsEffect&&) noexcept = default;
  TlsEffect& operator=(TlsEffect&&) = delete;

  Kind kind;
  ngtcp2_encryption_level level;
  std::vector<std::byte> data;
};

class TlsEngine {
 public:
  /// `expected` is the dialed id, or nothing on the accepting side; `parameters` are the local
  /// transport parameters in wire form.
  static Result<std::shared_ptr<TlsEngine>> create(TlsContexts& contexts,
                                                   std::optional<NodeId> expected,
                                                   Bytes parameters);
  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  /// False beyond kTlsInputBytesMax.
  bool give(Bytes data);
  /// What was given since the last step ends a flight: a step can get further.
  bool has_flight() const { return has_flight_; }
  /// 1.2 ms where it signs. Never fails by itself: see failed().
  void step();

  std::vector<TlsEffect> take_effects() { return std::exchange(effects_, {}); }
  bool finished() const { return finished_; }
  bool failed() const { return failed_; }
  std::optional<std::uint8_t> alert() const { return alert_; }
  /// The verify callback refused the peer's key because it is not the dialed one.
  bool identity_mismatch() const { return mismatch_; }
  SSL* ssl() const { return ssl_.get(); }

  /// In SSL_CTX_set_verify and SSL_CTX_set_keylog_callback.
  static int verify_peer(int preverified, X509_STORE_CTX* store);
  static void log_key(const SSL* ssl, const char* line);

 private:
  friend struct TlsCalls;

  TlsEngine(std::optional<NodeId> expected, Bytes parameters)
      : expected_(expected), parameters_(parameters.begin(), parameters.end()) {}
  bool use_key(const TlsKey& key);
  void follow_messages(Bytes data);
  void add(TlsEffect::Kind kind, ngtcp2_encryption_level level, Bytes data) {
    effects_.emplace_back(kind, level, data);
  }

  std::unique_ptr<SSL, SslDeleter> ssl_;
  std::optional<NodeId> expected_;
  std::vector<std::byte> parameters_;  // TLS keeps a pointer
  bool needs_key_ = false;             // a throwaway key is made by the first step

  // What TLS reads. It keeps pointers into pieces until it releases them, so pieces do not move.
  std::deque<std::vector<std::byte>> input_;
  std::size_t unread_ = 0;    // first piece that TLS has not seen
  std::size_t released_ = 0;  // of the front piece
  std::size_t input_bytes_ = 0;
  std::size_t header_bytes_ = 0;   // of the message that is arriving
  std::size_t message_bytes_ = 0;  // of its body: still to come
  std::uint8_t message_type_ = 0;
  bool has_flight_ = false;

  std::vector<TlsEffect> effects_;
  ngtcp2_encryption_level write_level_ = NGTCP2_ENCRYPTION_LEVEL_INITIAL;
  std::optional<std::uint8_t> alert_;
  bool finished_ = false;
  bool failed_ = false;
  bool mismatch_ = false;
  std::atomic<bool> stepping_{false};
};

}  // namespace qudag::link
