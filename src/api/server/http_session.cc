// One HTTP connection: 1 read a header, 2 parse the request line, 3 stream the body into buffers of
// the node, 4 answer, 5 again, until the client goes or asks for a WebSocket.
#include "api/records/bounds.h"
#include "api/server/hub.h"
#include "api/server/pages.h"
#include "api/server/pipe_session.h"
#include "api/server/pipe_socket.h"
#include "api/server/render.h"
#include "api/server/request.h"
#include "api/server/upgrade.h"
#include "api/server/view/web_gate.h"
#include "base/bytes.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

namespace qudag::api {
namespace {

namespace http = beast::http;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// A body of unknown length, in buffers of the node, so that every byte of it is reserved.
class BodyParts {
 public:
  explicit BodyParts(Node& node) : node_(node) {}

  /// Where the next bytes go.
  Result<MutableBytes> room() {
    if (pieces_.empty() || (at_ + 1 == pieces_.size() && used_ == pieces_[at_].size())) {
      Result<Buffer> part = node_.buffer(kPartBytes);
      if (!part) return std::unexpected(part.error());
      for (std::size_t i = 0; i < part->piece_count(); ++i) pieces_.push_back(part->piece(i));
      parts_.push_back(std::move(*part));
    }
    if (used_ == pieces_[at_].size()) {
      ++at_;
      used_ = 0;
    }
    return pieces_[at_].subspan(used_);
  }
  void filled(std::size_t bytes) {
    used_ += bytes;
    size_ += bytes;
  }
  /// One buffer of all that came.
  Result<Buffer> whole() const {
    Result<Buffer> out = node_.buffer(size_);
    std::size_t from = 0, taken = 0;  // of pieces_
    for (std::size_t i = 0; out && i < out->piece_count(); ++i) {
      for (MutableBytes to = out->piece(i); !to.empty();) {
        if (taken == pieces_[from].size()) ++from, taken = 0;
        const std::size_t n = std::min(to.size(), pieces_[from].size() - taken);
        std::memcpy(to.data(), pieces_[from].data() + taken, n);
        to = to.subspan(n);
        taken += n;
      }
    }
    return out;
  }

 private:
  static constexpr std::size_t kPartBytes = 256 * 1024;

  Node& node_;
  std::vector<Buffer> parts_;
  std::vector<MutableBytes> pieces_;  // of parts_
  std::size_t at_ = 0, used_ = 0;     // the piece that is being filled, and how much of it is
  std::size_t size_ = 0;
};

WebRequest web_request_of(const http::request<http::empty_body>& request) {
  const auto view = [](beast::string_view text) {
    return std::string_view(text.data(), text.size());
  };
  return {.method = view(request.method_string()),
          .target = view(request.target()),
          .host = view(request[http::field::host]),
          .origin = view(request[http::field::origin]),
          .token = view(request["X-Qudag"])};
}

class HttpSession {
 public:
  HttpSession(std::shared_ptr<Hub> hub, Stream stream, WebVisit* visit)
      : hub_(std::move(hub)),
        visit_(visit),
        stream_(std::move(stream)),
        entry_(
            *hub_, [this] { end(); },
            visit == nullptr ? hub_->stats.connections_open : hub_->stats.web_open),
        in_(kHeaderBytesMax + 64 * 1024) {
    if (visit_ != nullptr) visit_->end = [this] { end(); };
  }

  asio::awaitable<void> run() {
    bool more = true;
    while (more && !ended_ && !hub_->ending) more = co_await one_request();
    if (upgrade_) {
      co_await serve_stream(hub_, entry_, std::move(stream_), std::move(*upgrade_));
      co_return;
    }
    beast::error_code ignored;
    stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  }

 private:
  void end() {
    ended_ = true;
    if (port_ != nullptr) port_->end();
    stream_.close();
  }

  /// How the node gets a body: as a message, or as a reply.
  using Sender =
      std::move_only_function<Result<MessageId>(Buffer body, Completion done, Progress progress)>;

