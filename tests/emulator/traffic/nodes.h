// Nodes of the library inside the namespaces of the emulator, all in this process: whoever sends
// and whoever receives share one clock and one ledger. A thread enters a namespace, starts the node
// there (its sockets stay), and comes back.
//
// Runs as the program `host` of qudag_emulator. Threads: one.
#pragma once

#include <qudag/node.h>

#include <boost/json/object.hpp>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::traffic {

namespace json = boost::json;

/// KEY=VALUE words of the command line.
class Words {
 public:
  Words(int count, char** words);
  std::string text(const std::string& key, const std::string& otherwise) const;
  double number(const std::string& key, double otherwise) const;

 private:
  std::map<std::string, std::string> all_;
};

/// One command to the emulator (scenario.h); it is done when this returns.
void command(std::string_view line);

[[noreturn]] void give_up(const std::string& why);

struct NodeSpec {
  std::string space;    // the emulator's node in which it lives
  std::string address;  // "10.1.0.1"
  bool relay = false;
  std::uint16_t port = 4433;
  bool known = true;    // false: only sends, and nobody can dial it
  bool publish = true;  // false: it finds out where it is, and again when that changes
};

class Nodes {
 public:
  explicit Nodes(const Words& words) : words_(words) {}

  /// In order; the first is everyone's bootstrap.
  void start(const std::vector<NodeSpec>& specs);
  /// Until every node knows every node.
  void wait_for_netmaps() const;
  /// At once: what is under way fails, so that nobody waits for it.
  void stop();
  Node& operator[](std::size_t index) { return *nodes_[index]; }

  /// The sum of a metric of one node over the labels that contain `label`.
  double metric(std::size_t node, std::string_view name, std::string_view label = "") const;

 private:
  const Words& words_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::size_t known_ = 0;
};

/// The destination "b", relays "r1"..., the source "a", which all links are dialed by that it has.
/// The others dial b, and whom they need. Unless `publish`, b finds out where it is.
std::vector<NodeSpec> line_of(unsigned relays, bool publish = true);

}  // namespace qudag::traffic
