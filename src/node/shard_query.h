// An answer that needs a part from every shard.
#pragma once

#include <cstddef>
#include <functional>
#include <future>
#include <mutex>
#include <utility>
#include <vector>

namespace qudag::node {

/// Collects one part from every shard and then keeps the promise. A part may stay empty (a shard
/// that has stopped). Owners: the tasks under way.
template <class Part, class Whole>
struct ShardQuery {
  std::mutex mutex;
  std::vector<Part> parts;
  std::size_t missing = 0;
  std::promise<Whole> promise;
  std::function<Whole(std::vector<Part>&&)> combine;

  /// A shard that stops drops its tasks: what the others said is the answer then.
  ~ShardQuery() {
    if (missing > 0) promise.set_value(combine(std::move(parts)));
  }
  void put(std::size_t index, Part part) {
    const std::lock_guard lock(mutex);
    parts[index] = std::move(part);
    if (--missing == 0) promise.set_value(combine(std::move(parts)));
  }
};

}  // namespace qudag::node
