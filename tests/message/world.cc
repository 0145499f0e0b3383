#include "world.h"

#include <algorithm>
#include <cstring>

namespace qudag::message::testing {

NodeId node_id(std::size_t index) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(index);
  id.bytes[31] = std::byte{0x5a};
  return id;
}

std::vector<std::byte> pattern(std::uint64_t serial, std::size_t size) {
  std::vector<std::byte> out(size);
  TestRng rng(serial * 2 + 1);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = i == 0 ? serial : rng.next();
    std::memcpy(out.data() + i, &word, std::min<std::size_t>(8, size - i));
  }
  return out;
}

memory::Chain chain_of(memory::BlockPool& pool, Bytes bytes, memory::BlockSize size) {
  memory::Chain chain;
  EXPECT_TRUE(memory::Chain::copy_in(pool, size, bytes, chain));
  return chain;
}

// ---- Node ---------------------------------------------------------------------------------------

Node::Node(World& w, std::size_t i, MessagesOptions options, std::uint64_t budget_bytes,
           const crypto::Identity* identity)
    : budget("test", budget_bytes), rng(w.options.seed * 1000 + i), world(w), index(i) {
  options.self = identity != nullptr ? identity->id() : node_id(i);
  options.offload = w.workers();
  options.tables = &tables;
  pipes = options.pipes ? options.pipes
                        : std::make_shared<PipesOfNode>(options.pipes_max, std::uint64_t{64} << 20);
  options.pipes = pipes;
  if (options.claims[1] != nullptr) claim = options.claims[1];
  if (w.options.one_node && i > 0) options.shard = static_cast<std::uint32_t>(i);
  if (w.options.pipes_served) options.pipe_listener = &pipe_app;
  messages =
      std::make_unique<Messages>(options, static_cast<Port&>(*this), static_cast<Routes&>(*this),
                                 pool, budget, rng, identity, static_cast<MessageEvents&>(*this));
}

Result<SendId> Node::send(std::size_t to, std::uint64_t serial, std::size_t size,
                          SendOptions options) {
  return send_bytes(node_id(to), pattern(serial, size), options);
}

Result<SendId> Node::send_bytes(const NodeId& to, Bytes bytes, SendOptions options) {
  const auto block = bytes.size() > 2048 ? memory::BlockSize::bulk : memory::BlockSize::cell;
  auto reservation = memory::Reservation::take(budget, bytes.size());
  return messages->send(to, chain_of(pool, bytes, block), std::move(reservation), options,
                        world.now());
}

Result<SendId> Node::reply(const ReplyPath& to, Bytes bytes, std::chrono::milliseconds ttl) {
  return messages->reply(to, chain_of(pool, bytes, memory::BlockSize::cell),
                         memory::Reservation::take(budget, bytes.size()), ttl, world.now());
}

std::size_t Node::outcomes(Outcome outcome) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      ended, [&](const auto& entry) { return entry.second.delivery.outcome == outcome; }));
}

Result<std::vector<onion::RouteHop>> Node::draw(const NodeId& destination, unsigned relays, Now) {
  if (draw_fails != Errc::ok) return fail(draw_fails);
  std::vector<onion::RouteHop> route(relays);
  for (std::size_t i = 0; i < relays; ++i) route[i].id = node_id(100 + i);
  route.push_back({destination, nullptr});
  return route;
}

void Node::report(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop, Duration,
                  Now) {
  reports.push_back({ok, failed_hop, route.size()});
}

Result<circuit::CircuitId> Node::build(std::span<const onion::RouteHop> route, Priority priority,
                                       Now, Bytes rider) {
  return world.build(*this, route.back().id, priority, rider);
}

std::size_t Node::rider_room(std::size_t hops) const {
  return world.options.riders ? onion::rider_room(hops) : 0;
}

LinkId Node::link_of(circuit::CircuitId id) const {
  return {.slot = static_cast<std::uint32_t>(world.line_of(id)->ends[0].node->index)};
}

std::size_t Node::sendable(circuit::CircuitId id) const {
  Line* line = world.line_of(id);
  if (line == nullptr || !line->alive) return 0;
  End& end = line->ends[id.value & 1];
  const std::size_t ahead = world.options.ahead_cells;
  if (end.queued >= ahead) end.was_full = true;
  return end.queued >= ahead ? 0 : ahead - end.queued;
}

memory::Block Node::payload_block(Priority priority) {
  memory::Block block = pool.take(onion::block_size(priority));
  if (!block) return block;
  block.append(onion::payload_bytes(priority));
  std::memset(block.data(), 0xee, block.size());  // what is not written must not get out
  return block;
}

void Node::send(circuit::CircuitId circuit, memory::Block payload, Now) {
  ++cells_sent;
  world.send(circuit, std::move(payload));
}

void Node::close(circuit::CircuitId circuit, Now) { world.closed_by(circuit); }

