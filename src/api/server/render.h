// Answers as text: the JSON objects of docs/reference/api.md, but for those of the pages
// (pages.cc).
#pragma once

#include <qudag/message.h>
#include <qudag/pipe.h>

#include <string>
#include <string_view>

namespace qudag::api {

/// {"error":{"code":"malformed","detail":"..."}}
std::string error_json(const Error& error);
/// {"id":"hex"}
std::string accepted_json(const MessageId& id);
/// {"id":"hex","outcome":"delivered","elapsed_us":1234} and, unless delivered, "error" as above.
/// The id is null for what was refused before it had one.
std::string outcome_json(const Delivery& delivery);
/// {"progress":{"bytes":1,"of":2}}
std::string progress_json(std::uint64_t bytes, std::uint64_t of);
/// {"id":"hex","priority":"normal",...,"bytes":5,"payload":"base64"}; with "token" if there is one.
std::string message_json(const Message& message, std::string_view token = {});

/// {"service":"web","to":"127.0.0.1:8080","name":"web.ID.qudag"}
std::string service_json(std::string_view service, std::string_view to, const NodeId& self);
/// {"listen":"127.0.0.1:2222"}
std::string drain_json(std::chrono::milliseconds grace);
std::string forward_json(std::string_view listen);
/// What a client is told of a pipe that did not open.
Error error_of(const PipeEnd& end);

/// The HTTP status that goes with an error code, and with a delivery.
unsigned http_status_of(Errc code);
unsigned http_status_of(const Delivery& delivery);

}  // namespace qudag::api
