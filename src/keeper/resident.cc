// Steps of on_time(): keepers that are missing -> for each: its control circuit, its standbys,
// signs of life. The rest is what keepers say.
#include "keeper/resident.h"

#include "base/secret.h"
#include "crypto/kdf.h"
#include "keeper/say.h"
#include "message/messages.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLookEvery = 1s;
constexpr Duration kFirstRetry = 250ms, kLongestRetry = 60s;
/// From the build of a control circuit to REGISTERED, and from PING to PONG.
constexpr Duration kAnswerMax = 25s;
constexpr Duration kControlPing = 60s, kStandbyPing = 240s;
constexpr Duration kStandbyAge = 12h;
/// First hops, when a circuit broke.
constexpr Duration kAskWithin = 1s, kAskEvery = 10s;
constexpr Duration kPeakTime = 10min;
// A keeper that is lost so often in so long, or away for so long, is replaced: one a day.
constexpr std::size_t kLostMax = 3;
constexpr Duration kLostIn = 10min, kAwayFor = 10min;
constexpr UnixSeconds kReplaceEvery = 24 * 3600;
constexpr std::uint64_t kBuildCost = kBuildEvery.count();

template <class State, class Event>
bool step(State& state, Event event) {
  const auto next = after(state, event);
  if (next) state = *next;
  return next.has_value();
}

bool is_frames(Bytes payload) {
  return payload.front() == static_cast<std::byte>(wire::KeeperPayload::frames);
}

}  // namespace

Resident::Resident(Setup setup, const Parts& parts, Now now)
    : setup_(std::move(setup)),
      parts_(parts),
      seen_(kHailsSeenMax),
      peak_at_(now.mono),
      intake_(setup_.id, parts.ports, parts.seen) {
  parts_.rng.fill(master_.span());
}

Result<std::unique_ptr<Resident>> Resident::make(Setup setup, const Parts& parts, Now now) {
  auto out = std::unique_ptr<Resident>(new Resident(std::move(setup), parts, now));
  if (out->setup_.kept) {
    const Status restored = out->restore(std::move(*out->setup_.kept), now);
    out->setup_.kept.reset();
    if (!restored) return std::unexpected(restored.error());
  }
  const Key256 pin = crypto::hkdf_expand_key(out->master_, "pin");
  std::copy_n(pin.span().begin(), out->pin_.size(), out->pin_.begin());
  if (out->keys_.empty()) {
    auto key = crypto::KemKeyPair::generate();
    if (!key) return std::unexpected(key.error());
    out->keys_.push_front({std::move(*key), now.unix_seconds});
  }
  return out;
}

/// Something between three quarters and five quarters of it.
Duration Resident::about(Duration time) {
  const auto whole = static_cast<std::uint64_t>(time.count());
  return Duration(static_cast<Duration::rep>(whole - whole / 4 + parts_.rng.below(whole / 2 + 1)));
}

Resident::Place Resident::find(circuit::CircuitId circuit) {
  for (Post& post : posts_) {
    if (post.control == circuit) return {&post, nullptr};
    const auto at = post.standbys.find(circuit.value);
    if (at != post.standbys.end()) return {&post, &at->second};
  }
  return {};
}

// ---- time ---------------------------------------------------------------------------------------

void Resident::on_time(Now now) {
  if (closed_) return;
  intake_.on_time(now);
  ask_due(now);
  if (now.mono < look_at_) return;
  look_at_ = now.mono + kLookEvery;
  rotate_keys(now);
  if (changed_ && !saving_ && now.mono >= save_again_) renew_card(now);
  if (now.mono - peak_at_ >= kPeakTime) {
    peak_before_ = std::exchange(peak_, tunnels_);
    peak_at_ = now.mono;
  }
  end_left(now);
  replace_lost(now);
  retire_posts(now);
  fill_posts(now);
  for (Post& post : posts_) look_after(post, now);
}

TimePoint Resident::next_deadline() const {
  if (closed_) return kNever;
  return intake_.due() ? TimePoint::min() : std::min(look_at_, ask_at_);
}

