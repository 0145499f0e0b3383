// Pipes between the message layer of a shard and the application.
//
// An event finds the application's end by its id. What the application wants comes as a task for
// each end (pipe_impl.h). A pipe whose opener moved to a circuit at another shard is handed over:
// the shard that was asked fetches it by two tasks, and what the application wants meanwhile waits.
//
// Threads: the shard's, but for `door()`.
#pragma once

#include "message/messages.h"
#include "message/pipe/pipes.h"
#include "shard/pipe/pipe_impl.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace qudag::shard {

/// Of all shards of a node: who is asked for a pipe of another shard.
struct PipesOfShards {
  PipesOfShards(std::size_t pipes_max, std::uint64_t bytes_max, unsigned shards)
      : node(std::make_shared<message::PipesOfNode>(pipes_max, bytes_max)), all(shards) {}
  std::shared_ptr<message::PipesOfNode> node;  // owners: shards, doors
  std::vector<ShardPipes*> all;                // each set before threads run
};

struct PipeOpening {
  NodeId destination;
  std::string service;
  PipeOptions options;
};

struct ShardSetup;

class ShardPipes final : public message::PipeListener {
 public:
  ShardPipes(const ShardSetup& setup, memory::BlockPool& pool);
  ~ShardPipes() override;
  void attach(message::Messages& messages) { messages_ = &messages; }

  std::shared_ptr<PipeDoor> door() const { return door_; }
  /// What Node::open asked for. Its end is told, now or later.
  void open(const std::shared_ptr<Pipe::Impl>& pipe, const PipeOpening& opening,
            const Status& admitted, Now now);
  /// What the application wants of that pipe.
  void serve(const std::shared_ptr<Pipe::Impl>& pipe, Now now);

  // message::PipeListener
  void on_pipe_offer(message::PipeId pipe, const message::PipeOffered& offered, Now now) override;
  void on_pipe_open(message::PipeId pipe, Now now) override;
  void on_pipe_bytes(message::PipeId pipe, memory::Chain&& bytes, memory::Reservation&& reservation,
                     Now now) override;
  void on_pipe_end(message::PipeId pipe, Now now) override;
  void on_pipe_room(message::PipeId pipe, std::uint64_t may_write, Now now) override;
  void on_pipe_closed(message::PipeId pipe, const PipeEnd& end, Now now) override;
  void fetch_pipe(std::uint32_t shard, const wire::PipeKey& key, std::uint32_t attempt) override;

 private:
  using Ends = std::shared_ptr<Pipe::Impl>;
  Ends find(message::PipeId pipe) const;
  void put(message::PipeId id, const Ends& pipe);
  void drop(message::PipeId id, const Ends& pipe);
  bool is_here(const Ends& pipe);
  template <class Event, class... Args>
  void call_out(std::string_view name, const Ends& pipe, Event& event, Args&&... args);
  void hand_over(const wire::PipeKey& key, std::uint32_t attempt, ShardPipes& to, Now now);
  void take_over(const wire::PipeKey& key, std::unique_ptr<message::Pipes::Parcel> parcel,
                 const Ends& pipe, Now now);
  void close(const Ends& pipe, const PipeEnd& end);

  const ShardSetup& setup_;
  memory::BlockPool& pool_;
  const std::shared_ptr<PipesOfShards> all_;  // owners: all shards
  const std::shared_ptr<PipeDoor> door_;      // owners: this, pipes
  message::Messages* messages_ = nullptr;
  std::unordered_map<std::uint64_t, Ends> ends_;  // owners: this, the application
};

}  // namespace qudag::shard
