// What all sessions of one API server share, and how a session is told to end.
//
// Threads: the API thread, except `subscribers` (see its own rules) and `stats.messages_refused`.
// Owners (shared_ptr): the server, every session, and the node's message handler.
#pragma once

#include "api/server/control.h"
#include "api/server/hand.h"
#include "api/server/left.h"
#include "api/server/request.h"
#include "api/server/subscriber_queue.h"
#include "base/time_histogram.h"
#include "crypto/random.h"
#include "gateway/gateway.h"
#include "telemetry/page.h"

#include <qudag/node.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>

#include <array>
#include <atomic>
#include <iterator>
#include <list>
#include <unordered_map>
#include <unordered_set>

namespace qudag::api {

namespace asio = boost::asio;
namespace beast = boost::beast;

/// What the server counts.
struct ApiStats {
  std::uint64_t connections_open = 0, connections_refused = 0;
  std::uint64_t requests = 0, requests_malformed = 0;
  std::uint64_t records = 0, records_malformed = 0;
  std::uint64_t messages_out = 0;
  std::atomic<std::uint64_t> messages_refused{0};  // on the shards' threads, the rest on the API's
  std::uint64_t pauses = 0;
  std::uint64_t monitor_open = 0, monitor_requests = 0, monitor_refused = 0, monitor_slow = 0;
  std::uint64_t web_open = 0, web_requests = 0, web_refused = 0, web_turned_away = 0;
  std::array<TimeHistogram, std::size(kAnsweredRequests)> took;  // requests, by kind
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::no_label;

inline constexpr telemetry::Metric<ApiStats> kApi[] = {
    {{"qudag_api_connections_open", "Connections to the local API that are open.", Kind::gauge},
     no_label,
     &ApiStats::connections_open},
    {{"qudag_api_connections_refused_total",
      "Connections that were closed at once because api.connections were open."},
     no_label,
     &ApiStats::connections_refused},
    {{"qudag_api_requests_total", "HTTP requests."}, no_label, &ApiStats::requests},
    {{"qudag_api_request_seconds",
      "Time from the header of an HTTP request to the end of its answer; of sends and replies "
      "until the outcome.",
      Kind::seconds},
     each("request", kAnsweredRequests),
     [](const ApiStats& s, std::size_t i) -> const TimeHistogram& { return s.took[i]; }},
    {{"qudag_api_requests_malformed_total", "HTTP requests that were not understood."},
     no_label,
     &ApiStats::requests_malformed},
    {{"qudag_api_records_total", "Records that clients sent over WebSockets."},
     no_label,
     &ApiStats::records},
    {{"qudag_api_records_malformed_total",
      "WebSocket messages with a record that was not understood."},
     no_label,
     &ApiStats::records_malformed},
    {{"qudag_api_messages_out_total", "Received messages that were written to a subscriber."},
     no_label,
     &ApiStats::messages_out},
    {{"qudag_api_messages_refused_total",
      "Received messages that were refused because no subscriber had room."},
     no_label,
     [](const ApiStats& stats) { return static_cast<double>(stats.messages_refused.load()); }},
    {{"qudag_api_pauses_total",
      "Times that a client was not read because api.outstanding of its sends had no outcome."},
     no_label,
     &ApiStats::pauses},
    {{"qudag_monitor_connections_open", "Connections of watchers that are open.", Kind::gauge},
     no_label,
     &ApiStats::monitor_open},
    {{"qudag_monitor_requests_total", "Requests of watchers (metrics.listen, api.monitor_socket)."},
     no_label,
     &ApiStats::monitor_requests},
    {{"qudag_monitor_refused_total",
      "Connections of watchers that were closed at once: too many, or of a user who may not."},
     no_label,
     &ApiStats::monitor_refused},
    {{"qudag_monitor_slow_total",
      "Connections of watchers that were ended because they read slowly."},
     no_label,
     &ApiStats::monitor_slow},
    {{"qudag_web_connections_open", "Connections to the web page that are open.", Kind::gauge},
     no_label,
     &ApiStats::web_open},
    {{"qudag_web_requests_total", "Requests at the port of the web page (web.listen)."},
     no_label,
     &ApiStats::web_requests},
    {{"qudag_web_refused_total",
      "Connections to the web page that came when so many were open that one had to end."},
     no_label,
     &ApiStats::web_refused},
    {{"qudag_web_turned_away_total",
      "Requests at that port without the token, from another page, or for what is not there."},
     no_label,
     &ApiStats::web_turned_away},
};
static_assert(telemetry::valid(kApi));

}  // namespace metrics

struct AcknowledgeMessage;

struct Hub : std::enable_shared_from_this<Hub> {
  Hub(Node& n, config::ApiOptions o, gateway::Gateway* g, Control c = {})
      : node(n), gateway(g), control(std::move(c)), options(std::move(o)) {}

