// The netmap joined: what comes in is judged, waits, is verified, held, and spread.
#include "netmap/netmap.h"

#include "netmap/gossip/gossip.h"
#include "netmap/gossip/verify_queue.h"
#include "netmap/kept.h"
#include "netmap/map/store.h"
#include "netmap/reached/belief.h"
#include "netmap/reached/tries.h"
#include "wire/control.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

namespace qudag::netmap {
namespace {

constexpr Duration kSweepInterval = std::chrono::seconds(10);  // for what has expired
constexpr double kRenewalsAtOnce = 8;
constexpr double kRenewalsPerSecond = 1.0 / 30;
// A relay is reached no more after so many dials in a row that it did not answer: one that was seen
// to fall silent, one that somebody else does not show any more, and any other.
constexpr unsigned kUnansweredOfSilent = 1, kUnansweredOfDoubted = 2;
constexpr Duration kAskSilentWithin = std::chrono::seconds(1);
/// Who answered so lately is not asked again for what others say.
constexpr Duration kAnswerHolds = std::chrono::seconds(30);
constexpr Duration kDialTakes = std::chrono::seconds(6);
constexpr Duration kHeardApart = std::chrono::seconds(1);
constexpr Duration kHeardKept = std::chrono::minutes(2);
/// Who reached nobody lately may be cut off itself: nothing is held against those that it tries.
constexpr Duration kConnected = std::chrono::minutes(10);
/// What a client takes from its file, by when it was published: twice a usual life.
constexpr UnixSeconds kClientKeeps = 4 * 3'600;

bool share_address(const DescriptorFacts& a, const DescriptorFacts& b) {
  return std::ranges::any_of(a.addresses,
                             [&](const SocketAddress& address) { return b.names(address); });
}

}  // namespace

struct Netmap::Impl {
  Impl(NetmapOptions o, Rng& rng, GossipSink& sink)
      : options(std::move(o)),
        chance(rng),
        raw_salt(options.passes_on ? 0 : rng.u64()),
        store({.self = options.self,
               .descriptors_max = options.descriptors_max,
               .memory = options.memory,
               .only_reached = options.only_reached}),
        belief(store),
        queue(options.waiting_max),
        tries(rng),
        gossip(options, store, belief, rng, sink, stats) {}

  const NetmapOptions options;
  NetmapStats stats;
  Rng& chance;
  const std::uint64_t raw_salt;
  Store store;
  Belief belief;
  VerifyQueue queue;
  Tries tries;
  Gossip gossip;
  std::set<NodeLink> broken;  // links that sent a wrong signature; closed at their next frame
  TimePoint next_sweep{};
  TimePoint last_now{};
  TimePoint last_reached{};
  std::deque<TimePoint> heard_at;  // anything from anybody, once a second

