// A small network of real nodes in this process, for the tests of programs that embed one.
//
//   auto network = qudag::testing::Network::start();               // five nodes, joined
//   (**network)[1].on_message(...);
//   auto mine = qudag::Node::start((*network)->guest());            // and the program's own
//
// The nodes are those of the public interface, with threads, sockets on loopback and ports from the
// kernel; every one is a relay, unless `adjust` says no, is joined, and knows every other when
// start() returns. Nothing of them is kept on disk. Installed as the CMake target qudag::testing.
//
// Threads: as Node. Limits: 2 to 32 nodes, of one shard each; a node takes about 10 MB and a
// thread, and half as many workers as there are cores.
#pragma once

#include <qudag/node.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace qudag::testing {

struct NetworkOptions {
  /// A circuit with the default number of relays, between any two of them, needs five.
  std::size_t nodes = 5;
  /// How long start() waits until all have joined.
  std::chrono::milliseconds join_max{60'000};
  /// May change the options of a node before it starts; not its addresses and bootstrap entries.
  std::function<void(std::size_t index, Options& options)> adjust{};
};

class Network {
 public:
  /// invalid_argument (number of nodes), timed_out with what a node lacks, and errors of
  /// Node::start.
  [[nodiscard]] static Result<std::unique_ptr<Network>> start(NetworkOptions options = {});
  /// Stops every node, without grace.
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  /// index < size().
  [[nodiscard]] Node& operator[](std::size_t index) { return *nodes_[index]; }
  /// Where other nodes may join it.
  [[nodiscard]] PeerAddress entrance() const;
  /// Options for one more node that joins this network: of one shard, without a file.
  [[nodiscard]] Options guest() const;
  /// Waits until `node`, here or a guest, has joined, and it and every node here know each other:
  /// then each can send to each at once. timed_out.
  [[nodiscard]] Status wait_for(Node& node, std::chrono::milliseconds timeout) const;

 private:
  Network() = default;

  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<bool> relays_;  // which of them are
};

}  // namespace qudag::testing
