// Making an endpoint, dialing, the table of links, timers, and the calls of the owner.
#include "link/endpoint.h"

#include "crypto/kdf.h"
#include "link/endpoint/endpoint_impl.h"

#include <algorithm>
#include <cstring>

namespace qudag::link {

namespace {

// ngtcp2's memory: the shard's heap.
void* quic_malloc(std::size_t size, void* heap) {
  return static_cast<memory::SlabHeap*>(heap)->allocate(size);
}
void quic_free(void* object, void*) { memory::SlabHeap::release(object); }
void* quic_calloc(std::size_t count, std::size_t size, void* heap) {
  if (size != 0 && count > SIZE_MAX / size) return nullptr;
  void* const out = quic_malloc(count * size, heap);
  return out == nullptr ? nullptr : std::memset(out, 0, count * size);
}
void* quic_realloc(void* object, std::size_t size, void* heap) {
  return static_cast<memory::SlabHeap*>(heap)->reallocate(object, size);
}

/// In the order of trying: what most paths take, then the most, then what odd paths take. ngtcp2
/// leaves out what is no more than a size that worked or no less than one that did not.
MtuProbes probes_up_to(std::size_t packet_bytes_max) {
  MtuProbes out;
  std::size_t last = 0;
  for (const std::size_t size :
       {std::min(packet_bytes_max, limits::kPacketBytesPlain), packet_bytes_max, std::size_t{1400},
        std::size_t{1350}, std::size_t{1280}}) {
    if (size <= NGTCP2_MAX_UDP_PAYLOAD_SIZE || size > packet_bytes_max || size == last) continue;
    out.sizes[out.count++] = static_cast<std::uint16_t>(last = size);
  }
  return out;
}

}  // namespace

Endpoint::Impl::Impl(EndpointOptions options, TlsContexts tls, const crypto::Identity& identity,
                     memory::BlockPool& pool, Rng& rng, LinkEvents& events, WrongShard* wrong_shard)
    : shared_(std::move(options), std::move(tls), pool, rng, events),
      self_(identity.id()),
      wrong_shard_(wrong_shard),
      redial_(shared_.options.redial) {
  if (shared_.options.place_link) handed_on_.emplace(rng, shared_.options.handshake_timeout);
  shared_.probes = probes_up_to(shared_.options.packet_bytes_max);
  shared_.memory = {&shared_.heap, quic_malloc, quic_free, quic_calloc, quic_realloc};
  rng.fill(shared_.retry_secret.span());
  shared_.address_keys.emplace(identity);
  // From the identity, so that a restarted node can tell peers that their links are gone.
  const Secret<crypto::kIdentitySeedSize> seed = identity.seed();
  shared_.reset_secret =
      crypto::hkdf_expand_key(crypto::hkdf_extract({}, seed.span()), "qudag/1 stateless reset");
}

Endpoint::Impl::~Impl() {
  for (Slot& slot : slots_) slot.link.reset();
}

// ---- The table ----------------------------------------------------------------------------------

LinkId Endpoint::Impl::free_slot() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  return {free_.back(), slots_[free_.back()].generation};
}

void Endpoint::Impl::keep(LinkId id, std::unique_ptr<Connection> link) {
  free_.pop_back();
  slots_[id.slot].link = std::move(link);
  ++live_;
  tell_places();
}

Connection* Endpoint::Impl::link(LinkId id) const {
  if (id.slot >= slots_.size() || slots_[id.slot].generation != id.generation) return nullptr;
  return slots_[id.slot].link.get();
}

Connection* Endpoint::Impl::stream(StreamId id, Stream*& out) const {
  Connection* const found = link(id.link);
  out = found == nullptr ? nullptr : found->find(id.index);
  return out == nullptr ? nullptr : found;
}

