// Nodes that change their address in the middle of a transfer (low priority) and of numbered
// messages (normal priority), through `relays` relays (3).
//
//   migration   the source moves three times, and twice its NAT forgets
//   accepting   the destination moves: links that others dialed to it end
//
// Keys: bytes of the transfer (64,000,000), per_second (1,000), pause between changes (0.7 s: an
// acceptor takes a second to give up the path that was left, and need not be given it; of one
// change 2 s, for what comes of it).
#include "cases.h"
#include "numbered.h"

#include <boost/json/array.hpp>

namespace qudag::traffic {
namespace {

using namespace std::chrono_literals;

struct Change {
  std::string line;
  Clock::time_point at;
};

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

std::chrono::nanoseconds in_time(double value) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(value * 1e9));
}

/// Circuits for both priorities are there, so that what is measured is the change and nothing else.
void warm_up(Node& source, const NodeId& to, unsigned relays) {
  for (const Priority priority : {Priority::normal, Priority::low}) {
    const std::vector<std::byte> payload(1'000);
    if (source.send(to, payload, {.priority = priority, .relays = relays}).get().outcome !=
        Outcome::delivered) {
      give_up("no circuit");
    }
  }
}

/// What changes of a node's links and circuits, and under which name it is shown.
struct Counter {
  const char* shown;
  const char* metric;
  const char* label;
};
constexpr Counter kCounters[] = {
    {"links_moved", "qudag_links_moved_total", ""},
    {"links_redialed", "qudag_links_redialed_total", ""},
    {"links_asked", "qudag_links_asked_total", ""},
    {"links_silent", "qudag_links_ended_total", "silent"},
    {"handshakes", "qudag_handshakes_total", "done"},
    {"circuits_ended_with_link", "qudag_circuits_ended_total", "link"},
    {"circuits_ended_by_peer", "qudag_circuits_ended_total", "peer"},
    {"messages_resent", "qudag_messages_resent_total", ""},
};

std::vector<double> counters_of(const Nodes& nodes, std::size_t node) {
  std::vector<double> out;
  for (const Counter& each : kCounters) out.push_back(nodes.metric(node, each.metric, each.label));
  return out;
}

json::object difference(const std::vector<double>& before, const std::vector<double>& after) {
  json::object out;
  for (std::size_t i = 0; i < before.size(); ++i) out[kCounters[i].shown] = after[i] - before[i];
  return out;
}

json::object run(const Words& words, const std::vector<std::string>& lines, bool publish) {
  const auto relays = static_cast<unsigned>(words.number("relays", 3));
  Nodes nodes(words);
  nodes.start(line_of(relays, publish));
  nodes.wait_for_netmaps();
  Node& b = nodes[0];
  Node& a = nodes[relays + 1];
  const auto hops = static_cast<unsigned>(words.number("relays", relays));
  Book book;
  book.keep(b);
  warm_up(a, b.id(), hops);
  std::vector<std::vector<double>> before;
  for (std::size_t i = 0; i < relays + 2; ++i) before.push_back(counters_of(nodes, i));

  const std::vector<std::byte> file(static_cast<std::size_t>(words.number("bytes", 64e6)));
  const auto begin = Clock::now();
  auto transfer = a.send(b.id(), file, {.priority = Priority::low, .ttl = 90s, .relays = hops});
  Numbered stream(a, b.id(),
                  {.per_second = words.number("per_second", 1'000), .how = {.relays = hops}});
  const auto pause = in_time(words.number("pause", lines.size() > 1 ? 0.7 : 2));
  std::vector<Change> changes;
  for (const std::string& line : lines) {
    std::this_thread::sleep_for(pause);
    changes.push_back({line, Clock::now()});
    command(line);
  }
  std::this_thread::sleep_for(pause);
  const Delivery end = transfer.get();
  const double took = seconds(Clock::now() - begin);
  stream.stop();

  const Book::Stream arrived = book.stream(0);
  json::object out = summary(arrived, stream.sent());
  out["delivered"] = stream.delivered();
  out["round_trip_ms"] = to_json(percentiles(stream.round_trips_ms()));
  json::array steps;
  for (const Change& change : changes) {
    steps.push_back(
        json::object{{"at_s", seconds(change.at - begin)},
                     {"change", change.line},
                     {"gap_ms", longest_gap_ms(arrived, change.at, change.at + pause)}});
  }
  out["changes"] = std::move(steps);
  out["transfer"] = {
      {"outcome", std::string(name_of(end.outcome))}, {"bytes", file.size()}, {"seconds", took}};
  json::array counted;
  for (std::size_t i = 0; i < relays + 2; ++i) {
    counted.push_back(difference(before[i], counters_of(nodes, i)));
  }
  out["source"] = counted.back();
  counted.pop_back();
  out["destination"] = counted.front();
  counted.erase(counted.begin());
  out["relays"] = std::move(counted);
  return out;
}

}  // namespace

json::object migration(const Words& words) {
  return run(words,
             {"move a 10.21.0.1", "rebind a", "move a 10.22.0.1", "rebind a 10.31.0.9",
              "move a 10.23.0.1"},
             true);
}

json::object accepting(const Words& words) { return run(words, {"move b 10.41.0.1"}, false); }

}  // namespace qudag::traffic
