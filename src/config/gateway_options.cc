#include "config/gateway_options.h"

#include "base/reach.h"
#include "config/quantity.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <functional>
#include <optional>

namespace qudag::config {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kTakes = "an address such as \"127.0.0.1:22\" or \"unix:/run/web.sock\"";

std::unexpected<Error> wrong(std::string_view what, std::string_view takes, std::string_view text) {
  return fail(Errc::config_invalid,
              fmt::format("{}: must be {}, not \"{}\"", what, takes, text.substr(0, 128)));
}

/// Cuts `text` at the first `mark`; what follows it.
std::string_view cut(std::string_view& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + 1);
  text = text.substr(0, at);
  return rest;
}

/// Each `name=value` of the rest of an entry; `set` says whether it has such a field and takes it.
Status read_fields(
    std::string_view what, std::string_view fields, std::string_view known,
    const std::function<std::optional<Status>(std::string_view, std::string_view)>& set) {
  while (!fields.empty()) {
    std::string_view name = fields;
    fields = cut(name, ',');
    const std::string_view value = cut(name, '=');
    const std::optional<Status> done = set(name, value);
    if (!done) {
      return fail(Errc::config_invalid,
                  fmt::format("{}: has no '{}'; it has {}", what, name.substr(0, 32), known));
    }
    if (!*done) return *done;
  }
  return {};
}

Status read_count(std::size_t& out, std::string_view what, std::string_view text, std::size_t low,
                  std::size_t high) {
  const auto value = parse_count(text);
  if (!value || *value < low || *value > high) {
    return wrong(what, fmt::format("a whole number from {} to {}", low, high), text);
  }
  out = *value;
  return {};
}

bool is_of_this_machine(const LocalAddress& address) {
  return address.is_unix() || is_loopback(address.tcp);
}

}  // namespace

bool is_service_name(std::string_view text) {
  return !text.empty() && text.size() <= kServiceNameMax && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::string LocalAddress::to_string() const {
  return is_unix() ? std::string(kUnix) + unix_path.string() : tcp.to_string();
}

Result<LocalAddress> LocalAddress::parse(std::string_view text) {
  constexpr std::string_view kLocalhost = "localhost:";
  LocalAddress out;
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.size() < 2 || path.size() >= sizeof(sockaddr_un{}.sun_path) || path[0] != '/' ||
        path.contains('\0')) {
      return fail(Errc::config_invalid,
                  fmt::format("the path of a Unix socket begins with / and has 2 to {} bytes",
                              sizeof(sockaddr_un{}.sun_path) - 1));
    }
    out.unix_path = path;
    return out;
  }
  std::string numeric(text);
  if (text.starts_with(kLocalhost)) numeric.replace(0, kLocalhost.size(), "127.0.0.1:");
  const auto address = SocketAddress::parse(numeric);
  if (!address) {
    return fail(Errc::config_invalid,
                fmt::format("must be {}, not \"{}\"", kTakes, text.substr(0, 128)));
  }
  out.tcp = *address;
  return out;
}

Result<SocksOptions> parse_socks(std::string_view text) {
  SocksOptions out;
  const std::string_view fields = cut(text, ',');
  const auto listen = LocalAddress::parse(text);
  constexpr std::string_view kPort = "an address of loopback such as \"127.0.0.1:9250\"";
  if (!listen || listen->is_unix()) return wrong("listen", kPort, text);
  if (!is_of_this_machine(*listen)) {
    return fail(
        Errc::config_invalid,
        fmt::format("listen: {} is not of this machine alone: whoever reaches the port uses "
                    "this node; take an address of loopback",
                    text));
  }
  out.listen = *listen;
  const Status read =
      read_fields("a SOCKS listener", fields, "listen, priority, relays",
                  [&out](std::string_view name, std::string_view value) -> std::optional<Status> {
                    if (name == "priority") {
                      const auto priority = parse_priority(value);
                      if (!priority || *priority == Priority::high) {
                        return wrong("priority", "normal or low", value);
                      }
                      out.priority = *priority;
                      return Status();
                    }
                    if (name != "relays") return std::nullopt;
                    std::size_t relays = 0;
                    const Status done = read_count(relays, "relays", value, 0, kRelaysMax);
                    out.relays = static_cast<unsigned>(relays);
                    return done;
                  });
  if (!read) return std::unexpected(read.error());
  return out;
}

Result<ServiceOptions> parse_service(std::string_view text) {
  ServiceOptions out;
  std::string_view name = text;
  std::string_view to = cut(name, '=');
  if (!is_service_name(name)) {
    return wrong("the name of a service", "1 to 24 of a-z, 0-9 and '-'", name);
  }
  out.name = name;
  const std::string_view fields = cut(to, ',');
  const auto address = LocalAddress::parse(to);
  if (!address) return wrong(name, kTakes, to);
  if (!address->is_unix() && address->tcp.port == 0) {
    return wrong(name, "an address with a port", to);
  }
  out.to = *address;
  const Status read =
      read_fields(name, fields, "to, pipes, allow_remote",
                  [&out](std::string_view field, std::string_view value) -> std::optional<Status> {
                    if (field == "pipes") {
                      return read_count(out.pipes, "pipes", value, 1, ServiceOptions::kPipesMax);
                    }
                    if (field != "allow_remote") return std::nullopt;
                    const auto truth = parse_truth(value);
                    if (!truth) return wrong("allow_remote", "true or false", value);
                    out.allow_remote = *truth;
                    return Status();
                  });
  if (!read) return std::unexpected(read.error());
  if (!out.allow_remote && !is_of_this_machine(out.to)) {
    return fail(Errc::config_invalid,
                fmt::format("{}: {} is another machine, and callers would get into its network; "
                            "allow_remote=true allows that",
                            name, out.to.to_string()));
  }
  return out;
}

Result<std::pair<std::string, NodeId>> parse_contact(std::string_view text) {
  std::string_view name = text;
  const std::string_view id = cut(name, '=');
  if (!is_service_name(name)) {
    return wrong("a name", "1 to 24 of a-z, 0-9 and '-'", name);
  }
  const auto parsed = NodeId::parse(id);
  if (!parsed) return wrong(name, "the 52-character id of a node", id);
  return std::pair(std::string(name), *parsed);
}

Result<ReceiverOptions> parse_receiver(std::string_view text) {
  ReceiverOptions out;
  const std::string_view fields = cut(text, ',');
  if (!is_service_name(text)) {
    return wrong("the name of a receiver", "1 to 24 of a-z, 0-9 and '-'", text);
  }
  out.name = text;
  const Status read =
      read_fields(text, fields, "name, hidden, keepers",
                  [&out](std::string_view field, std::string_view value) -> std::optional<Status> {
                    if (field == "keepers") {
                      return read_count(out.keepers, "keepers", value, 1, kKeepersMax);
                    }
                    if (field != "hidden") return std::nullopt;
                    const auto truth = parse_truth(value);
                    if (!truth) return wrong("hidden", "true or false", value);
                    out.hidden = *truth;
                    return Status();
                  });
  if (!read) return std::unexpected(read.error());
  return out;
}

}  // namespace qudag::config
