// A page asks the node for a snapshot, waits for the shards without blocking the API thread, and
// writes it down.
#include "api/server/pages.h"

#include "api/records/bounds.h"
#include "api/server/hub.h"
#include "api/server/json.h"
#include "base/assert.h"
#include "overload/rules.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <future>

namespace qudag::api {
namespace {

// ---- Writing ------------------------------------------------------------------------------------

json::object times(const Times& t) {
  return {{"count", t.count},
          {"p50_us", t.p50.count()},
          {"p90_us", t.p90.count()},
          {"p99_us", t.p99.count()},
          {"max_us", t.max.count()}};
}

json::value inbox(const std::optional<InboxStatus>& of) {
  if (!of) return nullptr;
  return json::object{
      {"accept", of->accept}, {"messages", of->messages},   {"messages_max", of->messages_max},
      {"bytes", of->bytes},   {"bytes_max", of->bytes_max}, {"failing", of->failing}};
}

json::value quota(const std::optional<QuotaStatus>& of) {
  if (!of) return nullptr;
  return json::object{{"bandwidth", of->bandwidth},  {"burst", of->burst},
                      {"month", of->month},          {"used", of->used},
                      {"stage", name_of(of->stage)}, {"turns_s", of->turns.count()}};
}

std::string status_json(const NodeStatus& s) {
  json::object delivery;
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    delivery[name_of(static_cast<Priority>(c))] = times(s.delivery[c]);
  }
  return json::serialize(json::object{
             {"id", text(s.id.to_string())},
             {"listen", text(s.listen.to_string())},
             {"version", text(s.version)},
             {"shards", s.shards},
             {"uptime_us", us(s.uptime)},
             {"links", s.links},
             {"circuits", s.circuits},
             {"nodes_known", s.nodes_known},
             {"relays_known", s.relays_known},
             {"joined", s.joined},
             {"not_joined", s.joined ? json::value(nullptr) : json::value(text(s.not_joined))},
             {"clock_off_s",
              s.clock_off ? json::value(s.clock_off->count()) : json::value(nullptr)},
             {"reachable", s.reachable ? json::value(*s.reachable) : json::value(nullptr)},
             {"memory_used", s.memory_used},
             {"memory_limit", s.memory_limit},
             {"rss", s.rss},
             {"circuit_build", times(s.circuit_build)},
             {"delivery", std::move(delivery)},
             {"inbox", inbox(s.inbox)},
             {"quota", quota(s.quota)},
             {"stopping", s.stopping}}) +
         "\n";
}

std::string peers_json(const std::vector<PeerStatus>& peers) {
  json::array out;
  for (const PeerStatus& p : peers) {
    out.push_back(json::object{{"id", text_or_null(p.id)},
                               {"address", text(p.address.to_string())},
                               {"state", text(name_of(p.state))},
                               {"dialed", p.dialed},
                               {"tls_group", text(p.tls_group)},
                               {"tls_signature", text(p.tls_signature)},
                               {"shard", p.shard},
                               {"age_us", us(p.age)},
                               {"rtt_us", us(p.rtt)},
                               {"bytes_in", p.bytes_in},
                               {"bytes_out", p.bytes_out},
                               {"circuits", p.circuits}});
  }
  return json::serialize(json::object{{"peers", std::move(out)}}) + "\n";
}

std::string circuits_json(const std::vector<CircuitStatus>& circuits) {
  json::array out;
  for (const CircuitStatus& c : circuits) {
    out.push_back(json::object{{"id", c.id},
                               {"shard", c.shard},
                               {"role", text(name_of(c.role))},
                               {"priority", text(name_of(c.priority))},
                               {"ready", c.ready},
                               {"previous", text_or_null(c.previous)},
                               {"next", text_or_null(c.next)},
                               {"previous_address", text_or_null(c.previous_address)},
                               {"next_address", text_or_null(c.next_address)},
                               {"age_us", us(c.age)},
                               {"cells_forward", c.cells_forward},
                               {"cells_backward", c.cells_backward}});
  }
  return json::serialize(json::object{{"circuits", std::move(out)}}) + "\n";
}

std::string queues_json(const std::vector<QueueStatus>& queues) {
  const auto or_null = [](std::uint64_t bound) {
    return bound == 0 ? json::value(nullptr) : json::value(bound);
  };
  json::array out;
  for (const QueueStatus& q : queues) {
    json::object drops;
    for (const QueueStatus::Drops& d : q.drops) drops[d.reason] = d.count;
    out.push_back(json::object{{"kind", text(name_of(q.kind))},
                               {"name", text(q.name)},
                               {"level", text(q.level)},
                               {"shard", q.shard ? json::value(*q.shard) : json::value(nullptr)},
                               {"when_full", text(q.when_full)},
                               {"items", q.items},
                               {"items_max", or_null(q.items_max)},
                               {"bytes", q.bytes},
                               {"bytes_max", or_null(q.bytes_max)},
                               {"bytes_bound", or_null(q.bytes_bound)},
                               {"bytes_per_second", q.bytes_per_second},
                               {"age_max_us", us(q.age_max)},
                               {"oldest_us", us(q.oldest)},
                               {"waited_p50_us", us(q.waited_p50)},
                               {"waited_p99_us", us(q.waited_p99)},
                               {"waited_max_us", us(q.waited_max)},
                               {"entered", q.entered},
                               {"left", q.left},
                               {"drops", std::move(drops)}});
  }
  return json::serialize(json::object{{"queues", std::move(out)}}) + "\n";
}

std::string pipes_json(const std::vector<PipeStatus>& pipes) {
  json::array out;
  for (const PipeStatus& p : pipes) {
    out.push_back(json::object{{"state", text(name_of(p.state))},
                               {"opener", p.opener},
                               {"service", text(p.service)},
                               {"receiver", text(p.receiver.to_string())},
                               {"priority", text(name_of(p.priority))},
                               {"written", p.written},
                               {"taken_by_peer", p.taken_by_peer},
                               {"received", p.received},
                               {"taken", p.taken},
                               {"held", p.held},
                               {"resumed", p.resumed},
                               {"age_s", p.age.count()}});
  }
  return json::serialize(json::object{{"pipes", std::move(out)}}) + "\n";
}

std::string nodes_json(const std::vector<KnownNode>& nodes) {
  json::array out;
  for (const KnownNode& n : nodes) {
    json::array addresses;
    for (const SocketAddress& at : n.addresses) addresses.push_back(text(at.to_string()));
    out.push_back(json::object{{"id", text(n.id.to_string())},
                               {"addresses", std::move(addresses)},
                               {"relay", n.relay},
                               {"keeper", n.keeper},
                               {"usable", n.usable},
                               {"published_s", n.published.count()},
                               {"expires_s", n.expires.count()}});
  }
  return json::serialize(json::object{{"nodes", std::move(out)}}) + "\n";
}

std::string gateway_json(const gateway::Gateway* gateway) {
  json::array socks, services;
  if (gateway != nullptr) {
    for (const SocketAddress& at : gateway->socks()) socks.push_back(text(at.to_string()));
    for (const auto& [options, open] : gateway->services()) {
      services.push_back(json::object{{"name", text(options.name)},
                                      {"to", text(options.to.to_string())},
                                      {"pipes", open},
                                      {"pipes_max", options.pipes}});
    }
  }
  return json::serialize(
             json::object{{"socks", std::move(socks)}, {"services", std::move(services)}}) +
         "\n";
}

std::string receivers_json(const std::vector<ReceiverStatus>& receivers) {
  json::array out;
  for (const ReceiverStatus& r : receivers) {
    json::array keepers;
    for (const ReceiverStatus::Keeper& k : r.keepers) {
      keepers.push_back(
          json::object{{"id", text(k.id.to_string())},
                       {"registered", k.registered},
                       {"has_card", k.has_card},
                       {"standbys", k.standbys},
                       {"until", k.until == 0 ? json::value(nullptr) : json::value(k.until)}});
    }
    const bool invites = !r.invitation.places.empty();
    out.push_back(json::object{
        {"name", text(r.name)},
        {"id", text(r.id.to_string())},
        {"hidden", r.hidden},
        {"keepers", std::move(keepers)},
        {"conversations", r.conversations},
        {"invitation", invites ? json::value(text(r.invitation.to_string())) : nullptr}});
  }
  return json::serialize(json::object{{"receivers", std::move(out)}}) + "\n";
}

std::string contacts_json(const gateway::Gateway* gateway) {
  json::array out;
  if (gateway != nullptr) {
    for (const gateway::ContactBook::Row& row : gateway->contacts().rows()) {
      out.push_back(json::object{{"name", text(row.name)},
                                 {"id", text(row.id.to_string())},
                                 {"receiver", row.receiver},
                                 {"configured", row.configured}});
    }
  }
  return json::serialize(json::object{{"contacts", std::move(out)}}) + "\n";
}

// ---- Asking -------------------------------------------------------------------------------------

using Text = asio::awaitable<std::optional<std::string>>;

template <class T, class Write>
Text written(std::future<T> future, const bool& ended, Write write) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  std::chrono::microseconds step{50};
  std::chrono::microseconds waited{0};
  while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    if (waited > kSnapshotPatience || ended) co_return std::nullopt;
    timer.expires_after(step);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    waited += step;
    step = std::min(step * 2, std::chrono::microseconds(2'000));
  }
  std::optional<T> value;
  try {
    value = future.get();
  } catch (const std::future_error&) {
    // The node stopped before its shards answered.
  }
  if (!value) co_return std::nullopt;
  co_return write(*value);
}

Text status(Hub& hub, const bool& ended) { return written(hub.node.status(), ended, status_json); }

Text peers(Hub& hub, const bool& ended) { return written(hub.node.peers(), ended, peers_json); }

Text circuits(Hub& hub, const bool& ended) {
  return written(hub.node.circuits(), ended, circuits_json);
}

Text queues(Hub& hub, const bool& ended) {
  return written(hub.node.queues(), ended, [&hub](std::vector<QueueStatus>& rows) {
    hub.report(rows);
    return queues_json(rows);
  });
}

Text pipes(Hub& hub, const bool& ended) { return written(hub.node.pipes(), ended, pipes_json); }

Text nodes(Hub& hub, const bool&) { co_return nodes_json(hub.node.nodes()); }

Text gateway_page(Hub& hub, const bool&) { co_return gateway_json(hub.gateway); }

Text receivers(Hub& hub, const bool& ended) {
  return written(hub.node.receivers(), ended, receivers_json);
}

Text contacts(Hub& hub, const bool&) { co_return contacts_json(hub.gateway); }

/// What the web page needs to know, and where it is: with the token, which is for who may use this
/// API.
Text web(Hub& hub, const bool&) {
  json::object pressures;
  for (std::size_t i = 0; i < overload::kPressureCount; ++i) {
    const auto pressure = static_cast<overload::Pressure>(i);
    json::array steps;
    for (const overload::OverloadRule& rule : overload::kOverloadRules) {
      const double on = overload::threshold(rule.action, pressure);
      if (on == overload::kNotDriven) continue;
      steps.push_back(json::array{text(overload::name_of(rule.action)), on});
    }
    pressures[overload::name_of(pressure)] = std::move(steps);
  }
  const bool there = !hub.web_url.empty();
  co_return json::serialize(
      json::object{{"url", there ? json::value(text(hub.web_url)) : json::value(nullptr)},
                   {"control", there && hub.options.web_control},
                   {"pressures", std::move(pressures)}}) +
      "\n";
}

Text log_page(Hub& hub, const bool&) {
  co_return "{\"lines\":[" + (hub.control.log_lines ? hub.control.log_lines() : std::string()) +
      "]}\n";
}

Text samples(Hub& hub, const bool& ended, std::string (*text)(std::vector<MetricSample>)) {
  return written(hub.node.metrics(), ended, [&hub, text](std::vector<MetricSample>& all) {
    telemetry::Page own;
    own.add(metrics::kApi, hub.stats);
    if (hub.gateway != nullptr) hub.gateway->add_metrics(own);
    for (MetricSample& sample : own.take()) all.push_back(std::move(sample));
    return text(std::move(all));
  });
}

Text prometheus(Hub& hub, const bool& ended) { return samples(hub, ended, telemetry::prometheus); }

Text openmetrics(Hub& hub, const bool& ended) {
  return samples(hub, ended, telemetry::openmetrics);
}

// The test app.openapi reads this table.
constexpr Page kPages[] = {
    {"/v1/status", "application/json", status},
    {"/v1/peers", "application/json", peers},
    {"/v1/circuits", "application/json", circuits},
    {"/v1/queues", "application/json", queues},
    {"/v1/pipes", "application/json", pipes},
    {"/v1/nodes", "application/json", nodes},
    {"/v1/gateway", "application/json", gateway_page},
    {"/v1/receivers", "application/json", receivers},
    {"/v1/contacts", "application/json", contacts},
    {"/v1/log", "application/json", log_page},
    {"/v1/web", "application/json", web},
    {"/metrics", "text/plain; version=0.0.4", prometheus},
};

}  // namespace

std::span<const Page> pages() { return kPages; }

const Page& find_page(std::string_view path) {
  const auto* const page = std::ranges::find(kPages, path, &Page::path);
  QUDAG_ASSERT(page != std::end(kPages));
  return *page;
}

Page openmetrics_page() {
  Page page = find_page("/metrics");
  page.type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  page.text = openmetrics;
  return page;
}

}  // namespace qudag::api
