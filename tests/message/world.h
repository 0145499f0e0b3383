// Nodes that exchange messages over made-up circuits, in virtual time, from one seed.
//
// A circuit is two queues with a rate and a latency; it can be killed at any moment, and builds can
// be made to fail. No cryptography, no cells: what is tested is message/ alone.
#pragma once

#include "base/rng.h"
#include "message/messages.h"
#include "message/port.h"
#include "pipe_app.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qudag::message::testing {

using namespace std::chrono_literals;

/// splitmix64: small, and enough for tests.
class TestRng final : public Rng {
 public:
  explicit TestRng(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& b : out) b = static_cast<std::byte>(next() >> 56);
  }
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

NodeId node_id(std::size_t index);
/// The bytes of message number `serial`: nothing else gives the same, from 8 bytes on.
std::vector<std::byte> pattern(std::uint64_t serial, std::size_t size);
memory::Chain chain_of(memory::BlockPool& pool, Bytes bytes, memory::BlockSize size);

class World;

/// What the application of a node saw and did.
struct Got {
  std::array<std::byte, 16> id{};
  std::vector<std::byte> bytes;
  Priority priority = Priority::normal;
  std::optional<NodeId> sender;
  std::optional<ReplyPath> reply_to;
  std::optional<std::array<std::byte, 16>> in_reply_to;
  Handed handed;
  TimePoint at{};
};

struct Ended {
  Delivery delivery;
  TimePoint at{};
  unsigned times = 0;
};

struct Progress {
  std::uint64_t send = 0;
  std::size_t done = 0, all = 0;
};

class Node final : public Port, public Routes, public MessageEvents {
 public:
  Node(World& world, std::size_t index, MessagesOptions options, std::uint64_t budget_bytes,
       const crypto::Identity* identity);

  // The application.
  Result<SendId> send(std::size_t to, std::uint64_t serial, std::size_t size,
                      SendOptions options = {});
  Result<SendId> send_bytes(const NodeId& to, Bytes bytes, SendOptions options);
  Result<SendId> reply(const ReplyPath& to, Bytes bytes, std::chrono::milliseconds ttl = 60s);
  std::vector<Got> got;
  std::map<std::uint64_t, Ended> ended;
  std::vector<Progress> progress;
  std::function<Taken(const Got&)> on_got;  // else: yes
  std::function<void(SendId, const Delivery&)> on_end;
  const Ended& end_of(Result<SendId> id) { return ended[id.value().value]; }
  /// Outcomes of any kind, and those of one kind.
  std::size_t outcomes() const { return ended.size(); }
  std::size_t outcomes(Outcome outcome) const;

  // Routes.
  Result<std::vector<onion::RouteHop>> draw(const NodeId& destination, unsigned relays,
                                            Now now) override;
  void report(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
              Duration took, Now now) override;
  Errc draw_fails = Errc::ok;
  struct Report {
    bool ok = false;
    std::size_t failed_hop = 0, hops = 0;
  };
  std::vector<Report> reports;
  void refused(std::span<const onion::RouteHop>, std::size_t, Now) override { ++refusals; }
  std::size_t refusals = 0;
  Duration late_after(bool, Now) override { return builds_late_after; }
  void late(std::span<const onion::RouteHop>, bool at_first_link, Now) override {
    ++(at_first_link ? late_dials : late_builds);
  }
  Duration builds_late_after = Duration::max();
  std::size_t late_builds = 0, late_dials = 0;
  bool dials = false;  // the first link is never there

  // Port.
  Result<circuit::CircuitId> build(std::span<const onion::RouteHop> route, Priority priority,
                                   Now now, Bytes rider) override;
  std::size_t rider_room(std::size_t hops) const override;
  bool has_left(circuit::CircuitId) const override { return !dials; }
  LinkId link_of(circuit::CircuitId circuit) const override;  // one for each source
  std::size_t sendable(circuit::CircuitId circuit) const override;
  memory::Block payload_block(Priority priority) override;
  void send(circuit::CircuitId circuit, memory::Block payload, Now now) override;
  std::size_t failed_hop() const override { return failed_hop_now; }
  void close(circuit::CircuitId circuit, Now now) override;
  void lost_race(circuit::CircuitId circuit, Now now) override;
  std::size_t races_lost = 0;
  std::size_t failed_hop_now = SIZE_MAX;

