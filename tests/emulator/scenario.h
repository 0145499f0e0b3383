// What a run is, said in lines; the same lines are a file, `-e` flags, and commands while it runs.
//
//   seed 7                          chance of the whole run
//   time 30s                        the end of the run, whatever happens
//   mtu 1500
//   node a 10.1.0.1 [10.2.0.1]..    a namespace with one TUN device, which may have more addresses
//   link a b delay=25ms rate=100mbit queue=300kB     both ways; * means every node
//   way a b loss=1% burst=3         one way
//   run a PROGRAM ARGUMENTS         the run ends when all of these have ended
//   serve b PROGRAM ARGUMENTS       is told to end (SIGTERM) after them
//   at 2s COMMAND                   link, way and
//     partition a,b c,* [for 1s]    nothing passes between the two groups
//     heal                          nor is anything cut
//     move a 10.9.0.1               a's address is another now; a can see that
//     rebind a [10.9.0.2]           the same for all others, by a NAT; a cannot see it
//     nat a 203.0.113.1             a is behind a symmetric NAT (nat.h) that has this address;
//                                   `rebind` makes it forget what was open, `move` leaves it
// `#` begins a comment; double quotes keep spaces together.
#pragma once

#include "packet.h"
#include "way.h"

#include <qudag/error.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace qudag::emulator {

inline constexpr std::size_t kNodesMax = 64;
inline constexpr std::string_view kHost = "host";  // where the emulator was started: `run` only

/// A list of nodes; "*" stands for all.
using Group = std::vector<std::string>;

struct SetWays {
  Group from, to;
  bool both = false;
  std::vector<std::string> settings;  // "delay=25ms", checked
};
struct Partition {
  Group one, other;
  std::optional<Nanos> lasts;
};
struct Heal {};
struct Move {
  std::string node;
  Ipv4 address = 0;
};
struct Rebind {
  std::string node;
  std::optional<Ipv4> address;  // none: the port alone
};
struct BehindNat {
  std::string node;
  Ipv4 address = 0;
};
using Command = std::variant<SetWays, Partition, Heal, Move, Rebind, BehindNat>;

struct Timed {
  Nanos at;
  Command command;
};

struct Program {
  std::string node;
  bool serves = false;
  std::vector<std::string> arguments;  // the program first
};

struct NodeSpec {
  std::string name;
  Ipv4 address = 0;
  std::vector<Ipv4> more;
};

struct Scenario {
  std::uint64_t seed = 1;
  Nanos time = std::chrono::seconds(60);
  std::size_t mtu = 1500;
  std::vector<NodeSpec> nodes;
  std::vector<Timed> timed;  // by time; those at 0 are the beginning
  std::vector<Program> programs;

  /// Adds one line. malformed, with the line in the detail.
  Status add(std::string_view line);
  /// After the last line: whether all names exist.
  Status check() const;
};

/// "25ms", "2s", "100us"
std::optional<Nanos> parse_time(std::string_view text);
Result<Command> parse_command(std::string_view line);
/// One "key=value" into the settings.
Status apply_setting(WaySettings& settings, std::string_view text);

}  // namespace qudag::emulator
