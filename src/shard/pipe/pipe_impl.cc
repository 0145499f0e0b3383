#include "shard/pipe/pipe_impl.h"

#include "message/pipe/share.h"
#include "shard/buffer.h"
#include "shard/pipe/shard_pipes.h"

#include <algorithm>
#include <utility>

namespace qudag {

namespace shard {

bool PipeDoor::post(const std::function<void(ShardPipes&, Now)>& task) {
  const std::lock_guard lock(mutex_);
  if (environment_ == nullptr) return false;
  return environment_->executor(index_).post_or_keep(
      [shard = shard_, task](Now now) { task(*shard, now); });
}

bool PipeDoor::reserve(Priority priority, std::uint64_t held, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (environment_ == nullptr) return false;
  memory::Budget& of = claim(priority);
  const std::uint64_t got = message::reserve_written(*node_, of, held, bytes);
  if (got == bytes) return true;
  of.release(got);
  node_->bytes().release(got);
  return false;
}

void PipeDoor::release(Priority priority, std::uint64_t bytes) {
  claim(priority).release(bytes);
  node_->bytes().release(bytes);
}

std::size_t PipeDoor::copy(std::span<const std::byte> bytes, Priority priority, std::uint64_t held,
                           memory::Chain& out) {
  const std::lock_guard lock(mutex_);
  if (environment_ == nullptr) return 0;
  memory::Budget& of = claim(priority);
  const auto got =
      static_cast<std::size_t>(message::reserve_written(*node_, of, held, bytes.size()));
  const std::size_t filled = out.fill_back(bytes.first(got));
  const auto rest = bytes.first(got).subspan(filled);
  if (rest.empty()) return got;
  memory::Chain made;
  if (!environment_->pipe_blocks(rest.size(), made)) {
    of.release(rest.size());
    node_->bytes().release(rest.size());
    return filled;
  }
  made.copy_from(rest);
  out.append(std::move(made));
  return got;
}

void PipeDoor::close() {
  const std::lock_guard lock(mutex_);
  environment_ = nullptr;
}

}  // namespace shard

// ---- any thread ---------------------------------------------------------------------------------

Pipe::Impl::~Impl() { door_->release(priority_, wanted_.written.bytes()); }

Status Pipe::Impl::may_write(const std::unique_lock<std::mutex>&) const {
  if (closed()) return fail(Errc::circuit_failed, "the pipe has ended");
  if (ended_) return fail(Errc::invalid_argument, "after end()");
  return {};
}

Result<std::size_t> Pipe::Impl::write(std::span<const std::byte> bytes) {
  std::unique_lock lock(mutex_);
  if (auto ok = may_write(lock); !ok) return std::unexpected(ok.error());
  const std::size_t room = may_write_ - written_;
  const std::size_t n = std::min(bytes.size(), room);
  wants_room_ = wants_room_ || n < bytes.size();
  if (bytes.empty()) return std::size_t{0};
  if (n == 0) return fail(Errc::would_block, "no room in the pipe");
  const std::size_t taken =
      door_->copy(bytes.first(n), priority_, written_ - taken_, wanted_.written);
  written_ += taken;
  if (taken < n) wants_room_ = wanted_.room = true;
  lock.unlock();
  post();
  if (taken == 0) return fail(Errc::refused_memory, "limits.memory or limits.pipe_bytes");
  return taken;
}

Status Pipe::Impl::write(Buffer& buffer) {
  std::unique_lock lock(mutex_);
  if (auto ok = may_write(lock); !ok) return ok;
  const std::size_t n = buffer.size();
  if (n > kPipeRoomMin) return fail(Errc::too_large, "more than kPipeRoomMin at once");
  if (n == 0) return {};
  if (n > may_write_ - written_) {
    wants_room_ = true;
    return fail(Errc::would_block, "no room in the pipe");
  }
  if (!door_->reserve(priority_, written_ - taken_, n)) {
    wants_room_ = wanted_.room = true;
    lock.unlock();
    post();
    return fail(Errc::refused_memory, "limits.memory or limits.pipe_bytes");
  }
  Buffer::Impl::Parts parts = Buffer::Impl::take(buffer);  // its own reservation ends here
  wanted_.written.append(std::move(parts.chain));
  written_ += n;
  lock.unlock();
  post();
  return {};
}

std::size_t Pipe::Impl::room() const {
  const std::lock_guard lock(mutex_);
  return closed() || ended_ ? 0 : may_write_ - written_;
}

void Pipe::Impl::end() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ended_, true)) return;
    wanted_.end = true;
  }
  post();
}

