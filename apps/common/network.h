// A network of node processes on this machine, on loopback unless said otherwise: keys, ports
// chosen by the kernel, sockets and logs in one temporary directory, everything removed at the end.
#pragma once

#include "common/child.h"

#include <qudag/address.h>

#include <memory>

namespace qudag::app {

struct NetworkOptions {
  std::filesystem::path program = kThisProgram;  ///< `qudag`
  unsigned nodes = 6;
  unsigned shards = 1;
  unsigned first_shards = 0;  ///< of the first node; 0: as the others
  std::string log_level = "warn";
  std::string gossip_interval = "1s";
  unsigned links_max = 1'024;
  std::uint64_t memory = 0;                     ///< limits.memory; 0: the default
  std::vector<std::string> arguments{};         ///< of every node, besides
  std::vector<std::string> hosts{"127.0.0.1"};  ///< where the nodes listen, in turn
};

class Network {
 public:
  struct Member {
    Child child;
    NodeId id;
    std::string address;
    std::filesystem::path socket;
  };

  /// Starts all and waits until each has said that it is ready. The first is everyone's bootstrap.
  static Result<std::unique_ptr<Network>> start(const NetworkOptions& options,
                                                Interrupt& interrupt);
  /// Stops what runs and removes the directory.
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  /// Until every node knows every node, or timed_out.
  Status wait_for_netmaps(std::chrono::milliseconds patience, Interrupt& interrupt) const;
  /// Until no node asks for the end, or interrupted; io_error if a node died.
  Status watch(Interrupt& interrupt);
  /// SIGTERM to all, then wait. Whether all ended in order.
  bool stop();

  std::vector<Member>& members() { return members_; }
  const std::vector<Member>& members() const { return members_; }
  const std::filesystem::path& directory() const { return directory_; }
  /// CPU time of all nodes so far.
  double cpu_seconds() const;
  /// "node 2" for an address or an id in text form; the text itself when it is nobody's.
  std::string name_of(std::string_view address_or_id) const;

 private:
  explicit Network(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Status add(const NetworkOptions& options, std::vector<Child>& starting);
  Status join(Child child, Interrupt& interrupt);

  std::filesystem::path directory_;
  std::vector<Member> members_;
};

}  // namespace qudag::app
