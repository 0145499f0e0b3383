#include "shard/gossip/bootstrap.h"

#include <algorithm>

namespace qudag::shard {

namespace {

using namespace std::chrono_literals;
constexpr Duration kFirstPause = 250ms;
constexpr std::size_t kRelaysPerRound = 3;
constexpr std::size_t kRelaysOfTheLast = 16;

}  // namespace

Bootstrap::Bootstrap(Parts parts, Rng& rng)
    : parts_(std::move(parts)),
      rng_(rng),
      pause_(std::min<Duration>(kFirstPause, parts_.interval)) {}

void Bootstrap::on_time(Now now, const netmap::View& view, bool ahead) {
  if (now.mono < due_) return;
  dial(now, view, ahead ? kRelaysPerRound : 0);
  const bool alone = view.entries().size() <= 1;
  pause_ = alone ? std::min(pause_ * 2, parts_.interval) : parts_.interval;
  // A quarter of jitter, so that nodes started together do not stay in step.
  const auto jitter = Duration(
      static_cast<Duration::rep>(rng_.below(static_cast<std::uint64_t>(pause_.count() / 4 + 1))));
  due_ = now.mono + pause_ + jitter;
}

void Bootstrap::begin_again(Now now) {
  due_ = now.mono;
  pause_ = std::min<Duration>(kFirstPause, parts_.interval);
}

void Bootstrap::last_round(Now now, const netmap::View& view, bool ahead) {
  dial(now, view, ahead ? kRelaysOfTheLast : 0);
}

void Bootstrap::dial(Now now, const netmap::View& view, std::size_t relays) {
  parts_.begins_round(now);
  for (const PeerAddress& entry : parts_.entries) {
    if (entry.id != parts_.self) parts_.dial_entry(entry, now);
  }
  for (const NodeId& guard : parts_.guards()) parts_.dial_known(guard, now);
  if (parts_.relay) dial_relays(now, view, relays);
}

void Bootstrap::dial_relays(Now now, const netmap::View& view, std::size_t count) {
  std::vector<NodeId> others;
  for (const netmap::EntryPtr& relay : view.relays()) {
    if (relay->descriptor.id != parts_.self) others.push_back(relay->descriptor.id);
  }
  for (std::size_t i = 0; i < std::min(count, others.size()); ++i) {
    std::swap(others[i], others[i + rng_.below(others.size() - i)]);
    parts_.dial_known(others[i], now);
  }
}

}  // namespace qudag::shard
