#include "config/keys.h"

#include "base/log.h"
#include "base/reach.h"
#include "config/closest.h"
#include "config/quantity.h"
#include "settings/numbers.h"

#include <fmt/format.h>

#include <cstdlib>

namespace qudag::config {
namespace {

using Values = std::vector<std::string>;

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
      continue;
    }
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + '"';
}

std::unexpected<Error> wrong(std::string_view takes, std::string_view text) {
  return fail(Errc::config_invalid, fmt::format("must be {}, not {}", takes, toml_string(text)));
}

// ---- One maker per kind of value. `at` gives the field that the key stands for. -----------------

template <class At>
Key text(std::string_view name, std::string_view takes, std::string_view help, At at) {
  return {
      name,
      takes,
      help,
      false,
      Written::text,
      {},
      [at](Settings& s, const Values& v) -> Status {
        at(s) = v.front();
        return {};
      },
      [at](const Settings& s) { return toml_string(std::string(at(const_cast<Settings&>(s)))); }};
}

template <class At>
Key truth(std::string_view name, std::string_view help, At at) {
  return {name,
          "true or false",
          help,
          false,
          Written::truth,
          {},
          [at](Settings& s, const Values& v) -> Status {
            if (v.front() != "true" && v.front() != "false") {
              return wrong("true or false", v.front());
            }
            at(s) = v.front() == "true";
            return {};
          },
          [at](const Settings& s) -> std::string {
            return at(const_cast<Settings&>(s)) ? "true" : "false";
          }};
}

std::optional<std::uint64_t> parse_number(settings::Form form, std::string_view text) {
  switch (form) {
    case settings::Form::count:
      return parse_count(text);
    case settings::Form::size:
      return parse_size(text);
    case settings::Form::seconds:
      break;
  }
  const auto time = parse_duration(text);
  if (!time || *time % std::chrono::seconds(1) != std::chrono::milliseconds(0)) return {};
  return static_cast<std::uint64_t>(*time / std::chrono::seconds(1));
}

template <class At>
Key count(std::string_view name, std::uint64_t low, std::uint64_t high, std::string_view help,
          At at) {
  return {name,
          "a whole number",
          help,
          false,
          Written::count,
          {},
          [=](Settings& s, const Values& v) -> Status {
            const auto value = parse_count(v.front());
            if (!value || *value < low || *value > high) {
              return wrong(fmt::format("a whole number from {} to {}", low, high), v.front());
            }
            auto& field = at(s);
            field = static_cast<std::remove_reference_t<decltype(field)>>(*value);
            return {};
          },
          [at](const Settings& s) { return fmt::format("{}", at(const_cast<Settings&>(s))); }};
}

template <class At>
Key size(std::string_view name, std::uint64_t low, std::string_view help, At at) {
  return {name,
          "a size such as \"512MiB\"",
          help,
          false,
          Written::quantity,
          {},
          [=](Settings& s, const Values& v) -> Status {
            const auto value = parse_size(v.front());
            if (!value || *value < low) {
              return wrong(fmt::format("a size of at least {}, such as \"512MiB\"", size_text(low)),
                           v.front());
            }
            at(s) = *value;
            return {};
          },
          [at](const Settings& s) { return toml_string(size_text(at(const_cast<Settings&>(s)))); }};
}

