// Text forms of bytes: base64 (RFC 4648, section 4), hexadecimal, percent-decoding (RFC 3986, 2.1).
#pragma once

#include "base/bytes.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::api {

/// Appends base64 piece by piece: a payload in blocks becomes one text without a copy in between.
class Base64Writer {
 public:
  explicit Base64Writer(std::string& out) : out_(out) {}
  void add(Bytes piece);
  /// Writes what is left of the last group, with padding.
  void finish();

 private:
  std::string& out_;
  std::array<std::uint8_t, 3> held_{};
  std::size_t held_count_ = 0;
};

std::string to_base64(Bytes bytes);
std::optional<std::vector<std::byte>> from_base64(std::string_view text);

std::string to_hex(Bytes bytes);
/// False unless `text` is exactly two hexadecimal characters for each byte of `out`.
bool from_hex(std::string_view text, MutableBytes out);

/// Empty when a percent sign is not followed by two hexadecimal characters.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace qudag::api
