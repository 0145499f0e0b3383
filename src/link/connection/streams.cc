// The streams of a connection: what their owner does with them, and what ngtcp2 reports of them.
#include "link/connection/connection.h"
#include "link/stream/grant.h"

#include <algorithm>
#include <utility>

namespace qudag::link {
// ---- Calls of the owner -------------------------------------------------------------------------

Result<std::int64_t> Connection::open(Priority priority, std::uint64_t context) {
  if (!life_.opens_streams() || closing_soon()) return fail(Errc::link_closed);
  std::unique_ptr<Stream> stream(new (shared_.heap) Stream(-1, level_of(priority)));
  if (!stream) return fail(Errc::refused_memory);
  std::int64_t index = -1;
  const int rv = ngtcp2_conn_open_bidi_stream(conn_, &index, stream.get());
  if (rv == NGTCP2_ERR_STREAM_ID_BLOCKED) return fail(Errc::would_block);
  if (rv != 0) return fail(Errc::internal, "open stream");
  stream->set_index(index);
  stream->context = context;
  add_stream(*stream.release());  // owned by the table from here
  return index;
}

Stream* Connection::find(std::int64_t index) {
  if (retired() || index == streams_.control().index()) return nullptr;
  auto* stream = static_cast<Stream*>(ngtcp2_conn_get_stream_user_data(conn_, index));
  return stream == nullptr || stream->gone ? nullptr : stream;
}

void Connection::write(Stream& stream, memory::Block block) {
  block.header()->queued_at = shared_.ticks();
  stream.push(std::move(block));
  if (stream.queued_bytes() == 0 || stream.blocked || stream.gone) return;
  if (stream.control() && !control_open_) return;
  streams_.turns().add(stream);
  touch();
}

void Connection::consume(Stream& stream, std::size_t bytes) {
  reopen(stream, release(stream, bytes));
}

std::size_t Connection::release(Stream& stream, std::size_t bytes) {
  bytes = std::min<std::size_t>(bytes, stream.unconsumed);
  if (bytes == 0 || conn_ == nullptr) return 0;
  stream.unconsumed -= static_cast<std::uint32_t>(bytes);
  give_link_window(bytes);
  return bytes;
}

void Connection::reopen(Stream& stream, std::size_t bytes) {
  if (bytes == 0 || conn_ == nullptr) return;
  const WindowTerms terms{.usual_kib = shared_.window_kib,
                          .grown = shared_.grown,
                          .path = path_,
                          .now = shared_.now.mono};
  const std::size_t granted = grant(stream, bytes, terms);
  if (shared_.paused[stream.level()]) {
    stream.held += static_cast<std::uint32_t>(granted);
  } else {
    check(ngtcp2_conn_extend_max_stream_offset(conn_, stream.index(), granted));
  }
  touch_for_answer(given_since_, bytes);
}

void Connection::give_held() {
  if (conn_ == nullptr) return;
  streams_.for_each([this](Stream& stream) {
    if (stream.held == 0 || shared_.paused[stream.level()]) return;
    const std::size_t bytes = std::exchange(stream.held, 0);
    if (!stream.gone) check(ngtcp2_conn_extend_max_stream_offset(conn_, stream.index(), bytes));
    touch();
  });
}

void Connection::give_link_window(std::size_t bytes) {
  if (!window_.bounded()) {
    const ReachTerms terms{.usual_kib = shared_.link_window_kib,
                           .grown = shared_.grown_links,
                           .path = path_,
                           .now = shared_.now.mono};
    const std::uint64_t given = reach_.grant(bytes, terms);
    if (given > 0) ngtcp2_conn_extend_max_offset(conn_, given);
    return;
  }
  window_.owe(bytes);
  pay_window();
}

void Connection::pay_window() {
  const std::uint64_t bytes = window_.pay(shared_.now.mono);
  if (bytes > 0) ngtcp2_conn_extend_max_offset(conn_, bytes);
  touch();
}

bool Connection::unused_for(Duration quiet) const {
  return !closing_soon() && life_.unused_for(quiet, shared_.now.mono);
}

void Connection::reset(Stream& stream, EndCode code) {
  if (stream.gone) return;
  stream.gone = true;
  streams_.turns().remove(stream);
  shared_.stats.unsent_circuit[stream.level()] += stream.queued_bytes();
  stream.drop_queued();
  check(ngtcp2_conn_shutdown_stream(conn_, 0, stream.index(), static_cast<std::uint64_t>(code)));
  touch();
}

/// A peer that cannot be told would wait for ever: without memory for that, the link ends.
void Connection::check(int rv) {
  if (rv == NGTCP2_ERR_NOMEM) fail_with(rv);
}

// ---- What ngtcp2 reports ------------------------------------------------------------------------

bool Connection::on_stream_opened(std::int64_t index) {
  if (closing_soon()) return false;
  if (index == streams_.control().index()) {
    ngtcp2_conn_set_stream_user_data(conn_, index, &streams_.control());
    control_open_ = true;
    if (streams_.control().queued_bytes() > 0) streams_.turns().add(streams_.control());
    return true;
  }
  std::unique_ptr<Stream> owned(new (shared_.heap) Stream(index, level_of(Priority::normal)));
  if (!owned || ngtcp2_conn_set_stream_user_data(conn_, index, owned.get()) != 0) return false;
  Stream& stream = *owned.release();
  add_stream(stream);
  if (before_hello(stream)) {
    if (!hold_early(stream)) reset(stream, EndCode::refused);
    return true;
  }
  take_stream(stream);
  return true;
}

void Connection::take_stream(Stream& stream) {
  if (!life_.takes_streams()) return reset(stream, EndCode::shutdown);
  shared_.events.on_stream_opened(name(stream), shared_.now);
}

bool Connection::on_stream_data(Stream& stream, Bytes data, bool fin) {
  if (closing_soon()) return false;
  stream.unconsumed += static_cast<std::uint32_t>(data.size());  // below the stream's window
  if (stream.control()) {
    shared_.stats.bytes_in[kControlLevel] += data.size();
    const bool ok = on_control_data(data);
    pay_control();
    if (ok && fin) return violation("control stream ended");
    return ok;
  }
  if (stream.gone) {
    shared_.stats.untaken[stream.level()] += data.size();
    consume(stream, data.size());
    return true;
  }
  if (before_hello(stream)) {
    if (fin || !early_ || !early_->add(stream.index(), data)) drop_early(stream, EndCode::refused);
    return true;
  }
  if (!data.empty()) take_stream_data(stream, data);
  // A circuit has one end for both directions.
  if (fin && !stream.gone) on_stream_ended(stream, static_cast<std::uint64_t>(EndCode::none));
  return true;
}

/// ngtcp2 gives at once what lay behind a hole, piece by piece, when a packet fills it.
void Connection::note_held_back(Stream& stream, std::size_t bytes) {
  filled_ = filled_stream_ == stream.index() ? filled_ + bytes : bytes;
  filled_stream_ = stream.index();
  reach_.note_held(filled_);
  const std::size_t units = std::min(filled_ / kHeldUnit, kHeldMost);
  if (units > stream.held_back) stream.held_back = units & kHeldMost;
}

void Connection::take_stream_data(Stream& stream, Bytes data) {
  if (life_.note_used(shared_.now.mono)) update_keepalive();
  note_held_back(stream, data.size());
  shared_.stats.bytes_in[stream.level()] += data.size();
  shared_.events.on_stream_data(name(stream), stream.context, data, shared_.now);
}

void Connection::on_stream_ended(Stream& stream, std::uint64_t code) {
  if (closing_soon()) return;
  if (stream.control()) {
    violation("control stream reset");
    return;
  }
  if (stream.gone) return;
  if (before_hello(stream))
    return drop_early(stream, wire::end_code_of(code));  // nobody knows of it yet
  reset(stream, wire::end_code_of(code));
  shared_.events.on_stream_closed(name(stream), stream.context, wire::end_code_of(code),
                                  shared_.now);
}

void Connection::on_stream_freed(Stream& stream, std::uint64_t code) {
  if (stream.control()) {
    violation("control stream ended");
    return;
  }
  // Bytes that the owner never gave back still count against the link's window.
  if (stream.unconsumed > 0) give_link_window(stream.unconsumed);
  if (ngtcp2_conn_is_local_stream(conn_, stream.index()) == 0) {
    ngtcp2_conn_extend_max_streams_bidi(conn_, 1);
  }
  touch();
  const bool early = before_hello(stream);
  if (early && early_) early_->remove(stream.index());
  const bool tell = !stream.gone && !closing_soon() && !early;
  const StreamId which = name(stream);
  const std::uint64_t context = stream.context;
  free_stream(stream);
  if (tell) shared_.events.on_stream_closed(which, context, wire::end_code_of(code), shared_.now);
  end_if_drained();
}

// ---- Lists --------------------------------------------------------------------------------------

void Connection::add_stream(Stream& stream) {
  stream.window_kib = static_cast<std::uint16_t>(shared_.options.stream_window_bytes / 1024);
  streams_.add(stream);
  life_.note_streams(streams_.size(), shared_.now.mono);
  if (streams_.size() == 1) update_keepalive();
}

void Connection::free_stream(Stream& stream) {
  shared_.grown.remove(stream.window_kib);
  unacked_ -= stream.unacked_bytes();
  streams_.free(stream);
  life_.note_streams(streams_.size(), shared_.now.mono);
  if (streams_.size() == 0) update_keepalive();
}

void Connection::free_all_streams() {
  streams_.for_each([this](const Stream& stream) {
    shared_.grown.remove(stream.window_kib);
    shared_.stats.unsent_link[stream.level()] += stream.queued_bytes();
  });
  shared_.stats.unsent_link[kControlLevel] += streams_.control().queued_bytes();
  streams_.free_all();
}

void Connection::update_keepalive() {
  if (conn_ == nullptr) return;
  ngtcp2_conn_set_keep_alive_timeout(conn_, to_native(life_.keepalive()));
}

void Connection::on_acked(Stream& stream, std::size_t bytes) {
  stream.acked(bytes);
  unacked_ -= bytes;
}

/// Of the first that goes in a turn: what is behind it came later, or leaves with it.
void Connection::sample_wait(Stream& stream) {
  shared_.levels_to_sample &= static_cast<std::uint8_t>(~(1u << stream.level()));
  CrowdTimes& times = shared_.cells_waited[stream.level() - 1u];
  stream.shown_mark = times.record(shared_.since(stream.next_queued_at()), stream.shown_mark) & 7u;
}

void Connection::note_sent(Stream& stream, std::size_t bytes) {
  if ((shared_.levels_to_sample >> stream.level() & 1u) != 0) sample_wait(stream);
  shared_.stats.bytes_out[stream.level()] += bytes;
  stream.sent(bytes);
  unacked_ += bytes;
  wrote_ = true;
  if (stream.sparse && !stream.control()) sparse_at_ = shared_.now.mono;
  if (stream.control()) {
    life_.note_told(shared_.now.mono);
  } else if (life_.note_used(shared_.now.mono)) {
    update_keepalive();
  }
  streams_.turns().charge(stream, bytes);
  streams_.add_report(stream);
}

void Connection::report_sent() {
  while (Stream* const stream = streams_.take_report()) {
    const std::size_t bytes = std::exchange(stream->sent_unreported, 0);
    if (stream->control()) {
      end_if_drained();
    } else if (!stream->gone && bytes > 0) {
      shared_.events.on_stream_sent(name(*stream), stream->context, bytes, shared_.now);
    }
  }
}

}  // namespace qudag::link
