// A connection's part in a turn: it is read from, its timers run, its packets are written. Beside
// it in connection/: making, handshake, streams, control, paths, ending, callbacks (the glue to
// ngtcp2).
#include "link/connection/connection.h"

#include "base/assert.h"
#include "base/limits.h"

#include <algorithm>
#include <cstring>

namespace qudag::link {
namespace {

constexpr std::size_t kPiecesMax = 16;        // blocks that one packet may touch
constexpr std::size_t kTrainPacketsMax = 64;  // UDP_MAX_SEGMENTS of the kernel
/// Of a plain packet, beside header, tag and frame headers; what is left over fills another one.
constexpr std::size_t kPlainContentBytes = limits::kPacketBytesPlain - 100;
/// On a path that is not paced an answer that nothing else goes with waits so long, or for so many
/// bytes.
constexpr auto kAnswerWithin = std::chrono::microseconds(200);
constexpr std::size_t kAnswerBytes = kAckEvery * limits::kPacketBytesPlain;
constexpr std::size_t kUnpacedQuantum = 64 * 1024;
/// Below it the next acknowledgement may be most of a round trip away, and the last packet of the
/// window is for sparse streams if there was data of such in the last few round trips.
constexpr std::size_t kSmallWindow = 16 * limits::kPacketBytesPlain;
constexpr int kSparseRounds = 4;
/// With more than this waiting the path is asked whether it takes large packets. The question takes
/// most of a fresh link's window, and a build that shares it with one comes a round trip later.
constexpr std::size_t kWorthProbing = 2 * limits::kBuildMessageBytes;
/// Of what is sent and not acknowledged in order, a link keeps so much, or so many windows.
constexpr std::size_t kUnackedLeast = 64 * 1024;
constexpr std::size_t kUnackedWindows = 4;
/// Packets that ask for an acknowledgement are padded to this or more, once the link is ready.
constexpr std::size_t kPacketBytesAsking = NGTCP2_MAX_UDP_PAYLOAD_SIZE;
}  // namespace

void Connection::touch() {
  if (dirty || retired()) return;
  dirty = true;
  shared_.dirty.push_back(this);
}

/// ngtcp2 acknowledges after an eighth of a round trip, which on a short path is sooner than the
/// application's answer: each packet would be answered twice, by an empty packet and by a full one,
/// and each of them wakes the peer. So there little that came waits for data of ours, for a while;
/// much is answered in its turn.
void Connection::touch_for_answer(std::size_t& bytes_since, std::size_t bytes) {
  bytes_since += bytes;
  if (path_.paced() || state() != LinkState::ready || bytes_since >= kAnswerBytes ||
      !streams_.turns().empty()) {
    return touch();
  }
  if (dirty || answer_at_ != kNever) return;
  answer_at_ = shared_.now.mono + kAnswerWithin;
  shared_.deadlines.set(*this, deadline());
}

bool Connection::reusable() const { return !closing_soon() && !retired() && life_.usable(); }

LinkInfo Connection::info() const {
  LinkInfo out;
  out.id = id_;
  out.state = life_.state();
  out.dialer = dialer_;
  out.remote = path_.first_remote();
  out.peer = peer_;
  if (!facts_.group.empty()) {
    out.tls_group = facts_.group;
    out.tls_signature = facts_.signature;
    out.tls_cipher = facts_.cipher;
    out.alpn = kAlpn;
  }
  out.age = shared_.now.mono - life_.born();
  out.streams = streams_.size();
  streams_.for_each([&out](const Stream& stream) {
    out.queued_bytes += stream.queued_bytes();
    out.unacked_bytes += stream.unacked_bytes();
  });
  if (conn_ != nullptr) {
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(conn_, &info);
    out.remote = remote();
    out.smoothed_rtt = to_duration(info.smoothed_rtt);
    out.congestion_window = info.cwnd;
    out.in_flight = info.bytes_in_flight;
    out.bytes_in = info.bytes_recv;
    out.bytes_out = info.bytes_sent;
    out.packets_lost = info.pkt_lost;
  }
  return out;
}

std::optional<Duration> Connection::look() {
  if (conn_ == nullptr) return std::nullopt;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn_, &info);
  shared_.stats.packets_lost += info.pkt_lost - std::exchange(lost_counted_, info.pkt_lost);
  if (state() != LinkState::ready || info.smoothed_rtt == 0) return std::nullopt;
  return to_duration(info.smoothed_rtt);
}

// ---- The turn -----------------------------------------------------------------------------------

