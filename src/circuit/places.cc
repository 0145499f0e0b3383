// Who gives up a place when there is none: by links, so that one peer cannot take what others want.
//
//   builds    all slots are taken: the link with most of them loses the one that it began first; a
//             link that has as many itself, its own. A stream that dribbles is the first to go.
//   circuits  the table is full: the link with most loses those that have carried nothing for
//             longest, some at once if they are idle; a link that has as many itself only idle ones
//             of its own, or its new circuit is refused.
//
//   load      under pressure new circuits are refused by chance. If it is memory, a link is spared
//             whose circuits, with their cells that wait for us, hold less than half of an equal
//             share; if it is time, one that brings less than half of an equal share of the cells.
//
//   shards    places are lent to whichever shard needs them (memory/lent_places.h); the link with
//             most gives up its quietest when another shard wants its share back.
//
// So whoever comes anew over a link that holds less gets a place, whatever one peer does. Which
// link a circuit is of is decided by the stream that it came over: who is behind it nobody knows.
#include "circuit/core.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace qudag::circuit {

namespace {

using namespace std::chrono_literals;

/// A link without an idle circuit is looked at again after this.
constexpr Duration kLookAgain = 100ms;
/// What a link brings is counted in such pieces of time.
constexpr Duration kBroughtIn = 1s;
/// Idle circuits that end at once: a part of the table, so that a search serves many newcomers.
constexpr std::size_t kAtOnceOneIn = 256;
/// Of a share: what goes back to another shard at each look.
constexpr std::size_t kGivenBackOneIn = 16;

/// In the last one to two pieces of time.
std::uint64_t brought_by(const LinkShare& share, Now now) {
  const Duration since = now.mono - share.second;
  if (since >= 2 * kBroughtIn) return 0;
  return since >= kBroughtIn ? share.bytes : share.bytes + share.bytes_before;
}

}  // namespace

void Core::make_build_place(LinkId link, Now now) {
  if (building_incoming_ < options.building_max || building_.empty()) return;
  LinkId fullest = link;
  std::size_t most = links_.contains(link) ? links_[link].building : 0;
  for (const CircuitId id : building_) {
    const LinkId other = find(id)->previous.stream.link;
    const std::size_t building = links_[other].building;
    if (building > most) std::tie(fullest, most) = std::pair(other, building);
  }
  Circuit* first = nullptr;
  for (const CircuitId id : building_) {
    Circuit* const circuit = find(id);
    if (circuit->previous.stream.link != fullest) continue;
    if (first == nullptr || circuit->phase == Phase::opening) first = circuit;
    if (circuit->phase == Phase::opening) break;
  }
  if (first == nullptr) return;
  ++stats.refused_place;
  end(*first,
      {.why = {Errc::refused_circuits, "another build took its place"},
       .previous = EndCode::refused},
      now);
}

/// Builds have places of their own, which links share; where they wait for us is no fault of
/// theirs.
std::uint64_t Core::holds(LinkId link, const LinkShare& share) const {
  return (share.asked - share.building) * kReadyBytes + turns.bytes(link);
}

bool Core::holds_little(LinkId link) const {
  std::uint64_t all = 0, links = 0;
  for (const auto& [other, share] : links_) {
    if (share.asked == 0) continue;
    all += holds(other, share);
    ++links;
  }
  const auto own = links_.find(link);
  return all > 0 && own != links_.end() && holds(link, own->second) * 2 * links <= all;
}

double Core::little_brought(Now now) const {
  std::uint64_t all = 0, links = 0;
  for (const auto& [link, share] : links_) {
    if (share.asked == 0) continue;
    all += brought_by(share, now);
    ++links;
  }
  return links == 0 ? 0 : static_cast<double>(all) / static_cast<double>(2 * links);
}

bool Core::brings_little(LinkId link, double little, Now now) const {
  const auto own = links_.find(link);
  return own != links_.end() && static_cast<double>(brought_by(own->second, now)) < little;
}

void Core::note_brought(LinkId link, std::size_t bytes, Now now) {
  if (bringing_.second == nullptr || bringing_.first != link) {
    const auto found = links_.find(link);
    if (found == links_.end()) return;
    bringing_ = {link, &found->second};
  }
  LinkShare& share = *bringing_.second;
  const Duration since = now.mono - share.second;
  if (since >= kBroughtIn) {
    share.bytes_before = since < 2 * kBroughtIn ? share.bytes : 0;
    share.bytes = 0;
    share.second = now.mono;
  }
  share.bytes += bytes;
}

