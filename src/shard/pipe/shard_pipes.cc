#include "shard/pipe/shard_pipes.h"

#include "message/pipe/parcel.h"
#include "onion/record.h"
#include "shard/buffer.h"
#include "shard/setup.h"

#include <utility>

namespace qudag::shard {

ShardPipes::ShardPipes(const ShardSetup& setup, memory::BlockPool& pool)
    : setup_(setup),
      pool_(pool),
      all_(setup.pipes),
      door_(std::make_shared<PipeDoor>(*setup.environment, setup.index, *this, setup.bound,
                                       setup.pipes->node)) {
  all_->all[setup.index] = this;
}

/// Whoever still has a pipe hears nothing more of it but that it has ended.
ShardPipes::~ShardPipes() {
  for (const auto& [id, pipe] : std::exchange(ends_, {})) {
    pipe->closed_.store(true, std::memory_order_release);
    const Pipe::Impl::Wanted rest = pipe->take_wanted();
    door_->release(pipe->priority_, rest.written.bytes());
  }
  door_->close();
}

ShardPipes::Ends ShardPipes::find(message::PipeId pipe) const {
  const auto at = ends_.find(pipe.value);
  return at == ends_.end() ? nullptr : at->second;
}

void ShardPipes::put(message::PipeId id, const Ends& pipe) {
  ends_.emplace(id.value, pipe);
  const std::lock_guard lock(pipe->mutex_);
  pipe->id_ = id;
  pipe->there_ = true;
}

void ShardPipes::drop(message::PipeId id, const Ends& pipe) {
  const std::lock_guard lock(pipe->mutex_);
  pipe->there_ = false;
  ends_.erase(id.value);
}

/// Into the application, which must not end us by an exception. It is lent its end.
template <class Event, class... Args>
void ShardPipes::call_out(std::string_view name, const Ends& pipe, Event& event, Args&&... args) {
  std::unique_ptr<Pipe> lent = Pipe::Impl::make(pipe);
  try {
    event(*lent, std::forward<Args>(args)...);
  } catch (...) {
    setup_.environment->on_threw(name);
  }
  Pipe::Impl::give_back(std::move(lent));
}

// ---- what the application wants -----------------------------------------------------------------

void ShardPipes::open(const std::shared_ptr<Pipe::Impl>& pipe, const PipeOpening& opening,
                      const Status& admitted, Now now) {
  Result<message::PipeId> id = fail(Errc::shutting_down);
  if (!admitted) {
    id = std::unexpected(admitted.error());
  } else {
    id = messages_->with_pipes(now, [&](message::Pipes& pipes) {
      auto opened = pipes.open({opening.destination, opening.service, opening.options}, now);
      if (opened) {
        put(*opened, pipe);
      }
      return opened;
    });
  }
  if (id) return serve(pipe, now);
  PipeEnd end;
  end.how = PipeEnd::How::reset;
  end.code = id.error() == Errc::shutting_down ? PipeCode::stopping : PipeCode::no_room;
  end.reason = id.error();
  close(pipe, end);
}

/// A pipe that is on its way to another shard is served there, and one that has ended has nothing
/// more to say, but that of an offer which was accepted too late.
bool ShardPipes::is_here(const Ends& pipe) {
  const std::lock_guard lock(pipe->mutex_);
  if (pipe->there_ && pipe->door_ == door_) return true;
  if (pipe->end_ && pipe->wanted_.answer == Pipe::Impl::Answer::accept) return true;
  pipe->posted_ = false;
  return false;
}

void ShardPipes::serve(const std::shared_ptr<Pipe::Impl>& pipe, Now now) {
  if (!is_here(pipe)) {
    if (pipe->door() != door_) pipe->post();
    return;
  }
  Pipe::Impl::Wanted wanted = pipe->take_wanted();
  if (pipe->end_) {  // it ended before it was accepted
    const PipeEnd end = *std::exchange(pipe->end_, std::nullopt);
    return close(pipe, end);
  }
  const message::PipeId id = pipe->id_;
  messages_->with_pipes(now, [&](message::Pipes& pipes) {
    if (wanted.answer == Pipe::Impl::Answer::accept) pipes.accept(id, now);
    if (wanted.answer == Pipe::Impl::Answer::refuse) {
      drop(id, pipe);
      pipe->closed_.store(true, std::memory_order_release);
      return pipes.refuse(id, *wanted.code, now);
    }
    if (wanted.taken > 0) pipes.take(id, wanted.taken, now);
    if (!wanted.written.empty()) {
      pipes.write(id, pipe->priority_, std::exchange(wanted.written, {}), now);
    }
    if (wanted.end) pipes.end(id, now);
    if (wanted.room) pipes.ask_room(id, now);
    if (wanted.code) pipes.reset(id, *wanted.code, now);
  });
}

// ---- what the message layer tells ---------------------------------------------------------------

void ShardPipes::on_pipe_offer(message::PipeId id, const message::PipeOffered& offered, Now) {
  auto pipe = std::make_shared<Pipe::Impl>(door_, offered.priority);
  pipe->set_offered(offered.service, offered.receiver);
  put(id, pipe);
  try {
    setup_.environment->on_pipe(Pipe::Impl::make_offer(std::move(pipe)));
  } catch (...) {
    setup_.environment->on_threw("pipe");
  }
}

void ShardPipes::on_pipe_open(message::PipeId id, Now) {
  if (const Ends pipe = find(id); pipe && pipe->events_.on_open) {
    call_out("open", pipe, pipe->events_.on_open);
  }
}

void ShardPipes::on_pipe_bytes(message::PipeId id, memory::Chain&& bytes,
                               memory::Reservation&& reservation, Now) {
  const Ends pipe = find(id);
  if (!pipe) return;
  const std::size_t n = bytes.bytes();
  if (!pipe->events_.on_bytes) return pipe->take(n);
  auto made = Buffer::Impl::make(pool_, bytes, reservation, setup_.bound,
                                 onion::block_use(pipe->priority_));
  if (!made) return pipe->reset(PipeCode::no_room);
  call_out("bytes", pipe, pipe->events_.on_bytes, Buffer::Impl::wrap(std::move(made)));
}

void ShardPipes::on_pipe_end(message::PipeId id, Now) {
  if (const Ends pipe = find(id); pipe && pipe->events_.on_end) {
    call_out("end", pipe, pipe->events_.on_end);
  }
}

void ShardPipes::on_pipe_room(message::PipeId id, std::uint64_t may_write, Now) {
  const Ends pipe = find(id);
  if (!pipe) return;
  const std::uint64_t taken = std::as_const(*messages_).pipes().taken_by_peer(id);
  {
    const std::lock_guard lock(pipe->mutex_);
    pipe->may_write_ = may_write;
    pipe->taken_ = taken;
    const bool enough = may_write - pipe->written_ >= kPipeRoomMin / 2;
    if (!pipe->wants_room_ || !enough) return;
    pipe->wants_room_ = false;
  }
  if (pipe->events_.on_room) call_out("room", pipe, pipe->events_.on_room);
}

void ShardPipes::on_pipe_closed(message::PipeId id, const PipeEnd& end, Now) {
  const Ends pipe = find(id);
  if (!pipe) return;
  drop(id, pipe);
  bool answered = false;
  {
    const std::lock_guard lock(pipe->mutex_);
    answered = pipe->answered_;
    if (!answered) pipe->end_ = end;
  }
  if (!answered) {  // an offer: its program is told if it accepts
    pipe->closed_.store(true, std::memory_order_release);
    return;
  }
  close(pipe, end);
}

void ShardPipes::close(const Ends& pipe, const PipeEnd& end) {
  pipe->closed_.store(true, std::memory_order_release);
  Pipe::Impl::Wanted rest = pipe->take_wanted();
  door_->release(pipe->priority_, rest.written.bytes());
  PipeEvents events = std::move(pipe->events_);
  if (!events.on_closed) return;
  try {
    events.on_closed(end);
  } catch (...) {
    setup_.environment->on_threw("closed");
  }
}

// ---- from shard to shard ------------------------------------------------------------------------

void ShardPipes::fetch_pipe(std::uint32_t shard, const wire::PipeKey& key, std::uint32_t attempt) {
  ShardPipes* const there = all_->all[shard];
  const auto ask = [there, key, attempt, here = this](Now now) {
    there->hand_over(key, attempt, *here, now);
  };
  if (setup_.environment->executor(shard).post_or_keep(ask)) return;
  const auto none = [here = this, key](Now now) { here->take_over(key, nullptr, nullptr, now); };
  static_cast<void>(setup_.environment->executor(setup_.index).post_or_keep(none));
}

void ShardPipes::hand_over(const wire::PipeKey& key, std::uint32_t attempt, ShardPipes& to,
                           Now now) {
  message::PipeId was;
  // Owned by whoever runs the task last: a task may be dropped with its loop.
  const auto parcel =
      std::make_shared<std::unique_ptr<message::Pipes::Parcel>>(messages_->with_pipes(
          now, [&](message::Pipes& pipes) { return pipes.give_away(was, key, attempt); }));
  Ends pipe;
  if (*parcel) {
    pipe = find(was);
    ends_.erase(was.value);
    if (pipe) {
      const std::lock_guard lock(pipe->mutex_);
      pipe->there_ = false;
      pipe->door_ = to.door_;
    }
  }
  const auto give = [&to, key, parcel, pipe](Now then) {
    to.take_over(key, std::move(*parcel), pipe, then);
  };
  if (setup_.environment->executor(to.setup_.index).post_or_keep(give) || !pipe) return;
  PipeEnd end;
  end.code = PipeCode::lost;
  end.reason = {Errc::refused_queue_full, "a shard is too far behind"};
  close(pipe, end);
}

void ShardPipes::take_over(const wire::PipeKey& key, std::unique_ptr<message::Pipes::Parcel> parcel,
                           const Ends& pipe, Now now) {
  const bool there = messages_->with_pipes(now, [&](message::Pipes& pipes) {
    const auto id = pipes.take_over(key, parcel.get(), now);
    if (id && pipe) {
      put(*id, pipe);
    }
    return id.has_value();
  });
  if (!pipe) return;
  if (there) return serve(pipe, now);
  PipeEnd end;
  end.opened = true;
  end.code = PipeCode::lost;
  end.reason = {Errc::circuit_failed, "its circuit has ended"};
  if (!parcel || !parcel->state.told_end) close(pipe, end);
}

}  // namespace qudag::shard
