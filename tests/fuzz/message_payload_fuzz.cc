// Payloads of a hostile peer, into a destination and into a source that has messages on their way.
// modules: message testing
//
// Input: records of `what u8 || length u16 || bytes`. what: bit 0 which circuit; bits 1..7 nonzero:
// so many times 10 ms pass first; all of them: that circuit of the destination ends, and another
// one comes. At the end everything must be back: blocks, budget, outcomes.
#include "message/known/unfinished.h"
#include "message/messages.h"
#include "message/pipe/pipes.h"
#include "message/port.h"
#include "testing/seeded_rng.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

namespace {

using namespace qudag;
using namespace std::chrono_literals;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

class Host final : public message::Port,
                   public message::Routes,
                   public message::MessageEvents,
                   public message::PipeListener {
 public:
  Host()
      : budget("fuzz", 1 << 20),
        rng(7),
        unfinished(std::make_shared<message::Unfinished>(
            message::UnfinishedOptions{.bytes_max = 1 << 18, .messages_max = 8, .bytes_min = 32},
            rng)),
        messages(std::make_unique<message::Messages>(
            message::MessagesOptions{
                .unfinished = unfinished, .pipes = pipes, .pipe_listener = this, .pipes_max = 64},
            static_cast<message::Port&>(*this), static_cast<message::Routes&>(*this), pool, budget,
            rng, nullptr, static_cast<message::MessageEvents&>(*this))) {}

  Result<circuit::CircuitId> build(std::span<const onion::RouteHop>, Priority, Now,
                                   Bytes rider) override {
    // What waits rides; a circuit that only takes the place of another has nothing yet.
    require(rider.empty() || rider.size() == onion::kRiderBytes, "a rider of another size");
    return circuit::CircuitId{next_circuit++};
  }
  std::size_t rider_room(std::size_t) const override { return onion::kRiderBytes; }
  bool has_left(circuit::CircuitId) const override { return true; }
  std::size_t sendable(circuit::CircuitId) const override { return 4; }
  memory::Block payload_block(Priority priority) override {
    memory::Block block = pool.take(onion::block_size(priority));
    if (block) block.append(onion::payload_bytes(priority));
    return block;
  }
  void send(circuit::CircuitId, memory::Block payload, Now) override {
    require(++sent < 100'000, "sends without end");
    require(payload.size() == onion::payload_bytes(Priority::normal), "payload of the wrong size");
  }
  std::size_t failed_hop() const override { return SIZE_MAX; }
  void close(circuit::CircuitId circuit, Now) override { closed.insert(circuit); }

  Result<std::vector<onion::RouteHop>> draw(const NodeId& to, unsigned, Now) override {
    return std::vector<onion::RouteHop>{{to, nullptr}};
  }
  void report(std::span<const onion::RouteHop>, bool, std::size_t, Duration, Now) override {}

  message::Taken on_message(message::Received&& m, Now now) override {
    require(m.payload.bytes() <= limits::kMessageBytesMax, "a message over the limit");
    require(m.reservation.bytes() == m.payload.bytes(), "bytes that are not reserved");
    require(!m.sender, "a signature that cannot be right");
    if (m.reply_to) replied += messages->reply(*m.reply_to, {}, {}, 1s, now) ? 1 : 0;
    return message::Taken::yes;
  }
  void on_outcome(message::SendId, const Delivery&, Now) override { ++outcomes; }
  void on_progress(message::SendId, std::size_t done, std::size_t all, Now) override {
    require(done <= all, "more progress than message");
  }

  // Programs that answer, write, take and end.
  void write(message::PipeId pipe, std::size_t bytes, Now now) {
    memory::Chain chain;
    if (!pipes->reserve(budget, bytes)) return;
    const std::vector<std::byte> zeros(bytes);
    require(memory::Chain::copy_in(pool, memory::BlockSize::cell, zeros, chain), "pool");
    messages->with_pipes(now, [&](message::Pipes& all) {
      all.write(pipe, Priority::normal, std::move(chain), now);
    });
  }
  void open(std::string service, Now now) {
    const auto pipe = messages->with_pipes(now, [&](message::Pipes& all) {
      return all.open({{}, std::move(service), {}}, now);
    });
    if (!pipe) return;
    ++piped;
    write(*pipe, 1000, now);
  }
  void on_pipe_offer(message::PipeId pipe, const message::PipeOffered& offered, Now now) override {
    require(wire::is_service_name(offered.service), "a name that is none");
    ++piped;
    messages->with_pipes(now, [&](message::Pipes& all) { all.accept(pipe, now); });
    write(pipe, 100, now);
  }
  void on_pipe_open(message::PipeId, Now) override {}
  void on_pipe_bytes(message::PipeId pipe, memory::Chain&& bytes, memory::Reservation&& reservation,
                     Now now) override {
    require(!bytes.empty() && reservation.bytes() == bytes.bytes(), "bytes that are not reserved");
    messages->with_pipes(now, [&](message::Pipes& all) { all.take(pipe, bytes.bytes(), now); });
  }
  void on_pipe_end(message::PipeId pipe, Now now) override {
    messages->with_pipes(now, [&](message::Pipes& all) { all.end(pipe, now); });
  }
  void on_pipe_room(message::PipeId, std::uint64_t, Now) override {}
  void on_pipe_closed(message::PipeId, const PipeEnd& end, Now) override {
    ++pipes_closed;
    require(end.taken_by_peer <= end.sent, "more was taken than was sent");
  }

  void offer(circuit::CircuitId circuit, Bytes bytes, Now now) {
    if (closed.contains(circuit)) return;
    memory::Block block = pool.take(memory::BlockSize::cell);
    require(static_cast<bool>(block), "blocks are leaking");
    block.append(onion::payload_bytes(Priority::normal));
    std::ranges::fill(block.bytes(), std::byte{0});
    const std::size_t n = std::min(bytes.size(), block.size());
    std::copy_n(bytes.begin(), n, block.bytes().begin());
    messages->on_payload(circuit, std::move(block), now);
    messages->pump(now);
    require(budget.used() <= budget.bytes_max(), "over the budget");
  }
  void ride(circuit::CircuitId circuit, Bytes bytes, Now now) {
    std::array<std::byte, onion::kRiderBytes> rider{};
    std::copy_n(bytes.begin(), std::min(bytes.size(), rider.size()), rider.begin());
    messages->on_incoming(circuit, Priority::normal, now);
    messages->on_rider(circuit, rider, now);
    messages->pump(now);
    require(budget.used() <= budget.bytes_max(), "over the budget");
  }

  memory::BlockPool pool;
  memory::Budget budget;
  testing::SeededRng rng;
  std::uint64_t next_circuit = 10;
  std::size_t sent = 0;
  std::size_t outcomes = 0, replied = 0, piped = 0, pipes_closed = 0;
  const std::shared_ptr<message::PipesOfNode> pipes =
      std::make_shared<message::PipesOfNode>(64, 1 << 19);
  std::set<circuit::CircuitId> closed;
  std::shared_ptr<message::Unfinished> unfinished;
  std::unique_ptr<message::Messages> messages;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Host host;
  Now now{TimePoint(1h), 1'800'000'000};
  circuit::CircuitId destination{1'000};
  const circuit::CircuitId source{host.next_circuit};
  host.messages->on_incoming(destination, Priority::normal, now);
  std::size_t accepted = 0;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{100}, std::size_t{5000}}) {
    memory::Chain chain;
    const std::vector<std::byte> payload(bytes);
    require(memory::Chain::copy_in(host.pool, memory::BlockSize::cell, payload, chain), "pool");
    accepted += host.messages->send({}, std::move(chain), {}, {.ttl = 1s}, now) ? 1 : 0;
  }
  host.open("ssh", now);
  host.messages->pump(now);
  host.messages->on_built(source, 1ms, now);
  host.open("web", now);
  host.messages->pump(now);

  ByteReader in({reinterpret_cast<const std::byte*>(data), size});
  while (in.remaining() > 0) {
    const std::uint8_t what = in.u8();
    const std::size_t length = std::min<std::size_t>(in.u16(), in.remaining());
    now.mono += 10ms * (what >> 1);
    host.messages->on_time(now);
    if (what == 0xfe) {
      host.messages->on_ended(destination, Errc::circuit_failed, now);
      host.messages->on_incoming({++destination.value}, Priority::normal, now);
    }
    if (what == 0xfc) {
      host.messages->on_ended(destination, Errc::circuit_failed, now);
      host.ride({++destination.value}, in.take(length), now);
      continue;
    }
    host.offer((what & 1) == 0 ? destination : source, in.take(length), now);
  }
  host.messages->shutdown(now);
  require(host.outcomes == accepted + host.replied, "an outcome for each send");
  require(host.pipes_closed == host.piped, "an end for each pipe");
  require(host.pipes->bytes().used() == 0 && host.pipes->places().used() == 0, "pipes are back");
  require(host.budget.used() == 0, "the budget is back");
  const memory::PoolStats stats = host.pool.stats();
  require(stats.in_use[0] == 0 && stats.in_use[1] == 0, "the blocks are back");
  return 0;
}
