// qudag status: the pages of the local API, as they are with --json, else as short tables.
#include "commands.h"
#include "common/human.h"

#include "api/client/client.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace qudag::app {
namespace {

namespace json = boost::json;

std::string shown(const json::value& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return std::string(value.get_string().c_str());
  return json::serialize(value);
}

std::uint64_t number(const json::value& row, json::string_view key) {
  const json::value& field = row.at(key);
  return field.is_null() ? 0 : field.to_number<std::uint64_t>();
}

/// "12KiB/64MiB", and of a bound that moves what new ones may fill now and what drains:
/// "12KiB/100KiB (64MiB), 1MiB/s".
std::string queue_bytes(const json::value& row) {
  if (row.at("bytes_max").is_null()) return "-";
  const std::string held = bytes_text(number(row, "bytes"));
  const std::string most = bytes_text(number(row, "bytes_max"));
  if (row.at("bytes_bound").is_null()) return held + "/" + most;
  return held + "/" + bytes_text(number(row, "bytes_bound")) + " (" + most + "), " +
         bytes_text(number(row, "bytes_per_second")) + "/s";
}

/// One line per bounded thing: what it holds of what it may, how long things wait, what was lost.
std::string queue_table(const json::value& page) {
  std::string out = fmt::format(
      "{:<7} {:<36} {:<12} {:>5} {:>17} {:>32} {:>7} {:>8} {:>8} {:>10}  {}\n", "kind", "name",
      "level", "shard", "items", "bytes", "age", "oldest", "p99", "through", "dropped");
  for (const json::value& row : page.at("queues").as_array()) {
    const bool in_items = !row.at("items_max").is_null();
    const bool is_queue = row.at("kind").as_string() == "queue";
    std::string drops;
    for (const auto& [reason, count] : row.at("drops").as_object()) {
      drops += fmt::format("{}{}={}", drops.empty() ? "" : " ",
                           std::string_view(reason.data(), reason.size()), shown(count));
    }
    out += fmt::format(
        "{:<7} {:<36} {:<12} {:>5} {:>17} {:>32} {:>7} {:>8} {:>8} {:>10}  {}\n",
        shown(row.at("kind")), shown(row.at("name")), shown(row.at("level")),
        shown(row.at("shard")),
        in_items ? fmt::format("{}/{}", number(row, "items"), number(row, "items_max")) : "-",
        queue_bytes(row), is_queue ? time_text(number(row, "age_max_us")) : "",
        is_queue ? time_text(number(row, "oldest_us")) : "",
        is_queue ? time_text(number(row, "waited_p99_us")) : "",
        is_queue ? shown(row.at("left")) : "", drops);
  }
  return out;
}

/// "12 messages, 3.4KiB of 256MiB"
std::string inbox_text(const json::value& inbox) {
  if (inbox.is_null()) return "none";
  return fmt::format("{} messages of {}, {} of {}{}{}", number(inbox, "messages"),
                     number(inbox, "messages_max"), bytes_text(number(inbox, "bytes")),
                     bytes_text(number(inbox, "bytes_max")),
                     inbox.at("accept").as_bool() ? "" : "; no more are kept",
                     inbox.at("failing").as_bool() ? "; it cannot be written" : "");
}

/// A line for each keeper of each receiver.
std::string receiver_table(const json::value& page) {
  std::string out = fmt::format("{:<24} {:<13} {:>13}  {:<52} {:<10} {:<4} {:>8}\n", "receiver", "",
                                "conversations", "keeper", "registered", "card", "standbys");
  for (const json::value& one : page.at("receivers").as_array()) {
    const std::string who = fmt::format("{:<24} {:<13} {:>13}", shown(one.at("name")),
                                        one.at("hidden").as_bool() ? "hidden" : "behind router",
                                        number(one, "conversations"));
    if (one.at("keepers").as_array().empty()) out += who + "  none yet\n";
    for (const json::value& keeper : one.at("keepers").as_array()) {
      const auto yes = [&](json::string_view key) {
        return keeper.at(key).as_bool() ? "yes" : "no";
      };
      out += fmt::format("{}  {:<52} {:<10} {:<4} {:>8}\n", who, shown(keeper.at("id")),
                         yes("registered"), yes("has_card"), number(keeper, "standbys"));
    }
  }
  return out;
}

using Rows = std::vector<std::vector<std::string>>;

std::string age(const json::value& row) {
  return span_text(std::chrono::seconds(number(row, "age_us") / 1'000'000));
}

/// A link in a row: who dialed, how far it is, what it carried.
std::string peer_table(const json::value& page) {
  Rows rows{{"address", "state", "by", "circuits", "rtt", "age", "in", "out", "id"}};
  for (const json::value& row : page.at("peers").as_array()) {
    rows.push_back({shown(row.at("address")), shown(row.at("state")),
                    row.at("dialed").as_bool() ? "us" : "them", shown(row.at("circuits")),
                    time_text(number(row, "rtt_us")), age(row), bytes_text(number(row, "bytes_in")),
                    bytes_text(number(row, "bytes_out")), shown(row.at("id"))});
  }
  return table_text(rows);
}

std::string circuit_table(const json::value& page) {
  Rows rows{{"role", "priority", "ready", "age", "forward", "backward", "previous", "next", "id"}};
  for (const json::value& row : page.at("circuits").as_array()) {
    rows.push_back(
        {shown(row.at("role")), shown(row.at("priority")), row.at("ready").as_bool() ? "yes" : "no",
         age(row), shown(row.at("cells_forward")), shown(row.at("cells_backward")),
         shown(row.at("previous_address")), shown(row.at("next_address")), shown(row.at("id"))});
  }
  return table_text(rows);
}

std::string clock_text(const json::value& off) {
  if (off.is_null()) return "unknown yet";
  const auto seconds = off.to_number<std::int64_t>();
  if (seconds == 0) return "agrees with the peers'";
  return fmt::format("{} s {} the peers'", std::abs(seconds), seconds > 0 ? "ahead of" : "behind");
}

/// "5.0MiB/s; 120GiB of 1.0TiB used, 3 d 4 h to the month's end"
std::string quota_text(const json::value& quota) {
  std::string out;
  if (const std::uint64_t rate = number(quota, "bandwidth"); rate > 0) {
    out = fmt::format("{}/s for others", bytes_text(rate));
  }
  const std::uint64_t month = number(quota, "month");
  if (month == 0) return out;
  const auto used = static_cast<double>(number(quota, "used"));
  const std::string stage = shown(quota.at("stage"));
  return fmt::format("{}{}{} of {} used ({:.0f}%), {} to the month's end{}", out,
                     out.empty() ? "" : "; ", bytes_text(number(quota, "used")), bytes_text(month),
                     100 * used / static_cast<double>(month),
                     span_text(std::chrono::seconds(number(quota, "turns_s"))),
                     stage == "open" ? "" : "; " + stage);
}

std::string reachable_text(const json::value& reachable) {
  if (reachable.is_null()) return "unknown yet";
  return reachable.as_bool() ? "yes" : "no: open its UDP port, set publish, or relay = false";
}

/// "12 ms, 80 ms for one in a hundred (340 of the last minutes)"
std::string times_text(const json::value& times) {
  const std::uint64_t count = number(times, "count");
  if (count == 0) return "none lately";
  return fmt::format("{} median, {} at most for 99 %, {} in the last minutes",
                     time_text(number(times, "p50_us")), time_text(number(times, "p99_us")), count);
}

/// What there is to know first, then each thing in a line.
std::string overview(const json::value& s, std::string_view metrics) {
  const auto total = [metrics](std::string_view name, std::string_view label = {}) {
    return static_cast<std::uint64_t>(api::metric_in(metrics, name, label));
  };
  const std::string up = span_text(std::chrono::seconds(number(s, "uptime_us") / 1'000'000));
  const std::string memory = fmt::format("{} of {}", bytes_text(number(s, "memory_used")),
                                         bytes_text(number(s, "memory_limit")));
  const std::uint64_t refused = total("qudag_links_refused_total");
  const bool joined = s.at("joined").as_bool();
  std::string out = fmt::format("{}up {}, ", s.at("stopping").as_bool() ? "stopping; " : "", up);
  out += joined ? fmt::format("joined: {} nodes, {} relays", number(s, "nodes_known"),
                              number(s, "relays_known"))
                : "not joined: " + shown(s.at("not_joined"));
  out += fmt::format("; {}; {} links refused\n\n", memory, refused);
  const auto line = [&out](std::string_view name, const std::string& text) {
    out += fmt::format("{:<10} {}\n", name, text);
  };
  line("id", shown(s.at("id")));
  line("listens", fmt::format("{}, version {}, {} shards", shown(s.at("listen")),
                              shown(s.at("version")), number(s, "shards")));
  line("links", fmt::format("{}; {} refused", number(s, "links"), refused));
  line("circuits",
       fmt::format("{}; {} refused", number(s, "circuits"), total("qudag_circuits_refused_total")));
  line("reachable", reachable_text(s.at("reachable")));
  line("clock", clock_text(s.at("clock_off_s")));
  line("memory", fmt::format("{}; {} resident", memory, bytes_text(number(s, "rss"))));
  line("traffic", fmt::format("{} in, {} out, {} relayed",
                              bytes_text(total("qudag_bytes_total", "direction=\"in\"")),
                              bytes_text(total("qudag_bytes_total", "direction=\"out\"")),
                              bytes_text(total("qudag_bytes_relayed_total"))));
  line("builds", times_text(s.at("circuit_build")));
  for (const auto& [priority, times] : s.at("delivery").as_object()) {
    line(std::string_view(priority.data(), priority.size()), times_text(times));
  }
  line("inbox", inbox_text(s.at("inbox")));
  if (!s.at("quota").is_null()) line("quota", quota_text(s.at("quota")));
  return out;
}

Result<std::string> readable(const StatusArgs& args, const api::Client& client,
                             const std::string& page) {
  const json::value value = json::parse(page);
  if (args.peers) return peer_table(value);
  if (args.circuits) return circuit_table(value);
  if (args.queues) return queue_table(value);
  if (args.receivers) return receiver_table(value);
  const Result<std::string> metrics = client.get("/metrics");
  if (!metrics) return std::unexpected(metrics.error());
  return overview(value, *metrics);
}

}  // namespace

Exit status(const StatusArgs& args) {
  const std::string_view target = args.peers       ? "/v1/peers"
                                  : args.circuits  ? "/v1/circuits"
                                  : args.queues    ? "/v1/queues"
                                  : args.receivers ? "/v1/receivers"
                                  : args.metrics   ? "/metrics"
                                                   : "/v1/status";
  const api::Client client(args.socket.path, args.socket.owner);
  const Result<std::string> page = client.get(target);
  if (!page) return report(page.error(), args.json);
  if (args.json || args.metrics) {
    const Status printed = print(*page);
    return printed ? Exit::ok : report(printed.error(), false);
  }
  const Result<std::string> text = readable(args, client, *page);
  if (!text) return report(text.error(), false);
  const Status printed = print(*text);
  return printed ? Exit::ok : report(printed.error(), false);
}

}  // namespace qudag::app
