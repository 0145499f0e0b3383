// One WebSocket on /v1/stream: a reader and a writer, both on the API thread.
//
// Reader: 1 read a WebSocket message, 2 take its records, 3 hand each send to the node. A record
// that is not understood is answered with ERROR and ends the connection.
// Writer: 1 wait for the queue, 2 gather items into one WebSocket message: small payloads by copy,
// large ones as views of their blocks, 3 write it, 4 again. A client that takes nothing for long is
// closed.
//
// In text mode (lines.h) a record is a JSON object, and each goes to the client as a message.
#include "api/records/bounds.h"
#include "api/records/records.h"
#include "api/server/hub.h"
#include "api/server/lines.h"
#include "api/server/upgrade.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

#include <set>
#include <utility>

namespace qudag::api {
namespace {

namespace websocket = beast::websocket;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
/// Below this a payload is copied beside its head; above, its blocks are written where they are.
constexpr std::size_t kCopyBytesMax = 4096;
/// For what a client said before it went: it is in the socket's buffer.
constexpr std::chrono::seconds kLastWords{1};

/// One WebSocket message being put together.
class Batch {
 public:
  explicit Batch(bool lines) : lines_(lines) {}
  /// Of everything but messages.
  void add(const OutItem& item);
  /// Moves what it needs out of `message`.
  void add(Message& message);
  /// One that its client acknowledges.
  void add(const std::shared_ptr<Message>& message, std::uint64_t token);
  bool full() const {
    return bytes_.size() + viewed_ >= kStreamOutBytes || (lines_ && !bytes_.empty());
  }
  bool empty() const { return bytes_.empty(); }
  /// Those that their clients do not acknowledge.
  const HeldMessage& messages() const { return messages_; }
  std::size_t count() const { return count_; }
  /// Views into this batch, in order.
  const std::vector<asio::const_buffer>& buffers();
  void clear();

 private:
  struct View {
    std::size_t at = 0;  // position in bytes_ in front of which it belongs
    Bytes bytes;
  };
  std::vector<std::byte> bytes_;
  std::vector<View> views_;
  std::vector<Buffer> kept_;  // what views_ look into, and that
  std::vector<std::shared_ptr<Message>> shared_;
  std::vector<asio::const_buffer> buffers_;
  std::size_t viewed_ = 0;
  std::size_t count_ = 0;
  HeldMessage messages_;
  bool lines_;

