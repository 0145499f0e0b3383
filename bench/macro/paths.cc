// How open the choice of each hop is, and what second guards bring and cost. Steps:
//   1. a map of 200 relays as nodes really have it (nobody claims a capacity), and the same with 1,
//      4 and 10 relays that claim as much as can be claimed;
//   2. routes of many nodes, each with new guards, and of one node that keeps its own: the entropy
//      of each position and the largest share of one relay;
//   3. with ten hostile relays of 200: how many nodes have had one of them as second hop;
//   4. the same relays with places on a square 80 ms wide, and nodes that learn from their builds:
//      how long builds take.
// Nothing is timed: the figures are of draws, and vary with chance only.
#include "scenarios.h"

#include "crypto/kem.h"
#include "crypto/random.h"
#include "netmap/routes/route.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <map>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kHops = 3;
constexpr std::size_t kRelays = 200;
constexpr std::size_t kSecondGuards = 4;
constexpr std::size_t kHostile = 10;
constexpr UnixSeconds kToday = 1'800'000'000;
constexpr Now kNow{TimePoint(1h), kToday};

NodeId id_of(std::uint32_t number) {
  NodeId out;
  store_be(out.bytes.data(), number * 0x9e3779b1u);
  return out;
}
const NodeId kSelf = id_of(50'000), kTarget = id_of(40'000);

