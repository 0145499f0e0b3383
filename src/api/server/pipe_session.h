// A pipe as the two bodies of one HTTP request: what the client sends is written to the pipe, what
// comes by the pipe is the answer. The end of a body is the end of that way; a body that breaks off
// is a pipe that was broken off.
#pragma once

#include "api/server/hub.h"
#include "gateway/pipe_port.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace qudag::api {

using HeaderParser = beast::http::request_parser<beast::http::empty_body>;

/// Of an open pipe, until it has closed. The connection ends with it. `header` is taken apart; `in`
/// is what came behind it.
asio::awaitable<void> serve_pipe(Stream stream, beast::flat_buffer in, HeaderParser& header,
                                 std::shared_ptr<gateway::PipePort> port);

}  // namespace qudag::api
