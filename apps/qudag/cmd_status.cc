// qudag status: the pages of the local API, as they are with --json, else as short tables.
#include "commands.h"

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

/// `{"peers":[{...}]}` as one line per entry with the named columns.
std::string table(const json::value& page, std::string_view list,
                  std::initializer_list<std::string_view> columns) {
  std::string out;
  for (const std::string_view column : columns) out += fmt::format("{:<22}", column);
  out += "\n";
  for (const json::value& row : page.at(json::string_view(list.data(), list.size())).as_array()) {
    for (const std::string_view column : columns) {
      const std::string cell = shown(row.at(json::string_view(column.data(), column.size())));
      out += fmt::format("{:<22}", std::string_view(cell).substr(0, 21));
    }
    out += "\n";
  }
  return out;
}

std::uint64_t number(const json::value& row, json::string_view key) {
  const json::value& field = row.at(key);
  return field.is_null() ? 0 : field.to_number<std::uint64_t>();
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", value, unit == 0 || value >= 100 ? 0 : 1, kUnits[unit]);
}

std::string time_text(std::uint64_t us) {
  if (us == 0) return "-";
  if (us < 1'000) return fmt::format("{}us", us);
  if (us < 1'000'000) return fmt::format("{:.1f}ms", static_cast<double>(us) / 1e3);
  return fmt::format("{:.0f}s", static_cast<double>(us) / 1e6);
}

/// One line per bounded thing: what it holds of what it may, how long things wait, what was lost.
std::string queue_table(const json::value& page) {
  std::string out = fmt::format(
      "{:<7} {:<36} {:<12} {:>5} {:>17} {:>21} {:>7} {:>8} {:>8} {:>10}  {}\n", "kind", "name",
      "level", "shard", "items", "bytes", "age", "oldest", "p99", "through", "dropped");
  for (const json::value& row : page.at("queues").as_array()) {
    const bool in_items = !row.at("items_max").is_null();
    const bool in_bytes = !row.at("bytes_max").is_null();
    const bool is_queue = row.at("kind").as_string() == "queue";
    std::string drops;
    for (const auto& [reason, count] : row.at("drops").as_object()) {
      drops += fmt::format("{}{}={}", drops.empty() ? "" : " ",
                           std::string_view(reason.data(), reason.size()), shown(count));
    }
    out += fmt::format(
        "{:<7} {:<36} {:<12} {:>5} {:>17} {:>21} {:>7} {:>8} {:>8} {:>10}  {}\n",
        shown(row.at("kind")), shown(row.at("name")), shown(row.at("level")),
        shown(row.at("shard")),
        in_items ? fmt::format("{}/{}", number(row, "items"), number(row, "items_max")) : "-",
        in_bytes ? bytes_text(number(row, "bytes")) + "/" + bytes_text(number(row, "bytes_max"))
                 : "-",
        is_queue ? time_text(number(row, "age_max_us")) : "",
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

std::string readable(const StatusArgs& args, const std::string& page) {
  const json::value value = json::parse(page);
  if (args.peers) {
    return table(value, "peers",
                 {"address", "state", "dialed", "tls_group", "rtt_us", "circuits", "id"});
  }
  if (args.circuits) {
    return table(value, "circuits",
                 {"id", "role", "priority", "ready", "previous_address", "next_address",
                  "cells_forward", "cells_backward"});
  }
  if (args.queues) return queue_table(value);
  if (args.receivers) return receiver_table(value);
  std::string out;
  for (const auto& [key, field] : value.as_object()) {
    const std::string_view name(key.data(), key.size());
    // Null until peers of three networks have told the time, or somebody came or could have come.
    const bool unknown = (name == "clock_off_s" || name == "reachable") && field.is_null();
    const std::string text = name == "inbox" ? inbox_text(field) : shown(field);
    out += fmt::format("{:<14} {}\n", name, unknown ? "unknown yet" : text);
  }
  return out;
}

}  // namespace

Exit status(const StatusArgs& args) {
  const std::string_view target = args.peers       ? "/v1/peers"
                                  : args.circuits  ? "/v1/circuits"
                                  : args.queues    ? "/v1/queues"
                                  : args.receivers ? "/v1/receivers"
                                  : args.metrics   ? "/metrics"
                                                   : "/v1/status";
  const Result<std::string> page = api::Client(args.socket.path, args.socket.owner).get(target);
  if (!page) return report(page.error(), args.json);
  const Status printed = print(args.json || args.metrics ? *page : readable(args, *page));
  return printed ? Exit::ok : report(printed.error(), false);
}

}  // namespace qudag::app