/// Each relay in a network of its own.
netmap::EntryPtr entry_of(std::uint32_t number, bool relay, std::uint32_t claim,
                          const std::shared_ptr<const crypto::KemPublicKey>& key) {
  auto entry = std::make_shared<netmap::Entry>();
  netmap::DescriptorFacts& d = entry->descriptor;
  d.id = id_of(number);
  d.published = kToday - 10;
  d.expires = kToday + 86'400;
  d.relay = relay;
  d.capacity_kib_s = claim;
  d.version_min = d.version_max = 1;
  d.addresses = {SocketAddress::v4(static_cast<std::uint8_t>(20 + number / 250),
                                   static_cast<std::uint8_t>(number % 250), 0, 1, 4433)};
  entry->keys.resize(16 + crypto::kKemPublicSize);
  ByteWriter out(entry->keys);
  out.u64(kToday - 86'400);
  out.u64(kToday + 86'400);
  out.put(key->bytes());
  return entry;
}

Result<netmap::View> map_with(std::size_t liars) {
  auto pair = crypto::KemKeyPair::generate();
  if (!pair) return std::unexpected(pair.error());
  auto key = crypto::KemPublicKey::import(pair->public_bytes());
  if (!key) return std::unexpected(key.error());
  const auto shared = std::make_shared<const crypto::KemPublicKey>(std::move(*key));
  std::vector<netmap::EntryPtr> all{entry_of(40'000, false, 0, shared)};
  for (std::uint32_t i = 0; i < kRelays; ++i) {
    all.push_back(entry_of(i, true, i < liars ? UINT32_MAX : 0, shared));
  }
  return netmap::View(std::move(all));
}

struct Position {
  std::map<NodeId, double> seen;
  double draws = 0;

  void add(const NodeId& id) { ++seen[id], ++draws; }
  double bits() const {
    double out = 0;
    for (const auto& [id, count] : seen) out -= count / draws * std::log2(count / draws);
    return out;
  }
  /// The most drawn relay, in equal shares.
  double most() const {
    double out = 0;
    for (const auto& [id, count] : seen) out = std::max(out, count);
    return out * kRelays / draws;
  }
  /// The first relays of the map together, in equal shares of as many.
  double first_ones(std::size_t count) const {
    double out = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto at = seen.find(id_of(i));
      if (at != seen.end()) out += at->second;
    }
    return out * kRelays / draws / static_cast<double>(count);
  }
};
using Positions = std::array<Position, kHops>;

class Draws {
 public:
  explicit Draws(const netmap::View& view) : view_(view) {}

  Result<std::vector<netmap::EntryPtr>> route(netmap::Guards& guards, std::size_t second_guards,
                                              const netmap::RelayHistory& history, Now now = kNow) {
    return draw_route(view_, kSelf, kTarget, kHops, {.second_guards = second_guards}, guards,
                      history, now, rng_);
  }

  /// Of so many nodes a route each, or so many routes of one node.
  Result<Positions> positions(std::size_t draws, std::size_t second_guards, bool one_node) {
    const netmap::RelayHistory nothing;
    netmap::Guards own;
    Positions out;
    for (std::size_t i = 0; i < draws; ++i) {
      netmap::Guards fresh;
      const auto drawn = route(one_node ? own : fresh, second_guards, nothing);
      if (!drawn) return std::unexpected(drawn.error());
      for (unsigned hop = 0; hop < kHops; ++hop) out[hop].add((*drawn)[hop]->descriptor.id);
    }
    return out;
  }

  /// The part of nodes that had one of the first relays of the map as second hop.
  Result<double> met_hostile(std::size_t nodes, std::size_t circuits, std::size_t second_guards) {
    const netmap::RelayHistory nothing;
    double met = 0;
    for (std::size_t node = 0; node < nodes; ++node) {
      netmap::Guards guards;
      bool hit = false;
      for (std::size_t i = 0; i < circuits && !hit; ++i) {
        const auto drawn = route(guards, second_guards, nothing);
        if (!drawn) return std::unexpected(drawn.error());
        for (std::uint32_t one = 0; one < kHostile; ++one) {
          hit = hit || (*drawn)[1]->descriptor.id == id_of(one);
        }
      }
      met += hit ? 1 : 0;
    }
    return met / static_cast<double>(nodes);
  }

  /// Mean and p95 of the builds of nodes anywhere, when each has learned from those before.
  Result<std::pair<double, double>> build_ms(std::size_t nodes, std::size_t builds,
                                             std::size_t second_guards) {
    std::vector<double> all;
    for (std::size_t node = 0; node < nodes; ++node) {
      places_.clear();
      netmap::Guards guards;
      netmap::RelayHistory history;
      Now now = kNow;
      for (std::size_t i = 0; i < builds; ++i, now.mono += 1s) {
        const auto drawn = route(guards, second_guards, history, now);
        if (!drawn) return std::unexpected(drawn.error());
        const double took = time_of(*drawn);
        std::vector<NodeId> ids;
        for (const auto& hop : *drawn) ids.push_back(hop->descriptor.id);
        history.succeeded(ids, Duration(static_cast<Duration::rep>(took * 1e6)), now);
        if (i >= builds / 2) all.push_back(took);
      }
    }
    std::ranges::sort(all);
    double mean = 0;
    for (const double one : all) mean += one / static_cast<double>(all.size());
    return std::pair(mean, all[all.size() * 95 / 100]);
  }

 private:
  std::pair<double, double> place_of(const NodeId& id) {
    const auto [at, is_new] = places_.try_emplace(id);
    if (is_new) at->second = {80 * rng_.unit(), 80 * rng_.unit()};
    return at->second;
  }
  double time_of(const std::vector<netmap::EntryPtr>& drawn) {
    double ms = 0;
    auto here = place_of(kSelf);
    for (const auto& hop : drawn) {
      const auto next = place_of(hop->descriptor.id);
      ms += 2 * std::hypot(here.first - next.first, here.second - next.second) + 4 * rng_.unit();
      here = next;
    }
    return ms;
  }

  const netmap::View& view_;
  crypto::SystemRng rng_;
  std::map<NodeId, std::pair<double, double>> places_;
};

void add_positions(const std::string& name, const Positions& positions, std::size_t liars,
                   Results& out) {
  for (unsigned hop = 0; hop < kHops; ++hop) {
    const std::string row = fmt::format("paths/{}/hop{}", name, hop + 1);
    Row& bits = out.add(row + "_entropy", "bits", true);
    bits.runs = {positions[hop].bits()};
    bits.limit = std::log2(kRelays);
    out.add(row + "_most", "x even", false).runs = {positions[hop].most()};
    if (liars == 0) continue;
    out.add(row + "_liars", "x even", false).runs = {positions[hop].first_ones(liars)};
  }
}

}  // namespace

Status paths_scenario(const BenchArgs& args, Results& out) {
  const std::size_t nodes = args.quick ? 300 : 40'000;
  for (const std::size_t liars : {0, 1, 4, 10}) {
    const auto view = map_with(liars);
    if (!view) return std::unexpected(view.error());
    Draws draws(*view);
    const std::string map = liars == 0 ? "product_map" : fmt::format("{}_liars", liars);
    for (const std::size_t second_guards : {kSecondGuards, std::size_t{0}}) {
      const auto positions = draws.positions(nodes, second_guards, false);
      if (!positions) return std::unexpected(positions.error());
      add_positions(map + (second_guards > 0 ? "/clients" : "/relays"), *positions, liars, out);
    }
  }
  const auto view = map_with(0);
  if (!view) return std::unexpected(view.error());
  Draws draws(*view);
  for (const std::size_t second_guards : {kSecondGuards, std::size_t{0}}) {
    const std::string name = fmt::format("second_guards_{}", second_guards > 0 ? "on" : "off");
    const auto one = draws.positions(nodes / 10, second_guards, true);
    if (!one) return std::unexpected(one.error());
    add_positions(name + "/one_node", *one, 0, out);
    const auto met =
        draws.met_hostile(args.quick ? 20 : 1'000, args.quick ? 20 : 200, second_guards);
    if (!met) return std::unexpected(met.error());
    out.add("paths/" + name + "/hostile_second_hop", "of nodes", false).runs = {*met};
    const auto ms = draws.build_ms(args.quick ? 2 : 40, args.quick ? 40 : 2'000, second_guards);
    if (!ms) return std::unexpected(ms.error());
    out.add("paths/" + name + "/build_mean", "ms", false).runs = {ms->first};
    out.add("paths/" + name + "/build_p95", "ms", false).runs = {ms->second};
  }
  out.note(fmt::format(
      "paths: {} relays, {} hops. clients: nodes that are no relay, with {} second guards; relays: "
      "any second hop. `_most` is the share of the most drawn relay in equal shares, of {} draws, "
      "so "
      "chance alone makes it {:.2f} or so; `_liars` that of all who claim, in equal shares. "
      "one_node: all routes of one node. hostile_second_hop: the "
      "part of nodes that had one of {} hostile relays as second hop within 200 circuits.",
      kRelays, kHops, kSecondGuards, nodes,
      1 + 2.8 / std::sqrt(static_cast<double>(nodes) / kRelays), kHostile));
  return {};
}

}  // namespace qudag::app::bench
