// A small blocking client of the local API over HTTP, for the program's commands.
//
// Threads: one at a time. Each call opens its own connection. Errors of the API arrive with the
// code and detail that the node gave.
#pragma once

#include "base/bytes.h"

#include <qudag/message.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace qudag::api {

class Client {
 public:
  /// `owner`: the user of the node, if that is neither this one nor root.
  explicit Client(std::filesystem::path socket, std::optional<unsigned> owner = {})
      : socket_(std::move(socket)), owner_(owner) {}

  /// The body of `GET target`. Not found, unreachable or permission_denied for the socket itself;
  /// timed_out after `patience`; else what the node answered.
  Result<std::string> get(std::string_view target,
                          std::chrono::milliseconds patience = std::chrono::seconds(10)) const;

  /// The same of POST, without a body.
  Result<std::string> post(std::string_view target,
                           std::chrono::milliseconds patience = std::chrono::seconds(10)) const;

  /// One of GET /metrics, as metric_in() reads it.
  Result<double> metric(std::string_view name, std::string_view label = "",
                        std::chrono::milliseconds patience = std::chrono::seconds(10)) const;

  /// Bytes that the destination has taken, and of how many.
  using OnProgress = std::function<void(std::size_t bytes_done, std::size_t bytes_all)>;
  /// POST of something that lasts as long as this call, with a line when it is there: until the
  /// node ends it. Errors as above, or what the node answered.
  Status hold(std::string_view target, const std::function<void(std::string_view)>& on_line) const;

  /// POST /v1/pipes: bytes of `in` to the pipe, and of the pipe to `out`, until both ways have
  /// ended. What breaks off is an error: io_error. `in` may still be read when this returns.
  Status pipe(std::string_view target, int in, int out) const;

  /// POST /v1/messages: blocks until the outcome is known. `progress` runs in this call.
  Result<Delivery> send(const NodeId& to, Bytes payload, const SendOptions& options,
                        const OnProgress& progress = {}) const;

 private:
  std::filesystem::path socket_;
  std::optional<unsigned> owner_;
};

/// A metric on a page of GET /metrics, summed over the rows whose labels contain `label`; 0 if
/// there is none.
double metric_in(std::string_view page, std::string_view name, std::string_view label = "");

/// The error in an answer of the form {"error":{...}}; `otherwise` when it has none.
Error error_of(std::string_view json_text, Errc otherwise);

}  // namespace qudag::api
