#include "node/buffer.h"

#include <algorithm>

namespace qudag {

Buffer::Impl::Impl(memory::Chain chain, memory::Reservation reservation,
                   std::shared_ptr<const void> keep)
    : keep_(std::move(keep)), reservation_(std::move(reservation)), chain_(std::move(chain)) {
  pieces_.reserve(chain_.blocks());
  for (memory::BlockHeader* at = chain_.front(); at != nullptr; at = at->next) {
    const MutableBytes view = memory::Chain::view(at);
    if (!view.empty()) pieces_.push_back(view);
  }
}

Buffer::Buffer() noexcept = default;
Buffer::Buffer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Buffer::~Buffer() = default;
Buffer::Buffer(Buffer&&) noexcept = default;
Buffer& Buffer::operator=(Buffer&&) noexcept = default;

std::size_t Buffer::size() const noexcept { return impl_ ? impl_->chain().bytes() : 0; }
std::size_t Buffer::piece_count() const noexcept { return impl_ ? impl_->pieces().size() : 0; }
std::span<std::byte> Buffer::piece(std::size_t index) noexcept { return impl_->pieces()[index]; }
std::span<const std::byte> Buffer::piece(std::size_t index) const noexcept {
  return impl_->pieces()[index];
}

std::vector<std::byte> Buffer::to_vector() const {
  std::vector<std::byte> out(size());
  if (impl_) impl_->chain().copy_out(out);
  return out;
}

namespace node {

bool make_chain(memory::BlockPool& pool, std::size_t bytes, memory::Chain& out) {
  using memory::BlockSize;
  while (bytes > 0) {
    const BlockSize size = bytes <= memory::kBlockCapacity[0] ? BlockSize::cell : BlockSize::bulk;
    memory::Block block = pool.take(size);
    if (!block) {
      out.clear();
      return false;
    }
    const std::size_t here = std::min(bytes, block.capacity());
    block.append(here);
    out.push_back(std::move(block));
    bytes -= here;
  }
  return true;
}

}  // namespace node
}  // namespace qudag
