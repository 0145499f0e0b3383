// qudag: arguments to a command, and its exit code. What commands do is in their own files.
#include "arguments.h"
#include "command_table.h"
#include "commands.h"

#include "api/socket/place.h"
#include "config/file.h"
#include "config/gateway_options.h"

#include <fmt/format.h>

#include <qudag/node.h>

#include <CLI/CLI.hpp>

#include <functional>

namespace qudag::app {
namespace {

using Command = std::function<Exit()>;

/// The program and, once parsed, what it was asked to do.
struct Program {
  CLI::App app{"QuDAG Net: messages through a post-quantum onion network", "qudag"};
  Arguments arguments;
  Command chosen;
};

void add_json(CLI::App& app, bool& json, const char* help = "Print JSON") {
  Arguments::add_flag(app, "--json", json, help);
}

void add_socket(Program& program, CLI::App& app, SocketArgs& args) {
  // What is wrong with the default is told by the command, if it uses it.
  args.path = api::default_socket().value_or(std::filesystem::path());
  program.arguments.add(app, "--socket", socket_path(args.path), "The node's local API")
      ->default_str(args.path.string());
  program.arguments.add(app, "--socket-owner", user(args.owner),
                        "The node's user, by name or number, if it is neither this one nor root");
}

void add_keygen(Program& program) {
  auto args = std::make_shared<KeygenArgs>();
  CLI::App* sub = program.app.add_subcommand("keygen", "Make a new identity file (mode 0600)");
  program.arguments
      .add(*sub, "file", file(args->file, "the path of a file that is not there yet"),
           "Where; never overwritten")
      ->required();
  add_json(*sub, args->json);
  sub->callback([&program, args] { program.chosen = [args] { return keygen(*args); }; });
}

void add_id(Program& program) {
  auto args = std::make_shared<IdArgs>();
  CLI::App* sub = program.app.add_subcommand("id", "Print the id of an identity file");
  program.arguments
      .add(*sub, "file", file(args->file, "the path of a file made by keygen"), "Made by keygen")
      ->required();
  add_json(*sub, args->json);
  sub->callback([&program, args] { program.chosen = [args] { return show_id(*args); }; });
}

/// The value of a key is read twice: here, to say at once what is wrong, and over the file.
Value of_key(const config::Key& key) {
  return {"VALUE", std::string(key.takes), [&key](const std::string& text) -> std::string {
            config::Settings unused;
            const Status set = key.set(unused, {text});
            return set ? std::string() : set.error().detail;
          }};
}

void add_node(Program& program) {
  auto args = std::make_shared<NodeArgs>();
  CLI::App* sub = program.app.add_subcommand("node", "Run a node until SIGINT or SIGTERM");
  Arguments& arguments = program.arguments;
  arguments.add(*sub, "--config", file(args->config, "the path of a TOML file"),
                "TOML file; docs/config.example.toml has every key");
  Arguments::add_flag(*sub, "--print-config", args->print_config,
                      "Print a file with every key, as file and flags set it, and end");
  arguments.add(*sub, "--ready-fd", descriptor(args->ready_fd),
                "Write the ready line to this descriptor");
  arguments.add(
      *sub, "--wait-joined", time(args->wait_joined, std::chrono::hours(24)),
      "Write the ready line when the node has joined; end with 4 when it has not in time");
  arguments
      .add(*sub, "--grace", seconds(args->grace), "Seconds for messages in flight when stopping")
      ->default_str("5");
  // Every key of the configuration is a flag of the same name.
  std::vector<CLI::Option*> keys;
  for (const config::Key& key : config::config_keys()) {
    const std::string name = "--" + std::string(key.name);
    const std::string help(key.help);
    keys.push_back(key.list ? arguments.add_list(*sub, name, of_key(key), help)
                            : arguments.add(*sub, name, of_key(key), help));
    keys.back()->group(kConfigurationKeys);
  }
  sub->callback([&program, args, keys] {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i]->count() == 0) continue;
      args->flags.emplace_back(std::string(config::config_keys()[i].name), keys[i]->results());
    }
    program.chosen = [args] { return run_node(*args); };
  });
}

Value node_or_name(std::string& out) {
  const std::string takes = "a 52-character id, or the name of a contact";
  return {"NODE", takes, [takes, &out](const std::string& text) -> std::string {
            if (!NodeId::parse(text) && !config::is_service_name(text)) {
              return takes_not(takes, text);
            }
            out = text;
            return {};
          }};
}