  Node& node;
  gateway::Gateway* const gateway;  // null: this program has none
  const Control control;            // the same, if its functions are empty
  const config::ApiOptions options;
  Subscribers subscribers;
  ApiStats stats;
  std::string web_url;                             // with its token; empty: there is no page
  bool draining = false;                           // no new sends
  bool ending = false;                             // every session has been told to end
  std::list<std::function<void()>> sessions;       // how to end each
  std::list<SubscriberQueue*> outboxes;            // open ones
  std::optional<Left> left;                        // while the API thread runs
  std::unordered_map<std::uint64_t, Hand*> hands;  // of open connections, by number

  /// Messages that came over this API whose outcome their session has not taken yet: at most one of
  /// an HTTP connection, api.outstanding of a WebSocket.
  std::unordered_set<MessageId> under_way;
  /// Has the node end one of these, each once. not_found for any other; else as Node::cancel().
  Status cancel(const MessageId& id);
  /// What the client of a GET says of a message in hand; not_found if it is not.
  Status acknowledge(const AcknowledgeMessage& request);

  /// An id, or a name that the gateway knows; not_found.
  Result<NodeId> node_named(std::string_view text) const;

  /// A handler of the node's that gives messages to subscribers.
  MessageHandler offer();
  /// What the API adds to the node's bounded things.
  void report(std::vector<QueueStatus>& rows) const;
};

/// Keeps a session in the hub's list while it runs, and its isolation tag: what clients send over
/// different connections shares no circuit, unless they name a tag.
class SessionEntry {
 public:
  /// `open` counts those of its kind.
  SessionEntry(Hub& hub, std::function<void()> end, std::uint64_t& open)
      : hub_(hub),
        open_(open),
        at_(hub.sessions.insert(hub.sessions.end(), std::move(end))),
        isolation_(crypto::SystemRng().u64() | 1) {
    ++open_;
  }
  ~SessionEntry() {
    --open_;
    hub_.sessions.erase(at_);
  }
  SessionEntry(const SessionEntry&) = delete;
  SessionEntry& operator=(const SessionEntry&) = delete;
  void set_end(std::function<void()> end) { *at_ = std::move(end); }
  /// With the connection's tag where the client named none (0).
  SendOptions isolated(SendOptions options) const {
    if (options.isolation == 0) options.isolation = isolation_;
    return options;
  }
  PipeOptions isolated(PipeOptions options) const {
    if (options.isolation == 0) options.isolation = isolation_;
    return options;
  }

 private:
  Hub& hub_;
  std::uint64_t& open_;  // of the hub
  std::list<std::function<void()>>::iterator at_;
  const std::uint64_t isolation_;  // not to be guessed, so that nobody else names it
};

/// An queue with the timer that its wake-ups cancel. Lives in the session's coroutine frame.
class SubscriberPort {
 public:
  SubscriberPort(Hub& hub, asio::any_io_executor executor, ClientKind kind)
      : hub_(hub), signal_(executor), queue_(std::make_shared<SubscriberQueue>(hub.options, kind)) {
    queue_->open(std::move(executor), [this] { signal_.cancel(); });
    at_ = hub_.outboxes.insert(hub_.outboxes.end(), queue_.get());
  }
  ~SubscriberPort() {
    hub_.outboxes.erase(at_);
    hub_.subscribers.remove(queue_.get());
    for (Message& message : queue_->close()) {
      if (hub_.left) hub_.left->put(std::make_shared<Message>(std::move(message)), {});
    }
  }
  SubscriberPort(const SubscriberPort&) = delete;
  SubscriberPort& operator=(const SubscriberPort&) = delete;

  const std::shared_ptr<SubscriberQueue>& queue() const { return queue_; }
  /// Ends the wait of whoever waits, for good.
  void end() {
    ended_ = true;
    signal_.cancel();
  }
  bool ended() const { return ended_; }
  /// Returns with at least one item, or with none after end().
  asio::awaitable<void> wait(OutItems& items);

 private:
  Hub& hub_;
  asio::steady_timer signal_;
  std::shared_ptr<SubscriberQueue> queue_;
  std::list<SubscriberQueue*>::iterator at_;
  bool ended_ = false;
};

/// Of the Unix socket, or of a TCP port of loopback.
using Stream = beast::basic_stream<asio::generic::stream_protocol>;

/// An outcome for a send that was refused at once.
Delivery refused_delivery(const Error& error);

struct WebVisit;

/// Serves one connection until it ends: http_session.cc. With a visit, which outlives it, it is one
/// of the web page.
asio::awaitable<void> serve_http(std::shared_ptr<Hub> hub, Stream stream,
                                 WebVisit* visit = nullptr);

/// Serves an upgraded connection until it ends: stream_session.cc.
struct Upgrade;  // of stream_session.cc: the request and the bytes read with it
asio::awaitable<void> serve_stream(std::shared_ptr<Hub> hub, SessionEntry& entry, Stream stream,
                                   Upgrade upgrade);

}  // namespace qudag::api
