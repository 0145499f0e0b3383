// The public Node: threads, shards and the way in and out of them.
//
// start: identity -> budget -> a socket and a loop per shard -> shards -> threads -> shard 0
// announces and joins. send: reserve, copy or take the chain, inbox of the destination's shard.
// stop: every shard drains and says goodbye, its loop ends, the threads are joined, what is left is
// answered.
#include "base/log.h"
#include "crypto/random.h"
#include "message/delivered.h"
#include "node/buffer.h"
#include "node/gate.h"
#include "node/inbox.h"
#include "node/key_file.h"
#include "node/placement.h"
#include "node/shard.h"
#include "runtime/address_watch.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/udp_socket.h"
#include "runtime/worker_pool.h"

#include <qudag/node.h>

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace qudag {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kShardBytes = 1'400 * 1024;      // receive buffers, outbox, stack
constexpr std::size_t kRememberedBytes = 44;             // of a build or a message id
constexpr std::uint64_t kTrimProcessAfter = 128 * 1024;  // freed bytes that are worth it

/// One shard and all that runs it. Members end in reverse order: the shard before its socket.
struct Seat {
  std::unique_ptr<runtime::UdpSocket> socket;
  std::unique_ptr<runtime::Loop> loop;
  std::unique_ptr<node::Gate> gate;
  std::unique_ptr<node::Inbox> inbox;
  std::unique_ptr<node::Shard> shard;
  std::thread thread;

  /// On the shard's thread.
  BoundedList bounded() const {
    BoundedList out;
    inbox->report(out);
    loop->report(out);
    shard->report(out, runtime::system_now());
    return out;
  }
};

unsigned shard_count(unsigned wanted) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  return std::min<unsigned>(wanted == 0 ? cores : wanted, limits::kShardsMax);
}

/// Slow work is mostly TLS of handshakes, 600 a second for a core. Half of the cores is ample, and
/// a flood of handshakes leaves the other half to the loops.
unsigned worker_count() { return std::max(1u, std::thread::hardware_concurrency() / 2); }

std::unexpected<Error> memory_is_out() {
  return fail(Errc::refused_memory, "limits.memory is reached");
}

/// Collects one part from every shard and then keeps the promise. A part may stay empty (a shard
/// that has stopped). Owners: the tasks under way.
template <class Part, class Whole>
struct Gathering {
  std::mutex mutex;
  std::vector<Part> parts;
  std::size_t missing = 0;
  std::promise<Whole> promise;
  std::function<Whole(std::vector<Part>&&)> combine;

  /// A shard that stops drops its tasks: what the others said is the answer then.
  ~Gathering() {
    if (missing > 0) promise.set_value(combine(std::move(parts)));
  }
  void put(std::size_t index, Part part) {
    const std::lock_guard lock(mutex);
    parts[index] = std::move(part);
    if (--missing == 0) promise.set_value(combine(std::move(parts)));
  }
};

}  // namespace

class Node::Impl final : public node::ShardHost {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        log_(
            {.level = log_level(options_.log_level), .scrub = !options_.log_sensitive, .sink = {}}),
        process_floor_(process_floor(options_)),
        bound_(std::make_shared<memory::Bound>(options_.limits.memory, process_floor_)),
        app_pool_(app_pool_options(bound_)) {}
  ~Impl() override { stop(1s); }

  Status start();
  void stop(Duration grace);

  Result<Buffer> buffer(std::size_t bytes);
  Status reserve(std::size_t bytes, Class cls, memory::Reservation& reservation);
  Status send(node::SendRequest request, unsigned shard);
  Status send_copy(node::SendRequest request, std::span<const std::byte> payload, unsigned shard);
  template <class Try>
  Status when_room(const SendOptions& options, Seat& seat, Try&& attempt);
  Status put(node::SendRequest& request, Seat& seat);
  bool on_own_thread() const;
  void leave(Seat& seat, Class cls, std::uint64_t count);
  void tell_room(Class cls);
  unsigned shard_for(const NodeId& destination, const SendOptions& options) const;