Result<LinkId> Endpoint::Impl::dial(const NodeId& peer, const SocketAddress& at,
                                    const SocketAddress& local, Now now, DialFor whom) {
  shared_.now = now;
  absorb_greeted();
  if (const auto known = find(peer)) return least_used(peer, *known);
  return dial_anew(peer, at, local, now, whom);
}

Result<LinkId> Endpoint::Impl::dial_anew(const NodeId& peer, const SocketAddress& at,
                                         const SocketAddress& local, Now now, DialFor whom) {
  shared_.now = now;
  if (stopping_) return fail(Errc::shutting_down);
  const EndpointOptions& options = shared_.options;
  const bool place = whom != DialFor::others ? links_held() < links_most()
                                             : shared_.dials_for_others < options.dials_max;
  if (!place) {
    ++shared_.stats.links_refused;
    return fail(Errc::refused_links);
  }
  switch (whom != DialFor::us ? Redial::Answer::dial : redial_.ask(peer, at, now.mono)) {
    case Redial::Answer::dial:
      break;
    case Redial::Answer::too_soon:
      return fail(Errc::unreachable, "asked again too soon after it did not answer");
    case Redial::Answer::no_budget:
      return fail(Errc::unreachable, "many did not answer, and few are asked again at once");
  }
  const LinkId id = free_slot();
  auto made = Connection::dial(shared_, id, peer, at, local);
  if (!made) return std::unexpected(made.error());
  if (whom == DialFor::others) (*made)->begin_for_others();
  keep(id, std::move(*made));
  const bool another = find(peer).has_value();
  by_peer_.emplace(peer, id);
  if (!another) peers_[peer] = id;
  return id;
}

std::optional<LinkId> Endpoint::Impl::find(const NodeId& peer) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return std::nullopt;
  const Connection* const known = link(found->second);
  if (known != nullptr && known->reusable()) return found->second;
  return another_to(peer);
}

/// What a hello changes. Accepted links whose peer proved its id can be found by it, unless another
/// is there. Who has a link to us and dials a new one may have moved and lost it (or it is another
/// of its shards): the one that is there must show that it lives, and what is new does not wait for
/// that.
void Endpoint::Impl::absorb_greeted() {
  for (const LinkId id : shared_.greeted) {
    Connection* const greeted = link(id);
    if (greeted == nullptr || !greeted->peer() || !greeted->reusable()) continue;
    if (!greeted->dialer()) by_peer_.emplace(*greeted->peer(), id);
    redial_.succeeded(*greeted->peer());
    if (Connection* const twin = twin_of(*greeted)) {
      merge(*greeted, *twin);
      continue;
    }
    if (greeted->dialer()) continue;
    const auto known = find(*greeted->peer());
    if (known && *known != id && !link(*known)->ask()) continue;
    peers_[*greeted->peer()] = id;
  }
  shared_.greeted.clear();
}

Connection* Endpoint::Impl::twin_of(const Connection& greeted) const {
  const auto [first, last] = by_peer_.equal_range(*greeted.peer());
  for (auto entry = first; entry != last; ++entry) {
    Connection* const other = link(entry->second);
    if (other != nullptr && other != &greeted && other->is_twin_of(greeted)) return other;
  }
  return nullptr;
}

/// One of the two goes on, the other drains: what is under way on it ends there. The
/// earlier one may be dead after all, so it is asked.
void Endpoint::Impl::merge(Connection& greeted, Connection& twin) {
  const bool in_order = twin.life().born() <= greeted.life().born();
  Connection& later = in_order ? greeted : twin;
  Connection& earlier = in_order ? twin : greeted;
  const bool later_stays = stays({.dialed_by_us = later.dialer(), .later = true},
                                 {.dialed_by_us = earlier.dialer()}, self_, *later.peer());
  Connection& winner = later_stays ? later : earlier;
  Connection& loser = later_stays ? earlier : later;
  earlier.ask();
  peers_[*winner.peer()] = winner.id();
  ++shared_.stats.replaced_twin;
  loser.say_goodbye(Drain::replaced);
}

