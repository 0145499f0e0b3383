// `qudag command-table`: commands, flags and configuration keys as one JSON document, from the
// tables by which arguments are read. tools/command_pages.py makes the manual pages and the
// completions of shells from it. The command is in no list of commands.
#pragma once

#include "arguments.h"

#include <string>

namespace qudag::app {

std::string command_table(const CLI::App& program, const Arguments& arguments);

}  // namespace qudag::app
