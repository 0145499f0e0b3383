#include "node/shard/bootstrap.h"

#include <algorithm>

namespace qudag::node {

namespace {

using namespace std::chrono_literals;
constexpr Duration kFirstPause = 250ms;
constexpr std::size_t kKnownPeersPerRound = 3;

}  // namespace

Bootstrap::Bootstrap(NodeId self, std::vector<PeerAddress> entries, Duration interval, Rng& rng,
                     Dial dial)
    : self_(self),
      entries_(std::move(entries)),
      interval_(interval),
      rng_(rng),
      dial_(std::move(dial)),
      pause_(std::min<Duration>(kFirstPause, interval)) {}

void Bootstrap::on_time(Now now, const netmap::View& view, bool ahead) {
  if (now.mono < due_) return;
  for (const PeerAddress& entry : entries_) {
    if (entry.id != self_) dial_(entry, now);
  }
  if (ahead) dial_known(now, view);

  const bool alone = view.entries().size() <= 1;
  pause_ = alone ? std::min(pause_ * 2, interval_) : interval_;
  // A quarter of jitter, so that nodes started together do not stay in step.
  const auto jitter = Duration(
      static_cast<Duration::rep>(rng_.below(static_cast<std::uint64_t>(pause_.count() / 4 + 1))));
  due_ = now.mono + pause_ + jitter;
}

void Bootstrap::dial_known(Now now, const netmap::View& view) {
  const auto entries = view.entries();
  if (entries.size() <= 1) return;
  for (std::size_t i = 0; i < kKnownPeersPerRound; ++i) {
    const netmap::Descriptor& peer = entries[rng_.below(entries.size())]->descriptor;
    if (peer.id == self_) continue;
    dial_({.id = peer.id, .at = peer.addresses.front()}, now);
  }
}

}  // namespace qudag::node
