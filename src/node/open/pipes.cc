// Pipes of the public Node: the way in, and whom those are offered to that others open.
#include "node/impl.h"
#include "shard/pipe/pipe_impl.h"
#include "shard/pipe/shard_pipes.h"
#include "wire/pipe_frames.h"

#include <utility>

namespace qudag {

namespace {

using namespace std::chrono_literals;

Status check(const PipeOptions& options, std::string_view service, std::size_t first) {
  if (!wire::is_service_name(service)) {
    return fail(Errc::invalid_argument, "a service is 1 to 24 of a-z, 0-9 and -");
  }
  if (options.priority != Priority::normal && options.priority != Priority::low) {
    return fail(Errc::invalid_argument, "priority is normal or low");
  }
  if (options.relays > kRelaysMax) return fail(Errc::invalid_argument, "relays must be 0 to 5");
  if (options.open_max < 1ms || options.open_max > 1h) {
    return fail(Errc::invalid_argument, "open_max must be 1 ms to 1 h");
  }
  if (first > kPipeFirstBytesMax) return fail(Errc::too_large, "the first bytes of a pipe");
  return {};
}

/// On its way to a shard. One that stops meanwhile drops it, and the pipe hears of that.
struct OpenTask {
  OpenTask(std::shared_ptr<Pipe::Impl> pipe, shard::PipeOpening what)
      : impl(std::move(pipe)), opening(std::move(what)) {}
  ~OpenTask() {
    if (impl) impl->never_opened();
  }
  OpenTask(const OpenTask&) = delete;
  OpenTask& operator=(const OpenTask&) = delete;

  std::shared_ptr<Pipe::Impl> impl;  // owners: this, the application, then the shard
  shard::PipeOpening opening;
};

}  // namespace

Result<std::unique_ptr<Pipe>> Node::Impl::open(const NodeId& destination, std::string_view service,
                                               const PipeOptions& options, PipeEvents events,
                                               std::span<const std::byte> first) {
  if (auto ok = check(options, service, first.size()); !ok) return std::unexpected(ok.error());
  if (stopping_.load(std::memory_order_acquire)) return fail(Errc::shutting_down);
  const memory::Budget& places = pipes_->node->places();
  if (places.used() >= places.bytes_max()) {
    return fail(Errc::refused_queue_full, "limits.pipes is reached");
  }
  SendOptions like;  // so that they meet messages that may share a circuit
  like.isolation = options.isolation;
  like.priority = options.priority;
  like.relays = options.relays;
  node::ShardThread& thread = threads_[shard_for(destination, like)];
  auto impl = std::make_shared<Pipe::Impl>(thread.shard->pipe_door(), options.priority);
  impl->set_events(std::move(events));
  if (!first.empty()) {
    impl->hold();  // until the shard has it
    const auto written = impl->write(first);
    if (!written) return std::unexpected(written.error());
    if (*written < first.size()) return fail(Errc::refused_memory, "limits.memory");
  }
  const auto task = std::make_shared<OpenTask>(
      impl, shard::PipeOpening{destination, std::string(service), options});
  const bool told = thread.loop->post_or_keep([shard = thread.shard.get(), task](Now now) {
    shard->open_pipe(std::exchange(task->impl, nullptr), task->opening, now);
  });
  if (!told) {
    task->impl = nullptr;
    return fail(Errc::refused_queue_full, "a shard is too far behind");
  }
  return Pipe::Impl::make(std::move(impl));
}

bool Node::Impl::pipe_blocks(std::size_t bytes, memory::Chain& out) {
  return app_pool_.take(bytes, out);
}

void Node::Impl::on_pipe(PipeOffer&& offer) {
  std::shared_ptr<PipeHandler> handler;
  {
    const std::lock_guard lock(handler_mutex_);
    handler = pipe_handler_;
  }
  if (!handler) return offer.refuse(PipeCode::no_such_service);
  call_out("pipe", [&] { (*handler)(std::move(offer)); });
}

void Node::Impl::set_pipe_handler(PipeHandler handler) {
  auto made = handler ? std::make_shared<PipeHandler>(std::move(handler)) : nullptr;
  const std::lock_guard lock(handler_mutex_);
  pipe_handler_.swap(made);
}

Result<std::unique_ptr<Pipe>> Node::open(const NodeId& destination, std::string_view service,
                                         const PipeOptions& options, PipeEvents events,
                                         std::span<const std::byte> first) {
  return impl_->open(destination, service, options, std::move(events), first);
}

void Node::on_pipe(PipeHandler handler) { impl_->set_pipe_handler(std::move(handler)); }

std::future<std::vector<PipeStatus>> Node::pipes() const {
  using Rows = std::vector<PipeStatus>;
  return impl_->gather<Rows, Rows>(
      [](node::ShardThread& thread) { return thread.shard->pipes(runtime::system_now()); },
      [](std::vector<Rows>&& parts) {
        Rows all;
        for (Rows& part : parts) {
          all.insert(all.end(), std::make_move_iterator(part.begin()),
                     std::make_move_iterator(part.end()));
        }
        return all;
      });
}

}  // namespace qudag
