// start: identity -> bound -> a socket and a loop per shard -> shards -> threads -> shard 0
// announces and joins. stop: every shard drains and says goodbye, its loop ends, the threads are
// joined, what is left is answered.
#include "node/impl.h"

#include "base/lines/log_lines.h"
#include "node/process/usage.h"
#include "node/report.h"

#include "base/secret.h"
#include "crypto/key_memory.h"
#include "message/known/delivered.h"
#include "message/known/unfinished.h"
#include "netmap/kept.h"
#include "node/key_file.h"
#include "node/listen.h"
#include "node/process/hardening.h"
#include "runtime/clock.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace qudag {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMessageIdBytes = 55;  // of a remembered one: 44, and a quarter for signed

/// Slow work is mostly TLS of handshakes, 600 a second for a core. Half of the cores is ample, and
/// a flood of handshakes leaves the other half to the loops.
unsigned worker_count() { return std::max(1u, std::thread::hardware_concurrency() / 2); }

}  // namespace

unsigned Node::Impl::shard_count(unsigned wanted) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  return std::min<unsigned>(wanted == 0 ? cores : wanted, limits::kShardsMax);
}

Status Node::Impl::load_identity() {
  auto identity = !options_.identity_key.empty() ? node::parse_identity(options_.identity_key)
                  : options_.identity.empty()    ? crypto::Identity::generate()
                                                 : node::load_identity(options_.identity);
  wipe(options_.identity_key);
  options_.identity_key.clear();
  if (!identity) return std::unexpected(identity.error());
  identity_ = std::make_unique<crypto::Identity>(std::move(*identity));
  return {};
}

Status Node::Impl::open_state() {
  if (options_.state_dir.empty()) {
    if (!options_.identity.empty()) {
      log_.info(lines::kNoState);
    }
    return {};
  }
  auto state = node::State::open(options_.state_dir, log_);
  if (!state) return std::unexpected(state.error());
  state_ = std::move(*state);
  return {};
}

Status Node::Impl::open_inbox() {
  if (options_.inbox.dir.empty()) return {};
  inbox_memory_ =
      memory::Reservation::take(bound_->part(memory::Part::tables), store::kRecordsMemory);
  if (!inbox_memory_) return fail(Errc::refused_memory, "limits.memory has no room for the inbox");
  auto inbox = node::Inbox::open(options_.inbox, *this, runtime::system_now, log_);
  if (!inbox) return std::unexpected(inbox.error());
  inbox_ = std::move(*inbox);
  const InboxStatus has = inbox_->status();
  log_.info(lines::kInbox, has.messages,
            has.accept ? "and more are kept" : "and no more are kept (inbox.accept)");
  return {};
}

/// What was known at the last run is verified again, on a worker.
void Node::Impl::restore_netmap(Now now) {
  auto body = std::make_shared<std::vector<std::byte>>(state_->load_netmap(now.unix_seconds));
  if (body->empty()) return;
  auto kept = std::make_shared<std::vector<netmap::Kept>>();
  // Refused: the network tells it anew.
  static_cast<void>(workers_->submit(
      [body, kept, now] {
        if (const auto records = netmap::parse_kept(*body)) {
          *kept = netmap::verify_kept(*records, now.unix_seconds);
        }
      },
      *threads_[0].loop,
      [this, kept](WorkEnd how, Now then) {
        if (how != WorkEnd::ran) return restore_netmap(then);
        hub_->restore(std::move(*kept), then);
      }));
}

/// Once: an operator may raise the limit, or encrypt what the machine swaps to.
void Node::Impl::tell_key_memory() {
  static_cast<void>(node::exclude_from_dumps());
  const crypto::KeyMemory keys = crypto::key_memory();
  if (!keys.in_use || keys.locked) return;
  log_.warn(lines::kKeysNotLocked, std::strerror(keys.lock_error), crypto::kKeyMemoryBytes / 1024);
}

