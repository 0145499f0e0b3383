// One end of a pipe for coroutines of one thread: what happens on the pipe's shard is kept, in
// order, until the coroutine that waits for it comes.
//
//   1 events() go to Node::open or PipeOffer::accept, 2 attach() what that gave, 3 one coroutine
//   reads and take()s, another one writes, one may wait for the end, 4 leave() after them.
//
// Threads: events on the pipe's shard; everything else on the executor's thread. Bounds: what came
// and was not taken is the pipe's window. Owners (shared_ptr): the session, and the pipe's events
// until it has closed.
#pragma once

#include "base/bytes.h"

#include <qudag/pipe.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>

namespace qudag::gateway {

namespace asio = boost::asio;

class PipePort : public std::enable_shared_from_this<PipePort> {
 public:
  explicit PipePort(const asio::any_io_executor& executor);

  PipeEvents events();
  void attach(std::unique_ptr<Pipe> pipe) { pipe_ = std::move(pipe); }

  /// The other side sends no more, and all of it has been read.
  struct Ended {};
  using Item = std::variant<Buffer, Ended, PipeEnd>;

  /// Waits until the service has answered (nothing), or for the end of the pipe.
  asio::awaitable<std::optional<PipeEnd>> opened();
  /// The next bytes, the end of them (once), or the end of the pipe, which stays.
  asio::awaitable<Item> read();
  void take(std::size_t bytes) { pipe_->take(bytes); }

  std::size_t room() const { return pipe_->room(); }
  /// As many of the first of `bytes` as there is room for: their number. Nothing: it has ended.
  std::optional<std::size_t> write_some(Bytes bytes);
  /// Waits for room for all of `bytes`. False when the pipe has ended.
  asio::awaitable<bool> write(Bytes bytes);
  void end() { pipe_->end(); }
  /// Nothing after leave().
  void reset(PipeCode code = PipeCode::broken_off) {
    if (pipe_) pipe_->reset(code);
  }
  /// Waits for it, whatever came before and was not read.
  asio::awaitable<PipeEnd> closed();

  /// The pipe is reset unless it has closed, and nobody is woken any more. The executor may go.
  void leave();

 private:
  /// What belongs to the executor.
  struct Waits {
    explicit Waits(const asio::any_io_executor& on)
        : executor(on), reader(on), writer(on), closer(on) {}
    asio::any_io_executor executor;
    asio::steady_timer reader, writer, closer;
  };

  std::optional<PipeEnd> end_if_closed();
  void wake();  // under the lock, any thread
  static asio::awaitable<void> wait_for_event(asio::steady_timer& timer);

  std::unique_ptr<Pipe> pipe_;

  std::mutex mutex_;            // guards what follows
  std::optional<Waits> waits_;  // until leave(); its timers are the executor's thread's
  std::deque<Buffer> came_;
  std::optional<PipeEnd> closed_;
  bool opened_ = false, ended_ = false, told_end_ = false;
  bool woken_ = false;  // a wake-up is under way
};

}  // namespace qudag::gateway