void Resident::fill_posts(Now now) {
  const std::size_t most =
      setup_.at.empty() ? std::min(setup_.keepers, kKeepersMax) : setup_.at.size();
  for (;;) {
    std::vector<NodeId> others;
    for (const Post& post : posts_) others.push_back(post.keeper);
    const auto staying = std::ranges::count_if(
        posts_, [&](const Post& post) { return !post.left() && !leaves(post, now); });
    if (static_cast<std::size_t>(staying) >= most) return;
    if (posts_.size() >= KeptReceiver::kPostsMax) return;
    std::optional<NodeId> keeper;
    if (setup_.at.empty()) {
      keeper = parts_.ways.draw_keeper(others, now);
    } else {
      const auto next = std::ranges::find_if(
          setup_.at, [&](const NodeId& id) { return std::ranges::count(others, id) == 0; });
      if (next != setup_.at.end()) keeper = *next;  // these are never replaced
    }
    if (!keeper) return;
    Post& post = add_post(*keeper, number_++, now);
    if (!setup_.at.empty()) continue;
    const auto term = about(kKeeperTerm) / 1s;
    post.until = now.unix_seconds + static_cast<UnixSeconds>(term);
  }
}

Resident::Post& Resident::add_post(const NodeId& keeper, std::uint32_t number, Now now) {
  Post& post = posts_.emplace_back();
  post.keeper = keeper;
  post.number = number;
  std::array<std::byte, NodeId::kSize + 4> context;
  ByteWriter writer(context);
  writer.put(keeper.bytes);
  writer.u32(number);
  const Key256 owner = crypto::hkdf_expand_key(master_, "owner", context);
  std::ranges::copy(owner.span(), post.owner.begin());
  post.inbox = inbox_id(post.keeper, post.owner);
  post.away_since = now.mono;
  post.builds = sync::TokenBucket(1, kBuildsBurst * kBuildCost, now.mono);
  post.hails = sync::TokenBucket(kHailsPerSecond, kHailsBurst, now.mono);
  post.letters.bad = sync::TokenBucket(kHailsPerSecond, kHailsBurst, now.mono);
  return post;
}

/// One that is lost again and again, or gone. Not more than one a day: a keeper that is attacked
/// for being ours does not walk us through all others.
void Resident::replace_lost(Now now) {
  if (!setup_.at.empty()) return;
  if (replaced_ != 0 && now.unix_seconds < replaced_ + kReplaceEvery) return;
  for (auto at = posts_.begin(); at != posts_.end(); ++at) {
    if (at->left()) continue;
    while (!at->lost.empty() && now.mono - at->lost.front() >= kLostIn) at->lost.pop_front();
    const bool away =
        at->state != ControlState::registered && now.mono - at->away_since >= kAwayFor;
    if (at->lost.size() < kLostMax && !away) continue;
    // Only if there is another one to go to.
    std::vector<NodeId> others;
    for (const Post& post : posts_) others.push_back(post.keeper);
    if (!parts_.ways.draw_keeper(others, now)) return;
    leave_post(*at, now);
    replaced_ = now.unix_seconds;
    ++stats_.replaced;
    return renew_card(now);
  }
}

void Resident::look_after(Post& post, Now now) {
  switch (post.state) {
    case ControlState::none:
      return build_control(post, now);
    case ControlState::building:
    case ControlState::registering:
      if (now.mono - post.asked >= kAnswerMax) end(post.control, now);
      return;
    case ControlState::lost:
      if (now.mono >= post.retry_at) {
        static_cast<void>(step(post.state, ControlEvent::retry));
        build_control(post, now);
      }
      return;
    case ControlState::registered:
      break;
  }
  keep_signs_of_life(post, now);
  if (!post.has_card && now.mono >= post.put_at) put_card(post, now);
  if (post.state != ControlState::registered) return;
  fetch_again(post, now);
  if (post.state != ControlState::registered || post.left() || post.doubted) return;
  std::size_t normal = 0, low = 0;
  for (const auto& [id, standby] : post.standbys) {
    if (!standby.worn) ++(standby.priority == Priority::low ? low : normal);
  }
  for (; normal < wanted(post) && post.standbys.size() < post.standbys_max; ++normal) {
    if (!build_standby(post, Priority::normal, now)) return;
  }
  for (; low < std::min(post.knocked[1], kLowStandbysMost); ++low) {
    if (post.standbys.size() >= post.standbys_max) return;
    if (!build_standby(post, Priority::low, now)) return;
  }
  post.knocked[0] = 0;
}

