// What all connections of one gateway share, and how each is told to end.
//
// Threads: the gateway's, but for what says otherwise. Owners (shared_ptr): the gateway, its
// listeners and every connection.
#pragma once

#include "gateway/contact_book.h"
#include "gateway/names.h"
#include "gateway/services.h"
#include "gateway/socks_request.h"
#include "gateway/splice.h"
#include "telemetry/metric.h"

#include <qudag/node.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string_view>

namespace qudag::gateway {

inline constexpr std::string_view kVerdicts[] = {"open",      "failed",   "not_allowed",
                                                 "malformed", "no_route", "unreachable",
                                                 "refused",   "too_slow", "no_room"};
inline constexpr std::string_view kOffered[] = {"open",          "no_such_service", "refused",
                                                "not_reachable", "too_slow",        "no_room"};

/// What the gateway counts; read by any thread.
struct GatewayStats {
  std::atomic<std::uint64_t> connections{0}, connections_refused{0}, broken_requests{0};
  std::array<std::atomic<std::uint64_t>, std::size(kVerdicts)> requests{};
  std::array<std::atomic<std::uint64_t>, std::size(kOffered)> offers{};
};

struct Hub : std::enable_shared_from_this<Hub> {
  /// Connections to services that are not yet open.
  static constexpr std::size_t kConnectsMax = 128;
  /// For a service of this machine to take a connection: less than the opener waits.
  static constexpr std::chrono::seconds kConnectPatience{9};

  Hub(Node& n, const config::GatewayOptions& options)
      : node(n),
        contacts(n, options.names, options.contacts_file,
                 [this](std::function<void(ContactBook&)> task) {
                   asio::post(io, [weak = weak_from_this(), task = std::move(task)] {
                     if (const auto hub = weak.lock()) task(hub->contacts);
                   });
                 }),
        connections_max(options.connections),
        request_patience(options.request_patience) {}

  Node& node;
  ContactBook contacts;  // any thread
  const std::size_t connections_max;
  const std::chrono::milliseconds request_patience;
  Services services;   // any thread
  GatewayStats stats;  // any thread
  asio::io_context io{1};
  Scratch scratch;
  std::size_t connects = 0;                   // under way
  std::size_t programs = 0;                   // connections of programs
  bool ending = false;                        // every connection has been told to end
  std::list<std::function<void()>> sessions;  // how to end each
};

/// Keeps a connection in the hub's list while it runs.
class SessionEntry {
 public:
  explicit SessionEntry(Hub& hub) : hub_(hub), at_(hub.sessions.emplace(hub.sessions.end())) {}
  ~SessionEntry() { hub_.sessions.erase(at_); }
  SessionEntry(const SessionEntry&) = delete;
  SessionEntry& operator=(const SessionEntry&) = delete;
  void set_end(std::function<void()> end) { *at_ = std::move(end); }

 private:
  Hub& hub_;
  std::list<std::function<void()>>::iterator at_;
};

/// Counts one, for as long as it lives.
class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::size_t& count_;
};

/// Calls `late` after `patience`, unless this has ended by then.
class Deadline {
 public:
  Deadline(asio::io_context& io, std::chrono::milliseconds patience, std::function<void()> late)
      : late_(std::make_shared<std::function<void()>>(std::move(late))), timer_(io, patience) {
    timer_.async_wait([late = std::weak_ptr(late_)](const boost::system::error_code& ec) {
      if (const auto call = late.lock(); call && !ec) (*call)();
    });
  }

 private:
  std::shared_ptr<std::function<void()>>
      late_;  // the one owner; the wait looks whether it is there
  asio::steady_timer timer_;
};

/// What a listener does with those who connect.
struct Entrance {
  Priority priority = Priority::normal;
  unsigned relays = kRelaysDefault;
  std::string secret;            ///< of the listener: two listeners never share a circuit
  std::optional<Target> target;  ///< where all go; nothing: who connects says, by SOCKS or HTTP
};

/// A program's connection, until it ends: socks_session.cc.
asio::awaitable<void> serve_program(std::shared_ptr<Hub> hub, LocalSocket socket,
                                    std::shared_ptr<const Entrance> entrance);

/// A pipe that somebody opened to a service here: service_session.cc.
asio::awaitable<void> serve_offer(std::shared_ptr<Hub> hub, PipeOffer offer);

asio::generic::stream_protocol::endpoint endpoint_of(const config::LocalAddress& address);

/// What a program is told of a pipe that did not open.
Verdict verdict_of(const PipeEnd& end);
Verdict verdict_of(const Error& refusal);

}  // namespace qudag::gateway
