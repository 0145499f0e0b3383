// 1 parse TOML (the only place that knows toml++), 2 walk the tables to dotted names, 3 look each
// name up in the table of keys, 4 turn the value into texts, 5 let the key check and set it.
#include "config/file.h"
#include "base/posix.h"
#include "settings/numbers.h"

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
    const Key* key = find_key(name);
    if (const toml::table* inner = node.as_table(); inner != nullptr && key == nullptr) {
      if (!is_prefix(name)) return unknown(at, name);
      return table(*inner, name + ".");
    }
    if (key == nullptr && is_prefix(name)) {
      return fail(Errc::config_invalid,
                  fmt::format("{}: {}: must be a table of keys ([{}]), not {}", place(at), name,
                              name, shown(node)));
    }
    if (key == nullptr) return unknown(at, name);

    std::vector<std::string> values;
    if (key->written == Written::tables || key->written == Written::named) {
      if (Status done = entries(node, *key, values); !done) return done;
      return set(node, *key, values);
    }
    const toml::array* array = node.as_array();
    if (key->list) {
      if (array == nullptr) {
        return wrong(node, *key,
                     fmt::format("must be a list, each {}, not {}", key->takes, shown(node)));
      }
      for (const toml::node& one : *array) {
        if (Status done = value(one, *key, values); !done) return done;
      }
    } else if (Status done = value(node, *key, values); !done) {
      return done;
    }
    return set(node, *key, values);
  }

  Status set(const toml::node& node, const Key& key, const std::vector<std::string>& values) {
    if (Status set = key.set(settings_, values); !set) {
      return wrong(node, key, set.error().detail);
    }
    settings_.named.insert(key.name);
    return {};
  }

  /// [[name]], or the entries under [name], each as the text that a flag would have.
  Status entries(const toml::node& node, const Key& key, std::vector<std::string>& values) const {
    if (const toml::array* array = node.as_array();
        key.written == Written::tables && array != nullptr) {
      for (const toml::node& one : *array) {
        if (Status done = fields(one, key, "", values); !done) return done;
      }
      return {};
    }
    if (const toml::table* table = node.as_table();
        key.written == Written::named && table != nullptr) {
      for (const auto& [name, one] : *table) {
        const std::string text(name.str());
        if (text.contains('=')) return wrong(one, key, "a name has no '='");
        if (Status done = fields(one, key, text + "=", values); !done) return done;
      }
      return {};
    }
    const bool tables = key.written == Written::tables;
    return wrong(node, key,
                 fmt::format("must be {} ({}{}{}), not {}", tables ? "tables" : "a table",
                             tables ? "[[" : "[", key.name, tables ? "]]" : "]", shown(node)));
  }

  /// One entry: a text, or a table of which `head` comes first.
  Status fields(const toml::node& node, const Key& key, const std::string& before,
                std::vector<std::string>& values) const {
    const auto* text = node.as_string();
    const toml::table* table = node.as_table();
    const auto* head = table == nullptr ? text : (*table)[key.head].as_string();
    if (head == nullptr) {
      return wrong(node, key, fmt::format("must have the text '{}'", key.head));
    }
    // A comma would begin another field.
    if (head->get().contains(',')) return wrong(node, key, "an address has no ','");
    std::string out = before + head->get();
    for (const auto& [name, field] : table == nullptr ? toml::table() : *table) {
      if (name.str() == key.head) continue;
      std::string value;
      if (const auto* string = field.as_string()) {
        value = string->get();
      } else if (const auto* number = field.as_integer()) {
        value = fmt::format("{}", number->get());
      } else if (const auto* truth = field.as_boolean()) {
        value = truth->get() ? "true" : "false";
      } else {
        return wrong(field, key, fmt::format("{}: must not be {}", name.str(), shown(field)));
      }
      const std::string pair = std::string(name.str()) + "=" + value;
      if (pair.contains(',')) return wrong(field, key, "a field has no ','");
      out += "," + pair;
    }
    values.push_back(std::move(out));
    return {};
  }

  Status value(const toml::node& node, const Key& key, std::vector<std::string>& values) const {
    const bool quantity = key.written == Written::quantity;
    const auto* text = node.as_string();
    const auto* number = node.as_integer();
    const auto* truth = node.as_boolean();
    if (text != nullptr && (key.written == Written::text || quantity)) {
      values.push_back(text->get());
    } else if (number != nullptr && (key.written == Written::count || quantity)) {
      values.push_back(fmt::format("{}", number->get()));
    } else if (truth != nullptr && key.written == Written::truth) {
      values.emplace_back(truth->get() ? "true" : "false");
    } else {
      return wrong(node, key, fmt::format("must be {}, not {}", key.takes, shown(node)));
    }
    return {};
  }

  /// What stands there, as a person would say it.
  static std::string shown(const toml::node& node) {
    if (node.is_table()) return "a table";
    if (node.is_array()) return "a list";
    if (const auto* text = node.as_string()) {
      return fmt::format("the text \"{}\"", text->get().substr(0, 64));
    }
    if (const auto* number = node.as_integer()) return fmt::format("the number {}", number->get());
    if (const auto* number = node.as_floating_point()) {
      return fmt::format("the number {}", number->get());
    }
    if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
    return "a date or a time";
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

/// The beginning of that line, counted from 1.
std::string_view line_of(std::string_view text, std::size_t number) {
  constexpr std::size_t kShownMax = 80;
  for (std::size_t i = 1; i < number && text.contains('\n'); ++i) {
    text.remove_prefix(text.find('\n') + 1);
  }
  return text.substr(0, text.find('\n')).substr(0, kShownMax);
}

}  // namespace

Status apply_config(Settings& settings, std::string_view text, std::string_view name) {
  try {
    const toml::table table = toml::parse(text, name);
    return Walker(settings, name).table(table, "");
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    return fail(Errc::config_invalid,
                fmt::format("{}:{}:{}: {}; the line is: {}", name, at.line, at.column,
                            error.description(), line_of(text, at.line)));
  }
}

Status load_config(Settings& settings, const std::filesystem::path& file) {
  std::error_code no_throw;
  if (std::filesystem::is_directory(file, no_throw)) {
    return fail(Errc::config_invalid, file.string() + ": is a directory, not a TOML file");
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
  settings.named.insert(key->name);
  return {};
}

void complete(Settings& settings) {
  for (const settings::Pair& pair : settings::pairs()) {
    if (settings.named.contains(pair.part.name)) continue;
    const std::uint64_t whole = pair.whole.get(settings.node);
    if (pair.part.get(settings.node) > whole) pair.part.set(settings.node, whole);
  }
}

std::string example_config() {
  return "# Every key of `qudag node --config FILE`, at its default. The same names are flags, "
         "which "
         "win\n"
         "# over the file: --limits.memory 1GiB\n" +
         config_text({});
}

std::string config_text(const Settings& settings) {
  std::string out;
  std::string_view table;
  for (const Key& key : config_keys()) {
    const std::size_t dot = key.name.find('.');
    const std::string_view own = dot == std::string_view::npos ? "" : key.name.substr(0, dot);
    if (own != table) out += fmt::format("\n[{}]\n", own);
    table = own;
    const std::string_view last = key.name.substr(dot == std::string_view::npos ? 0 : dot + 1);
    out += fmt::format("\n# {}\n{} = {}\n", key.help, last, key.show(settings));
  }
  return out;
}

}  // namespace qudag::config
