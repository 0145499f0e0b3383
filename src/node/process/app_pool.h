// Blocks for payloads that the application's threads fill, before any shard knows of them. Any
// thread; one lock, held for a chain at a time.
#pragma once

#include "base/bounded.h"
#include "memory/block.h"
#include "memory/bound.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace qudag::node {

class AppPool {
 public:
  explicit AppPool(const std::shared_ptr<memory::Bound>& bound);

  /// A chain of so many bytes; false: memory is out.
  bool take(std::size_t bytes, memory::Chain& chain, memory::For whom = memory::For::all);
  /// Gives back what the last seconds did not need, in small parts: senders wait for the lock.
  /// Returns the bytes.
  std::uint64_t trim();
  /// Gives back all that is free.
  void release_free();
  /// Blocks find their way home by it.
  memory::BlockPool& pool() { return pool_; }
  void report(BoundedList& out);

 private:
  std::mutex mutex_;
  const memory::PoolOptions options_;
  memory::BlockPool pool_;  // take, trim and empty under mutex_
};

}  // namespace qudag::node