void add_send(Program& program) {
  auto args = std::make_shared<SendArgs>();
  CLI::App* sub =
      program.app.add_subcommand("send", "Send a file or standard input as one message");
  Arguments& arguments = program.arguments;
  arguments.add(*sub, "to", node_or_name(args->to), "Id of the destination, or a contact")
      ->required();
  arguments.add(*sub, "file", file(args->file, "the path of a file, or - for standard input"),
                "At most 64 MiB; - or nothing: standard input");
  arguments.add(*sub, "--priority", priority(args->options.priority), "high, normal or low")
      ->default_str("normal");
  arguments
      .add(*sub, "--ttl", time(args->options.ttl, std::chrono::hours(24)),
           "Give up after this time: 500ms, 30s, 10m, 24h")
      ->default_str("60s");
  arguments
      .add(*sub, "--relays", number(args->options.relays, 0, kRelaysMax),
           "Relays on the way, 0 to 5; 0 is fast and not anonymous")
      ->default_str(std::to_string(args->options.relays));
  arguments.add(*sub, "--isolation", number(args->options.isolation),
                "Messages with different numbers never share a circuit");
  arguments.add(*sub, "--channel", number(args->options.channel),
                "Which of the destination's programs gets it; 0: the one without a number");
  arguments
      .add(*sub, "--if-away", if_away(args->options.if_away),
           "A receiver that is not there: store, wait or refuse")
      ->default_str("store");
  Arguments::add_flag(*sub, "--sign", args->options.sign, "Tell the receiver who we are");
  Arguments::add_flag(*sub, "--quiet,-q", args->quiet, "No progress");
  add_json(*sub, args->json);
  add_socket(program, *sub, args->socket);
  sub->callback([&program, args] { program.chosen = [args] { return send(*args); }; });
}

void add_recv(Program& program) {
  auto args = std::make_shared<RecvArgs>();
  CLI::App* sub =
      program.app.add_subcommand("recv", "Receive messages to standard output or a directory");
  Arguments& arguments = program.arguments;
  arguments.add(*sub, "--dir", directory(args->directory), "One file per message, named by its id");
  arguments.add(*sub, "--count", number(args->count), "End after so many; 0: when interrupted")
      ->default_str("0");
  arguments.add(*sub, "--timeout", time(args->patience, std::chrono::hours(24 * 365)),
                "End with exit code 4 when none comes for so long");
  arguments.add(*sub, "--channel", number(args->channel),
                "Messages that were sent to this channel");
  add_json(*sub, args->json, "One JSON line per message");
  add_socket(program, *sub, args->socket);
  sub->callback([&program, args] { program.chosen = [args] { return recv(*args); }; });
}

Value service_name(std::string& out) {
  const std::string takes = "the name of a service, 1 to 24 of a-z, 0-9 and '-'";
  return {"SERVICE", takes, [takes, &out](const std::string& text) -> std::string {
            if (!config::is_service_name(text)) return takes_not(takes, text);
            out = text;
            return {};
          }};
}

/// A port alone is one of 127.0.0.1.
Value local_port(std::string& out) {
  const std::string takes = "a port, or an address of loopback with one";
  return {"ADDRESS", takes, [takes, &out](const std::string& text) -> std::string {
            std::uint64_t port = 0;
            out = read_count(text, 0, UINT16_MAX, port) ? "127.0.0.1:" + text : text;
            return config::parse_socks(out) ? std::string() : takes_not(takes, text);
          }};
}

Value exposed(std::string& out) {
  const std::string takes = "a name and an address such as web=127.0.0.1:8080";
  return {"NAME=ADDRESS", takes, [takes, &out](const std::string& text) -> std::string {
            const auto parsed = config::parse_service(text);
            out = text;
            if (parsed) return {};
            return fmt::format("{}; {}", takes_not(takes, text), parsed.error().detail);
          }};
}

/// What a pipe has beside its two ends.
template <class Args>
void add_pipe_options(Program& program, CLI::App& sub, Args& args) {
  program.arguments.add(sub, "to", node_or_name(args.to), "Id of the node, or a name of it")
      ->required();
  program.arguments.add(sub, "service", service_name(args.service), "Which of its services")
      ->required();
  program.arguments.add(sub, "--priority", priority(args.priority), "normal or low")
      ->default_str("normal");
  program.arguments
      .add(sub, "--relays", number(args.relays, 0, kRelaysMax),
           "Relays on the way, 0 to 5; 0 is fast and not anonymous")
      ->default_str(std::to_string(args.relays));
  add_socket(program, sub, args.socket);
}

