// modules: netmap
// Any bytes as the file of guards; the checksum is put right first, so that the rest is reached.
// What parses keeps its bounds, is written again to the same bytes when the times are possible, and
// may be used.
#include "netmap/routes/guards.h"

#include "crypto/kdf.h"

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qudag;
  std::vector<std::byte> raw(size);
  std::transform(data, data + size, raw.begin(), [](std::uint8_t byte) { return std::byte{byte}; });
  static_cast<void>(netmap::Guards::parse(raw, 0));
  constexpr std::size_t kSum = sizeof(crypto::Digest);
  if (size >= kSum) {
    const auto sum = crypto::sha256(Bytes(raw).first(size - kSum));
    std::ranges::copy(sum, raw.end() - kSum);
  }
  for (const UnixSeconds now : {UnixSeconds{0}, UnixSeconds{1'800'000'000}, UINT64_MAX / 2}) {
    auto guards = netmap::Guards::parse(raw, now);
    if (!guards) continue;
    for (const auto layer : {netmap::Layer::first, netmap::Layer::second}) {
      QUDAG_ASSERT(guards->all(layer).size() <= netmap::Guards::kKeptMax);
      const std::chrono::seconds life = layer == netmap::Layer::first
                                            ? netmap::Guards::kFirstLifeMax
                                            : netmap::Guards::kSecondLifeMax;
      for (const netmap::Guard& guard : guards->all(layer)) {
        // A clock may be behind by decades (it was never set), one that was set by two years.
        QUDAG_ASSERT(guard.added <= now + (now > 1'735'689'600 ? 2 : 100) * 365ull * 86'400);
        QUDAG_ASSERT(guard.until <= guard.added + static_cast<UnixSeconds>(life.count()));
      }
    }
    const auto again = guards->encode();
    QUDAG_ASSERT(again.size() == size);
    const auto twice = netmap::Guards::parse(again, now);
    QUDAG_ASSERT(twice && twice->encode() == again);
    Now at{TimePoint(std::chrono::hours(1)), now};
    for (int i = 0; i < 4; ++i) {
      guards->update([i](const NodeId& id) { return (static_cast<int>(id.bytes[0]) & 1) == i % 2; },
                     at);
      at.mono += std::chrono::hours(1);
      at.unix_seconds += 86'400;
    }
  }
  return 0;
}
