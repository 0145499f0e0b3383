// When a peer that did not answer may be dialed again.
//
//   1. each address of a peer that failed waits, twice as long each time: 250 ms to 30 s, with
//      jitter, so that those who lost the same peer do not come back together;
//   2. a dial inside the wait is refused at once: who asked can go elsewhere;
//   3. after the wait it is a retry, and retries have a budget for all peers together: a share of
//      the dials that are none, and a constant floor. So an outage of much of the network, or of
//      our own line, does not become a storm when it is over.
//
// A link that comes about, whoever dialed it, clears its peer. Another address (a new descriptor)
// starts afresh. What failed long ago is forgotten.
//
// Pure: time and chance are arguments. One owner. Limits: kEntriesMax addresses; then the one whose
// wait ended first is forgotten, which costs one early dial.
#pragma once

#include "base/bounded.h"
#include "base/rng.h"
#include "base/time.h"

#include <qudag/address.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace qudag::link {

struct RedialRules {
  Duration first = std::chrono::milliseconds(250);
  Duration longest = std::chrono::seconds(30);
  Duration forgotten_after = std::chrono::minutes(2);  // the end of its wait
  double retries_per_dial = 0.1;                       // that each first dial pays for
  double retries_per_second = 2;                       // the floor
  double retries_at_once = 20;                         // what may be saved up
};

class Redial {
 public:
  static constexpr std::size_t kEntriesMax = 1'024;

  enum class Answer : std::uint8_t { dial, too_soon, no_budget };

  explicit Redial(const RedialRules& rules) : rules_(rules), budget_(rules.retries_at_once) {}

  /// Whether that address is dialed now; if so, the dial is counted.
  Answer ask(const NodeId& peer, const SocketAddress& at, TimePoint now);
  void failed(const NodeId& peer, const SocketAddress& at, TimePoint now, Rng& rng);
  /// There is a link with that peer.
  void succeeded(const NodeId& peer);

  /// It did not answer lately, and has not been there since.
  bool failed_lately(const NodeId& peer, TimePoint now) const;

  std::uint64_t too_soon() const { return too_soon_; }
  std::uint64_t no_budget() const { return no_budget_; }
  std::uint64_t retries() const { return retries_; }
  std::size_t size() const { return entries_.size(); }
  void report(BoundedList& out) const;

 private:
  struct Entry {
    unsigned failures = 0;
    TimePoint until{};
  };
  using Key = std::pair<NodeId, SocketAddress>;

  bool take_from_budget(TimePoint now);
  void make_room();

  const RedialRules rules_;
  std::map<Key, Entry> entries_;
  double budget_;
  TimePoint budget_at_{};
  std::uint64_t too_soon_ = 0;
  std::uint64_t no_budget_ = 0;
  std::uint64_t retries_ = 0;
};

}  // namespace qudag::link
