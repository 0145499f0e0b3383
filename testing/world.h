// A network of shards in one process, one thread, virtual time and one seed.
//
// The world keeps one queue of events ordered by time: a datagram arrives, a shard's deadline is
// due, a posted task runs, a test's own step. Time jumps from event to event. Every shard sees the
// same seams as on a real machine: a DatagramSocket, an Executor, a WorkerPool, and `now`.
// OpenSSL draws from the seed as well: the same seed and the same calls give the same run, byte for
// byte. So no key is made before it, and of several worlds the newest runs.
#pragma once

#include "base/limits.h"
#include "base/rng.h"
#include "base/time.h"
#include "runtime/driver.h"
#include "runtime/socket.h"
#include "testing/seeded_rng.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

namespace qudag::testing {

/// What the network does to datagrams. Probabilities are per datagram, 0 to 1.
struct Faults {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // this share waits `reorder_delay` longer than the rest
  Duration delay_min = std::chrono::milliseconds(5);
  Duration delay_jitter = std::chrono::milliseconds(2);  // uniform on top
  Duration reorder_delay = std::chrono::milliseconds(10);
  std::size_t datagram_bytes_max = 1472;  // longer ones vanish, as on a path with that MTU
};

struct WorldStats {
  std::uint64_t sent = 0, delivered = 0, lost = 0, lost_at_line = 0, duplicated = 0, reordered = 0,
                partitioned = 0, too_long = 0, no_listener = 0;
};

class World;

/// One shard's place in the world: its socket, mailbox and worker pool.
class Host final : public runtime::DatagramSocket,
                   public runtime::Executor,
                   public runtime::WorkerPool {
 public:
  // runtime::DatagramSocket
  std::span<runtime::Received> receive() override;
  std::size_t send(std::span<const runtime::Train> trains) override;
  SocketAddress local() const override { return local_; }
  runtime::SocketStats stats() const override { return stats_; }
  // runtime::Executor
  [[nodiscard]] bool post(std::function<void(Now)> task) override;
  // runtime::WorkerPool: the work is done at once, its end is told after `worker_delay`.
  [[nodiscard]] bool submit(std::function<void()> work, runtime::Executor& shard,
                            std::function<void(WorkEnd, Now)> done) override;

  /// What this machine's clocks say.
  Now now() const;
  /// Somebody sets the wall clock: so much ahead of the world's (behind, if negative).
  void set_wall(std::chrono::seconds ahead) { wall_ahead_ = ahead; }
  /// The machine sleeps: it hears nothing, and no deadline is served, until it wakes. Both clocks
  /// go on.
  void suspend() { suspended_ = true; }
  void resume();

  /// post() finds no room: a mailbox that others have filled.
  void set_mailbox_full(bool full) { mailbox_full_ = full; }
  /// So many jobs from now on wait for too long, and are never begun.
  void expire_jobs(std::size_t jobs) { jobs_to_expire_ = jobs; }
  /// Places that are kept for ends of work.
  std::size_t kept() const { return kept_; }

 private:
  bool keep() override;
  void give_back() override { --kept_; }
  void post_kept(std::function<void(Now)> task) override;
  void run_soon(std::function<void(Now)> task);

  friend class World;
  struct Datagram {
    SocketAddress from;
    std::vector<std::byte> data;
  };
  static constexpr std::size_t kInboxMax = 4096;  // a socket buffer of about 6 MB
  static constexpr std::size_t kBatch = 64;

  Host(World& world, const SocketAddress& local) : world_(world), local_(local) {}

  World& world_;
  const SocketAddress local_;
  runtime::Driven* driven_ = nullptr;
  runtime::SocketStats stats_;
  std::deque<Datagram> inbox_;
  std::vector<Datagram> reading_;
  std::vector<runtime::Received> views_;
  std::uint64_t timer_generation_ = 0;  // only the newest timer event counts
  TimePoint timer_at_ = kNever;
  std::chrono::seconds wall_ahead_{0};
  bool suspended_ = false;
  std::vector<std::function<void(Now)>> put_off_;  // tasks, until it wakes
  bool mailbox_full_ = false;
  std::size_t jobs_to_expire_ = 0;
  std::size_t kept_ = 0;
  std::uint64_t life_ = 0;  // grows at a crash: events for an earlier life are void
};

class World {
 public:
  World(std::uint64_t seed, Faults faults);
  ~World();

  Now now() const;
  Rng& rng() { return rng_; }
  Faults& faults() { return faults_; }
  const WorldStats& stats() const { return stats_; }

  /// The host at that address; a new one the first time. Lives as long as the world.
  Host& host(const SocketAddress& at);
  /// From now on the host's datagrams, deadlines and tasks go to that shard. Null: the machine is
  /// off (a crash): what is queued for it is dropped, and what arrives is lost.
  void attach(Host& host, runtime::Driven* driven);
  /// Lets the shard take its turn at the present time: after a call into it from outside.
  void wake(Host& host);

  /// Cuts the network: datagrams between hosts of different groups vanish; 0 is everyone's group.
  void set_group(const SocketAddress& at, int group) { groups_[at] = group; }
  void heal() { groups_.clear(); }
  /// What comes to that address has to pass a line of so many bytes a second; what would wait there
  /// for more than `queue` is lost. 0: no such line.
  void set_line(const SocketAddress& to, double bytes_per_second, Duration queue);

  /// Runs a step of the test at that time.
  void at(TimePoint when, std::function<void()> step);
  void run_until(TimePoint end);
  /// True if the condition became true by `end`; checked after every event.
  bool run_until(TimePoint end, const std::function<bool()>& condition);

 private:
  friend class Host;
  struct Line {
    double bytes_per_second = 0;
    Duration queue{};
    TimePoint free_at{};
  };
  struct Event {
    TimePoint when;
    std::uint64_t order;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  void transmit(Host& from, const SocketAddress& to, Bytes datagram);
  /// How long a datagram waits at the line of its destination; nothing: it is lost there.
  std::optional<Duration> wait_at_line(const SocketAddress& to, std::size_t bytes);
  void deliver_after(Duration delay, const SocketAddress& from, const SocketAddress& to,
                     std::vector<std::byte> data);
  void turn(Host& host, bool timer);
  bool step(TimePoint end);

  SeededOpenssl openssl_;
  SeededRng rng_;
  Faults faults_;
  WorldStats stats_;
  TimePoint time_{std::chrono::seconds(1)};
  std::uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::map<SocketAddress, std::unique_ptr<Host>> hosts_;
  std::map<SocketAddress, int> groups_;
  std::map<SocketAddress, Line> lines_;
};

}  // namespace qudag::testing
