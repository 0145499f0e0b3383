// To whom a link is kept, or opened ahead of need: the peers that circuits are most likely to ask
// for next.
//
//   1. asked() counts each circuit that wants a link to a peer; counts fade with a half-life, so
//      that the set follows what is wanted now;
//   2. choose() fills the places with those that can be expected to be asked for: by their count,
//      or, if that is more, by the share of all requests that the owner says will be theirs (our
//      guards; a relay that everybody draws). Who has a place keeps it unless another is clearly
//      ahead. A link that is there costs little to keep; one that is not is worth its handshake for
//      those that were asked for more than once, or whose share says so;
//   3. when nobody has been asked for in `idle_after`, all places are empty: an idle node keeps no
//      links. What was asked is still known when traffic comes back.
//
// Pure: time is an argument, and links are the owner's. One owner. Limits: `links_max` places,
// kAskedMax peers with a count; beyond it the one with the least is forgotten.
#pragma once

#include "base/bounded.h"
#include "base/time.h"

#include <qudag/address.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <span>
#include <vector>

namespace qudag::link {

struct WarmRules {
  std::size_t links_max = 16;  // 0: no link is kept or opened ahead
  Duration half_life = std::chrono::minutes(5);
  Duration idle_after = std::chrono::minutes(2);
};

/// A peer, and the share of the requests that it can be expected to get, 0 to 1.
struct Likely {
  NodeId peer;
  double share = 0;
};

class WarmSet {
 public:
  static constexpr std::size_t kAskedMax = 1'024;

  explicit WarmSet(const WarmRules& rules) : rules_(rules) {}

  void asked(const NodeId& peer, TimePoint now);
  /// A link was asked for lately, to whomever.
  bool in_use(TimePoint now) const;
  /// Fills the places anew; who has lost its place.
  std::vector<NodeId> choose(std::span<const Likely> likely, TimePoint now);
  struct Place {
    NodeId peer;
    bool worth_opening = false;  // if there is no link
  };
  std::span<const Place> chosen() const { return chosen_; }
  std::size_t places() const { return rules_.links_max; }
  void report(BoundedList& out) const;

 private:
  struct Demand {
    double count = 0;  // at `at`; fades from there on
    TimePoint at{};
  };
  double count_now(const Demand& demand, TimePoint now) const;
  void make_room(TimePoint now);
  bool has_place(const NodeId& peer) const;
  struct Candidate {
    double weight = 0;
    Place place;
  };
  std::vector<Candidate> candidates(std::span<const Likely> likely, TimePoint now) const;

  const WarmRules rules_;
  std::map<NodeId, Demand> asked_;
  std::vector<Place> chosen_;
  TimePoint last_asked_ = TimePoint::min();
};

}  // namespace qudag::link