  bool on_descriptor(NodeLink link, Bytes raw, Now now);
  bool is_welcome(NodeLink link, const DescriptorFacts& descriptor, Now now);
  void count_rejected(Errc code);
  Status accept(NodeLink link, EntryPtr entry, Now now);
  bool keeps_raw(const NodeId& id) const;
  void look_at_relay(Record& held, Now now);
  void reached(Record& held, const SocketAddress& at, Now now);
  bool may_renew(Record& held, Now now, bool take);
  void lost(const NodeId& relay, Now now);
  void doubt(const NodeId& relay, NodeLink by, Now now);
  void heard(TimePoint at);
  bool heard_after(TimePoint from) const;
  bool is_gone(const Record& held, unsigned unanswered, Now now) const;
  void not_there(Record& held, Now now);
  std::size_t relays() { return store.view()->relays().size(); }
  void verify_some(Now now);
};

void Netmap::Impl::count_rejected(Errc code) {
  switch (code) {
    case Errc::authentication_failed:
      ++stats.rejected_signature;
      break;
    case Errc::expired:
      ++stats.rejected_expired;
      break;
    case Errc::already_exists:
      ++stats.rejected_old;
      break;
    case Errc::refused_memory:
      ++stats.rejected_full;
      break;
    default:
      ++stats.rejected_malformed;
      break;
  }
}

/// An identity may renew its descriptor as often as it likes; who gets it takes a few at once, and
/// then one in half a minute.
bool Netmap::Impl::may_renew(Record& held, Now now, bool take) {
  const std::chrono::duration<double> passed = now.mono - held.renewed_at;
  held.renewals = std::min(kRenewalsAtOnce, held.renewals + passed.count() * kRenewalsPerSecond);
  held.renewed_at = now.mono;
  if (held.renewals < 1) return false;
  if (take) held.renewals -= 1;
  return true;
}

/// The checks that need no signature. What is refused here is counted.
bool Netmap::Impl::is_welcome(NodeLink link, const DescriptorFacts& d, Now now) {
  switch (store.judge(d.id, d.rank, now.unix_seconds, link, gossip.share_of_link(link))) {
    case Store::Judgement::newcomer:
      return true;
    case Store::Judgement::newer:
      if (may_renew(*store.find(d.id), now, false)) return true;
      ++stats.rejected_rate;
      return false;
    case Store::Judgement::old: {
      Record& held = *store.find(d.id);
      gossip.seen_from(link, held, d.rank);
      if (d.rank < held.rank()) gossip.stands(link, held);
      if (const auto by = gossip.dialed_over(link); by && d.rank == held.rank()) {
        belief.on_shown(*by, held, now);
      }
      count_rejected(Errc::already_exists);
      return false;
    }
    case Store::Judgement::full:
      count_rejected(Errc::refused_memory);
      return false;
  }
  return false;
}

bool Netmap::Impl::on_descriptor(NodeLink link, Bytes raw, Now now) {
  const auto descriptor = parse(raw, now.unix_seconds);
  if (!descriptor) {
    const Errc code = descriptor.error().code;
    count_rejected(code);
    // Clocks and versions may differ; a wrong form is the peer's fault.
    return code != Errc::malformed && code != Errc::too_large;
  }
  if (is_welcome(link, *descriptor, now)) queue.push(link, raw, now.mono);
  return true;
}

/// Who is no relay passes nothing on but itself. It needs the bytes of others for its file only,
/// which has so many; which ones is drawn once.
bool Netmap::Impl::keeps_raw(const NodeId& id) const {
  if (options.passes_on || store.is_kept(id) || store.size() < kKeptMax) return true;
  const std::uint64_t drawn = load_be<std::uint64_t>(id.bytes.data() + 8) ^ raw_salt;
  return drawn * 0x9e3779b97f4a7c15 < UINT64_MAX / store.size() * kKeptMax;  // Fibonacci hashing
}

Status Netmap::Impl::accept(NodeLink link, EntryPtr entry, Now now) {
  const DescriptorFacts& d = entry->descriptor;
  const NodeLink source = link == kOwnSource || gossip.knows(link) ? link : kGoneSource;
  const Store::Judgement judgement =
      store.judge(d.id, d.rank, now.unix_seconds, source, gossip.share_of_link(link));
  if (judgement == Store::Judgement::old) return fail(Errc::already_exists);
  if (judgement == Store::Judgement::full) return fail(Errc::refused_memory, "netmap is full");
  const bool newer = judgement == Store::Judgement::newer;
  if (Record* held = newer ? store.find(d.id) : nullptr) {
    if (source != kOwnSource) static_cast<void>(may_renew(*held, now, true));
    const DescriptorFacts& before = held->entry->descriptor;
    if (!share_address(before, d) || !d.relay) held->vouchers.clear();
    const bool still_there =
        held->reached_at.port != 0 ? d.names(held->reached_at) : d.addresses == before.addresses;
    if (!still_there || !d.relay) store.set_reached(*held, false);
  }
  if (!keeps_raw(d.id)) entry = without_raw(*entry);
  Record* held = store.put(std::move(entry), now, source);
  if (held == nullptr) return fail(Errc::refused_memory, "netmap is full");
  ++(newer ? stats.replaced : stats.accepted);
  gossip.spread(link, *held);  // and takes over who has shown it
  look_at_relay(*held, now);
  return {};
}

/// A new descriptor: is the relay there?
void Netmap::Impl::look_at_relay(Record& held, Now now) {
  if (!options.only_reached) return;
  const DescriptorFacts& d = held.entry->descriptor;
  for (const NodeId& by : gossip.showed(held)) belief.on_shown(by, held, now);
  belief.judge(held, now);
  if (!d.relay || d.id == options.self) return tries.forget(d.id);
  if (held.reached) return;
  if (const auto at = gossip.linked_at(d)) return reached(held, *at, now);
  if (options.passes_on && tries.size() < options.descriptors_max) {
    tries.newcomer(d.id, held.source, !belief.is_believed(held), relays(), now);
  }
}

/// `at`: port 0 if it is not known any more.
void Netmap::Impl::reached(Record& held, const SocketAddress& at, Now now) {
  last_reached = now.mono;
  held.unanswered_max = Record::kUnansweredMax;
  held.answered_at = now.mono;
  held.gone = false;
  gossip.answered(held);
  if (options.passes_on) tries.reached(held.entry->descriptor.id, relays(), now);
  if (held.reached) return;
  if (!store.may_be_reached(held)) {
    ++stats.reached_beyond_share;
    return;
  }
  held.reached_at = at;
  ++stats.reached;
  store.set_reached(held, true);
  belief.judge(held, now);
  gossip.spread(kOwnSource, held);  // now others may hear of it
}

/// We saw it fall silent: it is asked at once.
void Netmap::Impl::lost(const NodeId& relay, Now now) {
  Record* held = options.passes_on && options.only_reached ? store.find(relay) : nullptr;
  if (held == nullptr || !held->reached || relay == options.self) return;
  static_cast<void>(tries.sooner(relay, Tries::kSeen, kAskSilentWithin, now.mono, now));
  held->unanswered_max = kUnansweredOfSilent;
}

/// Somebody shows it no more: all that showed it ask it in a quarter of the time that they take for
/// a newcomer, in an eighth if most of our neighbours say so, and its answer alone decides.
void Netmap::Impl::doubt(const NodeId& relay, NodeLink by, Now now) {
  Record* held = options.passes_on && options.only_reached ? store.find(relay) : nullptr;
  if (held == nullptr || !held->reached || relay == options.self) return;
  const bool most = 2 * held->doubted > View::kDoubtedMax;
  const Duration within = Tries::spread(relays()) / (most ? 8 : 4);
  const bool waits = tries.sooner(relay, by, within, held->answered_at + kAnswerHolds, now);
  if (!waits && !most) return;
  const unsigned unanswered = most ? kUnansweredOfSilent : kUnansweredOfDoubted;
  held->unanswered_max = std::min(held->unanswered_max, unanswered);
}

void Netmap::Impl::heard(TimePoint at) {
  if (!heard_at.empty() && at - heard_at.back() < kHeardApart) return;
  heard_at.push_back(at);
  while (at - heard_at.front() > kHeardKept) heard_at.pop_front();
}

/// While it was being dialed.
bool Netmap::Impl::heard_after(TimePoint from) const {
  const auto at = std::ranges::upper_bound(heard_at, from);
  return at != heard_at.end() && *at - from <= kDialTakes;
}

/// Who hears nothing of anybody meanwhile is cut off itself, and says nothing of others.
bool Netmap::Impl::is_gone(const Record& held, unsigned unanswered, Now now) const {
  if (!held.reached || unanswered < held.unanswered_max) return false;
  if (held.unanswered_max < Record::kUnansweredMax && heard_after(held.asked_at)) return true;
  return unanswered >= Record::kUnansweredMax && now.mono - last_reached < kConnected;
}

/// Others hear of it soon: what this node shows no more they ask themselves.
void Netmap::Impl::not_there(Record& held, Now now) {
  ++stats.unreached;
  held.gone = true;
  store.set_reached(held, false);
  belief.judge(held, now);
  gossip.judge_doubts(held);
  gossip.shown_no_more_by_us(held.entry->descriptor.id, now);
}

/// Copies of one descriptor wait from many links: the first that verifies makes the others cheap.
void Netmap::Impl::verify_some(Now now) {
  for (std::size_t verified = 0; verified < options.verifies_per_turn_max;) {
    const auto waiting = queue.pop(now.mono);
    if (!waiting) return;
    const auto descriptor = parse(waiting->raw, now.unix_seconds);
    if (!descriptor) {
      count_rejected(descriptor.error().code);
      continue;
    }
    if (!is_welcome(waiting->link, *descriptor, now)) continue;
    ++verified;
    auto entry = options.make(waiting->raw, now.unix_seconds, gossip.reach_of_link(waiting->link));
    if (!entry) {
      count_rejected(entry.error().code);
      const bool forged = entry.error() == Errc::authentication_failed ||
                          entry.error() == Errc::malformed;  // a key that is none
      if (forged && gossip.knows(waiting->link)) broken.insert(waiting->link);
      continue;
    }
    const Status accepted = accept(waiting->link, std::move(*entry), now);
    if (!accepted) count_rejected(accepted.error().code);
  }
}

Netmap::Netmap(NetmapOptions options, Rng& rng, GossipSink& sink)
    : impl_(std::make_unique<Impl>(std::move(options), rng, sink)) {}

Netmap::~Netmap() = default;

Status Netmap::add(Bytes raw, Now now) {
  impl_->last_now = std::max(impl_->last_now, now.mono);
  auto entry = impl_->options.make(raw, now.unix_seconds, Reach::machine);
  const Status status = entry ? impl_->accept(kOwnSource, std::move(*entry), now)
                              : Status(std::unexpected(std::move(entry.error())));
  if (!status) impl_->count_rejected(status.error().code);
  return status;
}

void Netmap::on_link_ready(NodeLink link, Now now, const LinkFacts& facts) {
  impl_->last_now = std::max(impl_->last_now, now.mono);
  impl_->heard(now.mono);
  impl_->gossip.on_link_ready(link, now, facts);
  if (!impl_->options.only_reached || !facts.dialed) return;
  Record* held = impl_->store.find(*facts.dialed);
  if (held == nullptr || !held->entry->descriptor.relay) return;
  if (held->entry->descriptor.names(facts.remote)) {
    impl_->reached(*held, facts.remote, now);
  }
}

void Netmap::on_link_named(NodeLink link, const NodeId& peer) { impl_->gossip.named(link, peer); }

void Netmap::on_link_closed(NodeLink link) {
  impl_->gossip.on_link_closed(link);
  impl_->tries.source_gone(link);
  impl_->broken.erase(link);
}

void Netmap::on_link_silent(NodeLink link, Now now) {
  if (const auto peer = impl_->gossip.peer_of(link)) lost(*peer, now);
}

void Netmap::lost(const NodeId& relay, Now now) { impl_->lost(relay, now); }

void Netmap::heard(TimePoint at) { impl_->heard(at); }

bool Netmap::knows(NodeLink link) const { return impl_->gossip.knows(link); }

bool Netmap::on_frame(NodeLink link, std::uint8_t type, Bytes body, Now now) {
  Impl& impl = *impl_;
  impl.last_now = std::max(impl.last_now, now.mono);
  ++impl.stats.frames_in;
  if (!impl.gossip.knows(link)) {
    ++impl.stats.frames_ignored;
    return true;
  }
  impl.heard(now.mono);
  bool well_formed = false;
  if (!impl.broken.contains(link)) {
    switch (static_cast<wire::ControlType>(type)) {
      case wire::ControlType::digest:
        well_formed = impl.gossip.on_digest(link, body, now);
        for (const NodeId& id : impl.gossip.shown_no_more()) impl.doubt(id, link, now);
        break;
      case wire::ControlType::want:
        well_formed = impl.gossip.on_want(link, body, now);
        break;
      case wire::ControlType::descriptor:
        well_formed = impl.on_descriptor(link, body, now);
        break;
      case wire::ControlType::summary:
        well_formed = impl.gossip.on_summary(link, body, now);
        for (const NodeId& id : impl.gossip.shown_no_more()) impl.doubt(id, link, now);
        break;
      case wire::ControlType::ask:
        well_formed = impl.gossip.on_ask(link, body, now);
        break;
      default:
        break;
    }
  }
  if (!well_formed) ++impl.stats.frames_malformed;
  return well_formed;
}

void Netmap::on_clock_set(Now now) {
  impl_->last_now = std::max(impl_->last_now, now.mono);
  impl_->next_sweep = now.mono;
  impl_->gossip.compare_all(now);
}

void Netmap::on_time(Now now) {
  Impl& impl = *impl_;
  impl.last_now = std::max(impl.last_now, now.mono);
  if (now.mono >= impl.next_sweep) {
    impl.next_sweep = now.mono + kSweepInterval;
    impl.stats.expired += impl.store.expire(now.unix_seconds);
    if (impl.options.only_reached) {
      impl.belief.judge_all(now);
      impl.tries.keep_if([&](const NodeId& id) { return impl.store.find(id) != nullptr; });
    }
  }
  if (impl.belief.stale()) impl.belief.judge_all(now);
  impl.verify_some(now);
  impl.gossip.on_time(now);
}

TimePoint Netmap::next_deadline() const {
  if (!impl_->queue.empty() || impl_->belief.stale()) return impl_->last_now;
  return std::min(impl_->next_sweep, impl_->gossip.next_deadline(impl_->last_now));
}

// ---- Relays that are there ----------------------------------------------------------------------

void Netmap::believe(std::vector<NodeId> ids, Now now) {
  std::set<NodeId> all(ids.begin(), ids.end());
  impl_->store.keep(all);
  impl_->belief.set(std::move(all));
  if (impl_->options.only_reached) impl_->belief.judge_all(now);
}

std::optional<RelayTry> Netmap::next_try(Now now) {
  Impl& impl = *impl_;
  const auto address_of = [&](const NodeId& id, unsigned failed) -> std::optional<SocketAddress> {
    const Record* held = impl.store.find(id);
    if (held == nullptr) return std::nullopt;
    std::vector<SocketAddress> addresses;
    std::ranges::copy_if(held->entry->descriptor.addresses, std::back_inserter(addresses),
                         [&](const SocketAddress& at) { return held->entry->dialable(at); });
    if (addresses.empty()) return std::nullopt;
    // Where it was reached it is asked whether it is still there.
    if (failed == 0 && held->reached &&
        std::ranges::find(addresses, held->reached_at) != addresses.end()) {
      return held->reached_at;
    }
    return addresses[failed % addresses.size()];
  };
  const auto network = [&](const NodeId& id, unsigned failed) {
    const auto at = address_of(id, failed);
    return at ? network_of(*at) : std::nullopt;
  };
  while (const auto next = impl.tries.next(network, now)) {
    Record* held = impl.store.find(next->id);
    if (held == nullptr) {
      impl.tries.forget(next->id);
      continue;
    }
    if (impl.is_gone(*held, next->failed, now)) impl.not_there(*held, now);
    const auto at = address_of(next->id, next->failed);
    if (!at) {
      impl.tries.forget(next->id);
      continue;
    }
    held->asked_at = now.mono;
    ++impl.stats.tried;
    return RelayTry{next->id, *at};
  }
  return std::nullopt;
}

void Netmap::put_off_try(const NodeId& id, Duration wait, Now now) {
  --impl_->stats.tried;
  impl_->tries.put_off(id, wait, now);
}

TimePoint Netmap::next_try_at() const { return impl_->tries.next_deadline(); }

std::vector<Kept> Netmap::worth_keeping(std::size_t most) {
  std::vector<Kept> first, others;
  impl_->store.for_all([&](const Record& held) {
    const NodeId& id = held.entry->descriptor.id;
    if (id == impl_->options.self || !held.entry->descriptor.relay) return;
    if (held.entry->raw.empty()) return;
    if (impl_->belief.in(id)) {
      first.push_back({held.entry, held.reached, held.counts});
    } else if (held.counts || !impl_->options.only_reached) {
      others.push_back({held.entry, held.reached, held.counts});
    }
  });
  while (first.size() < most && !others.empty()) {
    const std::size_t i = impl_->chance.below(others.size());
    first.push_back(std::exchange(others[i], others.back()));
    others.pop_back();
  }
  return first;
}

void Netmap::restore(std::vector<Kept> kept, Now now) {
  Impl& impl = *impl_;
  for (Kept& one : kept) {
    const DescriptorFacts& d = one.entry->descriptor;
    if (d.id == impl.options.self || d.expires <= now.unix_seconds) continue;
    const NodeId id = d.id;
    // Which versions a client holds shows in what it asks for. What it held long ago would be a
    // mark to know it by.
    if (!impl.options.passes_on && !impl.belief.in(id) &&
        d.published + kClientKeeps < now.unix_seconds) {
      continue;
    }
    if (!impl.accept(kOwnSource, std::move(one.entry), now)) continue;
    Record* held = impl.store.find(id);
    if (one.counts) impl.belief.remember(*held, now);
    if (one.reached) impl.reached(*held, {}, now);
  }
}

ViewPtr Netmap::view() const { return impl_->store.view(); }

std::uint64_t Netmap::version() const { return impl_->store.version(); }

NetmapStats Netmap::stats() const {
  NetmapStats stats = impl_->stats;
  stats.held = impl_->store.size();
  stats.evicted = impl_->store.evicted();
  stats.unproven = impl_->store.unproven();
  stats.waiting = impl_->queue.size();
  stats.owed = impl_->gossip.owed();
  stats.scratch_bytes = impl_->gossip.scratch().high_water_bytes();
  stats.waiting_dropped = impl_->queue.dropped();
  return stats;
}

void Netmap::report(BoundedList& out, Now now) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "descriptors", "refuse", impl_->store.size(),
                        impl_->options.descriptors_max, limits::kDescriptorBytesMax));
  impl_->queue.report(out, now.mono);
  out.push_back(bounded(Kind::table, "relays to be tried", "one for each that is held",
                        impl_->tries.size(), impl_->options.descriptors_max));
  impl_->gossip.report(out);
}

}  // namespace qudag::netmap
