// The switch: who has which address, the ways between all pairs, what is on the wires, NATs.
//
// Pure: packets and `now` in, packets and times out, no device is touched. The steps of a packet:
//   1. its source, if the node is behind a NAT, becomes what others see
//   2. its destination says the node, if anyone has that address now; a NAT there is undone
//   3. the way of this pair says whether and when (way.h)
//   4. it waits in one heap, by time and then by order of arrival
#pragma once

#include "nat.h"
#include "scenario.h"

#include <functional>
#include <queue>
#include <unordered_map>

namespace qudag::emulator {

struct NodeCounters {
  std::uint64_t sent = 0, received = 0;
  std::uint64_t no_route = 0;    // to an address that nobody has (any more)
  std::uint64_t not_ipv4 = 0;    // neighbour discovery and the like
  std::uint64_t not_let_in = 0;  // by this node's NAT, or not passed out by it (no ports)
};

/// One interval of a series: what a way delivered to its wire, and how long its queue was.
struct Interval {
  std::uint64_t bytes = 0;
  std::uint64_t dropped = 0;
  Nanos waited_sum{};
  Nanos waited_max{};
  std::uint64_t packets = 0;
};

class Fabric {
 public:
  /// `interval`: of the series kept of each way; zero: none.
  Fabric(const Scenario& scenario, Nanos interval);

  /// Everything but the device: `Move` changes where packets go, the caller changes the node.
  Status apply(const Command& command, Nanos now);
  /// What lasts until a time (partition ... for) ends here.
  void on_time(Nanos now);

  struct Sent {
    std::size_t to;
    Fate fate;
  };
  /// Nothing when it is for nobody.
  std::optional<Sent> send(std::size_t from, std::span<std::uint8_t> packet, Nanos now);

  struct Arrival {
    std::size_t to;
    Nanos due;
    std::span<const std::uint8_t> packet;  // until the next call
  };
  std::optional<Arrival> arrived(Nanos now);
  /// When arrived() or on_time() has something to do.
  std::optional<Nanos> next() const;

  std::size_t size() const { return nodes_.size(); }
  std::optional<std::size_t> find(std::string_view name) const;
  const std::string& name(std::size_t node) const { return nodes_[node].name; }
  Ipv4 address(std::size_t node) const { return nodes_[node].inside; }
  const NodeCounters& counters(std::size_t node) const { return nodes_[node].counters; }
  const Way& way(std::size_t from, std::size_t to) const { return ways_[from * size() + to]; }
  const std::vector<Interval>& series(std::size_t from, std::size_t to) const {
    return series_[from * size() + to];
  }
  Nanos interval() const { return interval_; }

 private:
  struct Node {
    std::string name;
    Ipv4 inside = 0;
    std::vector<Ipv4> more;  // of its own, too
    Ipv4 outside = 0;        // the same without a NAT
    std::int32_t shift = 0;  // of ports, by a NAT that rebound
    std::optional<Nat> nat;  // a symmetric one: then `shift` is not in use
    NodeCounters counters;
  };
  struct InFlight {
    Nanos due;
    std::uint64_t order;
    std::size_t to;
    std::size_t buffer;
    bool operator>(const InFlight& other) const {
      return due != other.due ? due > other.due : order > other.order;
    }
  };

  bool pass_out(Node& sender, Packet& packet);
  bool let_in(Node& to, Packet& packet);
  void change_address(Node& node, const Command& command);
  Result<std::vector<std::size_t>> nodes_of(const Group& group) const;
  Status set_ways(const SetWays& command);
  Status partition(const Partition& command, Nanos now);
  void heal();
  void launch(std::size_t to, std::span<const std::uint8_t> packet, Nanos due);
  void note(std::size_t way, const Fate& fate, std::size_t bytes, Nanos now);

  std::vector<Node> nodes_;
  std::vector<Way> ways_;
  std::vector<std::vector<Interval>> series_;
  Nanos interval_;
  std::optional<Nanos> heal_at_;
  std::priority_queue<InFlight, std::vector<InFlight>, std::greater<>> flying_;
  std::uint64_t order_ = 0;
  std::vector<std::vector<std::uint8_t>> buffers_;
  std::vector<std::size_t> free_;
  std::optional<std::size_t> shown_;  // the buffer that the last arrival pointed to
};

}  // namespace qudag::emulator
