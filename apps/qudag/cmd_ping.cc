// qudag ping: asks a node for a service that it does not have; its answer says that it is there.
// qudag doctor: looks at a node's own state, then pings a relay and tells where the time went.
#include "commands.h"
#include "common/human.h"

#include "api/client/client.h"
#include "crypto/random.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace qudag::app {
namespace {

namespace json = boost::json;
using Times = std::vector<std::chrono::microseconds>;

/// Nobody has it, and a node that should answers as well.
constexpr std::string_view kService = "qudag-ping";
constexpr std::chrono::seconds kPatience{60};

/// How long one took. `circuit`: pings with the same number share one.
Result<std::chrono::microseconds> ping_once(const api::Client& client, std::string_view to,
                                            unsigned relays, std::uint64_t circuit) {
  const auto begun = std::chrono::steady_clock::now();
  const Result<std::string> answer =
      client.post(fmt::format("/v1/pipes?to={}&service={}&relays={}&isolation={}", to, kService,
                              relays, circuit),
                  kPatience);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begun);
  const bool there = answer || (answer.error() == Errc::refused_by_peer &&
                                answer.error().detail.starts_with("no_such_service"));
  if (!there) return std::unexpected(answer.error());
  return took;
}

Result<Times> pings(const api::Client& client, std::string_view to, unsigned relays,
                    std::uint64_t count) {
  const std::uint64_t circuit = crypto::SystemRng().u64() | 1;
  Times out;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto took = ping_once(client, to, relays, circuit);
    if (!took) return std::unexpected(took.error());
    out.push_back(*took);
  }
  return out;
}

json::array us_of(const Times& times) {
  json::array out;
  for (const auto& one : times) out.push_back(one.count());
  return out;
}

std::string shown(const Times& times) {
  const auto text = [](std::chrono::microseconds t) {
    return time_text(static_cast<std::uint64_t>(t.count()));
  };
  std::string out = fmt::format("{}, with a new circuit", text(times[0]));
  if (times.size() == 1) return out;
  const auto [least, most] = std::minmax_element(times.begin() + 1, times.end());
  return out + fmt::format("; then {} to {} over it", text(*least), text(*most));
}

// ---- doctor -------------------------------------------------------------------------------------

struct Finding {
  bool good;
  std::string text;
};
using Findings = std::vector<Finding>;

void look_at_status(const json::value& s, Findings& out) {
  const bool joined = s.at("joined").as_bool();
  out.push_back({joined, joined ? fmt::format("joined: {} nodes and {} relays known",
                                              s.at("nodes_known").to_number<std::uint64_t>(),
                                              s.at("relays_known").to_number<std::uint64_t>())
                                : fmt::format("not joined: {}",
                                              std::string_view(s.at("not_joined").as_string()))});
  const json::value& clock = s.at("clock_off_s");
  if (!clock.is_null()) {
    const auto off = clock.to_number<std::int64_t>();
    const bool right = std::abs(off) < 60;
    out.push_back({right, right ? "the clock agrees with the peers'"
                                : fmt::format("the clock is {} s off: set it right (NTP)", off)});
  }
  const json::value& reachable = s.at("reachable");
  if (!reachable.is_null()) {
    out.push_back({reachable.as_bool(),
                   reachable.as_bool()
                       ? "others reach it"
                       : "nobody reaches it: open its UDP port, set publish, or relay = false"});
  }
  const auto used = s.at("memory_used").to_number<std::uint64_t>();
  const auto limit = s.at("memory_limit").to_number<std::uint64_t>();
  out.push_back({used < limit / 10 * 7,
                 fmt::format("memory: {} of {}", bytes_text(used), bytes_text(limit))});
  const json::value& inbox = s.at("inbox");
  if (!inbox.is_null() && inbox.at("failing").as_bool()) {
    out.push_back({false, "the inbox cannot be written: look at the disk"});
  }
}

void look_at_metrics(const std::string& page, Findings& out) {
  // The first two only make room.
  double actions = 0;
  for (const std::string_view action :
       {"refuse_circuits", "require_retry", "pause_low", "drop_low", "drop_normal"}) {
    actions += api::metric_in(page, "qudag_overload_action", action);
  }
  out.push_back({actions == 0, actions == 0 ? "no overload"
                                            : "overload: qudag_overload_pressure in `qudag status "
                                              "--metrics` says what runs short"});
  const double files = api::metric_in(page, "process_open_fds");
  const double files_max = api::metric_in(page, "process_max_fds");
  const bool room = files_max == 0 || files < files_max * 0.7;
  out.push_back({room, fmt::format("files open: {:.0f} of {:.0f}", files, files_max)});
}

