// Gossip with the links: what they show is compared, wanted, and descriptors are owed to them.
//
// A link's peer says in a SUMMARY what it shows, as sixteen fingerprints. Each is compared with
// what it showed before, as far as we know, and with what we show it ourselves. If it is neither,
// the part is asked for: its own sixteen, or its entries, where these are few or most are new.
// Nothing is remembered of an exchange: each frame stands for itself.
//
// Everything that a peer can ask for is paid from an allowance of its link, so that small frames
// cannot make large work: `work` in entries looked at, `sends` in descriptors per second. What an
// allowance does not cover is dropped; the next digest makes up for it.
#pragma once

#include "base/bounded.h"
#include "base/rng.h"
#include "base/time.h"
#include "memory/scratch.h"
#include "netmap/map/store.h"
#include "netmap/netmap.h"
#include "netmap/reached/belief.h"
#include "sync/token_bucket.h"
#include "wire/control.h"

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace qudag::netmap {

class Gossip {
 public:
  Gossip(const NetmapOptions& options, Store& store, Belief& belief, Rng& rng, GossipSink& sink,
         NetmapStats& stats);

  void on_link_ready(NodeLink link, Now now, const LinkFacts& facts);
  void on_link_closed(NodeLink link);
  void named(NodeLink link, const NodeId& peer);
  std::optional<NodeId> peer_of(NodeLink link) const;
  bool knows(NodeLink link) const { return links_.contains(link); }
  /// Of one that is gone nothing is known any more: its addresses must reach the world.
  Reach reach_of_link(NodeLink link) const;
  /// How many descriptors it may have brought that nobody proved.
  std::size_t share_of_link(NodeLink link) const;
  /// Whom we dialed there.
  std::optional<NodeId> dialed_over(NodeLink link) const;
  /// Nodes that we dialed and that have shown it, or passed it on.
  std::vector<NodeId> showed(const Record& held) const;
  /// A link is ready that we dialed to that node at an address that it publishes.
  std::optional<SocketAddress> linked_at(const DescriptorFacts& descriptor) const;
  /// False: malformed.
  bool on_summary(NodeLink link, Bytes body, Now now);
  bool on_ask(NodeLink link, Bytes body, Now now);
  bool on_digest(NodeLink link, Bytes body, Now now);
  /// Relays that we reached, that the sender of the last DIGEST or SUMMARY, whose word counts, had
  /// shown, and that it does not show any more. A few of them.
  std::span<const NodeId> shown_no_more() const { return shown_no_more_; }
  bool on_want(NodeLink link, Bytes body, Now now);

  /// The link sent us a descriptor that we hold, or an older one: it has at least that.
  void seen_from(NodeLink link, Record& held, std::uint64_t rank);
  /// The link sent an older one than `held`: if its peer is the subject, it is told what stands.
  void stands(NodeLink link, Record& held);
  /// `held` is new: owed to every link that is not known to have it.
  void spread(NodeLink source, Record& held);

  /// Summaries go to all links in the next turns, and are asked of them.
  void compare_all(Now now);
  /// It is shown no more: links hear of it by the digest of its range, soon.
  void shown_no_more_by_us(const NodeId& id, Now now);
  /// It answered: who showed it no more was wrong, or it is back.
  void answered(Record& held);
  /// How much its chance suffers, anew.
  void judge_doubts(Record& held);
  void on_time(Now now);
  TimePoint next_deadline(TimePoint now) const;
  std::size_t owed() const { return owed_; }
  const memory::Scratch& scratch() const { return scratch_; }
  void report(BoundedList& out) const;

 private:
  struct Link {
    std::size_t slot;
    LinkFacts facts;
    sync::TokenBucket work;
    sync::TokenBucket sends;
    TimePoint next_summary;
    TimePoint blocked_until{};  // the sink had no room
    std::deque<NodeId> owed{};  // the bit in Record::owed decides; an id without it is skipped
    std::deque<std::pair<TimePoint, NodeId>> sent{};  // the bits in Record::sent, oldest first
    std::deque<std::pair<TimePoint, wire::Ask>> answers{};  // ranges that it asked for, and when
    TimePoint told_own{};   // when it was last sent our own descriptor
    std::size_t asked = 0;  // entries of wanted_ that were asked of this link
  };
  using Links = std::map<NodeLink, Link>;
  /// A descriptor that digests show and that we lack.
  struct Wanted {
    std::uint64_t rank = 0;
    NodeLink asked_of;
    TimePoint asked_at{};
    unsigned asked = 0;  // times
    LinkSet shown;
  };

  bool send(NodeLink link, wire::ControlType type, Bytes body);
  void send_summary(NodeLink key, Link& link, Now now);
  wire::Summary shown_to(const Link& link, const wire::IdRange& range, std::uint64_t nonce);
  wire::Summary shown_by(const Link& link, const wire::IdRange& range, std::uint64_t nonce);
  std::vector<wire::DigestEntry> entries_for(const Link& link, const wire::IdRange& range);
  void note_range(NodeLink key, Link& link, const wire::IdRange& range,
                  std::span<const wire::DigestEntry> entries, Now now);
  void note_no_more(Record& held, const Link& link, bool counts);
  void answer_some(Now now);
  bool answer_one(NodeLink key, Link& link, Now now);
  void repeat_own(NodeLink key, Link& link, Now now);
  bool may_tell(const Record& held, const Link& link) const;
  bool word_counts(const Link& link) const;
  void choose_gone(Now now);
  void tell_gone(Now now);
  bool should_ask(const wire::DigestEntry& entry, NodeLink key, const Link& link, Now now);
  void sweep_wanted(Now now);
  Links::iterator another_that_shows(const Wanted& wanted);
  void send_want(NodeLink key, std::span<const NodeId> ids);
  void forget_wanted(std::map<NodeId, Wanted>::iterator at);
  void owe(NodeLink key, Link& link, Record& held);
  void pay_owed(Now now);
  bool pay_one(NodeLink key, Link& link, Now now);
  void forget_sent(Link& link, Now now);
  std::size_t take_slot();

  const NetmapOptions& options_;
  Store& store_;
  Belief& belief_;
  Rng& rng_;
  GossipSink& sink_;
  NetmapStats& stats_;

  Links links_;
  std::set<std::pair<TimePoint, NodeLink>> summaries_due_;
  std::set<NodeLink> answering_;  // links that asked for ranges
  NodeLink last_answered_;
  std::set<NodeLink> debtors_;  // links to which something is owed
  NodeLink last_paid_;
  std::size_t owed_ = 0;
  std::map<NodeId, Wanted> wanted_;
  TimePoint wanted_swept_{};
  std::vector<bool> slots_used_;
  static constexpr std::size_t kShownNoMoreMax = 64;  // of one frame
  std::vector<NodeId> shown_no_more_;
  // Relays that we show no more; when the next digests of them leave, of which ranges, and which
  // links get them then.
  std::set<NodeId> gone_;
  std::vector<wire::IdRange> gone_told_;
  TimePoint gone_next_{};
  std::set<NodeLink> gone_links_;
  // For one frame: its entries, whom to ask for what, and the WANT that says so. A start and the
  // most that a digest of 400 entries needs.
  memory::Scratch scratch_{2 * 1024, 48 * 1024};
};

}  // namespace qudag::netmap
