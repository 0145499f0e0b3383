// A node whose circuits end at the test: it reads what is sent and makes up what arrives.
#pragma once

#include "wire/message_frames.h"
#include "world.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace qudag::message::testing {

using wire::AckStatus;

class Peer : public ::testing::Test, public Port, public Routes, public MessageEvents {
 protected:
  Peer() { make({}); }

  void make(MessagesOptions options) {
    messages =
        std::make_unique<Messages>(options, static_cast<Port&>(*this), static_cast<Routes&>(*this),
                                   pool, budget, rng, nullptr, static_cast<MessageEvents&>(*this));
    come(kCircuit);
  }
  /// A circuit of a source with that scope.
  void come(circuit::CircuitId circuit, std::uint8_t scope = 0) {
    messages->on_incoming(circuit, priority, now);
    wire::ScopeFrame told;
    told.scope.fill(static_cast<std::byte>(scope));
    arrive({told}, circuit);
  }

  // Port.
  Result<circuit::CircuitId> build(std::span<const onion::RouteHop>, Priority, Now,
                                   Bytes) override {
    return circuit::CircuitId{kBuilt.value + builds++};
  }
  std::optional<NodeId> receiver_of(circuit::CircuitId circuit) const override {
    const auto at = receivers.find(circuit.value);
    return at == receivers.end() ? std::nullopt : std::optional(at->second);
  }
  bool has_left(circuit::CircuitId) const override { return true; }
  std::size_t sendable(circuit::CircuitId) const override { return room_now; }
  memory::Block payload_block(Priority c) override {
    memory::Block block = pool.take(onion::block_size(c));
    block.append(onion::payload_bytes(c));
    return block;
  }
  void send(circuit::CircuitId, memory::Block payload, Now) override {
    ++payloads;
    --room_now;
    wire::FrameReader frames(payload.bytes());
    while (const auto frame = frames.next()) {
      if (const auto* data = std::get_if<wire::DataFrame>(&*frame)) {
        data_bytes += data->bytes.size();
        data_frames.push_back(*data);
        data_frames.back().bytes = {};
      } else if (const auto* ack = std::get_if<wire::AckFrame>(&*frame)) {
        EXPECT_TRUE(acks.emplace(ack->ref, ack->status).second) << "a second answer";
      } else if (const auto* credit = std::get_if<wire::CreditFrame>(&*frame)) {
        credits.push_back(credit->offset);
      } else if (const auto* pong = std::get_if<wire::PongFrame>(&*frame)) {
        pongs.push_back(pong->token);
      } else if (const auto* held = std::get_if<wire::HeldFrame>(&*frame)) {
        EXPECT_TRUE(helds.emplace(held->ref, held->offset).second) << "a second answer";
      } else if (const auto* cancel = std::get_if<wire::CancelFrame>(&*frame)) {
        cancels.push_back(cancel->ref);
      }
    }
    EXPECT_FALSE(frames.malformed());
  }
  std::size_t failed_hop() const override { return SIZE_MAX; }
  void close(circuit::CircuitId circuit, Now) override { closed.insert(circuit); }

  // Routes and events.
  Result<std::vector<onion::RouteHop>> draw(const NodeId& to, unsigned, Now) override {
    return std::vector<onion::RouteHop>{{to, nullptr}};
  }
  void report(std::span<const onion::RouteHop>, bool, std::size_t, Duration, Now) override {}
  Taken on_message(Received&& message, Now) override {
    got.push_back(message.payload.bytes());
    circuits.push_back(message.reply_to);
    return take;
  }
  void on_outcome(SendId, const Delivery& delivery, Now) override { ends.push_back(delivery); }
  void on_progress(SendId, std::size_t, std::size_t, Now) override {}

  // What the peer does.
  struct Data {
    std::uint32_t ref = 0;
    std::optional<std::uint32_t> size = {};  // with a start
    std::size_t bytes = 0;
    bool last = false;
    std::uint32_t ttl = 65'536;
    std::uint8_t id = 0;  // 0: made from ref
    bool reply = false;
    std::uint32_t reply_to = 0;
    bool is_signed = false;
    bool resumes = false;
    ChannelNumber channel = 0;
  };
  static wire::Frame frame(const Data& d) {
    static const std::vector<std::byte> zeros(8192);
    wire::DataFrame out{
        .ref = d.ref, .start = {}, .last = d.last, .bytes = Bytes(zeros).first(d.bytes)};
    if (d.size) {
      wire::MessageStart start;
      start.id[0] = static_cast<std::byte>(d.id != 0 ? d.id : 1 + d.ref % 200);
      start.id[1] = static_cast<std::byte>(d.ref >> 8);
      start.id[2] = static_cast<std::byte>(d.id != 0);
      start.id[3] = static_cast<std::byte>(d.id != 0 ? 0 : d.ref);
      start.size = *d.size;
      start.ttl_ms = d.ttl;
      start.is_signed = d.is_signed;
      start.resumes = d.resumes;
      start.channel = d.channel;
      if (d.reply) start.in_reply_to = d.reply_to;
      out.start = start;
    }
    return out;
  }
  void raw(Bytes bytes, circuit::CircuitId circuit = kCircuit) {
    memory::Block block = pool.take(onion::block_size(priority));
    block.append(onion::payload_bytes(priority));
    std::memset(block.data(), 0, block.size());
    std::memcpy(block.data(), bytes.data(), bytes.size());
    messages->on_payload(circuit, std::move(block), now);
    messages->pump(now);
  }
  void arrive(std::initializer_list<wire::Frame> frames, circuit::CircuitId circuit = kCircuit) {
    std::vector<std::byte> bytes(onion::payload_bytes(priority));
    ByteWriter out(bytes);
    for (const auto& f : frames) wire::append(out, f);
    raw(Bytes(bytes).first(out.written()), circuit);
  }
  bool ended(circuit::CircuitId circuit = kCircuit) const { return closed.contains(circuit); }
  void let_pass(Duration time) {
    now.mono += time;
    messages->on_time(now);
    messages->pump(now);
  }
  Result<SendId> send(std::size_t size) {
    return messages->send(node_id(1), chain_of(pool, pattern(1, size), memory::BlockSize::bulk), {},
                          {.priority = priority}, now);
  }

  static constexpr circuit::CircuitId kCircuit{8};
  static constexpr circuit::CircuitId kBuilt{9};
  static constexpr std::uint64_t kWindow = wire::kInitialCredit;

  Priority priority = Priority::normal;
  Now now{TimePoint(1h), 1'800'000'000};
  memory::BlockPool pool;
  memory::Budget budget{"test", 100 << 20};
  TestRng rng{1};
  std::unique_ptr<Messages> messages;
  std::size_t room_now = 1'000'000;

  std::uint64_t builds = 0;
  std::size_t payloads = 0;
  std::uint64_t data_bytes = 0;
  std::vector<wire::DataFrame> data_frames;
  std::map<std::uint32_t, AckStatus> acks;
  std::vector<std::uint64_t> credits, pongs;
  std::map<std::uint32_t, std::uint32_t> helds;
  std::vector<std::uint32_t> cancels;
  std::map<std::uint64_t, NodeId> receivers;  // of circuits that came to one
  std::set<circuit::CircuitId> closed;
  Taken take = Taken::yes;  // what the application says
  std::vector<std::size_t> got;
  std::vector<std::optional<ReplyPath>> circuits;
  std::vector<Delivery> ends;
};

}  // namespace qudag::message::testing
