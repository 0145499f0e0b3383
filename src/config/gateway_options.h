// What the gateway does: where programs of this machine ask for pipes, which services of this
// machine others may ask for, and names for nodes.
//
// Each entry has one text form, for the file, for flags and for the local API:
//   SOCKS listener  ADDRESS[,priority=low][,relays=2]
//   service         NAME=ADDRESS[,pipes=64][,allow_remote=true]
//   name            NAME=ID
//   receiver        NAME[,hidden=false][,keepers=3]
// An ADDRESS is "127.0.0.1:22", "[::1]:22", "localhost:22" (127.0.0.1, which nobody is asked for)
// or, of a service, "unix:/run/web.sock". Faults are config_invalid and say what would be right.
#pragma once

#include <qudag/address.h>
#include <qudag/message.h>
#include <qudag/pipe.h>
#include <qudag/receiver.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qudag::config {

/// A TCP port or a Unix socket of this machine; of another one where that was allowed.
struct LocalAddress {
  SocketAddress tcp;                ///< if there is no path
  std::filesystem::path unix_path;  ///< 107 bytes at most, as the system has it

  bool is_unix() const { return !unix_path.empty(); }
  std::string to_string() const;
  /// Asks no resolver.
  static Result<LocalAddress> parse(std::string_view text);
};

struct SocksOptions {
  LocalAddress listen;
  Priority priority = Priority::normal;
  unsigned relays = kRelaysDefault;
};

struct ServiceOptions {
  /// Pipes to one service unless it says otherwise, and the most that it may say.
  static constexpr std::size_t kPipesDefault = 256, kPipesMax = 2'048;

  std::string name;
  LocalAddress to;
  std::size_t pipes = kPipesDefault;
  bool allow_remote = false;  ///< `to` may be another machine
};

/// Names that the owner of this node gave to others.
using Contacts = std::map<std::string, NodeId, std::less<>>;

struct GatewayOptions {
  std::vector<SocksOptions> socks;
  std::vector<ServiceOptions> services;
  Contacts names;
  std::filesystem::path contacts_file;  ///< empty: contacts are not kept
  // Not settings of operators.
  std::size_t connections = 1'024;                     ///< of programs, at all listeners together
  std::chrono::milliseconds request_patience{10'000};  ///< for all that comes before a pipe
};

/// As qudag/pipe.h has it.
bool is_service_name(std::string_view text);

Result<SocksOptions> parse_socks(std::string_view text);
Result<ServiceOptions> parse_service(std::string_view text);
Result<std::pair<std::string, NodeId>> parse_contact(std::string_view text);
Result<ReceiverOptions> parse_receiver(std::string_view text);

}  // namespace qudag::config
