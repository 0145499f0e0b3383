#include "arguments.h"

#include "api/socket/listen.h"
#include "config/closest.h"
#include "config/quantity.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace qudag::app {
namespace {

constexpr std::size_t kShownMax = 100;

std::string in_quotes(std::string_view text) {
  const bool cut = text.size() > kShownMax;
  return fmt::format("\"{}{}\"", text.substr(0, kShownMax), cut ? "..." : "");
}

/// "qudag testnet run"
std::string name_of_command(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name()
                           : name_of_command(*parent) + " " + command.get_name();
}

std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> out;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  }
  return out;
}

std::vector<std::string> commands_of(const CLI::App& command) {
  std::vector<std::string> out;
  for (const CLI::App* one : listed_commands(command)) out.push_back(one->get_name());
  return out;
}

std::string closest(std::string_view word, const std::vector<std::string>& known) {
  const std::vector<std::string_view> names(known.begin(), known.end());
  return std::string(config::closest(word, names));
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

/// A word that nothing takes.
std::string unexpected(const CLI::App& command, const std::string& word) {
  const std::string of = name_of_command(command);
  const std::string shown = in_quotes(word);
  if (word.starts_with("-") && word.size() > 1) {
    const std::string flag = word.substr(0, word.find('='));
    const std::string close = closest(flag, flags_of(command));
    return fmt::format("{}: `{}` has no such flag; {}", flag.substr(0, kShownMax), of,
                       close.empty() ? fmt::format("`{} --help` lists them", of)
                                     : fmt::format("did you mean '{}'?", close));
  }
  const std::vector<std::string> commands = commands_of(command);
  if (commands.empty()) {
    return fmt::format("{}: one word too many; `{} --help` says what it takes", shown, of);
  }
  const std::string close = closest(word, commands);
  return fmt::format(
      "{}: `{}` has no such command; {}", shown, of,
      close.empty() ? "it has " + listed(commands) : fmt::format("did you mean '{}'?", close));
}

/// The commands that were named, the whole program first.
std::vector<const CLI::App*> named_commands(const CLI::App& root) {
  std::vector<const CLI::App*> out{&root};
  while (!out.back()->get_subcommands().empty()) {
    out.push_back(out.back()->get_subcommands().back());
  }
  return out;
}

/// CLI11 begins its messages with the option's name, of flags without their dashes.
const CLI::Option* option_of(const CLI::App& command, std::string_view message) {
  const std::string name(message.substr(0, message.find_first_of(": ")));
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_name() == name || option->check_lname(name)) return option;
  }
  return nullptr;
}

}  // namespace

// ---- Values -------------------------------------------------------------------------------------

std::string takes_not(std::string_view takes, std::string_view text) {
  return fmt::format("takes {}, not {}", takes, in_quotes(text));
}

std::string count_text(std::uint64_t low, std::uint64_t high) {
  if (high == UINT64_MAX) return fmt::format("a whole number from {} to 2^64 - 1", low);
  return fmt::format("a whole number from {} to {}", low, high);
}

bool read_count(std::string_view text, std::uint64_t low, std::uint64_t high, std::uint64_t& out) {
  const auto value = config::parse_count(text);
  if (!value || *value < low || *value > high) return false;
  out = *value;
  return true;
}

Value time(std::chrono::milliseconds& out, std::chrono::milliseconds most) {
  const std::string takes =
      fmt::format("a time from 1ms to {} with its unit, such as 30s", config::duration_text(most));
  return {"TIME", takes, [=, &out](const std::string& text) -> std::string {
            if (config::parse_count(text)) {
              return fmt::format("{}; say {}s", takes_not(takes, text), text);
            }
            const auto value = config::parse_duration(text);
            if (!value || *value < std::chrono::milliseconds(1) || *value > most) {
              return takes_not(takes, text);
            }
            out = *value;
            return {};
          }};
}

Value seconds(std::chrono::milliseconds& out) {
  const std::string takes = "seconds from 0 to 3600";
  return {"SECONDS", takes, [=, &out](const std::string& text) -> std::string {
            double value = 0;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), value);
            const bool whole = error == std::errc() && end == text.data() + text.size();
            if (!whole || !std::isfinite(value) || value < 0 || value > 3600) {
              return takes_not(takes, text);
            }
            out = std::chrono::milliseconds(static_cast<std::int64_t>(value * 1000));
            return {};
          }};
}

Value priority(Priority& out) {
  const std::string takes = "high, normal or low";
  return {"PRIORITY", takes, [=, &out](const std::string& text) -> std::string {
            const auto value = parse_priority(text);
            if (!value) return takes_not(takes, text);
            out = *value;
            return {};
          }};
}

Value if_away(IfAway& out) {
  const std::string takes = "store, wait or refuse";
  return {"HOW", takes, [=, &out](const std::string& text) -> std::string {
            const auto value = parse_if_away(text);
            if (!value) return takes_not(takes, text);
            out = *value;
            return {};
          }};
}

Value node_id(NodeId& out) {
  const std::string takes = "the id of a node, which is 52 characters of a-z and 2-7";
  return {"ID", takes, [=, &out](const std::string& text) -> std::string {
            const auto value = NodeId::parse(text);
            if (!value) return takes_not(takes, text);
            out = *value;
            return {};
          }};
}

Value path(std::filesystem::path& out, std::string what) {
  return {"PATH", what, [what, &out](const std::string& text) -> std::string {
            if (text.empty()) return takes_not(what, text);
            out = text;
            return {};
          }};
}