/// A number of Options, from the table of all of them.
Key of_number(const settings::Number& number) {
  using settings::Form;
  const auto text_of = [form = number.form](std::uint64_t value) {
    switch (form) {
      case Form::count:
        break;
      case Form::size:
        return size_text(value);
      case Form::seconds:
        return duration_text(std::chrono::seconds(static_cast<std::int64_t>(value)));
    }
    return fmt::format("{}", value);
  };
  static constexpr std::string_view kTakes[] = {"a whole number", "a size such as \"512MiB\"",
                                                "a time such as \"60s\" or \"3h\""};
  static constexpr std::string_view kSuch[] = {"", ", such as \"512MiB\"",
                                               ", such as \"60s\" or \"3h\""};
  static constexpr std::string_view kWhat[] = {"a whole number", "a size", "a time"};
  const auto form = static_cast<std::size_t>(number.form);
  const std::string range = fmt::format("{} from {} to {}{}", kWhat[form], text_of(number.least),
                                        text_of(number.most), kSuch[form]);
  return {number.name,
          kTakes[form],
          number.help,
          false,
          number.form == Form::count ? Written::count : Written::quantity,
          {},
          [&number, range](Settings& s, const Values& v) -> Status {
            const auto value = parse_number(number.form, v.front());
            if (!value || *value < number.least || *value > number.most) {
              return wrong(range, v.front());
            }
            number.set(s.node, *value);
            return {};
          },
          [&number, text_of](const Settings& s) {
            const std::string text = text_of(number.get(s.node));
            return number.form == Form::count ? text : toml_string(text);
          }};
}

Key listen() {
  static constexpr std::string_view kAuto = "auto";
  static constexpr std::string_view kTakes =
      "\"auto\" or an address such as \"0.0.0.0:4433\" or \"[::]:4433\"";
  return {"listen",
          kTakes,
          "UDP address; port 0: any free one. auto: loopback, or all if a bootstrap entry is "
          "elsewhere.",
          false,
          Written::text,
          {},
          [](Settings& s, const Values& v) -> Status {
            s.node.listen.reset();
            if (v.front() == kAuto) return {};
            const auto value = SocketAddress::parse(v.front());
            if (!value) return wrong(kTakes, v.front());
            s.node.listen = *value;
            return {};
          },
          [](const Settings& s) {
            return toml_string(s.node.listen ? s.node.listen->to_string() : std::string(kAuto));
          }};
}

/// A list of an address form (SocketAddress or PeerAddress).
template <class T, class At>
Key addresses(std::string_view name, std::string_view takes, std::string_view help, At at) {
  return {name,
          takes,
          help,
          true,
          Written::text,
          {},
          [=](Settings& s, const Values& v) -> Status {
            std::vector<T> parsed;
            for (const std::string& text : v) {
              const auto value = T::parse(text);
              if (!value) return wrong(takes, text);
              parsed.push_back(*value);
            }
            at(s) = std::move(parsed);
            return {};
          },
          [at](const Settings& s) {
            std::string out = "[";
            for (const T& one : at(const_cast<Settings&>(s))) {
              out += (out.size() > 1 ? ", " : "") + toml_string(one.to_string());
            }
            return out + "]";
          }};
}

template <class At>
Key file_mode(std::string_view name, std::string_view help, At at) {
  static constexpr std::string_view kTakes = "an octal file mode such as \"0600\" or \"0660\"";
  return {
      name,
      kTakes,
      help,
      false,
      Written::text,
      {},
      [at](Settings& s, const Values& v) -> Status {
        unsigned mode = 0;
        for (const char c : v.front()) {
          if (c < '0' || c > '7' || mode > 0777) return wrong(kTakes, v.front());
          mode = mode * 8 + static_cast<unsigned>(c - '0');
        }
        if (v.front().empty() || mode > 0777 || (mode & 0600) != 0600) {
          return wrong(kTakes, v.front());
        }
        at(s) = mode;
        return {};
      },
      [at](const Settings& s) { return fmt::format("\"{:04o}\"", at(const_cast<Settings&>(s))); }};
}

/// A TCP port of this machine alone, or none.
Key loopback(std::string_view name, std::string_view help,
             std::optional<SocketAddress>& (*at)(Settings&)) {
  static constexpr std::string_view kOff = "off";
  static constexpr std::string_view kTakes =
      "\"off\" or an address of loopback such as \"127.0.0.1:9100\"";
  return {name,
          kTakes,
          help,
          false,
          Written::text,
          {},
          [at](Settings& s, const Values& v) -> Status {
            at(s).reset();
            if (v.front() == kOff) return {};
            const auto value = SocketAddress::parse(v.front());
            if (!value || !is_loopback(*value)) return wrong(kTakes, v.front());
            at(s) = *value;
            return {};
          },
          [at](const Settings& s) {
            const auto& value = at(const_cast<Settings&>(s));
            return toml_string(value ? value->to_string() : std::string(kOff));
          }};
}

