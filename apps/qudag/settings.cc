#include "settings.h"

#include "config/file.h"

#include <algorithm>

namespace qudag::app {
namespace {

constexpr std::string_view kLive[] = {"log.level", "limits.bandwidth", "limits.bandwidth_burst",
                                      "limits.month"};

}  // namespace

Result<config::Settings> settings_of(const NodeArgs& args) {
  config::Settings settings;
  if (!args.config.empty()) {
    if (Status loaded = config::load_config(settings, args.config); !loaded) {
      // A fault inside begins with the file's name.
      if (loaded.error() == Errc::config_invalid) return std::unexpected(loaded.error());
      return fail(loaded.error().code, "--config: " + loaded.error().detail);
    }
  }
  for (const auto& [name, values] : args.flags) {
    if (Status set = config::apply_flag(settings, name, values); !set) {
      return std::unexpected(set.error());
    }
  }
  config::complete(settings);
  if (Status fits = validate(settings.node); !fits) return std::unexpected(fits.error());
  return settings;
}

void place_state(config::Settings& settings) {
  std::filesystem::path& state = settings.node.state_dir;
  if (state.empty() && !settings.node.identity.empty()) {
    state = settings.node.identity.string() + ".state";
  }
  if (state == "none") state.clear();
  std::filesystem::path& contacts = settings.gateway.contacts_file;
  if (contacts.empty() && !state.empty()) contacts = state / "contacts";
}

std::vector<Change> changes(const config::Settings& from, const config::Settings& to) {
  std::vector<Change> out;
  for (const config::Key& key : config::config_keys()) {
    std::string before = key.show(from), after = key.show(to);
    if (before == after) continue;
    out.push_back({.key = key.name,
                   .from = std::move(before),
                   .to = std::move(after),
                   .live = std::ranges::find(kLive, key.name) != std::end(kLive)});
  }
  return out;
}

}  // namespace qudag::app
