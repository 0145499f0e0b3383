// Dials that circuits of others cause: a build names a next hop, and there is no link to it.
//
//   1. such dials have places of their own, apart from links, and a rate for each link that asks;
//   2. when there is no place, the link with most dials gives up the one that it began first;
//   3. what such dials became are links, of which three quarters may come about so; then the asking
//      link that caused most gives up the one that carries least, for who caused fewer;
//   4. a next hop that did not answer at any of its addresses is not dialed again for a while, for
//      that asking link alone: what one link has learned to be dead changes nothing for the others,
//      so nobody can read off who asked for whom, or cut a node off from other people's circuits.
//
// Dials of our own have nothing to do with this: pool/redial.h is theirs.
// Pure: time is an argument. One owner. Limits: DialRules::dials_max dials and as many links as
// there may be, kDeadPerLinkMax dead next hops for each asking link and kDeadMax in all (beyond it
// they are not remembered).
#pragma once

#include "base/bounded.h"
#include "base/link_id.h"
#include "base/time.h"
#include "sync/token_bucket.h"
#include "telemetry/metric.h"

#include <qudag/address.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace qudag::link {

struct DialRules {
  std::size_t dials_max = 64;
  std::uint64_t per_second = 16;  // of one asking link; bursts of twice as many
  Duration dead_for = std::chrono::seconds(10);
};

struct DialStats {
  std::uint64_t begun = 0, given_up = 0, refused_rate = 0, known_dead = 0;
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<DialStats> kDials[] = {
    {{"qudag_dials_for_others_total",
      "Next hops that were dialed for circuits of others, by the result.", Kind::counter},
     label("result", "begun"),
     &DialStats::begun},
    {same, label("result", "given_up"), &DialStats::given_up},
    {same, label("result", "rate"), &DialStats::refused_rate},
    {same, label("result", "dead"), &DialStats::known_dead},
};
static_assert(telemetry::valid(kDials));

}  // namespace metrics

class DialPlaces {
 public:
  static constexpr std::size_t kDeadPerLinkMax = 64;
  static constexpr std::size_t kDeadMax = 2'048;

  enum class Answer : std::uint8_t { dial, dead, too_many };
  struct Verdict {
    Answer answer = Answer::dial;
    std::size_t address = 0;      // which of its addresses
    std::optional<LinkId> end{};  // the dial that makes place for it
  };

  explicit DialPlaces(const DialRules& rules) : rules_(rules) {}

  /// A circuit that came over `asker` goes on to `next`, which has so many addresses.
  Verdict ask(LinkId asker, const NodeId& next, std::size_t addresses, TimePoint now);
  void began(LinkId dial, LinkId asker, const NodeId& next);
  /// Another circuit waits for a dial: it counts for who has fewer. Nothing if it is none of these.
  void joined(LinkId dial, LinkId asker);
  /// It is not for others any more: it is ready, was given up, or a circuit of ours wants it. True
  /// if it was.
  bool leave(LinkId dial) { return take(dial).has_value(); }
  /// It answered, and is a link now. True if it was one of these dials.
  bool ready(LinkId dial);
  /// Of the links that came about so, those of the asking link that caused most; its own if none
  /// caused more.
  std::vector<LinkId> links_of_most(LinkId asker) const;
  /// That link is gone, or used for us.
  void forget_link(LinkId link);
  /// It did not answer.
  void failed(LinkId dial, TimePoint now);
  /// That asking link is gone.
  void forget(LinkId asker);

  std::size_t size() const { return dials_.size(); }
  const DialStats& stats() const { return stats_; }
  void report(BoundedList& out) const;

 private:
  struct Dial {
    LinkId dial;
    LinkId asker;
    NodeId next;
  };
  struct Dead {
    std::size_t failures = 0;  // the first so many addresses
    TimePoint until{};
  };

  std::optional<Dial> take(LinkId dial);
  static std::size_t held_by(const std::vector<Dial>& all, LinkId asker);
  static LinkId with_most(const std::vector<Dial>& all, LinkId asker);
  std::optional<LinkId> to_give_up(LinkId asker) const;
  bool make_room(LinkId asker, TimePoint now);

  const DialRules rules_;
  std::vector<Dial> dials_;  // the oldest first
  std::vector<Dial> links_;  // that they became
  std::map<std::pair<LinkId, NodeId>, Dead> dead_;
  std::map<LinkId, sync::TokenBucket> rates_;
  DialStats stats_;
};

}  // namespace qudag::link