void add_pipe(Program& program) {
  auto args = std::make_shared<PipeArgs>();
  CLI::App* sub =
      program.app.add_subcommand("pipe", "Standard input and output to a service of another node");
  add_pipe_options(program, *sub, *args);
  sub->callback([&program, args] { program.chosen = [args] { return pipe(*args); }; });
}

void add_forward(Program& program) {
  auto args = std::make_shared<ForwardArgs>();
  CLI::App* sub =
      program.app.add_subcommand("forward", "A port of this machine to a service of another node");
  program.arguments
      .add(*sub, "listen", local_port(args->listen), "The port; 0: one that the system chooses")
      ->required();
  add_pipe_options(program, *sub, *args);
  add_json(*sub, args->json);
  sub->callback([&program, args] { program.chosen = [args] { return forward(*args); }; });
}

void add_expose(Program& program) {
  auto args = std::make_shared<ExposeArgs>();
  CLI::App* sub =
      program.app.add_subcommand("expose", "Let others reach a service of this machine by a name");
  program.arguments.add(*sub, "service", exposed(args->service), "Such as web=127.0.0.1:8080")
      ->required();
  add_json(*sub, args->json);
  add_socket(program, *sub, args->socket);
  sub->callback([&program, args] { program.chosen = [args] { return expose(*args); }; });
}

Value contact_name(std::string& out, std::string what) {
  return {"NAME", what, [what, &out](const std::string& text) -> std::string {
            if (!config::is_service_name(text)) return takes_not(what, text);
            out = text;
            return {};
          }};
}

/// What is wrong with an invitation is said here already, whether there is a node or not.
Value contact_text(std::string& out) {
  const std::string takes = "an invitation that begins with qudag1:, or a 52-character id, or -";
  return {"TEXT", takes, [takes, &out](const std::string& text) -> std::string {
            out = text;
            if (text == "-") return {};
            if (NodeId::parse(text)) return {};
            const auto invitation = Invitation::parse(text);
            if (invitation) return {};
            return fmt::format("{}; {}", takes_not(takes, text.substr(0, 32)),
                               invitation.error().detail);
          }};
}

void add_invite(Program& program) {
  auto args = std::make_shared<InviteArgs>();
  CLI::App* sub = program.app.add_subcommand(
      "invite", "Print the invitation by which others reach a receiver of this node");
  Arguments& arguments = program.arguments;
  arguments
      .add(*sub, "--name", contact_name(args->name, "a name, 1 to 24 of a-z, 0-9 and '-'"),
           "Which receiver; made if there is none of that name")
      ->default_str(args->name);
  Arguments::add_flag(*sub, "--behind-router", args->behind_router,
                      "Faster, and its keepers see this node's address; when it is made");
  arguments
      .add(*sub, "--keepers", number(args->keepers, 1, kKeepersMax),
           "Relays at which it waits, 1 to 3; when it is made")
      ->default_str(std::to_string(args->keepers));
  arguments
      .add(*sub, "--timeout", time(args->patience, std::chrono::hours(24)),
           "End with exit code 4 when no keeper answers for so long")
      ->default_str("60s");
  Arguments::add_flag(*sub, "--qr", args->qr, "A QR code also where the output is no terminal");
  add_json(*sub, args->json);
  add_socket(program, *sub, args->socket);
  sub->callback([&program, args] { program.chosen = [args] { return invite(*args); }; });
}

void add_contact(Program& program) {
  CLI::App* sub = program.app.add_subcommand("contact", "Names for those whom this node sends to");
  sub->require_subcommand(1);
  const std::string name = "the name of a contact, 1 to 24 of a-z, 0-9 and '-'";
  {
    auto args = std::make_shared<ContactArgs>();
    CLI::App* add = sub->add_subcommand("add", "Give an invitation, or the id of a node, a name");
    program.arguments.add(*add, "name", contact_name(args->name, name), "Your name for it")
        ->required();
    program.arguments
        .add(*add, "text", contact_text(args->text),
             "The invitation or id; -: read it, since others of this machine see arguments")
        ->required();
    add_json(*add, args->json);
    add_socket(program, *add, args->socket);
    add->callback([&program, args] { program.chosen = [args] { return contact_add(*args); }; });
  }
  {
    auto args = std::make_shared<ContactArgs>();
    CLI::App* list = sub->add_subcommand("list", "Show all names");
    add_json(*list, args->json);
    add_socket(program, *list, args->socket);
    list->callback([&program, args] { program.chosen = [args] { return contact_list(*args); }; });
  }
  auto args = std::make_shared<ContactArgs>();
  CLI::App* remove = sub->add_subcommand("remove", "Forget a name and what it stands for");
  program.arguments.add(*remove, "name", contact_name(args->name, name), "Which")->required();
  add_json(*remove, args->json);
  add_socket(program, *remove, args->socket);
  remove->callback([&program, args] { program.chosen = [args] { return contact_remove(*args); }; });
}

