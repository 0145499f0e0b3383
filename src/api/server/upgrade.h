// The WebSocket upgrade request as HTTP hands it to the stream session.
#pragma once

#include "api/server/hub.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

namespace qudag::api {

struct Upgrade {
  beast::http::request<beast::http::empty_body> request;
};

}  // namespace qudag::api
