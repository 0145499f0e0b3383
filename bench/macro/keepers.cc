// A receiver without an address: bulk over a keeper beside bulk over three relays, in turn; what a
// hail costs at both ends. The relays are processes; source and receiver are two nodes of the
// library in this one.
#include "end/end.h"
#include "machine.h"
#include "result.h"
#include "scenarios.h"

#include "common/network.h"
#include "crypto/identity.h"
#include "keeper/hail.h"
#include "runtime/clock.h"

#include <qudag/node.h>

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 120s;
constexpr unsigned kRelays = 9;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Relays, a source, and a node with a receiver, which is known as well.
class Place {
 public:
  static Result<std::unique_ptr<Place>> start(const BenchArgs& args, Interrupt& interrupt);
  ~Place() {
    for (Node* node : {source_.get(), home_.get()}) {
      if (node != nullptr) node->stop(0s);
    }
  }

  /// Two keepers, and the card at the source.
  Status open();
  Result<double> send(const NodeId& to, std::size_t bytes);
  NodeId home() const { return home_->id(); }
  const NodeId& receiver() const { return receiver_; }

 private:
  std::unique_ptr<Network> relays_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Card> card_;
  NodeId receiver_;
  std::unique_ptr<Node> source_, home_;  // last: their threads use the rest
};

Result<std::unique_ptr<Place>> Place::start(const BenchArgs& args, Interrupt& interrupt) {
  auto out = std::make_unique<Place>();
  auto relays = Network::start({.program = node_program(), .nodes = kRelays, .shards = args.shards},
                               interrupt);
  if (!relays) return std::unexpected(relays.error());
  out->relays_ = std::move(*relays);
  const Network::Member& first = out->relays_->members()[0];
  const auto at = PeerAddress::parse(first.id.to_string() + "@" + first.address);
  if (!at) return std::unexpected(at.error());
  for (auto* node : {&out->home_, &out->source_}) {
    auto started = Node::start(end_options(args.shards, {*at}));
    if (!started) return std::unexpected(started.error());
    *node = std::move(*started);
  }
  out->home_->on_message([](Message&&) { return Accept::taken; });
  const auto deadline = Clock::now() + kPatience;
  for (Node* node : {out->home_.get(), out->source_.get()}) {
    while (node->status().get().nodes_known < kRelays + 2) {
      if (Clock::now() > deadline) return fail(Errc::timed_out, "the netmaps");
      if (interrupt.wait(50ms)) return fail(Errc::shutting_down, "interrupted");
    }
  }
  return out;
}

Status Place::open() {
  const auto opened = home_->open_receiver({.keepers = 2}, [this](const Card& card) {
    const std::lock_guard lock(mutex_);
    card_ = card;
    changed_.notify_one();
  });
  if (!opened) return std::unexpected(opened.error());
  receiver_ = *opened;
  {
    std::unique_lock lock(mutex_);
    const auto whole = [&] { return card_ && card_->places.size() == 2; };
    if (!changed_.wait_for(lock, kPatience, whole)) return fail(Errc::timed_out, "the card");
  }
  std::this_thread::sleep_for(2s);  // its standbys
  const std::lock_guard lock(mutex_);
  return source_->add_card(*card_);
}

/// One message; the seconds until it was acknowledged.
Result<double> Place::send(const NodeId& to, std::size_t bytes) {
  const std::vector<std::byte> payload(bytes);
  std::promise<Delivery> end;
  auto ended = end.get_future();
  const auto begin = Clock::now();
  const auto taken =
      source_->send(to, payload, {.priority = Priority::low, .ttl = kPatience, .relays = 3},
                    [&end](const Delivery& delivery) { end.set_value(delivery); });
  if (!taken) return std::unexpected(taken.error());
  // A node that stops runs its completions.
  if (ended.wait_for(kPatience) != std::future_status::ready) source_->stop(0s);
  const double took = since(begin);
  const Delivery delivery = ended.get();
  if (delivery.outcome != Outcome::delivered) return std::unexpected(delivery.reason);
  return took;
}

/// In turn, the way over the keeper second, so that both find links that are there.
Status bulk_part(Place& place, const BenchArgs& args, Results& out) {
  const std::size_t bytes = args.quick ? 1'000'000 : 32'000'000;
  std::vector<double> direct, kept, ratio;
  for (unsigned run = 0; run <= args.runs; ++run) {
    const auto one = place.send(place.home(), bytes);
    if (!one) return std::unexpected(one.error());
    const auto other = place.send(place.receiver(), bytes);
    if (!other) return std::unexpected(other.error());
    if (run == 0) continue;  // circuits are built, windows open
    direct.push_back(static_cast<double>(bytes) / 1e6 / *one);
    kept.push_back(static_cast<double>(bytes) / 1e6 / *other);
    ratio.push_back(*one / *other);
  }
  out.add("keepers/bulk/3_relays", "MB/s", true).runs = direct;
  out.add("keepers/bulk/keeper", "MB/s", true).runs = kept;
  out.add("keepers/bulk/of_3_relays", "ratio", true).runs = ratio;
  return {};
}

/// One core: hails that a receiver answers, and that callers make and finish.
Status hails_part(const BenchArgs& args, Results& out) {
  auto key = crypto::KemKeyPair::generate();
  if (!key) return std::unexpected(key.error());
  auto public_key = crypto::KemPublicKey::import(key->public_bytes());
  if (!public_key) return std::unexpected(public_key.error());
  const keeper::Called called{};
  const UnixSeconds now = runtime::system_now().unix_seconds;
  const keeper::HailFields fields{.expiry_minutes = keeper::hail_expiry(now)};
  const crypto::KemKeyPair* const keys[] = {&*key};
  onion::ReplayWindow seen(1 << 20);
  double at_receiver = 0, at_caller = 0;
  std::uint64_t answered = 0;
  while (at_receiver < args.seconds) {
    keeper::Hail hail;
    keeper::Answer answer;
    auto began = Clock::now();
    auto call = keeper::make_hail(called, *public_key, fields, {}, hail);
    if (!call) return std::unexpected(call.error());
    at_caller += since(began);
    began = Clock::now();
    auto opened = keeper::open_hail(called, keys, seen, now, hail);
    if (!opened) return std::unexpected(opened.error());
    const auto tunnel = keeper::accept_hail(std::move(*opened), {}, answer);
    if (!tunnel) return std::unexpected(tunnel.error());
    at_receiver += since(began);
    began = Clock::now();
    if (!keeper::finish_call(std::move(*call), answer)) return fail(Errc::internal, "the answer");
    at_caller += since(began);
    ++answered;
  }
  const auto n = static_cast<double>(answered);
  out.add("keepers/hail/answered", "1/s", true).runs = {n / at_receiver};
  out.add("keepers/hail/receiver", "us", false).runs = {at_receiver / n * 1e6};
  out.add("keepers/hail/caller", "us", false).runs = {at_caller / n * 1e6};
  return {};
}

}  // namespace

Status keepers_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt) {
  if (Status hails = hails_part(args, out); !hails) return hails;
  auto place = Place::start(args, interrupt);
  if (!place) return std::unexpected(place.error());
  if (Status opened = (*place)->open(); !opened) return opened;
  if (Status bulk = bulk_part(**place, args, out); !bulk) return bulk;
  out.note(
      "keepers: hidden receiver, three relays on either side of the keeper; source and receiver in "
      "one process; hails on one core, the circuit's build not counted");
  return {};
}

}  // namespace qudag::app::bench
