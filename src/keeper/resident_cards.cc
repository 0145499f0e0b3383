// The card of a receiver, and what it is made of: keepers that come and leave, inbox keys that are
// replaced each day.
//
//   something changed -> renew_card(): written (KeptReceiver) -> tell_card(): signed, told to the
//   program, put at each keeper that has answered
//
// A keeper or key that is not on the disk is in no card: after a crash this receiver would not be
// there for who called by it.
#include "keeper/resident.h"

#include "crypto/kdf.h"
#include "keeper/say.h"

#include <algorithm>
#include <utility>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

/// A keeper that has no room, or does not answer, is asked again after about so long.
constexpr Duration kPutAgain = 10min;
/// A card that cannot be kept is told when the one before is good for no longer than this.
constexpr std::chrono::hours kUnsavedUntil{6};
constexpr Duration kSaveAgain = 30s;
constexpr std::uint64_t kCardLife = std::chrono::seconds(kCardLifeMax).count();

constexpr UnixSeconds seconds_of(std::chrono::hours time) {
  return static_cast<UnixSeconds>(std::chrono::seconds(time).count());
}

}  // namespace

Status Resident::restore(KeptReceiver kept, Now now) {
  master_ = std::move(kept.master);
  number_ = kept.number;
  replaced_ = std::min(kept.replaced, now.unix_seconds);
  pending_.published = kept.published;
  for (const KeptReceiver::Post& one : kept.posts) {
    // Given ones are those of this run; drawn ones stay for their time.
    const bool given = std::ranges::count(setup_.at, one.keeper) > 0;
    if (setup_.at.empty() ? one.until == 0 : !given) continue;
    Post& post = add_post(one.keeper, one.number, now);
    post.until = setup_.at.empty() ? one.until : 0;
    post.left_until = one.left;
    post.listed = one.listed;
  }
  for (const KeptReceiver::Key& one : kept.keys) {
    auto key = crypto::KemKeyPair::from_seed(
        std::span<const std::byte, crypto::kKemSeedSize>(one.seed.span()));
    if (!key) return std::unexpected(key.error());
    // A clock that was ahead would keep it for too long.
    keys_.push_back({std::move(*key), std::min(one.made, now.unix_seconds)});
  }
  return {};
}

KeptReceiver Resident::to_keep() const {
  KeptReceiver out;
  if (setup_.identity) out.identity = setup_.identity->seed();
  out.master = master_.clone();
  out.hidden = setup_.hidden;
  out.keepers = setup_.keepers;
  out.number = number_;
  out.published = pending_.published;
  out.replaced = replaced_;
  for (const Post& post : posts_) {
    out.posts.push_back({post.keeper, post.number, post.until, post.left_until, post.listed});
  }
  for (const InboxKey& key : keys_) out.keys.push_back({key.made, key.pair.seed()});
  return out;
}

void Resident::rotate_keys(Now now) {
  const UnixSeconds today = now.unix_seconds;
  if (today >= keys_.front().made + seconds_of(kInboxKeyAge)) {
    if (auto key = crypto::KemKeyPair::generate()) {
      keys_.push_front({std::move(*key), today});
      renew_card(now);
    }
  }
  bool dropped = false;
  while (keys_.size() > 1 && (today >= keys_.back().made + seconds_of(kLetterKeyKept) ||
                              keys_.size() > KeptReceiver::kKeysMax)) {
    keys_.pop_back();
    dropped = true;
  }
  if (dropped) renew_card(now);  // off the disk as well
}

bool Resident::leaves(const Post& post, Now now) const {
  return post.until != 0 && now.unix_seconds + seconds_of(kKeeperOverlap) >= post.until;
}

/// Those whose time is over, once another is in the card.
void Resident::retire_posts(Now now) {
  for (Post& post : posts_) {
    const bool over = !post.left() && post.until != 0 && now.unix_seconds >= post.until;
    if (!over) continue;
    const bool others = std::ranges::any_of(
        posts_, [&](const Post& one) { return one.listed && !one.left() && !leaves(one, now); });
    if (!others) continue;
    leave_post(post, now);
    return renew_card(now);
  }
}

// ---- the card -----------------------------------------------------------------------------------

