#include "api/server/render.h"

#include "api/records/encoding.h"
#include "api/records/records.h"
#include "api/server/json.h"

namespace qudag::api {
namespace {

json::object error_object(const Error& error) {
  return {{"code", text(name_of(error.code))},
          {"number", static_cast<unsigned>(error.code)},
          {"detail", text(error.detail)}};
}

}  // namespace

std::string error_json(const Error& error) {
  return json::serialize(json::object{{"error", error_object(error)}}) + "\n";
}

std::string accepted_json(const MessageId& id) {
  return json::serialize(json::object{{"id", text(id.to_string())}}) + "\n";
}

std::string outcome_json(const Delivery& delivery) {
  const bool named = delivery.id != MessageId{};
  json::object out{
      {"id", named ? json::value(text(delivery.id.to_string())) : json::value(nullptr)},
      {"outcome", text(name_of(delivery.outcome))},
      {"elapsed_us", us(delivery.elapsed)}};
  if (delivery.outcome != Outcome::delivered) out["error"] = error_object(delivery.reason);
  return json::serialize(out) + "\n";
}

std::string progress_json(std::uint64_t bytes, std::uint64_t of) {
  return json::serialize(json::object{{"progress", {{"bytes", bytes}, {"of", of}}}}) + "\n";
}

std::string message_json(const Message& message, std::string_view token) {
  json::object head{{"id", text(message.id.to_string())},
                    {"priority", text(name_of(message.priority))}};
  if (message.channel != 0) head["channel"] = message.channel;
  if (message.sender) head["sender"] = text(message.sender->to_string());
  if (message.reply_to) head["reply_to"] = text(to_text(*message.reply_to));
  if (message.in_reply_to) head["in_reply_to"] = text(message.in_reply_to->to_string());
  if (!token.empty()) head["token"] = text(token);
  if (message.kept) head["kept"] = true;
  head["bytes"] = message.payload.size();

  std::string out = json::serialize(head);
  out.back() = ',';  // the payload is written piece by piece in front of the closing brace
  out.reserve(out.size() + message.payload.size() / 3 * 4 + 32);
  out += "\"payload\":\"";
  Base64Writer writer(out);
  for (std::size_t i = 0; i < message.payload.piece_count(); ++i) {
    writer.add(message.payload.piece(i));
  }
  writer.finish();
  out += "\"}\n";
  return out;
}

std::string service_json(std::string_view service, std::string_view to, const NodeId& self) {
  const std::string name = std::string(service) + "." + self.to_string() + ".qudag";
  return json::serialize(
             json::object{{"service", text(service)}, {"to", text(to)}, {"name", text(name)}}) +
         "\n";
}

std::string drain_json(std::chrono::milliseconds grace) {
  return json::serialize(json::object{{"draining", true}, {"grace_ms", grace.count()}}) + "\n";
}

std::string forward_json(std::string_view listen) {
  return json::serialize(json::object{{"listen", text(listen)}}) + "\n";
}

Error error_of(const PipeEnd& end) {
  if (end.how == PipeEnd::How::lost) return end.reason;
  switch (end.code) {
    case PipeCode::no_such_service:
      return {Errc::refused_by_peer, "no_such_service: the node has no service of this name"};
    case PipeCode::refused:
      return {Errc::refused_by_peer, "refused: nobody listens where the service should be"};
    case PipeCode::too_slow:
      return {Errc::timed_out, "too_slow: the service did not answer in time"};
    case PipeCode::rate:
      return {Errc::refused_rate, "rate: too many pipes at once"};
    default:
      return {Errc::refused_by_peer, std::string(name_of(end.code)) + ": the pipe did not open"};
  }
}

unsigned http_status_of(Errc code) {
  switch (code) {
    case Errc::ok:
      return 200;
    case Errc::too_large:
      return 413;
    case Errc::unknown_destination:
    case Errc::not_found:
      return 404;
    case Errc::cancelled:
      return 409;
    case Errc::refused_rate:
      return 429;
    case Errc::expired:
    case Errc::timed_out:
      return 504;
    case Errc::shutting_down:
    case Errc::no_route:
      return 503;
    default:
      break;
  }
  switch (static_cast<unsigned>(code) / 100) {
    case 1:
      return 400;
    case 2:
      return 503;
    case 3:
    case 4:
      return 502;
    default:
      return 500;
  }
}

unsigned http_status_of(const Delivery& delivery) {
  if (delivery.outcome == Outcome::delivered) return 200;
  if (delivery.outcome == Outcome::expired) return 504;
  return http_status_of(delivery.reason.code);
}

}  // namespace qudag::api
