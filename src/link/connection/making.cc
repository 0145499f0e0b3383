// How a connection begins: dialed, or accepted from an Initial; what it tells ngtcp2 and the peer,
// the memory that it takes, and the connection ids that lead to it.
#include "link/connection/connection.h"

#include "link/path/preferred.h"

#include <utility>
#include <vector>

namespace qudag::link {
namespace {

constexpr auto kInitialRtt = std::chrono::milliseconds(100);
/// What OpenSSL and our own records take, for a handshake and for a link
/// (LinkMemory.WhatIsReservedIsWhatIsTaken measures it); QUIC's own memory is the heap's.
constexpr std::size_t kHandshakeBytes = 64 * 1024;
constexpr std::size_t kLinkBytes = 10 * 1024;
/// Frames that tell nothing new, a second and at once; with more a link ends. ngtcp2's own bound is
/// 10,000 and 330 a second, and a bulk transfer over a path that reorders passes that in seconds:
/// what overtakes is taken for loss, so data comes twice. This many is every packet of a fast link;
/// what they cost is little next to the packets that bring them.
constexpr std::uint64_t kUselessFramesPerSecond = 100'000;
/// Ids that a peer may give us: one in use, three for paths to come, and one that it keeps to
/// itself (take_peer_parameters in tls.cc).
constexpr std::uint64_t kCidsActiveMax = 5;

ngtcp2_settings settings_for(const Shared& shared) {
  ngtcp2_settings out;
  ngtcp2_settings_default(&out);
  const bool bbr = shared.options.congestion == Congestion::bbr;
  out.cc_algo = bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
  out.initial_ts = shared.timestamp();
  out.initial_rtt = to_native(kInitialRtt);
  out.max_tx_udp_payload_size = shared.options.packet_bytes_max;
  out.rand_ctx.native_handle = &shared.rng;
  out.max_window = 0;  // windows follow consume(), never the library
  out.max_stream_window = 0;
  out.ack_thresh = kAckEvery;
  out.handshake_timeout = to_native(shared.options.handshake_timeout);
  out.glitch_ratelim_burst = kUselessFramesPerSecond;
  out.glitch_ratelim_rate = kUselessFramesPerSecond;
  out.pmtud_probes = shared.probes.sizes.data();
  out.pmtud_probeslen = shared.probes.count;
  out.no_pmtud = shared.probes.count == 0;
  return out;
}

ngtcp2_transport_params parameters_for(const Shared& shared) {
  ngtcp2_transport_params out;
  ngtcp2_transport_params_default(&out);
  out.initial_max_stream_data_bidi_local = shared.options.stream_window_bytes;
  out.initial_max_stream_data_bidi_remote = shared.options.stream_window_bytes;
  out.initial_max_data = shared.options.link_window_bytes;
  out.initial_max_streams_bidi = shared.options.streams_per_link_max;
  out.initial_max_streams_uni = 0;
  out.max_idle_timeout = to_native(shared.options.idle_timeout);
  out.active_connection_id_limit = kCidsActiveMax;
  return out;
}

bool reset_token(Shared& shared, const ngtcp2_cid& cid, std::uint8_t* out) {
  return ngtcp2_crypto_generate_stateless_reset_token(out, native(shared.reset_secret),
                                                      Key256::size(), &cid) == 0;
}

std::unexpected<Error> connection_failure() { return fail(Errc::internal, "QUIC connection"); }

}  // namespace

Connection::Connection(Shared& shared, LinkId id, bool dialer, const SocketAddress& local,
                       const SocketAddress& remote)
    : shared_(shared),
      id_(id),
      dialer_(dialer),
      life_(shared.life, dialer, shared.now.mono,
            shared.life.age_max.count() > 0 ? shared.rng.unit() : 0),
      path_(local, remote),
      control_pace_(shared.now.mono),
      window_(shared.options.link_bytes_per_second, shared.now.mono),
      reach_(shared.options.link_window_bytes),
      routes_(shared.routes, *this) {}

Connection::~Connection() { retire(); }

Result<std::unique_ptr<Connection>> Connection::dial(Shared& shared, LinkId id, const NodeId& peer,
                                                     const SocketAddress& at,
                                                     const SocketAddress& local) {
  std::unique_ptr<Connection> out(new Connection(shared, id, true, local, at));
  if (!out->reserve()) return fail(Errc::refused_memory, "limits.memory is reached");
  const EndpointOptions& options = shared.options;
  ngtcp2_settings settings = settings_for(shared);
  const std::vector<std::byte> token = shared.address_tokens.take(peer);
  settings.token = u8(Bytes(token));
  settings.tokenlen = token.size();
  if (!token.empty()) settings.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;
  const ngtcp2_transport_params parameters = parameters_for(shared);
  const ngtcp2_cid source = make_cid(shared.rng, options.shard, options.shards);
  const auto random = shared.rng.bytes<18>();
  ngtcp2_cid destination;
  ngtcp2_cid_init(&destination, u8(Bytes(random)), random.size());
  NativePath path(local, at);
  const ngtcp2_path view = path.view();
  ngtcp2_conn* conn = nullptr;
  if (ngtcp2_conn_client_new(&conn, &destination, &source, &view, NGTCP2_PROTO_VER_V1,
                             &connection_callbacks(), &settings, &parameters, &shared.memory,
                             out.get()) != 0) {
    return connection_failure();
  }
  out->peer_ = peer;
  if (auto started = out->start(conn, peer); !started) return std::unexpected(started.error());
  if (!out->routes_.add(source)) return connection_failure();
  ++shared.stats.handshakes_started;
  out->touch();
  return out;
}

Result<std::unique_ptr<Connection>> Connection::accept(Shared& shared, LinkId id,
                                                       const Incoming& incoming) {
  std::unique_ptr<Connection> out(
      new Connection(shared, id, false, incoming.local, incoming.remote));
  if (!out->reserve()) return fail(Errc::refused_memory, "limits.memory is reached");
  const EndpointOptions& options = shared.options;
  const ngtcp2_pkt_hd& header = *incoming.header;
  const ngtcp2_cid source = make_cid(shared.rng, options.shard, options.shards);

  ngtcp2_settings settings = settings_for(shared);
  ngtcp2_transport_params parameters = parameters_for(shared);
  ++parameters.initial_max_streams_bidi;  // the control stream is the dialer's
  parameters.original_dcid_present = 1;
  if (incoming.original_dcid) {
    settings.token = header.token;
    settings.tokenlen = header.tokenlen;
    settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    parameters.original_dcid = *incoming.original_dcid;
    parameters.retry_scid = header.dcid;
    parameters.retry_scid_present = 1;
  } else {
    parameters.original_dcid = header.dcid;
  }
  if (incoming.came_before) {
    settings.token = header.token;
    settings.tokenlen = header.tokenlen;
    settings.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;
  }
  if (!reset_token(shared, source, parameters.stateless_reset_token)) return connection_failure();
  parameters.stateless_reset_token_present = 1;

  ngtcp2_preferred_addr& preferred = parameters.preferred_addr;
  if (tell_preferred(preferred, options.preferred_address, incoming.local)) {
    preferred.cid = make_cid(shared.rng, options.shard, options.shards);
    if (!reset_token(shared, preferred.cid, preferred.stateless_reset_token)) {
      return connection_failure();
    }
    parameters.preferred_addr_present = 1;
  }

  NativePath path(incoming.local, incoming.remote);
  const ngtcp2_path view = path.view();
  ngtcp2_conn* conn = nullptr;
  if (ngtcp2_conn_server_new(&conn, &header.scid, &source, &view, header.version,
                             &connection_callbacks(), &settings, &parameters, &shared.memory,
                             out.get()) != 0) {
    return connection_failure();
  }
  if (auto started = out->start(conn, std::nullopt); !started) {
    return std::unexpected(started.error());
  }
  if (!out->routes_.add(source) || !out->routes_.add(header.dcid)) return connection_failure();
  if (parameters.preferred_addr_present != 0 && !out->routes_.add(preferred.cid)) {
    return connection_failure();
  }
  out->half_open_ = true;
  ++shared.half_open;
  out->seat_ = &shared.admission.add(incoming.remote, shared.now.mono);
  ++shared.stats.handshakes_started;
  return out;
}

// Strangers' handshakes have a share of their own, and no more; our own dials are few, and bounded
// by what asks for them.
bool Connection::reserve() {
  const EndpointOptions& options = shared_.options;
  memory::Budget* const wall = dialer_ ? options.link_memory : options.handshake_memory;
  const auto take = [](memory::Budget* from, std::size_t bytes, memory::Reservation& into) {
    if (from != nullptr) into = memory::Reservation::take(*from, bytes);
    return from == nullptr || into;
  };
  return take(options.link_memory, kLinkBytes, link_bytes_) &&
         take(wall, kHandshakeBytes, handshake_bytes_);
}

Status Connection::start(ngtcp2_conn* conn, std::optional<NodeId> expected) {
  conn_ = conn;
  judges_losses_ = shared_.options.congestion == Congestion::automatic && forgives_losses();
  if (judges_losses_) ask_about_losses(conn);
  return tls_.start(shared_.tls, conn, expected, shared_.scratch);
}

void Connection::begin_for_others() {
  for_others_ = counted_for_others_ = true;
  ++shared_.dials_for_others;
}

void Connection::end_for_others() {
  for_others_ = false;
  leave_dials();
}

/// Its place among the dials is free.
void Connection::leave_dials() {
  if (std::exchange(counted_for_others_, false)) --shared_.dials_for_others;
}

}  // namespace qudag::link
