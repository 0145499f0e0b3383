// 1 rates are differences of counters over the time between two samples, 2 percentiles come from
// differences of histograms, 3 links and circuits are found again by their id, 4 each table is a
// function.
#include "top/figures.h"

#include "common/human.h"
#include "overload/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace qudag::app {
namespace {

namespace json = boost::json;
using telemetry::Buckets;
using telemetry::label_of;

// ---- Reading ------------------------------------------------------------------------------------

/// Printable ASCII: what a node says of others may come from them.
std::string plain(std::string_view text) {
  std::string out(text.substr(0, 128));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

const json::value& field(const json::value& row, std::string_view key) {
  static const json::value kNull;
  const json::object* object = row.if_object();
  const json::value* found = object ? object->if_contains({key.data(), key.size()}) : nullptr;
  return found ? *found : kNull;
}

double number(const json::value& row, std::string_view key) {
  const json::value& value = field(row, key);
  return value.is_number() ? value.to_number<double>() : 0;
}

std::string text(const json::value& row, std::string_view key) {
  const json::value& value = field(row, key);
  if (value.is_string()) return plain({value.get_string().data(), value.get_string().size()});
  return value.is_null() ? "-" : plain(json::serialize(value));
}

bool yes(const json::value& row, std::string_view key) {
  const json::value& value = field(row, key);
  return value.is_bool() && value.get_bool();
}

const json::array& rows_of(const json::value& page, std::string_view key) {
  static const json::array kNone;
  const json::value& rows = field(page, key);
  return rows.is_array() ? rows.get_array() : kNone;
}

// ---- Cells --------------------------------------------------------------------------------------

Cell word(std::string text, Weight weight = Weight::plain) { return {std::move(text), 0, weight}; }

Weight faint_if_none(double value) { return value > 0 ? Weight::plain : Weight::faint; }

std::string count_text(double value) {
  if (value < 10 && value != std::floor(value)) return fmt::format("{:.1f}", value);
  if (value < 10'000) return fmt::format("{:.0f}", value);
  if (value < 10'000'000) return fmt::format("{:.0f}k", value / 1e3);
  return fmt::format("{:.0f}M", value / 1e6);
}

std::uint64_t whole(double value) {
  return value > 0 && value < 1e18 ? static_cast<std::uint64_t>(std::llround(value)) : 0;
}

Cell count(double value) { return {count_text(value), value, faint_if_none(value)}; }

Cell bytes(double value) { return {bytes_text(whole(value)), value, faint_if_none(value)}; }

Cell seconds(double value) {
  std::string text =
      value < 120 ? time_text(whole(value * 1e6)) : span_text(std::chrono::seconds(whole(value)));
  return {std::move(text), value, faint_if_none(value)};
}

Cell seconds(const std::optional<double>& value) {
  return value ? seconds(*value) : Cell{"-", -1, Weight::faint};
}

/// "12%" of a bound.
Cell share(double part, double all) {
  if (all <= 0) return {"-", -1, Weight::faint};
  const double of = part / all;
  const Weight weight = of >= 0.9 ? Weight::alarm : of >= 0.7 ? Weight::warn : faint_if_none(of);
  return {fmt::format("{:.0f}%", 100 * of), of, weight};
}

// ---- Between two samples ------------------------------------------------------------------------

class Between {
 public:
  Between(const Sample& now, const Sample& before, const Sample* earlier)
      : now_(now),
        before_(before),
        earlier_(earlier),
        seconds_(std::max(1e-3, std::chrono::duration<double>(now.at - before.at).count())) {}

  const Sample& now() const { return now_; }
  const Sample& before() const { return before_; }
  double per_second(double after, double before) const {
    return std::max(0.0, after - before) / seconds_;
  }
  double rate(std::string_view name, std::string_view label = {}) const {
    return per_second(now_.metrics.sum(name, label), before_.metrics.sum(name, label));
  }
  double value(std::string_view name, std::string_view label = {}) const {
    return now_.metrics.sum(name, label);
  }
  Buckets times(const std::string& name, std::string_view label = {}) const {
    const Buckets all = now_.metrics.histogram(name, label);
    return earlier_ ? all.since(earlier_->metrics.histogram(name, label)) : all;
  }

 private:
  const Sample& now_;
  const Sample& before_;
  const Sample* earlier_;
  double seconds_;
};

/// Finds the row of the sample before that is about the same thing.
class Before {
 public:
  Before(const json::array& rows, std::vector<std::string_view> keys) : keys_(std::move(keys)) {
    for (const json::value& row : rows) rows_.emplace(key_of(row), &row);
  }
  const json::value* find(const json::value& row) const {
    const auto at = rows_.find(key_of(row));
    return at == rows_.end() ? nullptr : at->second;
  }

 private:
  std::string key_of(const json::value& row) const {
    std::string out;
    for (const std::string_view key : keys_) out += json::serialize(field(row, key)) + ' ';
    return out;
  }

  std::vector<std::string_view> keys_;
  std::unordered_map<std::string, const json::value*> rows_;
};

// ---- Tables -------------------------------------------------------------------------------------

Table classes(const Between& b) {
  Table out{"traffic by priority, per second",
            {{"priority", false, 0},
             {"in", true, 0},
             {"out", true, 0},
             {"sent", true, 1},
             {"delivered", true, 1},
             {"received", true, 2},
             {"failed", true, 2},
             {"cells wait p99", true, 3}},
            {},
            kAsItIs,
            {}};
  for (const std::string_view name : {"control", "high", "normal", "low"}) {
    const std::string of = fmt::format("priority=\"{}\"", name);
    const auto bytes_of = [&](std::string_view direction) {
      return bytes(
          b.rate("qudag_link_bytes_total", fmt::format("direction=\"{}\",{}", direction, of)));
    };
    std::vector<Cell> row{word(std::string(name)), bytes_of("in"), bytes_of("out")};
    const auto messages = [&](std::string_view result) {
      return b.rate("qudag_messages_total", fmt::format("result=\"{}\",{}", result, of));
    };
    if (name == "control") {
      row.resize(8, Cell{"", -1, Weight::faint});
    } else {
      row.push_back(count(messages("accepted")));
      row.push_back(count(messages("delivered")));
      row.push_back(count(messages("received")));
      Cell failed = count(messages("failed") + messages("expired") + messages("refused"));
      if (failed.order > 0) failed.weight = Weight::warn;
      row.push_back(failed);
      row.push_back(seconds(b.times("qudag_cell_wait_seconds", of).quantile(0.99)));
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

Table latency(const Between& b) {
  Table out{
      "time",
      {{"of", false, 0}, {"count", true, 1}, {"p50", true, 0}, {"p90", true, 1}, {"p99", true, 0}},
      {},
      kAsItIs,
      {}};
  struct Of {
    const char* name;
    const char* metric;
    const char* label;
  };
  constexpr Of kTimes[] = {
      {"delivery, high", "qudag_delivery_seconds", "priority=\"high\""},
      {"delivery, normal", "qudag_delivery_seconds", "priority=\"normal\""},
      {"delivery, low", "qudag_delivery_seconds", "priority=\"low\""},
      {"circuit build", "qudag_circuit_build_seconds", ""},
      {"link round trip", "qudag_link_round_trip_seconds", ""},
      {"cell wait, high", "qudag_cell_wait_seconds", "priority=\"high\""},
      {"cell wait, normal", "qudag_cell_wait_seconds", "priority=\"normal\""},
      {"cell wait, low", "qudag_cell_wait_seconds", "priority=\"low\""},
      {"in the socket", "qudag_socket_wait_seconds", ""},
      {"loop turn", "qudag_loop_turn_seconds", ""},
      {"loop lag", "qudag_loop_lag_seconds", ""},
  };
  for (const Of& of : kTimes) {
    const Buckets times = b.times(of.metric, of.label);
    out.rows.push_back({word(of.name), count(times.count()), seconds(times.quantile(0.5)),
                        seconds(times.quantile(0.9)), seconds(times.quantile(0.99))});
  }
  // What there is to see first.
  std::ranges::stable_partition(out.rows, [](const auto& row) { return row[1].order > 0; });
  return out;
}

/// "shrink from 0.70", the next action that this pressure would start; or those that it has.
std::string next_action(overload::Pressure pressure, double value) {
  std::string begun;
  for (const overload::OverloadRule& rule : overload::kOverloadRules) {
    const double on = overload::threshold(rule.action, pressure);
    if (on == overload::kNotDriven) continue;
    const std::string name(overload::name_of(rule.action));
    if (value < on)
      return (begun.empty() ? "" : begun + "; ") + fmt::format("{} from {:.2f}", name, on);
    begun = name;
  }
  return begun;
}

Table pressures(const Between& b) {
  Table out{
      "pressures",
      {{"pressure", false, 0}, {"now", true, 0}, {"", false, 1}, {"what it starts", false, 0}},
      {},
      kAsItIs,
      {}};
  constexpr std::size_t kBar = 20;
  for (std::size_t i = 0; i < overload::kPressureCount; ++i) {
    const auto pressure = static_cast<overload::Pressure>(i);
    const double now = b.value("qudag_overload_pressure",
                               fmt::format("pressure=\"{}\"", overload::name_of(pressure)));
    double first = 1;
    for (const overload::OverloadRule& rule : overload::kOverloadRules) {
      first = std::min(first, overload::threshold(rule.action, pressure));
    }
    const Weight weight = now >= first         ? Weight::alarm
                          : now >= 0.8 * first ? Weight::warn
                                               : faint_if_none(now);
    std::string bar(kBar, '.');
    const auto filled = static_cast<std::size_t>(std::lround(std::clamp(now, 0.0, 1.0) * kBar));
    std::fill_n(bar.begin(), filled, '#');
    bar[std::min(kBar - 1, static_cast<std::size_t>(first * kBar))] = '|';
    out.rows.push_back({word(std::string(overload::name_of(pressure))),
                        {fmt::format("{:.2f}", now), now, weight},
                        word(std::move(bar), weight),
                        word(next_action(pressure, now), weight)});
  }
  for (const MetricPage::Row& row : b.now().metrics.rows("qudag_overload_action")) {
    if (row.value <= 0) continue;
    out.title +=
        fmt::format("; {} {:.0f}%", plain(label_of(row.labels, "action")), 100 * row.value);
  }
  return out;
}

Table refusals(const Between& b) {
  Table out{
      "refused and dropped",
      {{"what", false, 0}, {"reason", false, 0}, {"per second", true, 0}, {"in all", true, 1}},
      {},
      2,
      "nothing since the start"};
  struct Of {
    const char* name;
    const char* metric;
    const char* label;  // that names the reason
  };
  constexpr Of kRefusals[] = {
      {"links", "qudag_links_refused_total", "reason"},
      {"circuits", "qudag_circuits_refused_total", "reason"},
      {"messages here", "qudag_messages_turned_away_total", "reason"},
      {"sends", "qudag_sends_refused_total", "priority"},
      {"messages shed", "qudag_messages_shed_total", "priority"},
      {"memory", "qudag_memory_refused_total", "part"},
      {"memory", "qudag_memory_refused_total", "claim"},
      {"datagrams", "qudag_datagrams_dropped_total", "reason"},
      {"dials for others", "qudag_dials_for_others_total", "result"},
      {"bytes on links", "qudag_link_bytes_dropped_total", "reason"},
      {"descriptors", "qudag_descriptors_rejected_total", "reason"},
      {"API connections", "qudag_api_connections_refused_total", ""},
      {"watchers", "qudag_monitor_refused_total", ""},
  };
  for (const Of& of : kRefusals) {
    std::map<std::string, std::pair<double, double>> by_reason;  // now, before
    const auto add = [&](const Sample& sample, bool is_now) {
      for (const MetricPage::Row& row : sample.metrics.rows(of.metric)) {
        const std::string_view reason = label_of(row.labels, of.label);
        if ((reason.empty() && *of.label != 0) || reason == "begun") continue;
        auto& sums = by_reason[plain(reason)];
        (is_now ? sums.first : sums.second) += row.value;
      }
    };
    add(b.now(), true);
    add(b.before(), false);
    for (const auto& [reason, sums] : by_reason) {
      if (sums.first <= 0) continue;
      Cell rate = count(b.per_second(sums.first, sums.second));
      if (rate.order > 0) rate.weight = Weight::warn;
      out.rows.push_back({word(of.name), word(reason), rate, count(sums.first)});
    }
  }
  return out;
}

Cell waited_of(const json::value& row) {
  Cell cell = seconds(number(row, "oldest_us") / 1e6);
  const double bound = number(row, "age_max_us") / 1e6;
  if (bound > 0 && cell.order >= bound / 2) cell.weight = Weight::alarm;
  return cell;
}

Table queues(const Between& b) {
  Table out{"queues, pools and tables",
            {{"name", false, 0},
             {"shard", true, 4},
             {"items", true, 1},
             {"of", true, 3},
             {"bytes", true, 1},
             {"of", true, 3},
             {"full", true, 0},
             {"oldest", true, 1},
             {"bound", true, 1},
             {"p99", true, 1},
             {"per s", true, 2},
             {"dropped", true, 1}},
            {},
            6,
            {}};
  const Before before(rows_of(b.before().queues, "queues"), {"name", "level", "shard"});
  for (const json::value& row : rows_of(b.now().queues, "queues")) {
    const double items_max = number(row, "items_max"), bytes_max = number(row, "bytes_max");
    const double items = number(row, "items"), held = number(row, "bytes");
    const Cell by_items = share(items, items_max), by_bytes = share(held, bytes_max);
    double dropped = 0;
    const json::value& drops = field(row, "drops");
    if (drops.is_object()) {
      for (const auto& [reason, many] : drops.get_object()) dropped += many.to_number<double>();
    }
    const json::value* old = before.find(row);
    const Cell none{"-", -1, Weight::faint};
    const std::string level = text(row, "level");
    const std::string name =
        text(row, "name") + (level.empty() || level == "-" ? "" : ", " + level);
    out.rows.push_back(
        {word(name), field(row, "shard").is_null() ? none : count(number(row, "shard")),
         count(items), items_max > 0 ? count(items_max) : none, bytes(held),
         bytes_max > 0 ? bytes(bytes_max) : none,
         by_items.order > by_bytes.order ? by_items : by_bytes, waited_of(row),
         seconds(number(row, "age_max_us") / 1e6), seconds(number(row, "waited_p99_us") / 1e6),
         count(old ? b.per_second(number(row, "left"), number(*old, "left")) : 0), count(dropped)});
    if (dropped > 0) out.rows.back().back().weight = Weight::warn;
  }
  return out;
}

constexpr const char* kNotTold = "the socket for watchers does not tell them";

Table links(const Between& b) {
  Table out{"links",
            {{"address", false, 0},
             {"state", false, 1},
             {"by", false, 3},
             {"circuits", true, 1},
             {"in/s", true, 0},
             {"out/s", true, 0},
             {"rtt", true, 1},
             {"age", true, 2},
             {"id", false, 4}},
            {},
            5,
            b.now().peers.is_null() ? kNotTold : "none"};
  const Before before(rows_of(b.before().peers, "peers"), {"id", "address", "dialed"});
  for (const json::value& row : rows_of(b.now().peers, "peers")) {
    const json::value* old = before.find(row);
    const auto rate = [&](std::string_view key) {
      return bytes(old ? b.per_second(number(row, key), number(*old, key)) : 0);
    };
    const double age = number(row, "age_us") / 1e6;
    out.rows.push_back({word(text(row, "address")),
                        word(text(row, "state")),
                        word(yes(row, "dialed") ? "us" : "them"),
                        count(number(row, "circuits")),
                        rate("bytes_in"),
                        rate("bytes_out"),
                        seconds(number(row, "rtt_us") / 1e6),
                        {span_text(std::chrono::seconds(whole(age))), age},
                        word(text(row, "id"))});
  }
  return out;
}

Table circuits(const Between& b) {
  Table out{"circuits, cells per second",
            {{"id", false, 2},
             {"role", false, 0},
             {"priority", false, 0},
             {"ready", false, 3},
             {"forward", true, 0},
             {"backward", true, 0},
             {"age", true, 1},
             {"previous", false, 2},
             {"next", false, 2}},
            {},
            4,
            b.now().circuits.is_null() ? kNotTold : "none"};
  const Before before(rows_of(b.before().circuits, "circuits"), {"id", "shard", "role"});
  for (const json::value& row : rows_of(b.now().circuits, "circuits")) {
    const json::value* old = before.find(row);
    const auto rate = [&](std::string_view key) {
      return count(old ? b.per_second(number(row, key), number(*old, key)) : 0);
    };
    const double age = number(row, "age_us") / 1e6;
    out.rows.push_back({word(text(row, "id")),
                        word(text(row, "role")),
                        word(text(row, "priority")),
                        word(yes(row, "ready") ? "yes" : "no"),
                        rate("cells_forward"),
                        rate("cells_backward"),
                        {span_text(std::chrono::seconds(whole(age))), age},
                        word(text(row, "previous_address")),
                        word(text(row, "next_address"))});
  }
  return out;
}

std::string state_of(const Sample& now) {
  const json::value& s = now.status;
  std::string out = yes(s, "stopping") ? "stopping, " : "";
  out += "up " + span_text(std::chrono::seconds(whole(number(s, "uptime_us") / 1e6)));
  if (!yes(s, "joined")) return out + ", not joined: " + text(s, "not_joined");
  return out + fmt::format(", joined: {} nodes, {} relays", count_text(number(s, "nodes_known")),
                           count_text(number(s, "relays_known")));
}

/// "quota 5.0MiB/s, 12% of 1.0TiB"; empty without one.
std::string quota_of(const json::value& quota) {
  std::string out;
  if (const double rate = number(quota, "bandwidth"); rate > 0) {
    out = fmt::format("quota {}/s", bytes_text(whole(rate)));
  }
  const double month = number(quota, "month");
  if (month <= 0) return out;
  const std::string stage = text(quota, "stage");
  return fmt::format("{}{:.0f}% of {} this month{}", out.empty() ? "quota " : out + ", ",
                     100 * number(quota, "used") / month, bytes_text(whole(month)),
                     stage == "open" ? "" : " (" + stage + ")");
}

std::vector<std::string> summary_of(const Between& b) {
  const json::value& s = b.now().status;
  const double used = number(s, "memory_used"), limit = number(s, "memory_limit");
  const double relayed = b.rate("qudag_bytes_relayed_total");
  return {
      fmt::format("{} of {} memory ({})", bytes_text(whole(used)), bytes_text(whole(limit)),
                  share(used, limit).text),
      fmt::format("in {}/s, out {}/s",
                  bytes_text(whole(b.rate("qudag_bytes_total", "direction=\"in\""))),
                  bytes_text(whole(b.rate("qudag_bytes_total", "direction=\"out\"")))),
      fmt::format("relays {}/s", bytes_text(whole(relayed))),
      fmt::format("{} links, {} circuits", count_text(number(s, "links")),
                  count_text(number(s, "circuits"))),
      fmt::format("{:.0f}% of a core", 100 * b.rate("process_cpu_seconds_total")),
      fmt::format("{} messages in flight", count_text(b.value("qudag_messages_in_flight"))),
      fmt::format("{} resident", bytes_text(whole(number(s, "rss")))),
  };
}

}  // namespace

Figures figures(const Sample& now, const Sample& before, const Sample* earlier) {
  const Between b(now, before, earlier);
  Figures out;
  out.state = state_of(now);
  if (const std::string quota = quota_of(field(now.status, "quota")); !quota.empty()) {
    out.state += "; " + quota;
  }
  out.summary = summary_of(b);
  out.tables = {classes(b), latency(b), pressures(b), refusals(b),
                queues(b),  links(b),   circuits(b)};
  Table& times = out.tables[static_cast<std::size_t>(Panel::latency)];
  times.title = earlier ? fmt::format("time, of the last {}",
                                      span_text(std::chrono::duration_cast<std::chrono::seconds>(
                                          now.at - earlier->at)))
                        : "time, since the start";
  return out;
}

}  // namespace qudag::app
