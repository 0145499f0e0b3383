#include "api/server/server.h"

#include "api/server/hub.h"
#include "api/server/render.h"
#include "api/server/request.h"
#include "api/server/view/monitor.h"
#include "api/server/view/web.h"
#include "api/server/view/web_gate.h"
#include "api/socket/listen.h"
#include "api/socket/place.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <future>
#include <thread>

namespace qudag::api {
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kFlushPatience{200};

/// The whole answer to somebody who may not ask.
std::string refusal_of(const Error& error) {
  const std::string body = error_json(error) + "\n";
  return fmt::format(
      "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      body.size(), body);
}

}  // namespace

void Hub::report(std::vector<QueueStatus>& rows) const {
  QueueStatus open;
  open.kind = QueueKind::table;
  open.name = "connections of the API";
  open.when_full = "close new";
  open.items = stats.connections_open;
  open.items_max = options.connections;
  rows.push_back(std::move(open));

  QueueStatus watchers;
  watchers.kind = QueueKind::table;
  watchers.name = "connections of watchers";
  watchers.when_full = "close new";
  watchers.items = stats.monitor_open;
  watchers.items_max =
      (options.metrics ? kWatchersMax : 0) + (options.monitor_socket.empty() ? 0 : kWatchersMax);
  if (watchers.items_max > 0) rows.push_back(std::move(watchers));

  QueueStatus pages;
  pages.kind = QueueKind::table;
  pages.name = "connections of the web page";
  pages.when_full = "close oldest without the token";
  pages.items = stats.web_open;
  pages.items_max = kWebConnectionsMax;
  if (options.web) rows.push_back(std::move(pages));

  QueueStatus sent;
  sent.kind = QueueKind::table;
  sent.name = "messages of clients, under way";
  sent.when_full = "refuse new";
  sent.items = under_way.size();
  sent.items_max = options.connections * options.outstanding;
  rows.push_back(std::move(sent));

  QueueStatus waiting;
  waiting.kind = QueueKind::queue;
  waiting.name = "messages to clients";
  waiting.when_full = "refuse new";
  waiting.age_max = options.stall_max;
  for (SubscriberQueue* queue : outboxes) queue->add_to(waiting);
  if (!outboxes.empty()) rows.push_back(std::move(waiting));
  if (left) left->report(rows);
}

Status Hub::cancel(const MessageId& id) {
  const auto at = under_way.find(id);
  if (at == under_way.end()) {
    return fail(
        Errc::not_found,
        "no message with this id is under way: it has its outcome, was cancelled before, or "
        "was not sent over an open connection to this API");
  }
  Status told = node.cancel(id);
  if (told) under_way.erase(at);
  return told;
}

Result<NodeId> Hub::node_named(std::string_view text) const {
  if (gateway == nullptr) {
    const auto id = NodeId::parse(text);
    return id ? *id : Result<NodeId>(fail(Errc::not_found, "this program knows no names"));
  }
  const auto known = gateway->node_named(text);
  if (!known) {
    return fail(Errc::not_found, "there is no contact of this name; qudag contact list shows all");
  }
  return *known;
}

Status Hub::acknowledge(const AcknowledgeMessage& request) {
  const auto at = hands.find(request.token.hand);
  const bool there =
      at != hands.end() &&
      at->second->answer({.token = request.token.message,
                          .answer = request.answer,
                          .delay = request.delay.value_or(std::chrono::milliseconds(0))});
  if (there) {
    at->second->free_places();
    return {};
  }
  return fail(Errc::not_found,
              "no message with this token is in hand: it was acknowledged before, or the "
              "connection that it was given to has ended, and it goes to the next one");
}

MessageHandler Hub::offer() {
  return [hub = shared_from_this()](Message&& message) {
    const Accept answer = hub->subscribers.offer(message);
    if (answer != Accept::taken && answer != Accept::later) ++hub->stats.messages_refused;
    return answer;
  };
}

struct Server::Impl {
  Impl(Node& node, config::ApiOptions options, gateway::Gateway* gateway, Control control)
      : hub(std::make_shared<Hub>(node, std::move(options), gateway, std::move(control))),
        monitor(hub, io),
        web(hub, io),
        acceptor(io) {
    hub->left.emplace(*hub, io.get_executor());
  }

  asio::awaitable<void> accept();
  template <class F>
  void on_thread(F task);

  bool admit(asio::local::stream_protocol::socket& socket);