Verdict Connection::receive(NativePath path, std::uint8_t ecn, Bytes datagram) {
  if (closing_soon() || retired()) return Verdict::keep;
  if (frozen()) {
    hold(path, ecn, datagram);
    return Verdict::keep;
  }
  if (dialer_) path_.arrived(path);
  const ngtcp2_path view = path.view();
  const ngtcp2_pkt_info info{ecn};
  if (life_.state() == LinkState::dialing) (void)life_.on(LifeEvent::answered, shared_.now.mono);
  filled_stream_ = -1;
  const int rv =
      ngtcp2_conn_read_pkt(conn_, &view, &info, u8(datagram), datagram.size(), shared_.timestamp());
  if (judges_losses_ && path_.paced()) note_losses();
  // Of a dialed link, only what came from where the peer is counts.
  if ((!dialer_ || is_at(path.remote)) && life_.note_heard(shared_.now.mono)) update_keepalive();
  touch_for_answer(heard_since_, datagram.size());
  if (rv == 0) {
    if (path_.owes_move() && !closing_soon()) take_path();
    return Verdict::keep;
  }
  if (rv == NGTCP2_ERR_RETRY) return Verdict::retry;
  if (rv == NGTCP2_ERR_DROP_CONN) return Verdict::drop;
  fail_with(rv);
  return Verdict::keep;
}

void Connection::note_losses() {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn_, &info);
  losses_.note({.latest = to_duration(info.latest_rtt),
                .shortest = to_duration(info.min_rtt),
                .packets_sent = info.pkt_sent,
                .packets_lost = info.pkt_lost},
               shared_.now.mono);
  if (info.bytes_in_flight + limits::kPacketBytesPlain < info.cwnd) return;
  const std::uint64_t more = losses_.growth(info.cwnd, shared_.now.mono);
  if (more > 0) grow_window(conn_, more);
}

/// The acknowledgement that shows the loss is known, but not noted yet.
bool Connection::forgives_loss() {
  if (!path_.paced()) return false;
  note_losses();
  if (!losses_.is_chance()) return false;
  losses_.forgave(shared_.now.mono);
  return true;
}

void Connection::expire(Duration late) {
  if (closing_soon() || retired()) return;
  if (late > shared_.life.silence_max / 3) life_.forgive(shared_.now.mono);
  if (!follow_rule(life_.due(shared_.now.mono, probe_time()))) return;
  if (hello_by_ <= shared_.now.mono) {
    violation("no hello");
    return;
  }
  if (window_.due() <= shared_.now.mono) pay_window();
  if (control_pace_.due() <= shared_.now.mono) pay_control();
  if (frozen()) return touch();  // an older deadline
  const int rv = ngtcp2_conn_handle_expiry(conn_, shared_.timestamp());
  touch();
  if (rv != 0) return fail_with(rv);
  if (waits_for_probe()) probe_peer();
}

/// What QUIC sends when no answer came (RFC 9002, 6.2.4) may be empty, or tell again what is known
/// by now, and for such packets ngtcp2 arms no timer. They count as in flight until something later
/// is acknowledged; when they fill the window, nothing later can leave, for ever. So something new
/// goes with them, unless something is there to go.
bool Connection::waits_for_probe() const {
  if (state() < LinkState::ready || closing_soon() || shared_.now.mono - asked_at_ < probe_time()) {
    return false;
  }
  if (streams_.control().unacked_bytes() + streams_.control().queued_bytes() > 0 ||
      !streams_.turns().empty())
    return false;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn_, &info);
  return info.bytes_in_flight > 0;
}

/// False if the link ended by it.
bool Connection::follow_rule(Lifecycle::Rule rule) {
  switch (rule) {
    case Lifecycle::Rule::none:
      return true;
    case Lifecycle::Rule::handshake:
      fail_with(NGTCP2_ERR_HANDSHAKE_TIMEOUT);
      return false;
    case Lifecycle::Rule::silent:
      ++shared_.stats.ended_silent;
      close_soon(Error(Errc::unreachable, "silent"), EndCode::unreachable);
      return false;
    case Lifecycle::Rule::stuck:
      ++shared_.stats.ended_stuck;
      close_soon(Error(Errc::unreachable, "its window is full of what was lost"),
                 EndCode::unreachable);
      return false;
    case Lifecycle::Rule::drain_too_long:
      ++shared_.stats.ended_drained;
      close_soon(Error(Errc::link_closed, "its circuits did not end"), EndCode::shutdown);
      return false;
    case Lifecycle::Rule::drained:
      end_if_drained();
      return !closing_soon();
    case Lifecycle::Rule::old:
      ++shared_.stats.replaced_old;
      say_goodbye(Drain::replaced);
      return true;
  }
  return true;
}

