// 1 cut the target at '?', 2 find the row of the table with this path and method, 3 read each
// parameter by name, as the row lists them.
#include "api/server/request.h"

#include "api/records/encoding.h"
#include "api/records/records.h"
#include "api/server/pages.h"
#include "config/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <iterator>
#include <optional>

namespace qudag::api {
namespace {

using Parsed = std::expected<Request, RequestError>;
using Text = std::string_view;

std::unexpected<RequestError> refuse(unsigned status, Errc code, std::string detail) {
  return std::unexpected(RequestError{status, Error(code, std::move(detail)), {}});
}

std::unexpected<RequestError> malformed(std::string detail) {
  return refuse(400, Errc::malformed, std::move(detail));
}

// ---- Values -------------------------------------------------------------------------------------

template <class T>
Status assign(T& out, Result<T> value) {
  if (!value) return std::unexpected(value.error());
  out = *value;
  return {};
}

template <class T>
Status number(T& out, Text text, std::uint64_t low, std::uint64_t high) {
  const auto value = config::parse_count(text);
  if (!value || *value < low || *value > high) {
    return fail(Errc::malformed, fmt::format("must be a number from {} to {}", low, high));
  }
  out = static_cast<T>(*value);
  return {};
}

Status channel(ChannelNumber& out, Text text) { return number(out, text, 0, UINT16_MAX); }

Status truth(bool& out, Text text) { return assign(out, config::parse_truth(text)); }

Status format(bool& raw, Text text) {
  if (text != "json" && text != "raw") return fail(Errc::malformed, "must be json or raw");
  raw = text == "raw";
  return {};
}

Status answer(AcknowledgeRecord::Answer& out, Text text) {
  using Answer = AcknowledgeRecord::Answer;
  if (text == "taken")
    out = Answer::taken;
  else if (text == "refused")
    out = Answer::refused;
  else if (text == "again")
    out = Answer::again;
  else
    return fail(Errc::malformed, "must be taken, refused or again");
  return {};
}

Status delay(std::optional<std::chrono::milliseconds>& out, Text text) {
  const auto value = config::parse_duration(text);
  if (!value || *value < std::chrono::milliseconds(0) || *value > kAgainMax) {
    return fail(Errc::malformed, "must be a time from 0ms to 1h, for example 30s");
  }
  out = *value;
  return {};
}

/// An id or the form of a name; whose it is, the gateway knows.
Status node(std::string& out, Text text) {
  if (!NodeId::parse(text) && !config::is_service_name(text)) {
    return fail(Errc::malformed, "must be the 52-character id of a node, or a name of one");
  }
  out = text;
  return {};
}

Status service_name(std::string& out, Text text) {
  if (!config::is_service_name(text)) {
    return fail(Errc::malformed, "must be 1 to 24 of a-z, 0-9 and '-'");
  }
  out = text;
  return {};
}

Status pipe_priority(Priority& out, Text text) {
  const auto priority = parse_priority(text);
  if (!priority || *priority == Priority::high) {
    return fail(Errc::malformed, "must be normal or low");
  }
  out = *priority;
  return {};
}

// ---- Parameters ---------------------------------------------------------------------------------

/// One parameter of requests of kind `R`: where its value goes.
template <class R>
struct Parameter {
  std::string_view name;
  Status (*set)(R& request, Text text);
  bool required = false;
};

constexpr bool kRequired = true;

constexpr Parameter<PostMessage> kPostMessage[] = {
    {"to", [](PostMessage& r, Text t) { return assign(r.to, NodeId::parse(t)); }, kRequired},
    {"priority",
     [](PostMessage& r, Text t) { return assign(r.options.priority, parse_priority(t)); }},
    {"ttl", [](PostMessage& r, Text t) { return assign(r.options.ttl, parse_ttl(t)); }},
    {"relays", [](PostMessage& r, Text t) { return number(r.options.relays, t, 0, kRelaysMax); }},
    {"isolation",
     [](PostMessage& r, Text t) { return number(r.options.isolation, t, 0, UINT64_MAX); }},
    {"sign", [](PostMessage& r, Text t) { return truth(r.options.sign, t); }},
    {"channel", [](PostMessage& r, Text t) { return channel(r.options.channel, t); }},
    {"progress", [](PostMessage& r, Text t) { return truth(r.progress, t); }},
};

constexpr Parameter<PostReply> kPostReply[] = {
    {"to", [](PostReply& r, Text t) { return assign(r.to, parse_reply_to(t)); }, kRequired},
    {"ttl", [](PostReply& r, Text t) { return assign(r.ttl, parse_ttl(t)); }},
    {"progress", [](PostReply& r, Text t) { return truth(r.progress, t); }},
};

constexpr Parameter<GetMessages> kGetMessages[] = {
    {"format", [](GetMessages& r, Text t) { return format(r.raw, t); }},
    {"count", [](GetMessages& r, Text t) { return number(r.count, t, 1, UINT64_MAX); }},
    {"channel", [](GetMessages& r, Text t) { return channel(r.channel, t); }},
    {"acknowledge", [](GetMessages& r, Text t) { return truth(r.acknowledge, t); }},
};

constexpr Parameter<AcknowledgeMessage> kAcknowledge[] = {
    {"token", [](AcknowledgeMessage& r, Text t) { return assign(r.token, HandToken::parse(t)); },
     kRequired},
    {"answer", [](AcknowledgeMessage& r, Text t) { return answer(r.answer, t); }},
    {"delay", [](AcknowledgeMessage& r, Text t) { return delay(r.delay, t); }},
};

constexpr Parameter<OpenPipe> kOpenPipe[] = {
    {"to", [](OpenPipe& r, Text t) { return node(r.to, t); }, kRequired},
    {"service", [](OpenPipe& r, Text t) { return service_name(r.service, t); }, kRequired},
    {"priority", [](OpenPipe& r, Text t) { return pipe_priority(r.options.priority, t); }},
    {"relays", [](OpenPipe& r, Text t) { return number(r.options.relays, t, 0, kRelaysMax); }},
    {"isolation",
     [](OpenPipe& r, Text t) { return number(r.options.isolation, t, 0, UINT64_MAX); }},
};

constexpr Parameter<Expose> kExpose[] = {
    {"service", [](Expose& r, Text t) { return assign(r.service, config::parse_service(t)); },
     kRequired},
};

constexpr Parameter<Forward> kForward[] = {
    {"listen", [](Forward& r, Text t) { return assign(r.listen, config::parse_socks(t)); },
     kRequired},
    {"to", [](Forward& r, Text t) { return node(r.to, t); }, kRequired},
    {"service", [](Forward& r, Text t) { return service_name(r.service, t); }, kRequired},
};

Status grace(std::chrono::milliseconds& out, Text text) {
  const auto value = config::parse_duration(text);
  if (!value || *value < std::chrono::milliseconds(0) || *value > std::chrono::hours(1)) {
    return fail(Errc::malformed, "must be a time from 0ms to 1h, for example 10m");
  }
  out = *value;
  return {};
}

constexpr Parameter<Drain> kDrain[] = {
    {"grace", [](Drain& r, Text t) { return grace(r.grace, t); }},
};

template <class R>
std::string names_of(std::span<const Parameter<R>> parameters) {
  std::string out;
  for (const auto& known : parameters)
    out += fmt::format("{}{}", out.empty() ? "" : ", ", known.name);
  return out;
}

/// Gives every `name=value` of the query to its parameter; each at most once.
template <class R, std::size_t N>
Parsed read(const Parameter<R> (&parameters)[N], Text query) {
  R request;
  std::bitset<N> given;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const Text pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = pair.find('=');
    const Text name = pair.substr(0, equals);
    const auto* known = std::ranges::find(parameters, name, &Parameter<R>::name);
    if (known == std::end(parameters)) {
      return malformed(fmt::format("unknown parameter '{}'; this route has: {}", name.substr(0, 32),
                                   names_of<R>(parameters)));
    }
    const auto at = static_cast<std::size_t>(known - parameters);
    if (given[at]) return malformed(fmt::format("{}: given twice", name));
    given.set(at);
    const auto value = percent_decode(equals == Text::npos ? "" : pair.substr(equals + 1));
    if (!value) return malformed(fmt::format("{}: bad percent-encoding", name));
    if (const Status set = known->set(request, *value); !set) {
      return malformed(fmt::format("{}: {}", name, set.error().detail));
    }
  }
  for (std::size_t i = 0; i < N; ++i) {
    if (parameters[i].required && !given[i]) {
      return malformed(fmt::format("parameter '{}' is missing", parameters[i].name));
    }
  }
  return request;
}

// ---- Routes -------------------------------------------------------------------------------------

Parsed bare(Request request, Text query) {
  if (!query.empty()) return malformed("this route takes no parameters");
  return request;
}

template <const auto& kParameters>
Parsed with(Text, Text query) {
  return read(kParameters, query);
}

Parsed get_messages(Text, Text query) {
  Parsed request = read(kGetMessages, query);
  if (!request) return request;
  const auto& get = std::get<GetMessages>(*request);
  if (get.raw && get.acknowledge) {
    return malformed("acknowledge: needs format=json, which has the tokens");
  }
  return request;
}

Parsed acknowledge(Text, Text query) {
  Parsed request = read(kAcknowledge, query);
  if (!request) return request;
  const auto& one = std::get<AcknowledgeMessage>(*request);
  if (one.delay && one.answer != AcknowledgeRecord::Answer::again) {
    return malformed("delay: goes with answer=again only");
  }
  return request;
}

Parsed stream(Text, Text query) { return bare(OpenStream{}, query); }

Parsed reload(Text, Text query) { return bare(Reload{}, query); }

Parsed cancel_message(Text segment, Text query) {
  const auto id = MessageId::parse(segment);
  if (!id) return malformed("the id of a message is 32 hexadecimal digits");
  return bare(CancelMessage{*id}, query);
}

struct Route {
  std::string_view method;
  std::string_view path;  // its last segment may be a {name}: any text
  Parsed (*parse)(Text segment, Text query);
};

/// What stands for the {name} of the pattern, "" if it has none; nothing if the path is another.
std::optional<Text> match(Text pattern, Text path) {
  const std::size_t brace = pattern.find('{');
  if (brace == Text::npos) return path == pattern ? std::optional(Text()) : std::nullopt;
  if (!path.starts_with(pattern.substr(0, brace))) return std::nullopt;
  const Text segment = path.substr(brace);
  if (segment.empty() || segment.contains('/')) return std::nullopt;
  return segment;
}

// All routes but those of the pages. The test app.openapi reads this table: one row a line.
constexpr Route kRoutes[] = {
    {"POST", "/v1/messages", with<kPostMessage>},
    {"GET", "/v1/messages", get_messages},
    {"DELETE", "/v1/messages/{id}", cancel_message},
    {"POST", "/v1/replies", with<kPostReply>},
    {"POST", "/v1/acknowledgements", acknowledge},
    {"GET", "/v1/stream", stream},
    {"POST", "/v1/pipes", with<kOpenPipe>},
    {"POST", "/v1/services", with<kExpose>},
    {"POST", "/v1/forwards", with<kForward>},
    {"POST", "/v1/reload", reload},
    {"POST", "/v1/drain", with<kDrain>},
};

}  // namespace

