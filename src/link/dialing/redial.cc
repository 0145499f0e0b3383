#include "link/dialing/redial.h"

#include <algorithm>
#include <cmath>

namespace qudag::link {

Redial::Answer Redial::ask(const NodeId& peer, const SocketAddress& at, TimePoint now) {
  const auto found = entries_.find({peer, at});
  if (found != entries_.end() && now >= found->second.until + rules_.forgotten_after) {
    entries_.erase(found);
  } else if (found != entries_.end()) {
    if (now < found->second.until) {
      ++too_soon_;
      return Answer::too_soon;
    }
    if (!take_from_budget(now)) {
      ++no_budget_;
      return Answer::no_budget;
    }
    ++retries_;
    return Answer::dial;
  }
  budget_ = std::min(budget_ + rules_.retries_per_dial, rules_.retries_at_once);
  return Answer::dial;
}

bool Redial::take_from_budget(TimePoint now) {
  const std::chrono::duration<double> since = now - std::exchange(budget_at_, now);
  budget_ = std::min(budget_ + since.count() * rules_.retries_per_second, rules_.retries_at_once);
  if (budget_ < 1) return false;
  budget_ -= 1;
  return true;
}

void Redial::failed(const NodeId& peer, const SocketAddress& at, TimePoint now, Rng& rng) {
  constexpr unsigned kDoublingsMax = 20;
  const Key key{peer, at};
  if (!entries_.contains(key)) make_room();
  Entry& entry = entries_[key];
  const Duration whole =
      std::min(rules_.first * (1L << std::min(entry.failures, kDoublingsMax)), rules_.longest);
  ++entry.failures;
  // Between three quarters and five quarters of it.
  const auto spread = rng.below(static_cast<std::uint64_t>(whole.count() / 2 + 1));
  entry.until = now + whole * 3 / 4 + Duration(static_cast<Duration::rep>(spread));
}

void Redial::make_room() {
  if (entries_.size() < kEntriesMax) return;
  entries_.erase(
      std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.until; }));
}

void Redial::succeeded(const NodeId& peer) {
  auto at = entries_.lower_bound({peer, SocketAddress{}});
  while (at != entries_.end() && at->first.first == peer) at = entries_.erase(at);
}

bool Redial::failed_lately(const NodeId& peer, TimePoint now) const {
  const auto at = entries_.lower_bound({peer, SocketAddress{}});
  return at != entries_.end() && at->first.first == peer &&
         now < at->second.until + rules_.forgotten_after;
}

void Redial::report(BoundedList& out) const {
  out.push_back(bounded(Bounded::Kind::table, "peers that did not answer",
                        "the earliest is forgotten", entries_.size(), kEntriesMax));
}

}  // namespace qudag::link
