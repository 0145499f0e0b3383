// The life of a link: what may follow what, and the rules of time. Pure: it sees no packet and no
// clock; Connection tells it what happened, and asks what is due.
//
//                 answered     completed  goodbye   ended     gone
//   dialing       handshaking  -          -         draining  closed
//   handshaking   -            ready      -         draining  closed
//   ready         -            -          draining  draining  closed
//   draining      -            -          draining  draining  closed
//   closed        -            -          -         -         -
//
// "-" is refused: on() says false, and nothing changes. A goodbye is said or heard, and says why:
// the node stops, or another link takes this one's place. In the second case streams that are under
// way are welcome, and the link goes only when both sides said so and nothing came for a while.
#pragma once

#include "base/time.h"

#include <qudag/address.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qudag::link {

enum class LinkState : std::uint8_t { dialing, handshaking, ready, draining, closed };
std::string_view name_of(LinkState state);

enum class LifeEvent : std::uint8_t {
  answered,       // the first packet of the peer
  completed,      // the handshake, and the peer is who it should be
  said_goodbye,   // we did
  heard_goodbye,  // the peer did
  ended,          // for whatever reason; a last packet may be due
  gone,           // nothing of it is left
};

/// Why a link drains.
enum class Drain : std::uint8_t {
  replaced,  // another link is there, or will be: circuits end in their own time
  stopping,  // the node stops: no new circuits, the others have a moment
};

/// The table: the state after that event; nothing if it cannot happen in that state.
std::optional<LinkState> after(LinkState state, LifeEvent event);

struct LifeRules {
  Duration handshake_max = std::chrono::seconds(10);
  Duration unanswered_max = std::chrono::seconds(10);  // a dial, until the peer's first packet
  /// A link in use that says nothing for so long is dead; 0: only QUIC's idle timeout ends it.
  Duration silence_max{};
  Duration keepalive = std::chrono::seconds(20);  // while it carries streams or is kept warm
  Duration stopping_max = std::chrono::seconds(60);
  Duration replaced_max = std::chrono::minutes(20);
  /// The dialer replaces a link that is older; 0: never.
  Duration age_max{};
};

class Lifecycle {
 public:
  /// `spread`, 0 to 1: makes this link older or younger than others of its age, by up to an eighth.
  /// The rules outlive it.
  Lifecycle(const LifeRules& rules, bool dialer, TimePoint now, double spread = 0);

  LinkState state() const { return state_; }
  /// False: that cannot happen now, and nothing changed. `why` is of a goodbye.
  [[nodiscard]] bool on(LifeEvent event, TimePoint now, Drain why = Drain::stopping);

  /// New streams may begin here, by us.
  bool opens_streams() const { return state_ == LinkState::ready && usable(); }
  /// The same, or it may still become so.
  bool usable() const { return state_ <= LinkState::ready && !ended_ && !left_behind_; }
  /// Streams that the peer opens are taken.
  bool takes_streams() const {
    return !ended_ && (state_ == LinkState::ready ||
                       (state_ == LinkState::draining && !(said_ && drain_ == Drain::stopping)));
  }
  bool said_goodbye() const { return said_; }
  bool heard_goodbye() const { return heard_goodbye_; }
  Drain drain() const { return drain_; }

  // Signs of life. `probe` is how long QUIC waits for an answer on this path.
  /// Bytes of streams came or went. True if the link is in use from now on: keepalive() changed.
  bool note_used(TimePoint now);
  /// Anything came. True if it is not in use any more.
  bool note_heard(TimePoint now);
  /// Bytes of the control stream went: QUIC says them again until they are acknowledged, so the
  /// peer answers in time, whether anybody uses the link or not.
  void note_told(TimePoint now);
  /// This node itself was late: no peer's silence.
  void forgive(TimePoint now);
  /// It ends then, unless something is heard.
  void ask_until(TimePoint then) { asked_until_ = std::min(asked_until_, then); }
  /// It was asked, and has not answered yet.
  bool is_asked() const { return asked_until_ != kNever; }
  /// Nothing new begins here: our address is gone. False unless ready, or if it was before.
  bool leave_behind();
  void note_streams(std::size_t count, TimePoint now);
  /// Something is still to be said: not yet drained.
  void linger(TimePoint now) { unused_since_ = now; }
  /// QUIC may send nothing and waits for nothing, so nothing will change (Connection::stuck).
  void note_stuck(bool stuck, TimePoint now) {
    if (stuck != (stuck_since_ != kNever)) stuck_since_ = stuck ? now : kNever;
  }
  void keep_warm(bool warm) { warm_ = warm; }
  bool warm() const { return warm_; }
  /// How often the peer is asked for a sign of life; 0: never.
  Duration keepalive() const;

  /// Which rule ends it now, or changes its state.
  enum class Rule : std::uint8_t { none, handshake, silent, stuck, drain_too_long, drained, old };
  Rule due(TimePoint now, Duration probe) const;
  /// In use, and a peer that lives would have said something since.
  bool is_silent(TimePoint now, Duration probe) const {
    return in_use_ && now - heard_at_ >= std::max(rules_->silence_max / 3, 2 * probe);
  }
  /// When due() may say something else than none.
  TimePoint deadline(Duration probe) const;
  /// Ready, and without a stream for that long.
  bool unused_for(Duration quiet, TimePoint now) const {
    return opens_streams() && streams_ == 0 && now - unused_since_ >= quiet;
  }
  TimePoint born() const { return born_; }
  /// Whether who dialed `later`, as we heard of it, could not know of this link yet.
  bool overlaps(const Lifecycle& later, Duration probe) const {
    return later.born_ <= ready_at_ + probe;
  }

 private:
  TimePoint made_by() const;
  TimePoint answer_by(Duration probe) const;
  Duration silence_max(Duration probe) const { return std::max(rules_->silence_max, 4 * probe); }
  /// When a link without streams is done draining; kNever while it is not.
  TimePoint drained_at(Duration probe) const;
  TimePoint stuck_end(Duration probe) const;
  TimePoint old_at() const;

  const LifeRules* rules_;
  LinkState state_;
  bool dialer_;
  bool ended_ = false;
  bool said_ = false;
  bool heard_goodbye_ = false;
  bool in_use_ = false;  // was used a moment before it was last heard
  bool warm_ = false;
  bool left_behind_ = false;
  Drain drain_ = Drain::replaced;
  float spread_;
  std::uint32_t streams_ = 0;
  TimePoint born_;
  TimePoint ready_at_;
  TimePoint used_at_;
  TimePoint heard_at_;
  TimePoint unused_since_;
  TimePoint drain_end_ = kNever;
  TimePoint stuck_since_ = kNever;
  TimePoint asked_until_ = kNever;
  TimePoint told_at_ = kNever;  // what the control stream said, and nothing came since
};

/// Both nodes may dial at the same time. Of two links between the same shards of two nodes the one
/// that the node with the smaller id dialed stays; both sides come to the same answer. Of two that
/// the same node dialed the later one stays: that node has forgotten the earlier. Who dials
/// although there was a link for a while may have lost it, so then neither is the other's twin.
struct Twin {
  bool dialed_by_us = false;
  bool later = false;  // than the other
};
bool stays(const Twin& link, const Twin& other, const NodeId& self, const NodeId& peer);

}  // namespace qudag::link