void Endpoint::Impl::give_up_spare(LinkId id) {
  Connection* const spare = link(id);
  if (spare == nullptr || !spare->peer() || spare->state() != LinkState::ready) return;
  const auto [first, last] = by_peer_.equal_range(*spare->peer());
  for (auto entry = first; entry != last; ++entry) {
    const Connection* const other = link(entry->second);
    if (other == nullptr || other == spare || other->state() != LinkState::ready) continue;
    peers_[*spare->peer()] = other->id();
    ++shared_.stats.replaced_spare;
    return spare->say_goodbye(Drain::replaced);
  }
}

void Endpoint::Impl::forget_peer(const Connection& ended) {
  if (!ended.peer()) return;
  const auto [first, last] = by_peer_.equal_range(*ended.peer());
  const auto entry =
      std::find_if(first, last, [&](const auto& e) { return e.second == ended.id(); });
  if (entry != last) by_peer_.erase(entry);
  const auto found = peers_.find(*ended.peer());
  if (found == peers_.end() || found->second != ended.id()) return;
  peers_.erase(found);
  if (const auto other = another_to(*ended.peer())) peers_[*ended.peer()] = *other;
}

void Endpoint::Impl::keep_warm(LinkId id, bool warm) {
  Connection* const found = link(id);
  if (found == nullptr) return;
  if (found->peer()) {
    const auto [first, last] = by_peer_.equal_range(*found->peer());
    for (auto entry = first; entry != last; ++entry) {
      Connection* const other = link(entry->second);
      if (other != nullptr && other != found) other->keep_warm(false);
    }
  }
  found->keep_warm(warm);
}

/// Both may have dialed at the same time: the other link is as good.
std::optional<LinkId> Endpoint::Impl::another_to(const NodeId& peer) const {
  const auto [first, last] = by_peer_.equal_range(peer);
  for (auto entry = first; entry != last; ++entry) {
    const Connection* const other = link(entry->second);
    if (other != nullptr && other->reusable()) return entry->second;
  }
  return std::nullopt;
}

/// A peer with several shards may have a link here from each: new streams go to the link with the
/// fewest. Not to one that was asked for a sign of life: it may be what a peer that moved left.
LinkId Endpoint::Impl::least_used(const NodeId& peer, LinkId known) const {
  const auto streams = [this](LinkId id) {
    const Connection* const one = link(id);
    const bool opens =
        one != nullptr && one->reusable() && one->life().opens_streams() && !one->life().is_asked();
    return opens ? one->streams() : SIZE_MAX;
  };
  LinkId least = known;
  const auto [first, last] = by_peer_.equal_range(peer);
  for (auto one = first; one != last; ++one) {
    if (streams(one->second) < streams(least)) least = one->second;
  }
  return least;
}

std::vector<LinkInfo> Endpoint::Impl::links() const {
  std::vector<LinkInfo> out;
  out.reserve(live_);
  for (const Slot& slot : slots_) {
    if (slot.link) out.push_back(slot.link->info());
  }
  return out;
}

void Endpoint::Impl::move(const SocketAddress& local, Now now) {
  shared_.now = now;
  for (const Slot& slot : slots_) {
    if (slot.link && slot.link->dialer()) slot.link->move(local);
  }
}

void Endpoint::Impl::probe_peers(const runtime::DatagramSocket& socket, Now now) {
  shared_.now = now;
  std::vector<std::pair<NodeId, SocketAddress>> again;
  for (const Slot& slot : slots_) {
    if (!slot.link || slot.link->retired()) continue;
    Connection& link = *slot.link;
    if (link.dialer()) {
      auto from = socket.source_for(link.remote());
      if (from) from->port = link.here().port;
      if (from) link.move(*from);
      if (link.probe_peer()) ++shared_.stats.links_shown;
    } else if (!socket.has(link.here()) && link.leave_behind()) {
      if (shared_.options.dials_back) again.emplace_back(*link.peer(), link.remote());
    }
  }
  for (const auto& [peer, at] : again) {
    if (dial(peer, at, socket.local(), now, DialFor::us)) ++shared_.stats.links_redialed;
  }
}

