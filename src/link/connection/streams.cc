// The streams of a connection, and the control stream's frames.
#include "link/connection/connection.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace qudag::link {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t number_of(wire::ControlType type) { return static_cast<std::uint8_t>(type); }

/// Unsent control bytes per link; beyond it the peer is too slow and frames are refused.
constexpr std::size_t kControlQueueBytesMax = 256 * 1024;

}  // namespace

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
  link_stream(*stream.release());  // owned by the list from here
  return index;
}

Stream* Connection::find(std::int64_t index) {
  if (retired() || index == control_.index()) return nullptr;
  auto* stream = static_cast<Stream*>(ngtcp2_conn_get_stream_user_data(conn_, index));
  return stream == nullptr || stream->gone ? nullptr : stream;
}

void Connection::set_priority(Stream& stream, Priority priority) {
  const bool waiting = stream.in_turn;
  scheduler_.remove(stream);
  stream.set_level(level_of(priority));
  if (waiting) scheduler_.add(stream);
}

void Connection::write(Stream& stream, memory::Block block) {
  block.header()->queued_at = shared_.milliseconds();
  stream.push(std::move(block));
  if (stream.queued_bytes() == 0 || stream.blocked || stream.gone) return;
  if (stream.control() && !control_open_) return;
  scheduler_.add(stream);
  touch();
}

void Connection::consume(Stream& stream, std::size_t bytes) {
  bytes = std::min<std::size_t>(bytes, stream.unconsumed);
  if (bytes == 0 || conn_ == nullptr) return;
  stream.unconsumed -= static_cast<std::uint32_t>(bytes);
  const std::size_t granted = granted_for(stream, bytes);
  if (shared_.paused[stream.level()]) {
    stream.held += static_cast<std::uint32_t>(granted);
  } else {
    check(ngtcp2_conn_extend_max_stream_offset(conn_, stream.index(), granted));
  }
  give_link_window(bytes);
  touch_for_answer(given_since_, bytes);
}

/// More than was consumed where the window grows, less where it shrinks. To its usual size it goes
/// at the pace of what the peer sends; for a long path it grows at once, or the peer would wait.
std::size_t Connection::granted_for(Stream& stream, std::size_t consumed) {
  if (stream.control()) return consumed;
  const std::size_t usual = std::max<std::size_t>(shared_.window_kib, shared_.grown.least());
  const std::size_t window = stream.window_kib;
  const std::size_t wanted = wanted_window(stream, usual, consumed);
  if (wanted == window) return consumed;
  const std::size_t pace = consumed / 1024;
  const std::size_t step = wanted < window   ? std::min(pace, window - wanted)
                           : wanted <= usual ? std::min(pace, wanted - window)
                                             : std::min(shared_.grown.left(), wanted - window);
  const std::size_t next = wanted > window ? window + step : window - step;
  shared_.grown.change(window, next);
  stream.window_kib = static_cast<std::uint16_t>(next);
  return consumed + next * 1024 - window * 1024;
}

/// In KiB. Paths that are not paced are too short for more than the usual window; memory may be,
/// too.
std::size_t Connection::wanted_window(Stream& stream, std::size_t usual, std::size_t consumed) {
  using std::chrono::microseconds;
  if (!paced_ || !shared_.grown.may_grow(usual)) return usual;
  const auto now = static_cast<std::uint32_t>(shared_.now.mono.time_since_epoch() / 1us);
  const Duration took = microseconds(now - stream.round_at);
  stream.round_bytes += static_cast<std::uint32_t>(consumed);
  if (took < round_trip_) return std::max<std::size_t>(usual, stream.window_kib);
  stream.round_at = now;
  const WindowRound round{std::exchange(stream.round_bytes, 0), took, shortest_trip_};
  stream.wanted_kib = static_cast<std::uint16_t>(smoothed(stream.wanted_kib, wanted_in(round)));
  return next_window(stream.window_kib, usual, stream.wanted_kib);
}

void Connection::give_held() {
  if (conn_ == nullptr) return;
  for (Stream* stream = all_first_; stream != nullptr; stream = stream->all_next) {
    if (stream->held == 0 || shared_.paused[stream->level()]) continue;
    const std::size_t bytes = std::exchange(stream->held, 0);
    if (!stream->gone) check(ngtcp2_conn_extend_max_stream_offset(conn_, stream->index(), bytes));
    touch();
  }
}

void Connection::give_link_window(std::size_t bytes) {
  if (!rate_) {
    ngtcp2_conn_extend_max_offset(conn_, bytes);
    return;
  }
  window_owed_ += bytes;
  pay_window();
}