  template <class Whole, class Part>
  std::future<Whole> gather(std::function<Part(Seat&)> part,
                            std::function<Whole(std::vector<Part>&&)> combine);

  const NodeId& id() const { return identity_->id(); }
  const SocketAddress& address() const { return address_; }
  NodeStatus status_of(std::vector<node::ShardReport>&& reports) const;
  std::size_t shards() const { return seats_.size(); }
  const memory::Bound& bound() const { return *bound_; }
  /// What belongs to no shard. Any thread.
  BoundedList bounded();
  void set_handler(MessageHandler handler);
  void set_room_handler(RoomHandler handler);

 private:
  // node::ShardHost
  Accept on_message(Message&& message) override;
  void on_ended(unsigned shard, const std::array<std::uint64_t, kClassCount>& count) override;
  void on_stopped(unsigned shard) override { seats_[shard].loop->stop(); }
  void on_maintained(unsigned shard, std::uint64_t freed) override;
  void on_memory_watch(unsigned shard, bool short_of) override;
  void measure(unsigned shard, node::Measured& out) override;
  void on_action(unsigned shard, govern::Action action, bool active, std::string_view worst,
                 double pressure) override;
  runtime::Executor& executor(unsigned shard) override { return *seats_[shard].loop; }
  runtime::WorkerPool& workers() override { return *workers_; }

  static LogLevel log_level(std::string_view name);
  static std::uint64_t process_floor(const Options& options);
  static memory::PoolOptions app_pool_options(const std::shared_ptr<memory::Bound>& bound);
  Status load_identity();
  Status open_sockets(unsigned shards);
  void watch_addresses();
  void run(Seat& seat);
  void trim_process();
  Status check_memory() const;
  void empty_process();
  void measure_process();
  void answer_rest(Seat& seat);

  Options options_;
  Log log_;
  crypto::SystemRng rng_;
  std::unique_ptr<crypto::Identity> identity_;
  const std::uint64_t process_floor_;
  std::shared_ptr<memory::Bound> bound_;  // owners: this, shards, pools, buffers given out
  std::mutex app_pool_mutex_;
  memory::BlockPool app_pool_;             // take() and trim() under app_pool_mutex_
  std::atomic<std::uint64_t> freed_{0};    // since the process allocator was trimmed
  std::atomic<bool> measuring_{false};     // a worker has, or will have, a look at the process
  std::atomic<std::int64_t> short_at_{0};  // when everybody was last asked to give back
  std::atomic<double> descriptors_{0};     // share in use
  std::atomic<bool> descriptors_asked_{false};
  TimePoint descriptors_due_{};  // of shard 0
  std::unique_ptr<runtime::ThreadWorkerPool> workers_;
  std::unique_ptr<node::GossipHub> hub_;              // used on shard 0's thread
  std::unique_ptr<runtime::AddressWatch> addresses_;  // outlives the loop that watches it
  std::vector<Seat> seats_;
  std::unique_ptr<node::Placement> placement_;
  SocketAddress address_;
  TimePoint started_{};
  std::atomic<bool> stopping_{false};
  std::mutex stop_mutex_;
  bool stopped_ = false;

  std::mutex handler_mutex_;
  std::shared_ptr<const MessageHandler> handler_;    // owners: this, calls under way
  std::shared_ptr<const RoomHandler> room_handler_;  // the same
};

// ---- start and stop
// -------------------------------------------------------------------------------

LogLevel Node::Impl::log_level(std::string_view name) {
  constexpr std::string_view kNames[] = {"trace", "debug", "info", "warn", "error", "off"};
  const auto* found = std::find(std::begin(kNames), std::end(kNames), name);
  return found == std::end(kNames) ? LogLevel::info
                                   : static_cast<LogLevel>(found - std::begin(kNames));
}

