// A pipe as the messages of one WebSocket: bytes both ways, whatever their cuts. An empty message
// is the end of that way; the close frame says how the pipe ended.
#pragma once

#include "api/server/hub.h"
#include "api/server/upgrade.h"
#include "gateway/pipe_port.h"

namespace qudag::api {

/// Of an open pipe, until it has closed. The connection ends with it.
asio::awaitable<void> serve_pipe_socket(Stream stream, Upgrade upgrade,
                                        std::shared_ptr<gateway::PipePort> port);

}  // namespace qudag::api
