// A hostile node in the simulated world: the product's link, circuit and netmap parts without its
// shard, so that it speaks the protocol to the letter until it does not. What a kind of attacker
// does differently is in its hooks (attackers/kinds.cc); what all of them see goes to one Ring.
//
//   Host -> link::Endpoint -> CircuitTransport -> circuit::Circuits (through a tap) -> frames of
//   messages
#pragma once

#include "circuit/circuits.h"
#include "crypto/identity.h"
#include "link/endpoint.h"
#include "netmap/netmap.h"
#include "shard/circuit_transport.h"
#include "shard/key_ring.h"
#include "testing/world.h"
#include "wire/message_frames.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace qudag::testing {

struct HostileOptions {
  bool relay = false;
  std::uint32_t capacity_kib_s = 0;
  PeerAddress bootstrap;
};

/// A build that came to an attacker's relay.
struct Sighting {
  TimePoint at{};
  SocketAddress relay;  // which of ours
  SocketAddress from;
  NodeId next;
};

/// A whole message that came to an attacker as its destination.
struct Arrival {
  circuit::CircuitId circuit;
  Priority priority = Priority::normal;
  std::uint32_t ref = 0;
  wire::MessageId id{};
  std::optional<NodeId> signer;
  std::vector<std::byte> text;
  TimePoint at{}, circuit_began{};
  SocketAddress last_relay;
};

class Hostile : public runtime::Driven,
                private shard::LinkListener,
                private circuit::CircuitEvents,
                private circuit::Sink,
                private netmap::GossipSink {
 public:
  Hostile(World& world, const SocketAddress& at, HostileOptions options);
  ~Hostile() override;
  void start();

  const NodeId& id() const { return identity_.id(); }
  const SocketAddress& address() const { return at_; }
  bool is_relay() const { return options_.relay; }

 protected:
  // What a kind does. All of them run inside the turn.
  virtual void tick(Now) {}
  virtual void heard(const Arrival& arrival) { acknowledge(arrival); }
  virtual void answered(circuit::CircuitId, std::uint32_t, wire::AckStatus) {}
  virtual void relayed(const Sighting&, circuit::CircuitId) {}
  virtual void came(circuit::CircuitId, const SocketAddress& from) { static_cast<void>(from); }
  virtual void linked(const SocketAddress&) {}
  virtual void writes(StreamId, memory::Block&) {}
  /// What it says of relays instead of what it knows.
  virtual std::vector<std::byte> digest(Bytes body) { return {body.begin(), body.end()}; }
  virtual std::vector<std::byte> summary(Bytes body) { return {body.begin(), body.end()}; }

  // What they have for it.
  void later(Duration after, std::function<void()> step);
  void acknowledge(const Arrival& arrival);
  /// False: no room, or the circuit is gone.
  bool say(circuit::CircuitId circuit, const wire::Frame& frame);
  /// A message or its beginning; the ref under which it is answered.
  std::optional<std::uint32_t> begin(circuit::CircuitId circuit, const wire::MessageStart& start,
                                     std::size_t bytes);
  std::optional<onion::RouteHop> hop(const NodeId& id) const;
  std::optional<circuit::CircuitId> build(const std::vector<NodeId>& route, Priority priority);
  /// Ends it here and at both neighbours.
  void kill(circuit::CircuitId circuit);
  std::optional<link::LinkId> link_to(const NodeId& id);
  void write_raw(link::LinkId link, Priority priority, Bytes bytes);
  /// A descriptor of ours with further addresses after our own.
  void announce(const std::vector<SocketAddress>& claimed);
  Status add_to_netmap(Bytes descriptor) { return netmap_.add(descriptor, world_.now()); }
  netmap::ViewPtr view() const { return netmap_.view(); }
  memory::Block block(Bytes bytes);
  wire::MessageId draw_id();

  World& world_;
  const HostileOptions options_;
  std::vector<circuit::CircuitId> ready_;             // that we built; they may have ended
  std::map<circuit::CircuitId, NodeId> destination_;  // of each that we built and that lives

  circuit::Circuits& circuits() { return circuits_; }
  link::Endpoint& endpoint() { return *endpoint_; }

 private:
  struct Coming {
    wire::MessageStart start;
    std::vector<std::byte> bytes;
  };
  struct Circuit {
    TimePoint began{};
    SocketAddress from;
    Priority priority = Priority::normal;
    std::uint32_t next_ref = 0;
    std::map<std::uint32_t, Coming> coming;
  };

  // runtime::Driven
  bool on_readable(Now now) override;
  void on_writable(Now) override {}
  void on_time(Now now) override;
  void flush(Now now) override;
  TimePoint next_deadline() const override;
  bool wants_writable() const override { return false; }
  // shard::LinkListener
  void link_asked(const NodeId&, shard::LinkRequest, Now) override {}
  void link_ready(link::LinkId link, Now now) override;
  void link_closed(link::LinkId link, const Error& why, Now now) override;
  void unanswered(const NodeId&, Now) override {}
  void gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) override;
  void load_frame(link::LinkId, Bytes, Now) override {}
  void time_frame(link::LinkId, Bytes, Now) override {}
  // circuit::CircuitEvents
  void on_built(circuit::CircuitId circuit, Duration, Now) override { ready_.push_back(circuit); }
  void on_incoming(circuit::CircuitId circuit, Priority priority, Now now) override;
  std::size_t on_rider(circuit::CircuitId circuit, Bytes rider, Now now) override;
  std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) override;
  void on_sendable(circuit::CircuitId, Now) override {}
  void on_ended(circuit::CircuitId circuit, const Error& why, Now now) override;
  // circuit::Sink
  void extend(std::uint64_t ticket, const NodeId& next, Priority priority, Now now) override;
  void set_context(StreamId stream, std::uint64_t context) override;
  void set_priority(StreamId stream, Priority priority) override;
  void write(StreamId stream, memory::Block block) override;
  std::size_t queued_bytes(StreamId stream) const override;
  CellsHeld held(StreamId stream) const override { return transport_.held(stream); }
  void consume(StreamId stream, std::size_t bytes) override;
  void reset(StreamId stream, wire::EndCode code) override;
  // netmap::GossipSink
  bool send(NodeLink link, std::uint8_t type, Bytes body) override;

  std::size_t read(circuit::CircuitId circuit, Bytes payload, Now now);
  void take(circuit::CircuitId circuit, const wire::DataFrame& frame, Now now);
  SocketAddress previous_of(circuit::CircuitId circuit) const;

  const SocketAddress at_;
  Host& environment_;
  crypto::Identity identity_;
  memory::BlockPool pool_;
  shard::CircuitTransport transport_;
  circuit::Circuits circuits_;
  std::unique_ptr<link::Endpoint> endpoint_;
  netmap::Netmap netmap_;
  std::vector<shard::HeldKey> keys_;
  UnixSeconds published_ = 0;
  std::map<circuit::CircuitId, Circuit> known_;  // that end here, and that we built
  TimePoint tick_at_{};
  TimePoint join_at_{};
};

}  // namespace qudag::testing
