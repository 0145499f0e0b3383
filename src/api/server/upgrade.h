// The WebSocket upgrade request as HTTP hands it to the session of its route, and what every such
// session is bounded by.
#pragma once

#include "api/records/bounds.h"
#include "api/server/hub.h"

#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket.hpp>

namespace qudag::api {

struct Upgrade {
  beast::http::request<beast::http::empty_body> request;
  bool lines = false;  ///< text mode: lines.h
};

/// Before the handshake, which has so long; after it a client may be quiet.
template <class WebSocket>
void set_bounds(WebSocket& socket) {
  beast::get_lowest_layer(socket).expires_never();
  beast::websocket::stream_base::timeout timeouts;
  timeouts.handshake_timeout = kClientPatience;
  timeouts.idle_timeout = beast::websocket::stream_base::none();
  timeouts.keep_alive_pings = false;
  socket.set_option(timeouts);
  socket.read_message_max(kStreamInBytesMax);
}

}  // namespace qudag::api
