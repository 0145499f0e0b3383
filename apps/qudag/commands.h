// The subcommands: what main has parsed goes in, the exit code comes out. Results go to standard
// output, everything else to standard error.
#pragma once

#include "common/report.h"

#include "config/keys.h"

#include <qudag/message.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace qudag::app {

struct KeygenArgs {
  std::filesystem::path file;
  bool json = false;
};
Exit keygen(const KeygenArgs& args);

struct IdArgs {
  std::filesystem::path file;
  bool json = false;
};
Exit show_id(const IdArgs& args);

struct NodeArgs {
  std::filesystem::path config;
  std::vector<std::pair<std::string, std::vector<std::string>>> flags;  ///< keys and values
  int ready_fd = -1;
  std::chrono::milliseconds grace{5'000};
  bool print_config = false;
  std::chrono::milliseconds wait_joined{};  ///< before the ready line; 0: not
};
Exit run_node(const NodeArgs& args);

/// Where a node's API is, and whose it is.
struct SocketArgs {
  std::filesystem::path path;
  std::optional<unsigned> owner;  ///< beside this user and root
};

struct SendArgs {
  SocketArgs socket;
  std::string to;              ///< an id, or the name of a contact
  std::filesystem::path file;  ///< empty or "-": standard input
  SendOptions options;
  bool json = false;
  bool quiet = false;
};
Exit send(const SendArgs& args);

struct RecvArgs {
  SocketArgs socket;
  std::filesystem::path directory;  ///< empty: standard output
  std::uint64_t count = 0;          ///< 0: until interrupted
  ChannelNumber channel = 0;
  std::chrono::milliseconds patience = std::chrono::hours(24 * 365);  ///< for the next message
  bool json = false;
};
Exit recv(const RecvArgs& args);

struct InviteArgs {
  SocketArgs socket;
  std::string name = "me";  ///< of the receiver
  bool behind_router = false;
  std::size_t keepers = 2;
  std::chrono::milliseconds patience{60'000};
  bool qr = false;  ///< also where standard output is no terminal
  bool json = false;
};
Exit invite(const InviteArgs& args);

struct ContactArgs {
  SocketArgs socket;
  std::string name;
  std::string text;  ///< an invitation or an id; "-": standard input
  bool json = false;
};
Exit contact_add(const ContactArgs& args);
Exit contact_remove(const ContactArgs& args);
Exit contact_list(const ContactArgs& args);

/// To a service of a node or receiver, by id or by the name of a contact.
struct PipeArgs {
  SocketArgs socket;
  std::string to;
  std::string service;
  Priority priority = Priority::normal;
  unsigned relays = kRelaysDefault;
};
Exit pipe(const PipeArgs& args);

struct ForwardArgs : PipeArgs {
  std::string listen;
  bool json = false;
};
Exit forward(const ForwardArgs& args);

struct ExposeArgs {
  SocketArgs socket;
  std::string service;  ///< NAME=ADDRESS
  bool json = false;
};
Exit expose(const ExposeArgs& args);

struct StatusArgs {
  SocketArgs socket;
  bool peers = false;
  bool circuits = false;
  bool queues = false;
  bool receivers = false;
  bool metrics = false;
  bool json = false;
};
Exit status(const StatusArgs& args);

struct TopArgs {
  SocketArgs socket;
  std::chrono::milliseconds interval{1'000};  ///< between two readings
  bool once = false;
};
Exit top(const TopArgs& args);

/// What asks a node for one thing.
struct AskArgs {
  SocketArgs socket;
  bool json = false;
};
Exit reload(const AskArgs& args);
Exit nodes(const AskArgs& args);
/// Where the web page is, with its token.
Exit web(const AskArgs& args);

struct DrainArgs : AskArgs {
  std::chrono::milliseconds grace = std::chrono::minutes(10);
};
Exit drain(const DrainArgs& args);

struct PingArgs : AskArgs {
  NodeId to;
  std::uint64_t count = 3;
  unsigned relays = kRelaysDefault;
};
Exit ping(const PingArgs& args);
Exit doctor(const AskArgs& args);

struct CheckConfigArgs {
  std::filesystem::path file;
  bool json = false;
};
Exit check_config(const CheckConfigArgs& args);

/// Of the node that a configuration file describes, from or to a directory.
struct BackupArgs {
  std::filesystem::path config;
  std::filesystem::path directory;
  bool json = false;
};
Exit backup(const BackupArgs& args);
Exit restore(const BackupArgs& args);

struct TestnetArgs {
  unsigned nodes = 6;
  unsigned shards = 1;
  bool json = false;
};
Exit testnet_run(const TestnetArgs& args);

struct DemoArgs {
  TestnetArgs net;
  std::uint64_t file_bytes = 64'000'000;
  std::uint64_t messages = 20'000;
  std::size_t message_bytes = 256;
  unsigned relays = kRelaysDefault;
  std::size_t window = 1'024;
  std::vector<std::string> at;         ///< where the nodes listen, in turn; empty: loopback
  std::filesystem::path receiver_net;  ///< the receiver's network namespace; empty: this one
};
Exit testnet_demo(const DemoArgs& args);

}  // namespace qudag::app
