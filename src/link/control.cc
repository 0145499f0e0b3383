#include "link/control.h"

#include <algorithm>

namespace qudag::link {
namespace {

std::size_t body_size(const std::byte* header) { return load_be<std::uint16_t>(header + 1); }

/// Moves bytes from the front of `in` until `to` has `size` bytes; true when it has.
bool top_up(std::vector<std::byte>& to, std::size_t size, Bytes& in) {
  if (to.size() < size) {
    const std::size_t n = std::min(size - to.size(), in.size());
    to.insert(to.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
    in = in.subspan(n);
  }
  return to.size() >= size;
}

}  // namespace

ControlReader::Step ControlReader::next(Bytes& in, ControlFrame& out) {
  if (held_given_) {
    held_given_ = false;
    held_ = {};  // an idle link holds no buffer
  }
  if (!held_.empty()) return next_held(in, out);
  if (in.empty()) return Step::need_more;
  if (in.size() < kControlHeaderBytes) return next_held(in, out);

  const std::size_t size = body_size(in.data());
  if (size > limits::kControlFrameBytesMax) return Step::malformed;
  if (in.size() < kControlHeaderBytes + size) return next_held(in, out);
  out.type = std::to_integer<std::uint8_t>(in[0]);
  out.body = in.subspan(kControlHeaderBytes, size);
  in = in.subspan(kControlHeaderBytes + size);
  return Step::frame;
}

ControlReader::Step ControlReader::next_held(Bytes& in, ControlFrame& out) {
  if (!top_up(held_, kControlHeaderBytes, in)) return Step::need_more;
  const std::size_t size = body_size(held_.data());
  if (size > limits::kControlFrameBytesMax) return Step::malformed;
  if (!top_up(held_, kControlHeaderBytes + size, in)) return Step::need_more;
  held_given_ = true;
  out.type = std::to_integer<std::uint8_t>(held_[0]);
  out.body = Bytes(held_).subspan(kControlHeaderBytes, size);
  return Step::frame;
}

std::array<std::byte, Hello::kSize> Hello::encode() const {
  std::array<std::byte, kSize> out{};
  ByteWriter writer(out);
  writer.u16(version_min);
  writer.u16(version_max);
  writer.u32(flags);
  return out;
}

std::optional<Hello> Hello::parse(Bytes body) {
  ByteReader reader(body);
  Hello out;
  out.version_min = reader.u16();
  out.version_max = reader.u16();
  out.flags = reader.u32();
  if (!reader.done() || out.version_min > out.version_max) return std::nullopt;
  return out;
}

}  // namespace qudag::link
