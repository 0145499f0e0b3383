// The way in of a message, on the application's thread: limiter -> its flow's room -> reserve, copy
// or take the chain -> intake of the destination's shard. And the way out of what it counts: what
// has ended makes room.
#include "node/impl.h"
#include "shard/flow_queue.h"
#include "shard/reply_address.h"

#include <algorithm>

namespace qudag {

namespace {

using namespace std::chrono_literals;

void clear(memory::Chain& chain) {
  for (memory::BlockHeader* at = chain.front(); at != nullptr; at = at->next) {
    std::ranges::fill(memory::Chain::view(at), std::byte{0});
  }
}

/// Short: this is said often.
constexpr const char* kSlowFlow = "flow is full";

/// Senders that neither wait nor hear of room would only be refused: the bounds of their priority
/// are theirs.
bool enter_flow(const shard::SendRequest& request, std::size_t bytes, bool hears_of_room,
                node::ShardThread& thread) {
  if (request.queue == message::FlowQueues::kNone) return true;
  const std::uint32_t counted = message::FlowQueues::counted(bytes);
  if (hears_of_room) return thread.queues->enter(request.queue, counted);
  thread.queues->enter_anyway(request.queue, counted);
  return true;
}

std::unexpected<Error> memory_is_out() {
  return fail(Errc::refused_memory, "limits.memory is reached");
}

}  // namespace

unsigned Node::Impl::shard_for(const NodeId& destination, const SendOptions& options) const {
  // What may share a circuit must meet on one shard; the rest spreads by load.
  return placement_->shard_of(std::hash<NodeId>{}(destination) + options.isolation * 0x9e3779b9 +
                              static_cast<std::size_t>(options.priority) * 31 + options.relays);
}

Status Node::Impl::reserve(std::size_t bytes, Priority priority, memory::Reservation& reservation) {
  if (bytes > kMessageBytesMax) return fail(Errc::too_large, "a message has at most 64 MiB");
  reservation = memory::Reservation::take(bound_->claim(static_cast<std::size_t>(priority)),
                                          shard::chain_bytes(bytes));
  if (!reservation) return memory_is_out();
  return {};
}

Result<Buffer> Node::Impl::buffer(std::size_t bytes) {
  memory::Reservation reservation;
  if (auto ok = reserve(bytes, Priority::normal, reservation); !ok)
    return std::unexpected(ok.error());
  memory::Chain chain;
  if (!app_pool_.take(bytes, chain)) return memory_is_out();
  clear(chain);  // another message was there: what the application leaves out is zeros
  auto impl = Buffer::Impl::make(app_pool_.pool(), chain, reservation, bound_);
  if (!impl) return memory_is_out();
  return Buffer::Impl::wrap(std::move(impl));
}

Result<MessageId> Node::Impl::send(shard::SendRequest request, unsigned shard, RoomMax room_max) {
  node::ShardThread& thread = threads_[shard];
  const std::size_t bytes = request.payload.bytes();
  if (!request.id) request.id = thread.ids->next();
  const MessageId id = *request.id;
  const Status sent =
      when_room(request, bytes, thread, room_max, [&] { return put(request, thread); });
  if (!sent) return std::unexpected(sent.error());
  return id;
}

Result<MessageId> Node::Impl::send_copy(shard::SendRequest request,
                                        std::span<const std::byte> payload, unsigned shard,
                                        RoomMax room_max) {
  node::ShardThread& thread = threads_[shard];
  if (!request.id) request.id = thread.ids->next();
  const MessageId id = *request.id;
  const auto attempt = [&]() -> Status {
    if (auto ok = reserve(payload.size(), request.options.priority, request.reservation); !ok)
      return ok;
    const bool high = request.options.priority == Priority::high;
    const memory::For whom = high ? memory::For::high : memory::For::all;
    if (!app_pool_.take(payload.size(), request.payload, whom)) return memory_is_out();
    request.payload.copy_from(payload);
    return put(request, thread);
  };
  const Status sent = when_room(request, payload.size(), thread, room_max, attempt);
  if (!sent) return std::unexpected(sent.error());
  return id;
}

/// Lets the message in and tries; what found no room pauses the limiter, and waits there if it
/// wishes.
template <class Try>
Status Node::Impl::when_room(shard::SendRequest& request, std::size_t bytes,
                             node::ShardThread& thread, RoomMax room_max, Try&& attempt) {
  const SendOptions& options = request.options;
  if (options.relays > kRelaysMax) return fail(Errc::invalid_argument, "relays must be 0 to 5");
  if (options.ttl < 1ms || options.ttl > limits::kTtlMax) {
    return fail(Errc::invalid_argument, "ttl must be 1 ms to 24 h");
  }
  if (static_cast<std::size_t>(options.priority) >= kPriorityCount) {
    return fail(Errc::invalid_argument, "priority");
  }
  if (bytes > kMessageBytesMax) return fail(Errc::too_large, "a message has at most 64 MiB");
  const std::uint64_t held = shard::chain_bytes(bytes);
  request.queue = shard::queue_of(request, thread.queues.get());
  std::optional<node::SendLimiter::Clock::time_point>
      until;  // asking the time costs: when it waits
  for (;;) {
    if (stopping_.load(std::memory_order_acquire)) return fail(Errc::shutting_down);
    const bool hears_of_room = room_max || room_is_heard_.load(std::memory_order_relaxed);
    const bool flow_takes = enter_flow(request, bytes, hears_of_room, thread);
    const bool entered = flow_takes && thread.limiter->enter(options.priority, held);
    Status done = entered      ? attempt()
                  : flow_takes ? Status(fail(Errc::refused_queue_full, "at the limiter"))
                               : Status(fail(Errc::refused_queue_full, kSlowFlow));
    if (done) return done;
    if (flow_takes) give_back(thread, request, bytes);
    if (entered) {
      leave(thread, options.priority, {.messages = 1, .bytes = held});
      thread.limiter->pause(options.priority);
    }
    const bool for_room =
        done.error() == Errc::refused_queue_full || done.error() == Errc::refused_memory;
    if (!room_max || !for_room) return done;
    if (flow_takes) {
      thread.limiter->pause(options.priority);  // it may have opened since
      if (!thread.limiter->paused(options.priority)) return done;
    }
    if (on_own_thread()) return done;
    if (!until) until = node::SendLimiter::Clock::now() + *room_max;
    const bool in_time = flow_takes ? thread.limiter->wait(options.priority, *until) !=
                                          node::SendLimiter::Waited::too_long
                                    : thread.queues->wait(request.queue, *until);
    if (!in_time) return fail(Errc::timed_out, "no room");
  }
}

void Node::Impl::give_back(node::ShardThread& thread, const shard::SendRequest& request,
                           std::size_t bytes) {
  if (request.queue == message::FlowQueues::kNone) return;
  if (!thread.queues->leave(request.queue, message::FlowQueues::counted(bytes))) return;
  tell_room_soon(thread, request.options.priority);
}

std::future<Result<Message>> Node::Impl::request(const NodeId& destination,
                                                 std::span<const std::byte> payload,
                                                 SendOptions options,
                                                 std::chrono::milliseconds timeout) {
  if (timeout < 1ms || timeout > limits::kTtlMax) {
    return node::Requests::refused(fail(Errc::invalid_argument, "timeout must be 1 ms to 24 h"));
  }
  const unsigned shard = shard_for(destination, options);
  const MessageId id = threads_[shard].ids->next();
  auto answer = requests_.add(id, runtime::system_now().mono + timeout);
  if (!answer) return node::Requests::refused(std::unexpected(answer.error()));
  options.ttl = std::min(options.ttl, timeout);
  shard::SendRequest request;
  request.destination = destination;
  request.options = options;
  request.id = id;
  request.done = [this, id](const Delivery& delivery) {
    if (delivery.outcome != Outcome::delivered) requests_.end(id, delivery.reason);
  };
  const auto sent = send_copy(std::move(request), payload, shard, {});
  if (!sent) requests_.end(id, sent.error());
  threads_[0].loop->wake();  // it keeps the time
  return std::move(*answer);
}

Status Node::Impl::cancel(const MessageId& id) {
  for (node::ShardThread& thread : threads_) {
    const bool told = thread.loop->post([this, id, &thread](Now now) {
      take_in(thread, now);  // it may be there still
      thread.shard->cancel(id, now);
    });
    if (told) continue;
    if (stopping_.load(std::memory_order_acquire)) return fail(Errc::shutting_down);
    return fail(Errc::refused_queue_full, "a shard is too far behind");
  }
  return {};
}

Status Node::Impl::acknowledge(const Receipt& receipt, Accept answer) {
  if (answer > Accept::queue_full) return fail(Errc::invalid_argument, "not an answer");
  if (ended_.load(std::memory_order_acquire)) return fail(Errc::shutting_down);
  const auto to = shard::ReplyAddress::of(receipt);
  if (to && to->shard == node::kInboxShard && inbox_) {
    inbox_->acknowledge(to->circuit, answer);
    return {};
  }
  if (!to || to->shard >= threads_.size()) {
    return fail(Errc::invalid_argument, "the receipt of no message");
  }
  node::ShardThread& thread = threads_[to->shard];
  if (!thread.settlements->put({{.circuit = to->circuit, .ref = to->ref}, answer})) return {};
  const bool told = thread.loop->post_or_keep([&thread](Now now) {
    for (const auto& [handed, said] : thread.settlements->take()) {
      thread.shard->settle(handed, said, now);
    }
  });
  if (told) return {};
  static_cast<void>(thread.settlements->take());
  return fail(Errc::shutting_down);
}

/// On the shard's thread: what was put into its intake.
void Node::Impl::take_in(node::ShardThread& thread, Now now) {
  thread.intake->drain(
      now.mono, [&](shard::SendRequest&& request) { thread.shard->send(std::move(request), now); });
}

Status Node::Impl::put(shard::SendRequest& request, node::ShardThread& thread) {
  switch (thread.intake->put(request, runtime::system_now().mono)) {
    case sync::Pushed::queued:
      return {};
    case sync::Pushed::wake:
      thread.loop->wake();
      return {};
    case sync::Pushed::full:
      return fail(Errc::refused_queue_full, "the shard's intake is full");
    case sync::Pushed::closed:
      break;
  }
  return fail(Errc::shutting_down);
}

void Node::Impl::on_ended(unsigned shard, const shard::EndedByPriority& ended) {
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    if (ended[i].messages > 0) leave(threads_[shard], static_cast<Priority>(i), ended[i]);
  }
}