bool Connection::write_train(MutableBytes room, TrainInfo& out) {
  if (closing_soon() || retired() || frozen()) return false;
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&path);
  ngtcp2_pkt_info info{};
  std::size_t segment = 0;
  const ngtcp2_ssize written =
      ngtcp2_conn_write_aggregate_pkt2(conn_, &path.path, &info, u8(room), room.size(), &segment,
                                       write_packet, kTrainPacketsMax, shared_.timestamp());
  if (written < 0) {
    fail_with(static_cast<int>(written));
    return false;
  }
  life_.note_stuck(written == 0 && stuck(), shared_.now.mono);
  if (written == 0) return false;
  out.bytes = static_cast<std::size_t>(written);
  path_.sent(out.bytes);
  out.segment = std::min(segment, out.bytes);
  address(out, path.path, info);
  if (out.segment >= kPacketBytesAsking) asked_at_ = shared_.now.mono;
  return true;
}

ngtcp2_ssize Connection::write_packet(ngtcp2_conn* conn, ngtcp2_path* path, ngtcp2_pkt_info* info,
                                      std::uint8_t* out, std::size_t size, ngtcp2_tstamp now,
                                      void* opaque) {
  auto& self = *static_cast<Connection*>(opaque);
  // Full packets: one size on the wire, and the kernel can cut a train. During the handshake the
  // amplification limit counts instead.
  const std::uint32_t padding =
      self.state() >= LinkState::ready ? NGTCP2_WRITE_STREAM_FLAG_PADDING : 0;
  size = std::min(size, self.packet_bytes());
  bool begun = false;
  while (Stream* const stream = self.next_stream()) {
    std::array<ngtcp2_vec, kPiecesMax> pieces;
    const std::size_t count = stream->pending(pieces, size);
    ngtcp2_ssize taken = -1;
    const ngtcp2_ssize rv = ngtcp2_conn_writev_stream(conn, path, info, out, size, &taken,
                                                      NGTCP2_WRITE_STREAM_FLAG_MORE | padding,
                                                      stream->index(), pieces.data(), count, now);
    if (taken > 0) self.note_sent(*stream, static_cast<std::size_t>(taken));
    switch (rv) {
      case NGTCP2_ERR_WRITE_MORE:
        begun = true;
        continue;
      case NGTCP2_ERR_STREAM_DATA_BLOCKED:
        stream->blocked = true;
        self.streams_.turns().remove(*stream);
        continue;
      case NGTCP2_ERR_STREAM_SHUT_WR:
      case NGTCP2_ERR_STREAM_NOT_FOUND:
        self.streams_.turns().remove(*stream);
        continue;
      default:
        return rv;  // a packet, 0 when congestion or pacing says no, or a failure
    }
  }
  // Held back is not the same as having nothing to send: ngtcp2 would let the window be.
  if (!begun && self.wrote_ && !self.streams_.turns().empty()) return 0;
  return ngtcp2_conn_writev_stream(conn, path, info, out, size, nullptr, padding, -1, nullptr, 0,
                                   now);
}

/// Whose turn it is; null also while the last packet of a small window is kept for sparse streams:
/// what a loss leaves behind would be full of what the circuit that lost sends again.
Stream* Connection::next_stream() {
  if (keeps_too_much()) return nullptr;
  const bool keep = keep_last_ && ngtcp2_conn_get_cwnd_left(conn_) <= limits::kPacketBytesPlain;
  return keep ? streams_.turns().pick_sparse() : streams_.turns().pick();
}

/// What is sent is kept until the peer has all that came before it on its stream. Who acknowledges
/// the rest and leaves out a piece would have us keep any number of bytes: so no more than what is
/// under way in a few round trips, in which a piece that was lost has long been sent again.
bool Connection::keeps_too_much() const {
  if (unacked_ < kUnackedLeast) return false;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn_, &info);
  return unacked_ >= kUnackedWindows * info.cwnd;
}

/// Where the path takes more than the plain size: as many plain packets in one as what waits would
/// fill. Little data is not padded to nine times its length, and who counts plain packets learns as
/// much as who sees the size of a large one.
std::size_t Connection::packet_bytes() const {
  // An unknown path is asked for bulk only.
  const bool large_known =
      ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_) > limits::kPacketBytesPlain;
  if (!large_known && (streams_.turns().queued_at_most(kWorthProbing) || !room_to_probe())) {
    return limits::kPacketBytesPlain;
  }
  constexpr std::size_t kRest = limits::kPacketBytesPlain - kPlainContentBytes;
  for (std::size_t bytes = limits::kPacketBytesPlain; bytes < limits::kPacketBytesMax;
       bytes += limits::kPacketBytesPlain) {
    if (streams_.turns().queued_at_most(bytes - kRest)) return bytes;
  }
  return limits::kPacketBytesMax;
}

