// Whose a circuit of kind keeper is: of the keeper's service, if others built it, or of one of this
// node's own receivers or calls (Owner), which build here.
//
// Owned by a shard, used on its thread only.
#pragma once

#include "circuit/circuits.h"
#include "keeper/service.h"

#include <unordered_map>
#include <utility>

namespace qudag::keeper {

/// As the functions of circuit::CircuitEvents, of circuits that it built.
class Owner {
 public:
  virtual ~Owner() = default;
  virtual void on_built(circuit::CircuitId circuit, Duration took, Now now) = 0;
  virtual std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) = 0;
  virtual void on_sendable(circuit::CircuitId circuit, Now now) {
    static_cast<void>(circuit), static_cast<void>(now);
  }
  virtual void on_draining(circuit::CircuitId circuit, bool stops, Now now) {
    static_cast<void>(circuit), static_cast<void>(stops), static_cast<void>(now);
  }
  virtual void on_ended(circuit::CircuitId circuit, const Error& why, Now now) = 0;
};

class Ends final : public circuit::CircuitEvents {
 public:
  /// `service`: of a keeper, else null. All outlive this.
  Ends(circuit::Circuits& circuits, Service* service) : circuits_(circuits), service_(service) {}

  circuit::Circuits& circuits() { return circuits_; }

  /// The owner hears of it until it has ended, or is closed here.
  Result<circuit::CircuitId> build(Owner& owner, std::span<const onion::RouteHop> route,
                                   Priority priority, Bytes rider, Now now) {
    auto circuit = circuits_.build(route, priority, now, rider, circuit::EndKind::keeper);
    if (circuit) owners_.emplace(circuit->value, &owner);
    return circuit;
  }
  void close(circuit::CircuitId circuit, Now now) {
    if (owners_.erase(circuit.value) > 0) circuits_.close(circuit, now);
  }

  // circuit::CircuitEvents
  void on_built(circuit::CircuitId circuit, Duration took, Now now) override {
    if (Owner* owner = owner_of(circuit)) owner->on_built(circuit, took, now);
  }
  void on_incoming(circuit::CircuitId circuit, Priority priority, Now now) override {
    if (service_ == nullptr) return circuits_.close(circuit, now);
    service_->on_incoming(circuit, priority, now);
  }
  std::size_t on_rider(circuit::CircuitId circuit, Bytes rider, Now now) override {
    return service_ == nullptr ? 0 : service_->on_rider(circuit, rider, now);
  }
  std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) override {
    if (Owner* owner = owner_of(circuit)) {
      return owner->on_payload(circuit, std::move(payload), now);
    }
    return service_ == nullptr ? 0 : service_->on_payload(circuit, std::move(payload), now);
  }
  void on_draining(circuit::CircuitId circuit, bool stops, Now now) override {
    if (Owner* owner = owner_of(circuit)) owner->on_draining(circuit, stops, now);
  }
  void on_sent(circuit::CircuitId circuit, std::size_t bytes, Now now) override {
    if (service_ != nullptr) service_->on_sent(circuit, bytes, now);
  }
  void on_sendable(circuit::CircuitId circuit, Now now) override {
    if (Owner* owner = owner_of(circuit)) owner->on_sendable(circuit, now);
  }
  void on_ended(circuit::CircuitId circuit, const Error& why, Now now) override {
    if (Owner* owner = owner_of(circuit)) {
      owners_.erase(circuit.value);
      return owner->on_ended(circuit, why, now);
    }
    if (service_ != nullptr) service_->on_ended(circuit, now);
  }

 private:
  Owner* owner_of(circuit::CircuitId circuit) const {
    const auto at = owners_.find(circuit.value);
    return at == owners_.end() ? nullptr : at->second;
  }

  circuit::Circuits& circuits_;
  Service* service_;
  std::unordered_map<std::uint64_t, Owner*> owners_;
};

}  // namespace qudag::keeper
