// Where the two ends of a connection are, and what happens when one of them changes its address:
//   - a dialer moves by its own choice (move), or to the address that the acceptor prefers;
//   - a dialer behind a NAT that forgets is seen elsewhere: ngtcp2 notices by itself;
//   - an acceptor that has lost its address is left behind: it cannot move, and dials.
#include "link/connection/connection.h"

#include "link/path/preferred.h"

#include <cstring>

namespace qudag::link {

/// The new path has a connection id that was never seen on the old one (RFC 9000, 9.5), and is
/// validated while data goes on. Without a spare id the old one goes on until one comes: late is
/// better than lost.
bool Connection::move(const SocketAddress& local) {
  if (closing_soon() || retired() || local == path_.from()) return false;
  path_.leave_from(local);
  return take_path();
}

bool Connection::take_path() {
  NativePath path(path_.from(), remote());
  const ngtcp2_path view = path.view();
  const int rv = ngtcp2_conn_initiate_immediate_migration(conn_, &view, shared_.timestamp());
  path_.owe_move(rv == NGTCP2_ERR_CONN_ID_BLOCKED || rv == NGTCP2_ERR_INVALID_STATE);
  if (rv == 0) {
    path_.moved();
    ++shared_.stats.links_moved;
    shared_.address_tokens.clear();  // they were given to the old address
  }
  touch();
  return rv == 0;
}

/// Whether the peer is there now: a dialer's stays where it is (RFC 9000, 9).
bool Connection::is_at(const sockaddr_in6& remote) const {
  const ngtcp2_addr& at = ngtcp2_conn_get_path(conn_)->remote;
  return at.addrlen == sizeof remote && std::memcmp(at.addr, &remote, sizeof remote) == 0;
}

SocketAddress Connection::here() const {
  return dialer_ ? path_.from() : from_native(ngtcp2_conn_get_path(conn_)->local);
}

SocketAddress Connection::remote() const {
  return from_native(ngtcp2_conn_get_path(conn_)->remote);
}

/// Three probe times: one answer that is lost is asked for again.
bool Connection::ask() {
  if (!reusable() || frozen() || !probe_peer()) return false;
  ++shared_.stats.links_asked;
  life_.ask_until(shared_.now.mono + 3 * probe_time());
  return true;
}

bool Connection::leave_behind() {
  return peer_ && !closing_soon() && !retired() && life_.leave_behind();
}

/// The acceptor says that it would rather be there: ngtcp2 asks whether the path works, and goes.
void Connection::on_preferred_address(ngtcp2_path& path, const ngtcp2_preferred_addr& told) {
  const auto chosen = choose_preferred(told, path_.first_remote());
  if (!chosen) {
    ++shared_.stats.preferred_refused;
    return;
  }
  const sockaddr_in6 there = to_native(*chosen);
  std::memcpy(path.remote.addr, &there, sizeof there);
  path.remote.addrlen = sizeof there;
}

void Connection::on_preferred_validated(bool success) {
  ++(success ? shared_.stats.preferred_moved : shared_.stats.preferred_unreachable);
}

/// A dialer's packets leave from where the system chose to dial from, see move().
void Connection::address(TrainInfo& train, const ngtcp2_path& path, const ngtcp2_pkt_info& info) {
  train.to = from_native(path.remote);
  train.from = dialer_ ? path_.from() : from_native(path.local);
  train.ecn = static_cast<std::uint8_t>(info.ecn);
}

}  // namespace qudag::link
