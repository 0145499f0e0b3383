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

/// A link whose peer has not said HELLO so long after the handshake ends with `protocol`.
constexpr Duration kHelloWithin = std::chrono::seconds(5);

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
  for (const HeldDatagrams::One& held : held_.take()) {
    static_cast<void>(receive(held.path, held.ecn, held.bytes));
  }
}

void Connection::leave_step() {
  if (step_ == Step::under_way) --shared_.steps_under_way;
  step_ = Step::none;
}

void Connection::hold(const NativePath& path, std::uint8_t ecn, Bytes datagram) {
  if (!held_.add(path, ecn, datagram)) {
    ++shared_.stats.held_dropped;  // as if the network had lost it
    return;
  }
  shared_.stats.bytes_copied += datagram.size();
}

bool Connection::on_handshake_completed() {
  auto facts = tls_.check();
  if (!facts) {
    const bool wrong = facts.error() == Errc::identity_mismatch;
    close_soon(facts.error(), wrong ? EndCode::identity : EndCode::protocol);
    return false;
  }
  if (!life_.on(LifeEvent::completed, shared_.now.mono)) return false;
  facts_ = std::move(*facts);
  end_for_others();
  ++shared_.stats.handshakes_done;
  if (half_open_) {
    half_open_ = false;
    --shared_.half_open;
    Admission::completed(*seat_);
  }
  if (!dialer_) on_handshake_confirmed();  // the acceptor hears of it last (RFC 9001, 4.1.2)

  // Who stays unknown has no link that this one could be the double of.
  const bool known = !dialer_ || shared_.options.known;
  const auto place = static_cast<std::uint8_t>(known ? shared_.options.shard + 1 : 0);
  const wire::Hello hello{.known = known, .place = place};
  if (shared_.options.say_hello) hello_by_ = shared_.now.mono + kHelloWithin;
  if (shared_.options.say_hello &&
      !send_control(static_cast<std::uint8_t>(wire::ControlType::hello),
                    wire::encode_hello(hello))) {
    close_soon(Error(Errc::refused_memory), EndCode::refused);
    return false;
  }
  if (dialer_) {
    std::int64_t index = -1;
    if (ngtcp2_conn_open_bidi_stream(conn_, &index, &streams_.control()) != 0 ||
        index != streams_.control().index()) {
      return violation("the peer allows no control stream");
    }
    control_open_ = true;
    if (streams_.control().queued_bytes() > 0) streams_.turns().add(streams_.control());
  }
  touch();
  shared_.events.on_link_ready(id_, shared_.now);
  return true;
}

}  // namespace qudag::link
