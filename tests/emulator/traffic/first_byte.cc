// ttfb   time to first byte: from send() until the message is at the destination's application,
// with
//        a new circuit each time. Cold: no link anywhere on the way; warm: all links are there.
//        Directly and through `relays` relays; `count` (15) warm ones, which are asked one by one.
#include "cases.h"
#include "numbered.h"

#include <atomic>
#include <thread>

namespace qudag::traffic {
namespace {

using namespace std::chrono_literals;

class FirstByte {
 public:
  FirstByte(Node& from, Node& to) : from_(from), to_(to) {
    to_.on_message([this](Message&&) {
      arrived_.store(Clock::now());
      return Accept::taken;
    });
  }
  ~FirstByte() { to_.on_message(nullptr); }

  /// Over a circuit of its own.
  double ms(unsigned relays) {
    const std::vector<std::byte> payload(100);
    const auto begin = Clock::now();
    const Delivery end =
        from_.send(to_.id(), payload, {.relays = relays, .isolation = ++circuits_}).get();
    if (end.outcome != Outcome::delivered) give_up("not delivered: " + end.reason.message());
    return std::chrono::duration<double, std::milli>(arrived_.load() - begin).count();
  }
  std::vector<double> several(unsigned relays, std::uint64_t count) {
    std::vector<double> out;
    for (std::uint64_t i = 0; i < count; ++i) out.push_back(ms(relays));
    return out;
  }

 private:
  Node& from_;
  Node& to_;
  std::uint64_t circuits_ = 0;
  std::atomic<Clock::time_point> arrived_{};
};

/// Joining made links; they end when they have been idle.
void wait_for_no_links(const Nodes& nodes, unsigned count) {
  const auto until = Clock::now() + 60s;
  for (unsigned i = 0; i < count; ++i) {
    while (nodes.metric(i, "qudag_links") > 0) {
      if (Clock::now() > until) give_up("links that nobody needs do not end");
      std::this_thread::sleep_for(200ms);
    }
  }
}

json::object compare(double cold, const std::vector<double>& warm) {
  const double median = percentiles(warm).p50;
  return {{"cold_ms", cold}, {"warm_ms", to_json(percentiles(warm))}, {"ratio", cold / median}};
}

}  // namespace

json::object first_byte(const Words& words) {
  const auto relays = static_cast<unsigned>(words.number("relays", 3));
  const auto count = static_cast<std::uint64_t>(words.number("count", 15));
  Nodes nodes(words);
  nodes.start(line_of(relays));
  nodes.wait_for_netmaps();
  wait_for_no_links(nodes, relays + 2);
  FirstByte way(nodes[relays + 1], nodes[0]);
  json::object out;
  const double direct = way.ms(0);
  out["direct"] = compare(direct, way.several(0, count));
  const double onion = way.ms(relays);
  static_cast<void>(way.several(relays, 8));  // routes are drawn: until every link has been used
  out["through_relays"] = compare(onion, way.several(relays, count));
  return out;
}

}  // namespace qudag::traffic
