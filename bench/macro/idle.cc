// The measured node is a `qudag node` process, its RSS read from outside. Fixed costs (pools,
// buffers, tables) stay out by measuring twice, after the first links or circuits and after many
// more.
//
//   1 a node alone   2 links: dialers with a key each, in this process
//   3 circuits: a source and a destination in this process, one relay between them
//   4 after a burst: burst.cc
#include "machine.h"
#include "net.h"
#include "scenarios.h"

#include "common/interrupt.h"

#include "api/client/client.h"
#include "crypto/identity.h"
#include "crypto/random.h"
#include "link/endpoint.h"
#include "runtime/clock.h"
#include "runtime/udp_socket.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <atomic>
#include <thread>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Result<std::unique_ptr<Network>> start_subject(Interrupt& interrupt) {
  return Network::start({.program = node_program(),
                         .nodes = 1,
                         .shards = 1,
                         .gossip_interval = "10s",
                         .links_max = 4'000},
                        interrupt);
}

class Quiet final : public link::LinkEvents {
 public:
  void on_link_ready(link::LinkId, Now) override { ready = true; }
  void on_link_closed(link::LinkId, const Error&, Now) override { closed = true; }
  void on_control_frame(link::LinkId, std::uint8_t, Bytes, Now) override {}
  void on_stream_opened(link::StreamId, Now) override {}
  void on_stream_data(link::StreamId, std::uint64_t, Bytes, Now) override {}
  void on_stream_sent(link::StreamId, std::uint64_t, std::size_t, Now) override {}
  void on_stream_closed(link::StreamId, std::uint64_t, wire::EndCode, Now) override {}
  bool ready = false;
  bool closed = false;
};

/// One node as far as a link needs it.
class Dialer {
 public:
  static Result<std::unique_ptr<Dialer>> dial(const PeerAddress& to) {
    auto identity = crypto::Identity::generate();
    if (!identity) return std::unexpected(identity.error());
    auto socket = runtime::UdpSocket::open(
        {.bind = SocketAddress::v4(127, 0, 0, 1, 0), .buffer_bytes = 1 << 16});
    if (!socket) return std::unexpected(socket.error());
    std::unique_ptr<Dialer> out(new Dialer(std::move(*identity), std::move(*socket)));
    auto endpoint = link::Endpoint::create({.known = true}, out->identity_, out->pool_, out->rng_,
                                           out->events_, nullptr);
    if (!endpoint) return std::unexpected(endpoint.error());
    out->endpoint_ = std::move(*endpoint);
    const auto dialed =
        out->endpoint_->dial(to.id, to.at, out->socket_->local(), runtime::system_now());
    if (!dialed) return std::unexpected(dialed.error());
    return out;
  }
  void turn() {
    const Now now = runtime::system_now();
    for (auto batch = socket_->receive(); !batch.empty(); batch = socket_->receive()) {
      endpoint_->receive(batch, socket_->local(), now);
    }
    if (endpoint_->next_deadline() <= now.mono) endpoint_->on_time(now);
    endpoint_->flush(*socket_, now);
  }
  bool ready() const { return events_.ready; }
  bool closed() const { return events_.closed; }

 private:
  Dialer(crypto::Identity identity, std::unique_ptr<runtime::UdpSocket> socket)
      : identity_(std::move(identity)), socket_(std::move(socket)) {}

  crypto::Identity identity_;
  crypto::SystemRng rng_;
  memory::BlockPool pool_;
  Quiet events_;
  std::unique_ptr<runtime::UdpSocket> socket_;
  std::unique_ptr<link::Endpoint> endpoint_;
};

Result<PeerAddress> address_of(const Network& network) {
  const Network::Member& member = network.members()[0];
  return PeerAddress::parse(member.id.to_string() + "@" + member.address);
}

double per(double before, double after, std::size_t n) {
  return (after - before) / static_cast<double>(n);
}

// A circuit rests after 5 s, a shard trims every 5 s: before both have happened nothing is idle,
// and what is read depends on where in its 5 s the shard was.
constexpr std::chrono::milliseconds kSettle = 13s;

