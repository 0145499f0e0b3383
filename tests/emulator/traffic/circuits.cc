// Circuits on long links.
//
//   circuit   `count` (15) new circuits through `relays` relays, links warm: the time until a
//             circuit is ready is that of its first message less that of the second
//   beside    numbered messages on one link, alone, beside `bulk` (50) circuits that fill it, and
//             beside the same in the priority of the messages: priorities off
#include "cases.h"
#include "numbered.h"

namespace qudag::traffic {
namespace {

using namespace std::chrono_literals;

double send_ms(Node& from, const NodeId& to, const SendOptions& how) {
  const std::vector<std::byte> payload(100);
  const Delivery end = from.send(to, payload, how).get();
  if (end.outcome != Outcome::delivered) give_up("not delivered: " + end.reason.message());
  return std::chrono::duration<double, std::milli>(end.elapsed).count();
}

json::object beside_bulk(Node& a, Node& b, const Book& book, const Words& words,
                         std::uint32_t stream, std::optional<Priority> bulk) {
  std::vector<std::unique_ptr<Bulk>> loads;
  const auto circuits = static_cast<std::uint64_t>(bulk ? words.number("bulk", 50) : 0);
  for (std::uint64_t i = 1; i <= circuits; ++i) {
    loads.push_back(std::make_unique<Bulk>(
        a, b.id(), 65'536, 8,
        SendOptions{.priority = *bulk, .ttl = 120s, .relays = 0, .isolation = 1'000 * stream + i}));
  }
  static_cast<void>(send_ms(a, b.id(), {.relays = 0}));
  std::this_thread::sleep_for(3s);  // until the link is at its rate
  const auto sum = [&] {
    std::uint64_t bytes = 0;
    for (const auto& load : loads) bytes += load->delivered_bytes();
    return bytes;
  };
  const std::uint64_t before = sum();
  const auto begin = Clock::now();
  Numbered messages(a, b.id(),
                    {.stream = stream, .per_second = 200, .how = {.ttl = 120s, .relays = 0}});
  std::this_thread::sleep_for(std::chrono::duration<double>(words.number("seconds", 4)));
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto bytes = static_cast<double>(sum() - before);
  for (const auto& load : loads) load->stop();
  messages.stop();
  json::object out = summary(book.stream(stream), messages.sent());
  out["round_trip_ms"] = to_json(percentiles(messages.round_trips_ms()));
  out["bulk_mbit_per_s"] = bytes * 8e-6 / seconds;
  return out;
}

}  // namespace

json::object circuit(const Words& words) {
  const auto relays = static_cast<unsigned>(words.number("relays", 3));
  Nodes nodes(words);
  nodes.start(line_of(relays));
  nodes.wait_for_netmaps();
  Node& b = nodes[0];
  Node& a = nodes[relays + 1];
  Book book;
  book.keep(b);
  std::vector<double> ready, first;
  const double cold = send_ms(a, b.id(), {.relays = relays, .isolation = 1'000});
  // Routes are drawn: until every link has been used.
  for (std::uint64_t i = 1; i <= 8; ++i) {
    static_cast<void>(send_ms(a, b.id(), {.relays = relays, .isolation = 1'000 + i}));
  }
  const auto count = static_cast<std::uint64_t>(words.number("count", 15));
  for (std::uint64_t i = 1; i <= count; ++i) {
    const SendOptions how{.relays = relays, .isolation = i};
    first.push_back(send_ms(a, b.id(), how));
    ready.push_back(first.back() - send_ms(a, b.id(), how));
  }
  return {{"ready_ms", to_json(percentiles(ready))},
          {"first_message_ms", to_json(percentiles(first))},
          {"cold_first_message_ms", cold}};
}

json::object beside(const Words& words) {
  Nodes nodes(words);
  nodes.start(line_of(0));
  nodes.wait_for_netmaps();
  Book book;
  book.keep(nodes[0]);
  json::object out;
  out["alone"] = beside_bulk(nodes[1], nodes[0], book, words, 0, std::nullopt);
  out["beside"] = beside_bulk(nodes[1], nodes[0], book, words, 1, Priority::low);
  out["priorities_off"] = beside_bulk(nodes[1], nodes[0], book, words, 2, Priority::normal);
  return out;
}

}  // namespace qudag::traffic
