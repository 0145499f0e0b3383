#include "link/endpoint/send_queue.h"

#include "memory/pages.h"

#include <algorithm>

namespace qudag::link {

MutableBytes SendQueue::train_room() {
  const std::size_t left = kOutboxBytes - used_;
  if (left < kOutboxSpareBytes + kTrainBytesMax) return {};
  return {memory_.get() + used_, kTrainBytesMax};
}

MutableBytes SendQueue::packet_room(std::size_t bytes) {
  if (kOutboxBytes - used_ < bytes) return {};
  return {memory_.get() + used_, bytes};
}

void SendQueue::add(const TrainInfo& train) {
  runtime::Train out;
  out.to = train.to;
  out.from = train.from;
  out.data = Bytes(memory_.get() + used_, train.bytes);
  out.segment = train.segment;
  out.ecn = train.ecn;
  trains_.push_back(out);
  used_ += train.bytes;
  datagrams_ += (train.bytes + train.segment - 1) / train.segment;
}

bool SendQueue::send(runtime::DatagramSocket& socket) {
  if (trains_.empty()) return true;
  const std::size_t taken = socket.send(trains_);
  trains_.erase(trains_.begin(), trains_.begin() + static_cast<std::ptrdiff_t>(taken));
  if (trains_.empty()) used_ = 0;
  return trains_.empty();
}

void SendQueue::trim() {
  if (trains_.empty()) memory::drop_pages({memory_.get(), kOutboxBytes});
}

}  // namespace qudag::link
