// Messages of one shard: envelopes, fragments, acknowledgements, credit, duplicates, replies.
//
// Sending: send() makes an envelope, puts it into the flow of its (destination, priority, hops,
// isolation); the flow keeps a circuit from its CircuitPool (built when needed, reused while young
// and healthy, rotated, replaced on failure); pump() packs fragments of waiting envelopes into
// payloads while the circuit has room and credit; ACK ends the envelope. If the circuit ends first,
// the envelope waits in the flow for the next circuit and is sent again, from its first byte or
// from where the destination has it. Receiving: frames of a payload -> fragments -> assembly
// (reserved from the budget by its announced size first) -> duplicate check ->
// MessageEvents::on_message -> ACK. docs/reference/protocol.md, section 7. No thread, clock or
// socket in here.
#pragma once

#include "base/bounded.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/time.h"
#include "base/work_end.h"
#include "circuit/circuits.h"
#include "crypto/identity.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "message/pipe/events.h"
#include "message/stats.h"

#include <qudag/message.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace qudag::message {

class Port;

/// Where routes come from (node joins it to netmap).
class Routes {
 public:
  virtual ~Routes() = default;
  /// Hops in order, the destination last; hops.size() == relays + 1. unknown_destination, no_route;
  /// unreachable if the destination has stopped, and may come back.
  virtual Result<std::vector<onion::RouteHop>> draw(const NodeId& destination, unsigned relays,
                                                    Now now) = 0;
  /// How a drawn route did: ready after `took`, or which hop failed (index, SIZE_MAX: unknown).
  virtual void report(std::span<const onion::RouteHop> route, bool ok, std::size_t failed_hop,
                      Duration took, Now now) = 0;
  /// A circuit of ours on that route is there from now on, and has ended: closed `by_us`, or by the
  /// network, after it `lived` so long. Each once.
  virtual void circuit_began(std::span<const onion::RouteHop> route, Now now) {
    static_cast<void>(route), static_cast<void>(now);
  }
  virtual void circuit_ended(std::span<const onion::RouteHop> route, bool by_us, Duration lived,
                             Now now) {
    static_cast<void>(route), static_cast<void>(by_us), static_cast<void>(lived);
    static_cast<void>(now);
  }
  /// That hop takes no circuit now: a limit, no defect. The first hop said so itself, of others
  /// somebody before them may have.
  virtual void refused(std::span<const onion::RouteHop> route, std::size_t hop, Now now) {
    static_cast<void>(route), static_cast<void>(hop), static_cast<void>(now);
  }
  /// A build that takes longer than this is late: another one goes over other relays.
  /// `at_first_link`: the first hop has not answered our dial yet.
  virtual Duration late_after(bool at_first_link, Now now) {
    static_cast<void>(at_first_link), static_cast<void>(now);
    return Duration::max();
  }
  /// Our dial of the first hop, or our link to it, ended without an answer.
  virtual void gone(std::span<const onion::RouteHop> route, Now now) {
    static_cast<void>(route), static_cast<void>(now);
  }
  /// That build is late: the next draw should give others.
  virtual void late(std::span<const onion::RouteHop> route, bool at_first_link, Now now) {
    static_cast<void>(route), static_cast<void>(at_first_link), static_cast<void>(now);
  }
};

/// A limit of this node, which says nothing about the route of a build that failed.
inline bool is_local(const Error& why) {
  const auto group = static_cast<unsigned>(why.code) / 100;
  return (group == 2 && why.code != Errc::refused_by_peer) || why.code == Errc::shutting_down;
}
/// Of a build that failed at the first link: nobody answered there.
inline bool is_gone(const Error& why) {
  return why == Errc::unreachable || why == Errc::link_closed;
}

/// An accepted send: names it until its outcome.
struct SendId {
  std::uint64_t value = 0;
  /// Unlike that of any other send that has not ended, and less than sends_max().
  std::uint32_t place() const { return static_cast<std::uint32_t>(value); }
  auto operator<=>(const SendId&) const = default;
};

/// Where a reply goes: the circuit, and which message of it is answered.
struct ReplyPath {
  circuit::CircuitId circuit;
  std::uint32_t ref = 0;
};

/// Names a message that was handed out: the circuit that brought it, and its number there.
struct Handed {
  std::uint64_t circuit = 0;
  std::uint32_t ref = 0;
  bool operator==(const Handed&) const = default;
};

