#include "node/reachability.h"

#include "base/reach.h"

#include <algorithm>

namespace qudag::node {
namespace {

constexpr Duration kLookEvery = std::chrono::minutes(1);

/// What a router that lets answers in goes by, at the least.
SocketAddress place_of(SocketAddress at) {
  if (reach_of(at) == Reach::world) at.port = 0;
  return at;
}

}  // namespace

void Reachability::on_link(const SocketAddress& remote, bool dialed) {
  const SocketAddress place = place_of(remote);
  const std::lock_guard lock(mutex_);
  if (!publishes_) return;
  if (!dialed) {
    if (!sent_to_.contains(place)) reached_ = true;
    return;
  }
  if (!sent_to_.insert(place).second) return;
  oldest_.push_back(place);
  if (oldest_.size() <= kSentToMax) return;
  sent_to_.erase(oldest_.front());
  oldest_.pop_front();
}

/// Relays that heard of this node and would have come.
std::size_t Reachability::witnesses(const netmap::View& view) const {
  std::size_t out = 0;
  for (const netmap::EntryPtr& relay : view.relays()) {
    if (relay->descriptor.id == self_) continue;
    const bool dialed = std::ranges::any_of(
        relay->descriptor.addresses,
        [this](const SocketAddress& at) { return sent_to_.contains(place_of(at)); });
    if (!dialed && ++out == kWitnesses) break;
  }
  return out;
}

void Reachability::look(const netmap::View& view, bool joined, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (!publishes_ || reached_ == true || now < look_at_) return;
  look_at_ = now + kLookEvery;
  if (!joined) joined_at_.reset();
  if (joined && !joined_at_) joined_at_ = now;
  if (joined && now - *joined_at_ >= kPatience && witnesses(view) >= kWitnesses) reached_ = false;
}

std::optional<bool> Reachability::reached() const {
  const std::lock_guard lock(mutex_);
  return reached_;
}

std::optional<bool> Reachability::take_change() {
  const std::lock_guard lock(mutex_);
  if (told_ == reached_) return std::nullopt;
  return told_ = reached_;
}

}  // namespace qudag::node
