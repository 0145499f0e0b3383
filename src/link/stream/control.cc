#include "link/stream/control.h"

#include <algorithm>

namespace qudag::link {
namespace {

using wire::kControlHeaderBytes;

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

  const wire::ControlHeader header = *wire::parse_control_header(in);
  if (!wire::length_is_valid(header)) return Step::malformed;
  const std::size_t size = header.length;
  if (in.size() < kControlHeaderBytes + size) return next_held(in, out);
  out.type = header.type;
  out.body = in.subspan(kControlHeaderBytes, size);
  in = in.subspan(kControlHeaderBytes + size);
  return Step::frame;
}

ControlReader::Step ControlReader::next_held(Bytes& in, ControlFrame& out) {
  if (!top_up(held_, kControlHeaderBytes, in)) return Step::need_more;
  const wire::ControlHeader header = *wire::parse_control_header(held_);
  if (!wire::length_is_valid(header)) return Step::malformed;
  const std::size_t size = header.length;
  if (!top_up(held_, kControlHeaderBytes + size, in)) return Step::need_more;
  held_given_ = true;
  out.type = header.type;
  out.body = Bytes(held_).subspan(kControlHeaderBytes, size);
  return Step::frame;
}

}  // namespace qudag::link