memory::PoolOptions Node::Impl::app_pool_options(const std::shared_ptr<memory::Bound>& bound) {
  memory::PoolOptions out;
  for (std::size_t i = 0; i < memory::kBlockSizeCount; ++i) {
    out.blocks_max[i] =
        static_cast<std::size_t>(bound->node().bytes_max() / memory::kBlockCapacity[i]);
  }
  out.shared = true;
  out.budget = memory::share(bound, memory::Part::blocks);
  out.high_budget = memory::share(bound, memory::Part::high_blocks);
  return out;
}

Status Node::Impl::load_identity() {
  auto identity = options_.identity.empty() ? crypto::Identity::generate()
                                            : node::load_identity(options_.identity);
  if (!identity) return std::unexpected(identity.error());
  identity_ = std::make_unique<crypto::Identity>(std::move(*identity));
  return {};
}

Status Node::Impl::open_sockets(unsigned shards) {
  SocketAddress at = options_.listen;
  for (unsigned i = 0; i < shards; ++i) {
    auto socket = runtime::UdpSocket::open({.bind = at, .shard = i, .shards = shards});
    if (!socket) return std::unexpected(socket.error());
    Seat& seat = seats_[i];
    seat.socket = std::move(*socket);
    seat.loop = std::make_unique<runtime::Loop>(seat.socket->native_handle());
    seat.gate = std::make_unique<node::Gate>(node::messages_max(options_.limits, shards));
    seat.inbox = std::make_unique<node::Inbox>(limits::kInboxRequestsMax);
    at = seat.socket->local();  // the kernel chose the port; the others share it
  }
  address_ = at;
  return {};
}

void Node::Impl::watch_addresses() {
  auto watch = runtime::AddressWatch::open();
  if (!watch) {  // a node that stays where it is needs none
    log_.debug("changes of address are not noticed: {}", watch.error().message());
    return;
  }
  addresses_ = std::move(*watch);
  seats_[0].loop->watch(addresses_->native_handle(), [this](Now) {
    if (!addresses_->changed()) return;
    for (Seat& seat : seats_) {
      seat.loop->post([shard = seat.shard.get()](Now now) { shard->addresses_changed(now); });
    }
  });
}

Status Node::Impl::start() {
  if (auto ok = check_memory(); !ok) return ok;
  if (auto ok = load_identity(); !ok) return ok;
  const unsigned shards = shard_count(options_.shards);
  seats_.resize(shards);
  if (auto ok = open_sockets(shards); !ok) return ok;
  placement_ = std::make_unique<node::Placement>(
      shards, [this](unsigned shard) { return seats_[shard].loop->busy(); },
      [] { return runtime::system_now().mono; });
  workers_ = std::make_unique<runtime::ThreadWorkerPool>(worker_count());
  hub_ = std::make_unique<node::GossipHub>(
      netmap::NetmapOptions{.self = id(),
                            .memory = &bound_->part(memory::Part::netmap),
                            .digest_interval = options_.gossip_interval},
      rng_, *this);

  // What is remembered of the past may grow to a sixteenth of the bound each.
  const std::size_t remembered = options_.limits.memory / 16 / kRememberedBytes;
  const auto replays =
      std::make_shared<onion::ReplayWindow>(std::min(limits::kReplayEntriesMax, remembered));
  const auto delivered = std::make_shared<message::Delivered>(
      std::min(message::MessagesOptions{}.duplicates_max, remembered), rng_);
  std::vector<node::Shard*> all;
  for (unsigned i = 0; i < shards; ++i) {
    auto shard = node::Shard::create({.index = i,
                                      .shards = shards,
                                      .options = &options_,
                                      .identity = identity_.get(),
                                      .bound = bound_,
                                      .rng = &rng_,
                                      .socket = seats_[i].socket.get(),
                                      .host = this,
                                      .hub = hub_.get(),
                                      .replays = replays,
                                      .delivered = delivered});
    if (!shard) return std::unexpected(shard.error());
    seats_[i].shard = std::move(*shard);
    all.push_back(seats_[i].shard.get());
  }
  hub_->attach(std::move(all));

  started_ = runtime::system_now().mono;
  auto publish = options_.publish.empty() ? std::vector{address_} : options_.publish;
  seats_[0].loop->post([shard = seats_[0].shard.get(), publish = std::move(publish)](Now now) {
    shard->start(publish, now);
  });
  watch_addresses();
  for (Seat& seat : seats_) {
    seat.thread = std::thread([this, &seat] { run(seat); });
  }
  log_.info("node {} listens on {} with {} shards", sensitive(id()), sensitive(address_), shards);
  return {};
}

