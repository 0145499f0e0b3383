// qudag: arguments to a command, and its exit code. What commands do is in their own files.
#include "commands.h"

#include "api/socket/listen.h"
#include "api/socket/place.h"
#include "config/file.h"

#include <qudag/node.h>

#include <CLI/CLI.hpp>

#include <functional>

namespace qudag::app {
namespace {

using Command = std::function<Exit()>;

void add_socket(CLI::App& app, SocketArgs& args) {
  // What is wrong with the default is told by the command, if it uses it.
  args.path = api::default_socket().value_or(std::filesystem::path());
  app.add_option("--socket", args.path, "The node's local API")->capture_default_str();
  app.add_option_function<std::string>(
      "--socket-owner",
      [&args](const std::string& name) {
        const Result<unsigned> user = api::user_number(name);
        if (!user) throw CLI::ValidationError("--socket-owner", user.error().message());
        args.owner = *user;
      },
      "The node's user, by name or number, if it is neither this one nor root");
}

void add_keygen(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<KeygenArgs>();
  CLI::App* sub = app.add_subcommand("keygen", "Make a new identity file (mode 0600)");
  sub->add_option("file", args->file, "Where; never overwritten")->required();
  sub->add_flag("--json", args->json, "Print JSON");
  sub->callback([&chosen, args] { chosen = [args] { return keygen(*args); }; });
}

void add_id(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<IdArgs>();
  CLI::App* sub = app.add_subcommand("id", "Print the id of an identity file");
  sub->add_option("file", args->file, "Made by keygen")->required();
  sub->add_flag("--json", args->json, "Print JSON");
  sub->callback([&chosen, args] { chosen = [args] { return show_id(*args); }; });
}

void add_node(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<NodeArgs>();
  CLI::App* sub = app.add_subcommand("node", "Run a node until SIGINT or SIGTERM");
  sub->add_option("--config", args->config, "TOML file; docs/config.example.toml has every key");
  sub->add_flag("--print-config", args->print_config, "Print a file with every key, and end");
  sub->add_option("--ready-fd", args->ready_fd, "Write the ready line to this descriptor");
  auto grace = std::make_shared<double>(5);
  sub->add_option("--grace", *grace, "Seconds for messages in flight when stopping")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  // Every key of the configuration is a flag of the same name.
  auto values =
      std::make_shared<std::vector<std::vector<std::string>>>(config::config_keys().size());
  for (std::size_t i = 0; i < values->size(); ++i) {
    const config::Key& key = config::config_keys()[i];
    CLI::Option* option =
        sub->add_option("--" + std::string(key.name), (*values)[i], std::string(key.help));
    if (!key.list) option->expected(1);
    option->group("Configuration keys")->type_name("");
  }
  sub->callback([&chosen, args, values, grace] {
    for (std::size_t i = 0; i < values->size(); ++i) {
      if (!(*values)[i].empty()) {
        args->flags.emplace_back(std::string(config::config_keys()[i].name), (*values)[i]);
      }
    }
    args->grace = std::chrono::milliseconds(static_cast<std::int64_t>(*grace * 1000));
    chosen = [args] { return run_node(*args); };
  });
}

void add_send(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<SendArgs>();
  CLI::App* sub = app.add_subcommand("send", "Send a file or standard input as one message");
  sub->add_option("to", args->to, "Id of the destination, 52 characters")->required();
  sub->add_option("file", args->file, "At most 64 MiB; - or nothing: standard input");
  sub->add_option("--priority", args->priority, "high, normal or low")->capture_default_str();
  sub->add_option("--ttl", args->ttl, "Give up after this time: 500ms, 30s, 10m, 24h")
      ->capture_default_str();
  sub->add_option("--relays", args->options.relays,
                  "Relays on the way; 0 is fast and not anonymous")
      ->check(CLI::Range(0u, kRelaysMax))
      ->capture_default_str();
  sub->add_option("--isolation", args->options.isolation,
                  "Messages with different numbers never share a circuit");
  sub->add_option("--channel", args->options.channel,
                  "Which of the destination's programs gets it; 0: the one without a number");
  sub->add_flag("--sign", args->options.sign, "Tell the receiver who we are");
  sub->add_flag("--quiet,-q", args->quiet, "No progress");
  sub->add_flag("--json", args->json, "Print JSON");
  add_socket(*sub, args->socket);
  sub->callback([&chosen, args] { chosen = [args] { return send(*args); }; });
}

void add_recv(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<RecvArgs>();
  CLI::App* sub = app.add_subcommand("recv", "Receive messages to standard output or a directory");
  sub->add_option("--dir", args->directory, "One file per message, named by its id");
  sub->add_option("--count", args->count, "End after so many");
  sub->add_option("--timeout", args->timeout, "End with exit code 4 when none comes for so long");
  sub->add_option("--channel", args->channel, "Messages that were sent to this channel");
  sub->add_flag("--json", args->json, "One JSON line per message");
  add_socket(*sub, args->socket);
  sub->callback([&chosen, args] { chosen = [args] { return recv(*args); }; });
}

void add_status(CLI::App& app, Command& chosen) {
  auto args = std::make_shared<StatusArgs>();
  CLI::App* sub = app.add_subcommand("status", "Show what a node does");
  sub->add_flag("--peers", args->peers, "Its links");
  sub->add_flag("--circuits", args->circuits, "Its circuits");
  sub->add_flag("--queues", args->queues, "Its queues, pools and tables, with their bounds");
  sub->add_flag("--metrics", args->metrics, "The metrics page");
  sub->add_flag("--json", args->json, "Print JSON");
  add_socket(*sub, args->socket);
  sub->callback([&chosen, args] { chosen = [args] { return status(*args); }; });
}

void add_net_options(CLI::App& sub, TestnetArgs& net) {
  sub.add_option("-n,--nodes", net.nodes, "How many")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  sub.add_option("--shards", net.shards, "Threads of each node")
      ->check(CLI::Range(0u, 64u))
      ->capture_default_str();
  sub.add_flag("--json", net.json, "Print JSON");
}

void add_testnet(CLI::App& app, Command& chosen) {
  CLI::App* sub = app.add_subcommand("testnet", "A network of node processes on this machine");
  sub->require_subcommand(1);
  {
    auto args = std::make_shared<TestnetArgs>();
    CLI::App* run = sub->add_subcommand("run", "Start it, print its sockets, run until Ctrl-C");
    add_net_options(*run, *args);
    run->callback([&chosen, args] { chosen = [args] { return testnet_run(*args); }; });
  }
  auto args = std::make_shared<DemoArgs>();
  CLI::App* demo =
      sub->add_subcommand("demo", "Send a file and messages through it, and check every byte");
  add_net_options(*demo, args->net);
  demo->add_option("--file-bytes", args->file_bytes, "Size of the file")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{kMessageBytesMax}))
      ->capture_default_str();
  demo->add_option("--messages", args->messages, "How many messages")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}))
      ->capture_default_str();
  demo->add_option("--message-bytes", args->message_bytes, "Size of each")
      ->check(CLI::Range(std::size_t{24}, std::size_t{1} << 20))
      ->capture_default_str();
  demo->add_option("--relays", args->relays, "Relays on the way")
      ->check(CLI::Range(0u, kRelaysMax))
      ->capture_default_str();
  demo->add_option("--window", args->window, "Messages without an outcome at any time")
      ->check(CLI::Range(std::size_t{1}, std::size_t{60'000}))
      ->capture_default_str();
  demo->callback([&chosen, args] { chosen = [args] { return testnet_demo(*args); }; });
}

int run(int argc, char** argv) {
  CLI::App app("QuDAG Net: messages through a post-quantum onion network", "qudag");
  app.footer("\n" + std::string(exit_codes_help()));
  app.set_version_flag("--version", std::string(version()));
  app.require_subcommand(1);
  Command chosen;
  add_keygen(app, chosen);
  add_id(app, chosen);
  add_node(app, chosen);
  add_send(app, chosen);
  add_recv(app, chosen);
  add_status(app, chosen);
  add_testnet(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  return static_cast<int>(chosen());
}

}  // namespace
}  // namespace qudag::app

int main(int argc, char** argv) {
  return qudag::app::guarded([&] { return qudag::app::run(argc, argv); });
}
