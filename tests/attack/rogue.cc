#include "attack/rogue.h"

#include "runtime/clock.h"
#include "shard/key_ring.h"

#include <poll.h>

#include <algorithm>
#include <cstring>

namespace qudag::attack {
namespace {

using namespace std::chrono_literals;

template <class T>
T must(Result<T> result) {
  QUDAG_ASSERT(result.has_value());
  return std::move(*result);
}

circuit::CircuitsOptions circuit_options(const NodeId& self, std::chrono::milliseconds timeout) {
  circuit::CircuitsOptions out;
  out.self = self;
  out.circuits_max = 100'000;
  out.building_max = 100'000;
  out.ahead_bytes = 4 << 20;
  out.build_timeout = timeout;
  return out;
}

}  // namespace

Rogue::Rogue(RogueOptions options)
    : identity_(must(crypto::Identity::generate())),
      transport_(identity_.id(), *this, {}),
      grip_(transport_),
      circuits_(circuit_options(identity_.id(), options.build_timeout), pool_, rng_, grip_),
      endpoint_(must(link::Endpoint::create(std::move(options.link), identity_, pool_, rng_,
                                            transport_, nullptr))),
      netmap_({.self = identity_.id(), .digest_interval = 1s}, rng_, *this) {
  transport_.attach(*endpoint_, circuits_);
  transport_.set_local(wire.local());
  circuits_.set_events(*this);
  if (options.announce) announce();
}

Rogue::~Rogue() = default;

Now Rogue::now() { return runtime::system_now(); }

void Rogue::announce() {
  auto said = must(shard::announce({.identity = &identity_,
                                    .keys = {},
                                    .addresses = {wire.local()},
                                    .relay = false,
                                    .descriptor_lifetime_s = 3'600,
                                    .onion_key_lifetime_s = 3'600,
                                    .now = now()}));
  circuits_.set_onion_keys(shard::onion_keys(said.keys));
  QUDAG_ASSERT(netmap_.add(said.descriptor, now()).has_value());
}

void Rogue::turn(int wait_ms) {
  pollfd readable{wire.fd(), POLLIN, 0};
  (void)::poll(&readable, 1, wait_ms);
  const Now at = now();
  for (int i = 0; i < 8; ++i) {
    const auto batch = wire.receive();
    if (batch.empty()) break;
    endpoint_->receive(batch, wire.local(), at);
  }
  if (endpoint_->next_deadline() <= at.mono) endpoint_->on_time(at);
  if (circuits_.next_deadline() <= at.mono) circuits_.on_time(at);
  if (netmap_.next_deadline() <= at.mono) netmap_.on_time(at);
  transport_.set_view(netmap_.view());
  endpoint_->flush(wire, at);
}

bool Rogue::run(std::chrono::milliseconds most, const std::function<bool()>& done) {
  const TimePoint end = now().mono + most;
  while (!done()) {
    if (now().mono >= end) return false;
    turn();
  }
  return true;
}

std::optional<link::LinkId> Rogue::join(const PeerAddress& peer) {
  const auto dialed = endpoint_->dial(peer.id, peer.at, wire.local(), now());
  if (!dialed) return std::nullopt;
  const bool up = run(
      20s, [&] { return std::ranges::find(ready_, *dialed) != ready_.end() || links_closed > 0; });
  return up && links_closed == 0 ? std::optional(*dialed) : std::nullopt;
}

std::optional<onion::RouteHop> Rogue::hop(const NodeId& id) const {
  const netmap::EntryPtr entry = netmap_.view()->find_shared(id);
  if (entry == nullptr) return std::nullopt;
  return onion::RouteHop{.id = id, .onion_key = entry->onion_key(now().unix_seconds)};
}

bool Rogue::build(std::span<const onion::RouteHop> route, Priority priority) {
  return circuits_.build(route, priority, now()).has_value();
}

bool Rogue::say(circuit::CircuitId circuit, Priority priority, Bytes frames) {
  if (circuits_.sendable(circuit) == 0) return false;
  memory::Block payload = circuits_.payload_block(priority);
  if (!payload) return false;
  QUDAG_ASSERT(frames.size() <= payload.size());
  std::ranges::fill(payload.bytes(), std::byte{0});
  std::ranges::copy(frames, payload.bytes().begin());
  circuits_.send(circuit, std::move(payload), now());
  return true;
}

std::size_t Rogue::fill(circuit::CircuitId circuit, Priority priority, std::size_t most) {
  std::size_t sent = 0;
  while (sent < most && circuits_.sendable(circuit) > 0) {
    memory::Block payload = circuits_.payload_block(priority);
    if (!payload) break;
    std::ranges::fill(payload.bytes(), std::byte{0});
    circuits_.send(circuit, std::move(payload), now());
    ++sent;
  }
  return sent;
}

memory::Block Rogue::block(std::size_t bytes) {
  memory::Block out = pool_.take(bytes > 1'024 ? memory::BlockSize::bulk : memory::BlockSize::cell);
  if (out) out.append(bytes);
  if (out) std::ranges::fill(out.bytes(), std::byte{0});
  return out;
}

void Rogue::link_ready(link::LinkId link, Now now) {
  ready_.push_back(link);
  netmap_.on_link_ready({0, link}, now);
}

void Rogue::link_closed(link::LinkId link, const Error&, Now) {
  ++links_closed;
  netmap_.on_link_closed({0, link});
}

void Rogue::gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) {
  (void)netmap_.on_frame({0, link}, type, body, now);
}

void Rogue::on_ended(circuit::CircuitId circuit, const Error& why, Now) {
  ++ended_all;
  ++ended[why.message()];
  on_end(circuit, why);
}

bool Rogue::send(NodeLink link, std::uint8_t type, Bytes body) {
  return endpoint_->send_control(link.link, type, body);
}

}  // namespace qudag::attack
