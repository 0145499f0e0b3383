#include "keeper/cards.h"

#include <algorithm>

namespace qudag::keeper {
namespace {

/// A keeper that failed is asked again as any other after so long.
constexpr Duration kFailedFor = std::chrono::minutes(1);
constexpr Duration kGoneFor = std::chrono::seconds(10);
/// A card is not looked up again because of doubts within so long.
constexpr Duration kLookUpEvery = std::chrono::minutes(1);

bool is_good(const KnownCard& known, UnixSeconds today) {
  return known.key != nullptr && (known.card.expires == 0 || known.card.expires > today);
}

bool has_pin(const Card& card) { return card.pin != decltype(card.pin){}; }

}  // namespace

Status Cards::add(const Card& card) {
  if (card.places.empty() || card.places.size() > kKeepersMax) {
    return fail(Errc::malformed, "a card has 1 to 3 keepers");
  }
  auto key = crypto::KemPublicKey::import(card.inbox_key);
  if (!key) return fail(Errc::malformed, "the inbox key of the card");
  auto known = std::make_shared<KnownCard>(
      KnownCard{card, std::make_shared<const crypto::KemPublicKey>(std::move(*key))});
  const std::lock_guard lock(mutex_);
  put(card.receiver, std::move(known));
  return {};
}

void Cards::put(const NodeId& receiver, KnownCardPtr known) {
  const auto [at, first] = cards_.try_emplace(receiver);
  at->second = {.known = std::move(known)};
  if (!first) return;
  order_.push_back(receiver);
  if (order_.size() > kCardsMax) {
    cards_.erase(order_.front());
    order_.pop_front();
  }
}

Status Cards::invite(const Invitation& invitation, UnixSeconds today) {
  if (invitation.places.empty() || invitation.places.size() > kKeepersMax) {
    return fail(Errc::malformed, "an invitation names 1 to 3 keepers");
  }
  if (invitation.pin == decltype(invitation.pin){}) {
    return fail(Errc::malformed, "an invitation has a pin");
  }
  Card card{.receiver = invitation.receiver, .places = invitation.places, .pin = invitation.pin};
  const std::lock_guard lock(mutex_);
  const auto at = cards_.find(invitation.receiver);
  if (at != cards_.end() && at->second.known->card.pin == invitation.pin &&
      is_good(*at->second.known, today)) {
    return {};
  }
  put(invitation.receiver, std::make_shared<KnownCard>(KnownCard{std::move(card), nullptr}));
  return {};
}

void Cards::remove(const NodeId& receiver) {
  const std::lock_guard lock(mutex_);
  if (cards_.erase(receiver) > 0) std::erase(order_, receiver);
}

KnownCardPtr Cards::learn(const Card& card, Now now) {
  auto key = crypto::KemPublicKey::import(card.inbox_key);
  if (!key) return nullptr;
  auto learned = std::make_shared<const KnownCard>(
      KnownCard{card, std::make_shared<const crypto::KemPublicKey>(std::move(*key))});
  {
    const std::lock_guard lock(mutex_);
    const auto at = cards_.find(card.receiver);
    if (at == cards_.end()) return nullptr;
    Entry& entry = at->second;
    entry.doubted = false;
    entry.looked_up = now.mono;
    const KnownCardPtr before = entry.known;
    if (is_good(*before, now.unix_seconds) && before->card.published >= card.published) {
      return before;
    }
    entry.known = learned;
    entry.failed = {};
    if (before->card.places == card.places) return learned;
  }
  const std::lock_guard lock(handler_mutex_);
  if (handler_) handler_(card);
  return learned;
}

bool Cards::looks_up(const KnownCard& known, Now now) const {
  if (!is_good(known, now.unix_seconds)) return has_pin(known.card);
  const std::lock_guard lock(mutex_);
  const auto at = cards_.find(known.card.receiver);
  return at != cards_.end() && at->second.doubted;
}

void Cards::doubt(const NodeId& receiver, Now now) {
  const std::lock_guard lock(mutex_);
  const auto at = cards_.find(receiver);
  if (at == cards_.end() || !has_pin(at->second.known->card)) return;
  Entry& entry = at->second;
  if (entry.looked_up == TimePoint{} || now.mono - entry.looked_up >= kLookUpEvery) {
    entry.doubted = true;
  }
}

void Cards::set_handler(CardHandler handler) {
  const std::lock_guard lock(handler_mutex_);
  handler_ = std::move(handler);
}

KnownCardPtr Cards::find(const NodeId& receiver) const {
  const std::lock_guard lock(mutex_);
  const auto at = cards_.find(receiver);
  return at == cards_.end() ? nullptr : at->second.known;
}

const Card::Place& Cards::pick(const KnownCard& known, Rng& rng, Now now) const {
  const auto& places = known.card.places;
  const std::lock_guard lock(mutex_);
  const auto at = cards_.find(known.card.receiver);
  const auto failed_at = [&](std::size_t i) {
    const bool same = at != cards_.end() && at->second.known.get() == &known;
    const TimePoint when = same ? at->second.failed[i] : TimePoint{};
    return when == TimePoint{} || now.mono - when >= kFailedFor ? TimePoint{} : when;
  };
  // From any of them on, so that those that did not fail are equal.
  const std::size_t begin = rng.below(places.size());
  std::size_t best = begin;
  for (std::size_t n = 1; n < places.size(); ++n) {
    const std::size_t i = (begin + n) % places.size();
    if (failed_at(i) < failed_at(best)) best = i;
  }
  return places[best];
}

void Cards::failed(const NodeId& receiver, const NodeId& keeper, Now now, bool gone) {
  const std::lock_guard lock(mutex_);
  const auto at = cards_.find(receiver);
  if (at == cards_.end()) return;
  const auto& places = at->second.known->card.places;
  const auto place = std::ranges::find(places, keeper, &Card::Place::keeper);
  if (place == places.end()) return;
  TimePoint& when = at->second.failed[static_cast<std::size_t>(place - places.begin())];
  when = std::max(when, now.mono + (gone ? kGoneFor : Duration{}));
}

bool Cards::is_last(const NodeId& receiver, const NodeId& keeper, Now now) const {
  const std::lock_guard lock(mutex_);
  const auto at = cards_.find(receiver);
  if (at == cards_.end()) return false;
  const auto& places = at->second.known->card.places;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const TimePoint when = at->second.failed[i];
    const bool lately = when != TimePoint{} && now.mono - when < kFailedFor;
    if (places[i].keeper != keeper && !lately) return false;
  }
  return true;
}

std::size_t Cards::size() const {
  const std::lock_guard lock(mutex_);
  return cards_.size();
}

}  // namespace qudag::keeper