/// As much of the link's window as its rate allows; the rest when it allows more.
void Connection::pay_window() {
  constexpr std::uint64_t kPieceBytes = 64 * 1024;
  const TimePoint now = shared_.now.mono;
  const std::uint64_t bytes = std::min(window_owed_, rate_->available(now));
  if (bytes > 0 && rate_->take(bytes, now)) {
    window_owed_ -= bytes;
    ngtcp2_conn_extend_max_offset(conn_, bytes);
  }
  const std::uint64_t next =
      std::min({window_owed_, kPieceBytes, shared_.options.link_bytes_per_second});
  pay_at_ = next == 0 ? kNever : rate_->ready_at(next, now);
  touch();
}

bool Connection::unused_for(Duration quiet) const {
  return !closing_soon() && life_.unused_for(quiet, shared_.now.mono);
}

void Connection::reset(Stream& stream, EndCode code) {
  if (stream.gone) return;
  stream.gone = true;
  scheduler_.remove(stream);
  stream.drop_queued();
  check(ngtcp2_conn_shutdown_stream(conn_, 0, stream.index(), static_cast<std::uint64_t>(code)));
  touch();
}

/// A peer that cannot be told would wait for ever: without memory for that, the link ends.
void Connection::check(int rv) {
  if (rv == NGTCP2_ERR_NOMEM) fail_with(rv);
}

bool Connection::probe_peer() {
  return send_control(number_of(wire::ControlType::ping), wire::encode_ping(shared_.rng.u64()));
}

bool Connection::send_control(std::uint8_t type, Bytes body) {
  if (retired() || closing_soon() || state() < LinkState::ready) return false;
  if (body.size() > wire::kControlBodyBytesMax) return false;
  if (control_.queued_bytes() + body.size() > kControlQueueBytesMax) return false;
  const auto header = wire::encode_control_header(type, body.size());

  const std::size_t total = header.size() + body.size();
  const auto size = total <= memory::capacity_of(memory::BlockSize::cell) ? memory::BlockSize::cell
                                                                          : memory::BlockSize::bulk;
  memory::Chain frame;
  Bytes head(header);
  while (!head.empty() || !body.empty()) {
    memory::Block block = shared_.pool.take(size, memory::For::high);
    if (!block) return false;
    for (Bytes* part : {&head, &body}) {
      const std::size_t room = block.capacity() - block.size();
      const std::size_t n = std::min(room, part->size());
      if (n == 0) continue;
      const std::size_t at = block.size();
      block.append(n);
      std::memcpy(block.data() + at, part->data(), n);
      *part = part->subspan(n);
    }
    frame.push_back(std::move(block));
  }
  shared_.stats.bytes_copied += total;
  while (!frame.empty()) write(control_, frame.pop_front());
  return true;
}

void Connection::say_goodbye(Drain why) {
  if (retired() || closing_soon()) return;
  if (life_.said_goodbye() && (why == Drain::replaced || life_.drain() == why)) return;
  if (state() < LinkState::ready) {
    close_soon(Error(Errc::shutting_down), EndCode::shutdown);
    return;
  }
  const EndCode code = why == Drain::stopping ? EndCode::shutdown : EndCode::none;
  const bool told = send_control(number_of(wire::ControlType::goodbye),
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
  if (control_.queued_bytes() > 0) {  // looked at again when it is sent
    if (life_.drain() == Drain::replaced) life_.linger(shared_.now.mono);
    return;
  }
  if (life_.drain() == Drain::replaced) return close_soon(Error(Errc::link_closed), EndCode::none);
  close_soon(Error(life_.said_goodbye() ? Errc::shutting_down : Errc::link_closed),
             EndCode::shutdown);
}

// ---- What ngtcp2 reports ------------------------------------------------------------------------

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
      !send_control(number_of(wire::ControlType::hello), wire::encode_hello(hello))) {
    close_soon(Error(Errc::refused_memory), EndCode::refused);
    return false;
  }
  if (dialer_) {
    std::int64_t index = -1;
    if (ngtcp2_conn_open_bidi_stream(conn_, &index, &control_) != 0 || index != control_.index()) {
      return violation("the peer allows no control stream");
    }
    control_open_ = true;
    if (control_.queued_bytes() > 0) scheduler_.add(control_);
  }
  touch();
  shared_.events.on_link_ready(id_, shared_.now);
  return true;
}

