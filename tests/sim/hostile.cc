#include "sim/hostile.h"

#include "shard/key_ring.h"
#include "wire/control.h"

#include <algorithm>
#include <cstring>

namespace qudag::testing {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = 100ms;
constexpr Duration kJoinAgain = 5s;
constexpr std::size_t kPlenty = 100'000;

template <class T>
T must(Result<T> result) {
  QUDAG_ASSERT(result.has_value());
  return std::move(*result);
}

circuit::CircuitsOptions circuit_options(const NodeId& self, bool relay) {
  circuit::CircuitsOptions out;
  out.self = self;
  out.relay = relay;
  out.circuits_max = kPlenty;
  out.building_max = kPlenty;
  return out;
}

link::EndpointOptions link_options() {
  link::EndpointOptions out;
  out.links_max = kPlenty;
  out.half_open_max = kPlenty;
  out.idle_timeout = 30s;
  out.keepalive = 10s;
  out.known = true;
  return out;
}

}  // namespace

Hostile::Hostile(World& world, const SocketAddress& at, HostileOptions options)
    : world_(world),
      options_(std::move(options)),
      at_(at),
      environment_(world.host(at)),
      identity_(must(crypto::Identity::generate())),
      transport_(identity_.id(), *this, {}),
      circuits_(circuit_options(identity_.id(), options_.relay), pool_, world.rng(), *this),
      endpoint_(must(link::Endpoint::create(link_options(), identity_, pool_, world.rng(),
                                            transport_, nullptr))),
      netmap_({.self = identity_.id(), .digest_interval = 10s}, world.rng(), *this) {
  transport_.attach(*endpoint_, circuits_);
  transport_.set_local(at_);
  circuits_.set_events(*this);
}

Hostile::~Hostile() { world_.attach(environment_, nullptr); }

void Hostile::start() {
  announce({});
  world_.attach(environment_, this);
}

// ---- what kinds have ----------------------------------------------------------------------------

void Hostile::announce(const std::vector<SocketAddress>& claimed) {
  const Now now = world_.now();
  const auto said = must(shard::announce({.identity = &identity_,
                                          .keys = keys_,
                                          .addresses = {at_},
                                          .relay = options_.relay,
                                          .descriptor_lifetime_s = 3 * 3'600,
                                          .onion_key_lifetime_s = 2 * 3'600,
                                          .now = now,
                                          .published_before = published_}));
  keys_ = said.keys;
  circuits_.set_onion_keys(shard::onion_keys(keys_));
  netmap::Descriptor lie = must(netmap::parse(said.descriptor, now.unix_seconds));
  lie.capacity_kib_s = options_.capacity_kib_s;
  lie.addresses.insert(lie.addresses.end(), claimed.begin(), claimed.end());
  published_ = lie.published;
  const auto raw = must(netmap::encode_and_sign(lie, identity_));
  static_cast<void>(netmap_.add(raw, now));
}

void Hostile::later(Duration after, std::function<void()> step) {
  world_.at(world_.now().mono + after, [this, step = std::move(step)] {
    step();
    world_.wake(environment_);
  });
}

bool Hostile::say(circuit::CircuitId circuit, const wire::Frame& frame) {
  const auto known = known_.find(circuit);
  if (known == known_.end() || circuits_.sendable(circuit) == 0) return false;
  memory::Block payload = circuits_.payload_block(known->second.priority);
  if (!payload) return false;
  ByteWriter out(payload.bytes());
  wire::append(out, frame);
  wire::append_padding(out);
  circuits_.send(circuit, std::move(payload), world_.now());
  return true;
}

void Hostile::acknowledge(const Arrival& arrival) {
  static_cast<void>(say(arrival.circuit, wire::AckFrame{arrival.ref, wire::AckStatus::delivered}));
}

std::optional<std::uint32_t> Hostile::begin(circuit::CircuitId circuit,
                                            const wire::MessageStart& start, std::size_t bytes) {
  const auto known = known_.find(circuit);
  if (known == known_.end()) return std::nullopt;
  const std::vector<std::byte> text(bytes, std::byte{0xff});  // no number of a message
  const std::uint32_t ref = known->second.next_ref;
  if (ref == 0 && destination_.contains(circuit) && !say(circuit, wire::ScopeFrame{})) {
    return std::nullopt;
  }
  const bool said =
      say(circuit,
          wire::DataFrame{.ref = ref, .start = start, .last = bytes == start.size, .bytes = text});
  if (!said) return std::nullopt;
  if (const auto still = known_.find(circuit); still != known_.end()) ++still->second.next_ref;
  return ref;
}

