// Text mode of the WebSocket /v1/stream: records as JSON objects, one a line. A WebSocket message
// of a client has one line or more; one of the node has one object, so that scripts need not cut
// it.
//
// Fields have the names and forms of the parameters of HTTP, and are read by the same tables
// (request.h). Pure. Bounds: a line is part of a WebSocket message (kStreamInBytesMax); its object
// is flat.
#pragma once

#include "api/records/records.h"

#include <string>
#include <string_view>
#include <vector>

namespace qudag::api {

/// A record, and the payload that it looks into.
struct LineRecord {
  ClientRecord record;
  std::vector<std::byte> payload;
};

/// malformed, whose detail names the field; or unsupported for an unknown "op".
Result<LineRecord> parse_line(std::string_view line);

/// Without a line break at the end.
std::string outcome_line(std::uint64_t request, const Delivery& delivery);
std::string progress_line(std::uint64_t request, std::uint64_t bytes, std::uint64_t of);
std::string message_line(const Message& message, std::optional<std::uint64_t> token);
std::string subscribed_line();
std::string not_cancelled_line(std::uint64_t request, const Error& error);
std::string error_line(const Error& error);

}  // namespace qudag::api
