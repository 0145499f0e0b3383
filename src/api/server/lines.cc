#include "api/server/lines.h"

#include "api/records/encoding.h"
#include "api/server/json.h"
#include "api/server/render.h"
#include "api/server/request.h"

#include <fmt/format.h>

namespace qudag::api {
namespace {

/// An object in an object is malformed; one level more, so that the error can say so.
constexpr std::size_t kDepthMax = 2;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

/// A line taken apart: what every record has, and the rest as parameters.
struct Fields {
  std::string op;
  std::optional<std::uint64_t> request;
  std::optional<std::vector<std::byte>> payload;
  std::vector<NamedValue> others;
};

Result<std::string> scalar(std::string_view name, const json::value& value) {
  if (const auto* text = value.if_string()) return std::string(view(*text));
  if (const auto* number = value.if_uint64()) return std::to_string(*number);
  if (const auto* number = value.if_int64()) return std::to_string(*number);
  if (const auto* truth = value.if_bool()) return std::string(*truth ? "true" : "false");
  return fail(Errc::malformed,
              fmt::format("{}: must be a text, a whole number, true or false", name.substr(0, 32)));
}

Status take_request(Fields& fields, const json::value& value) {
  const auto* number = value.if_int64();
  if (const auto* large = value.if_uint64()) {
    fields.request = *large;
  } else if (number != nullptr && *number >= 0) {
    fields.request = static_cast<std::uint64_t>(*number);
  } else {
    return fail(Errc::malformed, "request: must be a whole number from 0 on");
  }
  return {};
}

Status take_payload(Fields& fields, std::string_view name, const json::value& value) {
  const auto* text = value.if_string();
  if (fields.payload) return fail(Errc::malformed, "text, payload: one of them");
  if (text == nullptr) return fail(Errc::malformed, fmt::format("{}: must be a text", name));
  if (name == "payload") {
    fields.payload = from_base64(view(*text));
    if (!fields.payload) return fail(Errc::malformed, "payload: must be base64");
  } else {
    const Bytes bytes = as_bytes(view(*text));
    fields.payload.emplace(bytes.begin(), bytes.end());
  }
  return {};
}

Status take_field(Fields& fields, std::string_view name, const json::value& value) {
  if (name == "request") return take_request(fields, value);
  if (name == "text" || name == "payload") return take_payload(fields, name, value);
  Result<std::string> text = scalar(name, value);
  if (!text) return std::unexpected(text.error());
  if (name == "op") {
    fields.op = std::move(*text);
  } else {
    fields.others.push_back({name, std::move(*text)});
  }
  return {};
}

Result<LineRecord> with_payload(Fields& fields) {
  if (!fields.payload) {
    return fail(Errc::malformed, "text or payload: is missing");
  }
  LineRecord line;
  line.payload = std::move(*fields.payload);
  if (fields.op == "send") {
    const Result<PostMessage> send = read_send(fields.others);
    if (!send) return std::unexpected(send.error());
    const Result<NodeId> to = NodeId::parse(send->to);  // names are for POST /v1/messages
    if (!to) return fail(Errc::malformed, "to: must be the id of a node or receiver");
    line.record = SendRecord{fields.request.value_or(0), *to, send->options, send->progress,
                             Bytes(line.payload)};
  } else {
    const Result<PostReply> reply = read_reply(fields.others);
    if (!reply) return std::unexpected(reply.error());
    line.record =
        ReplyRecord{fields.request.value_or(0), reply->to, reply->ttl, Bytes(line.payload)};
  }
  return line;
}

template <class R>
Result<LineRecord> bare(const Fields& fields, Result<R> record) {
  if (fields.payload) return fail(Errc::malformed, "text, payload: not in this record");
  if (!record) return std::unexpected(record.error());
  return LineRecord{*record, {}};
}

Result<LineRecord> cancel(const Fields& fields) {
  const Status nothing = read_nothing(fields.others);
  if (!nothing) return std::unexpected(nothing.error());
  if (!fields.request) return fail(Errc::malformed, "request: is missing");
  return bare<CancelRecord>(fields, CancelRecord{*fields.request});
}

Result<LineRecord> record_of(Fields& fields) {
  if (fields.op == "send" || fields.op == "reply") return with_payload(fields);
  if (fields.op == "cancel") return cancel(fields);
  if (fields.request) return fail(Errc::malformed, "request: not in this record");
  if (fields.op == "subscribe") return bare(fields, read_subscribe(fields.others));
  if (fields.op == "acknowledge") return bare(fields, read_acknowledge(fields.others));
  if (fields.op == "unsubscribe") {
    const Status nothing = read_nothing(fields.others);
    if (!nothing) return std::unexpected(nothing.error());
    return bare<SubscribeRecord>(fields, SubscribeRecord{.on = false});
  }
  if (fields.op.empty()) return fail(Errc::malformed, "op: is missing");
  return fail(Errc::unsupported,
              fmt::format("op '{}': there are send, reply, subscribe, unsubscribe, cancel and "
                          "acknowledge",
                          fields.op.substr(0, 32)));
}

/// `object` with what says which record it is in front of its fields.
std::string tagged(std::string_view op, std::optional<std::uint64_t> request, std::string object) {
  if (object.ends_with('\n')) object.pop_back();
  const std::string number = request ? fmt::format(",\"request\":{}", *request) : std::string();
  object.replace(0, 1, fmt::format("{{\"op\":\"{}\"{},", op, number));
  return object;
}

}  // namespace

Result<LineRecord> parse_line(std::string_view line) {
  json::error_code error;
  json::parse_options options;
  options.max_depth = kDepthMax;
  const json::value value =
      json::parse(json::string_view(line.data(), line.size()), error, {}, options);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr) return fail(Errc::malformed, "a line is one JSON object");
  Fields fields;
  for (const auto& [key, field] : *object) {
    const Status taken = take_field(fields, {key.data(), key.size()}, field);
    if (!taken) return std::unexpected(taken.error());
  }
  return record_of(fields);
}

std::string outcome_line(std::uint64_t request, const Delivery& delivery) {
  return tagged("outcome", request, outcome_json(delivery));
}

std::string progress_line(std::uint64_t request, std::uint64_t bytes, std::uint64_t of) {
  return tagged("progress", request, progress_json(bytes, of));
}

std::string message_line(const Message& message, std::optional<std::uint64_t> token) {
  return tagged("message", {}, message_json(message, token ? std::to_string(*token) : ""));
}

std::string subscribed_line() { return "{\"op\":\"subscribed\"}"; }

std::string not_cancelled_line(std::uint64_t request, const Error& error) {
  return tagged("not_cancelled", request, error_json(error));
}

std::string error_line(const Error& error) { return tagged("error", {}, error_json(error)); }

}  // namespace qudag::api