Key log_level() {
  static constexpr std::string_view kTakes =
      "one of \"trace\", \"debug\", \"info\", \"warn\", \"error\", \"off\"";
  return {"log.level",
          kTakes,
          "How much goes to standard error: trace, debug, info, warn, error, off.",
          false,
          Written::text,
          {},
          [](Settings& s, const Values& v) -> Status {
            if (!parse_log_level(v.front(), s.node.log_level)) return wrong(kTakes, v.front());
            return {};
          },
          [](const Settings& s) { return toml_string(name_of(s.node.log_level)); }};
}

Key log_format() {
  static constexpr std::string_view kTakes = "one of \"auto\", \"text\", \"journal\", \"json\"";
  return {
      "log.format",
      kTakes,
      "How lines look: text, json, journal (with its levels), or auto: journal where it listens.",
      false,
      Written::text,
      {},
      [](Settings& s, const Values& v) -> Status {
        const auto format = parse_log_format(v.front());
        if (!format) return wrong(kTakes, v.front());
        s.log_format = *format;
        return {};
      },
      [](const Settings& s) { return toml_string(name_of(s.log_format)); }};
}

Key cipher() {
  static constexpr std::string_view kTakes =
      "one of \"auto\", \"aes-256-gcm\", \"chacha20-poly1305\"";
  return {
      "cipher",
      kTakes,
      "Of links and own circuits: aes-256-gcm, chacha20-poly1305, or auto, by what the CPU has.",
      false,
      Written::text,
      {},
      [](Settings& s, const Values& v) -> Status {
        for (const Cipher cipher :
             {Cipher::automatic, Cipher::aes_256_gcm, Cipher::chacha20_poly1305}) {
          if (v.front() == name_of(cipher)) {
            s.node.cipher = cipher;
            return {};
          }
        }
        return wrong(kTakes, v.front());
      },
      [](const Settings& s) { return toml_string(name_of(s.node.cipher)); }};
}

Key congestion() {
  static constexpr std::string_view kTakes = "one of \"auto\", \"cubic\", \"bbr\"";
  return {
      "congestion",
      kTakes,
      "How fast links may send: auto is cubic that keeps its rate through losses by chance.",
      false,
      Written::text,
      {},
      [](Settings& s, const Values& v) -> Status {
        for (const Congestion each : {Congestion::automatic, Congestion::cubic, Congestion::bbr}) {
          if (v.front() == name_of(each)) {
            s.node.congestion = each;
            return {};
          }
        }
        return wrong(kTakes, v.front());
      },
      [](const Settings& s) { return toml_string(name_of(s.node.congestion)); }};
}

Status add_entry(std::vector<SocksOptions>& all, SocksOptions one) {
  all.push_back(std::move(one));
  return {};
}

Status add_entry(std::vector<ServiceOptions>& all, ServiceOptions one) {
  for (const ServiceOptions& other : all) {
    if (other.name == one.name) return fail(Errc::config_invalid, one.name + ": is there twice");
  }
  all.push_back(std::move(one));
  return {};
}

Status add_entry(std::vector<ReceiverOptions>& all, ReceiverOptions one) {
  for (const ReceiverOptions& other : all) {
    if (other.name == one.name) return fail(Errc::config_invalid, one.name + ": is there twice");
  }
  all.push_back(std::move(one));
  return {};
}

Status add_entry(Contacts& all, std::pair<std::string, NodeId> one) {
  if (all.contains(one.first)) return fail(Errc::config_invalid, one.first + ": is there twice");
  all.insert(std::move(one));
  return {};
}

std::string show_socks(const SocksOptions& socks) {
  return fmt::format("{{listen = {}, priority = \"{}\", relays = {}}}",
                     toml_string(socks.listen.to_string()), name_of(socks.priority), socks.relays);
}

std::string show_service(const ServiceOptions& service) {
  return fmt::format("{} = {{to = {}, pipes = {}, allow_remote = {}}}", service.name,
                     toml_string(service.to.to_string()), service.pipes, service.allow_remote);
}