std::optional<onion::RouteHop> Hostile::hop(const NodeId& id) const {
  const netmap::EntryPtr entry = netmap_.view()->find_shared(id);
  if (entry == nullptr) return std::nullopt;
  auto key = entry->onion_key(world_.now().unix_seconds);
  if (key == nullptr) return std::nullopt;
  return onion::RouteHop{.id = id, .onion_key = std::move(key)};
}

std::optional<circuit::CircuitId> Hostile::build(const std::vector<NodeId>& route,
                                                 Priority priority) {
  std::vector<onion::RouteHop> hops;
  for (const NodeId& id : route) {
    auto one = hop(id);
    if (!one) return std::nullopt;
    hops.push_back(std::move(*one));
  }
  const auto circuit = circuits_.build(hops, priority, world_.now());
  if (!circuit) return std::nullopt;
  known_[*circuit] = {.began = world_.now().mono, .from = {}, .priority = priority, .coming = {}};
  destination_[*circuit] = route.back();
  return *circuit;
}

void Hostile::kill(circuit::CircuitId circuit) {
  known_.erase(circuit);
  destination_.erase(circuit);
  circuits_.close(circuit, world_.now());
}

std::optional<link::LinkId> Hostile::link_to(const NodeId& id) {
  const auto link = transport_.dial(id, world_.now());
  return link ? std::optional(*link) : std::nullopt;
}

memory::Block Hostile::block(Bytes bytes) {
  memory::Block out = pool_.take(memory::BlockSize::bulk);
  if (!out) return out;
  out.append(bytes.size());
  std::ranges::copy(bytes, out.bytes().begin());
  return out;
}

void Hostile::write_raw(link::LinkId link, Priority priority, Bytes bytes) {
  const auto stream = endpoint_->open(link, priority, 0);
  if (!stream) return;
  while (!bytes.empty()) {
    const Bytes piece = bytes.first(std::min<std::size_t>(bytes.size(), 8'000));
    bytes = bytes.subspan(piece.size());
    memory::Block one = block(piece);
    if (!one) return;
    endpoint_->write(*stream, std::move(one));
  }
}

wire::MessageId Hostile::draw_id() {
  wire::MessageId out;
  world_.rng().fill(out);
  return out;
}

// ---- the turn -----------------------------------------------------------------------------------

bool Hostile::on_readable(Now now) {
  const auto batch = environment_.receive();
  if (batch.empty()) return false;
  endpoint_->receive(batch, at_, now);
  return true;
}

void Hostile::on_time(Now now) {
  endpoint_->on_time(now);
  circuits_.on_time(now);
  netmap_.on_time(now);
  if (now.mono >= join_at_) {
    join_at_ = now.mono + kJoinAgain;
    static_cast<void>(endpoint_->dial(options_.bootstrap.id, options_.bootstrap.at, at_, now));
  }
  if (now.mono >= tick_at_) {
    tick_at_ = now.mono + kTick;
    std::erase_if(ready_, [this](auto circuit) { return !known_.contains(circuit); });
    tick(now);
  }
}

void Hostile::flush(Now now) {
  transport_.set_view(netmap_.view());
  static_cast<void>(endpoint_->flush(environment_, now));
}

TimePoint Hostile::next_deadline() const {
  return std::min({endpoint_->next_deadline(), circuits_.next_deadline(), netmap_.next_deadline(),
                   tick_at_, join_at_});
}

// ---- links and gossip ---------------------------------------------------------------------------

void Hostile::link_ready(link::LinkId link, Now now) {
  netmap_.on_link_ready({0, link}, now);
  const auto info = endpoint_->info(link);
  if (info && !info->dialer) linked(info->remote);
}

void Hostile::link_closed(link::LinkId link, const Error&, Now) { netmap_.on_link_closed({0, link}); }

void Hostile::gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) {
  static_cast<void>(netmap_.on_frame({0, link}, type, body, now));
}

bool Hostile::send(NodeLink link, std::uint8_t type, Bytes body) {
  if (type == static_cast<std::uint8_t>(wire::ControlType::digest)) {
    return endpoint_->send_control(link.link, type, digest(body));
  }
  if (type == static_cast<std::uint8_t>(wire::ControlType::summary)) {
    return endpoint_->send_control(link.link, type, summary(body));
  }
  return endpoint_->send_control(link.link, type, body);
}

// ---- circuits -----------------------------------------------------------------------------------

SocketAddress Hostile::previous_of(circuit::CircuitId circuit) const {
  const auto info = circuits_.info(circuit);
  if (!info || info->previous.index < 0) return {};
  const auto link = endpoint_->info(info->previous.link);
  return link ? link->remote : SocketAddress{};
}

void Hostile::on_incoming(circuit::CircuitId circuit, Priority priority, Now now) {
  const SocketAddress from = previous_of(circuit);
  known_[circuit] = {.began = now.mono, .from = from, .priority = priority, .coming = {}};
  came(circuit, from);
}

std::size_t Hostile::on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) {
  return read(circuit, payload.bytes(), now);
}

