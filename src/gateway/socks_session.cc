// A program's connection: 1 it says where to, in time and in few bytes, 2 the name becomes a node
// and a service, or is refused without asking anybody, 3 the pipe opens, 4 the program is told,
// 5 its bytes go through.
#include "crypto/kdf.h"
#include "gateway/hub.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <utility>

namespace qudag::gateway {
namespace {

using boost::system::error_code;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

Verdict verdict_of(NameFault fault) {
  switch (fault) {
    case NameFault::outside:
      return Verdict::not_allowed;
    case NameFault::unknown:
      return Verdict::unreachable;
    case NameFault::malformed:
      break;
  }
  return Verdict::malformed;
}

/// Who gives other credentials gets other circuits. Nobody else names the tag, because the secret
/// is the listener's.
std::uint64_t isolation_of(const Entrance& entrance, const std::string& credentials) {
  const crypto::Digest digest =
      crypto::sha256({as_bytes("qudag/1 socks"), as_bytes(entrance.secret), as_bytes(credentials)});
  return load_be<std::uint64_t>(digest.data()) | 1;
}

class ProgramSession {
 public:
  ProgramSession(std::shared_ptr<Hub> hub, LocalSocket socket,
                 std::shared_ptr<const Entrance> entrance)
      : hub_(std::move(hub)),
        entry_(*hub_),
        socket_(std::move(socket)),
        entrance_(std::move(entrance)) {
    ++hub_->programs;
    hub_->stats.connections.fetch_add(1, std::memory_order_relaxed);
    entry_.set_end([this] { end(); });
  }
  ~ProgramSession() {
    --hub_->programs;
    hub_->stats.connections.fetch_sub(1, std::memory_order_relaxed);
  }
  ProgramSession(const ProgramSession&) = delete;
  ProgramSession& operator=(const ProgramSession&) = delete;

  asio::awaitable<void> run();

 private:
  void end() {
    error_code ignored;
    if (port_) port_->reset(PipeCode::stopping);
    socket_.close(ignored);
  }
  asio::awaitable<bool> read_request();
  asio::awaitable<Verdict> open();
  std::expected<Target, NameFault> target() const;
  asio::awaitable<bool> answer(Verdict verdict);
  asio::awaitable<bool> write(std::string_view text);

  std::shared_ptr<Hub> hub_;
  SessionEntry entry_;
  LocalSocket socket_;
  std::shared_ptr<const Entrance> entrance_;
  SocksRequest request_;
  std::string first_;  // what the program said behind its request
  std::shared_ptr<PipePort> port_;
};

asio::awaitable<void> ProgramSession::run() {
  if (!entrance_->target) {
    const bool asked = co_await read_request();
    if (!asked) co_return;
  }
  const Verdict verdict = co_await open();
  hub_->stats.requests[std::to_underlying(verdict)].fetch_add(1, std::memory_order_relaxed);
  if (!socket_.is_open()) {
    if (port_) port_->leave();
    co_return;
  }
  const bool told = co_await answer(verdict);
  if (verdict != Verdict::open || !told) {
    if (port_) port_->leave();
    co_return;
  }
  const auto splice = std::make_shared<Splice>(std::move(socket_), port_, hub_->scratch);
  co_await splice->run();
}

/// False: the connection ends. A program that says nothing, or a byte now and then, has so much
/// time for all of it.
asio::awaitable<bool> ProgramSession::read_request() {
  const Deadline deadline(hub_->io, hub_->request_patience, [this] {
    error_code ignored;
    socket_.close(ignored);
  });
  std::array<std::byte, SocksRequest::kStepBytesMax> bytes;
  for (;;) {
    const auto [ec, n] = co_await socket_.async_read_some(asio::buffer(bytes), kTuple);
    if (ec) break;
    const Bytes came = Bytes(bytes).first(n);
    const SocksRequest::Fed fed = request_.feed(came);
    if (!fed.reply.empty()) {
      const bool written = co_await write(fed.reply);
      if (!written) break;
    }
    if (fed.state == SocksRequest::State::refused) break;
    if (fed.state == SocksRequest::State::more) continue;
    const Bytes rest = came.subspan(fed.consumed);
    first_.assign(reinterpret_cast<const char*>(rest.data()), rest.size());
    co_return socket_.is_open();
  }
  hub_->stats.broken_requests.fetch_add(1, std::memory_order_relaxed);
  co_return false;
}

std::expected<Target, NameFault> ProgramSession::target() const {
  if (entrance_->target) return *entrance_->target;
  return parse_name(request_.name(), request_.port(), *hub_->contacts.names());
}

asio::awaitable<Verdict> ProgramSession::open() {
  const auto where = target();
  if (!where) co_return verdict_of(where.error());
  port_ = std::make_shared<PipePort>(socket_.get_executor());
  const PipeOptions options{.priority = entrance_->priority,
                            .relays = entrance_->relays,
                            .isolation = isolation_of(*entrance_, request_.credentials())};
  auto pipe =
      hub_->node.open(where->node, where->service, options, port_->events(), as_bytes(first_));
  if (!pipe) {
    port_.reset();
    co_return gateway::verdict_of(pipe.error());
  }
  port_->attach(std::move(*pipe));
  const std::optional<PipeEnd> end = co_await port_->opened();
  co_return end ? gateway::verdict_of(*end) : Verdict::open;
}

/// A program that named no target is not told in words: its connection breaks off.
asio::awaitable<bool> ProgramSession::answer(Verdict verdict) {
  if (entrance_->target) {
    if (verdict != Verdict::open) break_off(socket_);
    co_return true;
  }
  const bool told = co_await write(request_.answer(verdict));
  error_code ignored;
  if (verdict != Verdict::open) socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  co_return told;
}

asio::awaitable<bool> ProgramSession::write(std::string_view text) {
  const auto [ec, n] = co_await asio::async_write(socket_, asio::buffer(text), kTuple);
  co_return !ec;
}

}  // namespace

Verdict verdict_of(const Error& refusal) {
  switch (refusal.code) {
    case Errc::refused_queue_full:
    case Errc::refused_memory:
    case Errc::refused_overload:
      return Verdict::no_room;
    case Errc::unknown_destination:
    case Errc::unreachable:
      return Verdict::unreachable;
    case Errc::no_route:
      return Verdict::no_route;
    case Errc::timed_out:
      return Verdict::too_slow;
    default:
      return Verdict::failed;
  }
}

Verdict verdict_of(const PipeEnd& end) {
  if (end.how == PipeEnd::How::lost) return verdict_of(end.reason);
  switch (end.code) {
    case PipeCode::no_such_service:
    case PipeCode::refused:
      return Verdict::refused;
    case PipeCode::not_reachable:
      return Verdict::unreachable;
    case PipeCode::too_slow:
      return Verdict::too_slow;
    case PipeCode::no_room:
    case PipeCode::rate:
      return Verdict::no_room;
    case PipeCode::not_for_you:
      return Verdict::not_allowed;
    default:
      return Verdict::failed;
  }
}

asio::awaitable<void> serve_program(std::shared_ptr<Hub> hub, LocalSocket socket,
                                    std::shared_ptr<const Entrance> entrance) {
  ProgramSession session(std::move(hub), std::move(socket), std::move(entrance));
  co_await session.run();
}

}  // namespace qudag::gateway
