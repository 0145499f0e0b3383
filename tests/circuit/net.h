// A network of Circuits objects in memory: streams with windows, delay and any chunking, in virtual
// time, from one seed. Not a model of QUIC: only of what the Sink seam promises.
//
// Every byte is accounted per stream end: queued, sent, received, consumed. After every event the
// network checks that nobody gives back more than came, and that no relay gives back on one side
// more than has left on the other.
#pragma once

#include "circuit/circuits.h"

#include "base/bytes.h"
#include "crypto/kem.h"
#include "memory/block.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace qudag::circuit::test {

using namespace std::chrono_literals;

class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) b = static_cast<std::byte>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

using Data = std::vector<std::byte>;

struct NetOptions {
  std::uint64_t seed = 1;
  std::size_t window_bytes = 64 * 1024;  // per stream and direction
  std::size_t chunk_max = 3000;          // bytes delivered at once, at most
  Duration delay_max = 5ms;              // per hop; order within a stream is kept
};

struct NodeOptions {
  CircuitsOptions circuits{};
  memory::PoolOptions pool{};
};

class Net;

/// One end of a stream as the network sees it.
struct StreamEnd {
  std::size_t node = SIZE_MAX;  // SIZE_MAX: an attacker's end, driven by the test
  std::uint64_t context = 0;
  bool open = true;
  bool transmitting = false;  // an event for it is in the queue
  std::optional<Priority> priority;
  std::deque<memory::Block> queue;
  std::size_t queued = 0, sent = 0, received = 0, consumed = 0;
  TimePoint arrives{};           // of the last piece on its way from here
  std::optional<EndCode> ended;  // what the peer reset it with
  Data got;                      // attacker's end: what came
};

struct Stream {
  StreamId key;
  StreamEnd end[2];  // [0] opened it
  StreamEnd& of(std::size_t node) { return end[0].node == node ? end[0] : end[1]; }
};

/// One node: its Circuits, the Sink below and the CircuitEvents above, which it writes down.
class Node final : public Sink, public CircuitEvents {
 public:
  Node(Net& net, std::size_t index, NodeOptions options);

  struct Ended {
    CircuitId circuit;
    Errc why;
    std::size_t failed_hop;
  };

  onion::RouteHop hop() const { return {id, public_key}; }
  /// Sends one payload with bytes drawn from the network's seed; they are written to `sent`.
  bool send(CircuitId circuit, Priority priority);
  /// Keeps the circuit full until `count` payloads were sent.
  void stream(CircuitId circuit, Priority priority, std::size_t count);
  CircuitId only() const { return circuits.list().at(0).id; }

  // Sink
  void extend(std::uint64_t ticket, const NodeId& next, Priority priority, Now now) override;
  void set_context(StreamId stream, std::uint64_t context) override;
  void set_priority(StreamId stream, Priority priority) override;
  void write(StreamId stream, memory::Block block) override;
  std::size_t queued_bytes(StreamId stream) const override;
  CellsHeld held(StreamId stream) const override;
  void consume(StreamId stream, std::size_t bytes) override;
  void reset(StreamId stream, EndCode code) override;

  // CircuitEvents
  void on_built(CircuitId circuit, Duration took, Now now) override;
  void on_incoming(CircuitId circuit, Priority priority, Now now) override;
  std::size_t on_rider(CircuitId circuit, Bytes rider, Now now) override;
  std::size_t on_payload(CircuitId circuit, memory::Block payload, Now now) override;
  void on_sendable(CircuitId circuit, Now now) override;
  void on_ended(CircuitId circuit, const Error& why, Now now) override;

  Net& net;
  std::size_t index;
  NodeId id{};
  std::shared_ptr<const crypto::KemKeyPair> pair;
  std::shared_ptr<const crypto::KemPublicKey> public_key;
  memory::BlockPool pool;
  SeededRng rng;
  Circuits circuits;

  // What the layer above heard.
  std::vector<CircuitId> built;
  std::vector<CircuitId> incoming;
  std::map<CircuitId, std::vector<Data>> sent;
  std::map<CircuitId, std::vector<Data>> payloads;
  std::map<CircuitId, Data> riders;
  std::vector<Ended> ended;
  std::size_t times_sendable = 0;
  std::function<void(CircuitId)> when_built, when_incoming, when_payload, when_ended;

  // How its Sink answers.
  std::optional<Errc> extend_error;
  bool extend_inside = false;  // answers before extend() returns
  bool extend_never = false;
  bool window_shut = false;      // gives no window back: a slow receiver
  std::size_t payload_work = 0;  // what a payload costs, CircuitEvents::on_payload
  bool mute = false;             // nothing that it writes leaves

 private:
  void pump(CircuitId circuit, Priority priority);
  struct Plan {
    Priority priority;
    std::size_t left;
  };
  std::map<CircuitId, Plan> plans_;
};

class Net {
 public:
  explicit Net(NetOptions options = {});
  ~Net();

  Node& add(NodeOptions options = {});
  void add_many(std::size_t count, const NodeOptions& options = {});
  Node& node(std::size_t index) { return *nodes_.at(index); }
  std::size_t size() const { return nodes_.size(); }
  /// Hops 1 .. count of the nodes: node 0 is the source, the last one the destination.
  std::vector<onion::RouteHop> route(std::size_t hops) const;
  /// Builds from node 0 over `hops` nodes and runs until it is ready; ids at both ends.
  std::pair<CircuitId, CircuitId> build(std::size_t hops, Priority priority);

  Now now() const {
    return {time_, kUnixStart + static_cast<UnixSeconds>(time_.time_since_epoch() / 1s)};
  }
  /// Until nothing is on its way. Deadlines of circuits do not come.
  void run();
  /// Lets that much time pass, deadlines included.
  void pass(Duration duration);

  // Streams.
  Stream& connect(std::size_t from, std::size_t to);  // from SIZE_MAX: an attacker
  void raw_write(Stream& stream, Bytes data);
  void raw_reset(Stream& stream, EndCode code);
  /// After a change of window_shut: what waits for a window is tried again.
  void wake_all();
  std::vector<Stream*> streams();
  Stream* find(StreamId key);
  LinkId link_between(std::size_t a, std::size_t b);
  void close_link(std::size_t a, std::size_t b);
  /// Everything that node `from` sends to `to` goes through this first.
  std::function<void(std::size_t from, std::size_t to, std::size_t offset, Data& data)> tamper;

  /// No circuits, and no blocks in use anywhere.
  void expect_empty();
  /// Every relay gave back all that came, and all of it went on.
  void expect_drained();
  std::size_t circuits() const;

  std::mt19937_64 chance;
  const NetOptions options;
  static constexpr UnixSeconds kUnixStart = 1'700'000'000;

 private:
  friend class Node;
  void at(TimePoint when, std::function<void()> what);
  void step();
  void transmit(Stream& stream, std::size_t which);
  void wake(Stream& stream, std::size_t which);
  void reset(Stream& stream, std::size_t which, EndCode code);
  void check();
  Duration delay();

  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::int64_t, Stream> streams_;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> queue_;
  std::uint64_t order_ = 0;
  std::int64_t stream_index_ = 0;
  TimePoint time_{};
};

}  // namespace qudag::circuit::test
