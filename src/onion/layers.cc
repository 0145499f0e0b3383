// Steps: each hop XORs its keystream onto the tail that it saw and appends its filler (forward), or
// XORs its keystream onto the tail that it kept (backward). Both recurrences of section 5.4 grow or
// shrink at the end of one buffer, so they run in place.
#include "onion/layers.h"

#include "base/assert.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace qudag::onion {
namespace {

void xor_into(MutableBytes out, const std::byte* with) {
  std::byte* to = out.data();
  const std::size_t n = out.size();
  for (std::size_t i = 0; i < n; ++i) to[i] ^= with[i];
}

// out ^= the last out.size() bytes of the keystream of a unit.
void xor_last_keystream(const Shape& shape, crypto::Aead& key, const crypto::Nonce& nonce,
                        MutableBytes out) {
  std::array<std::byte, 1024> scratch;
  std::size_t at = shape.encrypted() - out.size();
  while (!out.empty()) {
    const std::size_t n = std::min(out.size(), scratch.size());
    key.keystream(nonce, at, MutableBytes(scratch).first(n));
    xor_into(out.first(n), scratch.data());
    out = out.subspan(n);
    at += n;
  }
}

}  // namespace

void forward_tail(const Shape& shape, std::span<crypto::Aead* const> keys,
                  const crypto::Nonce& nonce, std::span<const Bytes> fillers, MutableBytes out) {
  const std::size_t n = keys.size();
  QUDAG_ASSERT(n >= 1 && fillers.size() + 1 >= n && out.size() == shape.step * (n - 1));
  for (std::size_t hop = 0; hop < n; ++hop) {
    xor_last_keystream(shape, *keys[hop], nonce, out.first(shape.step * hop));
    if (hop + 1 == n) break;
    QUDAG_ASSERT(fillers[hop].size() == shape.step);
    std::memcpy(out.data() + shape.step * hop, fillers[hop].data(), shape.step);
  }
}

void backward_tails(const Shape& shape, std::span<crypto::Aead* const> keys,
                    const crypto::Nonce& nonce, MutableBytes out) {
  const std::size_t n = keys.size();
  QUDAG_ASSERT(n >= 1 && out.size() == shape.step * (n - 1));
  // What hop j - 1 drops is the last piece of t_j; t_{j-1} is made from the pieces before it, so
  // the pieces that are final stay where they are.
  if (!out.empty()) std::memset(out.data(), 0, out.size());
  for (std::size_t hop = n; hop-- > 1;) {
    xor_last_keystream(shape, *keys[hop], nonce, out.first(shape.step * hop));
  }
}

void forward_tail_run(const Shape& shape, std::span<crypto::Aead* const> keys,
                      std::uint64_t first_counter, std::size_t count,
                      std::span<const Bytes> fillers, std::size_t stride, MutableBytes out) {
  const std::size_t n = keys.size();
  const std::size_t step = shape.step;
  const std::size_t at = stride - step * (n - 1);
  QUDAG_ASSERT(count <= kRunMax && out.size() == count * stride && stride <= kRunStrideMax);
  std::array<std::byte, kRunMax * kRunStrideMax> scratch;
  for (std::size_t hop = 0; hop < n; ++hop) {
    const std::size_t known = step * hop;
    if (known > 0) {
      keys[hop]->keystream_run(first_counter, count, shape.encrypted() - known, known,
                               MutableBytes(scratch).first(count * known));
    }
    for (std::size_t c = 0; c < count; ++c) {
      std::byte* tail = out.data() + c * stride + at;
      xor_into({tail, known}, scratch.data() + c * known);
      if (hop + 1 < n) std::memcpy(tail + known, fillers[hop].data() + c * step, step);
    }
  }
}

void backward_tails_run(const Shape& shape, std::span<crypto::Aead* const> keys,
                        std::uint64_t first_counter, std::size_t count, MutableBytes out) {
  const std::size_t n = keys.size();
  const std::size_t stride = shape.step * (n - 1);
  QUDAG_ASSERT(count <= kRunMax && out.size() == count * stride && stride <= kRunStrideMax);
  std::array<std::byte, kRunMax * kRunStrideMax> scratch;
  if (!out.empty()) std::memset(out.data(), 0, out.size());
  for (std::size_t hop = n; hop-- > 1;) {
    const std::size_t known = shape.step * hop;
    keys[hop]->keystream_run(first_counter, count, shape.encrypted() - known, known,
                             MutableBytes(scratch).first(count * known));
    for (std::size_t c = 0; c < count; ++c) {
      xor_into({out.data() + c * stride, known}, scratch.data() + c * known);
    }
  }
}

}  // namespace qudag::onion
