// 100,000 circuits over one relay: opened, used for a message, closed. The relay is a `qudag node`
// process, its RSS read from outside every thousand circuits. A source is a node of this process
// with a few hundred circuits; when it stops it closes them all, and the next one takes its place.
// A build is remembered against replay until it has expired, five to six minutes: so in the end
// those minutes are waited for, and as many circuits as before the first sample are opened again.
#include "machine.h"
#include "net.h"
#include "scenarios.h"

#include "common/interrupt.h"

#include "api/client/client.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMemory = std::uint64_t{64} << 20;
constexpr std::size_t kAtOnce = 32;

class Soak {
 public:
  Soak(const BenchArgs& args, Results& out, Interrupt& interrupt)
      : all_(args.quick ? 300 : 100'000),
        start_(args.quick ? 100 : 10'000),
        step_(args.quick ? 50 : 1'000),
        per_source_(args.quick ? 50 : 500),
        rest_(args.quick ? 100ms : 390'000ms),
        out_(out),
        interrupt_(interrupt) {}

  Status run();

 private:
  Result<std::unique_ptr<Node>> start_node(const PeerAddress& relay, bool known);
  Status one_source(const PeerAddress& relay, const NodeId& destination);
  Result<std::size_t> circuits_left();
  Status until(std::size_t count, const PeerAddress& relay, const NodeId& destination);
  double rss() { return static_cast<double>(rss_of(relay_->members()[0].child.pid())); }
  void rows(std::size_t left, double seconds, double rested, double again);

  const std::size_t all_, start_, step_, per_source_;
  const std::chrono::milliseconds rest_;
  Results& out_;
  Interrupt& interrupt_;
  std::unique_ptr<Network> relay_;
  std::size_t done_ = 0;
  std::vector<std::pair<std::size_t, double>> samples_;  // circuits so far, RSS
};

Result<std::unique_ptr<Node>> Soak::start_node(const PeerAddress& relay, bool known) {
  Options options;
  options.shards = 1;
  options.relay = false;
  // Two hundred sources would leave as many descriptors, 20 KB each: not what is measured here.
  options.known = known;
  options.bootstrap = {relay};
  options.log_level = LogLevel::off;
  options.gossip_interval = 10s;
  auto node = Node::start(options);
  if (!node) return node;
  const auto deadline = Clock::now() + 30s;
  while ((*node)->status().get().relays_known < 1) {
    if (Clock::now() > deadline) return fail(Errc::timed_out, "a netmap");
    if (interrupt_.wait(5ms)) return fail(Errc::shutting_down, "interrupted");
  }
  return node;
}

Status Soak::one_source(const PeerAddress& relay, const NodeId& destination) {
  auto source = start_node(relay, false);
  if (!source) return std::unexpected(source.error());
  const auto deadline = Clock::now() + 30s;
  std::size_t used = 0;
  for (std::uint64_t tag = 0; used < per_source_;) {
    std::vector<std::future<Delivery>> batch;
    for (std::size_t i = 0; i < kAtOnce && used + i < per_source_; ++i) {
      const std::byte one[64] = {};
      batch.push_back((*source)->send(destination, one, {.relays = 1, .isolation = ++tag}));
    }
    for (auto& delivery : batch) {
      const Delivery d = delivery.get();
      if (d.outcome == Outcome::delivered) {
        ++used;
      } else if (d.reason == Errc::unknown_destination && Clock::now() < deadline) {
        if (interrupt_.wait(20ms)) return fail(Errc::shutting_down, "interrupted");
      } else {
        return std::unexpected(Error{
            d.reason.code, fmt::format("after {} circuits: {}", done_ + used, d.reason.detail)});
      }
    }
    if (interrupt_.raised()) return fail(Errc::shutting_down, "interrupted");
  }
  (*source)->stop(100ms);
  done_ += used;
  return {};
}

Result<std::size_t> Soak::circuits_left() {
  std::size_t left = 0;
  for (const auto deadline = Clock::now() + 10s; Clock::now() < deadline;) {
    const auto page = api::Client(relay_->members()[0].socket).get("/v1/status");
    if (!page) return std::unexpected(page.error());
    left = boost::json::parse(*page).at("circuits").to_number<std::size_t>();
    if (left == 0 || interrupt_.wait(50ms)) break;
  }
  return left;
}

Status Soak::until(std::size_t count, const PeerAddress& relay, const NodeId& destination) {
  while (done_ < count) {
    if (Status one = one_source(relay, destination); !one) return one;
    if (!relay_->members()[0].child.alive()) return fail(Errc::internal, "the relay ended");
    if (done_ % step_ == 0 && done_ <= all_) samples_.emplace_back(done_, rss());
  }
  return {};
}

Status Soak::run() {
  auto relay = Network::start(
      {.program = node_program(), .nodes = 1, .gossip_interval = "10s", .memory = kMemory},
      interrupt_);
  if (!relay) return std::unexpected(relay.error());
  relay_ = std::move(*relay);
  Network::Member& member = relay_->members()[0];
  const auto at = PeerAddress::parse(member.id.to_string() + "@" + member.address);
  if (!at) return std::unexpected(at.error());
  auto destination = start_node(*at, true);
  if (!destination) return std::unexpected(destination.error());
  (*destination)->on_message([](Message&&) { return Accept::taken; });

  const auto begin = Clock::now();
  if (Status done = until(all_, *at, (*destination)->id()); !done) return done;
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto left = circuits_left();
  if (!left) return std::unexpected(left.error());
  fmt::print(stderr, "bench: soak: waiting until the builds have expired\n");
  if (interrupt_.wait(rest_)) return fail(Errc::shutting_down, "interrupted");
  const double rested = rss();
  if (Status done = until(all_ + start_, *at, (*destination)->id()); !done) return done;
  rows(*left, seconds, rested, rss());
  return {};
}

void Soak::rows(std::size_t left, double seconds, double rested, double again) {
  double first = 0, least = 0, most = 0;
  std::string text = "soak: MB at circuits:";
  for (const auto& [circuits, rss] : samples_) {
    if (circuits % (step_ * 10) == 0) text += fmt::format(" {} {:.2f}", circuits, rss / 1e6);
    if (circuits < start_) continue;
    if (first == 0) first = least = most = rss;
    least = std::min(least, rss);
    most = std::max(most, rss);
  }
  out_.add("soak/circuits", "circuits", true).runs = {static_cast<double>(done_)};
  out_.add("soak/rate", "circuits/s", true).runs = {static_cast<double>(all_) / seconds};
  out_.add("soak/rss_first", "bytes", false).runs = {first};
  out_.add("soak/rss_last", "bytes", false).runs = {samples_.back().second};
  out_.add("soak/rss_most", "bytes", false).runs = {most};
  out_.add("soak/rss_least", "bytes", false).runs = {least};
  out_.add("soak/rss_growth", "x", false).runs = {samples_.back().second / first};
  out_.add("soak/rss_spread", "x", false).runs = {most / least};
  out_.add("soak/rss_rested", "bytes", false).runs = {rested};
  out_.add("soak/rss_again", "bytes", false).runs = {again};
  out_.add("soak/rss_again_growth", "x", false).runs = {again / first};
  out_.add("soak/circuits_left", "circuits", false).runs = {static_cast<double>(left)};
  out_.note(fmt::format(
      "{}; first is at {} circuits, least, most and spread are from there on; rested after {} s of "
      "nothing, again after as many circuits more",
      text, start_, rest_.count() / 1'000));
}

}  // namespace

Status soak_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  return Soak(args, out, interrupt).run();
}

}  // namespace qudag::app::bench