void Pipe::Impl::reset(PipeCode code) {
  if (closed()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (!wanted_.code) wanted_.code = code;
  }
  post();
}

void Pipe::Impl::take(std::size_t bytes) {
  if (bytes == 0) return;
  {
    const std::lock_guard lock(mutex_);
    wanted_.taken += bytes;
  }
  post();
}

void Pipe::Impl::never_opened() {
  closed_.store(true, std::memory_order_release);
  PipeEvents events = std::move(events_);
  if (!events.on_closed) return;
  PipeEnd end;
  end.how = PipeEnd::How::reset;
  end.code = PipeCode::stopping;
  end.reason = Errc::shutting_down;
  try {
    events.on_closed(end);
  } catch (...) {  // there is no node any more to say it
  }
}

bool Pipe::Impl::accept(PipeEvents&& events) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(answered_, true)) return false;
    events_ = std::move(events);
    wanted_.answer = Answer::accept;
  }
  post();
  return true;
}

void Pipe::Impl::refuse(PipeCode code) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(answered_, true)) return;
    wanted_.answer = Answer::refuse;
    wanted_.code = code == PipeCode::none ? PipeCode::refused : code;
  }
  post();
}

/// One task at a time: it takes all that is wanted by then.
void Pipe::Impl::post() {
  std::shared_ptr<shard::PipeDoor> door;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(posted_, true)) return;
    door = door_;
  }
  const bool told = door->post(
      [self = shared_from_this()](shard::ShardPipes& shard, Now now) { shard.serve(self, now); });
  if (told) return;
  const std::lock_guard lock(mutex_);
  posted_ = false;  // the node has ended, and every pipe with it
}

Pipe::Impl::Wanted Pipe::Impl::take_wanted() {
  const std::lock_guard lock(mutex_);
  posted_ = false;
  return std::exchange(wanted_, {});
}

// ---- the public face ----------------------------------------------------------------------------

Pipe::Pipe(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Pipe::~Pipe() {
  if (impl_) impl_->reset(PipeCode::broken_off);
}
Result<std::size_t> Pipe::write(std::span<const std::byte> bytes) { return impl_->write(bytes); }
Status Pipe::write(Buffer& bytes) { return impl_->write(bytes); }
std::size_t Pipe::room() const noexcept { return impl_->room(); }
void Pipe::end() { impl_->end(); }
void Pipe::reset(PipeCode code) { impl_->reset(code); }
void Pipe::take(std::size_t bytes) { impl_->take(bytes); }
bool Pipe::closed() const noexcept { return impl_->closed(); }

PipeOffer::PipeOffer(std::shared_ptr<Pipe::Impl> impl) noexcept : impl_(std::move(impl)) {}
PipeOffer::~PipeOffer() {
  if (impl_) impl_->refuse(PipeCode::not_reachable);
}
PipeOffer::PipeOffer(PipeOffer&&) noexcept = default;
PipeOffer& PipeOffer::operator=(PipeOffer&& other) noexcept {
  if (this != &other) {
    if (impl_) impl_->refuse(PipeCode::not_reachable);
    impl_ = std::move(other.impl_);
  }
  return *this;
}
std::string_view PipeOffer::service() const noexcept {
  return impl_ ? std::string_view(impl_->service()) : std::string_view();
}
const NodeId& PipeOffer::receiver() const noexcept {
  static constexpr NodeId kNobody{};
  return impl_ ? impl_->receiver() : kNobody;
}
Priority PipeOffer::priority() const noexcept {
  return impl_ ? impl_->priority() : Priority::normal;
}
bool PipeOffer::closed() const noexcept { return !impl_ || impl_->closed(); }
std::unique_ptr<Pipe> PipeOffer::accept(PipeEvents events) {
  const auto impl = std::move(impl_);
  if (!impl || !impl->accept(std::move(events))) return nullptr;
  return Pipe::Impl::make(impl);
}
void PipeOffer::refuse(PipeCode code) {
  if (const auto impl = std::move(impl_)) impl->refuse(code);
}

}  // namespace qudag