  // MessageEvents.
  Taken on_message(Received&& message, Now now) override;
  void on_outcome(SendId id, const Delivery& delivery, Now now) override;
  void on_progress(SendId id, std::size_t done, std::size_t all, Now now) override;

  memory::BlockPool pool;
  memory::Budget budget;
  memory::Budget* claim = &budget;  // what messages reserve from, unless the options say otherwise
  memory::Budget tables{"tables", 64 << 20};  // of circuits, back when they end
  TestRng rng;
  std::shared_ptr<PipesOfNode> pipes;  // owners: this, messages
  PipeApp pipe_app{*this};
  std::unique_ptr<Messages> messages;
  World& world;
  const std::size_t index;
  std::uint64_t cells_sent = 0;
};

/// One end of a made-up circuit.
struct End {
  Node* node = nullptr;
  circuit::CircuitId id;
  bool known = false;      // the node was told of it
  std::size_t queued = 0;  // cells not yet on the way
  bool was_full = false;
  TimePoint free_at{};  // when the last of them will have left
};

struct Line {
  std::uint64_t number = 0;
  Priority priority = Priority::normal;
  End ends[2];  // source, destination
  bool alive = true;
};

struct WorldOptions {
  std::uint64_t seed = 1;
  MessagesOptions messages;
  std::uint64_t budget_bytes = std::uint64_t{1} << 30;
  Duration latency = 20ms;
  Duration cell_time = 2us;
  std::size_t ahead_cells = 128;
  std::vector<const crypto::Identity*> identities;
  bool pipes_served = true;
  bool one_node = false;  // all but the first are shards of one node, in the order of their indices
  bool riders = false;    // messages ride in builds
  Duration work_takes{};  // signatures are made by workers, and come back so late; 0: no workers
};

class World {
 public:
  explicit World(std::size_t nodes, WorldOptions options = {});
  ~World();

  Node& operator[](std::size_t i) { return *nodes_[i]; }
  std::size_t size() const { return nodes_.size(); }
  Now now() const { return {TimePoint(clock_), 1'800'000'000}; }

  void at(TimePoint when, std::function<void()> what);
  void after(Duration wait, std::function<void()> what) { at(now().mono + wait, std::move(what)); }
  /// One event, then every node's turn ends. False if nothing is left to happen.
  bool step();
  void run_for(Duration length);
  /// Until the condition holds; false if it does not within `limit` of virtual time.
  bool run_until(const std::function<bool()>& condition, Duration limit = 600s);

  // Faults.
  void kill(Line& line, Errc why = Errc::circuit_failed);
  /// The same; the destination hears of it later.
  void cut(Line& line, Duration later);
  Line* line(std::size_t i) { return i < lines_.size() ? lines_[i].get() : nullptr; }
  Line* line_of(circuit::CircuitId id);
  std::vector<Line*> alive();
  std::size_t lines() const { return lines_.size(); }
  unsigned builds_to_fail = 0;
  Errc build_fails_with = Errc::unreachable;
  std::size_t build_fails_at = SIZE_MAX;
  Duration build_fails_after{};  // 0: as soon as a build would have been ready
  Errc build_refused_at_once = Errc::ok;
  unsigned works_to_refuse = 0;       // the workers have no room so often
  unsigned works_to_expire = 0;       // and so many are never begun: they waited for too long
  std::size_t works = 0;              // taken by them
  bool hold_builds = false;           // builds never get ready
  bool fail_builds_inside = false;    // on_ended comes from inside build()
  bool failed_builds_arrive = false;  // it is their reply that is lost
  std::size_t builds_arrive_at = 0;   // that node, whatever they are for; 0: the one they are for
  std::vector<Duration> builds_take;  // of the next ones, from the source to the destination
  /// Sees each cell that leaves; false: it is lost.
  std::function<bool(Line&, unsigned from, Bytes payload)> on_cell;

  /// Nothing held anywhere: blocks, budget, counters.
  void expect_empty();

  WorldOptions options;
  TestRng rng;

 private:
  friend class Node;
  Result<circuit::CircuitId> build(Node& from, const NodeId& to, Priority priority, Bytes rider);
  void arrive(Line& line, Bytes rider);
  void send(circuit::CircuitId id, memory::Block payload);
  void closed_by(circuit::CircuitId id);
  void turn();
  TimePoint next_deadline() const;
  Offload workers();

  Duration clock_{1h};
  std::multimap<TimePoint, std::function<void()>> events_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Line>> lines_;
};

}  // namespace qudag::message::testing
