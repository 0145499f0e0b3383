// What a shard needs from the process around it. Node implements it with threads and mailboxes, the
// simulator with its event queue: the shard cannot tell.
#pragma once

#include "base/time.h"
#include "memory/block.h"
#include "netmap/netmap.h"
#include "overload/rules.h"
#include "runtime/driver.h"
#include "runtime/resolver.h"

#include <qudag/message.h>
#include <qudag/metrics.h>
#include <qudag/pipe.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::shard {

/// One look at a shard, for the overload manager. Shares are of what is allowed.
struct Measured {
  double memory = 0;       // share of the bound
  double busy = 0;         // share of the time, since the last look
  double descriptors = 0;  // share of the files that the process may have open
  double handshakes = 0;   // share of the half-open ones, or of their rate
  double circuits = 0;     // share of those that may be held
  double builds = 0;       // share of those that others may have under way
  std::array<Duration, kPriorityCount> waiting{};  // of messages that could be sent
  std::array<bool, kPriorityCount> in_use{};       // bytes of that priority came
  Duration behind{};                               // datagrams have been waiting unread for so long
  Duration blocked{};                              // the socket has taken nothing for so long
  Duration loop_lag{};                             // timers run so late
};

/// Messages of a priority that have ended, and what they held at the limiter.
struct Ended {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};
using EndedByPriority = std::array<Ended, kPriorityCount>;

/// What a shard can send over: enough to tell whether the node is joined.
struct Means {
  std::size_t links = 0;   // ready
  bool rests = false;      // none, because nobody used the last one: peers answered a moment ago
  std::size_t relays = 0;  // that may stand in one route, up to kRelaysMax + 1
};

class ShardEnvironment {
 public:
  virtual ~ShardEnvironment() = default;
  /// So many sends of each priority have had their completion since the last call; once for each
  /// turn in which there were any. On the shard's thread.
  virtual void on_ended(unsigned shard, const EndedByPriority& ended) {
    static_cast<void>(shard), static_cast<void>(ended);
  }
  /// A flow of that priority has room again. On the shard's thread.
  virtual void on_flow_room(unsigned shard, Priority priority) {
    static_cast<void>(shard), static_cast<void>(priority);
  }
  /// The shard has another view of the netmap, or another number of links. On its thread.
  virtual void on_means(unsigned shard, const Means& means, const netmap::ViewPtr& view) {
    static_cast<void>(shard), static_cast<void>(means), static_cast<void>(view);
  }
  /// A link is ready, to or from that address. On the shard's thread.
  virtual void on_link(const SocketAddress& remote, bool dialed) {
    static_cast<void>(remote), static_cast<void>(dialed);
  }
  /// That callback of the application has thrown what std::current_exception() is. Any thread.
  virtual void on_threw(std::string_view callback) { static_cast<void>(callback); }
  /// A message for the application. `key`: what it is known by, the same when its sender sends it
  /// again, and not to be guessed by anybody else; zeros of a reply. On the shard's thread.
  virtual Accept on_message(Message&& message, const std::array<std::byte, 16>& key) = 0;
  /// Somebody opens a pipe to a service here. Left alone it is refused. On the shard's thread.
  virtual void on_pipe(PipeOffer&& offer) { offer.refuse(PipeCode::no_such_service); }
  /// A chain of so many bytes for what a program writes to a pipe; false: memory is out. Any
  /// thread.
  [[nodiscard]] virtual bool pipe_blocks(std::size_t bytes, memory::Chain& out) {
    static_cast<void>(bytes), static_cast<void>(out);
    return false;
  }
  /// The shard has ended its links after stop(); its loop may end. On the shard's thread.
  virtual void on_stopped(unsigned shard) = 0;
  /// Where a link goes that a stranger begins at that shard. On the shard's thread.
  virtual unsigned place_link(unsigned shard) { return shard; }
  /// How to run something on a shard; index < shards.
  virtual runtime::Executor& executor(unsigned shard) = 0;
  virtual runtime::WorkerPool& workers() = 0;
  /// Looks a host up; `done` runs on shard 0 once, unless it stops first. False: ask again later.
  [[nodiscard]] virtual bool resolve(const std::string& name, std::uint16_t port,
                                     std::function<void(runtime::Addresses, Now)> done) {
    static_cast<void>(name), static_cast<void>(port), static_cast<void>(done);
    return false;
  }
  /// What is wrong with a bootstrap entry: with its name, which has no address, or with "entry 2",
  /// at whose address another node is. Empty: nothing any more. On shard 0's thread.
  virtual void on_entry(const std::string& which, std::string_view problem) {
    static_cast<void>(which), static_cast<void>(problem);
  }
  /// A shard has done its maintenance and freed about so many bytes: time for that of the process.
  /// On the shard's thread, every few seconds.
  virtual void on_maintained(unsigned shard, std::uint64_t freed) {
    static_cast<void>(shard), static_cast<void>(freed);
  }
  /// Time to look at what the process holds; `short_of` says that the memory bound is near, and
  /// that everybody shall give back what is free. On the shard's thread, some times a second at
  /// most.
  virtual void on_memory_watch(unsigned shard, bool short_of) {
    static_cast<void>(shard), static_cast<void>(short_of);
  }
  /// Our wall clock is so many seconds ahead of the clocks of peers in so many networks (behind, if
  /// negative); near 0: it is right again. Once for each change. On shard 0's thread.
  virtual void on_clock_off(std::int64_t seconds, std::size_t networks) {
    static_cast<void>(seconds), static_cast<void>(networks);
  }
  /// The quota has another stage, or another month has begun. On shard 0's thread.
  virtual void on_quota(const QuotaStatus& status) { static_cast<void>(status); }
  /// Adds what only the process knows; a test may change the rest. On the shard's thread.
  virtual void measure(unsigned shard, Measured& out) {
    static_cast<void>(shard), static_cast<void>(out);
  }
  /// An action of the overload manager starts or ends; `worst` is the highest pressure. Once for
  /// each change. On the shard's thread.
  virtual void on_action(unsigned shard, overload::Action action, bool active,
                         std::string_view worst, double pressure) {
    static_cast<void>(shard), static_cast<void>(action), static_cast<void>(active);
    static_cast<void>(worst), static_cast<void>(pressure);
  }
};

}  // namespace qudag::shard
