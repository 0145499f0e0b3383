// Arguments and what is said about wrong ones, in one form: the flag, what it takes, what it got.
//   --count: takes a whole number, not "-3"
//   'nod': qudag has no such command; did you mean 'node'?
// A value is read while the command line is parsed, so that no fault of another kind hides it.
#pragma once

#include <qudag/message.h>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace qudag::app {

/// What stands behind a flag or at a place.
struct Value {
  std::string kind;   ///< for --help: NUMBER
  std::string takes;  ///< for messages: "a whole number from 1 to 64"
  /// Sets it and returns nothing, or says what is wrong with the text.
  std::function<std::string(const std::string& text)> read;
};

/// "takes a whole number, not "-3""
std::string takes_not(std::string_view takes, std::string_view text);

std::string count_text(std::uint64_t low, std::uint64_t high);
/// The number, if it is one in that range.
bool read_count(std::string_view text, std::uint64_t low, std::uint64_t high, std::uint64_t& out);

template <class T>
Value number(T& out, std::uint64_t low = 0, std::uint64_t high = std::numeric_limits<T>::max()) {
  const std::string takes = count_text(low, high);
  return {"NUMBER", takes, [=, &out](const std::string& text) -> std::string {
            std::uint64_t value = 0;
            if (!read_count(text, low, high, value)) return takes_not(takes, text);
            out = static_cast<T>(value);
            return {};
          }};
}

/// A time with its unit, from 1 ms.
Value time(std::chrono::milliseconds& out, std::chrono::milliseconds most);
/// Seconds, with or without a fraction, up to an hour.
Value seconds(std::chrono::milliseconds& out);
Value priority(Priority& out);
Value if_away(IfAway& out);
Value node_id(NodeId& out);
/// Any path but the empty one; `what` is "a file made by keygen".
Value path(std::filesystem::path& out, std::string what);
/// A path of a file: no directory.
Value file(std::filesystem::path& out, std::string what);
/// A directory that is there.
Value directory(std::filesystem::path& out);
/// No file of another kind; that there is one is for the command to find.
Value socket_path(std::filesystem::path& out);
/// A user of this machine, by name or number.
Value user(std::optional<unsigned>& out);
/// A descriptor that this process was started with and can write to.
Value descriptor(int& out);

class Arguments {
 public:
  /// A flag with a value, or a place, that is given at most once.
  CLI::Option* add(CLI::App& app, const std::string& name, Value value, const std::string& help);
  /// The same for several, each read on its own.
  CLI::Option* add_list(CLI::App& app, const std::string& name, Value value,
                        const std::string& help);
  static CLI::Option* add_flag(CLI::App& app, const std::string& name, bool& out,
                               const std::string& help);

  /// What CLI11 found, in our words.
  Error fault(const CLI::App& root, const CLI::ParseError& error) const;

  /// What a value of the option looks like; empty for flags without one.
  std::string_view takes(const CLI::Option& option) const;

 private:
  CLI::Option* checked(CLI::Option* option, Value value);

  std::map<const CLI::Option*, std::string> takes_;
};

/// The commands of a command that people are told of.
std::vector<const CLI::App*> listed_commands(const CLI::App& command);

/// Is `--json` among them? Asked before they are known to be right.
bool wants_json(int argc, const char* const* argv);

inline constexpr const char* kConfigurationKeys = "Configuration keys";

}  // namespace qudag::app
