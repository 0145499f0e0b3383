// What a program lets the clients of its API do with it, beyond the node.
#pragma once

#include <qudag/error.h>

#include <chrono>
#include <functional>
#include <string>

namespace qudag::api {

/// What a program lets its clients do with it beyond the node. On the API's thread.
struct Control {
  /// Reads the configuration again: what changed, and what needs a restart, as JSON.
  std::function<Result<std::string>()> reload;
  /// The last lines of the log, each a JSON object as log.format = "json" has it, with ',' between
  /// them. From any thread.
  std::function<std::string()> log_lines;
  /// Begins to stop, with so much time for what is under way.
  std::function<void(std::chrono::milliseconds grace)> drain;
};

}  // namespace qudag::api
