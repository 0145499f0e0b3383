// The handshake of a connection, with its slow steps off the loop:
//
//   1. crypto data comes in from ngtcp2 and goes to the TLS engine; when a whole flight of the
//      peer is there, the link waits for a worker, and is frozen: it reads and writes no packet, so
//      that ngtcp2 sees the same order of things as if TLS had answered at once;
//   2. the endpoint gives the engine, and nothing else, to the pool (handshakes.cc);
//   3. datagrams that come meanwhile are held;
//   4. the engine is back: ngtcp2 asks for crypto data once more (ngtcp2_conn_continue_handshake),
//      and gets the effects of the step; then the held datagrams are read.
//
// Without a pool, a step runs inside 1. A link may end at any point: it only forgets its engine.
#include "link/connection/connection.h"
#include "link/tls/tls_engine.h"

#include "base/assert.h"

#include <utility>

namespace qudag::link {

int Connection::on_client_initial() {
  if (hello_made_) return 0;  // ngtcp2 asks with every packet until there is one
  hello_made_ = true;
  // It derives the keys of Initial packets from the dialer's connection id, for either side.
  const int rv = ngtcp2_crypto_recv_client_initial_cb(conn_, ngtcp2_conn_get_dcid(conn_), nullptr);
  return rv != 0 ? rv : take_step();
}

int Connection::on_crypto_data(Bytes data) {
  if (step_ == Step::done) {
    step_ = Step::none;
    return tls_.apply();
  }
  QUDAG_DCHECK(step_ != Step::under_way);
  // When the handshake is complete, TLS has nothing more to hear (no tickets).
  if (!tls_.active() || tls_.engine()->finished()) return NGTCP2_ERR_CRYPTO;
  if (!tls_.engine()->give(data)) return NGTCP2_ERR_CRYPTO;
  return tls_.engine()->has_flight() ? take_step() : 0;
}

/// Now, or when a worker is free.
int Connection::take_step() {
  if (shared_.options.workers == nullptr) {
    ++shared_.stats.steps_inline;
    tls_.engine()->step();
    return tls_.apply();
  }
  if (step_ == Step::none) {
    step_ = Step::waiting;
    shared_.steps_waiting.push_back(id_);
    touch();
  }
  return 0;
}

void Connection::begin_step() {
  QUDAG_DCHECK(wants_step());
  step_ = Step::under_way;
  ++shared_.steps_under_way;
}

void Connection::finish_step(WorkEnd how) {
  QUDAG_DCHECK(step_ == Step::under_way);
  leave_step();
  if (closing_soon() || retired()) return;
  if (how == WorkEnd::expired) {  // never begun, so the engine is as it was
    static_cast<void>(take_step());
    return;
  }
  step_ = Step::done;
  const int rv = ngtcp2_conn_continue_handshake(conn_, shared_.timestamp());
  QUDAG_DCHECK(step_ != Step::done || rv != 0);
  if (step_ == Step::done) step_ = Step::none;
  touch();
  if (rv != 0) fail_with(rv);
  // What freezes the link again sends the rest back.
  const std::vector<MemoryHeld> waiting = std::exchange(held_, {});
  for (const MemoryHeld& held : waiting)
    static_cast<void>(receive(held.path, held.ecn, held.bytes));
}

void Connection::leave_step() {
  if (step_ == Step::under_way) --shared_.steps_under_way;
  step_ = Step::none;
}

void Connection::hold(const NativePath& path, std::uint8_t ecn, Bytes datagram) {
  std::size_t bytes = datagram.size();
  for (const MemoryHeld& held : held_) bytes += held.bytes.size();
  if (held_.size() >= kHeldDatagramsMax || bytes > kHeldBytesMax) {
    ++shared_.stats.held_dropped;  // as if the network had lost it
    return;
  }
  held_.push_back({path, ecn, {datagram.begin(), datagram.end()}});
  shared_.stats.bytes_copied += datagram.size();
}

}  // namespace qudag::link
