// qudag node: 1 file and flags to settings, 2 node, 3 gateway and local API, 4 the ready line,
// 5 wait for a signal, 6 stop in order: no new sends and pipes, what is in flight, the API last.
#include "commands.h"
#include "settings.h"

#include "common/interrupt.h"
#include "common/notify.h"

#include "api/server/server.h"
#include "base/lines/log_lines.h"
#include "base/lines/log_output.h"
#include "base/log.h"
#include "config/file.h"
#include "gateway/gateway.h"
#include "node/process/hardening.h"

#include <qudag/node.h>

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>
#include <atomic>
#include <boost/json.hpp>
#include <csignal>
#include <mutex>

namespace qudag::app {
namespace {

/// Said before there is a node, too, and again by who listens.
Status check_socket(const config::Settings& settings) {
  std::error_code no_throw;
  const std::filesystem::path& socket = settings.api.socket;
  if (std::filesystem::exists(socket, no_throw) && !std::filesystem::is_socket(socket, no_throw)) {
    return fail(Errc::already_exists,
                "api.socket: " + socket.string() + " is there and is no socket; name another path");
  }
  return {};
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
  if (server.metrics()) line["metrics"] = server.metrics()->to_string();
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

/// The shards answer, in time.
bool is_alive(const Node& node, std::chrono::milliseconds patience) {
  const std::future<NodeStatus> status = node.status();
  return status.wait_for(patience) == std::future_status::ready;
}

/// Reads the configuration again, from two threads: for SIGHUP, and for the API.
class Reloading {
 public:
  Reloading(const NodeArgs& args, const config::Settings& running, Node& node, Log& log)
      : args_(args), running_(running), node_(node), log_(log) {}

  /// What changed, and what a node takes only when it starts. A file that is wrong changes nothing.
  Result<std::vector<Change>> reload() {
    const std::lock_guard lock(mutex_);
    const Result<config::Settings> read = settings_of(args_);
    if (!read) return std::unexpected(read.error());
    if (const Status set = node_.set_quota(read->node.limits); !set) {
      return std::unexpected(set.error());
    }
    std::vector<Change> out = changes(running_, *read);
    node_.set_log_level(read->node.log_level);
    log_.set_level(read->node.log_level);
    running_.node.log_level = read->node.log_level;
    Limits& limits = running_.node.limits;
    limits.bandwidth = read->node.limits.bandwidth;
    limits.bandwidth_burst = read->node.limits.bandwidth_burst;
    limits.month = read->node.limits.month;
    return out;
  }

  /// The same for the API.
  Result<std::string> reload_json() {
    const Result<std::vector<Change>> done = reload();
    if (!done) return std::unexpected(done.error());
    boost::json::array changed, restart;
    for (const Change& one : *done) {
      boost::json::array& to = one.live ? changed : restart;
      to.push_back(
          boost::json::object{{"key", boost::json::string_view(one.key.data(), one.key.size())},
                              {"from", one.from},
                              {"to", one.to}});
    }
    return boost::json::serialize(boost::json::object{{"changed", std::move(changed)},
                                                      {"restart", std::move(restart)}}) +
           "\n";
  }

 private:
  const NodeArgs& args_;
  std::mutex mutex_;
  config::Settings running_;
  Node& node_;
  Log& log_;
};

/// "log.level", or "nothing": values may be addresses, and stay out of the log.
std::string keys_text(const std::vector<Change>& all, bool live) {
  std::string out;
  for (const Change& one : all) {
    if (one.live == live) out += fmt::format("{}{}", out.empty() ? "" : ", ", one.key);
  }
  return out.empty() ? "nothing" : out;
}

/// For SIGHUP: what comes of it is said in the log, where nobody waits for an answer.
void reload_and_say(const Notify& manager, Reloading& reloading, Log& log) {
  manager.reloading();
  const Result<std::vector<Change>> done = reloading.reload();
  if (done) {
    log.info(lines::kReloaded, keys_text(*done, true), keys_text(*done, false));
  } else {
    log.error(lines::kReloadFailed, sensitive(done.error().detail));
  }
  manager.ready();
}

/// Until a signal to end comes. A service manager hears that the node lives only while its shards
/// answer.
void wait_for_end(const Node& node, const Notify& manager, Reloading& reloading, Log& log,
                  Interrupt& interrupt) {
  const auto every = manager.alive_every();
  while (!interrupt.wait(every.value_or(std::chrono::milliseconds(-1)))) {
    if (interrupt.take_reload()) reload_and_say(manager, reloading, log);
    if (every && is_alive(node, *every / 2)) manager.alive();
  }
}

}  // namespace

Exit run_node(const NodeArgs& args) {
  Result<config::Settings> settings = settings_of(args);
  if (!settings) return report(settings.error(), false);
  if (Status free = check_socket(*settings); !free) return report(free.error(), false);
  if (args.print_config) {
    const bool changed = !args.config.empty() || !args.flags.empty();
    const Status printed =
        print(changed ? config::config_text(*settings) : config::example_config());
    return printed ? Exit::ok : report(printed.error(), false);
  }
  const config::Settings as_read = *settings;
  place_state(*settings);
  settings->node.whole_process = true;
  const auto remembered = std::make_shared<LogMemory>();  // owners: every sink, and the API
  settings->node.log_sink = [out = log_output(settings->log_format), remembered](
                                LogLevel level, std::string_view text) {
    remembered->add(level, text);
    out(level, text);
  };
  Log log({.level = settings->node.log_level,
           .scrub = !settings->node.log_sensitive,
           .sink = settings->node.log_sink});
  bound_allocator();
  node::harden_process(settings->debuggable);  // before there is a key

  const Notify manager = Notify::from_environment();
  Interrupt interrupt(!args.config.empty());  // before any thread
  std::signal(SIGPIPE, SIG_IGN);              // the reader of a log or of the ready line may go
  auto node = Node::start(settings->node);
  if (!node) return report(node.error(), false);
  auto gateway = gateway::Gateway::start(**node, settings->gateway);
  if (!gateway) return report(gateway.error(), false);
  if (const Status opened = open_receivers(**node, settings->receivers); !opened) {
    return report(opened.error(), false);
  }
  Reloading reloading(args, as_read, **node, log);
  std::atomic<std::chrono::milliseconds> grace{args.grace};
  const auto drain = [&grace](std::chrono::milliseconds asked) {
    grace = asked;
    ::kill(::getpid(), SIGTERM);
  };
  auto server = api::Server::start(**node, settings->api, gateway->get(),
                                   {.reload = [&] { return reloading.reload_json(); },
                                    .log_lines = [remembered] { return remembered->json(); },
                                    .drain = drain});
  if (!server) return report(server.error(), false);
  if (args.wait_joined.count() > 0) {
    const Status joined = wait_joined(**node, args.wait_joined, interrupt);
    if (!joined) return report(joined.error(), false);
  }
  if (const Status told = tell_ready(ready_line(**node, **gateway, **server), args.ready_fd);
      !told) {
    return report(told.error(), false);
  }

  manager.ready();
  wait_for_end(**node, manager, reloading, log, interrupt);
  manager.stopping(grace);
  (*server)->drain();
  (*gateway)->drain();
  (*node)->stop(grace);
  (*gateway)->stop();
  (*server)->stop();
  return Exit::ok;
}

}  // namespace qudag::app
