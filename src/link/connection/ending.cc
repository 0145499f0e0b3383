// How a connection ends: goodbye and draining, the reason, the last packet, what is freed, and the
// answers to late packets.
#include "link/connection/connection.h"

#include <algorithm>

namespace qudag::link {
namespace {

/// What the peer's CONNECTION_CLOSE means to us.
Error error_of(const ngtcp2_ccerr& close) {
  if (close.type == NGTCP2_CCERR_TYPE_APPLICATION) {
    switch (wire::end_code_of(close.error_code)) {
      case EndCode::refused:
        return Error(Errc::refused_by_peer);
      case EndCode::overload:
        return Error(Errc::refused_by_peer, "overload");
      case EndCode::identity:
        return Error(Errc::identity_mismatch, "the peer says so");
      case EndCode::unreachable:
        return Error(Errc::unreachable);
      case EndCode::protocol:
        return Error(Errc::link_closed, "the peer reports a protocol error");
      case EndCode::shutdown:
        return Error(Errc::link_closed, "the peer stops");
      default:
        return Error(Errc::link_closed);
    }
  }
  if (close.type == NGTCP2_CCERR_TYPE_TRANSPORT) {
    if (close.error_code == NGTCP2_CONNECTION_REFUSED) {
      // Only a text that we might have written ourselves goes into an error.
      const std::string_view text(reinterpret_cast<const char*>(close.reason), close.reasonlen);
      return {Errc::refused_by_peer, std::string(reason_of(refusal_of(text)))};
    }
    if ((close.error_code & ~0xffULL) == NGTCP2_CRYPTO_ERROR) {
      return Error(Errc::authentication_failed, "the peer ended the handshake");
    }
  }
  return Error(Errc::link_closed);
}

}  // namespace

void Connection::say_goodbye(Drain why) {
  if (retired() || closing_soon()) return;
  if (life_.said_goodbye() && (why == Drain::replaced || life_.drain() == why)) return;
  if (state() < LinkState::ready) {
    close_soon(Error(Errc::shutting_down), EndCode::shutdown);
    return;
  }
  const EndCode code = why == Drain::stopping ? EndCode::shutdown : EndCode::none;
  const bool told = send_control(static_cast<std::uint8_t>(wire::ControlType::goodbye),
                                 wire::encode_goodbye(static_cast<std::uint8_t>(code)));
  if (!told && why == Drain::replaced) return;  // who is not told would wait: both links stay
  begin_drain(LifeEvent::said_goodbye, why);
}

void Connection::begin_drain(LifeEvent event, Drain why) {
  const bool news = state() == LinkState::ready || life_.drain() != why;
  if (!life_.on(event, shared_.now.mono, why)) return;
  const bool own_end = event == LifeEvent::said_goodbye && why == Drain::stopping;
  if (news && !own_end) shared_.events.on_link_draining(id_, why, shared_.now);
  touch();
  end_if_drained();
}

void Connection::end_if_drained() {
  if (closing_soon() || life_.due(shared_.now.mono, probe_time()) != Lifecycle::Rule::drained)
    return;
  if (streams_.control().queued_bytes() > 0) {  // looked at again when it is sent
    if (life_.drain() == Drain::replaced) life_.linger(shared_.now.mono);
    return;
  }
  if (life_.drain() == Drain::replaced) return close_soon(Error(Errc::link_closed), EndCode::none);
  close_soon(Error(life_.said_goodbye() ? Errc::shutting_down : Errc::link_closed),
             EndCode::shutdown);
}

void Connection::begin_closing(Closing reason) {
  if (closing_soon() || retired()) return;
  closing_ = std::move(reason);
  leave_dials();
  (void)life_.on(LifeEvent::ended, shared_.now.mono);  // in any state that is not closed
  shared_.closing_soon.push_back(this);
}

void Connection::close_soon(Error why, EndCode code) {
  Closing reason{std::move(why), true, {}};
  ngtcp2_ccerr_set_application_error(&reason.close, static_cast<std::uint64_t>(code), nullptr, 0);
  begin_closing(std::move(reason));
}

void Connection::close_silently_soon(Error why) { begin_closing({std::move(why), false, {}}); }

void Connection::fail_with(int rv) {
  if (closing_soon()) return;
  switch (rv) {
    case NGTCP2_ERR_DRAINING:
      close_silently_soon(error_of(*ngtcp2_conn_get_ccerr(conn_)));
      return;
    case NGTCP2_ERR_IDLE_CLOSE:
      close_silently_soon(Error(Errc::timed_out, "idle"));
      return;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      close_silently_soon(Error(Errc::unreachable));
      return;
    default:
      break;
  }
  if (tls_.identity_mismatch()) {
    close_soon(Error(Errc::identity_mismatch), EndCode::identity);
    return;
  }
  Closing reason{Error(Errc::link_closed, ngtcp2_strerror(rv)), true, {}};
  if (rv == NGTCP2_ERR_CRYPTO) {
    reason.why = Error(Errc::authentication_failed, "TLS");
    ngtcp2_ccerr_set_tls_alert(&reason.close, ngtcp2_conn_get_tls_alert(conn_), nullptr, 0);
  } else {
    ngtcp2_ccerr_set_liberr(&reason.close, rv, nullptr, 0);
  }
  begin_closing(std::move(reason));
}

bool Connection::violation(const char* what) {
  ++shared_.stats.control_frames_malformed;
  close_soon(Error(Errc::link_closed, what), EndCode::protocol);
  return false;
}

bool Connection::write_close(MutableBytes room, TrainInfo& out) {
  if (!closing_soon() || !closing_->send_close || conn_ == nullptr) return false;
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&path);
  ngtcp2_pkt_info info{};
  const std::size_t size = std::min(room.size(), shared_.options.packet_bytes_max);
  const ngtcp2_ssize written = ngtcp2_conn_write_connection_close(
      conn_, &path.path, &info, u8(room), size, &closing_->close, shared_.timestamp());
  if (written <= 0) return false;
  out.bytes = out.segment = static_cast<std::size_t>(written);
  address(out, path.path, info);
  close_echo_.keep(room.first(out.bytes));
  return true;
}

Error Connection::retire() {
  Error why = closing_ ? closing_->why : Error(Errc::link_closed);
  (void)life_.on(LifeEvent::gone, shared_.now.mono);
  if (seat_ != nullptr) {
    Admission::remove(*seat_, half_open_);
    seat_ = nullptr;
  }
  if (half_open_) {
    half_open_ = false;
    --shared_.half_open;
  }
  if (dirty) {
    dirty = false;
    std::erase(shared_.dirty, this);
  }
  leave_step();
  leave_dials();
  reach_.leave(shared_.grown_links);
  std::erase(shared_.closing_soon, this);
  std::erase_if(shared_.reset_tokens, [this](const auto& entry) { return entry.second == this; });
  tls_.end();
  handshake_bytes_.reset();
  link_bytes_.reset();
  early_.reset();
  (void)look();
  if (conn_ != nullptr) ngtcp2_conn_del(conn_);
  conn_ = nullptr;
  free_all_streams();
  return why;
}

}  // namespace qudag::link
