#include "circuit/net.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace qudag::circuit::test {

// ---- node ---------------------------------------------------------------------------------------

namespace {

NodeId id_for(std::size_t index) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(index + 1);
  id.bytes[31] = std::byte{0x5a};
  return id;
}

CircuitsOptions with_self(CircuitsOptions options, const NodeId& self) {
  options.self = self;
  return options;
}

}  // namespace

Node::Node(Net& owner, std::size_t place, NodeOptions options)
    : net(owner),
      index(place),
      id(id_for(place)),
      pool(options.pool),
      rng(owner.options.seed * 1000 + place),
      circuits(with_self(options.circuits, id_for(place)), pool, rng, *this) {
  auto made = crypto::KemKeyPair::generate();
  pair = std::make_shared<crypto::KemKeyPair>(std::move(*made));
  auto imported = crypto::KemPublicKey::import(pair->public_bytes());
  public_key = std::make_shared<crypto::KemPublicKey>(std::move(*imported));
  circuits.set_events(*this);
  circuits.set_onion_keys({{pair, 0, UINT64_MAX}});
}

bool Node::send(CircuitId circuit, Priority priority) {
  memory::Block block = circuits.payload_block(priority);
  if (!block) return false;
  for (std::byte& b : block.bytes()) b = static_cast<std::byte>(net.chance());
  sent[circuit].emplace_back(block.bytes().begin(), block.bytes().end());
  circuits.send(circuit, std::move(block), net.now());
  return true;
}

void Node::stream(CircuitId circuit, Priority priority, std::size_t count) {
  plans_[circuit] = {priority, count};
  pump(circuit, priority);
}

void Node::pump(CircuitId circuit, Priority priority) {
  Plan& plan = plans_[circuit];
  while (plan.left > 0 && circuits.sendable(circuit) > 0 && send(circuit, priority)) --plan.left;
}

void Node::extend(std::uint64_t ticket, const NodeId& next, Priority, Now) {
  if (extend_never) return;
  const auto answer = [this, ticket, next] {
    if (extend_error) return circuits.on_extended(ticket, fail(*extend_error), net.now());
    for (std::size_t i = 0; i < net.size(); ++i) {
      if (net.node(i).id == next) {
        const StreamId key = net.connect(index, i).key;
        return circuits.on_extended(ticket, key, net.now());
      }
    }
    circuits.on_extended(ticket, fail(Errc::unknown_destination), net.now());
  };
  if (extend_inside) return answer();
  net.at(net.time_ + net.delay(), answer);
}

void Node::set_context(StreamId stream, std::uint64_t context) {
  net.find(stream)->of(index).context = context;
}
void Node::set_priority(StreamId stream, Priority priority) {
  net.find(stream)->of(index).priority = priority;
}

void Node::write(StreamId key, memory::Block block) {
  Stream* stream = net.find(key);
  ASSERT_NE(stream, nullptr);
  StreamEnd& end = stream->of(index);
  if (!end.open) return;
  end.queued += block.size();
  block.header()->queued_at = static_cast<std::uint32_t>(net.time_.time_since_epoch() / 1ms);
  end.queue.push_back(std::move(block));
  net.wake(*stream, &end == &stream->end[0] ? 0 : 1);
}

std::size_t Node::queued_bytes(StreamId stream) const { return net.find(stream)->of(index).queued; }

Sink::CellsHeld Node::held(StreamId stream) const {
  const StreamEnd& end = net.find(stream)->of(index);
  if (end.queue.empty()) return {};
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(net.time_.time_since_epoch());
  return {end.queued, now - std::chrono::milliseconds(end.queue.front().header()->queued_at)};
}

void Node::consume(StreamId key, std::size_t bytes) {
  Stream* stream = net.find(key);
  StreamEnd& end = stream->of(index);
  end.consumed += bytes;
  EXPECT_LE(end.consumed, end.received) << "gave back what never came";
  if (!window_shut) net.wake(*stream, &end == &stream->end[0] ? 1 : 0);
}

