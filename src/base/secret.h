// Secret bytes: wiped when they end, never copied by accident, compared in constant time.
#pragma once

#include "base/bytes.h"

#include <array>
#include <cstddef>
#include <utility>

namespace qudag {

/// Overwrites with zeros in a way the optimiser keeps.
void wipe(MutableBytes bytes) noexcept;

/// Constant time for equal lengths; false for different ones.
bool equal_constant_time(Bytes a, Bytes b) noexcept;

template <std::size_t N>
class Secret {
 public:
  static constexpr std::size_t kSize = N;

  Secret() = default;
  ~Secret() { wipe(data_); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : data_(other.data_) { wipe(other.data_); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      data_ = other.data_;
      wipe(other.data_);
    }
    return *this;
  }

  /// A copy is possible, but only by this name.
  Secret clone() const {
    Secret out;
    out.data_ = data_;
    return out;
  }

  MutableBytes span() { return data_; }
  Bytes span() const { return data_; }
  static constexpr std::size_t size() { return N; }

 private:
  std::array<std::byte, N> data_{};
};

using Key256 = Secret<32>;

}  // namespace qudag
