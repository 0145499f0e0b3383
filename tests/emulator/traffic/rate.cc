// What one link carries: `flows` (1) sources beside each other, each with its own link to the same
// destination over the same way, and a few messages beside to see how long the queue is.
//
// Keys: flows, seconds (5) from the third second on, circuits of each (1), bytes of a message
// (131072), messages under way at once (64).
#include "cases.h"
#include "numbered.h"

#include <boost/json/array.hpp>

namespace qudag::traffic {

using namespace std::chrono_literals;

json::object rate(const Words& words) {
  const auto flows = static_cast<std::size_t>(words.number("flows", 1));
  const auto circuits = static_cast<std::uint64_t>(words.number("circuits", 1));
  std::vector<NodeSpec> specs{{.space = "b", .address = "10.2.0.1", .relay = true}};
  for (std::size_t i = 0; i < flows; ++i) {
    specs.push_back({.space = "a",
                     .address = "10.1.0.1",
                     .port = static_cast<std::uint16_t>(4433 + i),
                     .known = false});
  }
  Nodes nodes(words);
  nodes.start(specs);
  nodes.wait_for_netmaps();
  Book book;
  book.keep(nodes[0]);
  std::vector<std::vector<std::unique_ptr<Bulk>>> loads(flows);
  const auto bytes_of = [&](std::size_t flow) {
    std::uint64_t bytes = 0;
    for (const auto& load : loads[flow]) bytes += load->delivered_bytes();
    return static_cast<double>(bytes);
  };
  for (std::size_t i = 0; i < flows; ++i) {
    for (std::uint64_t c = 1; c <= circuits; ++c) {
      loads[i].push_back(std::make_unique<Bulk>(
          nodes[1 + i], nodes[0].id(), static_cast<std::size_t>(words.number("bytes", 131'072)),
          static_cast<std::size_t>(words.number("depth", 64)),
          SendOptions{.priority = Priority::low, .ttl = 300s, .relays = 0, .isolation = c}));
    }
    if (i + 1 < flows) std::this_thread::sleep_for(500ms);  // one has the path already
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(words.number("warm", 3)));
  std::vector<double> before;
  for (std::size_t i = 0; i < flows; ++i) before.push_back(bytes_of(i));
  const auto begin = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(words.number("seconds", 5)));
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  json::array each;
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < flows; ++i) {
    const double mbit = (bytes_of(i) - before[i]) * 8e-6 / seconds;
    each.push_back(mbit);
    sum += mbit;
    squares += mbit * mbit;
  }
  json::object out{{"mbit_per_s", sum}, {"each", std::move(each)}};
  // Jain's index: 1 if all have the same, 1/n if one has all.
  out["fairness"] = squares == 0 ? 0 : sum * sum / (static_cast<double>(flows) * squares);
  for (const auto& flow : loads) {
    for (const auto& load : flow) load->stop();
  }
  nodes.stop();
  return out;
}

}  // namespace qudag::traffic