Status Node::Impl::open_sockets(unsigned shards) {
  const auto udp_options = [this](const SocketAddress& bind, unsigned shard, unsigned of) {
    return runtime::UdpOptions{.bind = bind,
                               .shard = shard,
                               .shards = of,
                               .fixed_buffers = options_.limits.windows_one_in == 0};
  };
  SocketAddress at = node::listen_address(options_);
  send_windows_.bytes_max = node::send_windows(options_.limits, process_.floor());
  for (unsigned i = 0; i < shards; ++i) {
    auto socket = runtime::UdpSocket::open(udp_options(at, i, shards));
    if (!socket && i == 0 && !options_.listen && !at.is_v4()) {  // a system without IPv6
      at = SocketAddress::v4(0, 0, 0, 0, 0);
      socket = runtime::UdpSocket::open(udp_options(at, i, shards));
    }
    if (!socket) return std::unexpected(socket.error());
    node::ShardThread& thread = threads_[i];
    thread.socket = std::move(*socket);
    thread.loop = std::make_unique<runtime::Loop>(
        thread.socket->native_handle(),
        runtime::LoopOptions{.awake_max = std::chrono::microseconds(options_.awake_us)});
    thread.limiter =
        std::make_unique<node::SendLimiter>(shard::messages_max(options_.limits), &send_windows_);
    send_windows_.limiters.push_back(thread.limiter.get());
    if (options_.limits.queue_delay_ms > 0) {
      std::uint64_t key = 0;
      rng_.fill(std::as_writable_bytes(std::span(&key, 1)));
      thread.queues = std::make_unique<message::FlowQueues>(message::FlowQueuesOptions{
          .target = std::chrono::milliseconds(options_.limits.queue_delay_ms),
          .ceiling = send_windows_.bytes_max,
          .key = key});
    }
    thread.ids = std::make_unique<node::MessageIds>(rng_);
    thread.intake =
        std::make_unique<node::Intake>(limits::kIntakeHighMax, limits::kIntakeRequestsMax);
    at = thread.socket->local();  // the kernel chose the port; the others share it
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
  threads_[0].loop->watch(addresses_->native_handle(), [this](Now) {
    if (!addresses_->changed()) return;
    for (node::ShardThread& thread : threads_) {
      const bool told = thread.loop->post_or_keep(
          [shard = thread.shard.get()](Now now) { shard->addresses_changed(now); });
      if (!told) log_.warn(lines::kAddressesLate);
    }
  });
}

Status Node::Impl::start() {
  if (auto ok = process_.check_memory(); !ok) return ok;
  if (auto ok = load_identity(); !ok) return ok;
  if (auto ok = open_state(); !ok) return ok;
  if (options_.whole_process) tell_key_memory();
  const unsigned shards = shard_count(options_.shards);
  threads_.resize(shards);
  joining_.begin(shards, !options_.bootstrap.empty());
  reachability_.begin(id(), options_.relay && options_.known);
  if (auto ok = open_sockets(shards); !ok) return ok;
  if (auto ok = open_inbox(); !ok) return ok;
  placement_ = std::make_unique<node::Placement>(
      shards, [this](unsigned shard) { return threads_[shard].loop->busy(); },
      [] { return runtime::system_now().mono; },
      [this](unsigned shard) { return lent_ ? lent_->links.used(shard) : 0; });
  workers_ = std::make_unique<runtime::ThreadWorkerPool>(worker_count());
  hub_ = std::make_unique<shard::GossipHub>(
      netmap::NetmapOptions{.self = id(),
                            .passes_on = options_.relay,
                            .only_reached = true,
                            .memory = &bound_->part(memory::Part::netmap),
                            .digest_interval = options_.gossip_interval},
      rng_, *this);

  registry_ = std::make_shared<keeper::Registry>(id(), keeper::KeeperBounds{}, rng_,
                                                 &bound_->part(memory::Part::tables));
  if (auto ok = open_letters(shards); !ok) return ok;

  // What is remembered of the past may grow to a sixteenth of the bound each.
  const std::size_t remembered = options_.limits.memory / 16;
  const auto replays =
      std::make_shared<onion::ReplayWindow>(shard::replay_entries(options_.limits));
  const auto delivered = std::make_shared<message::Delivered>(
      std::min(message::MessagesOptions{}.duplicates_max, remembered / kMessageIdBytes), rng_);
  const auto unfinished = std::make_shared<message::Unfinished>(
      message::UnfinishedOptions{.bytes_max = options_.limits.memory / limits::kUnfinishedOneIn},
      rng_);
  const Now today = runtime::system_now();
  guards_ = std::make_shared<shard::NodeGuards>(state_ ? state_->load_guards(today.unix_seconds)
                                                       : netmap::Guards{});
  quota_ = std::make_shared<circuit::Quota>(
      options_.limits, state_ ? state_->load_quota(today.unix_seconds) : std::nullopt, today);
  if (shards > 1) lent_ = std::make_shared<shard::LentToShards>(options_.limits, shards);
  pipes_ = std::make_shared<shard::PipesOfShards>(options_.limits.pipes, options_.limits.pipe_bytes,
                                                  shards);
  std::vector<shard::Sibling*> all;
  for (unsigned i = 0; i < shards; ++i) {
    auto shard = shard::Shard::create({.index = i,
                                       .shards = shards,
                                       .options = &options_,
                                       .identity = identity_.get(),
                                       .bound = bound_,
                                       .rng = &rng_,
                                       .socket = threads_[i].socket.get(),
                                       .environment = this,
                                       .hub = hub_.get(),
                                       .queues = threads_[i].queues.get(),
                                       .replays = replays,
                                       .delivered = delivered,
                                       .unfinished = unfinished,
                                       .pipes = pipes_,
                                       .quota = quota_,
                                       .lent = lent_,
                                       .registry = registry_,
                                       .cards = cards_,
                                       .letters = letter_room_,
                                       .seen_letters = seen_letters(i),
                                       .state = state_.get(),
                                       .guards = guards_});
    if (!shard) return std::unexpected(shard.error());
    threads_[i].shard = std::move(*shard);
    all.push_back(threads_[i].shard.get());
  }
  hub_->attach(std::move(all));

  started_ = runtime::system_now().mono;
  notices_.emplace(log_, started_);
  auto publish = options_.publish.empty() ? std::vector{address_} : options_.publish;
  const bool first =
      threads_[0].loop->post([shard = threads_[0].shard.get(), publish = std::move(publish)](
                                 Now now) { shard->start(publish, now); });
  QUDAG_ASSERT(first);  // nothing else is there yet
  if (state_) restore_netmap(runtime::system_now());
  watch_addresses();
  for (node::ShardThread& thread : threads_) {
    thread.thread = std::thread([this, &thread] { run(thread); });
  }
  tell_small_buffers();
  log_.info(lines::kListens, sensitive(id()), sensitive(address_), shards);
  if (options_.congestion == Congestion::automatic && !link::forgives_losses()) {
    log_.info(lines::kNoForgiving);
  }
  if (!options_.listen && options_.bootstrap.empty()) {
    log_.info(lines::kAlone);
  }
  return {};
}

namespace {

thread_local const void* node_of_thread = nullptr;  // whose callbacks run here

}  // namespace

bool Node::Impl::on_own_thread() const { return node_of_thread == this; }

void Node::Impl::run(node::ShardThread& thread) {
  node_of_thread = this;
  thread.loop->at_each_turn([this, &thread](Now now) { take_in(thread, now); },
                            [&thread] { return thread.intake->sleep(); });
  if (&thread != &threads_[0]) return thread.loop->run(*thread.shard);
  node::WithRequests driven(*thread.shard, requests_);
  thread.loop->run(driven);
}

void Node::Impl::stop(Duration grace) {
  begin_stop(grace);
  if (!on_own_thread()) finish_stop();
}

/// Once: no new work, and every shard is told.
void Node::Impl::begin_stop(Duration grace) {
  if (stopping_.exchange(true)) return;
  joining_.close();
  for (node::ShardThread& thread : threads_) {
    if (thread.limiter) thread.limiter->close();
    if (thread.queues) thread.queues->close();
    if (thread.intake) thread.intake->close();
    if (thread.shard) {
      const bool told = thread.loop->post_or_keep(
          [shard = thread.shard.get(), grace](Now now) { shard->stop(grace, now); });
      if (!told) thread.loop->stop();  // one that far behind will not read it in time
    }
  }
}

/// Waits for the threads, which end by themselves, and answers what is left.
void Node::Impl::finish_stop() {
  const std::lock_guard lock(stop_mutex_);
  if (std::exchange(stopped_, true)) return;
  for (node::ShardThread& thread : threads_) {
    if (thread.thread.joinable()) thread.thread.join();
    if (thread.intake) answer_rest(thread);
  }
  ended_.store(true, std::memory_order_release);
  if (inbox_) inbox_->stop();
  if (letters_) letters_->stop();
  if (taken_letters_) taken_letters_->stop();
  requests_.end_all(Errc::shutting_down);
  workers_.reset();
  const bool began = !threads_.empty() && threads_[0].shard;
  if (state_ && began) {
    threads_[0].shard->state_to_keep(true, runtime::system_now())();
  }
  for (node::ShardThread& thread : threads_) thread.shard.reset();
  state_.reset();
  if (began) log_.info(lines::kStopped, sensitive(id()));
}

void Node::Impl::on_maintained(unsigned shard, std::uint64_t freed) {
  process_.note_freed(freed);
  if (shard != 0) return;
  placement_->next_round();
  look_at_joining();
  look_around();
  static_cast<void>(  // again at the next maintenance
      workers_->submit([this] { process_.trim(app_pool_); }, *threads_[0].loop,
                       [](WorkEnd, Now) {}));
}

/// What bursts need (runtime/udp_socket.h) is more than most systems give without being told.
void Node::Impl::tell_small_buffers() {
  const int wanted = runtime::UdpOptions{}.buffer_bytes;
  const auto [in, out] = threads_[0].socket->buffers_max();
  if (in >= wanted && out >= wanted) return;
  log_.warn(lines::kSmallBuffers, in / 1024, out / 1024, wanted / 1024, wanted, wanted);
}

node::Totals Node::Impl::totals_of(const std::vector<shard::ShardReport>& reports) const {
  node::Totals out;
  std::array<std::uint64_t, link::kRefusalCount> links{};
  circuit::CircuitsStats circuits;
  shard::BuildLimiterStats builds;
  for (const shard::ShardReport& report : reports) {
    out.links += report.links;
    out.circuits += report.circuits;
    out.nodes = std::max(out.nodes, report.nodes_known);
    out.relays = std::max(out.relays, report.relays_known);
    out.bytes_in += report.socket.received_bytes;
    out.bytes_out += report.socket.sent_bytes;
    out.bytes_relayed += report.circuit.bytes_relayed;
    for (std::size_t i = 0; i < links.size(); ++i) links[i] += report.endpoint.refused_by[i];
    circuits.refused_limit += report.circuit.refused_limit;
    circuits.refused_memory += report.circuit.refused_memory;
    circuits.refused_overload += report.circuit.refused_overload;
    builds.refused_rate += report.limiter.refused_rate;
    builds.refused_link_rate += report.limiter.refused_link_rate;
  }
  out.memory_used = bound_->node().used();
  out.memory_limit = bound_->node().bytes_max();
  guards_->with([&out](const netmap::Guards& guards) {
    out.guards = guards.all(netmap::Layer::first).size();
    out.guards_there = guards.ids(netmap::Layer::first).size();
  });
  node::Refusals of_links{.what = "links", .by_reason = {}};
  for (std::size_t i = 1; i + 1 < links.size(); ++i) {  // after `stopping`
    of_links.by_reason.emplace_back(link::kRefusalNames[i], links[i + 1]);
  }
  out.refusals.push_back(std::move(of_links));
  out.refusals.push_back({.what = "circuits",
                          .by_reason = {{"limit", circuits.refused_limit},
                                        {"memory", circuits.refused_memory},
                                        {"overload", circuits.refused_overload},
                                        {"rate", builds.refused_rate},
                                        {"link_rate", builds.refused_link_rate}}});
  return out;
}

/// Asks the shards; the last one that answers says what there is to say.
void Node::Impl::look_around() {
  const TimePoint now = runtime::system_now().mono;
  if (!notices_->due(now)) return;
  static_cast<void>(gather<bool, shard::ShardReport>(
      [](node::ShardThread& thread) { return thread.shard->report(); },
      [this, now](std::vector<shard::ShardReport>&& reports) {
        notices_->look(totals_of(reports), now);
        return true;
      }));
}

/// Who was given somebody to ask, and is alone after half a minute, is told once.
void Node::Impl::look_at_joining() {
  constexpr Duration kPatience = 30s;
  if (said_alone_ || options_.bootstrap.empty()) return;
  if (runtime::system_now().mono - started_ < kPatience) return;
  said_alone_ = true;
  const JoinState state = joining_.state(kRelaysDefault);
  if (state.joined) return;
  log_.warn(lines::kNotJoined, kPatience / 1s, state.reason);
}

void Node::Impl::measure(unsigned shard, shard::Measured& out) {
  const TimePoint now = runtime::system_now().mono;
  out.descriptors = process_.descriptors();
  out.busy = threads_[shard].busy_share(now);
  if (shard != 0) return;  // shard 0 keeps the time
  process_.count_descriptors(now, *workers_, *threads_[0].loop);
}

void Node::Impl::on_memory_watch(unsigned shard, bool short_of) {
  if (short_of) {
    if (!process_.may_ask_all(runtime::system_now().mono)) return;
    for (unsigned i = 0; i < threads_.size(); ++i) {
      shard::Shard* const other = threads_[i].shard.get();
      if (i == shard) continue;
      // Asked again in 50 ms, if memory is still short then.
      static_cast<void>(threads_[i].loop->post([other](Now) { other->give_free(); }));
    }
  }
  process_.look(short_of, *bound_, app_pool_, *workers_, *threads_[shard].loop);
}

void Node::Impl::on_action(unsigned shard, overload::Action action, bool active,
                           std::string_view worst, double pressure) {
  log_.warn(lines::kOverload, shard, active ? "starts" : "ends", overload::name_of(action), worst,
            pressure);
}

bool Node::Impl::resolve(const std::string& name, std::uint16_t port,
                         std::function<void(runtime::Addresses, Now)> done) {
  return resolver_.ask(name, port, *threads_[0].loop, std::move(done));
}

/// Each problem once, until it is another one.
void Node::Impl::on_entry(const std::string& which, std::string_view problem) {
  joining_.entry(which, problem);
  std::string& said = entries_said_[which];
  if (said == problem) return;
  said = problem;
  if (problem.empty()) {
    log_.info(lines::kEntryRight, which);
  } else {
    log_.warn(lines::kEntryWrong, problem);
  }
}

void Node::Impl::on_clock_off(std::int64_t seconds, std::size_t networks) {
  const std::int64_t off = std::abs(seconds);
  if (off <= shard::PeerClocks::kOffSeconds) {
    log_.info(lines::kClockRight);
    return;
  }
  log_.warn(lines::kClockOff, off, seconds > 0 ? "ahead of" : "behind", networks);
}

/// What was set and would not do changes nothing.
Status Node::Impl::set_quota(const Limits& limits) {
  Options wanted;
  wanted.limits.bandwidth = limits.bandwidth;
  wanted.limits.bandwidth_burst = limits.bandwidth_burst;
  wanted.limits.month = limits.month;
  if (auto ok = validate(wanted); !ok) return ok;
  quota_->set(wanted.limits, runtime::system_now().mono);
  return {};
}

/// A step may be missed where much goes through in seconds; what it means is said all the same.
void Node::Impl::on_quota(const QuotaStatus& status) {
  const QuotaStage said = std::exchange(said_stage_, status.stage);
  const std::string month = node::bytes_text(status.month), turn = node::span_text(status.turns);
  switch (status.stage) {
    case QuotaStage::open:
      return log_.info(lines::kQuotaOpen, status.month == 0
                                              ? "limits.month is off"
                                              : node::bytes_text(status.month - status.used) +
                                                    " of the month are left");
    case QuotaStage::leaving:
    case QuotaStage::closed:
      if (said != QuotaStage::open) return;
      return log_.warn(lines::kQuotaLeaving, node::bytes_text(status.used), month, turn);
    case QuotaStage::spent:
      return log_.warn(lines::kQuotaSpent, month, turn);
  }
}

// ---- receiving
//
void Node::Impl::set_handler(ChannelNumber channel, MessageHandler handler) {
  const bool wanted = static_cast<bool>(handler);
  auto held = wanted ? std::make_shared<MessageHandler>(std::move(handler)) : nullptr;
  {
    const std::lock_guard lock(handler_mutex_);
    if (held) {
      handlers_[channel].swap(held);  // what was there ends after the lock
    } else if (const auto at = handlers_.find(channel); at != handlers_.end()) {
      held = std::move(at->second);
      handlers_.erase(at);
    }
  }
  if (!inbox_) return;
  if (wanted) {
    inbox_->listen(channel);
  } else {
    inbox_->unlisten(channel);
  }
}

void Node::Impl::set_room_handler(RoomHandler handler) {
  auto held = handler ? std::make_shared<RoomHandler>(std::move(handler)) : nullptr;
  const std::lock_guard lock(handler_mutex_);
  room_is_heard_ = held != nullptr;
  room_handler_ = std::move(held);
}

// ---- joining
//
void Node::Impl::on_link(const SocketAddress& remote, bool dialed) {
  reachability_.on_link(remote, dialed);
}

void Node::Impl::look_at_reachability(const netmap::View& view) {
  const TimePoint now = runtime::system_now().mono;
  reachability_.look(view, joining_.state(kRelaysDefault).joined, now);
  const auto change = reachability_.take_change();
  if (!change) return;
  if (*change) {
    log_.info(lines::kReached);
  } else {
    log_.warn(lines::kNotReached, node::Reachability::kPatience / 1min, address_.port);
  }
}

void Node::Impl::on_means(unsigned shard, const shard::Means& means, const netmap::ViewPtr& view) {
  joining_.update(shard, means, view);
  if (shard == 0) look_at_reachability(*view);
  tell_joined();
  const auto change = joining_.take_change(join_logged_);
  if (!change) return;
  if (change->joined) {
    log_.info(lines::kJoined, change->links,
              change->relays > kRelaysMax ? fmt::format("at least {}", change->relays)
                                          : std::to_string(change->relays),
              view->entries().size());
  } else {
    log_.warn(lines::kNotJoinedAnyMore, change->reason);
  }
}

JoinState Node::Impl::wait_until_joined(Duration timeout, unsigned relays) const {
  return joining_.wait(relays, on_own_thread() ? Duration{} : timeout);
}

bool Node::Impl::wait_until_known(const NodeId& id, Duration timeout) const {
  return joining_.wait_known(id, on_own_thread() ? Duration{} : timeout);
}

void Node::Impl::set_join_handler(JoinHandler handler) {
  {
    auto held = handler ? std::make_shared<JoinListener>(std::move(handler)) : nullptr;
    const std::lock_guard lock(handler_mutex_);
    join_handler_ = std::move(held);
  }
  // If there is no room, the next update tells it.
  static_cast<void>(threads_[0].loop->post_or_keep([this](Now) { tell_joined(); }));
}

void Node::Impl::tell_joined() {
  std::shared_ptr<JoinListener> listener;
  {
    const std::lock_guard lock(handler_mutex_);
    listener = join_handler_;
  }
  if (!listener) return;
  const auto change = joining_.take_change(listener->taken);
  if (change && change->joined) call_out("joined", [&] { listener->handler(*change); });
}

/// To the handler of the message's channel. Nothing: there is none, or it has no receiver and left
/// the message as it was.
std::optional<Accept> Node::Impl::try_handler(Message& message) {
  std::shared_ptr<MessageHandler> handler;
  {
    const std::lock_guard lock(handler_mutex_);
    const auto at = handlers_.find(message.channel);
    if (at != handlers_.end()) handler = at->second;
  }
  if (!handler) return std::nullopt;
  const std::size_t bytes = message.payload.size();
  bool threw = true;
  Accept answer = Accept::no_receiver;
  call_out("message", [&] {
    answer = (*handler)(std::move(message));
    threw = false;
  });
  const bool untouched = !threw && message.payload.size() == bytes;
  if (answer == Accept::no_receiver && untouched) return std::nullopt;
  return answer;
}

Accept Node::Impl::on_message(Message&& message, const std::array<std::byte, 16>& key) {
  if (message.in_reply_to && requests_.answer(message)) return Accept::taken;
  // What is kept has no receiver beside it.
  const bool may_keep = inbox_ && inbox_->accepts() && !message.in_reply_to && !message.receiver;
  const bool behind = may_keep && inbox_->waits(message.channel);
  if (!behind) {
    if (const auto answer = try_handler(message)) return *answer;
  }
  return may_keep ? inbox_->keep(std::move(message), key) : Accept::no_receiver;
}

Accept Node::Impl::offer(Message&& message) {
  return try_handler(message).value_or(Accept::no_receiver);
}

/// Once, of the first: a handler that throws is a defect, and may throw for every message.
void Node::Impl::on_threw(std::string_view callback) {
  if (threw_.exchange(true)) return;
  try {
    throw;
  } catch (const std::exception& what) {
    log_.error(lines::kThrew, callback, sensitive(std::string_view(what.what())));
  } catch (...) {
    log_.error(lines::kThrewSomething, callback);
  }
}

// ---- what it tells
//
static Times times_of(const Histogram& us) {
  const auto time = [](std::uint64_t value) { return std::chrono::microseconds(value); };
  return {.count = us.count(),
          .p50 = time(us.percentile(50)),
          .p90 = time(us.percentile(90)),
          .p99 = time(us.percentile(99)),
          .max = time(us.max())};
}

NodeStatus Node::Impl::status_of(std::vector<shard::ShardReport>&& reports) const {
  NodeStatus out;
  out.id = id();
  out.listen = address_;
  out.version = std::string(qudag::version());
  out.shards = static_cast<unsigned>(threads_.size());
  out.uptime = runtime::system_now().mono - started_;
  for (const shard::ShardReport& report : reports) {
    out.links += report.links;
    out.circuits += report.circuits;
    out.nodes_known = std::max(out.nodes_known, report.nodes_known);
    out.relays_known = std::max(out.relays_known, report.relays_known);
  }
  Histogram build;
  std::array<Histogram, kPriorityCount> delivery;
  for (const shard::ShardReport& report : reports) {
    build.merge(report.recent_build_us);
    for (std::size_t c = 0; c < kPriorityCount; ++c)
      delivery[c].merge(report.recent_delivery_us[c]);
  }
  out.circuit_build = times_of(build);
  std::ranges::transform(delivery, out.delivery.begin(), times_of);
  if (!reports.empty() && reports[0].clock_off_s) {
    out.clock_off = std::chrono::seconds(*reports[0].clock_off_s);
  }
  const JoinState join = joining_.state(kRelaysDefault);
  out.joined = join.joined;
  out.not_joined = join.reason;
  out.reachable = reachable();
  out.memory_used = bound_->node().used();
  out.memory_limit = bound_->node().bytes_max();
  out.rss = node::resident_bytes();
  out.stopping = stopping_.load(std::memory_order_relaxed);
  if (inbox_) out.inbox = inbox_->status();
  out.quota = quota();
  return out;
}

BoundedList Node::Impl::bounded() {
  BoundedList out;
  workers_->report(out);
  resolver_.report(out);
  bound_->report(out);
  app_pool_.report(out);
  requests_.report(out);
  if (inbox_) inbox_->report(out);
  return out;
}

}  // namespace qudag
