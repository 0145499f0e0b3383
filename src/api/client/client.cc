#include "api/client/client.h"

#include "api/socket/listen.h"
#include "config/api_options.h"
#include "telemetry/reader.h"

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace qudag::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

using Stream = beast::basic_stream<asio::local::stream_protocol>;
using LineHandler = std::function<void(std::string_view)>;

struct Answer {
  unsigned status = 0;
  std::string body;
};

Error gone(const beast::error_code& ec) {
  if (ec == beast::error::timeout) return {Errc::timed_out, "the node did not answer in time"};
  return {Errc::io_error, "the connection to the node ended: " + ec.message()};
}

/// Writes the request and reads the answer; `on_line` sees each complete line as it comes.
template <class Body>
asio::awaitable<void> exchange(Stream& stream, http::request<Body>& request,
                               std::chrono::milliseconds patience, LineHandler on_line,
                               Result<Answer>& out) {
  stream.expires_after(patience);
  {
    // A refusal may come before the whole body has been read: the answer tells, not the write.
    http::request_serializer<Body> serializer(request);
    co_await http::async_write(stream, serializer, kTuple);
  }
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  beast::flat_buffer buffer;
  std::size_t seen = 0;
  while (!parser.is_done()) {
    stream.expires_after(patience);
    const auto [ec, n] = co_await http::async_read_some(stream, buffer, parser, kTuple);
    if (ec) {
      out = std::unexpected(gone(ec));
      co_return;
    }
    const std::string& body = parser.get().body();
    for (std::size_t end; on_line && (end = body.find('\n', seen)) != std::string::npos;) {
      on_line(std::string_view(body).substr(seen, end - seen));
      seen = end + 1;
    }
  }
  out = Answer{parser.get().result_int(), std::move(parser.get().body())};
}

template <class Body>
Result<Answer> call(Result<int> fd, http::request<Body> request, std::chrono::milliseconds patience,
                    LineHandler on_line = {}) {
  if (!fd) return std::unexpected(fd.error());
  asio::io_context io(1);
  asio::local::stream_protocol::socket raw(io);
  raw.assign(asio::local::stream_protocol(), *fd);
  Stream stream(std::move(raw));
  request.set(http::field::host, "localhost");
  Result<Answer> answer = fail(Errc::internal);
  asio::co_spawn(io, exchange(stream, request, patience, std::move(on_line), answer),
                 [](std::exception_ptr) {});
  io.run();
  return answer;
}

const json::object* error_object(const json::value& value) {
  const json::object* object = value.if_object();
  const json::value* error = object == nullptr ? nullptr : object->if_contains("error");
  return error == nullptr ? nullptr : error->if_object();
}

std::int64_t number(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr) return 0;
  boost::system::error_code ec;
  return value->to_number<std::int64_t>(ec);
}

/// One line of the answer to a send: progress, or the outcome.
std::optional<Delivery> read_line(std::string_view line, const Client::OnProgress& progress) {
  boost::system::error_code ec;
  const json::value value = json::parse(json::string_view(line.data(), line.size()), ec);
  const json::object* object = ec ? nullptr : value.if_object();
  if (object == nullptr) return std::nullopt;
  if (const json::value* shown = object->if_contains("progress")) {
    if (progress && shown->is_object()) {
      progress(static_cast<std::size_t>(number(shown->get_object(), "bytes")),
               static_cast<std::size_t>(number(shown->get_object(), "of")));
    }
    return std::nullopt;
  }
  const json::value* outcome = object->if_contains("outcome");
  if (outcome == nullptr || !outcome->is_string()) return std::nullopt;
  Delivery delivery;
  delivery.elapsed = std::chrono::microseconds(number(*object, "elapsed_us"));
  if (const json::value* id = object->if_contains("id"); id != nullptr && id->is_string()) {
    const json::string& text = id->get_string();
    delivery.id = MessageId::parse({text.data(), text.size()}).value_or(MessageId{});
  }
  const json::string& name = outcome->get_string();
  for (const Outcome one :
       {Outcome::delivered, Outcome::expired, Outcome::refused, Outcome::failed, Outcome::stored}) {
    if (name_of(one) == std::string_view(name.data(), name.size())) delivery.outcome = one;
  }
  const bool done = delivery.outcome == Outcome::delivered || delivery.outcome == Outcome::stored;
  delivery.reason = done ? Error(Errc::ok) : error_of(line, Errc::internal);
  return delivery;
}

}  // namespace

