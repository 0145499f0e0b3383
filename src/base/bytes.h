// Views of bytes, big-endian integers, and the bounded reader and writer that every parser uses.
//
// ByteReader: each read checks the length; after the first short read `ok()` is false and every
// further read yields zeros or empty views, so a parser checks once at the end.
#pragma once

#include "base/assert.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace qudag {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline const std::uint8_t* u8(Bytes b) { return reinterpret_cast<const std::uint8_t*>(b.data()); }
inline std::uint8_t* u8(MutableBytes b) { return reinterpret_cast<std::uint8_t*>(b.data()); }

// One instruction each: parsers read many small numbers for each message.
template <class T>
void store_be(std::byte* out, T value) {
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(out, &value, sizeof value);
}

template <class T>
T load_be(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}

class ByteReader {
 public:
  explicit ByteReader(Bytes in) : in_(in) {}

  template <class T>
  T be() {
    const Bytes raw = take(sizeof(T));
    return raw.size() == sizeof(T) ? load_be<T>(raw.data()) : T{0};
  }
  std::uint8_t u8() { return be<std::uint8_t>(); }
  std::uint16_t u16() { return be<std::uint16_t>(); }
  std::uint32_t u32() { return be<std::uint32_t>(); }
  std::uint64_t u64() { return be<std::uint64_t>(); }

  /// The next n bytes as a view into the input; empty and not ok if there are fewer.
  Bytes take(std::size_t n) {
    if (n > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    const Bytes out = in_.first(n);
    in_ = in_.subspan(n);
    return out;
  }

  template <std::size_t N>
  std::array<std::byte, N> array() {
    std::array<std::byte, N> out{};
    const Bytes raw = take(N);
    if (raw.size() == N) std::memcpy(out.data(), raw.data(), N);
    return out;
  }

  Bytes rest() const { return in_; }
  std::size_t remaining() const { return in_.size(); }
  bool ok() const { return ok_; }
  /// All input read, nothing missing.
  bool done() const { return ok_ && in_.empty(); }

 private:
  Bytes in_;
  bool ok_ = true;
};

/// Writes into a buffer of known size; running over it is a defect, not an input error.
class ByteWriter {
 public:
  explicit ByteWriter(MutableBytes out) : out_(out) {}

  template <class T>
  void be(T value) {
    store_be(next(sizeof(T)), value);
  }
  void u8(std::uint8_t v) { be(v); }
  void u16(std::uint16_t v) { be(v); }
  void u32(std::uint32_t v) { be(v); }
  void u64(std::uint64_t v) { be(v); }

  void put(Bytes data) {
    if (!data.empty()) std::memcpy(next(data.size()), data.data(), data.size());
  }
  void zero(std::size_t n) {
    if (n > 0) std::memset(next(n), 0, n);
  }
  MutableBytes reserve(std::size_t n) { return {next(n), n}; }

  std::size_t written() const { return used_; }
  std::size_t remaining() const { return out_.size() - used_; }

 private:
  std::byte* next(std::size_t n) {
    QUDAG_ASSERT(n <= remaining());
    std::byte* at = out_.data() + used_;
    used_ += n;
    return at;
  }

  MutableBytes out_;
  std::size_t used_ = 0;
};

}  // namespace qudag