void Node::Impl::run(Seat& seat) {
  seat.loop->at_each_turn([&seat](Now now) {
    seat.inbox->drain(
        now.mono, [&](node::SendRequest&& request) { seat.shard->send(std::move(request), now); });
  });
  seat.loop->run(*seat.shard);
}

void Node::Impl::stop(Duration grace) {
  const std::lock_guard lock(stop_mutex_);
  if (stopped_) return;
  stopped_ = true;
  stopping_.store(true, std::memory_order_release);
  for (Seat& seat : seats_) {
    if (seat.gate) seat.gate->close();
    if (seat.inbox) seat.inbox->close();
    if (seat.thread.joinable()) {
      const bool told =
          seat.loop->post([shard = seat.shard.get(), grace](Now now) { shard->stop(grace, now); });
      if (!told) seat.loop->stop();  // a mailbox that full will not be read in time
    }
  }
  for (Seat& seat : seats_) {
    if (seat.thread.joinable()) seat.thread.join();
    if (seat.inbox) answer_rest(seat);
  }
  workers_.reset();
  for (Seat& seat : seats_) seat.shard.reset();
  if (identity_) log_.info("node {} has stopped", sensitive(id()));
}

void Node::Impl::on_maintained(unsigned shard, std::uint64_t freed) {
  freed_.fetch_add(freed, std::memory_order_relaxed);
  if (shard != 0) return;
  placement_->next_round();
  static_cast<void>(workers_->submit([this] { trim_process(); }, *seats_[0].loop, [](Now) {}));
}

void Node::Impl::measure(unsigned shard, node::Measured& out) {
  out.descriptors = descriptors_.load(std::memory_order_relaxed);
  const TimePoint now = runtime::system_now().mono;
  if (shard != 0 || now < descriptors_due_) return;  // shard 0 keeps the time
  if (descriptors_asked_.exchange(true, std::memory_order_relaxed)) return;
  descriptors_due_ = now + 1s;
  const bool taken = workers_->submit(
      [this] { descriptors_.store(node::descriptors_used(), std::memory_order_relaxed); },
      *seats_[0].loop, [this](Now) { descriptors_asked_.store(false, std::memory_order_relaxed); });
  if (!taken) descriptors_asked_.store(false, std::memory_order_relaxed);
}

void Node::Impl::on_action(unsigned shard, govern::Action action, bool active,
                           std::string_view worst, double pressure) {
  log_.warn("overload: shard {} {} {}, {} is at {:.2f}", shard, active ? "starts" : "ends",
            govern::name_of(action), worst, pressure);
}

// On a worker, because it takes milliseconds after a burst. What was freed lies in the process
// allocator, between what is in use, until its pages are given back.
void Node::Impl::trim_process() {
  constexpr std::size_t kPiecesAtOnce = 256;  // senders wait for the lock
  for (bool more = true; more;) {
    const std::lock_guard lock(app_pool_mutex_);
    const std::uint64_t before = app_pool_.stats().trimmed;
    more = app_pool_.trim(kPiecesAtOnce);
    const std::uint64_t pieces = app_pool_.stats().trimmed - before;
    freed_.fetch_add(pieces * memory::kBlockCapacity[0], std::memory_order_relaxed);
  }
  if (freed_.load(std::memory_order_relaxed) < kTrimProcessAfter) return;
  freed_.store(0, std::memory_order_relaxed);
  malloc_trim(0);
}

/// What is there before any work: buffers of sockets and trains, and the process if it is ours.
std::uint64_t Node::Impl::process_floor(const Options& options) {
  return (options.whole_process ? node::resident_bytes() : 0) +
         shard_count(options.shards) * kShardBytes;
}

