#include "node/process/app_pool.h"

#include "shard/buffer.h"

namespace qudag::node {

namespace {

constexpr std::size_t kPiecesAtOnce = 256;

memory::PoolOptions options_of(const std::shared_ptr<memory::Bound>& bound) {
  memory::PoolOptions out;
  for (std::size_t i = 0; i < memory::kBlockSizeCount; ++i) {
    out.blocks_max[i] =
        static_cast<std::size_t>(bound->node().bytes_max() / memory::kBlockCapacity[i]);
  }
  out.shared = true;
  out.budget = memory::share(bound, memory::Part::blocks);
  out.high_budget = memory::share(bound, memory::Part::high_blocks);
  return out;
}

}  // namespace

AppPool::AppPool(const std::shared_ptr<memory::Bound>& bound)
    : options_(options_of(bound)), pool_(options_) {}

bool AppPool::take(std::size_t bytes, memory::Chain& chain, memory::For whom) {
  const std::lock_guard lock(mutex_);
  return shard::make_chain(pool_, bytes, chain, whom);
}

std::uint64_t AppPool::trim() {
  std::uint64_t pieces = 0;
  for (bool more = true; more;) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t before = pool_.stats().trimmed;
    more = pool_.trim(kPiecesAtOnce);
    pieces += pool_.stats().trimmed - before;
  }
  return pieces * memory::capacity_of(memory::BlockSize::cell);
}

void AppPool::release_free() {
  const std::lock_guard lock(mutex_);
  static_cast<void>(pool_.release_free());
}

void AppPool::report(BoundedList& out) {
  const std::lock_guard lock(mutex_);
  memory::report("blocks of the application", options_, pool_.stats(), out);
}

}  // namespace qudag::node
