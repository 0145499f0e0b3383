// Lower-case base32 (RFC 4648) without padding; read in either case. One text for each bytes. In
// address.cc, whose ids are the most of it.
#pragma once

#include "base/bytes.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag {

std::string base32_text(Bytes bytes);

/// The value of one character; nothing: it is none.
std::optional<unsigned> base32_value(char c);

/// Nothing: a character that is none, a length that no bytes have, or spare bits that are not zero.
std::optional<std::vector<std::byte>> parse_base32(std::string_view text);

}  // namespace qudag
