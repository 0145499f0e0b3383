// The pages: what a GET without parameters tells of the node. Each is a row of the table in
// pages.cc.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace qudag::api {

struct Hub;

struct Page {
  std::string_view path;
  std::string_view type;  ///< of its content
  /// Its text; nothing when the shards do not answer, or `ended` becomes true meanwhile. `ended`
  /// outlives the call.
  boost::asio::awaitable<std::optional<std::string>> (*text)(Hub& hub, const bool& ended);
};

std::span<const Page> pages();
/// One of them, which is there.
const Page& find_page(std::string_view path);
/// The metrics once more, as OpenMetrics has them.
Page openmetrics_page();

}  // namespace qudag::api
