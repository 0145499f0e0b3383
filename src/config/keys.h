// The one table of what can be configured: it drives the file, the flags and the example file.
//
// A key has one name everywhere: `limits.memory` in the file (or `memory` under [limits]) and
// `--limits.memory` as a flag. Values arrive as text; set() checks form and bounds and says what
// would be right.
#pragma once

#include "base/lines/log_output.h"
#include "config/api_options.h"
#include "config/gateway_options.h"

#include <qudag/options.h>

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::config {

struct Settings {
  Options node;
  ApiOptions api;
  GatewayOptions gateway;
  LogFormat log_format = LogFormat::automatic;
  bool debuggable = false;           ///< the process: debuggers of its user, and core dumps
  std::set<std::string_view> named;  ///< the keys that the file or a flag has set
};

/// How a file writes a value. Nothing is taken for something else: 1 is not `true`, nor "1" a 1.
enum class Written : std::uint8_t {
  text,
  truth,
  count,
  quantity,  // a text with a unit, or a number: of bytes, or of seconds
  tables,    // [[name]], of each entry the fields: a text "HEAD[,field=value]..."
  named,     // [name], its keys chosen by the operator: "KEY=HEAD[,field=value]..."
};

struct Key {
  std::string_view name;
  std::string_view takes;  ///< what a value looks like, for messages: "a size such as 512MiB"
  std::string_view help;   ///< one line
  bool list = false;       ///< takes several values: an array, or the flag repeated
  Written written = Written::text;
  std::string_view head = {};  ///< of tables and named: the field that stands first
  std::function<Status(Settings&, const std::vector<std::string>&)> set;
  std::function<std::string(const Settings&)> show;  ///< the value as TOML
};

std::span<const Key> config_keys();
const Key* find_key(std::string_view name);
/// The known key that `name` most likely means; empty if none is close.
std::string_view closest_key(std::string_view name);

}  // namespace qudag::config
