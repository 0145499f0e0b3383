// Cards of a keeper's own inboxes: who registered an inbox puts one, whoever has its spot gets it.
// In memory: a receiver puts it again when it registers again.
#include "keeper/registry.h"

#include "keeper/card/card.h"

#include <algorithm>

namespace qudag::keeper {
namespace {

constexpr std::uint64_t kPutCost = kPutEvery.count();
/// Clocks differ.
constexpr UnixSeconds kExpiresMax = std::chrono::seconds(kCardLifeMax).count() + 3'600;

}  // namespace

std::optional<wire::KeptStatus> Registry::put(const EndRef& control, const wire::PutFrame& frame,
                                              Now now) {
  using wire::KeptStatus;
  const UnixSeconds expires = UnixSeconds{frame.expires_minutes} * 60;
  if (expires > now.unix_seconds + kExpiresMax) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto at = controls_.find(control);
  if (at == controls_.end()) return std::nullopt;
  const auto id = std::ranges::find_if(at->second.inboxes, [&](const wire::InboxId& inbox) {
    return spot_here(inbox) == frame.spot;
  });
  if (id == at->second.inboxes.end()) return std::nullopt;
  Inbox& inbox = inboxes_.at(*id);
  if (!inbox.puts) inbox.puts.emplace(1, kPutsBurst * kPutCost, now.mono);
  if (!inbox.puts->take(kPutCost, now.mono)) return KeptStatus::too_fast;
  if (inbox.card == nullptr) {
    if (!room_for_card(now.unix_seconds)) return KeptStatus::no_room;
    auto card = std::make_unique<InboxCard>(InboxCard{
        .blob = {},
        .memory = {},
        .gets = sync::TokenBucket(bounds_.joins_per_second, bounds_.joins_burst, now.mono)});
    if (cards_memory_ != nullptr) {
      card->memory = memory::Reservation::take(*cards_memory_, wire::kCardBlobBytes);
      if (!card->memory) return KeptStatus::no_room;
    }
    card->spot = frame.spot;
    spots_.emplace(frame.spot, *id);
    inbox.card = std::move(card);
  }
  inbox.card->expires = expires;
  inbox.card->blob.assign(frame.blob.begin(), frame.blob.end());
  return KeptStatus::kept;
}

Registry::Got Registry::get(const wire::Spot& spot, Now now) {
  const std::lock_guard lock(mutex_);
  const auto at = spots_.find(spot);
  if (at == spots_.end()) return {};
  Inbox& inbox = inboxes_.at(at->second);
  if (inbox.card->expires <= now.unix_seconds) {
    drop_card(inbox);
    return {};
  }
  if (!inbox.card->gets.take(1, now.mono)) return {.too_fast = true, .wait_seconds = 1};
  return {.blob = inbox.card->blob};
}

/// Expired ones leave; a full store of good ones has none.
bool Registry::room_for_card(UnixSeconds today) {
  if (spots_.size() < bounds_.cards) return true;
  const auto old = std::ranges::find_if(
      spots_, [&](const auto& one) { return inboxes_.at(one.second).card->expires <= today; });
  if (old == spots_.end()) return false;
  drop_card(inboxes_.at(old->second));
  return true;
}

void Registry::drop_card(Inbox& inbox) {
  if (inbox.card == nullptr) return;
  spots_.erase(inbox.card->spot);
  inbox.card.reset();
}

}  // namespace qudag::keeper
