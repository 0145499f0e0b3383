// modules: netmap
// Frames of gossip from three links, in any order, with time passing: `link u8 || type u8 || length
// u16 || body` each; type 0xff is a turn, 0xfe closes or opens the link, others are 0x10 to 0x14.
// The bounds hold, nothing is left when the links are gone, and a node with nothing to do is not
// woken.
#include "netmap/netmap.h"
#include "wire/gossip.h"

#include <algorithm>
#include <array>

namespace {

using namespace qudag;

class CountingRng final : public Rng {
 public:
  void fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(state_ = state_ * 75 % 65537);
  }

 private:
  unsigned state_ = 1;
};

NodeLink link_at(std::uint32_t slot) { return {.shard = 0, .link = {.slot = slot}}; }

class CheckingSink final : public netmap::GossipSink {
 public:
  bool send(NodeLink link, std::uint8_t type, Bytes body) override {
    QUDAG_ASSERT(open[link.link.slot]);
    QUDAG_ASSERT(body.size() <= limits::kControlFrameBytesMax);
    if (type == 0x10) QUDAG_ASSERT(wire::DigestView::parse(body).has_value());
    if (type == 0x13) QUDAG_ASSERT(wire::parse_summary(body).has_value());
    if (type == 0x14) QUDAG_ASSERT(wire::parse_ask(body).has_value());
    if (type == 0x11) QUDAG_ASSERT(wire::WantView::parse(body).has_value());
    return ++sent_ % 7 != 0;
  }
  std::array<bool, 3> open{};

 private:
  unsigned sent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CountingRng rng;
  CheckingSink sink;
  netmap::NetmapOptions options;
  options.waiting_max = 4;
  options.descriptors_max = 4;
  netmap::Netmap map(options, rng, sink);
  Now now{TimePoint(std::chrono::seconds(1)), 1'800'000'000};
  const auto toggle = [&](std::uint32_t slot) {
    const NodeLink link = link_at(slot);
    sink.open[slot] = !sink.open[slot];
    sink.open[slot] ? map.on_link_ready(link, now) : map.on_link_closed(link);
  };
  for (std::uint32_t slot = 0; slot < 3; ++slot) toggle(slot);

  ByteReader in(Bytes(reinterpret_cast<const std::byte*>(data), size));
  while (in.remaining() > 0) {
    const std::uint32_t slot = in.u8() % 3u;
    const std::uint8_t type = in.u8();
    const std::uint16_t length = in.u16();
    if (type == 0xff) {
      now.mono += std::chrono::milliseconds(length);
      map.on_time(now);
    } else if (type == 0xfe) {
      toggle(slot);
    } else {
      map.on_frame(link_at(slot), static_cast<std::uint8_t>(0x10 + type % 5), in.take(length), now);
    }
    const netmap::NetmapStats stats = map.stats();
    QUDAG_ASSERT(stats.held <= options.descriptors_max && stats.waiting <= options.waiting_max);
  }
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    if (sink.open[slot]) toggle(slot);
  }
  for (int i = 0; i < 8; ++i) map.on_time(now);
  QUDAG_ASSERT(map.stats().owed == 0 && map.stats().waiting == 0);
  QUDAG_ASSERT(map.next_deadline() > now.mono);
  return 0;
}
