// Slow steps of handshakes, and throwaway keys, go to the worker pool and come back:
//   1. links that wait are served in order, at most kStepsUnderWayMax at a time, so that other work
//      of the pool (descriptors, files) never waits behind more than that many;
//   2. a worker runs the TLS engine, and touches nothing else;
//   3. the shard applies the result to the link, if both are still there.
// When the pool is full the link waits here. How many can wait is bounded by `half_open_max` for
// accepted links, which Retry and refusals guard, and by `links_max` for dialed ones.
#include "link/endpoint/endpoint_impl.h"
#include "link/tls/tls_engine.h"

#include <utility>

namespace qudag::link {
namespace {

constexpr std::size_t kStepsUnderWayMax = 16;  // 20 ms of signatures for one worker
constexpr auto kRetryAfter = std::chrono::milliseconds(1);

}  // namespace

void Endpoint::Impl::start_steps() {
  retry_steps_at_ = kNever;
  while (!shared_.steps_waiting.empty() && shared_.steps_under_way < kStepsUnderWayMax) {
    Connection* const next = link(shared_.steps_waiting.front());
    if (next != nullptr && next->wants_step() && !submit_step(*next)) {
      ++shared_.stats.steps_put_off;
      retry_steps_at_ = shared_.now.mono + kRetryAfter;
      return;
    }
    shared_.steps_waiting.pop_front();
  }
}

bool Endpoint::Impl::submit_step(Connection& link) {
  const EndpointOptions& options = shared_.options;
  const std::shared_ptr<TlsEngine> engine = link.engine();
  const bool taken = options.workers->submit(
      [engine] { engine->step(); }, *options.executor,
      [this, alive = std::weak_ptr(alive_), id = link.id()](WorkEnd how, Now now) {
        if (!alive.expired()) finish_step(id, how, now);
      });
  if (!taken) return false;
  link.begin_step();
  ++shared_.stats.steps_off_loop;
  return true;
}

void Endpoint::Impl::finish_step(LinkId id, WorkEnd how, Now now) {
  shared_.now = now;
  if (Connection* const back = link(id)) back->finish_step(how);
  absorb_greeted();
  start_steps();
}

/// The next throwaway key, ahead of its use. A dial that comes too early has its first step make
/// one.
void Endpoint::Impl::prepare_key() {
  if (making_key_ || !shared_.tls.wants_throwaway()) return;
  const EndpointOptions& options = shared_.options;
  if (options.workers == nullptr) {
    if (auto key = TlsKey::throwaway()) shared_.tls.keep_throwaway(std::move(*key));
    return;
  }
  const auto key = std::make_shared<Result<TlsKey>>(fail(Errc::internal));
  making_key_ = options.workers->submit([key] { *key = TlsKey::throwaway(); }, *options.executor,
                                        [this, alive = std::weak_ptr(alive_), key](WorkEnd, Now) {
                                          if (alive.expired()) return;
                                          making_key_ = false;
                                          if (*key) shared_.tls.keep_throwaway(std::move(**key));
                                        });
}

}  // namespace qudag::link
