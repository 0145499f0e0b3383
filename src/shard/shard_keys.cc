// Shard 0 speaks for the node: its keys, its descriptor, and how it joins the network. Every shard
// shows its links a new address.
#include "shard/shard.h"

#include "shard/published_addresses.h"
#include "wire/control.h"

#include <algorithm>
#include <utility>

namespace qudag::shard {

namespace {

using namespace std::chrono_literals;

constexpr Duration kRenewRetry = 10s;
constexpr Duration kOnePairApart = 100ms;
constexpr Duration kAskAgain = 2s;
constexpr Duration kKeepNetmapFirst = 60s;  // after a start
/// An address that comes brings others, and a route; what is said before they are there is lost.
constexpr Duration kAddressSettles = 20ms;

}  // namespace

void Shard::start(std::vector<SocketAddress> addresses, Now now) {
  addresses_ = std::move(addresses);
  if (setup_.options->publish.empty())
    addresses_ = published_addresses(*setup_.options, *setup_.socket);
  setup_.guards->with([this](netmap::Guards& guards) { guards_kept_ = guards.version(); });
  keep_netmap_at_ = now.mono + kKeepNetmapFirst;
  // A refusal or failure shows as no link; the next round tries again.
  entries_.emplace(EntryDialer::Parts{
      .entries = setup_.options->bootstrap,
      .environment = *setup_.environment,
      .may_dial = [this] { return phase_ == Phase::running; },
      .is_linked = [this](const NodeId& id) { return endpoint_->find(id).has_value(); },
      .dial_known = [this](const NodeId& id,
                           Now then) { return transport_.dial(id, then).has_value(); },
      .dial_at = [this](const NodeId& id, std::span<const SocketAddress> at,
                        Now then) { return dial_one_of(id, at, then); }});
  bootstrap_.emplace(
      Bootstrap::Parts{
          .self = setup_.identity->id(),
          .relay = setup_.options->relay,
          .entries = setup_.options->bootstrap,
          .interval = setup_.options->gossip_interval,
          .dial_entry = [this](const PeerAddress& peer, Now then) { entries_->dial(peer, then); },
          .dial_known = [this](const NodeId& id, Now then) { dial_known(id, then); },
          .guards = [this] { return guards_to_dial(); },
          .begins_round = [this](Now then) { believe(then); }},
      *setup_.rng);
  static_cast<void>(clock_watch_.moved(now));  // from here on
  believe(now);                                // before what was kept is known again
  renew(now);
}

/// The first that was not dialed in vain lately.
std::optional<link::LinkId> Shard::dial_one_of(const NodeId& id,
                                               std::span<const SocketAddress> addresses, Now now) {
  for (const SocketAddress& at : addresses) {
    const auto link = endpoint_->dial(id, at, setup_.socket->local(), now);
    if (link) return *link;
    if (link.error() != Errc::unreachable) break;
  }
  return std::nullopt;
}

/// Those that circuits begin at; all of the list if no relay is known otherwise.
std::vector<NodeId> Shard::guards_to_dial() const {
  const bool alone = view_->relays().size() <= (setup_.options->relay ? 1 : 0);
  return setup_.guards->with([&](const netmap::Guards& guards) {
    std::vector<NodeId> out = guards.ids();
    if (out.size() > setup_.options->guards) out.resize(setup_.options->guards);
    if (!alone) return out;
    out.clear();
    for (const netmap::Guard& one : guards.all(netmap::Layer::first)) out.push_back(one.id);
    return out;
  });
}

/// A guard that the netmap lacks, as after a day without us, is dialed where it was.
void Shard::dial_known(const NodeId& id, Now now) {
  const auto link = transport_.dial(id, now);
  if (link || link.error() != Errc::unknown_destination) return;
  const SocketAddress at = setup_.guards->with([&](netmap::Guards& guards) {
    const netmap::Guard* guard = guards.find(netmap::Layer::first, id);
    return guard == nullptr ? SocketAddress{} : guard->at;
  });
  if (at.port != 0) static_cast<void>(endpoint_->dial(id, at, setup_.socket->local(), now));
}

/// Our bootstrap entries and guards: what they show of relays is believed.
void Shard::believe(Now now) {
  std::vector<NodeId> ids = setup_.guards->with([](const netmap::Guards& guards) {
    std::vector<NodeId> out;
    for (const netmap::Guard& one : guards.all(netmap::Layer::first)) out.push_back(one.id);
    return out;
  });
  for (const PeerAddress& entry : setup_.options->bootstrap) ids.push_back(entry.id);
  setup_.hub->believe(std::move(ids), now);
}

/// A relay that was heard of counts when it was reached, at an address that it publishes: a link
/// that it dialed says nothing of that. Between two nodes one link is enough: the try's is given up
/// when it is there, if there is another.
void Shard::try_relays(Now now) {
  while (const auto next = setup_.hub->next_try(now)) {
    // So soon after it dialed us the two links would count as dialed at the same time, and one of
    // them would be given up (docs/reference/protocol.md, 4).
    if (const auto link = endpoint_->find(next->id)) {
      const auto info = endpoint_->info(*link);
      const Duration wait = info ? kOnePairApart + 8 * info->smoothed_rtt - info->age : Duration{};
      if (wait > Duration{}) {
        setup_.hub->put_off_try(next->id, wait, now);
        continue;
      }
    }
    const auto link = endpoint_->dial_anew(next->id, next->at, setup_.socket->local(), now);
    if (link) {
      tries_.insert(*link);
    } else if (link.error() == Errc::refused_links) {
      setup_.hub->put_off_try(next->id, kAskAgain, now);  // it was not asked
    }
  }
}

/// Who looks for us hears of a new address at once.
void Shard::look_where_we_are(Now now) {
  auto found = published_addresses(*setup_.options, *setup_.socket);
  if (found == addresses_) return;
  addresses_ = std::move(found);
  renew(now);
}

UnixSeconds Shard::published_before() const {
  UnixSeconds latest = published_;
  const NodeId& self = setup_.identity->id();
  for (const netmap::Entry* own : {view_->find(self), view_->find_withdrawn(self)}) {
    if (own != nullptr) latest = std::max(latest, own->descriptor.published);
  }
  return latest;
}

/// Peers judge by wall time what we publish. So it is renewed by both clocks, and at once when they
/// have moved against each other: somebody set the wall clock.
void Shard::look_at_clocks(Now now) {
  if (clock_watch_.moved(now)) {
    tell_time(now);
    if (bootstrap_) {
      setup_.hub->clock_set(now);
      bootstrap_->begin_again(now);
      renew_at_ = now.mono;
    }
  }
  if (now.mono >= renew_at_ || (bootstrap_ && now.unix_seconds >= renew_wall_at_)) renew(now);
}

/// Those who dialed us hear our time; we hear that of those whom we dial.
void Shard::tell_time(Now now) {
  for (const link::LinkInfo& info : endpoint_->links()) {
    if (!info.dialer && info.state == link::LinkState::ready) tell_time(info.id, now);
  }
}

void Shard::tell_time(link::LinkId link, Now now) {
  // Without room it is not said: other links say it, and the next one.
  static_cast<void>(endpoint_->send_control(link,
                                            static_cast<std::uint8_t>(wire::ControlType::time),
                                            wire::encode_time(now.unix_seconds)));
}

void Shard::time_frame(link::LinkId link, Bytes body, Now now) {
  const auto theirs = wire::parse_time(body);
  if (!theirs) return endpoint_->close(link, wire::EndCode::protocol, now);
  const auto info = endpoint_->info(link);
  if (!info || !info->dialer) return;  // who dials us has no say
  post_to_hub([from = info->remote, theirs = *theirs](
                  GossipHub& hub, Now then) { hub.time_heard(from, theirs, then); },
              now);
}

/// A relay whose month is nearly used up leaves the map, and comes back when it turns.
void Shard::look_at_quota(Now now) {
  if (!setup_.quota || setup_.index != 0) return;
  const auto off = setup_.hub->clock_off(now);
  setup_.quota->tick(now, off ? std::optional(off->seconds) : std::nullopt);
  const QuotaStage is = setup_.quota->stage(), was = std::exchange(quota_stage_, is);
  if (is == was) return;
  setup_.environment->on_quota(setup_.quota->status(now.mono).value_or(QuotaStatus{}));
  if (bootstrap_ && (is == QuotaStage::open || was == QuotaStage::open)) renew(now);
}

void Shard::renew(Now now) {
  if (phase_ != Phase::running) {  // it is withdrawn
    renew_at_ = kNever;
    renew_wall_at_ = kNeverByWall;
    return;
  }
  if (renewing_) {  // with what is true then
    renew_again_ = true;
    renew_at_ = now.mono + kRenewRetry;
    return;
  }
  renew_at_ = now.mono + kRenewRetry;  // until the announcement is there
  renew_wall_at_ = kNeverByWall;
  auto input = std::make_shared<AnnouncementInput>(
      AnnouncementInput{.identity = setup_.identity,
                        .keys = keys_,
                        .addresses = addresses_,
                        .relay = setup_.options->relay && takes_others(),
                        .keeper = setup_.options->keeper && takes_others(),
                        .descriptor_lifetime_s =
                            static_cast<std::uint64_t>(setup_.options->descriptor_lifetime.count()),
                        .onion_key_lifetime_s =
                            static_cast<std::uint64_t>(setup_.options->onion_key_lifetime.count()),
                        .now = now,
                        .published_before = published_before()});
  auto result = std::make_shared<Result<Announcement>>(fail(Errc::internal));
  // Refused, expired or failed: tried again at renew_at_. One at a time: two would each make a key,
  // and one of them be lost.
  renewing_ = setup_.environment->workers().submit([input, result] { *result = announce(*input); },
                                                   setup_.environment->executor(0),
                                                   [this, result](WorkEnd, Now then) {
                                                     renewing_ = false;
                                                     if (*result) announced(**result, then);
                                                     if (std::exchange(renew_again_, false))
                                                       renew(then);
                                                   });
}

void Shard::announced(const Announcement& made, Now now) {
  if (phase_ != Phase::running) return;
  keys_ = made.keys;
  published_ = made.published;
  const std::vector<onion::OnionKey> accepted = onion_keys(keys_);
  const std::uint64_t made_as = keys_made_as_ + 1;
  set_onion_keys(accepted, made_as);
  bool all = true;
  for (unsigned i = 1; i < setup_.shards; ++i) {
    all = setup_.hub->give_keys(i, accepted, made_as) && all;
  }
  // Refused if the clock was set just now.
  if (setup_.options->known) all = setup_.hub->add(made.descriptor, now).has_value() && all;
  // A shard without the new keys refuses circuits that name them: soon again.
  const Duration next = all ? made.renew_in : kRenewRetry;
  renew_at_ = now.mono + next;
  renew_wall_at_ = now.unix_seconds + static_cast<UnixSeconds>(next / 1s);
}

void Shard::addresses_changed(Now now) {
  if (show_at_ == kNever) show_at_ = now.mono + kAddressSettles;
}

}  // namespace qudag::shard
