// Pipe's inside: what any thread may say of a pipe, and how it reaches the shard.
//
//   any thread: write, end, reset, take -> what is wanted, under a lock -> one task of the shard
//   the shard: the task -> message::Pipes; its events -> the application's PipeEvents
//
// Threads: `mutex_` guards what is wanted; events and the id are the shard's. Limits: what is
// written and was not taken by the peer, by the room that the shard tells; all of it is reserved.
#pragma once

#include "memory/block.h"
#include "memory/bound.h"
#include "message/pipe/events.h"
#include "runtime/driver.h"
#include "shard/seam/environment.h"

#include <qudag/pipe.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

namespace qudag {

namespace shard {

class ShardPipes;

/// The way to a shard and to its node's memory, for as long as they are there. Any thread.
class PipeDoor {
 public:
  PipeDoor(ShardEnvironment& environment, unsigned index, ShardPipes& shard,
           std::shared_ptr<memory::Bound> bound, std::shared_ptr<message::PipesOfNode> node)
      : environment_(&environment),
        index_(index),
        shard_(&shard),
        bound_(std::move(bound)),
        node_(std::move(node)) {}

  /// False: the shard has ended, or hears nothing more.
  bool post(const std::function<void(ShardPipes&, Now)>& task);
  /// Behind `out` a copy of the first of `bytes`, as many as memory has room for, reserved; of a
  /// pipe that holds `held`. How many they are.
  std::size_t copy(std::span<const std::byte> bytes, Priority priority, std::uint64_t held,
                   memory::Chain& out);
  /// All of them, or none.
  bool reserve(Priority priority, std::uint64_t held, std::uint64_t bytes);
  void release(Priority priority, std::uint64_t bytes);
  /// The shard ends: nothing reaches it any more.
  void close();

 private:
  std::mutex mutex_;
  ShardEnvironment* environment_;  // null: closed
  const unsigned index_;
  ShardPipes* const shard_;
  memory::Budget& claim(Priority priority) {
    return bound_->claim(static_cast<std::size_t>(priority));
  }

  const std::shared_ptr<memory::Bound> bound_;        // a pipe may outlive its node
  const std::shared_ptr<message::PipesOfNode> node_;  // owners: shards, doors
};

}  // namespace shard

// Hidden: a class inside one that is exported would be as well.
class __attribute__((visibility("hidden"))) Pipe::Impl
    : public std::enable_shared_from_this<Pipe::Impl> {
 public:
  /// `door`: of the shard that has it.
  Impl(std::shared_ptr<shard::PipeDoor> door, Priority priority)
      : door_(std::move(door)), priority_(priority) {}
  ~Impl();

  static std::unique_ptr<Pipe> make(std::shared_ptr<Impl> impl) {
    return std::unique_ptr<Pipe>(new Pipe(std::move(impl)));
  }
  /// A handle that was lent to a callback: it ends without ending the pipe.
  static void give_back(std::unique_ptr<Pipe> lent) { lent->impl_.reset(); }
  static PipeOffer make_offer(std::shared_ptr<Impl> impl) { return PipeOffer(std::move(impl)); }

  // Any thread.
  Result<std::size_t> write(std::span<const std::byte> bytes);
  Status write(Buffer& bytes);
  std::size_t room() const;
  void end();
  void reset(PipeCode code);
  void take(std::size_t bytes);
  bool closed() const { return closed_.load(std::memory_order_acquire); }
  /// False: it has been answered.
  bool accept(PipeEvents&& events);
  void refuse(PipeCode code);

  // Before it is anybody else's.
  /// Nothing is posted until the shard has it: it looks at what is wanted then.
  void hold() { posted_ = true; }
  void set_events(PipeEvents&& events) { events_ = std::move(events); }
  /// The shard stopped before it heard of it: on_closed comes from here.
  void never_opened();
  void set_offered(std::string service, const NodeId& receiver) {
    service_ = std::move(service);
    receiver_ = receiver;
    answered_ = false;
  }
  const std::string& service() const { return service_; }
  const NodeId& receiver() const { return receiver_; }
  Priority priority() const { return priority_; }

 private:
  friend class shard::ShardPipes;

  enum class Answer : std::uint8_t { none, accept, refuse };
  /// What the shard has to do.
  struct Wanted {
    memory::Chain written;
    std::uint64_t taken = 0;
    bool end = false;
    bool room = false;
    Answer answer = Answer::none;
    std::optional<PipeCode> code;  // of a reset, or of a refusal
  };
  Wanted take_wanted();
  std::shared_ptr<shard::PipeDoor> door() const {
    const std::lock_guard lock(mutex_);
    return door_;
  }
  void post();
  Status may_write(const std::unique_lock<std::mutex>& held) const;

  mutable std::mutex mutex_;
  std::shared_ptr<shard::PipeDoor> door_;  // owners: the shard, and its pipes
  const Priority priority_;
  Wanted wanted_;
  bool posted_ = false;      // a task is on its way
  bool wants_room_ = false;  // a write found too little
  bool ended_ = false;
  bool answered_ = true;  // false: it is offered
  std::uint64_t written_ = 0, taken_ = 0, may_write_ = kPipeRoomMin;
  std::atomic<bool> closed_{false};
  std::string service_;
  NodeId receiver_;

  bool there_ = false;  // id_ names it; it is not on its way to another shard

  // The thread of the shard that has it.
  message::PipeId id_;
  PipeEvents events_;
  std::optional<PipeEnd> end_;  // of an offer that ended before it was answered
};

}  // namespace qudag
