#include "api/records/encoding.h"

namespace qudag::api {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kHex = "0123456789abcdef";

void put_group(std::string& out, std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  const std::uint32_t group = a << 16 | b << 8 | c;
  out.push_back(kBase64[group >> 18]);
  out.push_back(kBase64[group >> 12 & 63]);
  out.push_back(kBase64[group >> 6 & 63]);
  out.push_back(kBase64[group & 63]);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void Base64Writer::add(Bytes piece) {
  const std::uint8_t* in = u8(piece);
  std::size_t left = piece.size();
  while (left > 0 && held_count_ > 0) {
    held_[held_count_++] = *in++;
    --left;
    if (held_count_ == held_.size()) {
      put_group(out_, held_[0], held_[1], held_[2]);
      held_count_ = 0;
    }
  }
  for (; left >= 3; left -= 3, in += 3) put_group(out_, in[0], in[1], in[2]);
  while (left-- > 0) held_[held_count_++] = *in++;
}

void Base64Writer::finish() {
  if (held_count_ == 0) return;
  put_group(out_, held_[0], held_count_ > 1 ? held_[1] : 0, 0);
  out_.back() = '=';
  if (held_count_ == 1) out_[out_.size() - 2] = '=';
  held_count_ = 0;
}

std::string to_base64(Bytes bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  Base64Writer writer(out);
  writer.add(bytes);
  writer.finish();
  return out;
}

std::optional<std::vector<std::byte>> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::vector<std::byte> out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::uint32_t group = 0;
    std::size_t bytes = 3;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t index = at + i;
      std::size_t value = 0;
      if (index >= text.size() - padding) {
        --bytes;
      } else {
        value = kBase64.find(text[index]);
        if (value == std::string_view::npos) return std::nullopt;
      }
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    for (std::size_t i = 0; i < bytes; ++i) {
      out.push_back(static_cast<std::byte>(group >> (16 - 8 * i) & 0xff));
    }
  }
  return out;
}

std::string to_hex(Bytes bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out.push_back(kHex[std::to_integer<std::size_t>(b) >> 4]);
    out.push_back(kHex[std::to_integer<std::size_t>(b) & 15]);
  }
  return out;
}

bool from_hex(std::string_view text, MutableBytes out) {
  if (text.size() != out.size() * 2) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    std::byte value{};
    if (text.size() - i < 3 || !from_hex(text.substr(i + 1, 2), {&value, 1})) return std::nullopt;
    out.push_back(std::to_integer<char>(value));
    i += 2;
  }
  return out;
}

}  // namespace qudag::api
