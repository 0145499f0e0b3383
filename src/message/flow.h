// A flow: the messages to one destination with the same priority, number of relays and isolation
// tag, all of them signed or none, and the circuits that they share. Signed ones keep to
// themselves: what shares a circuit with a signature has the signer's name.
#pragma once

#include "message/circuit_end.h"
#include "message/deadlines.h"
#include "message/envelope.h"
#include "message/pipe/record.h"
#include "sync/token_bucket.h"

#include <algorithm>
#include <compare>
#include <vector>

namespace qudag::message {

struct FlowKey {
  NodeId destination;
  std::uint64_t isolation = 0;
  Priority priority = Priority::normal;
  unsigned relays = 0;
  bool sign = false;
  IfAway if_away = IfAway::store;
  auto operator<=>(const FlowKey&) const = default;
};

struct FlowKeyHash {
  std::size_t operator()(const FlowKey& key) const noexcept {
    const std::size_t rest = key.isolation * 0x9e3779b97f4a7c15u +
                             static_cast<std::size_t>(key.if_away) * 64 +
                             static_cast<std::size_t>(key.priority) * 16 + key.relays * 2 +
                             static_cast<std::size_t>(key.sign);
    return std::hash<NodeId>{}(key.destination) ^ (rest * 0xff51afd7ed558ccdu);
  }
};

// What a lost circuit costs its flow, and how much a flow has saved, in seconds. A relay that
// breaks each circuit whose other relays it does not like is given another draw by every rebuild:
// six at once, then one in five seconds, however long the message may try.
inline constexpr std::uint64_t kLossCost = 5;
inline constexpr std::uint64_t kLossBurst = 6 * kLossCost;
/// Not those of which a relay says that it did not reach the next: as many as there are second
/// guards in use, and beside them; then one in five minutes.
inline constexpr std::uint64_t kUnreachedCost = 300;
inline constexpr std::uint64_t kUnreachedBurst = 8 * kUnreachedCost;

struct Flow : Timed {
  Flow(const FlowKey& k, TimePoint now)
      : Timed(TimedKind::flow),
        key(k),
        losses(1, kLossBurst, now),
        unreached(1, kUnreachedBurst, now) {}

  TimePoint may_build_at() const { return std::max(build_after, loss_after); }

  FlowKey key;
  EnvelopeOrder waiting;              // first in, first out; messages to be resent stand in front
  PipesInPlace pipes_waiting;         // for a circuit
  std::size_t pipes = 0;              // of the flow, wherever they are
  std::vector<CircuitEnd*> circuits;  // being built, ready and draining; a handful
  unsigned failures = 0;              // in a row
  unsigned silent = 0;                // circuits that did not answer, less those that did since
  Error last_failure;                 // of those
  TimePoint build_after{};            // no new circuit before
  TimePoint loss_after{};             // nor before its losses are paid for
  TimePoint hedge_after{};            // nor one beside those that are being built
  sync::TokenBucket losses;           // circuits that others ended, or that are late
  sync::TokenBucket unreached;        // those of which nobody behind the first relay heard
  std::uint64_t unpaid = 0;           // of the losses: more at once than it had saved for
  unsigned hedged = 0;                // builds beside late ones, since one was ready
  TimePoint deposits_until{};         // its receiver is away: what no hail holds goes in deposits
  bool build_ahead = false;           // its circuit is worn: another, though nothing waits
  TimePoint active{};
  Duration takes{};    // smoothed: how long a small message is under way, until its answer
  Links<Flow> marked;  // to be served by the next pump
};

/// Its other end has answered something that it was sent.
inline void prove(CircuitEnd& circuit_end) {
  circuit_end.proven = true;
  if (circuit_end.flow != nullptr) circuit_end.flow->failures = 0;
}

}  // namespace qudag::message