  // Each returns whether the connection may take another request.
  asio::awaitable<bool> one_request();
  asio::awaitable<bool> dispatch(Request request, HeaderParser& parser);
  asio::awaitable<bool> answer_page(const WebAnswer& page);
  void dress(http::fields& fields) const;
  asio::awaitable<bool> send_body(HeaderParser& parser, bool lines, Sender send);
  asio::awaitable<bool> cancel(MessageId id);
  asio::awaitable<bool> acknowledge(const AcknowledgeMessage& request);
  asio::awaitable<bool> open_receiver(const OpenReceiver& request);
  asio::awaitable<bool> add_contact(const AddContact& request);
  asio::awaitable<bool> remove_contact(const RemoveContact& request);
  asio::awaitable<bool> get_messages(GetMessages get);
  asio::awaitable<bool> get_page(const Page& page);
  asio::awaitable<bool> expose(const Expose& request);
  asio::awaitable<bool> forward(const Forward& request);
  asio::awaitable<bool> reload();
  asio::awaitable<bool> drain(const Drain& request);
  asio::awaitable<bool> ask_for_upgrade();
  asio::awaitable<bool> open_pipe(const OpenPipe& request, HeaderParser& parser);
  asio::awaitable<bool> hold(std::string line);
  void end_when_client_goes(std::weak_ptr<char> waits);
  asio::awaitable<bool> wait_and_answer();
  asio::awaitable<bool> wait_and_write_lines(std::optional<MessageId> id);

  asio::awaitable<bool> ask_for_body(const HeaderParser& parser);
  asio::awaitable<Result<Buffer>> read_body(HeaderParser& parser);
  asio::awaitable<Result<Buffer>> read_chunked(HeaderParser& parser);

  asio::awaitable<bool> answer(unsigned status, std::string body,
                               std::string_view type = "application/json",
                               std::string_view allow = {});
  asio::awaitable<bool> answer(const Error& error) {
    return answer(http_status_of(error.code), error_json(error));
  }
  asio::awaitable<bool> begin_lines(std::string_view type);
  asio::awaitable<bool> write_chunk(std::string text);
  asio::awaitable<bool> end_lines();

