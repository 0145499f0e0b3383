#include "netmap/routes/relay_draw.h"

#include "netmap/routes/share_cap.h"

#include <algorithm>
#include <vector>

namespace qudag::netmap {
namespace {

constexpr std::uint16_t kSpokenVersion = 1;
constexpr unsigned kQuickDraws = 64;

bool same_network(const SocketAddress& a, const SocketAddress& b) {
  return !is_loopback(a) && !is_loopback(b) && network_prefix(a) == network_prefix(b);
}

}  // namespace

bool share_network(const DescriptorFacts& candidate, const DescriptorFacts& chosen) {
  return std::ranges::any_of(candidate.addresses, [&](const SocketAddress& address) {
    return std::ranges::any_of(chosen.addresses, [&](const SocketAddress& beside) {
      return same_network(address, beside);
    });
  });
}

bool is_usable(const Entry& entry, Now now) {
  const DescriptorFacts& d = entry.descriptor;
  return d.expires > now.unix_seconds && d.version_min <= kSpokenVersion &&
         d.version_max >= kSpokenVersion && entry.has_onion_key(now.unix_seconds);
}

bool RelayDraw::is_relay(const Entry& entry) const {
  return entry.descriptor.relay && is_usable(entry, now_);
}

bool RelayDraw::is_relay(const NodeId& id) const {
  const Entry* entry = id == self_ ? nullptr : view_.find(id);
  return entry != nullptr && is_relay(*entry);
}

bool RelayDraw::suits(const Entry& entry, Entries others) const {
  const DescriptorFacts& d = entry.descriptor;
  if (d.id == self_ || !is_relay(entry)) return false;
  return std::ranges::none_of(others, [&](const EntryPtr& other) {
    return other->descriptor.id == d.id ||
           (policy_.distinct_networks && share_network(d, other->descriptor));
  });
}

double RelayDraw::chance(std::size_t index) const {
  const NodeId& id = view_.relays()[index]->descriptor.id;
  double out = policy_.by_speed ? history_.chance(id, now_) : history_.trust(id, now_);
  if (policy_.by_load) out *= history_.loads().share(id, now_);
  out *= view_.standing(index);
  if (policy_.by_proof && !history_.proven(id, now_)) out *= RelayHistory::kUnproven;
  return history_.measured(id) ? out * view_.claim(index) : out;
}

/// Looked up rather than made anew, while hardly anything can have changed: it takes all relays.
double RelayDraw::cap() const {
  const auto relays = view_.relays();
  RelayHistory::Cap& known = history_.cap();
  const bool same = known.view == view_.number() && known.by_load == policy_.by_load &&
                    known.by_speed == policy_.by_speed && known.by_proof == policy_.by_proof;
  const bool fresh = now_.mono >= known.at && now_.mono - known.at < RelayHistory::kCapHolds &&
                     history_.changes() - known.changes <= relays.size() / 64;
  if (same && fresh) return known.height;
  std::vector<double> chances(relays.size());
  for (std::size_t i = 0; i < relays.size(); ++i) chances[i] = chance(i);
  known = {.view = view_.number(),
           .by_load = policy_.by_load,
           .by_speed = policy_.by_speed,
           .by_proof = policy_.by_proof,
           .at = now_.mono,
           .changes = history_.changes(),
           .height = chance_cap(std::move(chances), kShareMax)};
  return known.height;
}

EntryPtr RelayDraw::draw(Entries others, const Never& never) const {
  const auto relays = view_.relays();
  if (relays.empty()) return nullptr;
  const double height = cap();
  for (unsigned i = 0; i < kQuickDraws; ++i) {
    const std::size_t picked = rng_.below(relays.size());
    if (rng_.unit() * height >= chance(picked)) continue;
    if (suits(*relays[picked], others) && !never(*relays[picked])) {
      return relays[picked];
    }
  }
  return draw_by_sum(others, never);
}

EntryPtr RelayDraw::draw_by_sum(Entries others, const Never& never) const {
  const auto relays = view_.relays();
  const double height = cap();
  std::vector<double> sums(relays.size());
  double sum = 0;
  std::size_t last = relays.size();  // the last that may be chosen, against rounding
  for (std::size_t i = 0; i < relays.size(); ++i) {
    if (suits(*relays[i], others) && !never(*relays[i])) {
      sum += std::min(height, chance(i));
      last = i;
    }
    sums[i] = sum;
  }
  if (last == relays.size()) return nullptr;
  const auto at = std::ranges::upper_bound(sums, rng_.unit() * sum) - sums.begin();
  return relays[std::min(static_cast<std::size_t>(at), last)];
}

std::size_t relays_together(const View& view, const NodeId& self, bool distinct_networks,
                            std::size_t most, Now now) {
  std::vector<const Entry*> chosen;
  for (const EntryPtr& entry : view.relays()) {
    if (chosen.size() >= most) break;
    if (entry->descriptor.id == self || !is_usable(*entry, now)) continue;
    const bool apart = std::ranges::none_of(chosen, [&](const Entry* other) {
      return distinct_networks && share_network(entry->descriptor, other->descriptor);
    });
    if (apart) chosen.push_back(entry.get());
  }
  return chosen.size();
}

}  // namespace qudag::netmap
