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

Status stream_format(bool& lines, Text text) {
  if (text != "json" && text != "records") return fail(Errc::malformed, "must be records or json");
  lines = text == "json";
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

template <class Delay>
Status delay(Delay& out, Text text) {
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
    return fail(Errc::malformed, "must be a 52-character id, or the name of a contact");
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
    {"to", [](PostMessage& r, Text t) { return node(r.to, t); }, kRequired},
    {"priority",
     [](PostMessage& r, Text t) { return assign(r.options.priority, parse_priority(t)); }},
    {"ttl", [](PostMessage& r, Text t) { return assign(r.options.ttl, parse_ttl(t)); }},
    {"relays", [](PostMessage& r, Text t) { return number(r.options.relays, t, 0, kRelaysMax); }},
    {"isolation",
     [](PostMessage& r, Text t) { return number(r.options.isolation, t, 0, UINT64_MAX); }},
    {"sign", [](PostMessage& r, Text t) { return truth(r.options.sign, t); }},
    {"channel", [](PostMessage& r, Text t) { return channel(r.options.channel, t); }},
    {"if_away", [](PostMessage& r, Text t) { return assign(r.options.if_away, parse_if_away(t)); }},
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

constexpr Parameter<OpenReceiver> kOpenReceiver[] = {
    {"name", [](OpenReceiver& r, Text t) { return service_name(r.options.name, t); }, kRequired},
    {"hidden", [](OpenReceiver& r, Text t) { return truth(r.options.hidden, t); }},
    {"keepers",
     [](OpenReceiver& r, Text t) { return number(r.options.keepers, t, 1, kKeepersMax); }},
};

/// What it is, the book of contacts says.
Status contact_text(std::string& out, Text text) {
  out = text;
  return {};
}

constexpr Parameter<AddContact> kAddContact[] = {
    {"name", [](AddContact& r, Text t) { return service_name(r.name, t); }, kRequired},
    {"text", [](AddContact& r, Text t) { return contact_text(r.text, t); }, kRequired},
};

constexpr Parameter<OpenStream> kOpenStream[] = {
    {"format", [](OpenStream& r, Text t) { return stream_format(r.lines, t); }},
};

// Of lines alone.
constexpr Parameter<PostReply> kReplyLine[] = {
    {"to", [](PostReply& r, Text t) { return assign(r.to, parse_reply_to(t)); }, kRequired},
    {"ttl", [](PostReply& r, Text t) { return assign(r.ttl, parse_ttl(t)); }},
};

constexpr Parameter<SubscribeRecord> kSubscribe[] = {
    {"count", [](SubscribeRecord& r, Text t) { return number(r.count, t, 1, UINT64_MAX); }},
    {"channel", [](SubscribeRecord& r, Text t) { return channel(r.channel, t); }},
    {"acknowledge", [](SubscribeRecord& r, Text t) { return truth(r.explicit_acks, t); }},
};

constexpr Parameter<AcknowledgeRecord> kAcknowledgeLine[] = {
    {"token", [](AcknowledgeRecord& r, Text t) { return number(r.token, t, 0, UINT64_MAX); },
     kRequired},
    {"answer", [](AcknowledgeRecord& r, Text t) { return answer(r.answer, t); }},
    {"delay", [](AcknowledgeRecord& r, Text t) { return delay(r.delay, t); }},
};

template <class R>
std::string names_of(std::span<const Parameter<R>> parameters) {
  std::string out;
  for (const auto& known : parameters)
    out += fmt::format("{}{}", out.empty() ? "" : ", ", known.name);
  return out;
}

/// The parameters of one request, each given at most once.
template <class R, std::size_t N>
class Reading {
 public:
  explicit Reading(const Parameter<R> (&parameters)[N]) : parameters_(parameters) {}

  Status give(Text name, Text value) {
    const auto* known = std::ranges::find(parameters_, name, &Parameter<R>::name);
    if (known == std::end(parameters_)) {
      return fail(Errc::malformed, fmt::format("unknown parameter '{}'; there are: {}",
                                               name.substr(0, 32), names_of<R>(parameters_)));
    }
    const auto at = static_cast<std::size_t>(known - parameters_);
    if (given_[at]) return fail(Errc::malformed, fmt::format("{}: given twice", name));
    given_.set(at);
    const Status set = known->set(request_, value);
    if (!set) return fail(Errc::malformed, fmt::format("{}: {}", name, set.error().detail));
    return {};
  }

  Result<R> done() {
    for (std::size_t i = 0; i < N; ++i) {
      if (parameters_[i].required && !given_[i]) {
        return fail(Errc::malformed, fmt::format("parameter '{}' is missing", parameters_[i].name));
      }
    }
    return std::move(request_);
  }

 private:
  const Parameter<R> (&parameters_)[N];
  std::bitset<N> given_;
  R request_{};
};

/// Every `name=value` of a query.
template <class R, std::size_t N>
Parsed read(const Parameter<R> (&parameters)[N], Text query) {
  Reading<R, N> reading(parameters);
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const Text pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = pair.find('=');
    const Text name = pair.substr(0, equals);
    const auto value = percent_decode(equals == Text::npos ? "" : pair.substr(equals + 1));
    if (!value) return malformed(fmt::format("{}: bad percent-encoding", name.substr(0, 32)));
    if (const Status set = reading.give(name, *value); !set) return malformed(set.error().detail);
  }
  Result<R> request = reading.done();
  if (!request) return malformed(request.error().detail);
  return std::move(*request);
}

template <class R, std::size_t N>
Result<R> read(const Parameter<R> (&parameters)[N], NamedValues values) {
  Reading<R, N> reading(parameters);
  for (const NamedValue& one : values) {
    if (const Status set = reading.give(one.name, one.value); !set) {
      return std::unexpected(set.error());
    }
  }
  return reading.done();
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

Parsed pipe_stream(Text, Text query) {
  Parsed request = read(kOpenPipe, query);
  if (request) std::get<OpenPipe>(*request).websocket = true;
  return request;
}

Parsed reload(Text, Text query) { return bare(Reload{}, query); }

Parsed cancel_message(Text segment, Text query) {
  const auto id = MessageId::parse(segment);
  if (!id) return malformed("the id of a message is 32 hexadecimal digits");
  return bare(CancelMessage{*id}, query);
}

Parsed remove_contact(Text segment, Text query) {
  RemoveContact out;
  if (const Status fits = service_name(out.name, segment); !fits) {
    return malformed("the name of a contact " + fits.error().detail);
  }
  return bare(std::move(out), query);
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
    {"GET", "/v1/stream", with<kOpenStream>},
    {"POST", "/v1/pipes", with<kOpenPipe>},
    {"GET", "/v1/pipes/stream", pipe_stream},
    {"POST", "/v1/services", with<kExpose>},
    {"POST", "/v1/forwards", with<kForward>},
    {"POST", "/v1/reload", reload},
    {"POST", "/v1/drain", with<kDrain>},
    {"POST", "/v1/receivers", with<kOpenReceiver>},
    {"POST", "/v1/contacts", with<kAddContact>},
    {"DELETE", "/v1/contacts/{name}", remove_contact},
};

}  // namespace

Result<PostMessage> read_send(NamedValues values) { return read(kPostMessage, values); }
Result<PostReply> read_reply(NamedValues values) { return read(kReplyLine, values); }
Result<SubscribeRecord> read_subscribe(NamedValues values) { return read(kSubscribe, values); }

Result<AcknowledgeRecord> read_acknowledge(NamedValues values) {
  Result<AcknowledgeRecord> record = read(kAcknowledgeLine, values);
  if (record && record->answer != AcknowledgeRecord::Answer::again && record->delay.count() != 0) {
    return fail(Errc::malformed, "delay: goes with the answer again only");
  }
  return record;
}

Status read_nothing(NamedValues values) {
  if (values.empty()) return {};
  return fail(Errc::malformed, fmt::format("unknown parameter '{}'; there are none",
                                           values.front().name.substr(0, 32)));
}

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