Status Node::Impl::check_memory() const {
  const std::uint64_t needed =
      2 * (process_floor_ + shard_count(options_.shards) * kShardBytes / 2);
  if (options_.limits.memory >= needed) return {};
  return fail(
      Errc::config_invalid,
      fmt::format("limits.memory is {} MiB, but with {} shards this node needs {} MiB",
                  options_.limits.memory >> 20, shard_count(options_.shards), (needed >> 20) + 1));
}

// On a shard's thread. One look at a time, and not more than a round of giving back in 50 ms.
void Node::Impl::on_memory_watch(unsigned shard, bool short_of) {
  if (short_of) {
    const std::int64_t now = runtime::system_now().mono.time_since_epoch() / 1ms;
    std::int64_t last = short_at_.load(std::memory_order_relaxed);
    if (now - last < 50 || !short_at_.compare_exchange_strong(last, now)) return;
    for (unsigned i = 0; i < seats_.size(); ++i) {
      node::Shard* const other = seats_[i].shard.get();
      if (i != shard) seats_[i].loop->post([other](Now) { other->give_free(); });
    }
  } else if (!options_.whole_process) {
    return;
  }
  if (measuring_.exchange(true, std::memory_order_relaxed)) return;
  const auto look = [this, short_of] {
    if (short_of) empty_process();
    measure_process();
    measuring_.store(false, std::memory_order_relaxed);
  };
  if (!workers_->submit(look, *seats_[shard].loop, [](Now) {})) {
    measuring_.store(false, std::memory_order_relaxed);
  }
}

void Node::Impl::empty_process() {
  {
    const std::lock_guard lock(app_pool_mutex_);
    static_cast<void>(app_pool_.empty());
  }
  malloc_trim(0);
}

// What no part accounts for counts as the process's, so that the sum is what is resident: the bound
// holds for the whole, also for what nobody thought of.
void Node::Impl::measure_process() {
  if (!options_.whole_process) return;
  const std::uint64_t resident = node::resident_bytes();
  const std::uint64_t accounted = bound_->accounted();
  bound_->set_process(std::max(process_floor_, resident - std::min(resident, accounted)));
}

// ---- sending
// --------------------------------------------------------------------------------------

unsigned Node::Impl::shard_for(const NodeId& destination, const SendOptions& options) const {
  // What may share a circuit must meet on one shard; the rest spreads by load.
  return placement_->shard_of(std::hash<NodeId>{}(destination) + options.isolation * 0x9e3779b9 +
                              static_cast<std::size_t>(options.cls) * 31 + options.hops);
}

Status Node::Impl::reserve(std::size_t bytes, Class cls, memory::Reservation& reservation) {
  if (bytes > kMessageBytesMax) return fail(Errc::too_large, "a message has at most 64 MiB");
  reservation = memory::Reservation::take(bound_->claim(static_cast<std::size_t>(cls)),
                                          node::chain_bytes(bytes));
  if (!reservation) return memory_is_out();
  return {};
}

Result<Buffer> Node::Impl::buffer(std::size_t bytes) {
  memory::Reservation reservation;
  if (auto ok = reserve(bytes, Class::normal, reservation); !ok) return std::unexpected(ok.error());
  memory::Chain chain;
  const std::lock_guard lock(app_pool_mutex_);
  if (!node::make_chain(app_pool_, bytes, chain)) return memory_is_out();
  auto impl = Buffer::Impl::make(app_pool_, chain, reservation, bound_);
  if (!impl) return memory_is_out();
  return Buffer(std::move(impl));
}

Status Node::Impl::send(node::SendRequest request, unsigned shard) {
  Seat& seat = seats_[shard];
  return when_room(request.options, seat, [&] { return put(request, seat); });
}