  std::shared_ptr<Hub> hub_;
  WebVisit* const visit_;  // null: a connection of the Unix socket
  Stream stream_;
  SessionEntry entry_;
  beast::flat_buffer in_;
  bool keep_alive_ = false;
  bool ended_ = false;
  SubscriberPort* port_ = nullptr;  // while a request waits for something
  std::optional<Upgrade> upgrade_;
};

asio::awaitable<bool> HttpSession::one_request() {
  HeaderParser parser;
  parser.header_limit(kHeaderBytesMax);
  parser.body_limit(kMessageBytesMax);
  stream_.expires_after(kClientPatience);
  const auto [ec, bytes] = co_await http::async_read_header(stream_, in_, parser, kTuple);
  if (ec == http::error::end_of_stream || ec == beast::error::timeout ||
      (ec && ec.category() == asio::error::get_system_category())) {
    co_return false;  // gone or silent: there is nobody to answer
  }
  ++hub_->stats.requests;
  keep_alive_ = !ec && parser.keep_alive();
  if (ec) {
    ++hub_->stats.requests_malformed;
    if (ec == http::error::body_limit) {
      co_return co_await answer(Error(Errc::too_large, "a message has at most 64 MiB"));
    }
    if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
      co_return co_await answer(431,
                                error_json(Error(Errc::too_large, "the header is over 8 KiB")));
    }
    co_return co_await answer(Error(Errc::malformed, "this is not HTTP/1.1: " + ec.message()));
  }
  if (visit_ != nullptr) {
    const WebAnswer page = visit_->gate.ask(web_request_of(parser.get()));
    ++hub_->stats.web_requests;
    if (page.what != WebAnswer::What::pass) {
      const bool head = parser.get().method() == http::verb::head;  // no body is due: the last one
      keep_alive_ = keep_alive_ && parser.is_done() && !head;
      co_return co_await answer_page(page);
    }
    visit_->has_token = true;
  }
  const auto method = parser.get().method_string();
  const auto target = parser.get().target();
  auto request = parse_request({method.data(), method.size()}, {target.data(), target.size()});
  if (!request) {
    ++hub_->stats.requests_malformed;
    keep_alive_ = keep_alive_ && parser.is_done();
    const RequestError& no = request.error();
    co_return co_await answer(no.status, error_json(no.error), "application/json", no.allow);
  }
  const auto begun = std::chrono::steady_clock::now();
  const std::size_t kind = request->index();
  const bool more = co_await dispatch(*request, parser);
  if (kind < hub_->stats.took.size()) {
    hub_->stats.took[kind].record(std::chrono::steady_clock::now() - begun);
  }
  co_return more;
}

asio::awaitable<bool> HttpSession::dispatch(Request request, HeaderParser& parser) {
  if (const auto* post = std::get_if<PostMessage>(&request)) {
    const auto to = hub_->node_named(post->to);
    if (!to) {
      keep_alive_ = keep_alive_ && parser.is_done();
      co_return co_await answer(to.error());
    }
    co_return co_await send_body(
        parser, post->progress,
        [this, post, to = *to](Buffer body, Completion done, Progress progress) {
          return hub_->node.send(to, std::move(body), entry_.isolated(post->options),
                                 std::move(done), std::move(progress));
        });
  }
  if (const auto* post = std::get_if<PostReply>(&request)) {
    co_return co_await send_body(
        parser, post->progress, [this, post](Buffer body, Completion done, Progress progress) {
          return hub_->node.reply(post->to, std::move(body), {.ttl = post->ttl}, std::move(done),
                                  std::move(progress));
        });
  }
  if (const auto* open = std::get_if<OpenPipe>(&request)) {
    co_return co_await open_pipe(*open, parser);
  }
  // A body where none belongs is not read: the connection ends after the answer.
  keep_alive_ = keep_alive_ && parser.is_done();
  if (const auto* one = std::get_if<CancelMessage>(&request)) co_return co_await cancel(one->id);
  if (const auto* one = std::get_if<AcknowledgeMessage>(&request)) {
    co_return co_await acknowledge(*one);
  }
  if (const auto* one = std::get_if<OpenReceiver>(&request)) co_return co_await open_receiver(*one);
  if (const auto* one = std::get_if<AddContact>(&request)) co_return co_await add_contact(*one);
  if (const auto* one = std::get_if<RemoveContact>(&request)) {
    co_return co_await remove_contact(*one);
  }
  if (const auto* get = std::get_if<GetMessages>(&request)) co_return co_await get_messages(*get);
  if (const auto* get = std::get_if<GetPage>(&request)) co_return co_await get_page(*get->page);
  if (const auto* one = std::get_if<Expose>(&request)) co_return co_await expose(*one);
  if (const auto* one = std::get_if<Forward>(&request)) co_return co_await forward(*one);
  if (std::holds_alternative<Reload>(request)) co_return co_await reload();
  if (const auto* one = std::get_if<Drain>(&request)) co_return co_await drain(*one);
  if (!beast::websocket::is_upgrade(parser.get())) co_return co_await ask_for_upgrade();
  upgrade_.emplace(Upgrade{parser.release(), std::get<OpenStream>(request).lines});
  co_return false;
}

/// A file of the web page, or why not.
asio::awaitable<bool> HttpSession::answer_page(const WebAnswer& page) {
  if (page.what == WebAnswer::What::refuse) ++hub_->stats.web_turned_away;
  http::response<http::span_body<const char>> response(static_cast<http::status>(page.status), 11);
  response.set(http::field::content_type, beast::string_view(page.type.data(), page.type.size()));
  dress(response);
  response.body() = {page.body.data(), page.body.size()};
  response.content_length(page.body.size());
  response.keep_alive(keep_alive_);
  stream_.expires_after(kClientPatience);
  const auto [ec, bytes] = co_await http::async_write(stream_, response, kTuple);
  co_return !ec && keep_alive_;
}

/// What a browser must know of everything that comes from the port of the web page.
void HttpSession::dress(http::fields& fields) const {
  fields.set(http::field::server, "qudag");
  if (visit_ == nullptr) return;
  fields.set(http::field::cache_control, "no-store");
  fields.set("Content-Security-Policy", beast::string_view(kWebPolicy.data(), kWebPolicy.size()));
  fields.set("Cross-Origin-Opener-Policy", "same-origin");
  fields.set("Cross-Origin-Resource-Policy", "same-origin");
  fields.set("Referrer-Policy", "no-referrer");
  fields.set("X-Content-Type-Options", "nosniff");
  fields.set("X-Frame-Options", "DENY");
}

asio::awaitable<bool> HttpSession::ask_for_upgrade() {
  return answer(426, error_json(Error(Errc::unsupported, "this route is a WebSocket")));
}

// ---- Sending ------------------------------------------------------------------------------------

/// Reads the body, gives it to the node as `send` says, and answers with the outcome.
asio::awaitable<bool> HttpSession::send_body(HeaderParser& parser, bool lines, Sender send) {
  Result<Buffer> body = co_await read_body(parser);
  if (!body) co_return co_await answer(body.error());

  SubscriberPort port(*hub_, stream_.get_executor(), ClientKind::one_send);
  port_ = &port;
  const std::shared_ptr<SubscriberQueue> queue = port.queue();
  Progress progress;
  if (lines) {
    progress = [queue, slot = std::make_shared<ProgressSlot>(0)](const SendProgress& now) {
      queue->push_progress(slot, now.bytes_done, now.bytes_all);
    };
  }
  const auto sent = send(
      std::move(*body), [queue](const Delivery& delivery) { queue->push_outcome(0, delivery); },
      std::move(progress));
  if (sent) {
    hub_->under_way.insert(*sent);
  } else {
    queue->push_outcome(0, refused_delivery(sent.error()));
  }
  const auto waits = std::make_shared<char>();  // as long as this
  end_when_client_goes(waits);
  bool more = lines ? co_await wait_and_write_lines(sent ? std::optional(*sent) : std::nullopt)
                    : co_await wait_and_answer();
  beast::error_code closed;
  stream_.socket().cancel(closed);  // nobody else waits for it now
  more = more && !closed;
  if (sent) hub_->under_way.erase(*sent);
  port_ = nullptr;
  co_return more;
}

/// A client that has closed its socket waits for no outcome: its connection ends at once, and the
/// message goes on. One that only writes nothing more (shutdown) still waits.
void HttpSession::end_when_client_goes(std::weak_ptr<char> waits) {
  stream_.socket().async_wait(asio::socket_base::wait_error,
                              [this, waits = std::move(waits)](beast::error_code error) {
                                if (!error && !waits.expired()) end();
                              });
}

/// The outcome goes to who sent the message.
asio::awaitable<bool> HttpSession::cancel(MessageId id) {
  const Status done = hub_->cancel(id);
  if (!done) co_return co_await answer(done.error());
  co_return co_await answer(204, {}, {});
}

/// Of a message that another connection of the client has in hand.
asio::awaitable<bool> HttpSession::acknowledge(const AcknowledgeMessage& request) {
  const Status done = hub_->acknowledge(request);
  if (!done) co_return co_await answer(done.error());
  co_return co_await answer(204, {}, {});
}

/// One that is open already is as good.
asio::awaitable<bool> HttpSession::open_receiver(const OpenReceiver& request) {
  const auto opened = hub_->node.open_receiver(request.options, {});
  if (!opened && opened.error() != Errc::already_exists) co_return co_await answer(opened.error());
  co_return co_await answer(204, {}, {});
}

asio::awaitable<bool> HttpSession::add_contact(const AddContact& request) {
  const Status done = hub_->gateway == nullptr
                          ? fail(Errc::unsupported, "this program keeps no contacts")
                          : hub_->gateway->contacts().add(request.name, request.text);
  if (!done) co_return co_await answer(done.error());
  co_return co_await answer(204, {}, {});
}

asio::awaitable<bool> HttpSession::remove_contact(const RemoveContact& request) {
  const Status done = hub_->gateway == nullptr
                          ? fail(Errc::unsupported, "this program keeps no contacts")
                          : hub_->gateway->contacts().remove(request.name);
  if (!done) co_return co_await answer(done.error());
  co_return co_await answer(204, {}, {});
}

/// Waits for the outcome in port_, which is the answer.
asio::awaitable<bool> HttpSession::wait_and_answer() {
  stream_.expires_never();
  OutItems items = port_->queue()->batch();
  co_await port_->wait(items);
  if (port_->ended()) co_return false;
  const Delivery& delivery = std::get<OutcomeItem>(items.front()).delivery;
  co_return co_await answer(http_status_of(delivery), outcome_json(delivery));
}

/// The answer is 200 at once, and lines follow: the id if there is one, progress, the outcome.
asio::awaitable<bool> HttpSession::wait_and_write_lines(std::optional<MessageId> id) {
  stream_.expires_never();
  if (!co_await begin_lines("application/x-ndjson")) co_return false;
  if (id && !co_await write_chunk(accepted_json(*id))) co_return false;
  OutItems items = port_->queue()->batch();
  for (;;) {
    co_await port_->wait(items);
    if (port_->ended()) co_return false;
    for (const OutItem& item : items) {
      if (const auto* outcome = std::get_if<OutcomeItem>(&item)) {
        if (!co_await write_chunk(outcome_json(outcome->delivery))) co_return false;
        co_return co_await end_lines();
      }
      ProgressSlot& slot = *std::get<std::shared_ptr<ProgressSlot>>(item);
      slot.queued.store(false);
      if (!co_await write_chunk(progress_json(slot.done.load(), slot.all.load()))) co_return false;
    }
  }
}

/// Of a client that waits to be asked.
asio::awaitable<bool> HttpSession::ask_for_body(const HeaderParser& parser) {
  if (!beast::iequals(parser.get()[http::field::expect], "100-continue")) co_return true;
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const auto [ec, n] = co_await asio::async_write(stream_, asio::buffer(kContinue), kTuple);
  co_return !ec;
}

asio::awaitable<Result<Buffer>> HttpSession::read_body(HeaderParser& parser) {
  const bool keep_alive = keep_alive_;
  keep_alive_ = false;  // until the whole body has been read
  if (hub_->draining) co_return fail(Errc::shutting_down, "the node is stopping");
  stream_.expires_after(kClientPatience);
  if (!co_await ask_for_body(parser)) co_return fail(Errc::io_error, "the client went away");
  if (parser.chunked()) {
    Result<Buffer> body = co_await read_chunked(parser);
    keep_alive_ = keep_alive && body;
    co_return body;
  }
  const auto length = parser.content_length();
  Result<Buffer> body = hub_->node.buffer(length ? static_cast<std::size_t>(*length) : 0);
  if (!body) co_return body;

  // Straight from the socket into the node's blocks, after what came along with the header.
  constexpr std::size_t kPiecesAtOnce = 256;
  std::vector<asio::mutable_buffer> pieces;
  for (std::size_t i = 0; i < body->piece_count(); ++i) {
    MutableBytes piece = body->piece(i);
    const std::size_t early = std::min(piece.size(), in_.size());
    if (early > 0) {
      std::memcpy(piece.data(), in_.data().data(), early);
      in_.consume(early);
      piece = piece.subspan(early);
    }
    if (!piece.empty()) pieces.emplace_back(piece.data(), piece.size());
    if (pieces.size() == kPiecesAtOnce || (i + 1 == body->piece_count() && !pieces.empty())) {
      stream_.expires_after(kClientPatience);
      const auto [ec, n] = co_await asio::async_read(stream_, pieces, kTuple);
      if (ec) co_return fail(Errc::malformed, "the body is shorter than its Content-Length");
      pieces.clear();
    }
  }
  keep_alive_ = keep_alive;
  co_return body;
}

/// A body of unknown length is gathered in parts first: one copy more than with a Content-Length,
/// and twice the memory for a moment.
asio::awaitable<Result<Buffer>> HttpSession::read_chunked(HeaderParser& header) {
  http::request_parser<http::buffer_body> parser(std::move(header));
  parser.body_limit(kMessageBytesMax);
  BodyParts parts(hub_->node);
  const auto whole_by = std::chrono::steady_clock::now() + kBodyPatience;
  while (!parser.is_done()) {
    const Result<MutableBytes> room = parts.room();
    if (!room) co_return std::unexpected(room.error());
    http::buffer_body::value_type& body = parser.get().body();
    body.data = room->data();
    body.size = room->size();
    stream_.expires_at(std::min(std::chrono::steady_clock::now() + kClientPatience, whole_by));
    const auto [ec, n] = co_await http::async_read_some(stream_, in_, parser, kTuple);
    parts.filled(room->size() - body.size);
    if (ec == http::error::body_limit) {
      co_return fail(Errc::too_large, "a message has at most 64 MiB");
    }
    if (ec && ec != http::error::need_buffer) {
      co_return fail(Errc::malformed, "the chunked body is broken: " + ec.message());
    }
  }
  co_return parts.whole();
}

// ---- Receiving and pages ------------------------------------------------------------------------

/// The payload alone, or a JSON line.
std::string text_of(const Message& message, bool raw) {
  if (!raw) return message_json(message);
  std::string text;
  text.reserve(message.payload.size());
  for (std::size_t i = 0; i < message.payload.piece_count(); ++i) {
    const Bytes piece = message.payload.piece(i);
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return text;
}

/// Ends when the client goes, or after `count` messages; where the client acknowledges them, after
/// the last of them was.
asio::awaitable<bool> HttpSession::get_messages(GetMessages get) {
  SubscriberPort port(*hub_, stream_.get_executor(), ClientKind::messages);
  Hand hand(*hub_, port.queue());
  port_ = &port;
  stream_.expires_never();
  if (!co_await begin_lines(get.raw ? "application/octet-stream" : "application/x-ndjson")) {
    port_ = nullptr;
    co_return false;
  }
  // The client sends nothing more: when its socket becomes readable, it has gone. Without this a
  // message would be taken for a client that is no longer there.
  stream_.socket().async_wait(asio::socket_base::wait_read,
                              [hub = hub_, queue = port.queue()](beast::error_code) {
                                hub->subscribers.remove(queue.get());
                                queue->push_outcome(0, {});
                              });
  // What is taken beyond `count` would be told `delivered` and shown to nobody.
  const std::uint64_t most = get.count == 0 ? UINT64_MAX : get.count;
  port.queue()->set_quota(most, get.acknowledge);
  std::uint64_t given = 0;
  hand.on_empty([&given, most, queue = port.queue()] {
    if (given >= most) queue->push_outcome(0, {});
  });
  hub_->subscribers.add(port.queue(), get.channel);
  if (hub_->left) hub_->left->offer(get.channel);
  OutItems items = port.queue()->batch();
  for (bool open = true; open;) {
    co_await port.wait(items);
    if (port.ended()) break;
    for (OutItem& item : items) {
      if (std::holds_alternative<OutcomeItem>(item)) open = false;  // gone or done, see above
      auto* const waiting = std::get_if<WaitingMessage>(&item);
      if (waiting == nullptr || (!open && !waiting->in_hand)) continue;
      std::string text;
      if (waiting->in_hand) {
        const Hand::Kept kept = hand.keep(std::move(waiting->message));
        if (!kept.message || !open) continue;
        text = message_json(*kept.message, HandToken{hand.number(), kept.token}.to_string());
      } else {
        text = text_of(waiting->message, get.raw);
      }
      open = text.empty() || co_await write_chunk(std::move(text));
      if (!waiting->in_hand) {
        HeldMessage written;
        written.add(waiting->message);
        port.queue()->written(written);
      }
      ++hub_->stats.messages_out;
      if (++given >= most && hand.empty()) open = false;
    }
  }
  hub_->subscribers.remove(port.queue().get());
  hand.leave();
  port_ = nullptr;
  keep_alive_ = false;
  co_return co_await end_lines();
}

asio::awaitable<bool> HttpSession::get_page(const Page& page) {
  stream_.expires_never();
  std::optional<std::string> body = co_await page.text(*hub_, ended_);
  if (!body) {
    co_return co_await answer(503, error_json(Error(Errc::timed_out, "the shards do not answer")));
  }
  co_return co_await answer(200, std::move(*body), page.type);
}

// ---- Pipes, services, forwarded ports -----------------------------------------------------------

asio::awaitable<bool> HttpSession::open_pipe(const OpenPipe& request, HeaderParser& parser) {
  keep_alive_ = false;
  if (hub_->draining) co_return co_await answer(Error(Errc::shutting_down, "the node is stopping"));
  if (request.websocket && !beast::websocket::is_upgrade(parser.get())) {
    co_return co_await ask_for_upgrade();
  }
  const Result<NodeId> to = hub_->node_named(request.to);
  if (!to) co_return co_await answer(to.error());
  const auto port = std::make_shared<gateway::PipePort>(stream_.get_executor());
  auto pipe =
      hub_->node.open(*to, request.service, entry_.isolated(request.options), port->events());
  if (!pipe) co_return co_await answer(pipe.error());
  port->attach(std::move(*pipe));
  entry_.set_end([this, weak = std::weak_ptr(port)] {
    end();
    if (const auto there = weak.lock()) there->reset(PipeCode::stopping);
  });
  stream_.expires_never();
  if (const auto refused = co_await port->opened()) {
    port->leave();
    co_return co_await answer(error_of(*refused));
  }
  if (!request.websocket && !co_await ask_for_body(parser)) {
    port->leave();
    co_return false;
  }
  entry_.set_end([weak = std::weak_ptr(port)] {
    if (const auto there = weak.lock()) there->reset(PipeCode::stopping);
  });
  if (request.websocket) {
    Upgrade upgrade{parser.release()};
    co_await serve_pipe_socket(std::move(stream_), std::move(upgrade), port);
    co_return false;
  }
  co_await serve_pipe(std::move(stream_), std::move(in_), parser, port);
  co_return false;
}

asio::awaitable<bool> HttpSession::expose(const Expose& request) {
  if (hub_->gateway == nullptr) {
    co_return co_await answer(Error(Errc::unsupported, "this program has no gateway"));
  }
  const Result<gateway::Lease> lease = hub_->gateway->expose(request.service);
  if (!lease) co_return co_await answer(lease.error());
  std::string line =
      service_json(request.service.name, request.service.to.to_string(), hub_->node.id());
  const bool kept = co_await hold(std::move(line));
  co_return kept;
}

asio::awaitable<bool> HttpSession::forward(const Forward& request) {
  if (hub_->gateway == nullptr) {
    co_return co_await answer(Error(Errc::unsupported, "this program has no gateway"));
  }
  const Result<NodeId> to = hub_->node_named(request.to);
  if (!to) co_return co_await answer(to.error());
  const auto forwarded = hub_->gateway->forward(request.listen, {*to, request.service});
  if (!forwarded) co_return co_await answer(forwarded.error());
  std::string line = forward_json(forwarded->at.to_string());
  const bool kept = co_await hold(std::move(line));
  co_return kept;
}

asio::awaitable<bool> HttpSession::reload() {
  if (!hub_->control.reload) {
    co_return co_await answer(Error(Errc::unsupported, "this program has no configuration file"));
  }
  Result<std::string> changes = hub_->control.reload();
  if (!changes) co_return co_await answer(changes.error());
  co_return co_await answer(200, std::move(*changes));
}

/// Answered before it begins; who wants to see the end of it asks for the status.
asio::awaitable<bool> HttpSession::drain(const Drain& request) {
  if (!hub_->control.drain) {
    co_return co_await answer(Error(Errc::unsupported, "this program stops by itself only"));
  }
  hub_->draining = true;
  std::string body = drain_json(request.grace);
  const bool more = co_await answer(202, std::move(body));
  hub_->control.drain(request.grace);
  co_return more;
}

/// Says that it is there, and lasts until the client goes: it has nothing more to say, so its
/// socket is readable then.
asio::awaitable<bool> HttpSession::hold(std::string line) {
  keep_alive_ = false;
  stream_.expires_never();
  // One await in a statement: GCC 12 breaks frames with several in one condition.
  const bool begun = co_await begin_lines("application/x-ndjson");
  if (!begun) co_return false;
  const bool said = co_await write_chunk(std::move(line));
  if (!said) co_return false;
  stream_.expires_never();
  co_await stream_.socket().async_wait(asio::socket_base::wait_read, kTuple);
  co_return false;
}

// ---- Writing ------------------------------------------------------------------------------------

asio::awaitable<bool> HttpSession::answer(unsigned status, std::string body, std::string_view type,
                                          std::string_view allow) {
  http::response<http::string_body> response(static_cast<http::status>(status), 11);
  if (!allow.empty()) {
    response.set(http::field::allow, beast::string_view(allow.data(), allow.size()));
  }
  dress(response);
  if (!type.empty()) {
    response.set(http::field::content_type, beast::string_view(type.data(), type.size()));
  }
  response.body() = std::move(body);
  response.keep_alive(keep_alive_);
  if (status != 204) response.prepare_payload();  // which has no Content-Length either
  stream_.expires_after(kClientPatience);
  const auto [ec, bytes] = co_await http::async_write(stream_, response, kTuple);
  co_return !ec && keep_alive_;
}

asio::awaitable<bool> HttpSession::begin_lines(std::string_view type) {
  http::response<http::empty_body> response(http::status::ok, 11);
  dress(response);
  response.set(http::field::content_type, beast::string_view(type.data(), type.size()));
  response.keep_alive(keep_alive_);
  response.chunked(true);
  http::response_serializer<http::empty_body> serializer(response);
  const auto [ec, bytes] = co_await http::async_write_header(stream_, serializer, kTuple);
  co_return !ec;
}

asio::awaitable<bool> HttpSession::write_chunk(std::string text) {
  stream_.expires_after(kClientPatience);
  const auto chunk = http::make_chunk(asio::const_buffer(text.data(), text.size()));
  const auto [ec, bytes] = co_await asio::async_write(stream_, chunk, kTuple);
  co_return !ec;
}

asio::awaitable<bool> HttpSession::end_lines() {
  const auto last = http::make_chunk_last();
  const auto [ec, bytes] = co_await asio::async_write(stream_, last, kTuple);
  co_return !ec && keep_alive_;
}

}  // namespace

asio::awaitable<void> SubscriberPort::wait(OutItems& items) {
  while (!queue_->take(items) && !ended_) {
    signal_.expires_at(asio::steady_timer::time_point::max());
    co_await signal_.async_wait(kTuple);
  }
}

Delivery refused_delivery(const Error& error) {
  const bool limit = static_cast<unsigned>(error.code) / 100 == 2;
  return {limit ? Outcome::refused : Outcome::failed, error, {}};
}

asio::awaitable<void> serve_http(std::shared_ptr<Hub> hub, Stream stream, WebVisit* visit) {
  HttpSession session(std::move(hub), std::move(stream), visit);
  co_await session.run();
}

}  // namespace qudag::api
