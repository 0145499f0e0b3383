// What the choice of paths gains in latency, and how much of its openness it keeps (N6): a map of
// 200 relays with places, capacities and loads, a source that learns from its own builds, and the
// same source drawing evenly from all beside it. Both figures are printed; the openness has a
// floor.
#include "netmap/fixture.h"
#include "netmap/routes/route.h"

#include <cmath>
#include <functional>
#include <map>
#include <vector>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;
using namespace test;

const NodeId kSelf = id_of(5'000);
constexpr std::uint64_t kTarget = 4'000;
constexpr std::size_t kRelays = 200;
constexpr unsigned kHops = 3;
constexpr int kDraws = 10'000;
constexpr double kFloor = 0.8;  // of the entropy of an even draw, for each hop

/// A relay of the map: a place on a square 80 ms wide, and how long it keeps a build in its queue.
struct Place {
  double x_ms = 0;
  double y_ms = 0;
  double load = 0;
  double queue_ms() const { return 1 + 3 * load / (1.03 - load); }
};

double distance_ms(const Place& a, const Place& b) {
  return std::hypot(a.x_ms - b.x_ms, a.y_ms - b.y_ms);
}

class Map {
 public:
  explicit Map(std::uint64_t seed) : rng_(seed) {
    for (std::uint64_t i = 1; i <= kRelays; ++i) {
      Place place = any_place();
      place.load = std::pow(rng_.unit(), 2);  // a few are full, most are not
      places_[id_of(i)] = place;
      // From 250 KiB/s to 64 MiB/s, most in the middle.
      const double capacity = 4'000 * std::exp2(4 * (rng_.unit() + rng_.unit() + rng_.unit()) - 6);
      claimed_.push_back(entry(i, static_cast<std::uint32_t>(capacity)));
      even_.push_back(entry(i, 1'000));
    }
    places_[kSelf] = any_place();
    places_[id_of(kTarget)] = any_place();
    auto target = entry(kTarget, 1'000);
    target->descriptor.relay = false;
    claimed_.push_back(target);
    even_.push_back(target);
  }

  View claimed() const { return View(claimed_); }
  View even() const { return View(even_); }
  const Place& at(const NodeId& id) const { return places_.at(id); }

  /// There and back, with what the queues on the way add.
  Duration build_time(const std::vector<EntryPtr>& route, Rng& rng) const {
    double ms = 0;
    const Place* here = &at(kSelf);
    for (const EntryPtr& hop : route) {
      const Place& next = at(hop->descriptor.id);
      ms += 2 * distance_ms(*here, next) + next.queue_ms() * 2 * rng.unit();
      here = &next;
    }
    return Duration(static_cast<Duration::rep>(ms * 1e6));
  }

 private:
  Place any_place() { return {.x_ms = 80 * rng_.unit(), .y_ms = 80 * rng_.unit()}; }
  /// In networks of their own: what is forbidden together is another test's business.
  static std::shared_ptr<Entry> entry(std::uint64_t number, std::uint32_t capacity) {
    auto out = entry_of(number, capacity);
    out->descriptor.addresses = {SocketAddress::v4(static_cast<std::uint8_t>(10 + number / 256),
                                                   static_cast<std::uint8_t>(number % 256), 0, 1,
                                                   4433)};
    return out;
  }

  SeededRng rng_;
  std::map<NodeId, Place> places_;
  std::vector<EntryPtr> claimed_;
  std::vector<EntryPtr> even_;
};

struct Figures {
  double mean_ms = 0;
  double p95_ms = 0;
  std::array<double, kHops> entropy{};  // in bits
  double most_likely = 0;               // the highest share that one relay has at any hop
};

double entropy_of(const std::map<NodeId, int>& counts) {
  double out = 0;
  for (const auto& [id, count] : counts) {
    const double p = static_cast<double>(count) / kDraws;
    out -= p * std::log2(p);
  }
  return out;
}

/// Draws without learning further, each with a new list of four guards, as many sources with the
/// same knowledge would: so that the first hop shows how open the choice of guards is.
Figures measure(const Map& map, const View& view, const RelayHistory& history, bool by_load,
                bool by_speed, Now now) {
  SeededRng rng(11);
  RoutePolicy policy{.guards = 4, .by_load = by_load, .by_speed = by_speed};
  std::array<std::map<NodeId, int>, kHops> seen;
  std::vector<double> took;
  for (int i = 0; i < kDraws; ++i) {
    Guards guards;
    const auto route =
        draw_route(view, kSelf, id_of(kTarget), kHops, policy, guards, history, now, rng);
    EXPECT_TRUE(route);
    for (unsigned hop = 0; hop < kHops; ++hop) ++seen[hop][(*route)[hop]->descriptor.id];
    took.push_back(static_cast<double>(map.build_time(*route, rng) / 1us) / 1e3);
  }
  std::ranges::sort(took);
  Figures out;
  for (const double one : took) out.mean_ms += one / kDraws;
  out.p95_ms = took[took.size() * 95 / 100];
  for (unsigned hop = 0; hop < kHops; ++hop) {
    out.entropy[hop] = entropy_of(seen[hop]);
    for (const auto& [id, count] : seen[hop]) {
      out.most_likely = std::max(out.most_likely, static_cast<double>(count) / kDraws);
    }
  }
  return out;
}

/// What a source knows after so many builds of its own, and of the relays that it has links with.
RelayHistory learned(const Map& map, const View& view, int builds, Now& now) {
  SeededRng rng(12);
  const RoutePolicy policy{.guards = 4};
  Guards guards;
  RelayHistory history;
  for (int i = 0; i < builds; ++i) {
    const auto route =
        draw_route(view, kSelf, id_of(kTarget), kHops, policy, guards, history, now, rng);
    EXPECT_TRUE(route);
    std::vector<NodeId> ids;
    for (const EntryPtr& hop : *route) ids.push_back(hop->descriptor.id);
    history.succeeded(ids, map.build_time(*route, rng), now);
    now.mono += 1s;
  }
  for (std::uint64_t i = 1; i <= kRelays; i += 4) {
    const double sixteenths = std::round(map.at(id_of(i)).load * 16);
    const auto load = static_cast<std::uint16_t>(std::min(65'535.0, sixteenths * 4'096));
    EXPECT_TRUE(history.loads().heard(id_of(i), link_number(i), load, now));
  }
  return history;
}

void print(const char* what, const Figures& f, const Figures& even) {
  std::printf("%-34s build mean %5.1f ms p95 %5.1f ms (%.2f, %.2f of even), entropy hop 1 to 3:",
              what, f.mean_ms, f.p95_ms, f.mean_ms / even.mean_ms, f.p95_ms / even.p95_ms);
  for (unsigned hop = 0; hop < kHops; ++hop) {
    std::printf(" %.2f bits (%.0f %%)", f.entropy[hop], 100 * f.entropy[hop] / even.entropy[hop]);
  }
  std::printf(", most likely %.3f\n", f.most_likely);
}

TEST(PathChoice, GainsLatencyAndStaysOpen) {
  double gain = 0;
  constexpr int kMaps = 3;
  for (std::uint64_t seed = 1; seed <= kMaps; ++seed) {
    const Map map(seed);
    const View claimed = map.claimed();
    const View even_view = map.even();
    Now now = at(1000s);
    const RelayHistory nothing;
    const RelayHistory knows = learned(map, claimed, 3'000, now);
    const Figures even = measure(map, even_view, nothing, false, false, now);
    const Figures capacity = measure(map, claimed, nothing, false, false, now);
    const Figures measured = measure(map, claimed, knows, false, false, now);
    const Figures speed = measure(map, claimed, knows, false, true, now);
    const Figures ours = measure(map, claimed, knows, true, true, now);
    std::printf("map %d of %zu relays, %u hops, a new list of guards for each circuit\n",
                static_cast<int>(seed), kRelays, kHops);
    print("  even", even, even);
    print("  by claimed capacity", capacity, even);
    print("  the same of measured ones", measured, even);
    print("  and by what builds took", speed, even);
    print("  and by reported load (ours)", ours, even);
    gain += even.mean_ms / ours.mean_ms / kMaps;
    for (unsigned hop = 0; hop < kHops; ++hop) {
      EXPECT_GE(ours.entropy[hop], kFloor * even.entropy[hop]) << "hop " << hop + 1;
    }
    EXPECT_LT(ours.mean_ms, even.mean_ms);
    EXPECT_LT(ours.most_likely, 0.1);
    EXPECT_LT(ours.most_likely, 3.0 / kRelays) << "twice its equal share, and chance";
  }
  std::printf("mean gain %.3f\n", gain);
  EXPECT_GT(gain, 1.1);
}

/// The floor holds for any map: the most extreme that capacities and history can make of it.
TEST(PathChoice, TheFloorHoldsAtTheExtremes) {
  // An eighth of the relays claims as much as can be claimed; the same are fast, all others slow.
  std::vector<EntryPtr> all;
  RelayHistory history;
  for (std::uint64_t i = 1; i <= kRelays; ++i) {
    all.push_back(entry_of(i, i % 8 == 0 ? UINT32_MAX : 1'000));
    all.back() = [&] {
      auto out = std::make_shared<Entry>(*all.back());
      out->descriptor.addresses = {SocketAddress::v4(10, static_cast<std::uint8_t>(i), 0, 1, 1)};
      return out;
    }();
  }
  for (int round = 0; round < 200; ++round) {
    for (std::uint64_t i = 1; i <= kRelays; ++i) {
      history.succeeded(std::array{id_of(i)}, i % 8 == 0 ? 20ms : 500ms, at(1000s));
    }
  }
  auto target = entry_of(kTarget);
  target->descriptor.relay = false;
  all.push_back(target);
  const View view(std::move(all));
  SeededRng rng(5);
  Guards guards;
  std::map<NodeId, int> seen;
  for (int i = 0; i < kDraws; ++i) {
    const auto route =
        draw_route(view, kSelf, id_of(kTarget), 2, {}, guards, history, at(1000s), rng);
    ASSERT_TRUE(route);
    ++seen[(*route)[1]->descriptor.id];
  }
  const double kept = entropy_of(seen) / std::log2(kRelays);
  std::printf("an eighth claims eight times the median and is far faster: entropy kept %.2f\n",
              kept);
  EXPECT_GE(kept, 0.6);
}

}  // namespace
}  // namespace qudag::netmap
