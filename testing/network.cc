#include <qudag/testing/network.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace qudag::testing {

namespace {

constexpr std::size_t kNodesMin = 2;
constexpr std::size_t kNodesMax = 32;

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

milliseconds until(Clock::time_point end) {
  return std::max(std::chrono::ceil<milliseconds>(end - Clock::now()), milliseconds(0));
}

Options quiet() {
  Options options;
  options.shards = 1;
  options.log_level = LogLevel::off;
  options.gossip_interval = std::chrono::seconds(1);
  return options;
}

}  // namespace

Result<std::unique_ptr<Network>> Network::start(NetworkOptions options) {
  if (options.nodes < kNodesMin || options.nodes > kNodesMax) {
    return fail(Errc::invalid_argument, "a network has 2 to 32 nodes");
  }
  std::unique_ptr<Network> network(new Network());
  const Clock::time_point end = Clock::now() + options.join_max;
  for (std::size_t i = 0; i < options.nodes; ++i) {
    Options one = i == 0 ? quiet() : network->guest();
    if (options.adjust) options.adjust(i, one);
    network->relays_.push_back(one.relay);
    auto node = Node::start(std::move(one));
    if (!node) return std::unexpected(node.error());
    network->nodes_.push_back(std::move(*node));
  }
  for (const auto& node : network->nodes_) {
    if (auto ok = network->wait_for(*node, until(end)); !ok) return std::unexpected(ok.error());
  }
  return network;
}

Network::~Network() {
  // All at once: each waits for links whose other end is here as well.
  std::vector<std::thread> stops;
  for (const auto& node : nodes_) {
    stops.emplace_back([&node] { node->stop(milliseconds(0)); });
  }
  for (std::thread& stop : stops) stop.join();
}

PeerAddress Network::entrance() const {
  return {.id = nodes_.front()->id(), .at = nodes_.front()->address()};
}

Options Network::guest() const {
  Options options = quiet();
  options.bootstrap = {entrance()};
  return options;
}

Status Network::wait_for(Node& node, milliseconds timeout) const {
  const Clock::time_point end = Clock::now() + timeout;
  unsigned relays = 0;  // beside it
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (relays_[i] && nodes_[i]->id() != node.id()) ++relays;
  }
  const JoinState state = node.wait_until_joined(until(end), std::min(relays, kRelaysMax));
  if (!state.joined) return fail(Errc::timed_out, state.reason);
  for (const auto& other : nodes_) {
    if (other->id() == node.id()) continue;
    if (!node.wait_until_known(other->id(), until(end)) ||
        !other->wait_until_known(node.id(), until(end))) {
      return fail(Errc::timed_out, "a node is not known to another yet");
    }
  }
  return {};
}

}  // namespace qudag::testing