void Endpoint::Impl::shutdown(Now now) {
  shared_.now = now;
  stopping_ = true;
  for (const Slot& slot : slots_) {
    if (slot.link) slot.link->say_goodbye(Drain::stopping);
  }
}

// ---- Protection ---------------------------------------------------------------------------------

void Endpoint::Impl::pause(Priority priority, bool paused) {
  bool& now = shared_.paused[level_of(priority)];
  if (now == paused) return;
  now = paused;
  if (paused) return;
  for (const Slot& slot : slots_) {
    if (slot.link) slot.link->give_held();
  }
}

std::size_t Endpoint::Impl::close_unused(Duration quiet, std::size_t links_max, Now now) {
  shared_.now = now;
  std::size_t ended = 0;
  for (const Slot& slot : slots_) {
    if (ended == links_max) break;
    if (!slot.link || !slot.link->unused_for(quiet)) continue;
    slot.link->close_soon(Error(Errc::timed_out, "unused"), EndCode::none);
    ++ended;
  }
  shared_.stats.ended_unused += ended;
  return ended;
}

void Endpoint::Impl::look_at_places(Now now) {
  memory::LentPlaces* const places = shared_.options.places;
  if (places == nullptr) return;
  tell_places();
  places->look(shared_.options.shard);
  // What has circuits ends with them: nothing new comes to a shard that owes.
  close_unused({}, places->owed(shared_.options.shard), now);
}

double Endpoint::Impl::handshake_pressure(Now now) {
  const auto open = static_cast<double>(shared_.half_open);
  const auto allowed = static_cast<double>(shared_.options.half_open_max);
  return std::max(open / allowed, shared_.admission.rate_used(now.mono));
}

void Endpoint::Impl::trim() {
  send_queue_.trim();
  shared_.heap.trim();
}

void Endpoint::Impl::look_at_links() {
  TimeHistogram round_trips;
  std::size_t streams = 0;
  for (const Slot& slot : slots_) {
    const auto round_trip = slot.link ? slot.link->look() : std::nullopt;
    if (!round_trip) continue;
    round_trips.record(*round_trip);
    streams += slot.link->streams();
  }
  shared_.round_trips.record_all(round_trips, streams);
}

EndpointStats Endpoint::Impl::stats() const {
  EndpointStats out = shared_.stats;
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    out.cells_waited[i] = shared_.cells_waited[i].shown();
  }
  out.round_trips = shared_.round_trips.shown();
  out.datagrams_out = send_queue_.datagrams();
  out.redials = redial_.retries();
  out.redials_too_soon = redial_.too_soon();
  out.redials_no_budget = redial_.no_budget();
  out.steps_waiting = shared_.steps_waiting.size() + shared_.steps_under_way;
  const memory::SlabHeapStats heap = shared_.heap.stats();
  out.scratch_bytes = shared_.scratch.high_water_bytes();
  out.windows_grown_bytes = shared_.grown.used() * 1024;
  out.link_windows_grown_bytes = shared_.grown_links.used() * 1024;
  out.quic_memory_bytes = heap.bytes_used;
  out.quic_memory_held = heap.bytes_held;
  out.quic_allocations = heap.allocations;
  out.quic_system_allocations = heap.system_allocations;
  return out;
}