  std::shared_ptr<Hub> hub;
  Listening listening;  // the file; the acceptor has the descriptor
  asio::io_context io{1};
  Monitor monitor;
  Web web;
  asio::local::stream_protocol::acceptor acceptor;
  std::thread thread;
  bool stopped = false;
};

/// Takes connections until the acceptor is closed.
asio::awaitable<void> Server::Impl::accept() {
  asio::steady_timer pause(io);
  for (;;) {
    auto [ec, socket] = co_await acceptor.async_accept(kTuple);
    if (ec == asio::error::operation_aborted || !acceptor.is_open()) co_return;
    if (ec) {  // out of descriptors: those that wait stay in the backlog
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(kTuple);
      continue;
    }
    if (hub->stats.connections_open >= hub->options.connections) {
      ++hub->stats.connections_refused;
      continue;  // the socket closes here
    }
    if (!admit(socket)) continue;
    Stream stream{asio::generic::stream_protocol::socket(std::move(socket))};
    asio::co_spawn(io, serve_http(hub, std::move(stream)), asio::detached);
  }
}

/// The file's mode is the first lock; this is the second, for where that one was changed or the
/// file system has none.
bool Server::Impl::admit(asio::local::stream_protocol::socket& socket) {
  const Status allowed = check_client(socket.native_handle(), hub->options.mode);
  if (allowed) return true;
  ++hub->stats.connections_refused;
  const std::string answer = refusal_of(allowed.error());
  // What does not fit the buffer of a new socket at once is not worth a wait.
  static_cast<void>(
      ::send(socket.native_handle(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  return false;
}

/// Runs `task` on the API thread and waits for it.
template <class F>
void Server::Impl::on_thread(F task) {
  std::promise<void> done;
  asio::post(io, [&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

Result<std::unique_ptr<Server>> Server::start(Node& node, config::ApiOptions options,
                                              gateway::Gateway* gateway, Control control) {
  if (options.socket.empty()) {
    if (Status made = make_default_folder(); !made) return std::unexpected(made.error());
    auto place = default_socket();
    if (!place) return std::unexpected(place.error());
    options.socket = std::move(*place);
  }
  Result<Listening> listening = listen_on(options.socket, options.mode);
  if (!listening) return std::unexpected(listening.error());

  auto impl = std::make_unique<Impl>(node, std::move(options), gateway, std::move(control));
  impl->listening = std::move(*listening);
  boost::system::error_code ec;
  impl->acceptor.assign(asio::local::stream_protocol(), impl->listening.fd(), ec);
  if (ec) return fail(Errc::io_error, "api.socket: " + ec.message());
  static_cast<void>(impl->listening.release());
  Status opened = impl->monitor.open();
  if (opened) opened = impl->web.open();
  if (!opened) {
    impl->listening.remove_file();
    impl->hub->left.reset();
    return std::unexpected(opened.error());
  }
  asio::co_spawn(impl->io, impl->accept(), asio::detached);
  // A channel has a handler while somebody listens there: before and after, its messages are kept
  // in the node's inbox or refused without us.
  impl->hub->subscribers.on_channel(
      [&node, hub = impl->hub.get()](ChannelNumber channel, bool wanted) {
        node.on_message(channel, wanted ? hub->offer() : MessageHandler());
      });
  impl->thread = std::thread([io = &impl->io] { io->run(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

const std::filesystem::path& Server::socket() const noexcept { return impl_->hub->options.socket; }

const std::optional<SocketAddress>& Server::metrics() const noexcept {
  return impl_->monitor.metrics();
}

void Server::drain() {
  if (!impl_->stopped) impl_->on_thread([this] { impl_->hub->draining = true; });
}

void Server::stop() {
  if (std::exchange(impl_->stopped, true)) return;
  Hub& hub = *impl_->hub;
  hub.node.on_message({});
  impl_->listening.remove_file();

  // Sessions get a moment to write what is queued, then each is told to end; the thread's loop runs
  // out of work when the last coroutine has returned.
  asio::steady_timer grace(impl_->io);
  impl_->on_thread([&] {
    boost::system::error_code ignored;
    hub.draining = true;
    impl_->acceptor.close(ignored);
    impl_->monitor.close();
    impl_->web.close();
    grace.expires_after(hub.sessions.empty() ? std::chrono::milliseconds(0) : kFlushPatience);
    grace.async_wait([&hub](boost::system::error_code) {
      hub.ending = true;
      hub.left->end();
      const auto sessions = hub.sessions;  // ending one takes it off the list
      for (const auto& end : sessions) end();
    });
  });
  impl_->thread.join();
  hub.left.reset();  // its timer is of this loop; the node may keep the hub
}

}  // namespace qudag::api