/// Those that stay come first; a card has room for three.
Card Resident::card_now(Now now) const {
  Card out{.receiver = setup_.id, .places = {}, .inbox_key = keys_.front().pair.public_bytes()};
  for (const bool leaving : {false, true}) {
    for (const Post& post : posts_) {
      if (!post.listed || post.left() || leaves(post, now) != leaving) continue;
      if (out.places.size() < kKeepersMax) {
        out.places.push_back({.keeper = post.keeper, .inbox = post.inbox});
      }
    }
  }
  out.pin = pin_;
  return out;
}

void Resident::renew_card(Now now) {
  if (saving_) {
    changed_ = true;
    return;
  }
  Card next = card_now(now);
  if (next.places.empty()) return;
  next.published = std::max(now.unix_seconds, pending_.published + 1);
  next.expires = keys_.front().made + seconds_of(kInboxKeyKept);
  const bool same = next.places == told_.places && next.inbox_key == told_.inbox_key;
  if (!same) pending_ = std::move(next);
  if (!setup_.save) return same ? void() : tell_card(now);
  saving_ = true;
  const auto done = [this, same, alive = std::weak_ptr(alive_)](bool saved, Now then) {
    if (alive.expired() || closed_) return;
    saving_ = false;
    // A disk that is full: callers have a card that is good for long enough, so this one waits.
    if (!saved && told_.expires > then.unix_seconds + seconds_of(kUnsavedUntil)) {
      changed_ = true;
      save_again_ = then.mono + kSaveAgain;
      return;
    }
    if (!same) tell_card(then);
    if (std::exchange(changed_, false)) renew_card(then);
  };
  const bool saves = setup_.save(to_keep().encode(), done);
  if (saves) return;
  saving_ = false;
  changed_ = true;  // looked at each second
}

void Resident::tell_card(Now now) {
  told_ = pending_;
  if (setup_.identity) {
    const CardFields fields{.published = told_.published,
                            .expires = told_.published + kCardLife,
                            .flags = kCardPipes,
                            .places = told_.places,
                            .keys = {{.not_before = told_.published,
                                      .not_after = keys_.front().made + seconds_of(kInboxKeyKept),
                                      .key = told_.inbox_key}}};
    auto card = sign_card(*setup_.identity, fields);
    signed_ = card ? std::move(*card) : std::vector<std::byte>();
  }
  if (setup_.on_card) setup_.on_card(told_);
  std::vector<NodeId> all;  // saying something may end a circuit, and with it change posts
  for (Post& post : posts_) {
    post.has_card = false;
    all.push_back(post.keeper);
  }
  for (const NodeId& id : all) {
    const auto post = std::ranges::find(posts_, id, &Post::keeper);
    if (post != posts_.end()) put_card(*post, now);
  }
}

void Resident::put_card(Post& post, Now now) {
  if (signed_.empty() || post.state != ControlState::registered) return;
  post.put_at = now.mono + about(kPutAgain);
  const wire::Spot spot = spot_here(post.inbox);
  CardSalt salt;
  parts_.rng.fill(salt);
  CardBlob blob;
  seal_card(signed_, setup_.id, pin_, spot, salt, blob);
  static_cast<void>(tell(post.control, Priority::normal,
                         wire::PutFrame{.spot = spot,
                                        .expires_minutes = static_cast<std::uint32_t>(
                                            (told_.published + kCardLife) / 60),
                                        .nonce = {},
                                        .blob = blob},
                         now));
}

bool Resident::on_kept(Post& post, const wire::KeptFrame& frame, Now now) {
  const auto next = after(post.state, ControlEvent::kept);
  if (!next) return false;
  post.has_card = frame.status == wire::KeptStatus::kept;
  if (!post.has_card) post.put_at = now.mono + about(kPutAgain);
  return true;
}

// ---- what is told of it -------------------------------------------------------------------------

ReceiverStatus Resident::status() const {
  ReceiverStatus out{.name = setup_.name, .id = setup_.id, .hidden = setup_.hidden};
  for (const Post& post : posts_) {
    out.keepers.push_back({.id = post.keeper,
                           .registered = post.state == ControlState::registered,
                           .has_card = post.has_card,
                           .standbys = post.standbys.size(),
                           .until = post.until});
  }
  out.conversations = tunnels_;
  out.invitation = Invitation::of(told_);
  return out;
}

}  // namespace qudag::keeper
