// What a watcher may ask: each view is a row of the table in watcher_views.cc.
#pragma once

#include "api/server/pages.h"

#include <span>
#include <string_view>

namespace qudag::api {

struct View {
  Page page;
  bool unix_only = false;        ///< too much for everybody on the machine
  std::string_view good = {};    ///< any other text is answered with 503; empty: none is
  std::string_view accept = {};  ///< only for who accepts this type
};

/// The first of a path that a request fits is the answer.
std::span<const View> views();

}  // namespace qudag::api