void add_status(Program& program) {
  auto args = std::make_shared<StatusArgs>();
  CLI::App* sub = program.app.add_subcommand("status", "Show what a node does");
  Arguments::add_flag(*sub, "--peers", args->peers, "Its links");
  Arguments::add_flag(*sub, "--circuits", args->circuits, "Its circuits");
  Arguments::add_flag(*sub, "--queues", args->queues,
                      "Its queues, pools and tables, with their bounds");
  Arguments::add_flag(*sub, "--receivers", args->receivers, "Its receivers and their keepers");
  Arguments::add_flag(*sub, "--metrics", args->metrics, "The metrics page");
  add_json(*sub, args->json);
  add_socket(program, *sub, args->socket);
  sub->callback([&program, args] { program.chosen = [args] { return status(*args); }; });
}

void add_top(Program& program) {
  auto args = std::make_shared<TopArgs>();
  CLI::App* sub = program.app.add_subcommand("top", "Watch what a node does, in a terminal");
  Arguments::add_flag(*sub, "--once", args->once,
                      "Print it once, for the terminal's width or $COLUMNS");
  program.arguments
      .add(*sub, "--interval", time(args->interval, std::chrono::minutes(1)),
           "Time between two readings, to 1m")
      ->default_str("1s");
  add_socket(program, *sub, args->socket);
  sub->callback([&program, args] { program.chosen = [args] { return top(*args); }; });
}

