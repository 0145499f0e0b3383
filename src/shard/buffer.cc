#include "shard/buffer.h"

#include <algorithm>

namespace qudag {

std::unique_ptr<Buffer::Impl> Buffer::Impl::make(memory::BlockPool& pool, memory::Chain& chain,
                                                 memory::Reservation& reservation,
                                                 std::shared_ptr<const void> keep,
                                                 memory::For whom) {
  static_assert(alignof(Impl) <= alignof(memory::BlockHeader));
  static_assert(sizeof(Impl) <= memory::kHeadroomBytes);
  memory::BlockHeader* const first = chain.front();
  memory::Block home;
  void* place = nullptr;
  if (first != nullptr && first->begin >= sizeof(Impl)) {
    place = first->data();
  } else {  // an empty message, or one whose first block has no room
    home = pool.take(memory::BlockSize::small, whom);
    if (!home) return nullptr;
    place = home.area().data();
  }
  return std::unique_ptr<Impl>(::new (place)
                                   Impl(std::move(home), chain, reservation, std::move(keep)));
}

Buffer::Impl::Impl(memory::Block home, memory::Chain& chain, memory::Reservation& reservation,
                   std::shared_ptr<const void> keep)
    : home_(std::move(home)),
      keep_(std::move(keep)),
      reservation_(std::move(reservation)),
      chain_(std::move(chain)) {
  for (memory::BlockHeader* at = chain_.front(); at != nullptr; at = at->next) {
    if (!memory::Chain::view(at).empty()) ++piece_count_;
  }
}

MutableBytes Buffer::Impl::piece(std::size_t index) const {
  if (last_ == nullptr || index < last_index_) {
    last_ = chain_.front();
    last_index_ = 0;
  }
  const auto skip_empty = [this] {
    while (memory::Chain::view(last_).empty()) last_ = last_->next;
  };
  for (skip_empty(); last_index_ < index; ++last_index_) {
    last_ = last_->next;
    skip_empty();
  }
  return memory::Chain::view(last_);
}

// The block must outlive the object that is in it.
void Buffer::Impl::operator delete(Impl* self, std::destroying_delete_t) noexcept {
  const memory::Block home = std::move(self->home_);
  const memory::Chain chain = std::move(self->chain_);
  self->~Impl();
}

Buffer::Impl::Parts Buffer::Impl::take(Buffer& buffer) {
  const std::unique_ptr<Impl> impl = std::move(buffer.impl_);
  if (impl == nullptr) return {};
  return {.chain = std::move(impl->chain_), .reservation = std::move(impl->reservation_)};
}

Buffer::Buffer() noexcept = default;
Buffer::Buffer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Buffer::~Buffer() = default;
Buffer::Buffer(Buffer&&) noexcept = default;
Buffer& Buffer::operator=(Buffer&&) noexcept = default;

std::size_t Buffer::size() const noexcept { return impl_ ? impl_->chain().bytes() : 0; }
std::size_t Buffer::piece_count() const noexcept { return impl_ ? impl_->piece_count() : 0; }
std::span<std::byte> Buffer::piece(std::size_t index) noexcept { return impl_->piece(index); }
std::span<const std::byte> Buffer::piece(std::size_t index) const noexcept {
  return impl_->piece(index);
}

std::vector<std::byte> Buffer::to_vector() const {
  std::vector<std::byte> out(size());
  if (impl_) impl_->chain().copy_out(out);
  return out;
}

namespace shard {

namespace {

/// One block for all that fits in one: a message is filled once, and goes soon.
memory::BlockSize block_for(std::size_t bytes) {
  using memory::BlockSize;
  if (bytes <= memory::capacity_of(memory::BlockSize::small)) return BlockSize::small;
  return bytes <= memory::capacity_of(memory::BlockSize::cell) ? BlockSize::cell : BlockSize::bulk;
}

}  // namespace

std::size_t chain_bytes(std::size_t bytes) {
  constexpr std::size_t kRecords = 512;  // envelope, completion, and where the shard finds them
  constexpr std::size_t kBulk = memory::capacity_of(memory::BlockSize::bulk);
  const std::size_t rest = bytes % kBulk;
  return kRecords + bytes / kBulk * memory::piece_bytes(memory::BlockSize::bulk) +
         (rest == 0 ? 0 : memory::piece_bytes(block_for(rest)));
}

bool make_chain(memory::BlockPool& pool, std::size_t bytes, memory::Chain& out, memory::For whom) {
  while (bytes > 0) {
    memory::Block block = pool.take(block_for(bytes), whom);
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

}  // namespace shard
}  // namespace qudag
