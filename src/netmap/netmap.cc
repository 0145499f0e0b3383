// The netmap joined: what comes in is judged, waits, is verified, held, and spread.
#include "netmap/netmap.h"

#include "netmap/gossip.h"
#include "netmap/store.h"
#include "netmap/verify_queue.h"
#include "wire/control.h"

#include <algorithm>
#include <set>
#include <utility>

namespace qudag::netmap {
namespace {

constexpr Duration kSweepInterval = std::chrono::seconds(10);  // for what has expired
constexpr std::uint64_t kNoLink = UINT64_MAX;

}  // namespace

struct Netmap::Impl {
  Impl(NetmapOptions o, Rng& rng, GossipSink& sink)
      : options(std::move(o)),
        store(options.self, options.descriptors_max, options.memory),
        queue(options.waiting_max),
        gossip(options, store, rng, sink, stats) {}

  const NetmapOptions options;
  NetmapStats stats;
  Store store;
  VerifyQueue queue;
  Gossip gossip;
  std::set<std::uint64_t> broken;  // links that sent a wrong signature; closed at their next frame
  TimePoint next_sweep{};
  TimePoint last_now{};

  bool on_descriptor(std::uint64_t link, Bytes raw, Now now);
  bool is_welcome(std::uint64_t link, const NodeId& id, UnixSeconds published);
  void count_rejected(Errc code);
  Status accept(std::uint64_t link, EntryPtr entry);
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

/// The checks that need no signature. What is refused here is counted.
bool Netmap::Impl::is_welcome(std::uint64_t link, const NodeId& id, UnixSeconds published) {
  switch (store.judge(id, published)) {
    case Store::Judgement::newcomer:
    case Store::Judgement::newer:
      return true;
    case Store::Judgement::old:
      gossip.seen_from(link, *store.find(id), published);
      count_rejected(Errc::already_exists);
      return false;
    case Store::Judgement::full:
      count_rejected(Errc::refused_memory);
      return false;
  }
  return false;
}

bool Netmap::Impl::on_descriptor(std::uint64_t link, Bytes raw, Now now) {
  const auto descriptor = parse(raw, now.unix_seconds);
  if (!descriptor) {
    const Errc code = descriptor.error().code;
    count_rejected(code);
    // Clocks and versions may differ; a wrong form is the peer's fault.
    return code != Errc::malformed && code != Errc::too_large;
  }
  if (is_welcome(link, descriptor->id, descriptor->published)) queue.push(link, raw, now.mono);
  return true;
}

Status Netmap::Impl::accept(std::uint64_t link, EntryPtr entry) {
  const Descriptor& d = entry->descriptor;
  const Store::Judgement judgement = store.judge(d.id, d.published);
  if (judgement == Store::Judgement::old) return fail(Errc::already_exists);
  if (judgement == Store::Judgement::full) return fail(Errc::refused_memory, "netmap is full");
  ++(judgement == Store::Judgement::newer ? stats.replaced : stats.accepted);
  gossip.spread(link, store.put(std::move(entry)));
  return {};
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
    if (!is_welcome(waiting->link, descriptor->id, descriptor->published)) continue;
    ++verified;
    auto entry = make_entry(waiting->raw, now.unix_seconds);
    if (!entry) {
      count_rejected(entry.error().code);
      const bool forged = entry.error() == Errc::authentication_failed;
      if (forged && gossip.knows(waiting->link)) broken.insert(waiting->link);
      continue;
    }
    const Status accepted = accept(waiting->link, std::move(*entry));
    QUDAG_ASSERT(accepted.has_value());
  }
}

Netmap::Netmap(NetmapOptions options, Rng& rng, GossipSink& sink)
    : impl_(std::make_unique<Impl>(std::move(options), rng, sink)) {}

Netmap::~Netmap() = default;

Status Netmap::add(Bytes raw, Now now) {
  impl_->last_now = std::max(impl_->last_now, now.mono);
  auto entry = make_entry(raw, now.unix_seconds);
  const Status status = entry ? impl_->accept(kNoLink, std::move(*entry))
                              : Status(std::unexpected(std::move(entry.error())));
  if (!status) impl_->count_rejected(status.error().code);
  return status;
}

void Netmap::on_link_ready(std::uint64_t link, Now now) {
  impl_->last_now = std::max(impl_->last_now, now.mono);
  impl_->gossip.on_link_ready(link, now);
}

void Netmap::on_link_closed(std::uint64_t link) {
  impl_->gossip.on_link_closed(link);
  impl_->broken.erase(link);
}

bool Netmap::on_frame(std::uint64_t link, std::uint8_t type, Bytes body, Now now) {
  Impl& impl = *impl_;
  impl.last_now = std::max(impl.last_now, now.mono);
  ++impl.stats.frames_in;
  if (!impl.gossip.knows(link)) {
    ++impl.stats.frames_ignored;
    return true;
  }
  bool well_formed = false;
  if (!impl.broken.contains(link)) {
    switch (static_cast<wire::ControlType>(type)) {
      case wire::ControlType::digest:
        well_formed = impl.gossip.on_digest(link, body, now);
        break;
      case wire::ControlType::want:
        well_formed = impl.gossip.on_want(link, body, now);
        break;
      case wire::ControlType::descriptor:
        well_formed = impl.on_descriptor(link, body, now);
        break;
      default:
        break;
    }
  }
  if (!well_formed) ++impl.stats.frames_malformed;
  return well_formed;
}

void Netmap::on_time(Now now) {
  Impl& impl = *impl_;
  impl.last_now = std::max(impl.last_now, now.mono);
  if (now.mono >= impl.next_sweep) {
    impl.next_sweep = now.mono + kSweepInterval;
    impl.stats.expired += impl.store.expire(now.unix_seconds);
  }
  impl.verify_some(now);
  impl.gossip.on_time(now);
}

TimePoint Netmap::next_deadline() const {
  if (!impl_->queue.empty()) return impl_->last_now;
  return std::min(impl_->next_sweep, impl_->gossip.next_deadline(impl_->last_now));
}

ViewPtr Netmap::view() const { return impl_->store.view(); }

std::uint64_t Netmap::version() const { return impl_->store.version(); }

NetmapStats Netmap::stats() const {
  NetmapStats stats = impl_->stats;
  stats.held = impl_->store.size();
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
  impl_->gossip.report(out);
}

}  // namespace qudag::netmap