/// Who holds little is refused only when there is really no memory.
bool Core::refuses(LinkId link, Priority priority, Now now) {
  const auto chance_of = [priority](const Refusal& refusal) {
    return priority == Priority::high ? refusal.high : refusal.chance;
  };
  const double held = chance_of(refusal_held), brought = chance_of(refusal_brought);
  double chance = 0;
  if (held > 0 && !holds_little(link)) chance = held;
  if (brought > chance && !brings_little(link, little_brought(now), now)) chance = brought;
  return chance > 0 && rng.unit() < chance;
}

LinkId Core::link_with_most() const {
  LinkId fullest = kOurOwn;
  std::size_t most = 0;
  for (const auto& [link, share] : links_) {
    if (share.asked > most) std::tie(fullest, most) = std::pair(link, share.asked);
  }
  return fullest;
}

// Idle ones: as many as are needed, or some more that serve the next newcomers. Busy ones only if
// that is enough then, and no more of them than `busy_max`.
std::vector<CircuitId> Core::quietest(LinkId link, std::size_t needed, std::size_t busy_max,
                                      Now now) {
  std::vector<std::pair<TimePoint, CircuitId>> found;
  for (const Side* side = links_[link].first; side != nullptr; side = side->link_after) {
    if (side_of(side->context) != Neighbor::previous) continue;
    const Circuit& circuit = *find(circuit_of(side->context));
    if (circuit.phase == Phase::ready) found.emplace_back(circuit.last_cell, circuit.id);
  }
  const auto is_idle = [now](const auto& one) { return now.mono - one.first >= kIdle; };
  const auto idle = static_cast<std::size_t>(std::ranges::count_if(found, is_idle));
  std::size_t count = std::min(idle, std::max(needed, most() / kAtOnceOneIn));
  if (idle < needed && needed <= found.size() && needed - idle <= busy_max) count = needed;
  std::ranges::partial_sort(found, found.begin() + static_cast<std::ptrdiff_t>(count));
  std::vector<CircuitId> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(found[i].second);
  return out;
}

void Core::tell_places() {
  if (options.places != nullptr) options.places->set_used(options.shard, table_.size());
}

double Core::fullness() const {
  const std::size_t least = options.places == nullptr ? table_.capacity() : options.places->share();
  return static_cast<double>(table_.size()) /
         static_cast<double>(std::max<std::size_t>(1, std::max(least, most())));
}

/// Another shard with less than its share is short: what goes beyond ours goes back, some at a
/// time, so that it goes on while the other one really needs more.
void Core::look_at_places(Now now) {
  if (options.places == nullptr) return;
  options.places->look(options.shard);
  const std::size_t owed = options.places->owed(options.shard);
  const LinkId fullest = owed > 0 ? link_with_most() : kOurOwn;
  if (fullest == kOurOwn) return;
  const std::size_t some =
      std::min(owed, std::max<std::size_t>(1, options.places->share() / kGivenBackOneIn));
  end_for_place(quietest(fullest, some, some, now), now);
}

void Core::make_place(LinkId link, Priority priority, std::size_t more, Now now) {
  const std::size_t wanted = table_.size() + more;
  const LinkId fullest = link_with_most();
  if (wanted <= places(priority) || fullest == kOurOwn) return;
  const auto asking = links_.find(link);
  const std::size_t own = asking == links_.end() ? 0 : asking->second.asked;
  const bool itself = own >= links_[fullest].asked;
  LinkShare& from = itself ? asking->second : links_[fullest];
  if (itself && from.none_idle_until > now.mono) return;
  const std::size_t busy_max = itself ? 0 : (from.asked - own + 1) / 2;
  const std::vector<CircuitId> ending =
      quietest(itself ? link : fullest, wanted - places(priority), busy_max, now);
  if (ending.empty()) from.none_idle_until = now.mono + kLookAgain;
  end_for_place(ending, now);
}

void Core::end_for_place(const std::vector<CircuitId>& ending, Now now) {
  for (const CircuitId id : ending) {
    Circuit* const circuit = find(id);
    if (circuit == nullptr) continue;
    ++stats.ended_place;
    end(*circuit, {.why = {Errc::refused_circuits, "another circuit took its place"}}, now);
  }
}

}  // namespace qudag::circuit
