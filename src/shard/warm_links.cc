#include "shard/warm_links.h"

#include <algorithm>

namespace qudag::shard {

static_assert(std::size(kLinkRequestNames) == kLinkRequestKinds);
namespace {

using namespace std::chrono_literals;

constexpr Duration kChooseEvery = 1s;
constexpr std::size_t kOpenedAtOnce = 4;       // in each of those: handshakes come a few at a time
constexpr std::size_t kDrawsForEachPlace = 4;  // relays that are there already are drawn again

}  // namespace

void WarmLinks::asked(const NodeId& peer, LinkRequest how, Now now) {
  if (set_.places() == 0) return;
  set_.asked(peer, now.mono);
  due_ = std::min(due_, now.mono + (set_.chosen().empty() ? Duration{} : kChooseEvery));
  if (const auto opened = ahead_.find(peer); opened != ahead_.end()) {
    ++(how == LinkRequest::ready || how == LinkRequest::dialing ? stats_.used : stats_.unused);
    ahead_.erase(opened);
  }
}

void WarmLinks::on_time(link::Endpoint& endpoint, bool ahead, Now now) {
  if (now.mono < due_) return;
  for (const NodeId& peer : set_.choose(likely(), now.mono)) {
    ++stats_.evicted;
    stats_.unused += ahead_.erase(peer);
    if (const auto link = endpoint.find(peer)) endpoint.keep_warm(*link, false);
  }
  keep(endpoint, ahead, now);
  due_ = set_.chosen().empty() ? kNever : now.mono + kChooseEvery;
}

void WarmLinks::keep(link::Endpoint& endpoint, bool ahead, Now now) {
  stats_.now = 0;
  std::size_t opened = 0;
  for (const auto& [peer, worth_opening] : set_.chosen()) {
    if (const auto link = endpoint.find(peer)) {
      endpoint.keep_warm(*link, true);
      ++stats_.now;
      continue;
    }
    stats_.unused += ahead_.erase(peer);
    // Who did not answer is left to those who need it: a circuit that finds it being dialed waits.
    if (endpoint.failed_lately(peer, now)) continue;
    if (!ahead || !worth_opening || opened == kOpenedAtOnce) continue;
    const auto link = parts_.dial(peer, now);
    if (!link) continue;
    endpoint.keep_warm(*link, true);
    ahead_.insert(peer);
    ++stats_.opened;
    ++opened;
  }
}

/// Each guard has its part of what we send ourselves, each relay one of what others do.
std::vector<link::Likely> WarmLinks::likely() {
  std::vector<link::Likely> out;
  const std::vector<NodeId> guards = parts_.guards();
  for (const NodeId& guard : guards) {
    out.push_back({guard, 1 / static_cast<double>(guards.size())});
  }
  if (!parts_.relay) return out;
  draw_relays();
  const double even = 1 / static_cast<double>(std::max<std::size_t>(view_->relays().size(), 1));
  for (const NodeId& relay : relays_) out.push_back({relay, even});
  return out;
}

/// Evenly, as sources do that have measured nothing.
void WarmLinks::draw_relays() {
  std::erase_if(relays_, [this](const NodeId& id) {
    const netmap::Entry* entry = view_->find(id);
    return entry == nullptr || !entry->descriptor.relay;
  });
  const auto all = view_->relays();
  if (all.empty() || relays_.size() >= set_.places()) return;
  for (std::size_t i = 0; i < kDrawsForEachPlace * set_.places(); ++i) {
    if (relays_.size() >= set_.places()) return;
    const NodeId& id = all[parts_.rng.below(all.size())]->descriptor.id;
    if (id != parts_.self && std::ranges::find(relays_, id) == relays_.end()) relays_.push_back(id);
  }
}

}  // namespace qudag::shard