std::string show_receiver(const ReceiverOptions& receiver) {
  return fmt::format("{{name = {}, hidden = {}, keepers = {}}}", toml_string(receiver.name),
                     receiver.hidden, receiver.keepers);
}

/// What is on the machine and beside it: the text form is that of gateway_options.h.
template <class T, class Parse, class At, class Show>
Key entries(std::string_view name, std::string_view takes, std::string_view help, Written written,
            std::string_view head, Parse parse, At at, Show show) {
  return {name,
          takes,
          help,
          true,
          written,
          head,
          [=](Settings& s, const Values& v) -> Status {
            T parsed;
            for (const std::string& text : v) {
              auto one = parse(text);
              if (!one) return std::unexpected(one.error());
              if (Status added = add_entry(parsed, std::move(*one)); !added) return added;
            }
            at(s) = std::move(parsed);
            return {};
          },
          [=](const Settings& s) {
            std::string out;
            for (const auto& one : at(const_cast<Settings&>(s))) {
              out += (out.empty() ? "" : ", ") + show(one);
            }
            return written == Written::tables ? "[" + out + "]" : "{" + out + "}";
          }};
}

#define QUDAG_AT(field) \
  [](Settings & s) -> auto& { return s.field; }

/// Those of one table of the file; "": of none.
void add_numbers(std::vector<Key>& keys, std::string_view table) {
  for (const settings::Number& number : settings::numbers()) {
    if (number.name.substr(0, number.name.rfind('.') + 1) == table)
      keys.push_back(of_number(number));
  }
}

