// What pipes tell the shard, and what pipes of all shards of a node share.
#pragma once

#include "base/time.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "wire/pipe_frames.h"

#include <qudag/message.h>
#include <qudag/pipe.h>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace qudag::message {

/// Names a pipe of this shard, from its opening or offer to its on_pipe_closed.
struct PipeId {
  std::uint64_t value = 0;
  auto operator<=>(const PipeId&) const = default;
};

struct PipeOffered {
  std::string service;
  NodeId receiver;
  Priority priority = Priority::normal;
};

class PipeListener {
 public:
  virtual ~PipeListener() = default;
  /// To be answered by accept() or refuse(), now or later.
  virtual void on_pipe_offer(PipeId pipe, const PipeOffered& offered, Now now) = 0;
  virtual void on_pipe_open(PipeId pipe, Now now) = 0;
  virtual void on_pipe_bytes(PipeId pipe, memory::Chain&& bytes, memory::Reservation&& reservation,
                             Now now) = 0;
  virtual void on_pipe_end(PipeId pipe, Now now) = 0;
  /// So many bytes may have been written since the beginning; more each time.
  virtual void on_pipe_room(PipeId pipe, std::uint64_t may_write, Now now) = 0;
  virtual void on_pipe_closed(PipeId pipe, const PipeEnd& end, Now now) = 0;
  /// That shard has the pipe of that key, whose opener moves to a circuit that ends here:
  /// Pipes::take_over follows, with it or without it.
  virtual void fetch_pipe(std::uint32_t shard, const wire::PipeKey& key, std::uint32_t attempt) {
    static_cast<void>(shard), static_cast<void>(key), static_cast<void>(attempt);
  }
};

/// Bounds of all pipes of a node, and which shard has those that others opened. Any thread.
class PipesOfNode {
 public:
  PipesOfNode(std::size_t pipes_max, std::uint64_t bytes_max)
      : places_("pipes", pipes_max), bytes_("bytes of pipes", bytes_max) {}

  /// Windows and what is written: of the claim of a priority, and of what pipes may have together.
  [[nodiscard]] bool reserve(memory::Budget& claim, std::uint64_t bytes) {
    if (!bytes_.reserve(bytes)) return false;
    if (claim.reserve(bytes)) return true;
    bytes_.release(bytes);
    return false;
  }
  memory::Budget& places() { return places_; }
  memory::Budget& bytes() { return bytes_; }

  void put(const wire::PipeKey& key, std::uint32_t shard) {
    const std::lock_guard lock(mutex_);
    shards_[key] = shard;
  }
  void erase(const wire::PipeKey& key, std::uint32_t shard) {
    const std::lock_guard lock(mutex_);
    const auto at = shards_.find(key);
    if (at != shards_.end() && at->second == shard) shards_.erase(at);
  }
  std::optional<std::uint32_t> shard_of(const wire::PipeKey& key) {
    const std::lock_guard lock(mutex_);
    const auto at = shards_.find(key);
    return at == shards_.end() ? std::nullopt : std::optional(at->second);
  }

 private:
  // Peers choose the keys; a bucket that one fills on purpose holds no more than `places`.
  struct KeyHash {
    std::size_t operator()(const wire::PipeKey& key) const {
      std::size_t value = 0;
      std::memcpy(&value, key.data(), sizeof value);
      return value;
    }
  };
  memory::Budget places_;
  memory::Budget bytes_;
  std::mutex mutex_;
  std::unordered_map<wire::PipeKey, std::uint32_t, KeyHash> shards_;
};

}  // namespace qudag::message
