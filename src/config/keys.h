// The one table of what can be configured: it drives the file, the flags and the example file.
//
// A key has one name everywhere: `limits.memory` in the file (or `memory` under [limits]) and
// `--limits.memory` as a flag. Values arrive as text; set() checks form and bounds and says what
// would be right.
#pragma once

#include "config/api_options.h"

#include <qudag/options.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::config {

struct Settings {
  Options node;
  ApiOptions api;
  bool debuggable = false;  ///< the process: debuggers of its user, and core dumps
};

struct Key {
  std::string_view name;
  std::string_view takes;  ///< what a value looks like, for messages: "a size such as 512MiB"
  std::string_view help;   ///< one line
  bool list = false;       ///< takes several values: an array, or the flag repeated
  std::function<Status(Settings&, const std::vector<std::string>&)> set;
  std::function<std::string(const Settings&)> show;  ///< the value as TOML
};

std::span<const Key> config_keys();
const Key* find_key(std::string_view name);
/// The known key that `name` most likely means; empty if none is close.
std::string_view closest_key(std::string_view name);

}  // namespace qudag::config