Status Node::Impl::send_copy(node::SendRequest request, std::span<const std::byte> payload,
                             unsigned shard) {
  Seat& seat = seats_[shard];
  return when_room(request.options, seat, [&]() -> Status {
    if (auto ok = reserve(payload.size(), request.options.cls, request.reservation); !ok) return ok;
    const bool high = request.options.cls == Class::high;
    const memory::For whom = high ? memory::For::high : memory::For::all;
    {
      const std::lock_guard lock(app_pool_mutex_);
      if (!node::make_chain(app_pool_, payload.size(), request.payload, whom)) {
        return memory_is_out();
      }
    }
    request.payload.copy_from(payload);
    return put(request, seat);
  });
}

/// Lets the message in and tries; what found no room pauses the gate, and waits there if it wishes.
template <class Try>
Status Node::Impl::when_room(const SendOptions& options, Seat& seat, Try&& attempt) {
  if (options.hops > kRelaysMax) return fail(Errc::invalid_argument, "hops must be 0 to 5");
  if (options.ttl < 1ms || options.ttl > limits::kTtlMax) {
    return fail(Errc::invalid_argument, "ttl must be 1 ms to 24 h");
  }
  if (static_cast<std::size_t>(options.cls) >= kClassCount) {
    return fail(Errc::invalid_argument, "class");
  }
  std::optional<node::Gate::Clock::time_point> until;  // asking the time costs: when it waits
  for (;;) {
    if (stopping_.load(std::memory_order_acquire)) return fail(Errc::shutting_down);
    Status done = fail(Errc::refused_queue_full);
    if (seat.gate->enter(options.cls)) {
      done = attempt();
      if (done) return done;
      leave(seat, options.cls, 1);
      seat.gate->pause(options.cls);
    }
    const bool for_room =
        done.error() == Errc::refused_queue_full || done.error() == Errc::refused_memory;
    const bool waits = options.when_full == WhenFull::wait && for_room;
    if (!waits || !seat.gate->paused(options.cls) || on_own_thread()) return done;
    if (!until) until = node::Gate::Clock::now() + options.ttl;
    if (seat.gate->wait(options.cls, *until) == node::Gate::Waited::too_long) {
      return fail(Errc::expired, "no room");
    }
  }
}

/// On a thread that calls back: who waits there waits for itself.
bool Node::Impl::on_own_thread() const {
  return std::ranges::any_of(seats_, [self = std::this_thread::get_id()](const Seat& seat) {
    return seat.thread.get_id() == self;
  });
}

Status Node::Impl::put(node::SendRequest& request, Seat& seat) {
  switch (seat.inbox->put(request, runtime::system_now().mono)) {
    case queue::Pushed::queued:
      return {};
    case queue::Pushed::wake:
      seat.loop->wake();
      return {};
    case queue::Pushed::full:
      return fail(Errc::refused_queue_full, "the shard's inbox is full");
    case queue::Pushed::closed:
      break;
  }
  return fail(Errc::shutting_down);
}

void Node::Impl::on_ended(unsigned shard, const std::array<std::uint64_t, kClassCount>& count) {
  for (std::size_t i = 0; i < kClassCount; ++i) {
    if (count[i] > 0) leave(seats_[shard], static_cast<Class>(i), count[i]);
  }
}

void Node::Impl::leave(Seat& seat, Class cls, std::uint64_t count) {
  // A full mailbox drops this: then the node is busier than anybody needs to hear.
  if (seat.gate->leave(cls, count)) seat.loop->post([this, cls](Now) { tell_room(cls); });
}

void Node::Impl::tell_room(Class cls) {
  std::shared_ptr<const RoomHandler> handler;
  {
    const std::lock_guard lock(handler_mutex_);
    handler = room_handler_;
  }
  if (handler) (*handler)(cls);
}

/// What came in after the shard's last turn.
void Node::Impl::answer_rest(Seat& seat) {
  seat.inbox->drain(runtime::system_now().mono, [&](node::SendRequest&& request) {
    leave(seat, request.options.cls, 1);
    if (request.done) request.done(node::refusal(Errc::shutting_down));
  });
}

// ---- receiving
// ------------------------------------------------------------------------------------

void Node::Impl::set_handler(MessageHandler handler) {
  auto held = handler ? std::make_shared<const MessageHandler>(std::move(handler)) : nullptr;
  const std::lock_guard lock(handler_mutex_);
  handler_ = std::move(held);
}

