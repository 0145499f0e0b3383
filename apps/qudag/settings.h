// A configuration file and flags as settings, complete and checked.
#pragma once

#include "commands.h"

namespace qudag::app {

/// What is wrong names the file, the line and the key, or the flag.
Result<config::Settings> settings_of(const NodeArgs& args);
/// A node with an identity keeps its guards beside it, unless told otherwise.
void place_state(config::Settings& settings);

/// One key of which two settings differ.
struct Change {
  std::string_view key;
  std::string from, to;
  bool live = false;  ///< a node takes it while it runs
};
std::vector<Change> changes(const config::Settings& from, const config::Settings& to);

}  // namespace qudag::app
