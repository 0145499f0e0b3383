#include "api/server/render.h"

#include "api/records/encoding.h"
#include "api/records/records.h"

#include <boost/json.hpp>

#include <algorithm>

namespace qudag::api {
namespace {

namespace json = boost::json;

std::int64_t us(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

json::string text(std::string_view view) { return json::string(view.data(), view.size()); }

template <class T>
json::value text_or_null(const std::optional<T>& value) {
  if (!value) return nullptr;
  return text(value->to_string());
}

json::object error_object(const Error& error) {
  return {{"code", text(name_of(error.code))},
          {"number", static_cast<unsigned>(error.code)},
          {"detail", text(error.detail)}};
}

json::object times(const Times& t) {
  return {{"count", t.count},
          {"p50_us", t.p50.count()},
          {"p90_us", t.p90.count()},
          {"p99_us", t.p99.count()},
          {"max_us", t.max.count()}};
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

std::string message_json(const Message& message) {
  json::object head{{"id", text(message.id.to_string())},
                    {"priority", text(name_of(message.priority))}};
  if (message.channel != 0) head["channel"] = message.channel;
  if (message.sender) head["sender"] = text(message.sender->to_string());
  if (message.reply_to) head["reply_to"] = text(to_text(*message.reply_to));
  if (message.in_reply_to) head["in_reply_to"] = text(message.in_reply_to->to_string());
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
  return out + "\"}\n";
}

std::string status_json(const NodeStatus& s) {
  json::object delivery;
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    delivery[name_of(static_cast<Priority>(c))] = times(s.delivery[c]);
  }
  return json::serialize(json::object{
             {"id", text(s.id.to_string())},
             {"listen", text(s.listen.to_string())},
             {"version", text(s.version)},
             {"shards", s.shards},
             {"uptime_us", us(s.uptime)},
             {"links", s.links},
             {"circuits", s.circuits},
             {"nodes_known", s.nodes_known},
             {"relays_known", s.relays_known},
             {"joined", s.joined},
             {"not_joined", s.joined ? json::value(nullptr) : json::value(text(s.not_joined))},
             {"clock_off_s",
              s.clock_off ? json::value(s.clock_off->count()) : json::value(nullptr)},
             {"memory_used", s.memory_used},
             {"memory_limit", s.memory_limit},
             {"rss", s.rss},
             {"circuit_build", times(s.circuit_build)},
             {"delivery", std::move(delivery)},
             {"stopping", s.stopping}}) +
         "\n";
}

std::string peers_json(const std::vector<PeerStatus>& peers) {
  json::array out;
  for (const PeerStatus& p : peers) {
    out.push_back(json::object{{"id", text_or_null(p.id)},
                               {"address", text(p.address.to_string())},
                               {"state", text(name_of(p.state))},
                               {"dialed", p.dialed},
                               {"tls_group", text(p.tls_group)},
                               {"tls_signature", text(p.tls_signature)},
                               {"shard", p.shard},
                               {"age_us", us(p.age)},
                               {"rtt_us", us(p.rtt)},
                               {"bytes_in", p.bytes_in},
                               {"bytes_out", p.bytes_out},
                               {"circuits", p.circuits}});
  }
  return json::serialize(json::object{{"peers", std::move(out)}}) + "\n";
}

std::string circuits_json(const std::vector<CircuitStatus>& circuits) {
  json::array out;
  for (const CircuitStatus& c : circuits) {
    out.push_back(json::object{{"id", c.id},
                               {"shard", c.shard},
                               {"role", text(name_of(c.role))},
                               {"priority", text(name_of(c.priority))},
                               {"ready", c.ready},
                               {"previous", text_or_null(c.previous)},
                               {"next", text_or_null(c.next)},
                               {"previous_address", text_or_null(c.previous_address)},
                               {"next_address", text_or_null(c.next_address)},
                               {"age_us", us(c.age)},
                               {"cells_forward", c.cells_forward},
                               {"cells_backward", c.cells_backward}});
  }
  return json::serialize(json::object{{"circuits", std::move(out)}}) + "\n";
}

std::string queues_json(const std::vector<QueueStatus>& queues) {
  const auto or_null = [](std::uint64_t bound) {
    return bound == 0 ? json::value(nullptr) : json::value(bound);
  };
  json::array out;
  for (const QueueStatus& q : queues) {
    json::object drops;
    for (const QueueStatus::Drops& d : q.drops) drops[d.reason] = d.count;
    out.push_back(json::object{{"kind", text(name_of(q.kind))},
                               {"name", text(q.name)},
                               {"level", text(q.level)},
                               {"shard", q.shard ? json::value(*q.shard) : json::value(nullptr)},
                               {"when_full", text(q.when_full)},
                               {"items", q.items},
                               {"items_max", or_null(q.items_max)},
                               {"bytes", q.bytes},
                               {"bytes_max", or_null(q.bytes_max)},
                               {"age_max_us", us(q.age_max)},
                               {"oldest_us", us(q.oldest)},
                               {"waited_p50_us", us(q.waited_p50)},
                               {"waited_p99_us", us(q.waited_p99)},
                               {"waited_max_us", us(q.waited_max)},
                               {"entered", q.entered},
                               {"left", q.left},
                               {"drops", std::move(drops)}});
  }
  return json::serialize(json::object{{"queues", std::move(out)}}) + "\n";
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
