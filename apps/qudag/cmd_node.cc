// qudag node: 1 file and flags to settings, 2 node, 3 gateway and local API, 4 the ready line,
// 5 wait for a signal, 6 stop in order: no new sends and pipes, what is in flight, the API last.
#include "commands.h"
#include "common/interrupt.h"

#include "api/server/server.h"
#include "config/file.h"
#include "gateway/gateway.h"
#include "node/process/hardening.h"

#include <qudag/node.h>

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>
#include <boost/json.hpp>
#include <csignal>

namespace qudag::app {
namespace {

Result<config::Settings> settings_of(const NodeArgs& args) {
  config::Settings settings;
  if (!args.config.empty()) {
    if (Status loaded = config::load_config(settings, args.config); !loaded) {
      // A fault inside begins with the file's name.
      if (loaded.error() == Errc::config_invalid) return std::unexpected(loaded.error());
      return fail(loaded.error().code, "--config: " + loaded.error().detail);
    }
  }
  for (const auto& [name, values] : args.flags) {
    if (Status set = config::apply_flag(settings, name, values); !set) {
      return std::unexpected(set.error());
    }
  }
  config::complete(settings);
  if (Status fits = validate(settings.node); !fits) return std::unexpected(fits.error());
  // Said before there is a node, too, and again by who listens.
  std::error_code no_throw;
  const std::filesystem::path& socket = settings.api.socket;
  if (std::filesystem::exists(socket, no_throw) && !std::filesystem::is_socket(socket, no_throw)) {
    return fail(Errc::already_exists,
                "api.socket: " + socket.string() + " is there and is no socket; name another path");
  }
  return settings;
}

void place_state(config::Settings& settings) {
  // A node with an identity keeps its guards beside it, unless told otherwise.
  std::filesystem::path& state = settings.node.state_dir;
  if (state.empty() && !settings.node.identity.empty()) {
    state = settings.node.identity.string() + ".state";
  }
  if (state == "none") state.clear();
  std::filesystem::path& contacts = settings.gateway.contacts_file;
  if (contacts.empty() && !state.empty()) contacts = state / "contacts";
}

/// Those of the configuration, and those that `qudag invite` made in earlier runs.
Status open_receivers(Node& node, const std::vector<ReceiverOptions>& configured) {
  for (const ReceiverOptions& options : configured) {
    const auto opened = node.open_receiver(options, {});
    if (!opened) {
      return fail(opened.error().code, "receiver " + options.name + ": " + opened.error().detail);
    }
  }
  for (ReceiverOptions& options : node.kept_receivers()) {
    const std::string name = options.name;
    const auto opened = node.open_receiver(std::move(options), {});
    if (!opened)
      return fail(opened.error().code, "receiver " + name + ": " + opened.error().detail);
  }
  return {};
}

std::string ready_line(const Node& node, const gateway::Gateway& gateway,
                       const api::Server& server) {
  boost::json::object line{{"ready", true},
                           {"id", node.id().to_string()},
                           {"address", node.address().to_string()},
                           {"socket", server.socket().string()},
                           {"pid", ::getpid()}};
  boost::json::array socks;
  for (const SocketAddress& at : gateway.socks()) socks.emplace_back(at.to_string());
  if (!socks.empty()) line["socks"] = std::move(socks);
  return boost::json::serialize(line) + "\n";
}

// glibc raises the size from which a piece is mapped, and given back, on its own as pieces are
// freed; after that megabytes of payload stay in the heap, between what is in use. And every thread
// makes itself an arena of its own. Nothing on the data path allocates, so neither is worth its
// memory.
void bound_allocator() {
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_TRIM_THRESHOLD, 256 * 1024);
  mallopt(M_ARENA_MAX, 2);
}

/// Until the node has joined, a signal comes, or the time is over.
Status wait_joined(const Node& node, std::chrono::milliseconds patience, Interrupt& interrupt) {
  constexpr std::chrono::milliseconds kPiece{100};
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    const JoinState state =
        node.wait_until_joined(std::clamp(left, std::chrono::milliseconds(1), kPiece));
    if (state.joined || interrupt.raised()) return {};
    if (left <= kPiece) return fail(Errc::timed_out, "not joined: " + state.reason);
  }
}

Status tell_ready(const std::string& line, int fd) {
  if (fd < 0) return print(line);
  const ssize_t written = ::write(fd, line.data(), line.size());
  ::close(fd);
  if (written != static_cast<ssize_t>(line.size())) return fail(Errc::io_error, "--ready-fd");
  return {};
}

}  // namespace

Exit run_node(const NodeArgs& args) {
  Result<config::Settings> settings = settings_of(args);
  if (!settings) return report(settings.error(), false);
  if (args.print_config) {
    const bool changed = !args.config.empty() || !args.flags.empty();
    const Status printed =
        print(changed ? config::config_text(*settings) : config::example_config());
    return printed ? Exit::ok : report(printed.error(), false);
  }
  place_state(*settings);
  settings->node.whole_process = true;
  bound_allocator();
  node::harden_process(settings->debuggable);  // before there is a key

  Interrupt interrupt;            // before any thread
  std::signal(SIGPIPE, SIG_IGN);  // the reader of a log or of the ready line may go
  auto node = Node::start(settings->node);
  if (!node) return report(node.error(), false);
  auto gateway = gateway::Gateway::start(**node, settings->gateway);
  if (!gateway) return report(gateway.error(), false);
  if (const Status opened = open_receivers(**node, settings->receivers); !opened) {
    return report(opened.error(), false);
  }
  auto server = api::Server::start(**node, settings->api, gateway->get());
  if (!server) return report(server.error(), false);
  if (args.wait_joined.count() > 0) {
    const Status joined = wait_joined(**node, args.wait_joined, interrupt);
    if (!joined) return report(joined.error(), false);
  }
  if (const Status told = tell_ready(ready_line(**node, **gateway, **server), args.ready_fd);
      !told) {
    return report(told.error(), false);
  }

  interrupt.wait(std::chrono::milliseconds(-1));
  (*server)->drain();
  (*gateway)->drain();
  (*node)->stop(args.grace);
  (*gateway)->stop();
  (*server)->stop();
  return Exit::ok;
}

}  // namespace qudag::app
