#include "api/server/view/watcher_views.h"

#include "api/server/hub.h"

namespace qudag::api {
namespace {

using Text = asio::awaitable<std::optional<std::string>>;

constexpr std::string_view kWell = "ok\n";

/// The shards answer; nothing else is asked of them.
Text health(Hub& hub, const bool& ended) {
  const std::optional<std::string> text = co_await find_page("/v1/status").text(hub, ended);
  co_return text ? std::optional<std::string>(kWell) : std::nullopt;
}

/// No reason here: it may have the name of a bootstrap entry, and everybody on the machine can ask.
/// `qudag status` tells it.
Text readiness(Hub& hub, const bool&) {
  if (hub.draining) co_return "stopping\n";
  co_return hub.node.join_state().joined ? std::string(kWell) : "not joined\n";
}

const View kViews[] = {
    {openmetrics_page(), false, {}, "application/openmetrics-text"},
    {find_page("/metrics"), false, {}, {}},
    {{"/healthz", "text/plain", health}, false, kWell, {}},
    {{"/readyz", "text/plain", readiness}, false, kWell, {}},
    {find_page("/v1/status"), true, {}, {}},
    {find_page("/v1/queues"), true, {}, {}},
};

}  // namespace

std::span<const View> views() { return kViews; }

}  // namespace qudag::api
