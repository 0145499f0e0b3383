#include "command_table.h"

#include "common/exit_codes.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

namespace qudag::app {
namespace {

namespace json = boost::json;

json::object row(const CLI::Option& option, const Arguments& arguments) {
  json::array names;
  for (const std::string& name : option.get_snames()) names.emplace_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.emplace_back("--" + name);
  const bool is_place = option.get_positional();
  if (is_place) names.emplace_back(option.get_single_name());
  return {{"names", std::move(names)},
          {"place", is_place},
          {"required", option.get_required()},
          {"list", option.get_items_expected_max() > 1},
          {"key", option.get_group() == kConfigurationKeys},
          {"kind", option.get_items_expected_max() == 0 ? "" : option.get_type_name()},
          {"takes", arguments.takes(option)},
          {"default", option.get_default_str()},
          {"help", option.get_description()}};
}

json::object table_of(const CLI::App& command, const Arguments& arguments) {
  json::array options, commands;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_group().empty()) options.push_back(row(*option, arguments));
  }
  for (const CLI::App* inner : listed_commands(command)) {
    commands.push_back(table_of(*inner, arguments));
  }
  return {{"name", command.get_name()},
          {"help", command.get_description()},
          {"options", std::move(options)},
          {"commands", std::move(commands)}};
}

}  // namespace

std::string command_table(const CLI::App& program, const Arguments& arguments) {
  json::object table = table_of(program, arguments);
  table["exit_codes"] = exit_codes_help();
  return json::serialize(table) + "\n";
}

}  // namespace qudag::app
