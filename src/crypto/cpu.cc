// OpenSSL gives its words as text: "OPENSSL_ia32cap=0x<leaf 1>:0x<leaf 7>:..." on x86-64, of 64
// bits each (OPENSSL_ia32cap(3)), "OPENSSL_armcap=0x<word>" on ARM.
#include "crypto/cpu.h"

#include <openssl/crypto.h>

#include <array>
#include <charconv>
#include <string_view>

namespace qudag::crypto {
namespace {

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }

/// The words behind a name; zeros where there are none.
std::array<std::uint64_t, 2> words_of(std::string_view text, std::string_view name) {
  std::array<std::uint64_t, 2> words{};
  const std::size_t at = text.find(name);
  if (at == std::string_view::npos) return words;
  text.remove_prefix(at + name.size());
  for (std::uint64_t& word : words) {
    if (text.starts_with("0x")) text.remove_prefix(2);
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, word, 16);
    if (error != std::errc{} || stop == end || *stop != ':') break;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()) + 1);
  }
  return words;
}

CpuFeatures ask() {
  const char* const settings = OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS);
  if (settings == nullptr) return {};
  const auto has = [](std::uint64_t word, std::uint64_t wanted) {
    return (word & wanted) == wanted;
  };
  // Leaf 1: EDX, then ECX. Leaf 7: EBX, then ECX.
  const auto [basic, extended] = words_of(settings, "OPENSSL_ia32cap=");
  const auto arm = words_of(settings, "OPENSSL_armcap=")[0];
  constexpr std::uint64_t kPclmul = bit(33), kAesNi = bit(57), kAvx = bit(60);
  constexpr std::uint64_t kAvx2 = bit(5), kVaes = bit(41), kVpclmul = bit(42);
  constexpr std::uint64_t kAvx512 = bit(16) | bit(17) | bit(30) | bit(31);  // F, DQ, BW, VL
  constexpr std::uint64_t kArmAes = bit(2), kArmPmull = bit(5);
  CpuFeatures out;
  out.aes = has(basic, kPclmul | kAesNi) || has(arm, kArmAes | kArmPmull);
  out.avx2 = has(basic, kPclmul | kAesNi | kAvx) && has(extended, kAvx2);
  out.vaes = out.avx2 && has(extended, kVaes | kVpclmul);
  out.avx512 = out.avx2 && has(extended, kAvx512);
  return out;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = ask();
  return features;
}

}  // namespace qudag::crypto
