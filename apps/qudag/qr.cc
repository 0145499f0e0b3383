#include "qr.h"

#include <qrencode.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace qudag::app {
namespace {

constexpr int kMargin = 2;
constexpr const char* kBlackOnWhite = "\033[40;97m";
constexpr const char* kPlain = "\033[0m";

struct Free {
  void operator()(QRcode* code) const { QRcode_free(code); }
};

}  // namespace

std::optional<std::string> qr_code(std::string_view text) {
  std::string capitals(text);
  std::ranges::transform(capitals, capitals.begin(), [](char c) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  const std::unique_ptr<QRcode, Free> code(
      QRcode_encodeString(capitals.c_str(), 0, QR_ECLEVEL_L, QR_MODE_8, 1));
  if (code == nullptr) return std::nullopt;
  const int width = code->width;
  const auto white = [&](int x, int y) {
    if (x < 0 || y < 0 || x >= width || y >= width) return true;
    return (code->data[y * width + x] & 1) == 0;
  };
  std::string out;
  for (int y = -kMargin; y < width + kMargin; y += 2) {
    out += kBlackOnWhite;
    for (int x = -kMargin; x < width + kMargin; ++x) {
      const bool upper = white(x, y), lower = white(x, y + 1);
      out += upper ? (lower ? "\u2588" : "\u2580") : (lower ? "\u2584" : " ");
    }
    out += kPlain;
    out += "\n";
  }
  return out;
}

}  // namespace qudag::app
