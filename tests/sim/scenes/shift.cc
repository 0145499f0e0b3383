#include "sim/scenes/shift.h"

#include "sim/sim_network.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAfterShift = 5min;

Options node_options(const ShiftOptions& options) {
  Options out;
  out.gossip_interval = 3600s;  // it opens links, too
  out.descriptor_lifetime = 24h;
  out.limits.warm_links = options.warm_links;
  return out;
}

class Shift {
 public:
  explicit Shift(const ShiftOptions& options)
      : options_(options),
        world_(options.seed, {.delay_min = options.delay, .delay_jitter = 0ms}),
        net_(world_, options.nodes + 1, node_options(options)),
        favourites_(options.nodes) {
    std::iota(favourites_.begin(), favourites_.end(), std::size_t{0});
    source().set_relay(false);
  }

  ShiftResult run();

 private:
  SimNode& source() { return net_[options_.nodes]; }
  void shuffle();
  std::size_t draw();
  void send_until(TimePoint end);
  void send();
  ShiftResult look();

  const ShiftOptions options_;
  World world_;
  SimNetwork net_;
  std::vector<std::size_t> favourites_;
  std::uint64_t circuits_ = 0;
  double links_sum_ = 0, ms_sum_ = 0;
  std::uint64_t samples_ = 0;
  ShiftResult result_;
};

void Shift::shuffle() {
  for (std::size_t i = favourites_.size(); i > 1; --i) {
    std::swap(favourites_[i - 1], favourites_[world_.rng().below(i)]);
  }
}

/// Zipf: the n-th favourite is asked for a n-th as often as the first.
std::size_t Shift::draw() {
  double sum = 0;
  for (std::size_t i = 1; i <= favourites_.size(); ++i) sum += 1 / static_cast<double>(i);
  double left = world_.rng().unit() * sum;
  for (std::size_t i = 1; i < favourites_.size(); ++i) {
    left -= 1 / static_cast<double>(i);
    if (left < 0) return favourites_[i - 1];
  }
  return favourites_.back();
}

void Shift::send() {
  ++result_.messages;
  source().send(net_[draw()].id(), std::vector<std::byte>(100),
                {.ttl = 60s, .relays = options_.relays, .isolation = ++circuits_},
                [this](const Delivery& delivery) {
                  if (delivery.outcome != Outcome::delivered) return;
                  ++result_.delivered;
                  ms_sum_ += std::chrono::duration<double, std::milli>(delivery.elapsed).count();
                });
}

void Shift::send_until(TimePoint end) {
  while (world_.now().mono < end) {
    const std::chrono::duration<double> gap =
        -std::log(1 - world_.rng().unit()) * std::chrono::duration<double>(options_.gap);
    world_.run_until(world_.now().mono + std::chrono::duration_cast<Duration>(gap));
    send();
    const ShiftResult now = look();
    links_sum_ += now.links_mean;
    ++samples_;
  }
}

ShiftResult Shift::look() {
  ShiftResult out;
  double links = 0;
  std::size_t nodes = 0;
  for (std::size_t i = 0; i < net_.size(); ++i) {
    if (options_.relays == 0 && &net_[i] != &source()) continue;
    const shard::ShardReport report = net_[i].shard().report();
    const shard::LinkRequests& asked = report.link_requests;
    out.requests += std::accumulate(asked.begin(), asked.end(), std::uint64_t{0});
    out.ready += asked[static_cast<std::size_t>(shard::LinkRequest::ready)];
    out.opened += report.warm.opened;
    out.used += report.warm.used;
    out.unused += report.warm.unused;
    out.evicted += report.warm.evicted;
    links += static_cast<double>(report.links);
    ++nodes;
  }
  out.links_mean = links / static_cast<double>(nodes);
  return out;
}

ShiftResult Shift::run() {
  for (std::size_t i = 0; i < net_.size(); ++i) {
    net_[i].on_message_handler = [](Message&&) { return Accept::taken; };
  }
  net_.start();
  QUDAG_ASSERT(net_.settle(300s));
  world_.run_until(world_.now().mono + 60s);  // links of joining end
  shuffle();
  const TimePoint begin = world_.now().mono;
  send_until(begin + options_.lasts / 2);
  shuffle();
  const ShiftResult before = look();
  send_until(begin + options_.lasts / 2 + kAfterShift);
  const ShiftResult after = look();
  send_until(begin + options_.lasts);
  world_.run_until(world_.now().mono + 60s);

  ShiftResult out = look();
  out.shift_requests = after.requests - before.requests;
  out.shift_ready = after.ready - before.ready;
  out.messages = result_.messages;
  out.delivered = result_.delivered;
  out.links_mean = links_sum_ / static_cast<double>(samples_);
  out.message_ms_mean = ms_sum_ / static_cast<double>(result_.delivered);
  return out;
}

}  // namespace

ShiftResult& ShiftResult::operator+=(const ShiftResult& other) {
  const auto mine = static_cast<double>(messages);
  const auto all = mine + static_cast<double>(other.messages);
  const auto mean = [&](double one, double two) {
    return all == 0 ? 0 : (one * mine + two * (all - mine)) / all;
  };
  links_mean = mean(links_mean, other.links_mean);
  message_ms_mean = mean(message_ms_mean, other.message_ms_mean);
  requests += other.requests;
  ready += other.ready;
  shift_requests += other.shift_requests;
  shift_ready += other.shift_ready;
  opened += other.opened;
  used += other.used;
  unused += other.unused;
  evicted += other.evicted;
  messages += other.messages;
  delivered += other.delivered;
  return *this;
}

ShiftResult run_shift(const ShiftOptions& options) { return Shift(options).run(); }

}  // namespace qudag::testing
