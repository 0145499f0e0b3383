#include "netmap/reached/belief.h"

#include <algorithm>
#include <vector>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;

/// A node that is believed and was not heard of for so long does not raise what is asked of the
/// others.
constexpr Duration kHeard = 30min;
/// A relay goes on counting so long: digests come in parts, and who is believed changes.
constexpr Duration kCountsOn = 5min;
constexpr std::size_t kAskTwoOf = 3;

}  // namespace

void Belief::set(std::set<NodeId> ids) {
  believed_ = std::move(ids);
  std::erase_if(heard_, [this](const auto& one) { return !in(one.first); });
}

void Belief::drop(Record& held, const NodeId& voucher) { std::erase(held.vouchers, voucher); }

void Belief::on_shown(const NodeId& by, Record& held, Now now) {
  if (!held.entry->descriptor.relay || !in(by)) return;
  const bool is_there = std::ranges::find(held.vouchers, by) != held.vouchers.end();
  if (!is_there && held.vouchers.size() < Store::kVouchersMax) held.vouchers.push_back(by);
  judge(held, now);
}

void Belief::on_shown_range(const NodeId& of, const wire::IdRange& range,
                            std::span<const wire::DigestEntry> entries, Now now) {
  heard(of, now);
  auto next = entries.begin();
  store_.for_range(range, [&](Record& held) {
    const NodeId& id = held.entry->descriptor.id;
    while (next != entries.end() && next->id < id) ++next;
    const bool is_shown = next != entries.end() && next->id == id;
    // An older one says nothing of new addresses; of the same ones it had said it before.
    const bool before = std::ranges::find(held.vouchers, of) != held.vouchers.end();
    if (is_shown && (next->rank >= held.rank() || before)) return on_shown(of, held, now);
    drop(held, of);
    judge(held, now);
  });
  stale_ = true;
}

void Belief::heard(const NodeId& of, Now now) {
  stale_ = stale_ || deaf_;
  heard_[of] = now.mono;
}

/// How many of them must show a relay.
void Belief::count_needed(Now now) {
  std::map<NodeId, std::size_t> shows;
  for (const auto& [id, at] : heard_) {
    if (now.mono - at < kHeard) shows[id] = 0;
  }
  store_.for_all([&](const Record& held) {
    for (const NodeId& id : held.vouchers) {
      if (const auto at = shows.find(id); at != shows.end()) ++at->second;
    }
  });
  std::vector<std::size_t> counts;
  for (const auto& [id, count] : shows) counts.push_back(count);
  std::ranges::sort(counts);
  const std::size_t usual = counts.empty() ? 0 : counts[counts.size() / 2];
  const auto informed =
      std::ranges::count_if(counts, [usual](std::size_t one) { return 4 * one >= 3 * usual; });
  deaf_ = counts.empty();
  needed_ = static_cast<std::size_t>(informed) >= kAskTwoOf ? 2 : 1;
}

bool Belief::is_believed(const Record& held) const {
  if (!held.entry->descriptor.relay) return false;
  if (held.reached || store_.is_kept(held.entry->descriptor.id)) return true;
  if (held.gone) return false;  // whatever others say
  const auto vouched =
      std::ranges::count_if(held.vouchers, [this](const NodeId& id) { return in(id); });
  return static_cast<std::size_t>(vouched) >= needed_;
}

void Belief::remember(Record& held, Now now) {
  if (!held.entry->descriptor.relay) return;
  held.believed_at = now.mono;
  store_.set_counts(held, true);
}

void Belief::judge(Record& held, Now now) {
  if (is_believed(held)) {
    held.believed_at = now.mono;
    return store_.set_counts(held, true);
  }
  const bool nobody_says = deaf_ && !believed_.empty();
  if (held.counts && !held.gone && (nobody_says || now.mono - held.believed_at < kCountsOn)) return;
  store_.set_counts(held, false);
}

void Belief::judge_all(Now now) {
  stale_ = false;
  count_needed(now);
  store_.for_all([&](Record& held) { judge(held, now); });
}

}  // namespace qudag::netmap