/// A relay that the node may use, which is not itself.
std::string relay_of(const json::value& nodes, std::string_view self) {
  for (const json::value& one : nodes.at("nodes").as_array()) {
    const std::string_view id = one.at("id").as_string();
    if (one.at("usable").as_bool() && id != self) return std::string(id);
  }
  return {};
}

/// Of the circuits built meanwhile: what each hop kept it, and how long until its answer.
json::array hops_between(const std::string& before, const std::string& after) {
  json::array out;
  for (int hop = 1; hop <= 6; ++hop) {
    const std::string label = fmt::format("hop=\"{}\"", hop);
    const auto mean = [&](const std::string& name) {
      const auto more = [&](const std::string& suffix) {
        return api::metric_in(after, name + suffix, label) -
               api::metric_in(before, name + suffix, label);
      };
      const double count = more("_count");
      return count <= 0 ? 0 : more("_sum") / count * 1e6;
    };
    const double kept = mean("qudag_hop_build_seconds");
    const double round_trip = mean("qudag_hop_round_trip_seconds");
    if (kept == 0 && round_trip == 0) continue;
    out.push_back(json::object{{"hop", hop},
                               {"kept_us", static_cast<std::uint64_t>(kept)},
                               {"round_trip_us", static_cast<std::uint64_t>(round_trip)}});
  }
  return out;
}

std::string text_of(const Findings& findings, const json::array& hops) {
  std::string out;
  for (const Finding& one : findings) {
    out += fmt::format("{}  {}\n", one.good ? "ok   " : "WRONG", one.text);
  }
  for (const json::value& hop : hops) {
    out += fmt::format("       hop {}: kept the build {}, round trip to it {}\n",
                       hop.at("hop").to_number<int>(),
                       time_text(hop.at("kept_us").to_number<std::uint64_t>()),
                       time_text(hop.at("round_trip_us").to_number<std::uint64_t>()));
  }
  return out;
}

/// A circuit through three relays to a fourth.
Status look_at_circuit(const api::Client& client, const json::value& status,
                       const std::string& before, Findings& out, json::array& hops) {
  const Result<std::string> nodes = client.get("/v1/nodes");
  if (!nodes) return std::unexpected(nodes.error());
  const std::string to =
      relay_of(json::parse(*nodes), std::string_view(status.at("id").as_string()));
  if (to.empty()) {
    out.push_back({false, "no circuit was tried: no relay is known that was reached"});
    return {};
  }
  const Result<Times> times = pings(client, to, kRelaysDefault, 3);
  if (!times) {
    out.push_back({false, fmt::format("a circuit through {} relays: {}", kRelaysDefault,
                                      times.error().message())});
    return {};
  }
  out.push_back({true, fmt::format("a circuit through {} relays to one more: {}", kRelaysDefault,
                                   shown(*times))});
  const Result<std::string> after = client.get("/metrics");
  if (!after) return std::unexpected(after.error());
  hops = hops_between(before, *after);
  return {};
}

}  // namespace

Exit ping(const PingArgs& args) {
  const api::Client client(args.socket.path, args.socket.owner);
  const Result<Times> times = pings(client, args.to.to_string(), args.relays, args.count);
  if (!times) return report(times.error(), args.json);
  const Status printed =
      print(args.json ? json::serialize(json::object{{"to", args.to.to_string()},
                                                     {"relays", args.relays},
                                                     {"times_us", us_of(*times)}}) +
                            "\n"
                      : fmt::format("there: {}\n", shown(*times)));
  return printed ? Exit::ok : report(printed.error(), false);
}

Exit doctor(const AskArgs& args) {
  const api::Client client(args.socket.path, args.socket.owner);
  const Result<std::string> page = client.get("/v1/status");
  if (!page) return report(page.error(), args.json);
  const Result<std::string> metrics = client.get("/metrics");
  if (!metrics) return report(metrics.error(), args.json);
  const json::value status = json::parse(*page);
  Findings findings;
  json::array hops;
  look_at_status(status, findings);
  look_at_metrics(*metrics, findings);
  if (const Status looked = look_at_circuit(client, status, *metrics, findings, hops); !looked) {
    return report(looked.error(), args.json);
  }
  std::string text = text_of(findings, hops);
  const bool good = std::ranges::all_of(findings, &Finding::good);
  if (args.json) {
    json::array rows;
    for (const Finding& one : findings) {
      rows.push_back(json::object{{"good", one.good}, {"text", one.text}});
    }
    text = json::serialize(json::object{
               {"good", good}, {"findings", std::move(rows)}, {"hops", std::move(hops)}}) +
           "\n";
  }
  const Status printed = print(text);
  if (!printed) return report(printed.error(), false);
  return good ? Exit::ok : Exit::network;
}

}  // namespace qudag::app
