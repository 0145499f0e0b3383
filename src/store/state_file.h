// The form of a state file: what it is, and whether it is whole.
//
//   "qudag state\n" || kind (8) || version u32 || length u64 || SHA-256 of the body (32) || body
//
// A file that was cut off, or whose bytes changed, does not pass. Who can write the file can also
// make one that passes: it is no protection against its owner, and what stands in the body is
// parsed like anything from outside.
#pragma once

#include "base/bytes.h"

#include <qudag/error.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace qudag::store {

inline constexpr std::string_view kStateTitle = "qudag state\n";
inline constexpr std::size_t kStateKindBytes = 8;
inline constexpr std::size_t kStateHeaderBytes = 12 + kStateKindBytes + 4 + 8 + 32;

/// What a file is: a name of up to eight letters, and the version of its body.
struct StateKind {
  std::string_view name;
  std::uint32_t version = 1;
};

std::vector<std::byte> encode_state(const StateKind& kind, Bytes body);
/// The body, inside `file`. malformed (with what is wrong), unsupported: another version.
Result<Bytes> parse_state(const StateKind& kind, Bytes file);

}  // namespace qudag::store
