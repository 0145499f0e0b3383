// 1 parse TOML (the only place that knows toml++), 2 walk the tables to dotted names, 3 look each
// name up in the table of keys, 4 turn the value into texts, 5 let the key check and set it.
#include "config/file.h"
#include "base/posix.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace qudag::config {
namespace {

class Walker {
 public:
  Walker(Settings& settings, std::string_view file) : settings_(settings), file_(file) {}

  Status table(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      if (Status done = entry(name, key.source().begin, node); !done) return done;
    }
    return {};
  }

 private:
  Status entry(const std::string& name, toml::source_position at, const toml::node& node) {
    if (const toml::table* inner = node.as_table()) {
      if (!is_prefix(name)) return unknown(at, name);
      return table(*inner, name + ".");
    }
    const Key* key = find_key(name);
    if (key == nullptr) return unknown(at, name);

    std::vector<std::string> values;
    if (const toml::array* array = node.as_array()) {
      if (!key->list) return wrong(node, *key, fmt::format("must be {}, not a list", key->takes));
      for (const toml::node& one : *array) {
        if (Status done = value(one, *key, values); !done) return done;
      }
    } else if (Status done = value(node, *key, values); !done) {
      return done;
    }
    if (Status set = key->set(settings_, values); !set) {
      return wrong(node, *key, set.error().detail);
    }
    return {};
  }

  Status value(const toml::node& node, const Key& key, std::vector<std::string>& values) const {
    if (const auto* text = node.as_string()) {
      values.push_back(text->get());
    } else if (const auto* number = node.as_integer()) {
      values.push_back(fmt::format("{}", number->get()));
    } else if (const auto* truth = node.as_boolean()) {
      values.emplace_back(truth->get() ? "true" : "false");
    } else {
      return wrong(node, key, fmt::format("must be {}", key.takes));
    }
    return {};
  }

  static bool is_prefix(const std::string& name) {
    for (const Key& key : config_keys()) {
      if (key.name.starts_with(name + ".")) return true;
    }
    return false;
  }

  Status unknown(toml::source_position at, std::string_view name) const {
    const std::string_view close = closest_key(name);
    return fail(Errc::config_invalid,
                fmt::format("{}: unknown key '{}'{}", place(at), name.substr(0, 64),
                            close.empty() ? std::string("; docs/config.example.toml lists all keys")
                                          : fmt::format("; did you mean '{}'?", close)));
  }

  Status wrong(const toml::node& node, const Key& key, std::string_view what) const {
    return fail(Errc::config_invalid,
                fmt::format("{}: {}: {}", place(node.source().begin), key.name, what));
  }

  std::string place(toml::source_position at) const {
    return fmt::format("{}:{}:{}", file_, at.line, at.column);
  }

  Settings& settings_;
  std::string_view file_;
};

}  // namespace

Status apply_config(Settings& settings, std::string_view text, std::string_view name) {
  try {
    const toml::table table = toml::parse(text, name);
    return Walker(settings, name).table(table, "");
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    return fail(Errc::config_invalid,
                fmt::format("{}:{}:{}: {}", name, at.line, at.column, error.description()));
  }
}

Status load_config(Settings& settings, const std::filesystem::path& file) {
  std::error_code no_throw;
  if (std::filesystem::is_directory(file, no_throw)) {
    return fail(Errc::io_error, file.string() + ": is a directory");
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) return system_failure(file.string());
  std::string text(kConfigBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) return fail(Errc::io_error, file.string() + ": cannot be read");
  if (text.size() > kConfigBytesMax) {
    return fail(Errc::too_large, file.string() + ": a configuration file has at most 1 MiB");
  }
  return apply_config(settings, text, file.string());
}

Status apply_flag(Settings& settings, std::string_view name,
                  const std::vector<std::string>& values) {
  const Key* key = find_key(name);
  if (key == nullptr || values.empty() || (!key->list && values.size() > 1)) {
    return fail(Errc::config_invalid, fmt::format("--{}: no such flag, or too many values", name));
  }
  if (Status set = key->set(settings, values); !set) {
    return fail(Errc::config_invalid, fmt::format("--{}: {}", name, set.error().detail));
  }
  return {};
}

std::string example_config() {
  const Settings defaults;
  std::string out =
      "# Every key of `qudag node --config FILE`, at its default. The same names are flags, which "
      "win\n"
      "# over the file: --limits.memory 1GiB\n";
  std::string_view table;
  for (const Key& key : config_keys()) {
    const std::size_t dot = key.name.find('.');
    const std::string_view own = dot == std::string_view::npos ? "" : key.name.substr(0, dot);
    if (own != table) out += fmt::format("\n[{}]\n", own);
    table = own;
    const std::string_view last = key.name.substr(dot == std::string_view::npos ? 0 : dot + 1);
    out += fmt::format("\n# {}\n{} = {}\n", key.help, last, key.show(defaults));
  }
  return out;
}

}  // namespace qudag::config
