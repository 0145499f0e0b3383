// A connection: 1 read a header, 2 find the view, 3 answer with the text that is kept or new, 4
// again, until the watcher goes or is slow.
#include "api/server/view/monitor.h"

#include "api/server/render.h"
#include "api/server/view/watcher_views.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>

namespace qudag::api {

namespace http = beast::http;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
using WatcherStream = beast::basic_stream<asio::generic::stream_protocol>;
using SharedText = std::shared_ptr<const std::string>;

}  // namespace

// ---- Texts --------------------------------------------------------------------------------------

class KeptText {
 public:
  KeptText(const View& view, asio::io_context& io)
      : view_(view), made_(io, asio::steady_timer::time_point::max()) {}

  const View& view() const { return view_; }

  /// Null: the shards did not answer.
  asio::awaitable<SharedText> text(Hub& hub, const bool& ended) {
    if (making_) {
      co_await made_.async_wait(kTuple);
      co_return text_;
    }
    if (text_ && std::chrono::steady_clock::now() - at_ < kTextKept) co_return text_;
    making_ = true;
    at_ = std::chrono::steady_clock::now();
    std::optional<std::string> fresh = co_await view_.page.text(hub, ended);
    text_ = fresh ? std::make_shared<const std::string>(std::move(*fresh)) : nullptr;
    making_ = false;
    made_.cancel();
    co_return text_;
  }

 private:
  const View& view_;
  SharedText text_;
  std::chrono::steady_clock::time_point at_;
  bool making_ = false;
  asio::steady_timer made_;
};

// ---- Serving ------------------------------------------------------------------------------------

namespace {

using Texts = std::vector<std::unique_ptr<KeptText>>;

struct Asked {
  KeptText* text = nullptr;  // null: `status` is the answer
  http::status status = http::status::ok;
  std::string_view why;
};

class Watcher {
 public:
  Watcher(std::shared_ptr<Hub> hub, std::shared_ptr<Texts> texts, bool is_unix,
          WatcherStream stream)
      : hub_(std::move(hub)),
        texts_(std::move(texts)),
        is_unix_(is_unix),
        stream_(std::move(stream)),
        at_(hub_->sessions.insert(hub_->sessions.end(),
                                  [this] {
                                    ended_ = true;
                                    stream_.close();
                                  })),
        in_(kWatcherHeaderBytesMax) {}
  ~Watcher() { hub_->sessions.erase(at_); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  asio::awaitable<void> run() {
    bool more = true;
    while (more && !ended_ && !hub_->ending) more = co_await one_request();
    beast::error_code ignored;
    stream_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  }

 private:
  using Parser = http::request_parser<http::empty_body>;

  asio::awaitable<bool> one_request();
  Asked find(const http::request<http::empty_body>& request) const;
  asio::awaitable<bool> answer(const Asked& asked, SharedText text, bool head, bool keep_alive);

  std::shared_ptr<Hub> hub_;
  std::shared_ptr<Texts> texts_;
  const bool is_unix_;
  WatcherStream stream_;
  std::list<std::function<void()>>::iterator at_;
  beast::flat_buffer in_;
  bool ended_ = false;
};

asio::awaitable<bool> Watcher::one_request() {
  Parser parser;
  parser.header_limit(kWatcherHeaderBytesMax);
  stream_.expires_after(kWatcherPatience);
  const auto [ec, bytes] = co_await http::async_read_header(stream_, in_, parser, kTuple);
  if (ec == http::error::end_of_stream || ec == beast::error::timeout ||
      (ec && ec.category() == asio::error::get_system_category())) {
    co_return false;
  }
  ++hub_->stats.monitor_requests;
  if (ec) {
    co_return co_await answer({nullptr, http::status::bad_request, "this is not HTTP/1.1"}, {},
                              false, false);
  }
  const auto& request = parser.get();
  const bool head = request.method() == http::verb::head;
  const bool keep_alive = parser.is_done() && parser.keep_alive();
  const Asked asked = find(request);
  SharedText text;
  if (asked.text != nullptr) {
    stream_.expires_never();
    text = co_await asked.text->text(*hub_, ended_);
  }
  co_return co_await answer(asked, std::move(text), head, keep_alive);
}

Asked Watcher::find(const http::request<http::empty_body>& request) const {
  const auto text_of = [&](http::field field) {
    const auto value = request[field];
    return std::string_view(value.data(), value.size());
  };
  if (!is_unix_ && !is_host_of_loopback(text_of(http::field::host))) {
    return {nullptr, http::status::forbidden, "the Host of a request must be of loopback"};
  }
  const std::string_view path(request.target().data(), request.target().size());
  const std::string_view accept = text_of(http::field::accept);
  for (const std::unique_ptr<KeptText>& text : *texts_) {
    const View& view = text->view();
    if (view.page.path != path || (view.unix_only && !is_unix_)) continue;
    if (!view.accept.empty() && !accept.contains(view.accept)) continue;
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      return {nullptr, http::status::method_not_allowed, "this can only be read: GET"};
    }
    return {text.get(), http::status::ok, {}};
  }
  return {nullptr, http::status::not_found, "no such page here; docs/reference/api.md lists them"};
}

asio::awaitable<bool> Watcher::answer(const Asked& asked, SharedText text, bool head,
                                      bool keep_alive) {
  http::status status = asked.status;
  std::string_view type = "application/json";
  if (asked.text != nullptr && text) {
    const View& view = asked.text->view();
    type = view.page.type;
    if (!view.good.empty() && *text != view.good) status = http::status::service_unavailable;
  } else if (asked.text != nullptr) {
    status = http::status::service_unavailable;
    text = std::make_shared<const std::string>(
        error_json(Error(Errc::timed_out, "the shards do not answer")));
  } else {
    text = std::make_shared<const std::string>(
        error_json(Error(Errc::unsupported, std::string(asked.why))));
  }
  http::response<http::span_body<const char>> response(status, 11);
  response.set(http::field::server, "qudag");
  response.set(http::field::content_type, beast::string_view(type.data(), type.size()));
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  if (status == http::status::method_not_allowed) response.set(http::field::allow, "GET, HEAD");
  response.keep_alive(keep_alive);
  response.content_length(text->size());
  if (!head) response.body() = {text->data(), text->size()};
  stream_.expires_after(kWatcherPatience);  // for all of it
  const auto [ec, bytes] = co_await http::async_write(stream_, response, kTuple);
  if (ec == beast::error::timeout) ++hub_->stats.monitor_slow;
  co_return !ec && keep_alive;
}

}  // namespace