Result<std::chrono::milliseconds> parse_ttl(std::string_view text) {
  auto ttl = config::parse_duration(text);
  if (!ttl || *ttl < std::chrono::milliseconds(1) || *ttl > std::chrono::hours(24)) {
    return fail(Errc::malformed, "must be a time from 1ms to 24h, for example 30s");
  }
  return *ttl;
}

Parsed parse_request(std::string_view method, std::string_view target) {
  const std::size_t mark = std::min(target.find('?'), target.size());
  const Text path = target.substr(0, mark);
  const Text query = target.substr(std::min(mark + 1, target.size()));
  std::string allow;
  for (const Route& route : kRoutes) {
    const std::optional<Text> segment = match(route.path, path);
    if (!segment) continue;
    if (route.method == method) return route.parse(*segment, query);
    allow += fmt::format("{}{}", allow.empty() ? "" : ", ", route.method);
  }
  if (const auto page = std::ranges::find(pages(), path, &Page::path); page != pages().end()) {
    if (method == "GET") return bare(GetPage{&*page}, query);
    allow += allow.empty() ? "GET" : ", GET";
  }
  if (allow.empty()) {
    return refuse(404, Errc::not_found, "no such route; docs/reference/api.md lists them");
  }
  auto other = refuse(405, Errc::unsupported, "this route has only: " + allow);
  other.error().allow = std::move(allow);
  return other;
}

}  // namespace qudag::api
