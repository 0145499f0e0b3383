// The set of signed descriptors that a node knows, its gossip, and routes drawn from it.
//
// One Netmap per node, on shard 0, owns and gossips. Every change makes a new View, an immutable
// snapshot that any shard may hold and draw routes from (netmap/map/view.h, netmap/routes/route.h).
//
// The way of a descriptor that comes from a link:
//   1. form and times (cheap; a wrong form is the peer's fault and closes the link);
//   2. an equal or newer one held, or no room: dropped, no signature is looked at;
//   3. it waits, bounded and fair between links, until on_time() verifies a few of them;
//   4. it replaces what was held, and is owed to every link that is not known to have it.
#pragma once

#include "base/bounded.h"
#include "base/link_id.h"
#include "base/rng.h"
#include "base/time.h"
#include "memory/budget.h"
#include "netmap/map/descriptor.h"
#include "netmap/map/view.h"
#include "netmap/routes/history.h"
#include "netmap/routes/route.h"
#include "netmap/stats.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace qudag::netmap {

/// What the owner knows of a link when it is ready.
struct LinkFacts {
  Reach reach = Reach::machine;    // of the address at its other end
  std::optional<NodeId> dialed{};  // whom we dialed, and who proved to be that one
  std::optional<NodeId> peer{};    // the same, or who dialed us and proved it
  SocketAddress remote{};
};

/// A relay to dial, in order to see whether it is there.
struct RelayTry {
  NodeId id;
  SocketAddress at;
};

/// What is kept of a descriptor over a restart.
struct Kept {
  EntryPtr entry;
  bool reached = false;
  bool counts = false;
};

/// How gossip leaves: the owner joins it to the control streams.
class GossipSink {
 public:
  virtual ~GossipSink() = default;
  /// False: no room now. Must not call back into the Netmap.
  virtual bool send(NodeLink link, std::uint8_t type, Bytes body) = 0;
};

struct NetmapOptions {
  NodeId self{};
  /// Shows its links what it holds and passes it on. A node that is no relay tells its links of
  /// nothing but itself: what it holds, and since when, would be a mark to know it by.
  bool passes_on = true;
  /// Relays count for routes, and are shown to others, only when they were reached: by this node,
  /// or (for routes) by who is believed (netmap/reached/belief.h). Off: in tests of other things.
  bool only_reached = false;
  std::size_t descriptors_max = limits::kNetmapDescriptorsMax;
  memory::Budget* memory = nullptr;  // of descriptors; null: no bound
  std::chrono::seconds digest_interval{60};
  std::size_t verifies_per_turn_max = 16;  // further descriptors wait in a bounded queue
  std::size_t waiting_max = limits::kVerifiesWaitingMax;
  std::size_t links_max = 4096;  // further links are served no gossip
  /// make_entry(). Another one lets many nodes of one process share what they hold.
  std::function<Result<EntryPtr>(Bytes, UnixSeconds, Reach)> make = make_entry;
};

class Netmap {
 public:
  Netmap(NetmapOptions options, Rng& rng, GossipSink& sink);
  ~Netmap();

  /// Our own descriptor, or one from a file: verified like any other, at once. Errors of
  /// parse_and_verify(); already_exists if an equal or newer one is held; refused_memory when full.
  Status add(Bytes raw, Now now);
  void on_link_ready(NodeLink link, Now now, const LinkFacts& facts = {});
  /// Who dialed us has proved who it is; its first frame follows.
  void on_link_named(NodeLink link, const NodeId& peer);
  void on_link_closed(NodeLink link);
  /// Its peer fell silent; on_link_closed() follows.
  void on_link_silent(NodeLink link, Now now);
  /// It did not answer, or fell silent: it is dialed now, and shown no more if it does not answer.
  void lost(const NodeId& relay, Now now);
  /// A link brought something then, or became ready. Frames and links that the netmap hears of are
  /// noted anyway.
  void heard(TimePoint at);
  /// Frames of others are ignored.
  bool knows(NodeLink link) const;
  /// DIGEST, WANT, DESCRIPTOR, SUMMARY, ASK. False: malformed, the caller closes the link with
  /// `protocol`.
  bool on_frame(NodeLink link, std::uint8_t type, Bytes body, Now now);
  /// Our bootstrap entries and guards: they always have a place, and are believed.
  void believe(std::vector<NodeId> ids, Now now);
  /// A relay to be dialed now, anew, even if there is a link with it; it counts as reached when
  /// that link is ready. Only for a node that passes on.
  std::optional<RelayTry> next_try(Now now);
  /// That one is not to be dialed for so long yet.
  void put_off_try(const NodeId& id, Duration wait, Now now);
  TimePoint next_try_at() const;
  /// What is worth keeping over a restart, at most so many: who is believed, then relays that
  /// count, drawn at random.
  std::vector<Kept> worth_keeping(std::size_t most);
  /// Such ones from an earlier run, verified by the caller. What is held already stays. A node that
  /// does not pass on takes none that was published more than four hours ago, twice a usual life,
  /// but those of who is believed.
  void restore(std::vector<Kept> kept, Now now);
  /// The wall clock was set: summaries go to all links now, and are asked of them.
  void on_clock_set(Now now);
  /// Verifies, sends what is owed, digests, expires: a bounded piece of each.
  void on_time(Now now);
  /// Not after the last `now` while work is left for the next turn.
  TimePoint next_deadline() const;

  ViewPtr view() const;
  /// Counts up with every change of the view.
  std::uint64_t version() const;
  NetmapStats stats() const;
  void report(BoundedList& out, Now now) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::netmap