class Idle {
 public:
  Idle(const BenchArgs& args, Results& out, Interrupt& interrupt)
      : first_(args.quick ? 10 : 200),
        more_(args.quick ? 20 : 1'000),
        settle_(args.quick ? 500ms : kSettle),
        out_(out),
        interrupt_(interrupt) {}

  Status alone(unsigned runs);
  Status links();
  Status circuits();

 private:
  const std::size_t first_, more_;
  const std::chrono::milliseconds settle_;
  Results& out_;
  Interrupt& interrupt_;
};

Status Idle::alone(unsigned runs) {
  std::vector<double> rss;
  for (unsigned i = 0; i < runs; ++i) {
    auto network = start_subject(interrupt_);
    if (!network) return std::unexpected(network.error());
    if (interrupt_.wait(std::min<std::chrono::milliseconds>(settle_, 2s))) {
      return fail(Errc::shutting_down, "interrupted");
    }
    rss.push_back(static_cast<double>(rss_of((*network)->members()[0].child.pid())));
  }
  out_.add("idle/rss", "bytes", false).runs = rss;
  return {};
}

Status Idle::links() {
  auto network = start_subject(interrupt_);
  if (!network) return std::unexpected(network.error());
  const auto to = address_of(**network);
  if (!to) return std::unexpected(to.error());
  const pid_t pid = (*network)->members()[0].child.pid();
  std::vector<std::unique_ptr<Dialer>> dialers;
  const auto turn_for = [&](std::chrono::milliseconds time) {
    const auto end = Clock::now() + time;
    for (;;) {  // once at least: on a slow machine links would end while others are dialed
      for (auto& dialer : dialers) dialer->turn();
      if (Clock::now() >= end) return;
      std::this_thread::sleep_for(2ms);
    }
  };
  const auto rss_with = [&](std::size_t count) -> Result<double> {
    while (dialers.size() < count) {
      auto dialer = Dialer::dial(*to);
      if (!dialer) return std::unexpected(dialer.error());
      dialers.push_back(std::move(*dialer));
      const auto deadline = Clock::now() + 10s;
      while (!dialers.back()->ready()) {
        dialers.back()->turn();
        if (Clock::now() > deadline)
          return fail(Errc::timed_out, fmt::format("link {}", dialers.size()));
      }
      if (dialers.size() % 20 == 0) turn_for(0ms);
      if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
    }
    turn_for(settle_);
    for (const auto& dialer : dialers) {
      if (dialer->closed()) return fail(Errc::internal, "an idle link ended");
    }
    return static_cast<double>(rss_of(pid));
  };
  const auto before = rss_with(first_);
  if (!before) return std::unexpected(before.error());
  const auto after = rss_with(first_ + more_);
  if (!after) return std::unexpected(after.error());
  out_.add("idle/per_link", "bytes", false).runs = {per(*before, *after, more_)};
  return {};
}

Status Idle::circuits() {
  auto network = start_subject(interrupt_);
  if (!network) return std::unexpected(network.error());
  const auto relay = address_of(**network);
  if (!relay) return std::unexpected(relay.error());
  const Network::Member& member = (*network)->members()[0];
  Options options;
  options.shards = 1;
  options.relay = false;
  options.bootstrap = {*relay};
  options.log_level = LogLevel::off;
  options.gossip_interval = 10s;
  auto source = Node::start(options);
  if (!source) return std::unexpected(source.error());
  auto destination = Node::start(options);
  if (!destination) return std::unexpected(destination.error());
  (*destination)->on_message([](Message&&) { return Accept::taken; });
  const auto deadline = Clock::now() + 60s;
  for (Node* node : {source->get(), destination->get()}) {
    while (node->status().get().nodes_known < 3) {
      if (Clock::now() > deadline) return fail(Errc::timed_out, "a netmap");
      if (interrupt_.wait(20ms)) return fail(Errc::shutting_down, "interrupted");
    }
  }
  std::uint64_t tag = 0;
  struct Held {
    double rss, anonymous;
  };
  // What is not there weighs nothing: the relay must still hold them all.
  const auto held_with = [&](std::size_t count) -> Result<Held> {
    const auto page = api::Client(member.socket).get("/v1/status");
    if (!page) return std::unexpected(page.error());
    const auto there = boost::json::parse(*page).at("circuits").to_number<std::size_t>();
    if (there < count) {
      return fail(Errc::internal, fmt::format("{} of {} circuits are left", there, count));
    }
    const pid_t pid = member.child.pid();
    return Held{static_cast<double>(rss_of(pid)), static_cast<double>(anonymous_of(pid))};
  };
  const auto build = [&](std::size_t count) -> Result<Held> {
    while (tag < count) {
      std::vector<std::future<Delivery>> batch;
      for (int i = 0; i < 16 && tag < count; ++i) {
        const std::byte one[16] = {};
        batch.push_back(
            (*source)->send((*destination)->id(), one, {.relays = 1, .isolation = ++tag}));
      }
      for (auto& delivery : batch) {
        const Delivery d = delivery.get();
        if (d.outcome != Outcome::delivered) return std::unexpected(d.reason);
      }
      if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
    }
    interrupt_.wait(settle_);
    return held_with(count);
  };
  // Asked once before: the page's own code (0.7 MB) is no circuit's.
  if (const auto asked = held_with(0); !asked) return std::unexpected(asked.error());
  interrupt_.wait(settle_);
  const auto none = held_with(0);
  if (!none) return std::unexpected(none.error());
  const auto before = build(first_);
  if (!before) return std::unexpected(before.error());
  const auto after = build(first_ + more_);
  if (!after) return std::unexpected(after.error());
  const std::size_t all = first_ + more_;
  out_.add("idle/per_circuit", "bytes", false).runs = {per(none->rss, after->rss, all)};
  // Without what the program's file gives: code that ran for the first time.
  out_.add("idle/per_circuit_anonymous", "bytes", false).runs = {
      per(none->anonymous, after->anonymous, all)};
  // Too low where later circuits lie in what building the first ones left free.
  out_.add("idle/per_further_circuit", "bytes", false).runs = {per(before->rss, after->rss, more_)};
  out_.note(
      fmt::format("idle: per link from {} more after the first {}, {} ms later; per circuit from "
                  "none to all of them, what building them left behind included",
                  more_, first_, settle_.count()));
  return {};
}

}  // namespace

Status idle_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  Idle idle(args, out, interrupt);
  if (Status done = idle.alone(args.runs); !done) return done;
  if (Status done = idle.links(); !done) return done;
  if (Status done = idle.circuits(); !done) return done;
  return burst_part(args, out, interrupt);
}

}  // namespace qudag::app::bench