Value file(std::filesystem::path& out, std::string what) {
  Value value = path(out, what);
  value.read = [what, any = value.read](const std::string& text) -> std::string {
    std::error_code no_throw;
    if (std::filesystem::is_directory(text, no_throw)) {
      return takes_not(what, text) + ", which is a directory";
    }
    return any(text);
  };
  return value;
}

Value directory(std::filesystem::path& out) {
  const std::string takes = "the path of a directory";
  return {"PATH", takes, [=, &out](const std::string& text) -> std::string {
            std::error_code no_throw;
            if (!std::filesystem::exists(text, no_throw)) {
              return takes_not(takes, text) + ", which is not there";
            }
            if (!std::filesystem::is_directory(text, no_throw)) return takes_not(takes, text);
            out = text;
            return {};
          }};
}

Value socket_path(std::filesystem::path& out) {
  const std::string takes = "the path of a node's Unix socket";
  return {"PATH", takes, [=, &out](const std::string& text) -> std::string {
            std::error_code no_throw;
            if (text.empty()) return takes_not(takes, text);
            if (std::filesystem::exists(text, no_throw) &&
                !std::filesystem::is_socket(text, no_throw)) {
              return takes_not(takes, text) + ", which is no socket";
            }
            out = text;
            return {};
          }};
}

Value user(std::optional<unsigned>& out) {
  const std::string takes = "the name or number of a user";
  return {"USER", takes, [=, &out](const std::string& text) -> std::string {
            const Result<unsigned> user = api::user_number(text);
            if (!user) return takes_not(takes, text) + ": " + user.error().detail;
            out = *user;
            return {};
          }};
}

Value descriptor(int& out) {
  const std::string takes = "the number of an open descriptor that can be written to";
  return {"NUMBER", takes, [=, &out](const std::string& text) -> std::string {
            std::uint64_t value = 0;
            if (!read_count(text, 0, INT32_MAX, value)) return takes_not(takes, text);
            const int flags = ::fcntl(static_cast<int>(value), F_GETFL);
            if (flags < 0) return takes_not(takes, text) + ", which is not open";
            if ((flags & O_ACCMODE) == O_RDONLY) {
              return takes_not(takes, text) + ", which can only be read";
            }
            out = static_cast<int>(value);
            return {};
          }};
}

// ---- Options ------------------------------------------------------------------------------------

CLI::Option* Arguments::checked(CLI::Option* option, Value value) {
  takes_[option] = value.takes;
  option->type_name(value.kind);
  return option->check([value = std::move(value)](const std::string& text) -> std::string {
    if (text.starts_with("--") && text.size() > 2) {
      return fmt::format("takes {}, but {} follows", value.takes, text.substr(0, kShownMax));
    }
    return value.read(text);
  });
}

CLI::Option* Arguments::add(CLI::App& app, const std::string& name, Value value,
                            const std::string& help) {
  return checked(app.add_option_function<std::string>(
                     name, [](const std::string&) {}, help),
                 std::move(value));
}

CLI::Option* Arguments::add_list(CLI::App& app, const std::string& name, Value value,
                                 const std::string& help) {
  return checked(app.add_option_function<std::vector<std::string>>(
                     name, [](const std::vector<std::string>&) {}, help),
                 std::move(value));
}

CLI::Option* Arguments::add_flag(CLI::App& app, const std::string& name, bool& out,
                                 const std::string& help) {
  return app.add_flag(name, out, help)->disable_flag_override();
}

Error Arguments::fault(const CLI::App& root, const CLI::ParseError& error) const {
  const std::vector<const CLI::App*> commands = named_commands(root);
  const CLI::App& command = *commands.back();
  const std::string message = error.what();
  const CLI::Option* option = option_of(command, message);
  const bool missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  // A word that nothing takes may be why another is missing, and a mistyped flag why it is wrong.
  for (const CLI::App* one : commands) {
    for (const std::string& word : one->remaining()) {
      if (word == "--" || (option != nullptr && !missing && !word.starts_with("-"))) continue;
      return {Errc::invalid_argument, unexpected(*one, word)};
    }
  }
  if (option == nullptr) {
    const std::vector<std::string> inner = commands_of(command);
    const std::string of = name_of_command(command);
    return {Errc::invalid_argument,
            inner.empty() ? fmt::format("{}; `{} --help` says what it takes", message, of)
                          : fmt::format("`{}` needs a command: {}", of, listed(inner))};
  }
  const Errc code =
      option->get_group() == kConfigurationKeys ? Errc::config_invalid : Errc::invalid_argument;
  if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) return {code, message};
  const auto takes = takes_.find(option);
  const std::string name = option->get_name();
  if (takes == takes_.end()) return {code, fmt::format("{}: takes no value", name)};
  if (option->count() > 1) {
    return {code, fmt::format("{}: is there {} times, but takes one value: {}", name,
                              option->count(), takes->second)};
  }
  return {code, fmt::format("{}: takes {}, but nothing follows", name, takes->second)};
}

std::string_view Arguments::takes(const CLI::Option& option) const {
  const auto found = takes_.find(&option);
  return found == takes_.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<const CLI::App*> listed_commands(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); });
}

bool wants_json(int argc, const char* const* argv) {
  const std::string_view end = "--";
  for (int i = 1; i < argc && argv[i] != end; ++i) {
    if (argv[i] == std::string_view("--json")) return true;
  }
  return false;
}

}  // namespace qudag::app
