// The end of a run in JSON: nodes, ways with traffic, and how exact the emulator itself was.
#include "run.h"

#include <boost/json.hpp>

namespace qudag::emulator {
namespace {

namespace json = boost::json;

double us(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }

json::object histogram(const Histogram& h) {
  return {
      {"p50_us", us(h.percentile(50))}, {"p99_us", us(h.percentile(99))}, {"max_us", us(h.max())}};
}

json::array series_of(const std::vector<Interval>& series) {
  json::array out;
  for (const Interval& each : series) {
    const std::uint64_t sent = each.packets - each.dropped;
    const auto mean = sent == 0 ? 0 : static_cast<std::uint64_t>(each.waited_sum.count()) / sent;
    out.push_back({{"bytes", each.bytes},
                   {"dropped", each.dropped},
                   {"queue_mean_us", us(mean)},
                   {"queue_max_us", us(static_cast<std::uint64_t>(each.waited_max.count()))}});
  }
  return out;
}

json::object way_of(const WayCounters& c) {
  return {
      {"packets", c.packets},
      {"bytes", c.bytes},
      {"delivered", c.delivered},
      {"delivered_bytes", c.delivered_bytes},
      {"dropped",
       {{"queue", c.dropped_queue}, {"loss", c.dropped_loss}, {"partition", c.dropped_partition}}},
      {"duplicated", c.duplicated},
      {"reordered", c.reordered},
      {"queue_delay", histogram(c.waited_ns)}};
}

}  // namespace

std::string Run::report() const {
  json::array nodes, ways;
  for (std::size_t a = 0; a < fabric_.size(); ++a) {
    const NodeCounters& c = fabric_.counters(a);
    nodes.push_back({{"name", fabric_.name(a)},
                     {"address", format_ipv4(fabric_.address(a))},
                     {"sent", c.sent},
                     {"received", c.received},
                     {"no_route", c.no_route},
                     {"not_ipv4", c.not_ipv4},
                     {"not_let_in", c.not_let_in},
                     {"dropped_by_device", spaces_[a].dropped_by_device()}});
    for (std::size_t b = 0; b < fabric_.size(); ++b) {
      const WayCounters& way = fabric_.way(a, b).counters();
      if (way.packets == 0) continue;
      json::object one{{"from", fabric_.name(a)}, {"to", fabric_.name(b)}};
      for (auto& [key, value] : way_of(way)) one.emplace(key, value);
      if (fabric_.interval() > Nanos(0)) one["series"] = series_of(fabric_.series(a, b));
      ways.push_back(std::move(one));
    }
  }
  const json::object out{
      {"seconds", std::chrono::duration<double>(lasted_).count()},
      {"seed", scenario_.seed},
      {"interval_ms", std::chrono::duration<double, std::milli>(fabric_.interval()).count()},
      {"lateness", histogram(late_ns_)},
      {"not_taken", not_taken_},
      {"nodes", std::move(nodes)},
      {"ways", std::move(ways)}};
  return json::serialize(out);
}

}  // namespace qudag::emulator
