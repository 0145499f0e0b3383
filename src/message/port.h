// What messages need of circuits, and nothing more: so that tests can put a network of their own
// in its place. CircuitsPort is the real one.
#pragma once

#include "circuit/circuits.h"

#include <optional>
#include <span>

namespace qudag::message {

/// The functions are those of circuit::Circuits, with the same promises.
class Port {
 public:
  virtual ~Port() = default;
  virtual Result<circuit::CircuitId> build(std::span<const onion::RouteHop> route,
                                           Priority priority, Now now, Bytes rider) = 0;
  /// How much may ride in a build over so many hops: the size of its rider.
  virtual std::size_t rider_room(std::size_t hops) const {
    static_cast<void>(hops);
    return 0;
  }
  /// The same for that route, of which the last hop may be a receiver behind its keeper.
  virtual std::size_t rider_room_of(std::span<const onion::RouteHop> route) const {
    return rider_room(route.size());
  }
  /// The bytes of a payload there, and a block with a window of so many.
  virtual std::size_t payload_bytes(circuit::CircuitId circuit, Priority priority) const {
    static_cast<void>(circuit);
    return onion::payload_bytes(priority);
  }
  virtual memory::Block payload_block_of(circuit::CircuitId circuit, Priority priority) {
    static_cast<void>(circuit);
    return payload_block(priority);
  }
  /// Of one that came to us: the receiver that it came to; none: this node itself.
  virtual std::optional<NodeId> receiver_of(circuit::CircuitId circuit) const {
    static_cast<void>(circuit);
    return std::nullopt;
  }
  // ---- letters: what a keeper may keep of a build to a receiver
  /// The receiver there may be away, and its keeper then keep what rides.
  virtual bool may_be_away(std::span<const onion::RouteHop> route) const {
    static_cast<void>(route);
    return false;
  }
  /// The least room of a deposit for so many bytes of frames; 0: there is none so large.
  virtual std::size_t deposit_room(std::size_t bytes) const {
    static_cast<void>(bytes);
    return 0;
  }
  enum class Keep : std::uint8_t {
    no,
    if_away,  // the rider, if nobody answers
    always,   // the rider, which is deposit_room() bytes: nobody is asked
  };
  /// As build(); such a build may end by being stored.
  virtual Result<circuit::CircuitId> build_kept(std::span<const onion::RouteHop> route,
                                                Priority priority, Now now, Bytes rider,
                                                Keep keep) {
    static_cast<void>(keep);
    return build(route, priority, now, rider);
  }
  enum class KeptEnd : std::uint8_t { none, stored, no_room };
  /// Inside on_ended of a circuit that was being built.
  virtual KeptEnd kept_end() const { return KeptEnd::none; }
  /// Of one that came to us: what came was kept at a keeper, and nobody is at the other end.
  virtual bool is_letter(circuit::CircuitId circuit) const {
    static_cast<void>(circuit);
    return false;
  }
  /// How many times the way to a destination, there and back, a build of that kind takes.
  virtual unsigned legs(circuit::CircuitId circuit) const {
    static_cast<void>(circuit);
    return 1;
  }
  /// Of one that is being built: the first link is there, and the build has left.
  virtual bool has_left(circuit::CircuitId circuit) const = 0;
  /// Our own link there has brought nothing for a while, though something was due.
  virtual bool is_first_link_silent(circuit::CircuitId circuit, Now now) const {
    static_cast<void>(circuit), static_cast<void>(now);
    return false;
  }
  virtual std::size_t sendable(circuit::CircuitId circuit) const = 0;
  virtual memory::Block payload_block(Priority priority) = 0;
  virtual void send(circuit::CircuitId circuit, memory::Block payload, Now now) = 0;
  /// Of one that came to us: the link that brought it.
  virtual LinkId link_of(circuit::CircuitId circuit) const {
    static_cast<void>(circuit);
    return {};
  }
  /// What waits there to leave: cells that nobody has taken.
  virtual std::size_t held(circuit::CircuitId circuit) const {
    static_cast<void>(circuit);
    return 0;
  }
  /// Inside on_ended of a circuit that was being built: which hop failed; SIZE_MAX: unknown.
  virtual std::size_t failed_hop() const = 0;
  /// No on_ended follows.
  virtual void close(circuit::CircuitId circuit, Now now) = 0;
  /// The same, because memory is short.
  virtual void give_up(circuit::CircuitId circuit, Now now) { close(circuit, now); }
  /// As close(), of one that is being built when another one was faster.
  virtual void lost_race(circuit::CircuitId circuit, Now now) { close(circuit, now); }
};

class CircuitsPort final : public Port {
 public:
  explicit CircuitsPort(circuit::Circuits& circuits) : circuits_(circuits) {}

  Result<circuit::CircuitId> build(std::span<const onion::RouteHop> route, Priority priority,
                                   Now now, Bytes rider) override {
    return circuits_.build(route, priority, now, rider);
  }
  std::size_t rider_room(std::size_t hops) const override { return onion::rider_room(hops); }
  bool has_left(circuit::CircuitId circuit) const override {
    const auto info = circuits_.info(circuit);
    return info && info->next != StreamId{};
  }
  bool is_first_link_silent(circuit::CircuitId circuit, Now now) const override {
    return circuits_.is_first_link_silent(circuit, now);
  }
  std::size_t sendable(circuit::CircuitId circuit) const override {
    return circuits_.sendable(circuit);
  }
  memory::Block payload_block(Priority priority) override {
    return circuits_.payload_block(priority);
  }
  void send(circuit::CircuitId circuit, memory::Block payload, Now now) override {
    circuits_.send(circuit, std::move(payload), now);
  }
  std::size_t held(circuit::CircuitId circuit) const override { return circuits_.held(circuit); }
  LinkId link_of(circuit::CircuitId circuit) const override {
    const auto info = circuits_.info(circuit);
    return info ? info->previous.link : LinkId{};
  }
  std::size_t failed_hop() const override { return circuits_.failed_hop(); }
  void close(circuit::CircuitId circuit, Now now) override { circuits_.close(circuit, now); }
  void give_up(circuit::CircuitId circuit, Now now) override { circuits_.give_up(circuit, now); }
  void lost_race(circuit::CircuitId circuit, Now now) override {
    circuits_.lost_race(circuit, now);
  }

 private:
  circuit::Circuits& circuits_;
};

}  // namespace qudag::message