void add_operating(Program& program) {
  const auto ask = [&program](const char* name, const char* help, Exit (*run)(const AskArgs&)) {
    auto args = std::make_shared<AskArgs>();
    CLI::App* sub = program.app.add_subcommand(name, help);
    add_json(*sub, args->json);
    add_socket(program, *sub, args->socket);
    sub->callback([&program, args, run] { program.chosen = [args, run] { return run(*args); }; });
  };
  ask("nodes", "Show the nodes that a node knows", nodes);
  ask("web", "Print the address of a node's web page, with its token", web);
  ask("doctor", "Look what is wrong with a node, and where the time of a circuit goes", doctor);
  ask("reload", "Have a node read its configuration file again", reload);
  {
    auto args = std::make_shared<DrainArgs>();
    CLI::App* sub = program.app.add_subcommand(
        "drain", "Take a node off the map, let its circuits go elsewhere, and stop it");
    program.arguments
        .add(*sub, "--grace", seconds(args->grace), "Seconds that this may take at most")
        ->default_str("600");
    add_json(*sub, args->json);
    add_socket(program, *sub, args->socket);
    sub->callback([&program, args] { program.chosen = [args] { return drain(*args); }; });
  }
  auto args = std::make_shared<PingArgs>();
  CLI::App* sub = program.app.add_subcommand("ping", "Ask another node whether it is there");
  program.arguments.add(*sub, "to", node_id(args->to), "Id of the node, 52 characters")->required();
  program.arguments.add(*sub, "--count", number(args->count, 1, 1'000), "How often, to 1000")
      ->default_str("3");
  program.arguments
      .add(*sub, "--relays", number(args->relays, 0, kRelaysMax),
           "Relays on the way, 0 to 5; 0 is fast and not anonymous")
      ->default_str(std::to_string(args->relays));
  add_json(*sub, args->json);
  add_socket(program, *sub, args->socket);
  sub->callback([&program, args] { program.chosen = [args] { return ping(*args); }; });
}

void add_files(Program& program) {
  {
    auto args = std::make_shared<CheckConfigArgs>();
    CLI::App* sub =
        program.app.add_subcommand("check-config", "Check a configuration file, and start nothing");
    program.arguments.add(*sub, "file", file(args->file, "the path of a TOML file"), "The file")
        ->required();
    add_json(*sub, args->json);
    sub->callback([&program, args] { program.chosen = [args] { return check_config(*args); }; });
  }
  const auto add = [&program](const char* name, const char* help, Exit (*run)(const BackupArgs&)) {
    auto args = std::make_shared<BackupArgs>();
    CLI::App* sub = program.app.add_subcommand(name, help);
    program.arguments
        .add(*sub, "config", file(args->config, "the path of a node's TOML file"),
             "The node's configuration file")
        ->required();
    program.arguments
        .add(*sub, "directory", path(args->directory, "the path of a directory"),
             "Where the copy is")
        ->required();
    add_json(*sub, args->json);
    sub->callback([&program, args, run] { program.chosen = [args, run] { return run(*args); }; });
  };
  add("backup", "Copy a node's identity and state to a new directory", backup);
  add("restore", "Put a copy in place, where nothing is yet", restore);
}

template <class T>
void add_number(Program& program, CLI::App& app, const char* name, T& out, std::uint64_t low,
                std::uint64_t high, const char* help) {
  program.arguments.add(app, name, number(out, low, high), help)->default_str(std::to_string(out));
}

void add_net_options(Program& program, CLI::App& sub, TestnetArgs& net) {
  add_number(program, sub, "-n,--nodes", net.nodes, 1, 64, "How many, to 64");
  add_number(program, sub, "--shards", net.shards, 0, 64, "Threads of each node, to 64");
  add_json(sub, net.json);
}

void add_testnet(Program& program) {
  CLI::App* sub =
      program.app.add_subcommand("testnet", "A network of node processes on this machine");
  sub->require_subcommand(1);
  {
    auto args = std::make_shared<TestnetArgs>();
    CLI::App* run = sub->add_subcommand("run", "Start it, print its sockets, run until Ctrl-C");
    add_net_options(program, *run, *args);
    run->callback([&program, args] { program.chosen = [args] { return testnet_run(*args); }; });
  }
  auto args = std::make_shared<DemoArgs>();
  CLI::App* demo =
      sub->add_subcommand("demo", "Send a file and messages through it, and check every byte");
  add_net_options(program, *demo, args->net);
  add_number(program, *demo, "--file-bytes", args->file_bytes, 0, kMessageBytesMax,
             "Size of the file, to 64 MiB");
  add_number(program, *demo, "--messages", args->messages, 1, 100'000'000, "How many messages");
  add_number(program, *demo, "--message-bytes", args->message_bytes, 24, std::uint64_t{1} << 20,
             "Size of each, 24 bytes to 1 MiB");
  add_number(program, *demo, "--relays", args->relays, 0, kRelaysMax, "Relays on the way, 0 to 5");
  add_number(program, *demo, "--window", args->window, 1, 60'000,
             "Messages without an outcome at any time, to 60000");
  demo->add_option("--at", args->at, "Addresses of this machine at which the nodes listen, in turn")
      ->check(CLI::ValidIPV4)
      ->delimiter(',');
  demo->add_option("--receiver-net", args->receiver_net,
                   "Network namespace in which the receiver without an address lives")
      ->check(CLI::ExistingPath);
  demo->callback([&program, args] { program.chosen = [args] { return testnet_demo(*args); }; });
}

void add_command_table(Program& program) {
  CLI::App* sub = program.app.add_subcommand("command-table", "These tables, for tools");
  sub->group("");
  sub->callback([&program] {
    program.chosen = [&program] {
      fmt::print("{}", command_table(program.app, program.arguments));
      return Exit::ok;
    };
  });
}

int run(int argc, char** argv) {
  Program program;
  CLI::App& app = program.app;
  app.footer("\n" + std::string(exit_codes_help()));
  app.set_version_flag("--version", std::string(version()));
  app.require_subcommand(1);
  add_keygen(program);
  add_id(program);
  add_node(program);
  add_invite(program);
  add_contact(program);
  add_send(program);
  add_recv(program);
  add_pipe(program);
  add_forward(program);
  add_expose(program);
  add_status(program);
  add_top(program);
  add_operating(program);
  add_files(program);
  add_testnet(program);
  add_command_table(program);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    const Error fault = program.arguments.fault(app, error);
    return static_cast<int>(report(fault, wants_json(argc, argv)));
  }
  return static_cast<int>(program.chosen());
}

}  // namespace
}  // namespace qudag::app

int main(int argc, char** argv) {
  return qudag::app::guarded([&] { return qudag::app::run(argc, argv); });
}
