// A script of cells over a circuit of 1 to 6 hops; the thief changes, repeats, swaps or drops.
// modules: onion
//
// Byte 0: hops and priority. Then operations of one byte (and for changes offset u16, xor u8): what
// was changed must not pass, what was not must arrive as it was sent.
#include "base/assert.h"
#include "onion/support_fuzz.h"

#include <cstring>

using namespace qudag;
using namespace qudag::onion;

namespace {

struct Circuit {
  Circuit(std::size_t n, Priority c) : priority(c) {
    std::vector<HopSecrets> secrets;
    for (std::size_t i = 0; i < n; ++i) {
      HopSecrets a, b;
      for (auto* key : {&a.forward_chain, &a.backward_chain}) rng.fill(key->span());
      b = {a.forward_chain.clone(), a.backward_chain.clone()};
      hops.emplace_back(std::move(a), priority);
      secrets.push_back(std::move(b));
    }
    source.emplace(std::move(secrets), priority, rng);
  }

  memory::Block payload(std::byte fill) {
    memory::Block block = pool.take(block_size(priority));
    block.append(payload_bytes(priority));
    std::memset(block.data(), std::to_integer<int>(fill), block.size());
    return block;
  }

  memory::BlockPool pool;
  fuzz::FixedRng rng;
  Priority priority;
  std::vector<HopCrypto> hops;
  std::optional<SourceCrypto> source;
};

bool arrived(const memory::Block& block, std::byte fill, Priority priority) {
  if (block.size() != payload_bytes(priority)) return false;
  for (const std::byte b : block.bytes()) {
    if (b != fill) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  ByteReader in(std::as_bytes(std::span(data, size)));
  const std::uint8_t head = in.u8();
  Circuit c(1 + head % limits::kHopsMax, head & 0x80 ? Priority::low : Priority::normal);
  const std::size_t n = c.hops.size();
  for (int cells = 0; cells < 64 && in.remaining() > 0; ++cells) {
    const std::uint8_t op = in.u8();
    const std::byte fill{op};
    const std::size_t at_hop = (op >> 2) % n;
    const std::size_t at = in.u16() % cell_bytes(c.priority);
    const std::byte with{in.u8()};
    memory::Block cell = c.payload(fill);
    if (op & 1) {  // forward
      c.source->seal(cell);
      if (op & 2) {  // one is lost on the way
        cell = c.payload(fill);
        c.source->seal(cell);
      }
      for (std::size_t i = 0; i < n; ++i) {
        const bool bad = i == at_hop && with != std::byte{0};
        if (bad) cell.data()[at] ^= with;
        const bool passed = i + 1 == n ? c.hops[i].open(cell) : c.hops[i].forward(cell);
        QUDAG_ASSERT(passed == !(bad || (op & 2)));
        if (!passed) return 0;
      }
      QUDAG_ASSERT(arrived(cell, fill, c.priority));
    } else {  // backward
      c.hops[n - 1].seal(cell);
      if (op & 2) {
        cell = c.payload(fill);
        c.hops[n - 1].seal(cell);
      }
      bool bad = op & 2;
      for (std::size_t i = n - 1;; --i) {
        if (i == at_hop && with != std::byte{0}) {
          cell.data()[at] ^= with;
          // The last 16 bytes of what a hop that is not the first sends are dropped unread.
          bad = bad || i == 0 || at < cell_bytes(c.priority) - limits::kTagBytes;
        }
        if (i == 0) break;
        c.hops[i - 1].backward(cell);
      }
      const auto failed = c.source->open(cell);
      QUDAG_ASSERT(failed.has_value() == bad);
      if (failed) return 0;
      QUDAG_ASSERT(arrived(cell, fill, c.priority));
    }
  }
  return 0;
}