std::size_t Hostile::on_rider(circuit::CircuitId circuit, Bytes rider, Now now) {
  return read(circuit, rider, now);
}

std::size_t Hostile::read(circuit::CircuitId circuit, Bytes payload, Now now) {
  std::size_t count = 0;
  wire::FrameReader frames(payload);
  while (const auto frame = frames.next()) {
    ++count;
    if (const auto* data = std::get_if<wire::DataFrame>(&*frame)) take(circuit, *data, now);
    if (const auto* ack = std::get_if<wire::AckFrame>(&*frame)) {
      answered(circuit, ack->ref, ack->status);
    }
  }
  return count;
}

void Hostile::take(circuit::CircuitId circuit, const wire::DataFrame& frame, Now now) {
  const auto at = known_.find(circuit);
  if (at == known_.end()) return;
  Coming& coming = at->second.coming[frame.ref];
  if (frame.start) coming.start = *frame.start;
  coming.bytes.insert(coming.bytes.end(), frame.bytes.begin(), frame.bytes.end());
  if (!frame.last) return;
  Arrival arrival{.circuit = circuit,
                  .priority = at->second.priority,
                  .ref = frame.ref,
                  .id = coming.start.id,
                  .signer = std::nullopt,
                  .text = std::move(coming.bytes),
                  .at = now.mono,
                  .circuit_began = at->second.began,
                  .last_relay = at->second.from};
  if (coming.start.is_signed && arrival.text.size() >= wire::kSignedPrefixBytes) {
    const Bytes key = Bytes(arrival.text).first(std::tuple_size_v<crypto::IdentityPublicBytes>);
    crypto::IdentityPublicBytes copy;
    std::ranges::copy(key, copy.begin());
    arrival.signer = crypto::id_of(copy);
    arrival.text.erase(arrival.text.begin(),
                       arrival.text.begin() + std::ptrdiff_t{wire::kSignedPrefixBytes});
  }
  at->second.coming.erase(frame.ref);
  heard(arrival);
}

void Hostile::on_ended(circuit::CircuitId circuit, const Error&, Now) {
  known_.erase(circuit);
  destination_.erase(circuit);
}

void Hostile::extend(std::uint64_t ticket, const NodeId& next, Priority priority, Now now) {
  const circuit::CircuitId circuit{ticket};
  if (const auto info = circuits_.info(circuit);
      info && info->role == circuit::CircuitRole::relay) {
    relayed({.at = now.mono, .relay = at_, .from = previous_of(circuit), .next = next}, circuit);
  }
  transport_.extend(ticket, next, priority, now);
}

void Hostile::set_context(StreamId stream, std::uint64_t context) {
  transport_.set_context(stream, context);
}
void Hostile::set_priority(StreamId stream, Priority priority) {
  transport_.set_priority(stream, priority);
}
void Hostile::write(StreamId stream, memory::Block block) {
  writes(stream, block);
  transport_.write(stream, std::move(block));
}
std::size_t Hostile::queued_bytes(StreamId stream) const { return transport_.queued_bytes(stream); }
void Hostile::consume(StreamId stream, std::size_t bytes) { transport_.consume(stream, bytes); }
void Hostile::reset(StreamId stream, wire::EndCode code) { transport_.reset(stream, code); }

}  // namespace qudag::testing
