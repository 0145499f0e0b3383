#include "gateway/pipe_port.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace qudag::gateway {

PipePort::PipePort(const asio::any_io_executor& executor) : waits_(std::in_place, executor) {}

PipeEvents PipePort::events() {
  PipeEvents out;
  const auto self = shared_from_this();
  out.on_open = [self](Pipe&) {
    const std::scoped_lock lock(self->mutex_);
    self->opened_ = true;
    self->wake();
  };
  out.on_bytes = [self](Pipe&, Buffer&& bytes) {
    const std::scoped_lock lock(self->mutex_);
    if (!self->waits_) return;
    self->came_.push_back(std::move(bytes));
    self->wake();
  };
  out.on_end = [self](Pipe&) {
    const std::scoped_lock lock(self->mutex_);
    self->ended_ = true;
    self->wake();
  };
  out.on_room = [self](Pipe&) {
    const std::scoped_lock lock(self->mutex_);
    self->wake();
  };
  out.on_closed = [self](const PipeEnd& end) {
    const std::scoped_lock lock(self->mutex_);
    self->closed_ = end;
    self->wake();
  };
  return out;
}

void PipePort::wake() {
  if (!waits_ || std::exchange(woken_, true)) return;
  asio::post(waits_->executor, [self = shared_from_this()] {
    const std::scoped_lock lock(self->mutex_);
    self->woken_ = false;
    if (!self->waits_) return;
    self->waits_->reader.cancel();
    self->waits_->writer.cancel();
    self->waits_->closer.cancel();
  });
}

/// Nothing is missed: who waits has looked on the thread on which wake-ups come, and not before.
asio::awaitable<void> PipePort::wait_for_event(asio::steady_timer& timer) {
  timer.expires_at(asio::steady_timer::time_point::max());
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

std::optional<PipeEnd> PipePort::end_if_closed() {
  const std::scoped_lock lock(mutex_);
  return closed_;
}

asio::awaitable<std::optional<PipeEnd>> PipePort::opened() {
  for (;;) {
    {
      const std::scoped_lock lock(mutex_);
      if (opened_) co_return std::nullopt;
      if (closed_) co_return closed_;
    }
    co_await wait_for_event(waits_->reader);
  }
}

asio::awaitable<PipePort::Item> PipePort::read() {
  for (;;) {
    {
      const std::scoped_lock lock(mutex_);
      if (!came_.empty()) {
        Buffer next = std::move(came_.front());
        came_.pop_front();
        co_return Item(std::move(next));
      }
      if (ended_ && !std::exchange(told_end_, true)) co_return Item(Ended());
      if (closed_) co_return Item(*closed_);
    }
    co_await wait_for_event(waits_->reader);
  }
}

std::optional<std::size_t> PipePort::write_some(Bytes bytes) {
  const Result<std::size_t> written = pipe_->write(bytes);
  if (written) return *written;
  const Errc why = written.error().code;
  if (why != Errc::would_block && why != Errc::refused_memory) return std::nullopt;
  return 0;
}

asio::awaitable<bool> PipePort::write(Bytes bytes) {
  for (;;) {
    const std::optional<std::size_t> written = write_some(bytes);
    if (!written) co_return false;
    bytes = bytes.subspan(*written);
    if (bytes.empty()) co_return true;
    if (end_if_closed()) co_return false;
    co_await wait_for_event(waits_->writer);
  }
}

asio::awaitable<PipeEnd> PipePort::closed() {
  for (;;) {
    if (const auto end = end_if_closed()) co_return *end;
    co_await wait_for_event(waits_->closer);
  }
}

void PipePort::leave() {
  std::deque<Buffer> unread;
  {
    const std::scoped_lock lock(mutex_);
    waits_.reset();
    unread.swap(came_);
  }
  pipe_.reset();
}

}  // namespace qudag::gateway
