// Configuration: a TOML file and flags become Settings (keys: config_keys.h).
//
// A wrong file is answered with its name, line, column and key, and what would be right:
//   qudag.toml:3:1: unknown key 'bootstrp'; did you mean 'bootstrap'?
//   qudag.toml:7:10: limits.memory: must be a size from 32MiB to ..., not "lots"
// Values set later win, so the order is: defaults, file, flags.
#pragma once

#include "config/keys.h"

namespace qudag::config {

/// The largest configuration file that is read.
inline constexpr std::size_t kConfigBytesMax = std::size_t{1} << 20;

/// Applies a file's text to `settings`; `name` is for messages. config_invalid on the first fault.
Status apply_config(Settings& settings, std::string_view text, std::string_view name);
/// The same from a file. not_found, permission_denied, io_error, too_large, config_invalid.
Status load_config(Settings& settings, const std::filesystem::path& file);
/// One flag: `--name value...`.
Status apply_flag(Settings& settings, std::string_view name,
                  const std::vector<std::string>& values);

/// What no file or flag has named follows what one has: `limits.half_open` is no more than
/// `limits.links`. Before validate(), which refuses what was named and contradicts itself.
void complete(Settings& settings);

/// A file with every key at its value and a line of help for each.
std::string config_text(const Settings& settings);
/// The same at the defaults: docs/config.example.toml.
std::string example_config();

}  // namespace qudag::config
