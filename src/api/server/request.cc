// 1 cut the target at '?', 2 find the route, 3 check the method, 4 read each parameter by name.
#include "api/server/request.h"

#include "api/records/encoding.h"
#include "api/records/records.h"
#include "config/quantity.h"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <optional>

namespace qudag::api {
namespace {

std::unexpected<RequestError> refuse(unsigned status, Errc code, std::string detail) {
  return std::unexpected(RequestError{status, Error(code, std::move(detail))});
}

using Setter = std::function<Status(std::string_view)>;
using Setters = std::map<std::string_view, Setter>;

/// Gives every `name=value` of the query to its setter; each name at most once.
Status read_query(std::string_view query, Setters setters) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const auto value =
        percent_decode(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
    const auto found = setters.find(name);
    if (found == setters.end()) {
      return fail(Errc::malformed,
                  fmt::format("unknown or repeated parameter '{}'", name.substr(0, 32)));
    }
    if (!value) return fail(Errc::malformed, fmt::format("{}: bad percent-encoding", name));
    if (auto set = found->second(*value); !set) {
      return fail(Errc::malformed, fmt::format("{}: {}", name, set.error().detail));
    }
    setters.erase(found);
  }
  return {};
}

template <class T>
Status assign(T& out, Result<T> value) {
  if (!value) return std::unexpected(value.error());
  out = *value;
  return {};
}

template <class T>
Setter number(T& out, std::uint64_t low, std::uint64_t high) {
  return [&out, low, high](std::string_view text) -> Status {
    const auto value = config::parse_count(text);
    if (!value || *value < low || *value > high) {
      return fail(Errc::malformed, fmt::format("must be a number from {} to {}", low, high));
    }
    out = static_cast<T>(*value);
    return {};
  };
}

Setter truth(bool& out) {
  return [&out](std::string_view text) { return assign(out, config::parse_truth(text)); };
}

Setter ttl(std::chrono::milliseconds& out) {
  return [&out](std::string_view text) { return assign(out, parse_ttl(text)); };
}

std::expected<Request, RequestError> checked(Status read, bool has_to, Request request) {
  if (!read) return std::unexpected(RequestError{400, read.error()});
  if (!has_to) return refuse(400, Errc::malformed, "parameter 'to' is missing");
  return request;
}

std::expected<Request, RequestError> post_message(std::string_view query) {
  PostMessage post;
  bool has_to = false;
  Status read = read_query(
      query,
      {{"to",
        [&](std::string_view text) {
          has_to = true;
          return assign(post.to, NodeId::parse(text));
        }},
       {"priority",
        [&](std::string_view text) { return assign(post.options.priority, parse_priority(text)); }},
       {"ttl", ttl(post.options.ttl)},
       {"relays", number(post.options.relays, 0, kRelaysMax)},
       {"isolation", number(post.options.isolation, 0, UINT64_MAX)},
       {"sign", truth(post.options.sign)},
       {"channel", number(post.options.channel, 0, UINT16_MAX)},
       {"progress", truth(post.progress)}});
  return checked(std::move(read), has_to, post);
}

std::expected<Request, RequestError> post_reply(std::string_view query) {
  PostReply post;
  bool has_to = false;
  Status read = read_query(query, {{"to",
                                    [&](std::string_view text) {
                                      has_to = true;
                                      return assign(post.to, parse_reply_to(text));
                                    }},
                                   {"ttl", ttl(post.ttl)},
                                   {"progress", truth(post.progress)}});
  return checked(std::move(read), has_to, post);
}

std::expected<Request, RequestError> get_messages(std::string_view query) {
  GetMessages get;
  Status read = read_query(query, {{"format",
                                    [&](std::string_view text) -> Status {
                                      if (text != "json" && text != "raw") {
                                        return fail(Errc::malformed, "must be json or raw");
                                      }
                                      get.raw = text == "raw";
                                      return {};
                                    }},
                                   {"count", number(get.count, 1, UINT64_MAX)},
                                   {"channel", number(get.channel, 0, UINT16_MAX)}});
  return checked(std::move(read), true, get);
}

std::expected<Request, RequestError> plain(std::string_view query, Request request) {
  if (!query.empty()) return refuse(400, Errc::malformed, "this route takes no parameters");
  return request;
}

}  // namespace

Result<std::chrono::milliseconds> parse_ttl(std::string_view text) {
  auto ttl = config::parse_duration(text);
  if (!ttl || *ttl < std::chrono::milliseconds(1) || *ttl > std::chrono::hours(24)) {
    return fail(Errc::malformed, "must be a time from 1ms to 24h, for example 30s");
  }
  return *ttl;
}

std::expected<Request, RequestError> parse_request(std::string_view method,
                                                   std::string_view target) {
  const std::size_t mark = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, mark);
  const std::string_view query = target.substr(std::min(mark + 1, target.size()));
  const bool get = method == "GET";
  const bool post = method == "POST";

  if (path == "/v1/messages" && post) return post_message(query);
  if (path == "/v1/messages" && get) return get_messages(query);
  if (path == "/v1/replies" && post) return post_reply(query);
  if (path == "/v1/status" && get) return plain(query, GetPage{Page::status});
  if (path == "/v1/peers" && get) return plain(query, GetPage{Page::peers});
  if (path == "/v1/circuits" && get) return plain(query, GetPage{Page::circuits});
  if (path == "/v1/queues" && get) return plain(query, GetPage{Page::queues});
  if (path == "/metrics" && get) return plain(query, GetPage{Page::metrics});
  if (path == "/v1/stream" && get) return plain(query, OpenStream{});

  for (const std::string_view known : {"/v1/messages", "/v1/replies", "/v1/status", "/v1/peers",
                                       "/v1/circuits", "/v1/queues", "/metrics", "/v1/stream"}) {
    if (path == known) return refuse(405, Errc::unsupported, "this route has another method");
  }
  return refuse(404, Errc::not_found, "no such route; docs/reference/api.md lists them");
}

}  // namespace qudag::api
