// What an HTTP request asks for: method and target (path and query) become a Request.
//
// Pure: the parser sees only the request line; the body is streamed elsewhere. Every parameter is
// checked here, so that what reaches the node is inside its documented range.
#pragma once

#include "api/records/records.h"
#include "config/gateway_options.h"

#include <qudag/message.h>
#include <qudag/pipe.h>
#include <qudag/receiver.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace qudag::api {

struct Page;

/// POST /v1/messages?to=ID|NAME&priority=&ttl=&relays=&isolation=&sign=&channel=&progress=
struct PostMessage {
  std::string to;  ///< an id, or has the form of a name
  SendOptions options;
  bool progress = false;  ///< answer with JSON lines: progress records, then the outcome
};

/// POST /v1/replies?to=HANDLE&ttl=&progress=
struct PostReply {
  ReplyTo to;
  std::chrono::milliseconds ttl{60'000};
  bool progress = false;
};

/// DELETE /v1/messages/{id}
struct CancelMessage {
  MessageId id;
};

/// GET /v1/messages?format=json|raw&count=N&channel=N&acknowledge=
struct GetMessages {
  bool raw = false;
  std::uint64_t count = 0;  ///< 0: until the client goes
  ChannelNumber channel = 0;
  bool acknowledge = false;  ///< the client says what became of each; never with `raw`
};

/// POST /v1/acknowledgements?token=&answer=&delay=
struct AcknowledgeMessage {
  HandToken token;
  AcknowledgeRecord::Answer answer = AcknowledgeRecord::Answer::taken;
  std::optional<std::chrono::milliseconds> delay;  ///< with `again` alone
};

/// GET of a page: pages.h
struct GetPage {
  const Page* page = nullptr;  ///< never null
};

/// POST /v1/pipes?to=ID|NAME&service=&priority=&relays=&isolation=: the bodies are the pipe. GET
/// /v1/pipes/stream of the same: the messages of a WebSocket are.
struct OpenPipe {
  bool websocket = false;
  std::string to;  ///< an id, or has the form of a name
  std::string service;
  PipeOptions options;
};

/// POST /v1/services?service=NAME=ADDRESS: as long as the client stays.
struct Expose {
  config::ServiceOptions service;
};

/// POST /v1/forwards?listen=ADDRESS&to=ID|NAME&service=: as long as the client stays.
struct Forward {
  config::SocksOptions listen;
  std::string to;
  std::string service;
};

/// POST /v1/reload: reads the configuration again.
struct Reload {};

/// POST /v1/drain?grace=: stops the node, with so much time for what is under way.
struct Drain {
  std::chrono::milliseconds grace = std::chrono::minutes(10);
};

/// POST /v1/receivers?name=&hidden=&keepers=: there is one of that name from then on.
struct OpenReceiver {
  ReceiverOptions options;
};

/// POST /v1/contacts?name=&text=
struct AddContact {
  std::string name;
  std::string text;  ///< an invitation or an id
};

/// DELETE /v1/contacts/{name}
struct RemoveContact {
  std::string name;
};

/// GET /v1/stream?format=records|json with a WebSocket upgrade
struct OpenStream {
  bool lines = false;  ///< text mode: JSON lines (lines.h)
};

/// First those that are over when they are answered; the others last until the client goes.
using Request = std::variant<PostMessage, PostReply, CancelMessage, AcknowledgeMessage, GetPage,
                             OpenReceiver, AddContact, RemoveContact, GetMessages, OpenStream,
                             OpenPipe, Expose, Forward, Reload, Drain>;
inline constexpr std::string_view kAnsweredRequests[] = {
    "send", "reply", "cancel", "acknowledge", "page", "receiver", "contact", "forget"};

/// An error and the HTTP status that it is answered with.
struct RequestError {
  unsigned status = 400;
  Error error;
  std::string allow;  ///< of 405: the methods that the route has
};

std::expected<Request, RequestError> parse_request(std::string_view method,
                                                   std::string_view target);

/// A parameter as a line of text mode has it.
struct NamedValue {
  std::string_view name;
  std::string value;
};
using NamedValues = std::span<const NamedValue>;

/// The same parameters, checked in the same way.
Result<PostMessage> read_send(NamedValues values);
Result<PostReply> read_reply(NamedValues values);
Result<SubscribeRecord> read_subscribe(NamedValues values);
Result<AcknowledgeRecord> read_acknowledge(NamedValues values);
/// Of a record without parameters.
Status read_nothing(NamedValues values);

/// "500ms", "30s", "10m", "3h" or a plain number of seconds. 1 ms to 24 h.
Result<std::chrono::milliseconds> parse_ttl(std::string_view text);

}  // namespace qudag::api