struct Received {
  std::array<std::byte, 16> id{};
  memory::Chain payload;
  memory::Reservation reservation;  // goes back when the application releases the message
  Priority priority = Priority::normal;
  ChannelNumber channel = 0;          // of a reply: of the message that it answers
  std::optional<NodeId> sender;       // only if signed, and the signature verified
  std::optional<ReplyPath> reply_to;  // set at a destination
  std::optional<NodeId> receiver;     // whom it was for, if not this node itself
  std::optional<std::array<std::byte, 16>> in_reply_to;
  std::array<std::byte, 16> key{};  // of no reply: the same if its sender sends it again
  Handed handed;                    // for settle()
  TimePoint expires{};
};

/// What the application side said to a received message: becomes the ACK status.
/// `later`: the application has it in hand, and settle() follows; no status is sent until then.
enum class Taken : std::uint8_t {
  yes = 0,
  no_receiver = 2,
  memory = 3,
  queue_full = 4,
  later = 0xff
};

class MessageEvents {
 public:
  virtual ~MessageEvents() = default;
  virtual Taken on_message(Received&& message, Now now) = 0;
  /// Exactly once per accepted send; `elapsed` since send().
  virtual void on_outcome(SendId id, const Delivery& delivery, Now now) = 0;
  /// Bytes of the message that the destination has taken so far (by its credit); for large ones.
  /// More each time: while bytes are sent again over another circuit, nothing is said.
  virtual void on_progress(SendId id, std::size_t bytes_done, std::size_t bytes_all, Now now) = 0;
};

class Delivered;
class FlowQueues;
class Pipes;
class Unfinished;

/// How slow steps (signatures) leave the loop: `work` runs on another thread, then `done` on the
/// loop's, which hears whether the work was done. False if there is no room now; then neither runs.
using Offload =
    std::function<bool(std::function<void()> work, std::function<void(WorkEnd, Now)> done)>;

struct MessagesOptions {
  NodeId self{};
  /// What messages of a priority reserve from; null: the budget that Messages was given.
  std::array<memory::Budget*, kPriorityCount> claims{};
  memory::Budget* tables = nullptr;  // what circuits' tables reserve from; null: the same
  // Not ended, per priority, in messages and in bytes; of all shards together, if they lend each
  // other.
  bool of_all_shards = false;
  std::array<std::size_t, kPriorityCount> waiting_max{
      limits::kQueueHighMax, limits::kQueueNormalMax, limits::kQueueLowMax};
  std::array<std::size_t, kPriorityCount> waiting_bytes_max{
      limits::kQueueHighBytes, limits::kQueueNormalBytes, limits::kQueueLowBytes};
  std::size_t flows_max = 65'536;
  std::uint64_t credit_bytes = limits::kCreditBytes;  // protocol.md: the initial credit is fixed
  std::size_t assemblies_max = 256;                   // per circuit
  std::size_t duplicates_max = 1 << 18;               // message ids remembered
  std::shared_ptr<Delivered> delivered = nullptr;     // of all shards; null: its own
  std::shared_ptr<Unfinished> unfinished = nullptr;   // the same
  std::shared_ptr<PipesOfNode> pipes = nullptr;       // the same
  FlowQueues* queues = nullptr;                       // null: flows have no bound of their own
  PipeListener* pipe_listener = nullptr;              // null: none are opened, and all are refused
  std::size_t pipes_max = 2'048;                      // as pipes->places()
  std::uint32_t shard = 0;
  Offload offload = nullptr;           // null: slow steps run inside the call
  unsigned circuits_per_flow_max = 1;  // parallel circuits of one flow
  unsigned attempts_max = 0;  // circuits tried for one message; 0: as many as its time to live lets
  // Rotate by age and by volume: of each circuit something between three quarters and five quarters
  // of it, drawn for it.
  std::chrono::seconds circuit_age_max{600};
  std::uint64_t circuit_bytes_max = std::uint64_t{16} << 30;
  std::chrono::seconds flow_idle{60};  // then the flow's circuits are closed

  std::size_t sends_max() const { return waiting_max[0] + waiting_max[1] + waiting_max[2]; }
};