void Endpoint::Impl::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  const EndpointOptions& options = shared_.options;
  const std::size_t most = options.links_max + options.dials_max;
  out.push_back(bounded(Kind::table, "links", "refuse", live_, most));
  out.back().of_all_shards = options.places != nullptr;
  out.push_back(bounded(Kind::table, "links in the handshake", "Retry, then refuse",
                        shared_.half_open, options.half_open_max));
  out.push_back(
      bounded(Kind::table, "links that have ended", "forget", retired_.size(), kRetiredMax));
  // Every link has the ids that it gave out, and at first the one that its dialer chose.
  out.push_back(bounded(Kind::table, "connection ids", "with their links", shared_.routes.size(),
                        (most + kRetiredMax) * kCidsPerLinkMax));
  out.push_back(bounded(Kind::table, "stateless reset tokens", "with their links",
                        shared_.reset_tokens.size(), most * kCidsPerLinkMax));
  out.push_back(bounded(Kind::table, "blocks of addresses", "share one entry",
                        shared_.admission.blocks(), options.links_max + Admission::kBlocksMax));
  out.push_back(bounded(Kind::budget, "windows of streams beyond their first size", "grow no more",
                        shared_.grown.used() * 1024, options.long_windows_bytes));
  out.push_back(bounded(Kind::table, "handshakes handed to another shard", "stay here",
                        handed_on_ ? handed_on_->size() : 0, HandedOn::kMax, sizeof(Cid)));
  shared_.address_tokens.report(out);
  redial_.report(out);
  std::size_t streams = 0, queued = 0, unacked = 0, held = 0;
  for (const Slot& slot : slots_) {
    if (slot.link == nullptr) continue;
    const LinkInfo info = slot.link->info();
    streams += info.streams;
    queued += info.queued_bytes;
    unacked += info.unacked_bytes;
    held += slot.link->held_datagrams();
  }
  out.push_back(bounded(Kind::table, "streams of links", "the peer waits", streams,
                        options.links_max * options.streams_per_link_max));
  out.push_back(bounded(Kind::queue, "handshakes for a worker", "the handshake waits",
                        shared_.steps_waiting.size(), most + options.half_open_max,
                        sizeof(LinkId)));
  out.back().age_max = options.handshake_timeout;
  out.push_back(bounded(Kind::queue, "datagrams for handshakes at a worker", "drop new", held,
                        most * kHeldDatagramsMax, kHeldBytesMax / kHeldDatagramsMax));
  out.back().age_max = options.handshake_timeout;
  Bounded sending = bounded(Kind::buffer, "send queues of streams", "the circuit has no room",
                            streams, options.links_max * options.streams_per_link_max);
  sending.bytes = queued + unacked;
  sending.bytes_max = sending.items_max * options.stream_window_bytes;
  out.push_back(sending);
  Bounded packets = bounded(Kind::buffer, "packets for the socket", "writing pauses", 0, 1);
  packets.bytes = send_queue_.bytes();
  packets.bytes_max = kOutboxBytes;
  out.push_back(packets);
}

// ---- Time ---------------------------------------------------------------------------------------

void Endpoint::Impl::on_time(Now now) {
  shared_.now = now;
  while (shared_.deadlines.earliest() <= now.mono) {
    Connection& due = *shared_.deadlines.first();
    const Duration late = now.mono - shared_.deadlines.earliest();
    shared_.deadlines.remove(due);  // flush() sets the next one
    if (due.retired()) {
      std::erase_if(retired_, [&](const auto& kept) { return kept.get() == &due; });
    } else {
      due.expire(late);
    }
  }
  if (retry_steps_at_ <= now.mono) start_steps();
  prepare_key();
}

TimePoint Endpoint::Impl::next_deadline() const {
  const bool work = !shared_.dirty.empty() || !shared_.closing_soon.empty();
  if (work && !blocked_) return shared_.now.mono;
  return std::min(shared_.deadlines.earliest(), retry_steps_at_);
}

// ---- Endpoint -----------------------------------------------------------------------------------

Endpoint::Endpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Endpoint::~Endpoint() = default;

