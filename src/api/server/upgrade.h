// The WebSocket upgrade request as HTTP hands it to the session of its route.
#pragma once

#include "api/server/hub.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

namespace qudag::api {

struct Upgrade {
  beast::http::request<beast::http::empty_body> request;
  bool lines = false;  ///< text mode: lines.h
};

}  // namespace qudag::api