/// As many as were at once in conversations lately, and one: callers that come one after the other
/// find one that waits, and make us build nothing.
std::size_t Resident::wanted(const Post& post) const {
  std::size_t joined = 0;
  for (const auto& [id, standby] : post.standbys) {
    joined += standby.state == StandbyState::joined ? 1 : 0;
  }
  const std::size_t usual =
      std::clamp(std::max(peak_, peak_before_) + 1, kStandbysLeast, kStandbysMost);
  return std::max({usual, joined + 1, joined + post.knocked[0]});
}

void Resident::keep_signs_of_life(Post& post, Now now) {
  if (now.mono >= post.pong_by) return end(post.control, now);
  if (now.mono >= post.ping_at) {
    post.ping_at = now.mono + about(kControlPing);
    if (post.pong_by == kNever) post.pong_by = now.mono + kAnswerMax;
    if (!tell(post.control, Priority::normal, wire::KeeperPing{parts_.rng.u64()}, now)) return;
  }
  std::vector<std::pair<circuit::CircuitId, bool>> due;  // and whether it is old
  for (auto& [id, standby] : post.standbys) {
    const bool late =
        standby.state == StandbyState::building && now.mono - standby.asked >= kAnswerMax;
    if (late || now.mono >= standby.parted_by) due.emplace_back(circuit::CircuitId{id}, true);
    if (standby.state != StandbyState::waiting) continue;
    const bool over = standby.worn || now.mono >= standby.old_at;
    if (!over && now.mono < standby.ping_at) continue;
    standby.ping_at = now.mono + about(kStandbyPing);
    due.emplace_back(circuit::CircuitId{id}, over);
  }
  for (const auto& [circuit, over] : due) {
    if (over) {
      end(circuit, now);
    } else {
      const Place place = find(circuit);
      if (!place) continue;
      ++place.standby->pings;
      static_cast<void>(
          tell(circuit, place.standby->priority, wire::KeeperPing{parts_.rng.u64()}, now));
    }
  }
}

// ---- building -----------------------------------------------------------------------------------

void Resident::build_control(Post& post, Now now) {
  if (!post.builds.take(kBuildCost, now.mono)) return;
  auto route = parts_.ways.to_keeper(post.keeper, setup_.hidden, now);
  Secret<onion::kRiderBytes> rider;
  write_rider(wire::RegisterFrame{{wire::InboxEntry{.owner = post.owner}}}, rider.span());
  static_cast<void>(step(post.state, ControlEvent::build));
  post.asked = now.mono;
  ++stats_.builds;
  auto circuit = route ? parts_.ends.build(*this, *route, Priority::normal, rider.span(), now)
                       : Result<circuit::CircuitId>(std::unexpected(route.error()));
  if (!circuit) {
    post.builds.give_back(kBuildCost, now.mono);  // nobody heard of it
    if (route && message::is_gone(circuit.error())) parts_.ways.late(*route, true, now);
    return lose(post, now);
  }
  post.route = std::move(*route);
  post.control = *circuit;
  post.stream = {};
}

/// False: not now.
bool Resident::build_standby(Post& post, Priority priority, Now now) {
  if (!post.builds.take(kBuildCost, now.mono)) return false;
  auto route = parts_.ways.to_keeper(post.keeper, setup_.hidden, now);
  Secret<onion::kRiderBytes> rider;
  write_rider(wire::StandbyFrame{post.binding}, rider.span());
  ++stats_.builds;
  auto circuit = route ? parts_.ends.build(*this, *route, priority, rider.span(), now)
                       : Result<circuit::CircuitId>(std::unexpected(route.error()));
  if (!circuit) {
    post.builds.give_back(kBuildCost, now.mono);  // nobody heard of it
    if (route && message::is_gone(circuit.error())) parts_.ways.late(*route, true, now);
    return false;
  }
  Standby& standby = post.standbys[circuit->value];
  standby.priority = priority;
  standby.route = std::move(*route);
  standby.asked = now.mono;
  standby.ping_at = now.mono + about(kStandbyPing);
  standby.old_at = now.mono + about(kStandbyAge);
  return true;
}