void Node::reset(StreamId key, EndCode code) {
  Stream* stream = net.find(key);
  StreamEnd& end = stream->of(index);
  EXPECT_EQ(end.consumed, end.received) << "window lost with the stream";
  net.reset(*stream, &end == &stream->end[0] ? 0 : 1, code);
}

void Node::on_built(CircuitId circuit, Duration took, Now) {
  EXPECT_GE(took.count(), 0);
  built.push_back(circuit);
  if (when_built) when_built(circuit);
}
void Node::on_incoming(CircuitId circuit, Priority priority, Now) {
  incoming.push_back(circuit);
  EXPECT_EQ(circuits.info(circuit)->priority, priority);
  if (when_incoming) when_incoming(circuit);
}
std::size_t Node::on_rider(CircuitId circuit, Bytes rider, Now) {
  EXPECT_EQ(incoming.back(), circuit) << "right behind on_incoming";
  EXPECT_TRUE(riders.emplace(circuit, Data(rider.begin(), rider.end())).second);
  return payload_work;
}
std::size_t Node::on_payload(CircuitId circuit, memory::Block payload, Now) {
  payloads[circuit].emplace_back(payload.bytes().begin(), payload.bytes().end());
  if (when_payload) when_payload(circuit);
  return payload_work;
}
void Node::on_sendable(CircuitId circuit, Now) {
  ++times_sendable;
  EXPECT_GT(circuits.sendable(circuit), 0u);
  if (auto plan = plans_.find(circuit); plan != plans_.end()) pump(circuit, plan->second.priority);
}
void Node::on_ended(CircuitId circuit, const Error& why, Now) {
  EXPECT_FALSE(circuits.info(circuit).has_value());
  ended.push_back({circuit, why.code, circuits.failed_hop()});
  if (when_ended) when_ended(circuit);
}

// ---- network ------------------------------------------------------------------------------------

Net::Net(NetOptions opts) : chance(opts.seed), options(opts) {}
Net::~Net() {
  // Queues hold blocks of the nodes' pools; a node must not be called any more.
  queue_.clear();
}

Node& Net::add(NodeOptions opts) {
  nodes_.push_back(std::make_unique<Node>(*this, nodes_.size(), std::move(opts)));
  return *nodes_.back();
}
void Net::add_many(std::size_t count, const NodeOptions& opts) {
  for (std::size_t i = 0; i < count; ++i) add(opts);
}

std::vector<onion::RouteHop> Net::route(std::size_t hops) const {
  std::vector<onion::RouteHop> out;
  for (std::size_t i = 1; i <= hops; ++i) out.push_back(nodes_.at(i)->hop());
  return out;
}

std::pair<CircuitId, CircuitId> Net::build(std::size_t hops, Priority priority) {
  Node& source = node(0);
  Node& destination = node(hops);
  const auto id = source.circuits.build(route(hops), priority, now());
  EXPECT_TRUE(id.has_value());
  if (!id) return {};
  run();
  EXPECT_TRUE(!source.built.empty() && source.built.back() == *id);
  EXPECT_FALSE(destination.incoming.empty());
  return {*id, destination.incoming.empty() ? CircuitId{} : destination.incoming.back()};
}

void Net::at(TimePoint when, std::function<void()> what) {
  queue_.emplace(std::pair{when, order_++}, std::move(what));
}

Duration Net::delay() {
  return Duration(static_cast<Duration::rep>(
      chance() % static_cast<std::uint64_t>(options.delay_max.count() + 1)));
}

void Net::step() {
  const auto first = queue_.begin();
  time_ = std::max(time_, first->first.first);
  const auto what = std::move(first->second);
  queue_.erase(first);
  what();
  check();
}

void Net::run() {
  while (!queue_.empty() && !::testing::Test::HasFatalFailure()) step();
}

constexpr Duration kTurn = std::chrono::microseconds(100);