std::vector<Key> make_keys() {
  constexpr std::uint64_t kMany = 10'000'000;
  constexpr std::string_view kAddress = "an address such as \"127.0.0.1:4433\" or \"[::1]:4433\"";
  constexpr std::string_view kPeer =
      "\"id@address:port\" or \"id@name:port\" with the 52-character id of the node";
  std::vector<Key> keys{
      text("identity", "the path of a file made by `qudag keygen`",
           "The identity file. Empty: a new identity for this run.", QUDAG_AT(node.identity)),
      listen(),
      addresses<SocketAddress>(
          "publish", kAddress,
          "Addresses to publish for others; empty: `listen` as bound, or what the "
          "system sends from.",
          QUDAG_AT(node.publish)),
      addresses<SocketAddress>(
          "preferred_address", kAddress,
          "Where links to this node go on, as behind a balancer: one IPv4, one IPv6; port 0: as "
          "bound.",
          QUDAG_AT(node.preferred_address)),
      addresses<PeerAddress>(
          "bootstrap", kPeer,
          "Relays to join the network through, by address or name: three or more.",
          QUDAG_AT(node.bootstrap)),
      text("contacts", "the path of a file",
           "Names of your own for receivers and nodes, a line for each. Empty: in the state "
           "directory.",
           QUDAG_AT(gateway.contacts_file)),
      truth("relay", "Take circuits that go on to other nodes.", QUDAG_AT(node.relay)),
      truth("keeper", "As a relay, be a place where receivers wait for callers as well.",
            QUDAG_AT(node.keeper)),
      truth("known", "Publish a descriptor, so that others can address this node.",
            QUDAG_AT(node.known)),
      cipher(),
      truth("distinct_networks", "Never two hops of a route in one /16 (IPv4) or /32 (IPv6).",
            QUDAG_AT(node.distinct_networks)),
      congestion(),
  };
  add_numbers(keys, "");
  keys.push_back(entries<std::vector<SocksOptions>>(
      "socks", "an address of loopback such as \"127.0.0.1:9250\", then priority and relays",
      "Ports for programs that know SOCKS5 or HTTP CONNECT: [[socks]] with listen, priority, "
      "relays.",
      Written::tables, "listen", parse_socks, QUDAG_AT(gateway.socks), show_socks));
  keys.push_back(entries<std::vector<ServiceOptions>>(
      "services", "NAME=\"127.0.0.1:22\" or NAME=\"unix:/run/web.sock\"",
      "What others reach here by pipes: [services] with name = \"address\", or to, pipes, "
      "allow_remote.",
      Written::named, "to", parse_service, QUDAG_AT(gateway.services), show_service));
  keys.push_back(entries<Contacts>(
      "names", "NAME=ID, the 52-character id of a node",
      "Names of your own for nodes: ssh.alice.qudag, if alice is one.", Written::named, "id",
      parse_contact, QUDAG_AT(gateway.names),
      [](const auto& one) { return one.first + " = " + toml_string(one.second.to_string()); }));
  keys.push_back(entries<std::vector<ReceiverOptions>>(
      "receiver", "a name of 1 to 24 of a-z, 0-9 and '-', then hidden and keepers",
      "Who is called here without an address: [[receiver]] with name, hidden, keepers.",
      Written::tables, "name", parse_receiver, QUDAG_AT(receivers), show_receiver));
  const auto add = [&keys](std::initializer_list<Key> more) {
    keys.insert(keys.end(), more.begin(), more.end());
  };
  add({
      text("state.dir", "the path of a directory",
           "Where guards, known relays and receivers are kept over a restart. Empty: beside the "
           "identity file; none: nowhere.",
           QUDAG_AT(node.state_dir)),
  });
  add({
      text("inbox.dir", "the path of a directory",
           "Where messages are kept for programs that are not there; empty: nowhere.",
           QUDAG_AT(node.inbox.dir)),
      truth("inbox.accept",
            "Keep new ones, and tell their senders `delivered` when they are on the disk.",
            QUDAG_AT(node.inbox.accept)),
  });
  add_numbers(keys, "inbox.");
  add_numbers(keys, "limits.");
  add({
      log_level(),
      log_format(),
      truth("log.sensitive", "Show addresses and ids in logs.", QUDAG_AT(node.log_sensitive)),
      truth("process.debuggable", "Let debuggers of the same user and core dumps see this process.",
            QUDAG_AT(debuggable)),
      text("api.socket", "the path of a Unix socket",
           "Unix socket of the local API; empty: in a folder of the user's own "
           "(docs/reference/api.md).",
           QUDAG_AT(api.socket)),
      file_mode("api.mode", "File mode of the socket: who may use this node.", QUDAG_AT(api.mode)),
      text("api.monitor_socket", "the path of a Unix socket",
           "Unix socket for watchers: status and metrics, and no way to do anything; empty: none.",
           QUDAG_AT(api.monitor_socket)),
      file_mode("api.monitor_mode", "File mode of that socket: who may watch this node.",
                QUDAG_AT(api.monitor_mode)),
      count("api.connections", 1, 10'000, "API connections open at once.",
            QUDAG_AT(api.connections)),
      count("api.outstanding", 1, kMany, "Sends without an outcome on one WebSocket.",
            QUDAG_AT(api.outstanding)),
      count("api.queue_messages", 1, kMany, "Received messages waiting for one subscriber.",
            QUDAG_AT(api.queue_messages)),
      size("api.queue_bytes", std::uint64_t{1} << 16, "The same in bytes.",
           QUDAG_AT(api.queue_bytes)),
      loopback("metrics.listen",
               "TCP address of loopback for /metrics, /healthz and /readyz; port 0: any free one. "
               "off: none.",
               QUDAG_AT(api.metrics)),
      loopback("web.listen",
               "TCP address of loopback for the web page, which `qudag web` leads to; port 0: any "
               "free one. off: none.",
               QUDAG_AT(api.web)),
      truth("web.control", "The web page may send and receive messages, not only look.",
            QUDAG_AT(api.web_control)),
  });
  return keys;
}

#undef QUDAG_AT

}  // namespace

std::span<const Key> config_keys() {
  static const std::vector<Key> keys = make_keys();
  return keys;
}

const Key* find_key(std::string_view name) {
  for (const Key& key : config_keys()) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

std::string_view closest_key(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Key& key : config_keys()) names.push_back(key.name);
  return closest(name, names);
}

}  // namespace qudag::config
