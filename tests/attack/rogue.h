// A hostile peer made of the product's own parts, in the test's thread: it speaks the protocol to
// the letter until it does not. Endpoint and streams for what happens on a link, circuits for
// floods and for a destination that does not read, gossip for descriptors.
//
//   Wire -> link::Endpoint -> CircuitTransport -> circuit::Circuits (through a Grip, which may keep
//   windows)
//
// Threads: one; nothing happens but in turn() and run().
#pragma once

#include "attack/wire.h"

#include "circuit/circuits.h"
#include "crypto/random.h"
#include "link/endpoint.h"
#include "netmap/netmap.h"
#include "shard/circuit_transport.h"

#include <functional>
#include <map>
#include <optional>

namespace qudag::attack {

/// Between circuits and streams: keeps windows, or sends only the beginning of a cell.
class Grip final : public circuit::Sink {
 public:
  explicit Grip(circuit::Sink& below) : below_(below) {}
  void extend(std::uint64_t ticket, const NodeId& next, Priority priority, Now now) override {
    below_.extend(ticket, next, priority, now);
  }
  void set_context(StreamId stream, std::uint64_t context) override {
    below_.set_context(stream, context);
  }
  void set_priority(StreamId stream, Priority priority) override {
    below_.set_priority(stream, priority);
  }
  void write(StreamId stream, memory::Block block) override {
    if (block.size() > first_bytes_only) block.drop_back(block.size() - first_bytes_only);
    below_.write(stream, std::move(block));
  }
  std::size_t queued_bytes(StreamId stream) const override { return below_.queued_bytes(stream); }
  void consume(StreamId stream, std::size_t bytes) override {
    if (!keep_windows) below_.consume(stream, bytes);
  }
  void reset(StreamId stream, wire::EndCode code) override { below_.reset(stream, code); }

  bool keep_windows = false;
  std::size_t first_bytes_only = SIZE_MAX;  ///< of each block, from now on

 private:
  circuit::Sink& below_;
};

struct RogueOptions {
  link::EndpointOptions link{.links_max = 50'000, .known = true};
  bool announce = false;  ///< publishes a descriptor: others may build circuits to it
  std::chrono::milliseconds build_timeout{20'000};
};

class Rogue final : private shard::LinkListener,
                    private circuit::CircuitEvents,
                    private netmap::GossipSink {
 public:
  explicit Rogue(RogueOptions options = {});
  ~Rogue() override;

  /// Waits at most so many milliseconds for something to read.
  void turn(int wait_ms = 1);
  /// Turns until `done` or for so long in real time; whether done.
  bool run(std::chrono::milliseconds most, const std::function<bool()>& done);
  void run_for(std::chrono::milliseconds time) {
    (void)run(time, [] { return false; });
  }

  /// Dials and waits until the link is ready; nothing if it was not in five seconds.
  std::optional<link::LinkId> join(const PeerAddress& peer);
  /// A hop of a route, once gossip has told of it.
  std::optional<onion::RouteHop> hop(const NodeId& id) const;
  /// Asks for a circuit; false if refused here.
  bool build(std::span<const onion::RouteHop> route, Priority priority);
  /// A cell with these frames. False if the circuit has no room for it.
  bool say(circuit::CircuitId circuit, Priority priority, Bytes frames);
  /// As many cells of nothing as the circuit has room for, at most so many. How many.
  std::size_t fill(circuit::CircuitId circuit, Priority priority, std::size_t most = SIZE_MAX);
  memory::Block block(std::size_t bytes);

  const NodeId& id() const { return identity_.id(); }
  /// What announce() published.
  std::vector<std::byte> descriptor() const { return netmap_.view()->find(id())->raw; }
  link::Endpoint& endpoint() { return *endpoint_; }
  circuit::Circuits& circuits() { return circuits_; }
  Wire wire;
  Grip& grip() { return grip_; }
  static Now now();

  // What happens to circuits, for who wants it beside the counts.
  std::function<void(circuit::CircuitId, Duration took)> on_ready = [](auto, auto) {};
  std::function<void(circuit::CircuitId, Bytes payload)> on_cell = [](auto, auto) {};
  std::function<void(circuit::CircuitId, const Error& why)> on_end = [](auto, const auto&) {};

  std::vector<circuit::CircuitId> built;     // in this order; they may have ended since
  std::map<std::string, std::size_t> ended;  // circuits, by what was said
  std::size_t ended_all = 0;
  std::size_t payloads = 0;
  std::size_t links_closed = 0;

 private:
  // shard::LinkListener
  void link_asked(const NodeId&, shard::LinkRequest, Now) override {}
  void link_ready(link::LinkId link, Now now) override;
  void link_closed(link::LinkId link, const Error& why, Now now) override;
  void unanswered(const NodeId&, Now) override {}
  void gossip_frame(link::LinkId link, std::uint8_t type, Bytes body, Now now) override;
  void load_frame(link::LinkId, Bytes, Now) override {}
  void time_frame(link::LinkId, Bytes, Now) override {}
  // circuit::CircuitEvents
  void on_built(circuit::CircuitId circuit, Duration took, Now) override {
    built.push_back(circuit);
    on_ready(circuit, took);
  }
  void on_incoming(circuit::CircuitId, Priority, Now) override {}
  std::size_t on_rider(circuit::CircuitId circuit, Bytes rider, Now) override {
    ++payloads;
    on_cell(circuit, rider);
    return 1;
  }
  std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now) override {
    ++payloads;
    on_cell(circuit, payload.bytes());
    return 1;
  }
  void on_sendable(circuit::CircuitId, Now) override {}
  void on_ended(circuit::CircuitId circuit, const Error& why, Now now) override;
  // netmap::GossipSink
  bool send(NodeLink link, std::uint8_t type, Bytes body) override;

  void announce();

  crypto::SystemRng rng_;
  crypto::Identity identity_;
  memory::BlockPool pool_;
  shard::CircuitTransport transport_;
  Grip grip_;
  circuit::Circuits circuits_;
  std::unique_ptr<link::Endpoint> endpoint_;
  netmap::Netmap netmap_;
  std::vector<link::LinkId> ready_;
};

}  // namespace qudag::attack