void Net::pass(Duration duration) {
  const TimePoint until = time_ + duration;
  for (;;) {
    TimePoint next = queue_.empty() ? kNever : queue_.begin()->first.first;
    Node* due = nullptr;
    for (const auto& each : nodes_) {
      if (each->circuits.next_deadline() < next) {
        next = each->circuits.next_deadline();
        due = each.get();
      }
    }
    // What waits for the next turn is due at once; a turn takes time.
    if (next == TimePoint::min()) next = time_ + kTurn;
    if (next > until) break;
    if (due == nullptr) {
      step();
    } else {
      time_ = std::max(time_, next);
      due->circuits.on_time(now());
      check();
    }
  }
  time_ = until;
}

Stream& Net::connect(std::size_t from, std::size_t to) {
  const std::int64_t index = stream_index_++;
  Stream& stream = streams_[index];
  stream.key = {link_between(from, to), index};
  stream.end[0].node = from;
  stream.end[1].node = to;
  stream.end[0].arrives = time_ + delay();
  at(stream.end[0].arrives, [this, &stream, to] {
    if (stream.end[1].open) node(to).circuits.on_stream_opened(stream.key, now());
  });
  return stream;
}

void Net::raw_write(Stream& stream, Bytes data) {
  while (!data.empty()) {
    memory::Block block = node(stream.end[1].node).pool.take(memory::BlockSize::bulk);
    const std::size_t part = std::min(data.size(), block.capacity());
    block.append(part);
    std::memcpy(block.data(), data.data(), part);
    data = data.subspan(part);
    stream.end[0].queued += part;
    stream.end[0].queue.push_back(std::move(block));
  }
  wake(stream, 0);
}
void Net::raw_reset(Stream& stream, EndCode code) { reset(stream, 0, code); }

void Net::wake_all() {
  for (auto& [index, stream] : streams_) {
    wake(stream, 0);
    wake(stream, 1);
  }
}

std::vector<Stream*> Net::streams() {
  std::vector<Stream*> out;
  for (auto& [index, stream] : streams_) out.push_back(&stream);
  return out;
}
Stream* Net::find(StreamId key) {
  const auto at = streams_.find(key.index);
  return at == streams_.end() ? nullptr : &at->second;
}

LinkId Net::link_between(std::size_t a, std::size_t b) {
  const auto low = static_cast<std::uint32_t>(std::min(a, b));
  const auto high = static_cast<std::uint32_t>(std::max(a, b));
  return {.slot = low, .generation = high};
}

void Net::close_link(std::size_t a, std::size_t b) {
  const LinkId link = link_between(a, b);
  for (auto& [index, stream] : streams_) {
    if (stream.key.link != link) continue;
    for (StreamEnd& end : stream.end) {
      end.open = false;
      end.queue.clear();
      end.queued = 0;
    }
  }
  for (const std::size_t each : {a, b}) node(each).circuits.on_link_closed(link, now());
}

void Net::wake(Stream& stream, std::size_t which) {
  StreamEnd& end = stream.end[which];
  if (end.transmitting || !end.open || end.queued == 0) return;
  end.transmitting = true;
  at(time_, [this, &stream, which] { transmit(stream, which); });
}