void Node::Impl::set_room_handler(RoomHandler handler) {
  auto held = handler ? std::make_shared<const RoomHandler>(std::move(handler)) : nullptr;
  const std::lock_guard lock(handler_mutex_);
  room_handler_ = std::move(held);
}

Accept Node::Impl::on_message(Message&& message) {
  std::shared_ptr<const MessageHandler> handler;
  {
    const std::lock_guard lock(handler_mutex_);
    handler = handler_;
  }
  return handler ? (*handler)(std::move(message)) : Accept::no_receiver;
}

// ---- status
// ---------------------------------------------------------------------------------------

template <class Whole, class Part>
std::future<Whole> Node::Impl::gather(std::function<Part(Seat&)> part,
                                      std::function<Whole(std::vector<Part>&&)> combine) {
  auto gathering = std::make_shared<Gathering<Part, Whole>>();
  gathering->parts.resize(seats_.size());
  gathering->missing = seats_.size();
  gathering->combine = std::move(combine);
  auto future = gathering->promise.get_future();
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    Seat& seat = seats_[i];
    const bool posted =
        seat.loop->post([gathering, i, &seat, part](Now) { gathering->put(i, part(seat)); });
    if (!posted) gathering->put(i, Part{});
  }
  return future;
}

NodeStatus Node::Impl::status_of(std::vector<node::ShardReport>&& reports) const {
  NodeStatus out;
  out.id = id();
  out.listen = address_;
  out.version = std::string(qudag::version());
  out.shards = static_cast<unsigned>(seats_.size());
  out.uptime = runtime::system_now().mono - started_;
  for (const node::ShardReport& report : reports) {
    out.links += report.links;
    out.circuits += report.circuits;
    out.nodes_known = std::max(out.nodes_known, report.nodes_known);
    out.relays_known = std::max(out.relays_known, report.relays_known);
  }
  out.memory_used = bound_->node().used();
  out.memory_limit = bound_->node().bytes_max();
  out.rss = node::resident_bytes();
  out.stopping = stopping_.load(std::memory_order_relaxed);
  return out;
}

BoundedList Node::Impl::bounded() {
  BoundedList out;
  workers_->report(out);
  bound_->report(out);
  const std::lock_guard lock(app_pool_mutex_);
  memory::report("blocks of the application", app_pool_options(bound_), app_pool_.stats(), out);
  return out;
}