bool Connection::on_stream_opened(std::int64_t index) {
  if (closing_soon()) return false;
  if (index == control_.index()) {
    ngtcp2_conn_set_stream_user_data(conn_, index, &control_);
    control_open_ = true;
    if (control_.queued_bytes() > 0) scheduler_.add(control_);
    return true;
  }
  std::unique_ptr<Stream> owned(new (shared_.heap) Stream(index, level_of(Priority::normal)));
  if (!owned || ngtcp2_conn_set_stream_user_data(conn_, index, owned.get()) != 0) return false;
  Stream& stream = *owned.release();
  link_stream(stream);
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
    const bool ok = on_control_data(data);
    consume(stream, data.size());
    if (ok && fin) return violation("control stream ended");
    return ok;
  }
  if (stream.gone) {
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

void Connection::take_stream_data(Stream& stream, Bytes data) {
  if (life_.note_used(shared_.now.mono)) update_keepalive();
  shared_.stats.priority_bytes_in[stream.level() - 1u] += data.size();
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
  scheduler_.remove(stream);
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
  free_stream(&stream);
  if (tell) shared_.events.on_stream_closed(which, context, wire::end_code_of(code), shared_.now);
  end_if_drained();
}

bool Connection::on_control_data(Bytes data) {
  ControlFrame frame;
  for (;;) {
    switch (control_reader_.next(data, frame)) {
      case ControlReader::Step::need_more:
        return true;
      case ControlReader::Step::malformed:
        return violation("control frame too long");
      case ControlReader::Step::frame:
        break;
    }
    if (!on_control_frame(frame) || closing_soon()) return false;
  }
}

bool Connection::on_control_frame(const ControlFrame& in) {
  const auto type = static_cast<wire::ControlType>(in.type);
  if (type == wire::ControlType::hello) return on_hello(in.body);
  if (!hello_seen_) return violation("no hello");
  switch (type) {
    case wire::ControlType::ping: {
      const auto token = wire::parse_ping(in.body);
      if (!token) return violation("ping");
      send_control(number_of(wire::ControlType::pong), wire::encode_ping(*token));
      return true;
    }
    case wire::ControlType::pong:
      return wire::parse_ping(in.body) || violation("pong");
    case wire::ControlType::goodbye: {
      const auto code = wire::parse_goodbye(in.body);
      if (!code) return violation("goodbye");
      const bool replaced = *code == static_cast<std::uint8_t>(EndCode::none);
      begin_drain(LifeEvent::heard_goodbye, replaced ? Drain::replaced : Drain::stopping);
      if (replaced) say_goodbye(Drain::replaced);  // nothing more from us either
      return true;
    }
    default:
      break;
  }
  if (wire::is_forbidden_control_type(in.type)) return violation("unknown control frame");
  if (wire::is_known_control_type(in.type)) {  // gossip and load are the owner's
    shared_.events.on_control_frame(id_, in.type, in.body, shared_.now);
  }
  return true;
}

// ---- Lists --------------------------------------------------------------------------------------

void Connection::link_stream(Stream& stream) {
  stream.window_kib = static_cast<std::uint16_t>(shared_.options.stream_window_bytes / 1024);
  stream.all_next = all_first_;
  if (all_first_ != nullptr) all_first_->all_prev = &stream;
  all_first_ = &stream;
  ++stream_count_;
  life_.note_streams(stream_count_, shared_.now.mono);
  if (stream_count_ == 1) update_keepalive();
}

void Connection::free_stream(Stream* stream) {
  if (stream->in_report) {
    for (Stream** at = &report_first_; *at != nullptr; at = &(*at)->report_next) {
      if (*at == stream) {
        *at = stream->report_next;
        break;
      }
    }
  }
  (stream->all_prev != nullptr ? stream->all_prev->all_next : all_first_) = stream->all_next;
  if (stream->all_next != nullptr) stream->all_next->all_prev = stream->all_prev;
  --stream_count_;
  shared_.grown.remove(stream->window_kib);
  delete stream;
  life_.note_streams(stream_count_, shared_.now.mono);
  if (stream_count_ == 0) update_keepalive();
}

void Connection::free_all_streams() {
  report_first_ = nullptr;
  while (all_first_ != nullptr) {
    Stream* const next = all_first_->all_next;
    scheduler_.remove(*all_first_);
    shared_.grown.remove(all_first_->window_kib);
    delete all_first_;
    all_first_ = next;
  }
  stream_count_ = 0;
  scheduler_.remove(control_);
}

void Connection::update_keepalive() {
  if (conn_ == nullptr) return;
  ngtcp2_conn_set_keep_alive_timeout(conn_, to_native(life_.keepalive()));
}

void Connection::note_sent(Stream& stream, std::size_t bytes) {
  stream.sent(bytes);
  wrote_ = true;
  if (stream.sparse && !stream.control()) sparse_at_ = shared_.now.mono;
  if (!stream.control() && life_.note_used(shared_.now.mono)) update_keepalive();
  scheduler_.charge(stream, bytes);
  if (stream.in_report) return;
  stream.in_report = true;
  stream.report_next = report_first_;
  report_first_ = &stream;
}

void Connection::report_sent() {
  while (Stream* const stream = report_first_) {
    report_first_ = stream->report_next;
    stream->in_report = false;
    const std::size_t bytes = std::exchange(stream->sent_unreported, 0);
    if (stream->control()) {
      end_if_drained();
    } else if (!stream->gone && bytes > 0) {
      shared_.events.on_stream_sent(name(*stream), stream->context, bytes, shared_.now);
    }
  }
}

}  // namespace qudag::link