// Sends one piece of random size, as far as the window goes.
void Net::transmit(Stream& stream, std::size_t which) {
  StreamEnd& end = stream.end[which];
  StreamEnd& peer = stream.end[1 - which];
  end.transmitting = false;
  if (!end.open || (end.node != SIZE_MAX && node(end.node).mute)) return;
  const bool shut = peer.node != SIZE_MAX && node(peer.node).window_shut;
  const std::size_t given = shut ? 0 : peer.consumed;
  const std::size_t window =
      options.window_bytes + given - std::min(end.sent, options.window_bytes + given);
  std::size_t left = std::min({window, end.queued, 1 + chance() % options.chunk_max});
  if (left == 0) return;
  Data data;
  const std::size_t bytes = left;
  const std::size_t offset = end.sent;
  while (left > 0) {
    memory::Block& block = end.queue.front();
    const std::size_t part = std::min(left, block.size());
    data.insert(data.end(), block.bytes().begin(),
                block.bytes().begin() + static_cast<std::ptrdiff_t>(part));
    block.drop_front(part);
    if (block.size() == 0) end.queue.pop_front();
    left -= part;
  }
  end.queued -= bytes;
  end.sent += bytes;
  if (tamper) tamper(end.node, peer.node, offset, data);
  end.arrives = std::max(end.arrives, time_ + delay());
  at(end.arrives, [this, &stream, which, data = std::move(data)] {
    StreamEnd& to = stream.end[1 - which];
    if (!to.open) return;
    to.received += data.size();
    if (to.node == SIZE_MAX) {
      to.got.insert(to.got.end(), data.begin(), data.end());
      to.consumed += data.size();
      return wake(stream, which);
    }
    node(to.node).circuits.on_stream_data(stream.key, to.context, data, now());
  });
  if (end.node != SIZE_MAX) {
    node(end.node).circuits.on_stream_sent(stream.key, end.context, bytes, now());
  }
  wake(stream, which);
}

void Net::reset(Stream& stream, std::size_t which, EndCode code) {
  StreamEnd& end = stream.end[which];
  if (!end.open) return;
  end.open = false;
  end.queue.clear();
  end.queued = 0;
  end.arrives = std::max(end.arrives, time_ + delay());
  at(end.arrives, [this, &stream, which, code] {
    StreamEnd& to = stream.end[1 - which];
    if (!to.open) return;
    to.open = false;
    to.queue.clear();
    to.queued = 0;
    to.ended = code;
    if (to.node != SIZE_MAX) {
      node(to.node).circuits.on_stream_closed(stream.key, to.context, code, now());
    }
  });
}

void Net::check() {
  for (const auto& each : nodes_) {
    for (const CircuitInfo& info : each->circuits.list()) {
      if (info.role != CircuitRole::relay || !info.ready) continue;
      const StreamEnd& previous = find(info.previous)->of(each->index);
      const StreamEnd& next = find(info.next)->of(each->index);
      ASSERT_LE(previous.consumed, next.sent) << "window given back before the bytes had left";
      ASSERT_LE(next.consumed, previous.sent) << "window given back before the bytes had left";
      ASSERT_LE(previous.received - previous.consumed, options.window_bytes);
      ASSERT_LE(next.received - next.consumed, options.window_bytes);
    }
  }
}

void Net::expect_drained() {
  for (const auto& each : nodes_) {
    for (const CircuitInfo& info : each->circuits.list()) {
      for (const StreamId key : {info.previous, info.next}) {
        if (key.index < 0) continue;
        const StreamEnd& end = find(key)->of(each->index);
        EXPECT_EQ(end.consumed, end.received) << "node " << each->index;
        EXPECT_EQ(end.queued, 0u) << "node " << each->index;
      }
      if (info.role != CircuitRole::relay || !info.ready) continue;
      const StreamEnd& previous = find(info.previous)->of(each->index);
      const StreamEnd& next = find(info.next)->of(each->index);
      EXPECT_EQ(previous.received, next.sent) << "node " << each->index;
      EXPECT_EQ(next.received, previous.sent) << "node " << each->index;
    }
  }
}

std::size_t Net::circuits() const {
  std::size_t sum = 0;
  for (const auto& each : nodes_) sum += each->circuits.size();
  return sum;
}

void Net::expect_empty() {
  EXPECT_TRUE(queue_.empty());
  for (const auto& each : nodes_) {
    EXPECT_EQ(each->circuits.size(), 0u) << "node " << each->index;
    EXPECT_EQ(each->circuits.next_deadline(), kNever) << "node " << each->index;
    const memory::PoolStats stats = each->pool.stats();
    EXPECT_EQ(stats.in_use[0], 0u) << "node " << each->index;
    EXPECT_EQ(stats.in_use[1], 0u) << "node " << each->index;
  }
}

}  // namespace qudag::circuit::test