// ---- Node
// -----------------------------------------------------------------------------------------

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::start(Options options) {
  if (auto ok = validate(options); !ok) return std::unexpected(ok.error());
  auto impl = std::make_unique<Impl>(std::move(options));
  if (auto ok = impl->start(); !ok) return std::unexpected(ok.error());
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

const NodeId& Node::id() const noexcept { return impl_->id(); }
const SocketAddress& Node::address() const noexcept { return impl_->address(); }
Result<Buffer> Node::buffer(std::size_t bytes) { return impl_->buffer(bytes); }
void Node::on_message(MessageHandler handler) { impl_->set_handler(std::move(handler)); }
void Node::on_room(RoomHandler handler) { impl_->set_room_handler(std::move(handler)); }
void Node::stop(std::chrono::milliseconds grace) { impl_->stop(grace); }

namespace {

node::SendRequest request_to(const NodeId& destination, const SendOptions& options, Completion done,
                             Progress progress) {
  node::SendRequest out;
  out.destination = destination;
  out.options = options;
  out.done = std::move(done);
  out.progress = std::move(progress);
  return out;
}

node::SendRequest reply_on(const ReplyTo& to, std::chrono::milliseconds ttl, Completion done) {
  node::SendRequest out;
  out.reply_to = to;
  out.options.ttl = ttl;
  out.done = std::move(done);
  return out;
}

void fill(node::SendRequest& request, Buffer& payload) {
  Buffer::Impl::Parts parts = Buffer::Impl::take(payload);
  request.payload = std::move(parts.chain);
  request.reservation = std::move(parts.reservation);
}

}  // namespace

Status Node::send(const NodeId& destination, Buffer payload, const SendOptions& options,
                  Completion done, Progress progress) {
  auto request = request_to(destination, options, std::move(done), std::move(progress));
  fill(request, payload);
  return impl_->send(std::move(request), impl_->shard_for(destination, options));
}

Status Node::send(const NodeId& destination, std::span<const std::byte> payload,
                  const SendOptions& options, Completion done, Progress progress) {
  return impl_->send_copy(request_to(destination, options, std::move(done), std::move(progress)),
                          payload, impl_->shard_for(destination, options));
}

std::future<Delivery> Node::send(const NodeId& destination, std::span<const std::byte> payload,
                                 const SendOptions& options) {
  auto promise = std::make_shared<std::promise<Delivery>>();
  auto future = promise->get_future();
  const auto status = send(destination, payload, options,
                           [promise](const Delivery& delivery) { promise->set_value(delivery); });
  if (!status) promise->set_value(node::refusal(status.error()));
  return future;
}

Status Node::reply(const ReplyTo& to, Buffer payload, std::chrono::milliseconds ttl,
                   Completion done) {
  if (to.shard >= impl_->shards()) return fail(Errc::invalid_argument, "no such reply address");
  auto request = reply_on(to, ttl, std::move(done));
  fill(request, payload);
  return impl_->send(std::move(request), to.shard);
}

Status Node::reply(const ReplyTo& to, std::span<const std::byte> payload,
                   std::chrono::milliseconds ttl, Completion done) {
  if (to.shard >= impl_->shards()) return fail(Errc::invalid_argument, "no such reply address");
  return impl_->send_copy(reply_on(to, ttl, std::move(done)), payload, to.shard);
}

std::future<NodeStatus> Node::status() const {
  return impl_->gather<NodeStatus, node::ShardReport>(
      [](Seat& seat) { return seat.shard->report(); },
      [impl = impl_.get()](auto&& reports) { return impl->status_of(std::move(reports)); });
}

namespace {

template <class T>
std::vector<T> concatenate(std::vector<std::vector<T>>&& parts) {
  std::vector<T> out;
  for (auto& part : parts) std::move(part.begin(), part.end(), std::back_inserter(out));
  return out;
}

}  // namespace

std::future<std::vector<PeerStatus>> Node::peers() const {
  return impl_->gather<std::vector<PeerStatus>, std::vector<PeerStatus>>(
      [](Seat& seat) { return seat.shard->peers(); }, concatenate<PeerStatus>);
}

std::future<std::vector<CircuitStatus>> Node::circuits() const {
  return impl_->gather<std::vector<CircuitStatus>, std::vector<CircuitStatus>>(
      [](Seat& seat) { return seat.shard->circuits(); }, concatenate<CircuitStatus>);
}

std::future<std::vector<QueueStatus>> Node::queues() const {
  using Rows = std::vector<QueueStatus>;
  return impl_->gather<Rows, Rows>(
      [](Seat& seat) { return node::to_status(seat.bounded(), seat.shard->index()); },
      [impl = impl_.get()](std::vector<Rows>&& parts) {
        parts.push_back(node::to_status(impl->bounded(), {}));
        return concatenate<QueueStatus>(std::move(parts));
      });
}

std::future<std::vector<MetricSample>> Node::metrics() const {
  return impl_->gather<std::vector<MetricSample>, node::ShardReport>(
      [](Seat& seat) {
        node::ShardReport report = seat.shard->report();
        report.loop_lag_us = seat.loop->stats().lag_us;
        report.loop_turns = seat.loop->stats().turns;
        report.send_pauses = seat.gate->pauses();
        report.bounded = seat.bounded();
        return report;
      },
      [impl = impl_.get()](std::vector<node::ShardReport>&& reports) {
        reports.emplace_back().bounded = impl->bounded();  // a row of the node's own
        return node::to_metrics(reports, impl->bound());
      });
}

std::string_view version() noexcept { return QUDAG_VERSION; }

}  // namespace qudag