void Resident::on_built(circuit::CircuitId circuit, Duration took, Now now) {
  const Place place = find(circuit);
  if (!place) return;
  if (place.standby != nullptr) {
    static_cast<void>(step(place.standby->state, StandbyEvent::built));
    return parts_.ways.built(place.standby->route, true, SIZE_MAX, took, now);
  }
  static_cast<void>(step(place.post->state, ControlEvent::built));
  parts_.ways.built(place.post->route, true, SIZE_MAX, took, now);
}

// ---- ends ---------------------------------------------------------------------------------------

/// The control circuit is gone; conversations go on.
void Resident::lose(Post& post, Now now) {
  if (post.state == ControlState::registered) {
    post.lost.push_back(now.mono);
    if (post.lost.size() > kLostMax) post.lost.pop_front();
    post.away_since = now.mono;
  }
  static_cast<void>(step(post.state, ControlEvent::ended));
  post.control = {};
  post.pong_by = kNever;
  post.doubted = false;
  const Duration wait = std::min(kFirstRetry * (1 << std::min(post.failures, 8u)), kLongestRetry);
  ++post.failures;
  post.retry_at = now.mono + about(wait);
  look_at_ = std::min(look_at_, post.retry_at);
  // Its idle standbys end at the keeper, and those that are being built find no binding.
  std::vector<circuit::CircuitId> idle;
  for (auto& [id, standby] : post.standbys) {
    standby.worn = true;
    if (standby.state <= StandbyState::waiting) idle.push_back({id});
  }
  for (const circuit::CircuitId circuit : idle) end(circuit, now);
}

void Resident::drop(Post& post, Now now) {
  std::vector<circuit::CircuitId> all;
  for (const auto& [id, standby] : post.standbys) all.push_back({id});
  for (const circuit::CircuitId circuit : all) end(circuit, now);
  if (post.control != circuit::CircuitId{}) {
    parts_.ends.close(std::exchange(post.control, {}), now);
  }
}

/// By our own wish.
void Resident::end(circuit::CircuitId circuit, Now now) {
  if (!find(circuit)) return;
  parts_.ends.close(circuit, now);
  forget(circuit, {Errc::circuit_failed, "closed by the receiver"}, circuit::Circuits::kHopUnknown,
         now);
}

void Resident::on_ended(circuit::CircuitId circuit, const Error& why, Now now) {
  const Place place = find(circuit);
  if (!place) return;
  const bool built = place.standby != nullptr ? place.standby->state != StandbyState::building
                                              : place.post->state >= ControlState::registering;
  if (place.standby != nullptr && built) doubt(*place.post, now);
  if (built && why == Errc::link_closed) {
    const auto& route = place.standby != nullptr ? place.standby->route : place.post->route;
    parts_.ways.late(route, true, now);
  }
  forget(circuit, why, parts_.ends.circuits().failed_hop(), now);
  if (built) ask_first_hops(now);
}

/// Who broke it may stand before other keepers as well, where nothing is under way: a receiver that
/// waits hears nothing of a first hop that died. Only the hops see that they are asked, a PING on
/// the circuits behind them would show their keepers that both are ours; and each is asked in its
/// own moment, and seldom, so that a keeper that breaks a circuit sees little of it at a guard.
void Resident::ask_first_hops(Now now) {
  if (!parts_.ask || now.mono < ask_again_) return;
  ask_again_ = now.mono + kAskEvery;
  const auto ask = [&](circuit::CircuitId circuit) {
    const auto info = parts_.ends.circuits().info(circuit);
    if (!info || std::ranges::count(asks_, info->next.link, &Ask::link) > 0) return;
    const auto wait = parts_.rng.below(static_cast<std::uint64_t>(kAskWithin.count()));
    asks_.push_back({now.mono + Duration(static_cast<Duration::rep>(wait)), info->next.link});
    ask_at_ = std::min(ask_at_, asks_.back().at);
  };
  for (const Post& post : posts_) {
    if (post.control != circuit::CircuitId{}) ask(post.control);
    for (const auto& [id, standby] : post.standbys) ask({id});
  }
}