  void add_line(const OutItem& item);
  void add_line(std::string_view line);
  void add_record(const Message& message, std::optional<std::uint64_t> token);
};

void Batch::add_line(std::string_view line) {
  const Bytes bytes = as_bytes(line);
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void Batch::add_line(const OutItem& item) {
  if (const auto* outcome = std::get_if<OutcomeItem>(&item)) {
    add_line(outcome_line(outcome->request, outcome->delivery));
  } else if (const auto* progress = std::get_if<std::shared_ptr<ProgressSlot>>(&item)) {
    ProgressSlot& slot = **progress;
    slot.queued.store(false);
    add_line(progress_line(slot.request, slot.done.load(), slot.all.load()));
  } else if (std::holds_alternative<SubscribedItem>(item)) {
    add_line(subscribed_line());
  } else if (const auto* no = std::get_if<NotCancelledItem>(&item)) {
    add_line(not_cancelled_line(no->request, no->reason));
  }
}

void Batch::add(const OutItem& item) {
  if (lines_) return add_line(item);
  if (const auto* outcome = std::get_if<OutcomeItem>(&item)) {
    const Delivery& d = outcome->delivery;
    append(bytes_, OutcomeRecord{outcome->request, d.id, d.outcome, d.reason.code,
                                 static_cast<std::uint64_t>(d.elapsed.count()),
                                 std::string_view(d.reason.detail).substr(0, kDetailBytesMax)});
  } else if (const auto* progress = std::get_if<std::shared_ptr<ProgressSlot>>(&item)) {
    ProgressSlot& slot = **progress;
    slot.queued.store(false);
    append(bytes_, ProgressRecord{slot.request, slot.done.load(), slot.all.load()});
  } else if (std::holds_alternative<SubscribedItem>(item)) {
    append(bytes_, SubscribedRecord{});
  } else if (const auto* no = std::get_if<NotCancelledItem>(&item)) {
    append(bytes_, NotCancelledRecord{no->request, no->reason.code, no->reason.detail});
  }
}

void Batch::add(Message& message) {
  messages_.add(message);
  add_record(message, {});
  if (message.payload.size() > kCopyBytesMax) kept_.push_back(std::move(message.payload));
}

void Batch::add(const std::shared_ptr<Message>& message, std::uint64_t token) {
  add_record(*message, token);
  if (message->payload.size() > kCopyBytesMax) shared_.push_back(message);
}

void Batch::add_record(const Message& message, std::optional<std::uint64_t> token) {
  const std::size_t size = message.payload.size();
  ++count_;
  if (lines_) return add_line(message_line(message, token));
  const MessageRecord head{.id = message.id,
                           .priority = message.priority,
                           .channel = message.channel,
                           .sender = message.sender,
                           .reply_to = message.reply_to,
                           .in_reply_to = message.in_reply_to,
                           .token = token,
                           .kept = message.kept,
                           .payload = {}};
  append_message_head(bytes_, head, size);
  for (std::size_t i = 0; i < message.payload.piece_count(); ++i) {
    const Bytes piece = message.payload.piece(i);
    if (size <= kCopyBytesMax) {
      bytes_.insert(bytes_.end(), piece.begin(), piece.end());
    } else {
      views_.push_back({bytes_.size(), piece});
    }
  }
  if (size > kCopyBytesMax) viewed_ += size;
}

const std::vector<asio::const_buffer>& Batch::buffers() {
  std::size_t from = 0;
  for (const View& view : views_) {
    if (view.at > from) buffers_.emplace_back(bytes_.data() + from, view.at - from);
    buffers_.emplace_back(view.bytes.data(), view.bytes.size());
    from = view.at;
  }
  if (bytes_.size() > from) buffers_.emplace_back(bytes_.data() + from, bytes_.size() - from);
  return buffers_;
}

void Batch::clear() {
  bytes_.clear();
  views_.clear();
  kept_.clear();
  shared_.clear();
  buffers_.clear();
  viewed_ = 0;
  count_ = 0;
  messages_ = {};
}

// Owners (shared_ptr): the reader's and the writer's coroutine.
class StreamSession : public std::enable_shared_from_this<StreamSession> {
 public:
  /// `entry` outlives the session's reader, which is all that looks at it.
  StreamSession(std::shared_ptr<Hub> hub, const SessionEntry& entry, Stream stream, bool lines)
      : hub_(std::move(hub)),
        lines_(lines),
        entry_(entry),
        socket_(std::move(stream)),
        port_(*hub_, socket_.get_executor(), ClientKind::stream),
        hand_(*hub_, port_.queue()),
        writer_ended_(socket_.get_executor(), asio::steady_timer::time_point::max()),
        reader_ended_(socket_.get_executor(), asio::steady_timer::time_point::max()),
        watch_(socket_.get_executor()),
        room_(socket_.get_executor(), asio::steady_timer::time_point::max()) {}
  ~StreamSession() {
    for (const auto& [request, id] : sent_) hub_->under_way.erase(id);
  }
  StreamSession(const StreamSession&) = delete;
  StreamSession& operator=(const StreamSession&) = delete;

  void end() {
    paused_ = false;
    room_.cancel();
    port_.end();
    beast::get_lowest_layer(socket_).close();
  }
  asio::awaitable<bool> accept(Upgrade& upgrade);
  asio::awaitable<void> read();
  asio::awaitable<void> write();
  asio::awaitable<void> wait_for_writer();
  /// Closes a client that takes nothing, see config::ApiOptions::stall_max.
  asio::awaitable<void> watch();

 private:
  asio::awaitable<void> wait_for_room();
  asio::awaitable<void> wait_for_reader();
  void hear_when_client_goes();
  void hear_out();
  void go_on();
  Status take_records(Bytes message);
  Status take_lines(Bytes message);
  Status take_record(const ClientRecord& record);
  void handle(const SendRecord& record);
  void handle(const ReplyRecord& record);
  void handle(const SubscribeRecord& record);
  void handle(const CancelRecord& record);
  void handle(const AcknowledgeRecord& record);
  void put(OutItem& item, Batch& batch);
  Hand::Kept keep_in_hand(OutItem& item);
  bool admit(std::uint64_t request);
  void keep(std::uint64_t request, const Result<MessageId>& sent);
  void forget(const OutItem& item);

  std::shared_ptr<Hub> hub_;
  const bool lines_;  // text mode
  const SessionEntry& entry_;
  websocket::stream<Stream> socket_;
  SubscriberPort port_;
  Hand hand_;
  asio::steady_timer writer_ended_;  // expires never, is cancelled by the writer's end
  bool writing_ = true;
  asio::steady_timer reader_ended_;  // the same of the reader
  bool reading_ = true;
  bool gone_ = false;  // the client takes nothing more; what it said before is read to its end
  asio::steady_timer watch_;
  std::optional<std::chrono::steady_clock::time_point> write_began_;
  asio::steady_timer room_;      // expires never, is cancelled when the reader may go on
  bool paused_ = false;          // the reader waits for outcomes
  std::size_t outstanding_ = 0;  // sends whose OUTCOME has not been put into a batch
  std::set<std::pair<std::uint64_t, MessageId>> sent_;  // of them, what the node took: by request
  bool acknowledged_nothing_ = false;                   // a token that there is not
  std::size_t answers_ = 0;      // SUBSCRIBED and NOT_CANCELLED that have not been put into a batch
  std::optional<Error> broken_;  // what the client did wrong; the writer tells and closes
};

asio::awaitable<bool> StreamSession::accept(Upgrade& upgrade) {
  set_bounds(socket_);
  socket_.auto_fragment(false);
  socket_.binary(!lines_);
  const auto [ec] = co_await socket_.async_accept(upgrade.request, kTuple);
  co_return !ec;
}

asio::awaitable<void> StreamSession::read() {
  hear_when_client_goes();
  beast::flat_buffer in;
  for (;;) {
    const auto [ec, bytes] = co_await socket_.async_read(in, kTuple);
    if (ec) break;
    const Bytes message{static_cast<const std::byte*>(in.data().data()), in.data().size()};
    if (socket_.got_binary() == lines_) {
      broken_ = Error(Errc::malformed, lines_ ? "only text WebSocket messages, for format=json"
                                              : "only binary WebSocket messages");
    } else if (const Status taken = lines_ ? take_lines(message) : take_records(message); !taken) {
      broken_ = taken.error();
    }
    hand_.free_places();
    if (broken_) {
      ++hub_->stats.records_malformed;
      break;
    }
    in.consume(in.size());
    co_await wait_for_room();
  }
  hub_->subscribers.remove(port_.queue().get());
  if (!broken_) beast::get_lowest_layer(socket_).close();
  port_.end();
  reading_ = false;
  reader_ended_.cancel();
}

/// Backpressure to the client: while half of what it may have under way has no outcome, nothing is
/// read from it, and its socket fills; at a quarter the session goes on.
asio::awaitable<void> StreamSession::wait_for_room() {
  if (gone_ || outstanding_ < std::max<std::size_t>(1, hub_->options.outstanding / 2)) co_return;
  ++hub_->stats.pauses;
  for (paused_ = true; paused_;) co_await room_.async_wait(kTuple);
}

void StreamSession::go_on() {
  if (!paused_ || outstanding_ > hub_->options.outstanding / 4) return;
  paused_ = false;
  room_.cancel();
}

/// The reader hears it by itself, unless it waits for room.
void StreamSession::hear_when_client_goes() {
  beast::get_lowest_layer(socket_).socket().async_wait(
      asio::socket_base::wait_error, [self = weak_from_this()](beast::error_code error) {
        if (const auto session = error ? nullptr : self.lock()) session->hear_out();
      });
}

/// The client has gone: what it said before, acknowledgements above all, is read without a pause.
void StreamSession::hear_out() {
  gone_ = true;
  paused_ = false;
  room_.cancel();
}

/// Until all is read that a client said before it went. One that only reads nothing more and says
/// on and on is not waited for.
asio::awaitable<void> StreamSession::wait_for_reader() {
  hub_->subscribers.remove(port_.queue().get());
  hear_out();
  reader_ended_.expires_after(kLastWords);
  while (reading_) {
    const auto [ec] = co_await reader_ended_.async_wait(kTuple);
    if (!ec) co_return;
  }
}

asio::awaitable<void> StreamSession::write() {
  OutItems items = port_.queue()->batch();
  Batch batch(lines_);
  beast::error_code failed;
  while (!failed) {
    co_await port_.wait(items);
    if (port_.ended()) break;
    for (std::size_t i = 0; i < items.size() && !failed; ++i) {
      forget(items[i]);
      put(items[i], batch);
      if (batch.empty() || (!batch.full() && i + 1 < items.size())) continue;
      write_began_ = std::chrono::steady_clock::now();
      const auto [ec, bytes] = co_await socket_.async_write(batch.buffers(), kTuple);
      write_began_.reset();
      failed = ec;
      hub_->stats.messages_out += batch.count();
      port_.queue()->written(batch.messages());
      batch.clear();
      go_on();
    }
  }
  batch.clear();
  for (OutItem& item : items) keep_in_hand(item);  // they were never written
  if (failed && !broken_) co_await wait_for_reader();
  hand_.leave();  // nothing is being written any more
  if (broken_ && !failed) {
    std::vector<std::byte> last;
    if (lines_) {
      const std::string line = error_line(*broken_);
      last.assign(as_bytes(line).begin(), as_bytes(line).end());
    } else {
      append(last, ErrorRecord{broken_->code, broken_->detail});
    }
    const auto buffer = asio::buffer(last);
    beast::get_lowest_layer(socket_).expires_after(kClientPatience);
    co_await socket_.async_write(buffer, kTuple);
    co_await socket_.async_close(websocket::close_code::policy_error, kTuple);
  }
  end();
  writing_ = false;
  writer_ended_.cancel();
  watch_.cancel();
}

void StreamSession::put(OutItem& item, Batch& batch) {
  auto* const waiting = std::get_if<WaitingMessage>(&item);
  if (waiting == nullptr) return batch.add(item);
  if (!waiting->in_hand) return batch.add(waiting->message);
  if (const Hand::Kept kept = keep_in_hand(item); kept.message) batch.add(kept.message, kept.token);
}

/// Takes a message out of `item`, if it is one that the client acknowledges, and gives it a token.
/// Nothing for any other, and for one that is over: its sender has heard so.
Hand::Kept StreamSession::keep_in_hand(OutItem& item) {
  auto* const waiting = std::get_if<WaitingMessage>(&item);
  if (waiting == nullptr || !waiting->in_hand) return {};
  Hand::Kept kept = hand_.keep(std::move(waiting->message));
  item = SubscribedItem{};  // it is taken
  return kept;
}

asio::awaitable<void> StreamSession::watch() {
  const std::chrono::milliseconds most = hub_->options.stall_max;
  while (writing_) {
    watch_.expires_after(most / 4);
    co_await watch_.async_wait(kTuple);
    if (!write_began_ || std::chrono::steady_clock::now() - *write_began_ < most) continue;
    beast::get_lowest_layer(socket_).close();  // the reader and the writer hear it
  }
}

asio::awaitable<void> StreamSession::wait_for_writer() {
  while (writing_) co_await writer_ended_.async_wait(kTuple);
}

Status StreamSession::take_records(Bytes message) {
  RecordReader reader(message);
  while (!reader.at_end()) {
    const auto raw = reader.next();
    if (!raw) return std::unexpected(raw.error());
    const auto record = parse_client_record(*raw);
    if (!record) return std::unexpected(record.error());
    if (const Status taken = take_record(*record); !taken) return taken;
  }
  return {};
}

Status StreamSession::take_lines(Bytes message) {
  std::string_view left(reinterpret_cast<const char*>(message.data()), message.size());
  while (!left.empty()) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    const std::string_view line = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    if (line.find_first_not_of(" \r\t") == std::string_view::npos) continue;
    const Result<LineRecord> record = parse_line(line);
    if (!record) return std::unexpected(record.error());
    if (const Status taken = take_record(record->record); !taken) return taken;
  }
  return {};
}

Status StreamSession::take_record(const ClientRecord& record) {
  ++hub_->stats.records;
  std::visit([this](const auto& known) { handle(known); }, record);
  if (acknowledged_nothing_) return fail(Errc::not_found, "ACKNOWLEDGE of no message in hand");
  if (answers_ > hub_->options.outstanding) {
    return fail(Errc::refused_queue_full, "too many records whose answers were not read");
  }
  return {};
}

/// Counts a send in, or answers it with the limit that says no.
bool StreamSession::admit(std::uint64_t request) {
  ++outstanding_;
  std::optional<Error> no;
  if (hub_->draining) {
    no.emplace(Errc::shutting_down);
  } else if (outstanding_ > hub_->options.outstanding) {
    no.emplace(Errc::refused_queue_full, "api.outstanding sends have no outcome yet");
  }
  if (no) port_.queue()->push_outcome(request, refused_delivery(*no));
  return !no;
}

void StreamSession::keep(std::uint64_t request, const Result<MessageId>& sent) {
  if (!sent) return port_.queue()->push_outcome(request, refused_delivery(sent.error()));
  sent_.emplace_hint(sent_.end(), request, *sent);
  hub_->under_way.insert(*sent);
}

/// What goes to the client now is no longer under way.
void StreamSession::forget(const OutItem& item) {
  if (std::holds_alternative<NotCancelledItem>(item) ||
      std::holds_alternative<SubscribedItem>(item)) {
    --answers_;
  }
  const auto* outcome = std::get_if<OutcomeItem>(&item);
  if (outcome == nullptr) return;
  --outstanding_;
  sent_.erase({outcome->request, outcome->delivery.id});
  hub_->under_way.erase(outcome->delivery.id);
}

void StreamSession::handle(const SendRecord& record) {
  if (!admit(record.request)) return;
  const std::shared_ptr<SubscriberQueue>& queue = port_.queue();
  Progress progress;
  if (record.progress) {
    progress = [queue,
                slot = std::make_shared<ProgressSlot>(record.request)](const SendProgress& now) {
      queue->push_progress(slot, now.bytes_done, now.bytes_all);
    };
  }
  const auto sent = hub_->node.send(
      record.destination, record.payload, entry_.isolated(record.options),
      [queue, request = record.request](const Delivery& delivery) {
        queue->push_outcome(request, delivery);
      },
      std::move(progress));
  keep(record.request, sent);
}

void StreamSession::handle(const ReplyRecord& record) {
  if (!admit(record.request)) return;
  const std::shared_ptr<SubscriberQueue>& queue = port_.queue();
  const auto sent = hub_->node.reply(record.to, record.payload, {.ttl = record.ttl},
                                     [queue, request = record.request](const Delivery& delivery) {
                                       queue->push_outcome(request, delivery);
                                     });
  keep(record.request, sent);
}

/// Of several with the same number: one of them.
void StreamSession::handle(const CancelRecord& record) {
  const auto at = sent_.lower_bound({record.request, MessageId{}});
  const bool known = at != sent_.end() && at->first == record.request;
  const Status done =
      known ? hub_->cancel(at->second) : fail(Errc::not_found, "no such request is under way");
  if (done) {
    sent_.erase(at);
    return;
  }
  ++answers_;
  port_.queue()->push_not_cancelled(record.request, done.error());
}

void StreamSession::handle(const AcknowledgeRecord& record) {
  if (!hand_.answer(record)) acknowledged_nothing_ = true;
}

void StreamSession::handle(const SubscribeRecord& record) {
  if (record.on && gone_) return;
  if (record.on) {
    port_.queue()->set_quota(record.count == 0 ? UINT64_MAX : record.count, record.explicit_acks);
    ++answers_;
    port_.queue()->push_subscribed();  // in the queue before the first message
    hub_->subscribers.add(port_.queue(), record.channel);
    if (hub_->left) hub_->left->offer(record.channel);
  } else {
    hub_->subscribers.remove(port_.queue().get());
  }
}

}  // namespace

asio::awaitable<void> serve_stream(std::shared_ptr<Hub> hub, SessionEntry& entry, Stream stream,
                                   Upgrade upgrade) {
  const auto executor = stream.get_executor();
  const auto session =
      std::make_shared<StreamSession>(std::move(hub), entry, std::move(stream), upgrade.lines);
  entry.set_end([session] { session->end(); });
  if (co_await session->accept(upgrade)) {
    asio::co_spawn(
        executor, [session]() -> asio::awaitable<void> { co_await session->write(); },
        asio::detached);
    asio::co_spawn(
        executor, [session]() -> asio::awaitable<void> { co_await session->watch(); },
        asio::detached);
    co_await session->read();
    co_await session->wait_for_writer();
  }
  entry.set_end([] {});
}

}  // namespace qudag::api
