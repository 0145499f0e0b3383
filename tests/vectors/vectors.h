// Reads the files of this folder, and hex in tests. A vector that is missing fails the test.
#pragma once

#include "base/bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::test {

inline std::vector<std::byte> unhex(std::string_view text) {
  std::vector<std::byte> out;
  EXPECT_EQ(text.size() % 2, 0u) << "odd number of hex digits";
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<std::byte>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

template <std::size_t N>
std::array<std::byte, N> unhex_array(std::string_view text) {
  std::array<std::byte, N> out{};
  const auto bytes = unhex(text);
  EXPECT_EQ(bytes.size(), N);
  if (bytes.size() == N) std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

inline std::string hex(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::byte b : bytes) {
    out += kDigits[std::to_integer<std::size_t>(b) >> 4];
    out += kDigits[std::to_integer<std::size_t>(b) & 15];
  }
  return out;
}

/// Lines `name = hex`.
class Vectors {
 public:
  explicit Vectors(const std::string& path) {
    std::ifstream in(path);
    EXPECT_TRUE(in) << path;
    for (std::string line; std::getline(in, line);) {
      const auto at = line.find(" = ");
      if (line.starts_with('#') || at == std::string::npos) continue;
      values_[line.substr(0, at)] = line.substr(at + 3);
    }
  }

  std::vector<std::byte> bytes(const std::string& name) const { return unhex(text(name)); }
  template <std::size_t N>
  std::array<std::byte, N> array(const std::string& name) const {
    return unhex_array<N>(text(name));
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, value] : values_) out.push_back(name);
    return out;
  }
  std::string text(const std::string& name) const {
    const auto it = values_.find(name);
    EXPECT_NE(it, values_.end()) << name;
    return it == values_.end() ? std::string() : it->second;
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace qudag::test