Error error_of(std::string_view json_text, Errc otherwise) {
  boost::system::error_code ec;
  const json::value value = json::parse(json::string_view(json_text.data(), json_text.size()), ec);
  const json::object* error = ec ? nullptr : error_object(value);
  if (error == nullptr) return otherwise;
  Error out(static_cast<Errc>(number(*error, "number")));
  if (const json::value* detail = error->if_contains("detail"); detail && detail->is_string()) {
    out.detail.assign(detail->get_string().data(), detail->get_string().size());
  }
  return out;
}

namespace {

/// The body of an answer that is no error.
Result<std::string> body_of(Result<int> fd, http::verb verb, std::string_view target,
                            std::chrono::milliseconds patience) {
  http::request<http::empty_body> request(verb, beast::string_view(target.data(), target.size()),
                                          11);
  request.prepare_payload();
  Result<Answer> answer = call(std::move(fd), std::move(request), patience);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status >= 300) return std::unexpected(error_of(answer->body, Errc::io_error));
  return std::move(answer->body);
}

}  // namespace

Result<std::string> Client::get(std::string_view target, std::chrono::milliseconds patience) const {
  return body_of(connect_to(socket_, owner_), http::verb::get, target, patience);
}

Result<std::string> Client::post(std::string_view target,
                                 std::chrono::milliseconds patience) const {
  return body_of(connect_to(socket_, owner_), http::verb::post, target, patience);
}

Status Client::hold(std::string_view target,
                    const std::function<void(std::string_view)>& on_line) const {
  http::request<http::empty_body> request(http::verb::post,
                                          beast::string_view(target.data(), target.size()), 11);
  request.prepare_payload();
  bool there = false;
  const Result<Answer> answer = call(connect_to(socket_, owner_), std::move(request),
                                     std::chrono::hours(24 * 365), [&](std::string_view line) {
                                       there = true;
                                       on_line(line);
                                     });
  if (there) return fail(Errc::shutting_down, "the node has ended it");
  if (!answer) return std::unexpected(answer.error());
  return std::unexpected(error_of(answer->body, Errc::io_error));
}

Result<double> Client::metric(std::string_view name, std::string_view label,
                              std::chrono::milliseconds patience) const {
  const Result<std::string> page = get("/metrics", patience);
  if (!page) return std::unexpected(page.error());
  return metric_in(*page, name, label);
}

double metric_in(std::string_view page, std::string_view name, std::string_view label) {
  double sum = 0;
  while (const std::optional<telemetry::Row> row = telemetry::next_row(page)) {
    if (row->name == name && row->labels.contains(label)) sum += row->value;
  }
  return sum;
}

Status Client::change(std::string_view method, std::string_view target) const {
  const auto verb = method == "DELETE" ? http::verb::delete_ : http::verb::post;
  http::request<http::empty_body> request(verb, beast::string_view(target.data(), target.size()),
                                          11);
  request.prepare_payload();
  const Result<Answer> answer =
      call(connect_to(socket_, owner_), std::move(request), std::chrono::seconds(10));
  if (!answer) return std::unexpected(answer.error());
  if (answer->status == 204) return {};
  return std::unexpected(error_of(answer->body, Errc::io_error));
}

Result<Delivery> Client::send(const NodeId& to, Bytes payload, const SendOptions& options,
                              const OnProgress& progress) const {
  return send(to.to_string(), payload, options, progress);
}

Result<Delivery> Client::send(std::string_view to, Bytes payload, const SendOptions& options,
                              const OnProgress& progress) const {
  const std::string target = fmt::format(
      "/v1/messages?to={}&priority={}&ttl={}ms&relays={}&isolation={}&sign={}&channel={}"
      "&if_away={}&progress=true",
      to, name_of(options.priority), options.ttl.count(), options.relays, options.isolation,
      options.sign, options.channel, name_of(options.if_away));
  http::request<http::span_body<const char>> request(http::verb::post, target, 11);
  request.body() =
      beast::span<const char>(reinterpret_cast<const char*>(payload.data()), payload.size());
  request.prepare_payload();
  std::optional<Delivery> delivery;
  const Result<Answer> answer =
      call(connect_to(socket_, owner_), std::move(request), options.ttl + std::chrono::seconds(30),
           [&](std::string_view line) {
             if (auto outcome = read_line(line, progress)) delivery = std::move(outcome);
           });
  if (delivery) return *delivery;
  if (!answer) return std::unexpected(answer.error());
  return std::unexpected(error_of(answer->body, Errc::io_error));
}

}  // namespace qudag::api
