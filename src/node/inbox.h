// Messages on their way from any thread to a shard: one short lock, one wake-up per batch.
#pragma once

#include "node/shard.h"

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace qudag::node {

class Inbox {
 public:
  explicit Inbox(std::size_t requests_max) : requests_max_(requests_max) {}

  enum class Put : std::uint8_t { first, more, full, closed };
  /// `first`: the caller wakes the shard. `request` is untouched when full or closed.
  Put put(SendRequest& request) {
    const std::lock_guard lock(mutex_);
    if (closed_) return Put::closed;
    if (waiting_.size() >= requests_max_) return Put::full;
    waiting_.push_back(std::move(request));
    return waiting_.size() == 1 ? Put::first : Put::more;
  }

  std::vector<SendRequest> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

  /// The same for the shard's thread, without giving up the memory of the list: f(request) for
  /// each.
  template <class F>
  void drain(F&& f) {
    {
      const std::lock_guard lock(mutex_);
      std::swap(waiting_, draining_);
    }
    for (SendRequest& request : draining_) f(std::move(request));
    draining_.clear();
    if (draining_.capacity() > kKeptMax) draining_ = std::vector<SendRequest>();
  }

  /// Takes what is left, and nothing more comes in.
  std::vector<SendRequest> close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    return std::exchange(waiting_, {});
  }

 private:
  static constexpr std::size_t kKeptMax = 1'024;  // requests; of a larger burst nothing stays

  const std::size_t requests_max_;
  std::mutex mutex_;
  std::vector<SendRequest> waiting_;
  bool closed_ = false;
  std::vector<SendRequest> draining_;  // the shard's thread
};

}  // namespace qudag::node
