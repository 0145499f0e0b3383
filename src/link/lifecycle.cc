#include "link/lifecycle.h"

#include <array>

namespace qudag::link {
namespace {

constexpr std::size_t kStates = 5;
constexpr std::size_t kEvents = 6;
constexpr auto kNo = static_cast<LinkState>(0xff);

using enum LinkState;
/// As in the head of lifecycle.h; a goodbye has two columns, said and heard.
constexpr std::array<std::array<LinkState, kEvents>, kStates> kTable = {{
    {handshaking, kNo, kNo, kNo, draining, closed},
    {kNo, ready, kNo, kNo, draining, closed},
    {kNo, kNo, draining, draining, draining, closed},
    {kNo, kNo, draining, draining, draining, closed},
    {kNo, kNo, kNo, kNo, kNo, kNo},
}};

/// A link that is replaced goes after so many probe times without a stream: what its peer opened
/// before it heard of that is there by then, even if it was lost once.
constexpr int kLingerProbes = 3;
/// What is stuck has had its last answer by then, if there was one.
constexpr int kStuckProbes = 3;
/// What was asked of a peer while this shard did not look gets so much longer.
constexpr auto kLate = std::chrono::milliseconds(100);

}  // namespace

std::string_view name_of(LinkState state) {
  switch (state) {
    case LinkState::dialing:
      return "dialing";
    case LinkState::handshaking:
      return "handshaking";
    case LinkState::ready:
      return "ready";
    case LinkState::draining:
      return "draining";
    case LinkState::closed:
      return "closed";
  }
  return "?";
}

std::optional<LinkState> after(LinkState state, LifeEvent event) {
  const LinkState next = kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
  return next == kNo ? std::nullopt : std::optional(next);
}

Lifecycle::Lifecycle(const LifeRules& rules, bool dialer, TimePoint now, double spread)
    : rules_(&rules),
      state_(dialer ? LinkState::dialing : LinkState::handshaking),
      dialer_(dialer),
      spread_(static_cast<float>(spread)),
      born_(now),
      ready_at_(now),
      used_at_(now),
      heard_at_(now),
      unused_since_(now) {}

bool Lifecycle::on(LifeEvent event, TimePoint now, Drain why) {
  const auto next = after(state_, event);
  if (!next || (ended_ && event != LifeEvent::gone)) return false;
  state_ = *next;
  switch (event) {
    case LifeEvent::answered:
      break;
    case LifeEvent::completed:
      ready_at_ = unused_since_ = now;
      break;
    case LifeEvent::said_goodbye:
    case LifeEvent::heard_goodbye: {
      const bool first = !said_ && !heard_goodbye_;
      (event == LifeEvent::said_goodbye ? said_ : heard_goodbye_) = true;
      if (first || why == Drain::stopping) drain_ = why;
      unused_since_ = std::max(unused_since_, now);
      const Duration most = drain_ == Drain::stopping ? rules_->stopping_max : rules_->replaced_max;
      drain_end_ = std::min(drain_end_, now + most);
      break;
    }
    case LifeEvent::ended:
    case LifeEvent::gone:
      ended_ = true;
      drain_end_ = kNever;
      break;
  }
  return true;
}

// ---- Signs of life ------------------------------------------------------------------------------
//
// While a link is in use its keepalive is a third of the longest silence, so a peer that lives says
// something in time. In use it is from the first byte of a stream until the peer has been heard
// long after the last one.

bool Lifecycle::note_used(TimePoint now) {
  used_at_ = now;
  if (in_use_ || ended_ || state_ < LinkState::ready || rules_->silence_max.count() == 0) {
    return false;
  }
  in_use_ = true;  // it is asked a third of the silence from now: it need not have been heard now
  heard_at_ = std::max(heard_at_, now - rules_->silence_max / 3);
  return true;
}

bool Lifecycle::note_heard(TimePoint now) {
  heard_at_ = now;
  asked_until_ = told_at_ = kNever;
  if (!in_use_ || heard_at_ - used_at_ < rules_->silence_max) return false;
  in_use_ = false;
  return true;
}

void Lifecycle::note_told(TimePoint now) {
  if (told_at_ != kNever || state_ < LinkState::ready || rules_->silence_max.count() == 0) return;
  told_at_ = now;
}

/// What is known of the path of a link that nobody uses is old, and nobody waits for it.
TimePoint Lifecycle::answer_by(Duration probe) const {
  return told_at_ == kNever ? kNever : told_at_ + (in_use_ ? 1 : 2) * silence_max(probe);
}

void Lifecycle::forgive(TimePoint now) {
  heard_at_ = now;
  if (asked_until_ != kNever) asked_until_ = std::max(asked_until_, now + kLate);
  if (told_at_ != kNever) told_at_ = std::max(told_at_, now);
}

bool Lifecycle::leave_behind() {
  if (!opens_streams()) return false;
  left_behind_ = true;
  return true;
}

void Lifecycle::note_streams(std::size_t count, TimePoint now) {
  streams_ = static_cast<std::uint32_t>(count);
  if (count > 0) return;
  unused_since_ = now;
  in_use_ = false;
}

Duration Lifecycle::keepalive() const {
  if (in_use_) return rules_->silence_max / 3;
  return streams_ > 0 || warm_ ? rules_->keepalive : Duration{};
}

// ---- Rules --------------------------------------------------------------------------------------

/// A circuit waits for this link, and its source for a word of where it is stuck: a peer that is
/// not there is told from one that is slow.
TimePoint Lifecycle::made_by() const {
  const Duration most = rules_->handshake_max;
  return born_ + (state_ == LinkState::dialing ? std::min(rules_->unanswered_max, most) : most);
}

TimePoint Lifecycle::drained_at(Duration probe) const {
  if (state_ != LinkState::draining || ended_ || streams_ > 0) return kNever;
  if (drain_ == Drain::stopping) return unused_since_;
  return said_ && heard_goodbye_ ? unused_since_ + kLingerProbes * probe : kNever;
}

TimePoint Lifecycle::stuck_end(Duration probe) const {
  return stuck_since_ == kNever ? kNever : stuck_since_ + kStuckProbes * probe;
}

TimePoint Lifecycle::old_at() const {
  if (!dialer_ || state_ != LinkState::ready || rules_->age_max.count() == 0) return kNever;
  const auto eighth = static_cast<double>(rules_->age_max.count()) / 8;
  return born_ + rules_->age_max +
         Duration(static_cast<Duration::rep>(eighth * (2.0 * static_cast<double>(spread_) - 1)));
}

Lifecycle::Rule Lifecycle::due(TimePoint now, Duration probe) const {
  if (ended_) return Rule::none;
  if (state_ < LinkState::ready) {
    return now >= made_by() ? Rule::handshake : Rule::none;
  }
  if (in_use_ && now - heard_at_ >= silence_max(probe)) return Rule::silent;
  if (std::min(asked_until_, answer_by(probe)) <= now) return Rule::silent;
  if (stuck_end(probe) <= now) return Rule::stuck;
  if (drain_end_ <= now) return Rule::drain_too_long;
  if (drained_at(probe) <= now) return Rule::drained;
  return old_at() <= now ? Rule::old : Rule::none;
}

TimePoint Lifecycle::deadline(Duration probe) const {
  if (ended_) return kNever;
  if (state_ < LinkState::ready) return made_by();
  const TimePoint silent = in_use_ ? heard_at_ + silence_max(probe) : kNever;
  // Of a node that stops its owner looks, when the last circuit ends and when the goodbye is sent.
  const TimePoint drained = drain_ == Drain::stopping ? kNever : drained_at(probe);
  return std::min(
      {silent, asked_until_, answer_by(probe), stuck_end(probe), drain_end_, drained, old_at()});
}

bool stays(const Twin& link, const Twin& other, const NodeId& self, const NodeId& peer) {
  if (link.dialed_by_us == other.dialed_by_us) return link.later;
  return link.dialed_by_us == (self < peer);
}

}  // namespace qudag::link