Result<std::unique_ptr<Endpoint>> Endpoint::create(EndpointOptions options,
                                                   const crypto::Identity& identity,
                                                   memory::BlockPool& pool, Rng& rng,
                                                   LinkEvents& events, WrongShard* wrong_shard) {
  const bool sizes_ok = options.packet_bytes_max >= NGTCP2_MAX_UDP_PAYLOAD_SIZE &&
                        options.packet_bytes_max <= limits::kPacketBytesMax;
  if ((options.workers != nullptr && options.executor == nullptr) || !sizes_ok ||
      options.shards == 0 || options.shard >= options.shards) {
    return fail(Errc::invalid_argument, "endpoint options");
  }
  auto tls = TlsContexts::create(identity, options.known, options.cipher, options.keylog);
  if (!tls) return std::unexpected(tls.error());
  return std::unique_ptr<Endpoint>(new Endpoint(std::make_unique<Impl>(
      std::move(options), std::move(*tls), identity, pool, rng, events, wrong_shard)));
}

void Endpoint::receive(std::span<runtime::Received> batch, const SocketAddress& local, Now now) {
  impl_->receive(batch, local, now);
}
void Endpoint::on_time(Now now) { impl_->on_time(now); }
bool Endpoint::flush(runtime::DatagramSocket& socket, Now now) { return impl_->flush(socket, now); }
TimePoint Endpoint::next_deadline() const { return impl_->next_deadline(); }

Result<LinkId> Endpoint::dial(const NodeId& peer, const SocketAddress& at,
                              const SocketAddress& local, Now now, DialFor whom) {
  return impl_->dial(peer, at, local, now, whom);
}
void Endpoint::adopt(LinkId link) {
  if (Connection* const found = impl_->link(link)) found->end_for_others();
}
bool Endpoint::overfull() const { return impl_->links_held() > impl_->links_most(); }
bool Endpoint::crowded() const { return impl_->links_held() >= impl_->links_most() / 4 * 3; }
Result<LinkId> Endpoint::dial_anew(const NodeId& peer, const SocketAddress& at,
                                   const SocketAddress& local, Now now) {
  return impl_->dial_anew(peer, at, local, now, DialFor::look);
}
std::optional<LinkId> Endpoint::find(const NodeId& peer) const { return impl_->find(peer); }
std::optional<LinkInfo> Endpoint::info(LinkId link) const {
  const Connection* const found = impl_->link(link);
  return found == nullptr ? std::nullopt : std::optional(found->info());
}
std::vector<LinkInfo> Endpoint::links() const { return impl_->links(); }
bool Endpoint::failed_lately(const NodeId& peer, Now now) const {
  return impl_->failed_lately(peer, now);
}
void Endpoint::keep_warm(LinkId link, bool warm) { impl_->keep_warm(link, warm); }
void Endpoint::ask(LinkId link, Now now) {
  impl_->shared().now = now;
  Connection* const found = impl_->link(link);
  if (found != nullptr && !found->life().is_asked()) static_cast<void>(found->ask());
}
void Endpoint::close(LinkId link, EndCode code, Now now) {
  impl_->shared().now = now;
  if (Connection* const found = impl_->link(link))
    found->close_soon(Error(Errc::link_closed), code);
}
void Endpoint::give_up_spare(LinkId link, Now now) {
  impl_->shared().now = now;
  impl_->give_up_spare(link);
}
void Endpoint::move(const SocketAddress& local, Now now) { impl_->move(local, now); }
void Endpoint::probe_peers(const runtime::DatagramSocket& socket, Now now) {
  impl_->probe_peers(socket, now);
}
void Endpoint::shutdown(Now now) { impl_->shutdown(now); }
bool Endpoint::send_control(LinkId link, std::uint8_t type, Bytes body) {
  Connection* const found = impl_->link(link);
  return found != nullptr && found->send_control(type, body);
}