void Node::lost_race(circuit::CircuitId circuit, Now) {
  ++races_lost;
  world.closed_by(circuit);
}

Taken Node::on_message(Received&& message, Now now) {
  Got one;
  one.id = message.id;
  one.bytes.resize(message.payload.bytes());
  message.payload.copy_out(one.bytes);
  EXPECT_EQ(message.reservation.bytes(), one.bytes.size());
  one.priority = message.priority;
  one.sender = message.sender;
  one.reply_to = message.reply_to;
  one.in_reply_to = message.in_reply_to;
  one.handed = message.handed;
  one.at = now.mono;
  const Taken taken = on_got ? on_got(one) : Taken::yes;
  if (taken == Taken::yes) got.push_back(std::move(one));
  return taken;
}

void Node::on_outcome(SendId id, const Delivery& delivery, Now now) {
  Ended& end = ended[id.value];
  end.delivery = delivery;
  end.at = now.mono;
  EXPECT_EQ(++end.times, 1u) << "a second outcome for one send";
  if (on_end) on_end(id, delivery);
}

void Node::on_progress(SendId id, std::size_t done, std::size_t all, Now) {
  progress.push_back({id.value, done, all});
}

// ---- World --------------------------------------------------------------------------------------

World::World(std::size_t nodes, WorldOptions o) : options(std::move(o)), rng(options.seed) {
  for (std::size_t i = 0; i < nodes; ++i) {
    const crypto::Identity* identity =
        i < options.identities.size() ? options.identities[i] : nullptr;
    nodes_.push_back(
        std::make_unique<Node>(*this, i, options.messages, options.budget_bytes, identity));
  }
}

World::~World() { events_.clear(); }  // what workers hold is of the nodes

Offload World::workers() {
  if (options.work_takes == Duration::zero()) return nullptr;
  return [this](const std::function<void()>& work, std::function<void(WorkEnd, Now)> done) {
    if (works_to_refuse > 0) {
      --works_to_refuse;
      return false;
    }
    ++works;
    const WorkEnd how = works_to_expire > 0 ? WorkEnd::expired : WorkEnd::ran;
    if (how == WorkEnd::ran) {
      work();
    } else {
      --works_to_expire;
    }
    after(options.work_takes, [this, how, done = std::move(done)] { done(how, now()); });
    return true;
  };
}

void World::at(TimePoint when, std::function<void()> what) {
  events_.emplace(when, std::move(what));
}

Line* World::line_of(circuit::CircuitId id) {
  const std::uint64_t number = id.value >> 1;
  return number >= 1 && number <= lines_.size() ? lines_[number - 1].get() : nullptr;
}

std::vector<Line*> World::alive() {
  std::vector<Line*> out;
  for (auto& line : lines_) {
    if (line->alive) out.push_back(line.get());
  }
  return out;
}

Result<circuit::CircuitId> World::build(Node& from, const NodeId& to, Priority priority,
                                        Bytes rider) {
  if (build_refused_at_once != Errc::ok) return fail(build_refused_at_once);
  lines_.push_back(std::make_unique<Line>());
  Line* line = lines_.back().get();
  line->number = lines_.size();
  line->priority = priority;
  const auto other = std::ranges::find_if(nodes_, [&](const auto& node) {
    return builds_arrive_at != 0 ? node->index == builds_arrive_at : node_id(node->index) == to;
  });
  line->ends[0] = {.node = &from, .id = {line->number << 1}};
  line->ends[1] = {.node = other == nodes_.end() ? nullptr : other->get(),
                   .id = {line->number << 1 | 1}};
  line->ends[0].known = true;
  const circuit::CircuitId id = line->ends[0].id;
  if (hold_builds) return id;
  const bool fails = builds_to_fail > 0 || line->ends[1].node == nullptr;
  if (fails) {
    if (builds_to_fail > 0) --builds_to_fail;
    auto end = [this, line] {
      if (!line->alive) return;
      line->alive = false;
      line->ends[0].node->failed_hop_now = build_fails_at;
      line->ends[0].node->messages->on_ended(line->ends[0].id, build_fails_with, now());
      line->ends[0].node->failed_hop_now = SIZE_MAX;
      End& far = line->ends[1];
      if (far.known) far.node->messages->on_ended(far.id, Errc::circuit_failed, now());
    };
    if (fail_builds_inside) {
      end();
    } else {
      after(build_fails_after == Duration{} ? options.latency * 2 : build_fails_after, end);
    }
    if (!failed_builds_arrive || line->ends[1].node == nullptr) return id;
  }
  Duration takes = options.latency;
  if (!builds_take.empty()) {
    takes = builds_take.front();
    builds_take.erase(builds_take.begin());
  }
  after(takes, [this, line, carried = std::vector(rider.begin(), rider.end())] {
    arrive(*line, carried);
  });
  if (fails) return id;
  after(takes + options.latency, [this, line, takes] {
    if (!line->alive) return;
    line->ends[0].node->messages->on_built(line->ends[0].id, takes + options.latency, now());
  });
  return id;
}

