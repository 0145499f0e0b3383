// Which relays to dial in order to see that they are there, and when.
//
// A relay counts only after a link to it was completed (store.h), so a relay that hears of a new
// one dials it. Whom it dials a stranger decides, so dials are few: of all, of those that one link
// brought, and into one network; links take turns. One that does not answer is tried again later
// and later. Who is believed to be there already (a trusted node has said so) is tried at a random
// time, later in larger networks: else a newcomer would be dialed by all at once.
//
// Pure: time and chance are arguments. Limits: one entry for each relay that is held, kNetworksMax
// networks.
#pragma once

#include "base/link_id.h"
#include "base/rng.h"
#include "base/time.h"

#include <qudag/address.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace qudag::netmap {

class Tries {
 public:
  static constexpr double kPerSecond = 8;  // in all
  static constexpr double kAtOnce = 32;
  static constexpr double kPerSecondOfSource = 2;  // that one link brought
  static constexpr double kAtOnceOfSource = 16;
  static constexpr double kPerSecondOfNetwork = 0.5;  // into one /16 or /32; loopback is exempt
  static constexpr double kAtOnceOfNetwork = 8;
  static constexpr std::size_t kNetworksMax = 1024;

  /// The source of what we saw ourselves.
  static constexpr NodeLink kSeen{.shard = UINT32_MAX - 2, .link = {}};

  explicit Tries(Rng& rng) : rng_(rng) {}

  /// A relay that was not reached yet, or at other addresses. `soon`: nobody believed says that it
  /// is there.
  void newcomer(const NodeId& id, NodeLink source, bool soon, std::size_t relays, Now now);
  /// It was reached: looked at again after some hours.
  void reached(const NodeId& id, std::size_t relays, Now now);
  /// Dialed within that time, and not before `earliest`, if it was to be later; it counts against
  /// `source` then. False: it is being tried anyway.
  bool sooner(const NodeId& id, NodeLink source, Duration within, TimePoint earliest, Now now);
  /// All that hear of a relay dial it in that time: about six a minute.
  static Duration spread(std::size_t relays);
  void forget(const NodeId& id);
  void source_gone(NodeLink source);
  /// Forgets those that are not held any more.
  void keep_if(const std::function<bool(const NodeId&)>& is_held);

  struct Try {
    NodeId id;
    unsigned failed = 0;  // tries before this one, since it was reached
  };
  /// Whom to dial now; it is tried again later unless reached() or forget() comes.
  /// `network_of`: of the address that would be dialed after so many tries that failed; nothing:
  /// exempt.
  std::optional<Try> next(
      const std::function<std::optional<std::uint64_t>(const NodeId&, unsigned)>& network_of,
      Now now);
  /// It could not be dialed yet: in a moment, as if nothing had been.
  void put_off(const NodeId& id, Duration wait, Now now);
  /// While there is nothing to dial; not after it.
  TimePoint next_deadline() const;
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Rate {
    double tokens;
    TimePoint at;
    bool take(double per_second, double at_once, TimePoint now);
  };
  struct Waiting {
    NodeLink source;
    TimePoint due;
    unsigned failed = 0;
  };
  struct Source {
    std::set<std::pair<TimePoint, NodeId>> due;
    Rate rate{kAtOnceOfSource, {}};
  };
  void put(const NodeId& id, NodeLink source, TimePoint due, unsigned failed);
  Duration random_below(Duration most);

  Rng& rng_;
  std::map<NodeId, Waiting> waiting_;
  std::map<NodeLink, Source> sources_;
  std::map<std::uint64_t, Rate> networks_;
  NodeLink last_served_;
  mutable std::optional<TimePoint> next_;  // known until the first one goes
  Rate all_{kAtOnce, {}};
};

}  // namespace qudag::netmap
