#include "api/server.h"

#include "api/hub.h"
#include "api/listen.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <future>
#include <thread>

namespace qudag::api {
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kFlushPatience{200};

}  // namespace

void Hub::report(std::vector<QueueStatus>& rows) const {
  QueueStatus open;
  open.kind = "table";
  open.name = "connections of the API";
  open.when_full = "close new";
  open.items = sessions.size();
  open.items_max = options.connections;
  rows.push_back(std::move(open));

  QueueStatus waiting;
  waiting.kind = "queue";
  waiting.name = "messages to clients";
  waiting.when_full = "refuse new";
  waiting.age_max = options.stall_max;
  for (Outbox* outbox : outboxes) outbox->add_to(waiting);
  if (!outboxes.empty()) rows.push_back(std::move(waiting));
}

struct Server::Impl {
  Impl(Node& node, ApiOptions options)
      : hub(std::make_shared<Hub>(node, std::move(options))), acceptor(io) {}

  asio::awaitable<void> accept();
  template <class F>
  void on_thread(F task);

  std::shared_ptr<Hub> hub;
  asio::io_context io{1};
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
    if (hub->sessions.size() >= hub->options.connections) {
      hub->counters.add(ApiMetric::connections_refused);
      continue;  // the socket closes here
    }
    Stream stream(std::move(socket));
    asio::co_spawn(io, serve_http(hub, std::move(stream)), asio::detached);
  }
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

Result<std::unique_ptr<Server>> Server::start(Node& node, ApiOptions options) {
  if (options.socket.empty()) options.socket = default_socket();
  const Result<int> fd = listen_on(options.socket, options.mode);
  if (!fd) return std::unexpected(fd.error());

  auto impl = std::make_unique<Impl>(node, std::move(options));
  boost::system::error_code ec;
  impl->acceptor.assign(asio::local::stream_protocol(), *fd, ec);
  if (ec) return fail(Errc::io_error, "api.socket: " + ec.message());
  asio::co_spawn(impl->io, impl->accept(), asio::detached);
  node.on_message([hub = impl->hub](Message&& message) {
    const Accept answer = hub->subscribers.offer(std::move(message));
    if (answer != Accept::taken) hub->counters.add(ApiMetric::messages_refused);
    return answer;
  });
  impl->thread = std::thread([io = &impl->io] { io->run(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

const std::filesystem::path& Server::socket() const noexcept { return impl_->hub->options.socket; }

void Server::drain() {
  if (!impl_->stopped) impl_->on_thread([this] { impl_->hub->draining = true; });
}

void Server::stop() {
  if (std::exchange(impl_->stopped, true)) return;
  Hub& hub = *impl_->hub;
  hub.node.on_message({});
  std::error_code no_throw;
  std::filesystem::remove(hub.options.socket, no_throw);

  // Sessions get a moment to write what is queued, then each is told to end; the thread's loop runs
  // out of work when the last coroutine has returned.
  asio::steady_timer grace(impl_->io);
  impl_->on_thread([&] {
    boost::system::error_code ignored;
    hub.draining = true;
    impl_->acceptor.close(ignored);
    grace.expires_after(hub.sessions.empty() ? std::chrono::milliseconds(0) : kFlushPatience);
    grace.async_wait([&hub](boost::system::error_code) {
      hub.ending = true;
      const auto sessions = hub.sessions;  // ending one takes it off the list
      for (const auto& end : sessions) end();
    });
  });
  impl_->thread.join();
}

}  // namespace qudag::api