Result<StreamId> Endpoint::open(LinkId link, Priority priority, std::uint64_t context) {
  Connection* const found = impl_->link(link);
  if (found == nullptr) return fail(Errc::link_closed);
  const auto index = found->open(priority, context);
  if (!index) return std::unexpected(index.error());
  return StreamId{link, *index};
}
void Endpoint::set_context(StreamId stream, std::uint64_t context) {
  Stream* found = nullptr;
  if (impl_->stream(stream, found) != nullptr) found->context = context;
}
void Endpoint::set_priority(StreamId stream, Priority priority) {
  Stream* found = nullptr;
  if (Connection* const link = impl_->stream(stream, found)) link->set_priority(*found, priority);
}
void Endpoint::write(StreamId stream, memory::Block block) {
  Stream* found = nullptr;
  if (Connection* const link = impl_->stream(stream, found)) link->write(*found, std::move(block));
}
Endpoint::MemoryHeld Endpoint::held(StreamId stream) const {
  Stream* found = nullptr;
  if (impl_->stream(stream, found) == nullptr) return {};
  const std::size_t bytes = found->queued_bytes() + found->unacked_bytes();
  if (bytes == 0) return {};
  return {.bytes = bytes,
          .waited = std::chrono::duration_cast<std::chrono::milliseconds>(
              impl_->shared().since(found->oldest()))};
}
bool Endpoint::is_silent(LinkId link, Now now) const {
  const Connection* const found = impl_->link(link);
  return found != nullptr && found->is_silent(now.mono);
}

std::size_t Endpoint::queued_bytes(StreamId stream) const {
  Stream* found = nullptr;
  return impl_->stream(stream, found) != nullptr ? found->queued_bytes() : 0;
}
void Endpoint::consume(StreamId stream, std::size_t bytes) {
  Stream* found = nullptr;
  if (Connection* const link = impl_->stream(stream, found)) link->consume(*found, bytes);
}
void Endpoint::release(StreamId stream, std::size_t bytes) {
  Stream* found = nullptr;
  Connection* const link = impl_->stream(stream, found);
  if (link != nullptr) static_cast<void>(link->release(*found, bytes));
}
void Endpoint::reopen(StreamId stream, std::size_t bytes) {
  Stream* found = nullptr;
  if (Connection* const link = impl_->stream(stream, found)) link->reopen(*found, bytes);
}
void Endpoint::reset(StreamId stream, EndCode code) {
  Stream* found = nullptr;
  if (Connection* const link = impl_->stream(stream, found)) link->reset(*found, code);
}

void Endpoint::set_stream_window(std::size_t bytes) {
  impl_->shared().window_kib =
      static_cast<std::uint16_t>(std::min<std::size_t>(bytes / 1024, 0xffff));
}
void Endpoint::set_link_window(std::size_t bytes) {
  impl_->shared().link_window_kib = bytes / 1024;
}
void Endpoint::set_long_windows(std::size_t bytes) {
  impl_->shared().grown.set_max(bytes / 1024);
  impl_->shared().grown_links.set_max(bytes / 1024);
}
void Endpoint::trim_heap() { impl_->shared().heap.trim(); }
void Endpoint::require_proof(bool required) { impl_->shared().admission.require_proof(required); }
void Endpoint::pause(Priority priority, bool paused) { impl_->pause(priority, paused); }
std::size_t Endpoint::close_unused(Duration quiet, std::size_t links_max, Now now) {
  return impl_->close_unused(quiet, links_max, now);
}
double Endpoint::handshake_pressure(Now now) { return impl_->handshake_pressure(now); }

void Endpoint::trim() { impl_->trim(); }
void Endpoint::look_at_places(Now now) { impl_->look_at_places(now); }
void Endpoint::look_at_links() { impl_->look_at_links(); }

EndpointStats Endpoint::stats() const { return impl_->stats(); }
void Endpoint::report(BoundedList& out) const { impl_->report(out); }

}  // namespace qudag::link