/// A lost probe stays in flight until something later is acknowledged, and ngtcp2 arms no timer for
/// it: in a window that is not much larger than the probe nothing later could leave, for ever.
bool Connection::room_to_probe() const {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn_, &info);
  return info.cwnd >= 3 * limits::kPacketBytesMax;
}

/// Nothing may leave and no timer runs, not even for a ping: the link would be mute until it has
/// been idle for long enough. waits_for_probe() should keep it from that; should it not, the link
/// ends. Keepalive does not help, but hides that; then only the idle timeout is to come.
bool Connection::stuck() const {
  if (state() < LinkState::ready || ngtcp2_conn_get_cwnd_left(conn_) > 0) return false;
  ngtcp2_conn_set_keep_alive_timeout(conn_, 0);
  const ngtcp2_tstamp due = ngtcp2_conn_get_expiry(conn_);
  ngtcp2_conn_set_keep_alive_timeout(conn_, to_native(life_.keepalive()));
  const ngtcp2_tstamp now = shared_.timestamp();
  return due > now && due - now > to_native(shared_.options.idle_timeout) / 2;
}

void Connection::end_writing(bool quantum_used) {
  if (conn_ == nullptr) return;
  answer_at_ = kNever;
  heard_since_ = given_since_ = 0;
  if (!path_.paced()) {
    if (quantum_used && !streams_.turns().empty()) touch();  // no timer calls us again
  } else if (own_pacing()) {
    path_.stop_sending(quantum_used);
  } else {
    ngtcp2_conn_update_pkt_tx_time(conn_, shared_.timestamp());
  }
  // Without tickets TLS has nothing more to say, and its objects are most of an idle link's memory.
  // Keys live in ngtcp2, key updates included.
  if (tls_done_ && tls_.active()) {
    tls_.end();
    handshake_bytes_.reset();
  }
}

std::size_t Connection::begin_writing() {
  if (conn_ == nullptr) return 0;
  wrote_ = false;
  if (!path_.paced()) return kUnpacedQuantum;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn_, &info);
  if (state() >= LinkState::ready) path_.measured(info);
  if (!path_.paced()) {
    keep_last_ = false;
    return kUnpacedQuantum;
  }
  const TimePoint now = shared_.now.mono;
  keep_last_ = info.pkt_lost > 0 && info.cwnd < kSmallWindow &&
               now - sparse_at_ < kSparseRounds * path_.round_trip();
  if (!own_pacing()) return std::max(kBurst, ngtcp2_conn_get_send_quantum(conn_));
  return path_.may_send(info.cwnd, now);
}

/// BBR's rate is not that of its window, and only ngtcp2 knows it.
bool Connection::own_pacing() const { return shared_.options.congestion != Congestion::bbr; }

TimePoint Connection::deadline() const {
  if (retired() || closing_soon()) return kNever;
  const TimePoint due = std::min({life_.deadline(probe_time()), window_.due(), control_pace_.due(),
                                  answer_at_, path_.more_at(), hello_by_});
  if (frozen()) return due;
  const ngtcp2_tstamp at = ngtcp2_conn_get_expiry(conn_);
  if (at == UINT64_MAX) return due;
  const TimePoint timer(to_duration(at));
  return std::min(due, path_.paced() ? timer : timer + kAnswerWithin);
}

/// How long QUIC waits for an answer: a long path takes longer to answer, and to repeat what was
/// lost.
Duration Connection::probe_time() const {
  if (state() < LinkState::ready) return {};
  return to_duration(ngtcp2_conn_get_pto(conn_));
}

void Connection::keep_warm(bool warm) {
  if (closing_soon() || retired() || warm == life_.warm()) return;
  life_.keep_warm(warm);
  update_keepalive();
  touch();
}

bool Connection::is_twin_of(const Connection& other) const {
  const auto told = [](const Connection& one) {  // the acceptor knows whose link it is, and where
    return one.peer_place_ != 0 && (!one.dialer_ || one.shared_.options.known);
  };
  if (!told(*this) || !told(other) || !reusable() || !other.reusable()) return false;
  if (peer_ != other.peer_ || peer_place_ != other.peer_place_) return false;
  const bool earlier = life_.born() < other.life_.born();
  return dialer_ == other.dialer_ || (earlier ? life_.overlaps(other.life_, probe_time())
                                              : other.life_.overlaps(life_, other.probe_time()));
}

}  // namespace qudag::link