/// If the keeper is gone its control circuit is, too, but that may be found out later: until then
/// new standbys would end as that one did.
void Resident::doubt(Post& post, Now now) {
  if (post.state != ControlState::registered || post.doubted) return;
  post.doubted = true;
  post.ping_at = look_at_ = now.mono;
}

void Resident::ask_due(Now now) {
  if (now.mono < ask_at_) return;
  ask_at_ = kNever;
  std::vector<LinkId> due;
  std::erase_if(asks_, [&](const Ask& one) {
    if (one.at <= now.mono) due.push_back(one.link);
    if (one.at > now.mono) ask_at_ = std::min(ask_at_, one.at);
    return one.at <= now.mono;
  });
  for (const LinkId link : due) parts_.ask(link, now);
}

void Resident::forget(circuit::CircuitId circuit, const Error& why, std::size_t failed_hop,
                      Now now) {
  const Place place = find(circuit);
  if (!place) return;
  Post& post = *place.post;
  if (place.standby == nullptr) {
    if (post.state == ControlState::building)
      on_build_ended(post, post.route, why, failed_hop, now);
    return closed_ ? void() : lose(post, now);
  }
  if (place.standby->state == StandbyState::building) {
    on_build_ended(post, place.standby->route, why, failed_hop, now);
  }
  const bool talked = place.standby->state == StandbyState::joined;
  const circuit::CircuitId tunnel = place.standby->tunnel;
  post.standbys.erase(circuit.value);
  if (!talked) return;
  --tunnels_;
  parts_.ports.ended(tunnel, {Errc::circuit_failed, why.detail}, now);
}

/// As messages do it (CircuitPool::on_ended): a limit is no defect, and ours is nobody's.
void Resident::on_build_ended(Post& post, std::span<const onion::RouteHop> route, const Error& why,
                              std::size_t failed_hop, Now now) {
  if (message::is_local(why)) return;
  if (why == Errc::refused_by_peer && failed_hop < route.size()) {
    return parts_.ways.refused(route, failed_hop, now);
  }
  parts_.ways.built(route, false, failed_hop, {}, now);
  if (failed_hop != 0 || route.size() < 2 || !message::is_gone(why)) return;
  parts_.ways.gone(route, now);
  // Our own link: nobody behind it, so no keeper either, has brought that about. How often such a
  // link is dialed has bounds of its own.
  post.builds.give_back(kBuildCost, now.mono);
}

void Resident::on_draining(circuit::CircuitId circuit, bool, Now) {
  const Place place = find(circuit);
  if (place && place.standby != nullptr) place.standby->worn = true;
}

void Resident::on_sendable(circuit::CircuitId circuit, Now now) {
  const Place place = find(circuit);
  if (place && place.standby != nullptr && place.standby->state == StandbyState::joined) {
    parts_.ports.sendable_again(place.standby->tunnel, now);
  }
}

void Resident::close(Now now) {
  closed_ = true;
  intake_.close(now);
  for (Post& post : posts_) drop(post, now);
  posts_.clear();
}

// ---- what keepers say ---------------------------------------------------------------------------

bool Resident::tell(circuit::CircuitId circuit, Priority priority, const wire::KeeperFrame& frame,
                    Now now) {
  if (say(parts_.ends.circuits(), circuit, priority, frame, now)) return bool(find(circuit));
  end(circuit, now);
  return false;
}

