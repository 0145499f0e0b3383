#include "fabric.h"

#include <algorithm>

namespace qudag::emulator {
namespace {

constexpr std::int32_t kRebindShift = 1'009;  // ports further with every rebinding

/// Of the commands about one node.
const std::string& named_in(const Command& command) {
  if (const auto* move = std::get_if<Move>(&command)) return move->node;
  if (const auto* nat = std::get_if<BehindNat>(&command)) return nat->node;
  return std::get<Rebind>(command).node;
}

}  // namespace

Fabric::Fabric(const Scenario& scenario, Nanos interval) : interval_(interval) {
  for (const NodeSpec& spec : scenario.nodes) {
    nodes_.push_back({spec.name, spec.address, spec.more, spec.address, 0, {}, {}});
  }
  const std::size_t pairs = size() * size();
  for (std::size_t i = 0; i < pairs; ++i) ways_.emplace_back(scenario.seed * 0x10001 + i);
  series_.resize(pairs);
}

std::optional<std::size_t> Fabric::find(std::string_view name) const {
  const auto found = std::ranges::find(nodes_, name, &Node::name);
  if (found == nodes_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - nodes_.begin());
}

Result<std::vector<std::size_t>> Fabric::nodes_of(const Group& group) const {
  std::vector<std::size_t> out;
  for (const std::string& name : group) {
    const auto node = find(name);
    if (!node && name != "*") return fail(Errc::malformed, "no such node: " + name);
    for (std::size_t i = 0; i < size(); ++i) {
      if (!node || *node == i) out.push_back(i);
    }
  }
  return out;
}

Status Fabric::set_ways(const SetWays& command) {
  const auto from = nodes_of(command.from);
  if (!from) return std::unexpected(from.error());
  const auto to = nodes_of(command.to);
  if (!to) return std::unexpected(to.error());
  const auto set = [&](std::size_t a, std::size_t b) -> Status {
    WaySettings settings = ways_[a * size() + b].settings();
    for (const std::string& each : command.settings) {
      if (auto ok = apply_setting(settings, each); !ok) return ok;
    }
    ways_[a * size() + b].set(settings);
    return {};
  };
  for (const std::size_t a : *from) {
    for (const std::size_t b : *to) {
      if (auto ok = set(a, b); !ok) return ok;
      if (auto ok = command.both ? set(b, a) : Status(); !ok) return ok;
    }
  }
  return {};
}

Status Fabric::partition(const Partition& command, Nanos now) {
  const auto one = nodes_of(command.one);
  if (!one) return std::unexpected(one.error());
  const auto other = nodes_of(command.other);
  if (!other) return std::unexpected(other.error());
  for (const std::size_t a : *one) {
    for (const std::size_t b : *other) {
      ways_[a * size() + b].cut(true);
      ways_[b * size() + a].cut(true);
    }
  }
  if (command.lasts) heal_at_ = std::max(heal_at_.value_or(Nanos(0)), now + *command.lasts);
  return {};
}

void Fabric::heal() {
  heal_at_.reset();
  for (Way& way : ways_) way.cut(false);
}

Status Fabric::apply(const Command& command, Nanos now) {
  if (const auto* set = std::get_if<SetWays>(&command)) return set_ways(*set);
  if (const auto* cut = std::get_if<Partition>(&command)) return partition(*cut, now);
  if (std::holds_alternative<Heal>(command)) {
    heal();
    return {};
  }
  const std::string& name = named_in(command);
  const auto found = find(name);
  if (!found) return fail(Errc::malformed, "no such node: " + name);
  change_address(nodes_[*found], command);
  return {};
}

void Fabric::change_address(Node& node, const Command& command) {
  if (const auto* move = std::get_if<Move>(&command)) {
    node.inside = node.outside = move->address;
    node.shift = 0;
    node.nat.reset();
  } else if (const auto* nat = std::get_if<BehindNat>(&command)) {
    node.outside = nat->address;
    node.shift = 0;
    node.nat.emplace();
  } else if (const auto* rebind = std::get_if<Rebind>(&command)) {
    node.outside = rebind->address.value_or(node.outside);
    if (node.nat) {
      node.nat->forget();
    } else {
      node.shift += kRebindShift;
    }
  }
}

void Fabric::on_time(Nanos now) {
  if (heal_at_ && *heal_at_ <= now) heal();
}

/// Step 1. False: the NAT passes nothing on that has no ports.
bool Fabric::pass_out(Node& sender, Packet& packet) {
  // A packet from an address that the node had before its move goes out as it is: nobody answers.
  if (packet.source() != sender.inside) return true;
  if (sender.nat) {
    const auto ports = packet.ports();
    if (!ports) return ++sender.counters.not_let_in, false;
    const std::uint16_t seen =
        sender.nat->out({packet.protocol(), ports->first, packet.destination(), ports->second});
    packet.rewrite_source_to(sender.outside, seen);
  } else if (sender.shift != 0 || sender.outside != sender.inside) {
    packet.rewrite_source(sender.outside, sender.shift);
  }
  return true;
}

/// Step 2. False: the NAT knows nothing of this sender.
bool Fabric::let_in(Node& to, Packet& packet) {
  if (packet.destination() != to.outside) return true;
  if (to.nat) {
    const auto ports = packet.ports();
    const auto own =
        ports ? to.nat->in({packet.protocol(), ports->second, packet.source(), ports->first})
              : std::nullopt;
    if (!own) return ++to.counters.not_let_in, false;
    packet.rewrite_destination_to(to.inside, *own);
  } else if (to.shift != 0 || to.outside != to.inside) {
    packet.rewrite_destination(to.inside, -to.shift);
  }
  return true;
}

std::optional<Fabric::Sent> Fabric::send(std::size_t from, std::span<std::uint8_t> bytes,
                                         Nanos now) {
  Node& sender = nodes_[from];
  ++sender.counters.sent;
  Packet packet(bytes);
  if (!packet.valid()) {
    ++sender.counters.not_ipv4;
    return std::nullopt;
  }
  if (!pass_out(sender, packet)) return std::nullopt;
  const Ipv4 destination = packet.destination();
  const auto to = std::ranges::find_if(nodes_, [&](const Node& node) {
    return node.outside == destination ||
           std::ranges::find(node.more, destination) != node.more.end();
  });
  if (to == nodes_.end()) {
    ++sender.counters.no_route;
    return std::nullopt;
  }
  if (!let_in(*to, packet)) return std::nullopt;
  const auto index = static_cast<std::size_t>(to - nodes_.begin());
  const std::size_t way = from * size() + index;
  const Fate fate = ways_[way].offer(now, bytes.size());
  note(way, fate, bytes.size(), now);
  if (fate.drop == Drop::none) {
    launch(index, bytes, fate.due);
    if (fate.twice) launch(index, bytes, fate.due);
  }
  return Sent{index, fate};
}

void Fabric::launch(std::size_t to, std::span<const std::uint8_t> packet, Nanos due) {
  if (free_.empty()) {
    free_.push_back(buffers_.size());
    buffers_.emplace_back();
  }
  const std::size_t buffer = free_.back();
  free_.pop_back();
  buffers_[buffer].assign(packet.begin(), packet.end());
  flying_.push({due, order_++, to, buffer});
}

std::optional<Fabric::Arrival> Fabric::arrived(Nanos now) {
  if (shown_) free_.push_back(*std::exchange(shown_, std::nullopt));
  if (flying_.empty() || flying_.top().due > now) return std::nullopt;
  const InFlight flight = flying_.top();
  flying_.pop();
  shown_ = flight.buffer;
  ++nodes_[flight.to].counters.received;
  return Arrival{flight.to, flight.due, buffers_[flight.buffer]};
}

std::optional<Nanos> Fabric::next() const {
  std::optional<Nanos> out = heal_at_;
  if (!flying_.empty() && (!out || flying_.top().due < *out)) out = flying_.top().due;
  return out;
}

void Fabric::note(std::size_t way, const Fate& fate, std::size_t bytes, Nanos now) {
  if (interval_ <= Nanos(0)) return;
  auto& series = series_[way];
  const auto at = static_cast<std::size_t>(now / interval_);
  if (series.size() <= at) series.resize(at + 1);
  Interval& interval = series[at];
  ++interval.packets;
  if (fate.drop != Drop::none) {
    ++interval.dropped;
    return;
  }
  interval.bytes += bytes;
  interval.waited_sum += fate.waited;
  interval.waited_max = std::max(interval.waited_max, fate.waited);
}

}  // namespace qudag::emulator