/// Also when its source has closed it meanwhile: that word is behind it.
void World::arrive(Line& line, Bytes rider) {
  End& end = line.ends[1];
  if (!line.alive && rider.empty()) return;
  end.known = true;
  end.node->messages->on_incoming(end.id, line.priority, now());
  if (!rider.empty()) end.node->messages->on_rider(end.id, rider, now());
  if (!line.alive) end.node->messages->on_ended(end.id, Errc::circuit_failed, now());
}

void World::send(circuit::CircuitId id, memory::Block payload) {
  Line* line = line_of(id);
  ASSERT_TRUE(line != nullptr);
  if (!line->alive) return;
  const auto from = static_cast<unsigned>(id.value & 1);
  End& end = line->ends[from];
  ASSERT_EQ(payload.size(), onion::payload_bytes(line->priority));
  ASSERT_LT(end.queued, options.ahead_cells) << "sendable() was not honoured";
  ++end.queued;
  end.free_at = std::max(end.free_at, now().mono) + options.cell_time;
  if (on_cell && !on_cell(*line, from, payload.bytes())) return;
  std::vector<std::byte> bytes(payload.bytes().begin(), payload.bytes().end());
  at(end.free_at, [this, line, from] {
    End& e = line->ends[from];
    --e.queued;
    if (line->alive && e.was_full && e.queued * 2 <= options.ahead_cells) {
      e.was_full = false;
      e.node->messages->on_sendable(e.id, now());
    }
  });
  at(end.free_at + options.latency, [this, line, from, bytes = std::move(bytes)] {
    if (!line->alive) return;
    End& e = line->ends[1 - from];
    memory::Block block = e.node->pool.take(onion::block_size(line->priority));
    ASSERT_TRUE(block);
    block.append(bytes.size());
    std::memcpy(block.data(), bytes.data(), bytes.size());
    e.node->messages->on_payload(e.id, std::move(block), now());
  });
}

void World::kill(Line& line, Errc why) {
  if (!line.alive) return;
  line.alive = false;
  for (End& end : line.ends) {
    if (end.known) end.node->messages->on_ended(end.id, why, now());
  }
}

void World::cut(Line& line, Duration later) {
  if (!line.alive) return;
  line.alive = false;
  line.ends[0].node->messages->on_ended(line.ends[0].id, Errc::circuit_failed, now());
  after(later, [this, &line] {
    End& far = line.ends[1];
    if (far.known) far.node->messages->on_ended(far.id, Errc::circuit_failed, now());
  });
}

void World::closed_by(circuit::CircuitId id) {
  Line* line = line_of(id);
  ASSERT_TRUE(line != nullptr);
  if (!line->alive) return;
  line->alive = false;
  End& other = line->ends[1 - (id.value & 1)];
  if (!other.known) return;
  after(options.latency,
        [this, &other] { other.node->messages->on_ended(other.id, Errc::circuit_failed, now()); });
}

void World::turn() {
  for (auto& node : nodes_) node->messages->pump(now());
}

TimePoint World::next_deadline() const {
  TimePoint next = kNever;
  for (const auto& node : nodes_) next = std::min(next, node->messages->next_deadline());
  return next;
}

bool World::step() {
  turn();
  const TimePoint deadline = next_deadline();
  const TimePoint event = events_.empty() ? kNever : events_.begin()->first;
  if (deadline == kNever && event == kNever) return false;
  clock_ = std::max(clock_, std::min(deadline, event).time_since_epoch());
  if (event <= deadline) {
    auto node = events_.extract(events_.begin());
    node.mapped()();
  } else {
    for (auto& node : nodes_) node->messages->on_time(now());
  }
  turn();
  return true;
}

void World::run_for(Duration length) {
  bool over = false;
  after(length, [&over] { over = true; });
  while (!over) step();
}

bool World::run_until(const std::function<bool()>& condition, Duration limit) {
  const TimePoint end = now().mono + limit;
  while (!condition()) {
    if (now().mono > end || !step()) return condition();
  }
  return true;
}

void World::expect_empty() {
  for (auto& node : nodes_) {
    SCOPED_TRACE("node " + std::to_string(node->index));
    const memory::PoolStats stats = node->pool.stats();
    EXPECT_EQ(stats.in_use[0], 0u);
    EXPECT_EQ(stats.in_use[1], 0u);
    EXPECT_EQ(node->budget.used(), 0u);
    const MessagesStats m = node->messages->stats();
    EXPECT_EQ(m.waiting, 0u);
    EXPECT_EQ(m.in_flight, 0u);
    for (std::size_t c = 0; c < kPriorityCount; ++c) {
      EXPECT_EQ(m.accepted[c], m.delivered[c] + m.expired[c] + m.refused[c] + m.failed[c]);
    }
  }
}

}  // namespace qudag::message::testing
