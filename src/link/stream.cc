#include "link/stream.h"

#include "base/assert.h"

namespace qudag::link {

void Stream::push(memory::Block block) {
  const std::size_t size = block.size();
  if (size == 0) return;
  queue_.push_back(std::move(block));
  queued_ += size;
  if (cursor_ == nullptr) {
    cursor_ = queue_.back();
    cursor_used_ = 0;
  }
}

std::size_t Stream::pending(std::span<ngtcp2_vec> pieces, std::size_t bytes_wanted) const {
  std::size_t count = 0;
  std::size_t bytes = 0;
  std::size_t skip = cursor_used_;
  for (memory::BlockHeader* at = cursor_;
       at != nullptr && count < pieces.size() && bytes < bytes_wanted; at = at->next) {
    const MutableBytes view = memory::Chain::view(at).subspan(skip);
    skip = 0;
    pieces[count++] = {u8(view), view.size()};
    bytes += view.size();
  }
  return count;
}

void Stream::sent(std::size_t bytes) {
  QUDAG_ASSERT(bytes <= queued_);
  queued_ -= bytes;
  sent_unreported += bytes;
  while (bytes > 0) {
    const std::size_t left = memory::Chain::view(cursor_).size() - cursor_used_;
    if (bytes < left) {
      cursor_used_ += bytes;
      return;
    }
    bytes -= left;
    cursor_ = cursor_->next;
    cursor_used_ = 0;
  }
}

void Stream::acked(std::size_t bytes) {
  front_acked_ += bytes;
  while (!queue_.empty()) {
    const std::size_t size = memory::Chain::view(queue_.front()).size();
    if (queue_.front() == cursor_ || front_acked_ < size) break;
    front_acked_ -= size;
    queue_.pop_front();
  }
}

}  // namespace qudag::link