void Node::Impl::leave(node::ShardThread& thread, Priority priority, const shard::Ended& ended) {
  if (!thread.limiter->leave(priority, ended.messages, ended.bytes)) return;
  tell_room_soon(thread, priority);
}

void Node::Impl::on_flow_room(unsigned shard, Priority priority) {
  tell_room_soon(threads_[shard], priority);
}

/// If this finds no room at all, the node is busier than anybody needs to hear.
void Node::Impl::tell_room_soon(node::ShardThread& thread, Priority priority) {
  static_cast<void>(thread.loop->post_or_keep([this, priority](Now) { tell_room(priority); }));
}

void Node::Impl::tell_room(Priority priority) {
  std::shared_ptr<RoomHandler> handler;
  {
    const std::lock_guard lock(handler_mutex_);
    handler = room_handler_;
  }
  if (handler) call_out("room", [&] { (*handler)(priority); });
}

/// What came in after the shard's last turn.
void Node::Impl::answer_rest(node::ShardThread& thread) {
  thread.intake->drain(runtime::system_now().mono, [&](shard::SendRequest&& request) {
    give_back(thread, request, request.payload.bytes());
    leave(thread, request.options.priority,
          {.messages = 1, .bytes = shard::chain_bytes(request.payload.bytes())});
    if (!request.done) return;
    const Delivery refused = shard::refusal(Errc::shutting_down, request.id.value_or(MessageId{}));
    call_out("completion", [&] { request.done(refused); });
  });
}

}  // namespace qudag
