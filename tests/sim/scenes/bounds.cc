#include "sim/scenes/bounds.h"

#include "base/limits.h"

#include <fmt/format.h>

#include <numeric>

namespace qudag::testing {
namespace {

class Caps {
 public:
  explicit Caps(const Broke& broke) : broke_(broke) {}
  void operator()(std::string_view what, std::uint64_t held, std::uint64_t cap) const {
    if (held > cap) broke_(fmt::format("{}: {} of at most {}", what, held, cap));
  }

 private:
  const Broke& broke_;
};

std::uint64_t blocks_of(const shard::ShardReport& report) {
  return std::accumulate(report.pool.in_use.begin(), report.pool.in_use.end(), std::uint64_t{0});
}

}  // namespace

bool holds_no_block(SimNode& node) { return blocks_of(node.shard().report()) == 0; }

void check_caps(SimNode& node, const Broke& broke) {
  const Caps at_most(broke);
  const shard::ShardReport report = node.shard().report();
  const Limits& limits = node.options().limits;
  at_most("links", report.links, limits.links);
  at_most("circuits", report.circuits, limits.circuits);
  at_most("messages", report.message.waiting + report.message.in_flight,
          limits.queue_high + limits.queue_normal + limits.queue_low);
  at_most("descriptors", report.netmap.held, limits::kNetmapDescriptorsMax);
  at_most("descriptors waiting", report.netmap.waiting, netmap::NetmapOptions{}.waiting_max);
  for (std::size_t i = 0; i < memory::kBlockSizeCount; ++i) {
    at_most("blocks", report.pool.in_use[i] * memory::kBlockCapacity[i], limits.memory);
  }
  const memory::Bound& bound = node.bound();
  at_most("accounted memory", bound.accounted(), limits.memory);
  at_most("memory", bound.node().used(), bound.node().bytes_max());
  for (std::size_t i = 0; i < memory::kPartCount; ++i) {
    const memory::Budget& part = bound.part(static_cast<memory::Part>(i));
    at_most(part.name(), part.used(), part.bytes_max());
  }
  for (std::size_t i = 0; i < memory::kClaimCount; ++i) {
    at_most(bound.claim(i).name(), bound.claim(i).used(), bound.claim(i).bytes_max());
  }
}

void check_quiet(SimNode& node, const Broke& broke) {
  const shard::ShardReport report = node.shard().report();
  const auto none = [&](std::string_view what, std::uint64_t left) {
    if (left > 0) broke(fmt::format("{} left when all is quiet: {}", what, left));
  };
  none("circuits", report.circuits);
  none("messages waiting", report.message.waiting);
  none("messages in flight", report.message.in_flight);
  none("flows", report.message.flows);
  none("blocks", blocks_of(report));
  none("reserved bytes", node.bound().claimed());
  none("steps of handshakes", report.endpoint.steps_waiting);
}

}  // namespace qudag::testing
