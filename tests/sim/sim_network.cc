#include "sim/sim_network.h"

#include "netmap/kept.h"
#include "shard/buffer.h"
#include "shard/flow_queue.h"

#include <algorithm>

namespace qudag::testing {

namespace {

constexpr std::size_t kSmall = 250;
constexpr std::size_t kEntriesOfLarge = 4;

// Every node in its own /16, so that the rule of distinct networks is in force.
SocketAddress address_of(std::size_t index, std::size_t count) {
  if (count <= kSmall) return SocketAddress::v4(10, static_cast<std::uint8_t>(index), 0, 1, 4433);
  return SocketAddress::v4(static_cast<std::uint8_t>(20 + index / kSmall),
                           static_cast<std::uint8_t>(index % kSmall), 0, 1, 4433);
}

}  // namespace

Result<netmap::EntryPtr> EntryBook::make(Bytes raw, UnixSeconds now, Reach told_over) {
  auto& known = known_[{crypto::sha256(raw), told_over}];
  const netmap::EntryPtr held = known.lock();
  const bool of_now = held != nullptr && held->descriptor.expires > now &&
                      held->descriptor.published <= now + netmap::kPublishedAheadMax;
  if (of_now) return held;
  auto made = netmap::make_entry(raw, now, told_over);
  if (made) known = *made;
  return made;
}

SimNode::SimNode(World& world, const SocketAddress& at, Options options,
                 std::shared_ptr<EntryBook> book)
    : world_(world),
      book_(std::move(book)),
      environment_(world.host(at)),
      options_(std::move(options)),
      seen_(world, environment_) {
  auto identity = crypto::Identity::generate();
  QUDAG_ASSERT(identity.has_value());
  identity_ = std::make_unique<crypto::Identity>(std::move(*identity));
}

SimNode::~SimNode() { crash(); }

void SimNode::start() {
  QUDAG_ASSERT(!shard_);
  ++life_;
  bound_ = std::make_shared<memory::Bound>(options_.limits.memory);
  app_pool_ = std::make_unique<memory::BlockPool>(
      memory::PoolOptions{.budget = memory::share(bound_, memory::Part::blocks),
                          .high_budget = memory::share(bound_, memory::Part::high_blocks)});
  windows_ = {.bytes_max = node::send_windows(options_.limits, 0), .limiters = {}};
  limiter_ = std::make_unique<node::SendLimiter>(shard::messages_max(options_.limits), &windows_);
  windows_.limiters = {limiter_.get()};
  queues_.reset();
  if (options_.limits.queue_delay_ms > 0) {
    queues_ = std::make_unique<message::FlowQueues>(message::FlowQueuesOptions{
        .target = std::chrono::milliseconds(options_.limits.queue_delay_ms),
        .ceiling = windows_.bytes_max,
        .key = 1});
  }
  hub_ = std::make_unique<shard::GossipHub>(
      netmap::NetmapOptions{
          .self = id(),
          .passes_on = options_.relay,
          .only_reached = true,
          .digest_interval = options_.gossip_interval,
          .make = [book = book_](Bytes raw, UnixSeconds now,
                                 Reach reach) { return book->make(raw, now, reach); }},
      world_.rng(), *this);
  guards_ = std::make_shared<shard::NodeGuards>();
  std::optional<circuit::KeptMonth> month;
  if (!options_.state_dir.empty()) {
    auto state = node::State::open(options_.state_dir, log_);
    QUDAG_ASSERT(state.has_value());
    state_ = std::move(*state);
    month = state_->load_quota(environment_.now().unix_seconds);
    guards_ =
        std::make_shared<shard::NodeGuards>(state_->load_guards(environment_.now().unix_seconds));
  }
  quota_ = std::make_shared<circuit::Quota>(options_.limits, month, environment_.now());
  std::shared_ptr<keeper::Registry> registry;
  if (!letters_file_.empty()) {
    registry = std::make_shared<keeper::Registry>(id(), keeper::KeeperBounds{}, world_.rng());
    letter_room_ = std::make_shared<keeper::LetterRoom>(
        keeper::LetterBounds{}, 1, &bound_->claim(static_cast<std::size_t>(Priority::low)));
    letters_ = std::make_unique<SimLetters>(world_, environment_, letters_file_, *letter_room_);
    letter_room_->attach(*letters_, [this](unsigned) { return environment_.post([](Now) {}); });
    registry->attach(letter_room_);
    node::restore(letters_->load(), *registry, *letter_room_, environment_.now());
  }
  auto shard = shard::Shard::create({.index = 0,
                                     .shards = 1,
                                     .options = &options_,
                                     .identity = identity_.get(),
                                     .bound = bound_,
                                     .rng = &world_.rng(),
                                     .socket = &environment_,
                                     .environment = this,
                                     .hub = hub_.get(),
                                     .by_load = by_load,
                                     .by_proof = by_proof,
                                     .queues = queues_.get(),
                                     .quota = quota_,
                                     .registry = registry,
                                     .letters = letter_room_,
                                     .seen_letters = &seen_,
                                     .state = state_.get(),
                                     .guards = guards_});
  QUDAG_ASSERT(shard.has_value());
  shard_ = std::move(*shard);
  hub_->attach({shard_.get()});
  world_.attach(environment_, shard_.get());
  shard_->start(options_.publish.empty() ? std::vector{environment_.local()} : options_.publish,
                environment_.now());
  if (!state_) return;
  const UnixSeconds today = environment_.now().unix_seconds;
  const auto body = state_->load_netmap(today);
  if (const auto records = netmap::parse_kept(body)) {
    hub_->restore(netmap::verify_kept(*records, today), environment_.now());
  }
}

void SimNode::stop(Duration grace) {
  shard_->stop(grace, environment_.now());
  world_.wake(environment_);
}

void SimNode::crash() {
  if (!shard_) return;
  world_.attach(environment_, nullptr);
  shard_.reset();
  hub_.reset();
  state_.reset();
  letters_.reset();
  letter_room_.reset();
}

std::unique_ptr<Pipe> SimNode::open_pipe(const NodeId& to, const std::string& service,
                                         const PipeOptions& options, PipeEvents events) {
  auto impl = std::make_shared<Pipe::Impl>(shard_->pipe_door(), options.priority);
  impl->set_events(std::move(events));
  shard_->open_pipe(impl, {to, service, options}, environment_.now());
  world_.wake(environment_);
  return Pipe::Impl::make(std::move(impl));
}

bool SimNode::pipe_blocks(std::size_t bytes, memory::Chain& out) {
  return shard::make_chain(*app_pool_, bytes, out);
}

Accept SimNode::on_message(Message&& message, const std::array<std::byte, 16>&) {
  return on_message_handler ? on_message_handler(std::move(message)) : Accept::no_receiver;
}

bool SimNode::resolve(const std::string& name, std::uint16_t port,
                      std::function<void(runtime::Addresses, Now)> done) {
  runtime::Addresses found = fail(Errc::unreachable, name + ": unknown");
  if (const auto at = names.find(name); at != names.end()) {
    found = at->second;
    for (SocketAddress& one : *found) one.port = port;
  }
  return environment_.post([done = std::move(done), found](Now now) { done(found, now); });
}

void SimNode::on_ended(unsigned, const shard::EndedByPriority& ended) {
  for (std::size_t i = 0; i < kPriorityCount; ++i) {
    static_cast<void>(limiter_->leave(static_cast<Priority>(i), ended[i].messages, ended[i].bytes));
  }
}

void SimNode::submit(shard::SendRequest request, Bytes payload) {
  const Priority priority = request.options.priority;
  const std::size_t held = shard::chain_bytes(payload.size());
  const auto refuse = [&](Errc why) {
    if (request.done) request.done(shard::refusal(Error(why, "at the limiter")));
  };
  request.queue = shard::queue_of(request, queues_.get());
  const std::uint32_t counted = message::FlowQueues::counted(payload.size());
  const bool in_flow = request.queue != message::FlowQueues::kNone;
  if (in_flow && !queues_->enter(request.queue, counted)) return refuse(Errc::refused_queue_full);
  const auto leave_flow = [&] {
    if (in_flow) static_cast<void>(queues_->leave(request.queue, counted));
  };
  if (!limiter_->enter(priority, held)) {
    leave_flow();
    return refuse(Errc::refused_queue_full);
  }
  request.reservation =
      memory::Reservation::take(bound_->claim(static_cast<std::size_t>(priority)), held);
  const bool has_memory =
      request.reservation && shard::make_chain(*app_pool_, payload.size(), request.payload);
  if (!has_memory) {
    leave_flow();
    static_cast<void>(limiter_->leave(priority, 1, held));
    return refuse(Errc::refused_memory);
  }
  request.payload.copy_from(payload);
  shard_->send(std::move(request), environment_.now());
  world_.wake(environment_);
}

void SimNode::send(const NodeId& to, Bytes payload, const SendOptions& options, Completion done) {
  shard::SendRequest request;
  request.destination = to;
  request.options = options;
  request.done = std::move(done);
  submit(std::move(request), payload);
}

void SimNode::reply(const ReplyTo& to, Bytes payload, std::chrono::milliseconds ttl,
                    Completion done) {
  shard::SendRequest request;
  request.reply_to = to;
  request.options.ttl = ttl;
  request.done = std::move(done);
  submit(std::move(request), payload);
}

SimNetwork::SimNetwork(World& world, std::size_t count, Options options, std::size_t relays)
    : world_(world) {
  const auto book = std::make_shared<EntryBook>();
  std::vector<PeerAddress> entries;
  for (std::size_t i = 0; i < count; ++i) {
    nodes_.push_back(std::make_unique<SimNode>(world, address_of(i, count), options, book));
    nodes_.back()->set_bootstrap(entries);
    if (i >= relays) nodes_.back()->set_relay(false);
    if (entries.size() < (count > kSmall ? kEntriesOfLarge : 1)) {
      entries.push_back(nodes_.back()->address());
    }
  }
}

void SimNetwork::start() {
  for (auto& node : nodes_) node->start();
}

bool SimNetwork::settle(Duration within) {
  const auto relays = static_cast<std::size_t>(std::ranges::count_if(
      nodes_, [](const auto& node) { return node->running() && node->options().relay; }));
  const auto settled = [this, relays] {
    return std::all_of(nodes_.begin(), nodes_.end(), [this, relays](const auto& node) {
      return !node->running() || (node->shard().nodes_known() >= nodes_.size() &&
                                  node->shard().relays_known() >= relays);
    });
  };
  return world_.run_until(world_.now().mono + within, settled);
}

}  // namespace qudag::testing