class Messages final : public circuit::CircuitEvents {
 public:
  /// `identity` may be null: then signing is refused. All references outlive this object.
  Messages(MessagesOptions options, circuit::Circuits& circuits, Routes& routes,
           memory::BlockPool& pool, memory::Budget& budget, Rng& rng,
           const crypto::Identity* identity, message::MessageEvents& events);
  /// Over any port: how tests put a network of their own in the place of circuits.
  Messages(MessagesOptions options, Port& port, Routes& routes, memory::BlockPool& pool,
           memory::Budget& budget, Rng& rng, const crypto::Identity* identity,
           message::MessageEvents& events);
  ~Messages() override;

  /// Refused at once (refused_queue_full, too_large, invalid_argument, shutting_down; signed also
  /// refused_memory) or accepted: then exactly one on_outcome follows, never from inside this call.
  /// The caller's reservation, if any, travels along. `id`: random, drawn by the caller; none:
  /// drawn here.
  Result<SendId> send(const NodeId& destination, memory::Chain payload,
                      memory::Reservation reservation, const SendOptions& options, Now now,
                      const std::optional<MessageId>& id = {});
  /// On the circuit that the message came on. circuit_failed if it is gone.
  Result<SendId> reply(const ReplyPath& to, memory::Chain payload, memory::Reservation reservation,
                       std::chrono::milliseconds ttl, Now now,
                       const std::optional<MessageId>& id = {});
  /// Ends the message now: the outcome is failed (cancelled). Nothing if it has ended already.
  void cancel(SendId id, Now now);
  void cancel(const MessageId& id, Now now);

  /// What became of a message that the application took in hand (Taken::later): its sender hears it
  /// now. False if nothing is owed for it: it was settled, its time to live is over, or its circuit
  /// has ended and its sender has not come back.
  bool settle(const Handed& handed, Taken taken, Now now);

  // Protection, for the overload manager.
  /// Ends up to `count` messages of that priority that wait and of which nothing was sent, the
  /// oldest of each flow first: outcome refused, `why`. How many it ended.
  std::size_t shed(Priority priority, std::size_t count, const Error& why, Now now);
  /// Memory is short: ends circuits whose peer has taken nothing for a second while it is owed
  /// answers, the one first that holds most, until about so many bytes are free. Whatever the
  /// priority: a peer that goes on asking and does not read has no use for the circuit. Before them
  /// go messages that nobody brings any more. Returns the bytes that they held. Looks at every
  /// circuit that ends here.
  std::size_t reclaim(std::size_t bytes, Now now);
  /// How long messages of that priority wait for a turn on circuits that could take them, in the
  /// flow that waits least: one slow destination is no overload of this node.
  Duration waiting_time(Priority priority, Now now) const;

  // circuit::CircuitEvents
  void on_built(circuit::CircuitId circuit, Duration took, Now now) override;
  void on_incoming(circuit::CircuitId circuit, Priority priority, Now now) override;
  std::size_t on_rider(circuit::CircuitId circuit, Bytes rider, Now now) override;
  std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) override;
  void on_draining(circuit::CircuitId circuit, bool stops, Now now) override;
  void on_sendable(circuit::CircuitId circuit, Now now) override;
  void on_ended(circuit::CircuitId circuit, const Error& why, Now now) override;

  /// Pipes of this shard; f(Pipes&) is a call from outside, as all of these are.
  template <class F>
  auto with_pipes(Now now, F&& f) {
    const PipesVisit visit(*this, now);
    return f(pipes());
  }
  const Pipes& pipes() const;
  /// Pipes::set_tight().
  void pipes_are_tight(bool tight);

  /// Packs and sends what became ready in this turn; call before the links flush.
  void pump(Now now);
  void on_time(Now now);
  TimePoint next_deadline() const;
  /// Every waiting and unacknowledged message ends as failed (shutting_down).
  void shutdown(Now now);
  MessagesStats stats() const;
  void report(BoundedList& out, Now now) const;

  class Impl;

 private:
  class PipesVisit {
   public:
    PipesVisit(Messages& messages, Now now);
    ~PipesVisit();
    PipesVisit(const PipesVisit&) = delete;
    PipesVisit& operator=(const PipesVisit&) = delete;

   private:
    Messages& messages_;
    Now now_;
  };
  Pipes& pipes();

  std::unique_ptr<Impl> impl_;
};

}  // namespace qudag::message
