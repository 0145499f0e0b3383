#include "shard/gossip/frame_queue.h"

namespace qudag::shard {

bool FrameQueue::make_place(NodeLink link) {
  const std::size_t has = lines_.length(link);
  if (has >= kPerLink) return false;
  if (lines_.size() < kMax) return true;
  const NodeLink most = lines_.longest(link);
  if (most == link || lines_.length(most) <= has + 1) return false;
  lines_.drop_last(most);
  ++gave_way_;
  return true;
}

}  // namespace qudag::shard
