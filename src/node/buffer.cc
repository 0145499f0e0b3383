#include "node/buffer.h"

#include <algorithm>

namespace qudag {

std::unique_ptr<Buffer::Impl> Buffer::Impl::make(memory::BlockPool& pool, memory::Chain& chain,
                                                 memory::Reservation& reservation,
                                                 std::shared_ptr<const void> keep) {
  static_assert(alignof(Impl) <= 16 && sizeof(Impl) + sizeof(MutableBytes) <= 512);
  constexpr std::size_t kFewPieces = (512 - sizeof(Impl)) / sizeof(MutableBytes);
  memory::Block home =
      pool.take(chain.blocks() <= kFewPieces ? memory::BlockSize::small : memory::BlockSize::bulk);
  if (!home) return nullptr;
  void* const place = home.area().data();
  return std::unique_ptr<Impl>(::new (place)
                                   Impl(std::move(home), chain, reservation, std::move(keep)));
}

Buffer::Impl::Impl(memory::Block home, memory::Chain& chain, memory::Reservation& reservation,
                   std::shared_ptr<const void> keep)
    : home_(std::move(home)),
      keep_(std::move(keep)),
      reservation_(std::move(reservation)),
      chain_(std::move(chain)) {
  list_pieces();
}

void Buffer::Impl::list_pieces() {
  const MutableBytes rest = home_.area().subspan(sizeof(Impl));
  auto* out = reinterpret_cast<MutableBytes*>(rest.data());
  if (chain_.blocks() > rest.size() / sizeof(MutableBytes)) {
    many_.resize(chain_.blocks());
    out = many_.data();
  }
  std::size_t count = 0;
  for (memory::BlockHeader* at = chain_.front(); at != nullptr; at = at->next) {
    const MutableBytes view = memory::Chain::view(at);
    if (!view.empty()) ::new (out + count++) MutableBytes(view);
  }
  pieces_ = {out, count};
}

// The block must outlive the object that is in it.
void Buffer::Impl::operator delete(Impl* self, std::destroying_delete_t) noexcept {
  const memory::Block home = std::move(self->home_);
  self->~Impl();
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
    const BlockSize size = bytes <= memory::kBlockCapacity[2]   ? BlockSize::small
                           : bytes <= memory::kBlockCapacity[0] ? BlockSize::cell
                                                                : BlockSize::bulk;
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