std::size_t Resident::on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) {
  Place place = find(circuit);
  if (!place) return 0;
  if (!is_frames(payload.bytes())) {
    std::size_t work = 1;
    const bool allowed = place.standby != nullptr && !place.standby->stream.partial() &&
                         step(place.standby->state, StandbyEvent::payload);
    if (!allowed || (place.standby->state == StandbyState::joined &&
                     !parts_.ports.take(place.standby->tunnel, std::move(payload), work, now))) {
      end(circuit, now);
    }
    return work;
  }
  wire::KeeperStream stream =
      std::move(place.standby != nullptr ? place.standby->stream : place.post->stream);
  const bool of_control = place.standby == nullptr;
  const bool ok = stream.take(payload.bytes().subspan(1), [&](const wire::KeeperFrame& frame) {
    return of_control ? on_control_frame(circuit, frame, now)
                      : on_standby_frame(circuit, frame, now);
  });
  place = find(circuit);
  if (!place) return 4;
  (place.standby != nullptr ? place.standby->stream : place.post->stream) = std::move(stream);
  if (!ok) end(circuit, now);
  return 4;
}

/// False: the circuit has ended, or has to.
bool Resident::on_control_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame,
                                Now now) {
  const Place place = find(circuit);
  if (!place) return false;
  Post& post = *place.post;
  if (const auto* registered = std::get_if<wire::RegisteredFrame>(&frame)) {
    return on_registered(post, *registered, now);
  }
  if (const auto* knock = std::get_if<wire::KnockFrame>(&frame)) {
    if (!step(post.state, ControlEvent::knock)) return false;
    ++stats_.knocks;
    post.knocked[0] = std::max<std::size_t>(post.knocked[0], knock->normal);
    post.knocked[1] = std::max<std::size_t>(post.knocked[1], knock->low);
    look_after(post, now);
    return bool(find(circuit));
  }
  if (const auto* kept = std::get_if<wire::KeptFrame>(&frame)) return on_kept(post, *kept, now);
  if (const auto* letter = std::get_if<wire::LetterFrame>(&frame)) {
    return step(post.state, ControlEvent::letter) && on_letter(post, *letter);
  }
  if (const auto* piece = std::get_if<wire::PieceFrame>(&frame)) {
    return step(post.state, ControlEvent::letter) && on_letter_piece(circuit, *piece, now);
  }
  if (std::holds_alternative<wire::KeeperPong>(frame)) {
    if (post.pong_by == kNever) return false;  // unasked
    post.pong_by = kNever;
    post.doubted = false;
    look_at_ = now.mono;
    return step(post.state, ControlEvent::pong);
  }
  return false;
}

bool Resident::on_registered(Post& post, const wire::RegisteredFrame& frame, Now now) {
  if (!step(post.state, ControlEvent::registered)) return false;
  const bool taken = frame.status == wire::RegisterStatus::taken && frame.inboxes.size() == 1 &&
                     frame.inboxes.front().status == wire::RegisterStatus::taken;
  if (!taken) return false;  // another life of this receiver, or a keeper that is full
  ++stats_.registered;
  post.binding = frame.binding;
  post.standbys_max = std::min<std::size_t>(frame.standbys, 2 * kStandbysMost);
  post.failures = 0;
  post.ping_at = now.mono + about(kControlPing);
  const circuit::CircuitId control = post.control;
  post.has_card = false;  // it may have forgotten it
  post.put_at = now.mono;
  look_after(post, now);
  if (!post.left()) {
    post.listed = true;
    renew_card(now);
  }
  if (find(control)) fetch_letters(post, now);
  return bool(find(control));
}

bool Resident::on_standby_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame,
                                Now now) {
  const Place place = find(circuit);
  if (!place) return false;
  if (const auto* offer = std::get_if<wire::OfferFrame>(&frame)) {
    return on_offer(circuit, *offer, now);
  }
  if (std::holds_alternative<wire::PartFrame>(frame)) return on_part(circuit, now);
  if (std::holds_alternative<wire::KeeperPong>(frame)) {
    if (place.standby->pings == 0) return false;  // unasked
    --place.standby->pings;
    return step(place.standby->state, StandbyEvent::pong);
  }
  return false;
}