// ---- Listening ----------------------------------------------------------------------------------

Monitor::Monitor(std::shared_ptr<Hub> hub, asio::io_context& io)
    : hub_(std::move(hub)), io_(io), texts_(std::make_shared<Texts>()) {
  for (const View& view : views()) texts_->push_back(std::make_unique<KeptText>(view, io));
}

Monitor::~Monitor() = default;

Status Monitor::open() {
  if (hub_->options.metrics) {
    if (Status opened = open_tcp(); !opened) return opened;
  }
  return hub_->options.monitor_socket.empty() ? Status() : open_unix();
}

Status Monitor::open_tcp() {
  SocketAddress at = *hub_->options.metrics;
  Result<LoopbackAcceptor> acceptor = listen_on_loopback(io_, at, kWatchersMax, "metrics.listen");
  if (!acceptor) return std::unexpected(acceptor.error());
  tcp_ = std::make_shared<Place>(std::move(*acceptor), false);
  metrics_ = at;
  asio::co_spawn(io_, accept(tcp_), asio::detached);
  return {};
}

Status Monitor::open_unix() {
  Result<Listening> file = listen_on(hub_->options.monitor_socket, hub_->options.monitor_mode);
  if (!file) {
    return fail(file.error().code, "api.monitor_socket: " + file.error().detail);
  }
  file_ = std::move(*file);
  unix_ = std::make_shared<Place>(LoopbackAcceptor(io_), true);
  boost::system::error_code ec;
  unix_->acceptor.assign(asio::generic::stream_protocol(AF_UNIX, 0), file_.fd(), ec);
  if (ec) return fail(Errc::io_error, "api.monitor_socket: " + ec.message());
  static_cast<void>(file_.release());
  asio::co_spawn(io_, accept(unix_), asio::detached);
  return {};
}

void Monitor::close() {
  boost::system::error_code ignored;
  for (const auto& place : {tcp_, unix_}) {
    if (place) place->acceptor.close(ignored);
  }
  file_.remove_file();
}

/// Takes connections until the acceptor is closed. This may be gone by then.
asio::awaitable<void> Monitor::accept(std::shared_ptr<Place> place) {
  const std::shared_ptr<Hub> hub = hub_;
  const SharedTexts texts = texts_;
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    auto socket = co_await next_connection(place->acceptor);
    if (!socket) co_return;
    const bool strange =
        place->is_unix && !check_client(socket->native_handle(), hub->options.monitor_mode);
    if (place->open >= kWatchersMax || strange) {
      ++hub->stats.monitor_refused;
      continue;  // the socket closes here
    }
    ++place->open;
    ++hub->stats.monitor_open;
    asio::co_spawn(executor, serve(hub, texts, place, std::move(*socket)), asio::detached);
  }
}

asio::awaitable<void> Monitor::serve(std::shared_ptr<Hub> hub, SharedTexts texts,
                                     std::shared_ptr<Place> place,
                                     asio::generic::stream_protocol::socket socket) {
  {
    Watcher watcher(hub, std::move(texts), place->is_unix, WatcherStream(std::move(socket)));
    co_await watcher.run();
  }
  --place->open;
  --hub->stats.monitor_open;
}

}  // namespace qudag::api
