// qudag status: the pages of the local API, as they are with --json, else as short tables.
#include "commands.h"

#include "api/client.h"

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

std::string readable(const StatusArgs& args, const std::string& page) {
  const json::value value = json::parse(page);
  if (args.peers) {
    return table(value, "peers",
                 {"address", "state", "dialed", "tls_group", "rtt_us", "circuits", "id"});
  }
  if (args.circuits) {
    return table(value, "circuits",
                 {"id", "role", "class", "ready", "previous_address", "next_address",
                  "cells_forward", "cells_backward"});
  }
  std::string out;
  for (const auto& [key, field] : value.as_object()) {
    out += fmt::format("{:<14} {}\n", std::string_view(key.data(), key.size()), shown(field));
  }
  return out;
}

}  // namespace

Exit status(const StatusArgs& args) {
  const std::string_view target = args.peers      ? "/v1/peers"
                                  : args.circuits ? "/v1/circuits"
                                  : args.metrics  ? "/metrics"
                                                  : "/v1/status";
  const Result<std::string> page = api::Client(args.socket).get(target);
  if (!page) return report(page.error(), args.json);
  const Status printed = print(args.json || args.metrics ? *page : readable(args, *page));
  return printed ? Exit::ok : report(printed.error(), false);
}

}  // namespace qudag::app