bool Resident::on_offer(circuit::CircuitId circuit, const wire::OfferFrame& frame, Now now) {
  const Place place = find(circuit);
  Post& post = *place.post;
  Standby& standby = *place.standby;
  if (standby.state != StandbyState::waiting || frame.inbox != post.inbox) return false;
  ++stats_.offers;
  if (tunnels_ >= kTunnelsMax || !post.hails.take(1, now.mono)) {
    return decline(circuit, standby, now);
  }
  Secret<kHailBytes> hail;
  std::ranges::copy(frame.hail, hail.span().begin());
  std::vector<const crypto::KemKeyPair*> keys;
  for (const InboxKey& key : keys_) {
    if (now.unix_seconds < key.made + std::chrono::seconds(kInboxKeyKept).count()) {
      keys.push_back(&key.pair);
    }
  }
  auto hailed = open_hail({.receiver = setup_.id, .inbox = post.inbox}, keys, seen_,
                          now.unix_seconds, hail.span());
  if (!hailed) {
    if (hailed.error() == Errc::replayed) ++stats_.replayed;
    return decline(circuit, standby, now);
  }
  if (hailed->fields().kind == HailKind::letter) return decline(circuit, standby, now);
  const Bytes frames = hailed->frames();
  const HailKind kind = hailed->fields().kind;
  Answer answer;
  // One that its keeper has, so that the caller finds it.
  const bool newer = post.has_card && hailed->fields().card_published < told_.published;
  auto keys_of = accept_hail(std::move(*hailed),
                             {.newer_card = newer, .card_published = told_.published}, answer);
  if (!keys_of) return decline(circuit, standby, now);
  static_cast<void>(step(standby.state, StandbyEvent::offer));
  const Priority priority = standby.priority;
  std::vector<LetterKey> kept;  // of what the keeper may bring again
  if (kind == HailKind::either) {
    for (const LetterMessage& one :
         split_letter(setup_.id, frames).value_or(std::vector<LetterMessage>())) {
      kept.push_back(one.key);
    }
  }
  ++stats_.taken;
  ++tunnels_;
  peak_ = std::max(peak_, tunnels_);
  if (!tell(circuit, priority, wire::AcceptFrame{answer}, now)) return false;
  const circuit::CircuitId tunnel =
      parts_.ports.open(*this, setup_.id, circuit, priority, std::move(*keys_of), std::move(kept));
  find(circuit).standby->tunnel = tunnel;
  parts_.ports.begin(tunnel, frames, now);  // messages may leave it at once
  return bool(find(circuit));
}

bool Resident::decline(circuit::CircuitId circuit, Standby& standby, Now now) {
  ++stats_.declined;
  if (!step(standby.state, StandbyEvent::refused)) return false;
  return tell(circuit, standby.priority, wire::DeclineFrame{}, now);
}

/// Of our own wish: messages want no more of the tunnel.
void Resident::leave(circuit::CircuitId circuit, Now now) {
  const Place place = find(circuit);
  if (!place || place.standby == nullptr) return;
  if (!step(place.standby->state, StandbyEvent::leave)) return;
  --tunnels_;
  place.standby->tunnel = {};
  place.standby->parted_by = now.mono + kAnswerMax;
  static_cast<void>(tell(circuit, place.standby->priority, wire::PartFrame{}, now));
}

/// The conversation is over, and the standby waits again.
bool Resident::on_part(circuit::CircuitId circuit, Now now) {
  const Place place = find(circuit);
  const bool talked = place.standby->state == StandbyState::joined;
  if (!step(place.standby->state, StandbyEvent::part)) return false;
  place.standby->parted_by = kNever;
  const Priority priority = place.standby->priority;
  const circuit::CircuitId tunnel = std::exchange(place.standby->tunnel, {});
  const bool again = !place.standby->worn && place.post->state == ControlState::registered;
  const wire::Binding binding = place.post->binding;
  if (talked && !tell(circuit, priority, wire::PartFrame{}, now)) return false;
  if (again && !tell(circuit, priority, wire::StandbyFrame{binding}, now)) return false;
  if (talked) {
    --tunnels_;
    parts_.ports.ended(tunnel, {Errc::circuit_failed, "the caller has left"}, now);
  }
  return again && bool(find(circuit));
}

ResidentStats Resident::stats() const {
  ResidentStats out = stats_;
  out.tunnels = tunnels_;
  for (const Post& post : posts_) {
    out.keepers += post.state == ControlState::registered ? 1 : 0;
    out.standbys += post.standbys.size();
  }
  return out;
}

}  // namespace qudag::keeper
