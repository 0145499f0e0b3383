// What an operator asks of a node that runs: reload, drain, nodes.
#include "commands.h"
#include "common/human.h"

#include "api/client/client.h"

#include <fmt/format.h>
#include <boost/json.hpp>
#include <thread>

namespace qudag::app {
namespace {

namespace json = boost::json;

std::string_view text_of(const json::value& value) {
  const json::string& text = value.as_string();
  return {text.data(), text.size()};
}

api::Client client_of(const AskArgs& args) {
  return api::Client(args.socket.path, args.socket.owner);
}

Exit show(const std::string& text) {
  const Status printed = print(text);
  return printed ? Exit::ok : report(printed.error(), false);
}

std::string rows_of(const json::value& page, json::string_view list, std::string_view how) {
  std::string out;
  for (const json::value& row : page.at(list).as_array()) {
    out += fmt::format("{}: {} -> {} ({})\n", text_of(row.at("key")), text_of(row.at("from")),
                       text_of(row.at("to")), how);
  }
  return out;
}

}  // namespace

Exit reload(const AskArgs& args) {
  const Result<std::string> page = client_of(args).post("/v1/reload");
  if (!page) return report(page.error(), args.json);
  if (args.json) return show(*page);
  const json::value value = json::parse(*page);
  const std::string out =
      rows_of(value, "changed", "in effect") + rows_of(value, "restart", "at the next start");
  return show(out.empty() ? "nothing has changed\n" : out);
}

Exit web(const AskArgs& args) {
  const Result<std::string> page = client_of(args).get("/v1/web");
  if (!page) return report(page.error(), args.json);
  if (args.json) return show(*page);
  const json::value value = json::parse(*page);
  if (value.at("url").is_null()) {
    return report(Error(Errc::unsupported,
                        "this node has no web page; set web.listen, as in "
                        "web.listen = \"127.0.0.1:8480\""),
                  false);
  }
  return show(fmt::format("{}\n", text_of(value.at("url"))));
}

Exit nodes(const AskArgs& args) {
  const Result<std::string> page = client_of(args).get("/v1/nodes");
  if (!page) return report(page.error(), args.json);
  if (args.json) return show(*page);
  std::vector<std::vector<std::string>> rows{{"role", "usable", "age", "left", "address", "id"}};
  std::size_t relays = 0, usable = 0;
  const json::value value = json::parse(*page);
  for (const json::value& one : value.at("nodes").as_array()) {
    const bool relay = one.at("relay").as_bool(), use = one.at("usable").as_bool();
    relays += relay ? 1 : 0;
    usable += use ? 1 : 0;
    const json::array& addresses = one.at("addresses").as_array();
    const auto span = [&one](const char* name) {
      return span_text(std::chrono::seconds(one.at(name).to_number<std::int64_t>()));
    };
    rows.push_back({one.at("keeper").as_bool() ? "keeper" : (relay ? "relay" : "client"),
                    use ? "yes" : "no", span("published_s"), span("expires_s"),
                    addresses.empty() ? "-" : std::string(text_of(addresses[0])),
                    std::string(text_of(one.at("id")))});
  }
  return show(table_text(rows) + fmt::format("{} nodes, {} relays, {} of them usable\n",
                                             rows.size() - 1, relays, usable));
}

Exit drain(const DrainArgs& args) {
  const api::Client client = client_of(args);
  const Result<std::string> begun =
      client.post(fmt::format("/v1/drain?grace={}ms", args.grace.count()));
  if (!begun) return report(begun.error(), args.json);
  if (args.json) {
    if (const Status printed = print(*begun); !printed) return report(printed.error(), false);
  }
  std::uint64_t before = UINT64_MAX;
  for (;;) {  // until it is gone
    const Result<std::string> page = client.get("/v1/status");
    // Its shards may have ended, while the socket is still there.
    if (!page && page.error() != Errc::timed_out) break;
    if (!page) continue;
    const auto circuits = json::parse(*page).at("circuits").to_number<std::uint64_t>();
    if (!args.json && circuits != before) {
      const Status printed = print(fmt::format("{} circuits are left\n", circuits));
      if (!printed) return report(printed.error(), false);
    }
    before = circuits;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return args.json ? Exit::ok : show("the node has stopped\n");
}

}  // namespace qudag::app
