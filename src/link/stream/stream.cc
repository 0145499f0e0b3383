#include "link/stream/stream.h"

#include "base/assert.h"

#include <cstring>
#include <utility>

namespace qudag::link {

Stream::~Stream() {
  while (head_ != nullptr) pop_front();
}

void Stream::pop_front() {
  const memory::Block gone_home(std::exchange(head_, head_->next));
  if (head_ == nullptr) tail_ = nullptr;
}

void Stream::push(memory::Block block) {
  const auto size = static_cast<std::uint32_t>(block.size());
  if (size == 0) return;
  memory::BlockHeader* const last = block.release();
  last->next = nullptr;
  (tail_ != nullptr ? tail_->next : head_) = last;
  tail_ = last;
  queued_ += size;
  if (cursor_ == nullptr) {
    cursor_ = last;
    cursor_used_ = 0;
  }
}

bool Stream::append(Bytes bytes) {
  if (cursor_ == nullptr) return false;  // all of it is in packets: its end tells when it goes home
  memory::Block last(tail_);
  const bool fits = last.capacity() - last.size() >= bytes.size();
  if (fits) {
    const std::size_t at = last.size();
    last.append(bytes.size());
    std::memcpy(last.data() + at, bytes.data(), bytes.size());
    queued_ += static_cast<std::uint32_t>(bytes.size());
  }
  static_cast<void>(last.release());
  return fits;
}

void Stream::drop_queued() {
  if (cursor_ == nullptr) return;
  memory::BlockHeader* last = nullptr;  // that stays, because it is in a packet
  if (cursor_used_ > 0) {
    last = cursor_;
  } else {
    for (memory::BlockHeader* at = head_; at != cursor_; at = at->next) last = at;
  }
  memory::BlockHeader* rest = std::exchange(last != nullptr ? last->next : head_, nullptr);
  while (rest != nullptr) {
    const memory::Block gone_home(std::exchange(rest, rest->next));
  }
  tail_ = last;
  cursor_ = nullptr;
  cursor_used_ = 0;
  queued_ = 0;
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

void Stream::sent(std::size_t size) {
  QUDAG_ASSERT(size <= queued_);
  auto bytes = static_cast<std::uint32_t>(size);
  queued_ -= bytes;
  unacked_ += bytes;
  sent_unreported += bytes;
  while (bytes > 0) {
    const std::uint32_t left = cursor_->end - cursor_->begin - cursor_used_;
    if (bytes < left) {
      cursor_used_ = static_cast<std::uint16_t>(cursor_used_ + bytes);
      return;
    }
    bytes -= left;
    cursor_ = cursor_->next;
    cursor_used_ = 0;
  }
}

void Stream::acked(std::size_t size) {
  unacked_ -= static_cast<std::uint32_t>(size);
  std::size_t bytes = front_acked_ + size;
  while (head_ != nullptr) {
    const std::uint32_t block = head_->end - head_->begin;
    if (head_ == cursor_ || bytes < block) break;
    bytes -= block;
    pop_front();
  }
  front_acked_ = static_cast<std::uint16_t>(bytes);
}

}  // namespace qudag::link
