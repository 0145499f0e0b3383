// The onion shape that build messages, replies and cells share (docs/reference/protocol.md, 5.1
// and 5.4).
//
// A unit of `unit` bytes is `header || encrypted`, header being what a hop reads in clear (tag, or
// KEM ciphertext and tag). A hop takes or adds `step` bytes at the front, and adds or takes as many
// at the end. These functions compute the tails that a source must know ahead: pure, in place,
// no allocation.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"
#include "crypto/aead.h"

#include <cstddef>
#include <span>

namespace qudag::onion {

struct Shape {
  std::size_t unit;                                                  // U
  std::size_t header;                                                // h
  std::size_t step;                                                  // D
  constexpr std::size_t encrypted() const { return unit - header; }  // T
};

inline constexpr Shape kBuildShape{limits::kBuildMessageBytes,
                                   limits::kKemCiphertextBytes + limits::kTagBytes,
                                   limits::kBuildLayerBytes};
inline constexpr Shape kReplyShape{limits::kReplyMessageBytes, limits::kTagBytes,
                                   limits::kReplyLayerBytes};
inline constexpr Shape kSmallCellShape{limits::kSmallCellBytes, limits::kTagBytes,
                                       limits::kTagBytes};
inline constexpr Shape kBulkCellShape{limits::kBulkCellBytes, limits::kTagBytes, limits::kTagBytes};

/// phi_n of section 5.4, as the *text* that the innermost seal must end with (already XORed with
/// that layer's keystream): out.size() == step * (n - 1), fillers[i] is hop i+1's filler (step
/// bytes), keys[i] hop i+1's AEAD. keys.size() == n, fillers.size() >= n - 1.
void forward_tail(const Shape& shape, std::span<crypto::Aead* const> keys,
                  const crypto::Nonce& nonce, std::span<const Bytes> fillers, MutableBytes out);

/// What hop j-1 drops, for j = 2..n: n - 1 pieces of `step` bytes, piece j-2 at out[(j-2) * step].
/// out.size() == step * (n - 1).
void backward_tails(const Shape& shape, std::span<crypto::Aead* const> keys,
                    const crypto::Nonce& nonce, MutableBytes out);

/// Cells ahead: the same two for a run of units with the nonces first_counter, first_counter + 1
/// ..., one pass of AES per hop. At most kRunMax units; for shapes whose tails fit kRunStrideMax
/// (cells).
inline constexpr std::size_t kRunMax = 32;
inline constexpr std::size_t kRunStrideMax = limits::kCellReserveBytes;

/// Unit c's text is the last step * (n - 1) bytes of out[c * stride .. (c + 1) * stride); what is
/// before it stays. fillers[i] holds `count` fillers of hop i+1 in a row.
void forward_tail_run(const Shape& shape, std::span<crypto::Aead* const> keys,
                      std::uint64_t first_counter, std::size_t count,
                      std::span<const Bytes> fillers, std::size_t stride, MutableBytes out);

/// Unit c's pieces are at out[c * step * (n - 1)].
void backward_tails_run(const Shape& shape, std::span<crypto::Aead* const> keys,
                        std::uint64_t first_counter, std::size_t count, MutableBytes out);

}  // namespace qudag::onion
