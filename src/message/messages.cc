// The room's front: every call comes in here, is given to the half it concerns, and ends in Visit,
// which hands out outcomes and frees what ended, once the outermost call is over.
#include "message/messages.h"

#include "message/context.h"
#include "message/pipe/pipes.h"
#include "message/receiver.h"
#include "message/sender.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>
#include <variant>

namespace qudag::message {

class Messages::Impl {
 public:
  Impl(const MessagesOptions& options, std::unique_ptr<Port> own_port, Port& port, Routes& routes,
       memory::BlockPool& pool, memory::Budget& budget, Rng& rng, const crypto::Identity* identity,
       message::MessageEvents& events)
      : own_port_(std::move(own_port)),
        context{.options = options,
                .port = port,
                .routes = routes,
                .pool = pool,
                .budget = budget,
                .rng = rng,
                .identity = identity,
                .events = events,
                .offload = wrap(options.offload),
                .allowances = {memory::Allowance(&claim(options, Priority::high, budget)),
                               memory::Allowance(&claim(options, Priority::normal, budget)),
                               memory::Allowance(&claim(options, Priority::low, budget))},
                .circuit_ends = {},
                .deadlines = {},
                .stats = {}},
        sender(context),
        receiver(context),
        pipes(context) {
    context.pipes = &pipes;
    pipes.attach_pool(sender.pool());
  }

  /// `block`: which the payload is in, and which a message may keep; null if none may be kept.
  std::size_t on_payload(CircuitEnd& circuit_end, Bytes payload, memory::Block* block, Now now);
  /// `may_move`: its sender may go on over another circuit with what it was sending.
  void on_ended(CircuitEnd& circuit_end, const Error& why, bool may_move, Now now);
  std::size_t reclaim(std::size_t bytes, Now now);
  void end_silent(Flow& flow, Now now);
  void on_time(Now now);
  void shutdown(Now now);

 private:
  std::unique_ptr<Port> own_port_;  // the adapter, if we were given Circuits

 public:
  Context context;
  Sender sender;
  Receiver receiver;
  Pipes pipes;
  unsigned depth = 0;

 private:
  Offload wrap(Offload offload);
  bool on_frame(CircuitEnd& circuit_end, const wire::Frame& frame, memory::Block* payload, Now now);
  bool read(CircuitEnd& circuit_end, Bytes whole, memory::Block* takable, std::size_t& work,
            Now now);

  std::shared_ptr<int> alive_ = std::make_shared<int>();  // what comes back late must see its end
};

namespace {

/// What a frame is worth, in the units of circuit/cell_turns.h: a message that is handed out, or
/// ends, is the dear one.
std::size_t work_of(const wire::Frame& frame) {
  if (const auto* data = std::get_if<wire::DataFrame>(&frame)) return data->start ? 8 : 2;
  if (std::holds_alternative<wire::AckFrame>(frame)) return 4;
  if (std::holds_alternative<wire::OpenFrame>(frame)) return 8;
  if (std::holds_alternative<wire::MoveFrame>(frame)) return 8;
  if (std::holds_alternative<wire::BytesFrame>(frame)) return 2;
  return std::holds_alternative<wire::PingFrame>(frame) ? 2 : 1;
}

/// While answers wait: so long a path takes to carry anything, if it carries anything.
constexpr Duration kTakesNothing = std::chrono::seconds(1);

/// One call from outside. CircuitEnds that end inside stay until the outermost one is over.
class Visit {
 public:
  Visit(Messages::Impl& impl, Now now) : impl_(impl), now_(now) { ++impl_.depth; }
  ~Visit() {
    if (impl_.depth == 1) {
      impl_.sender.flush(now_);
      impl_.pipes.flush(now_);
      for (memory::Allowance& allowance : impl_.context.allowances) allowance.trim();
      impl_.context.circuit_ends.bury();
    }
    --impl_.depth;
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  Messages::Impl& impl_;
  Now now_;
};

}  // namespace

/// What comes back from a worker is a call from outside too.
Offload Messages::Impl::wrap(Offload offload) {
  if (!offload) return nullptr;
  return [this, offload = std::move(offload)](std::function<void()> work,
                                              std::function<void(WorkEnd, Now)> done) {
    return offload(std::move(work), [this, alive = std::weak_ptr(alive_), done = std::move(done)](
                                        WorkEnd how, Now now) {
      if (alive.expired()) return;
      const Visit visit(*this, now);
      done(how, now);
    });
  };
}

// ---- payloads -----------------------------------------------------------------------------------

bool Messages::Impl::on_frame(CircuitEnd& circuit_end, const wire::Frame& frame,
                              memory::Block* payload, Now now) {
  if (const auto* data = std::get_if<wire::DataFrame>(&frame)) {
    return receiver.on_data(circuit_end, *data, payload, now);
  }
  if (const auto* ack = std::get_if<wire::AckFrame>(&frame)) {
    return sender.on_ack(circuit_end, *ack, now);
  }
  if (const auto* credit = std::get_if<wire::CreditFrame>(&frame)) {
    return sender.on_credit(circuit_end, *credit);
  }
  if (const auto* ping = std::get_if<wire::PingFrame>(&frame)) {
    return context.circuit_ends.queue(
        circuit_end, {.type = wire::FrameType::pong, .token = ping->token}, context.tables());
  }
  if (std::holds_alternative<wire::CloseFrame>(frame)) {
    if (circuit_end.is_source()) {
      sender.pool().close_by_peer(circuit_end, now);
    } else {
      circuit_end.closing = true;
    }
    return true;
  }
  if (const auto* cancel = std::get_if<wire::CancelFrame>(&frame)) {
    return receiver.on_cancel(circuit_end, *cancel);
  }
  if (const auto* held = std::get_if<wire::HeldFrame>(&frame)) {
    return sender.on_held(circuit_end, *held);
  }
  if (const auto* told = std::get_if<wire::ScopeFrame>(&frame)) {
    if (circuit_end.is_source()) return false;
    circuit_end.told = told->scope;
    return true;
  }
  if (std::holds_alternative<wire::PongFrame>(frame)) {
    circuit_end.answering.answered(now.mono);
    if (Flow* const flow = circuit_end.flow; flow != nullptr && flow->silent > 0) --flow->silent;
    return true;
  }
  return pipes.on_frame(circuit_end, frame, payload, now);
}

/// The bytes of a frame that a block may be kept for.
Bytes bytes_of(const wire::Frame& frame) {
  if (const auto* data = std::get_if<wire::DataFrame>(&frame)) return data->bytes;
  if (const auto* piped = std::get_if<wire::BytesFrame>(&frame)) return piped->bytes;
  return {};
}

/// The frames of a payload, in order, and what they were worth. A message may keep the block that
/// they are in; then what follows, less than half of it, is read from a copy.
bool Messages::Impl::read(CircuitEnd& circuit_end, Bytes whole, memory::Block* takable,
                          std::size_t& work, Now now) {
  std::array<std::byte, limits::kBulkPayloadBytes / 2> aside;
  wire::FrameReader frames(whole);
  wire::Frame frame;
  while (frames.read(frame)) {
    work += work_of(frame);
    if (const std::byte* next = frames.peek_message_id()) receiver.expect(circuit_end, next);
    const Bytes bytes = bytes_of(frame);
    if (takable == nullptr || bytes.size() * 2 < whole.size()) {
      if (!on_frame(circuit_end, frame, nullptr, now)) return false;
      if (circuit_end.dead) return true;
      continue;
    }
    const std::byte* end = whole.data() + whole.size();
    const auto rest_bytes = static_cast<std::size_t>(end - (bytes.data() + bytes.size()));
    QUDAG_ASSERT(rest_bytes <= aside.size());
    const Bytes rest = whole.last(rest_bytes);
    const bool goes_on = !rest.empty() && rest.front() != std::byte{0};
    if (goes_on) std::memcpy(aside.data(), rest.data(), rest.size());
    if (!on_frame(circuit_end, frame, takable, now)) return false;
    if (circuit_end.dead || !goes_on) return true;
    whole = Bytes(aside).first(rest_bytes);
    frames = wire::FrameReader(whole);
    takable = nullptr;
  }
  return !frames.malformed();
}

std::size_t Messages::Impl::on_payload(CircuitEnd& circuit_end, Bytes payload, memory::Block* block,
                                       Now now) {
  circuit_end.active = now.mono;
  circuit_end.answering.heard();
  std::size_t work = 0;
  if (read(circuit_end, payload, block, work, now) || circuit_end.dead) return work;
  ++context.stats.frames_malformed;
  context.port.close(circuit_end.circuit, now);
  on_ended(circuit_end, {Errc::circuit_failed, "the peer broke the protocol"}, false, now);
  return work;
}

// ---- ends ---------------------------------------------------------------------------------------

void Messages::Impl::on_ended(CircuitEnd& circuit_end, const Error& why, bool may_move, Now now) {
  const std::size_t failed_hop = circuit_end.ready ? SIZE_MAX : context.port.failed_hop();
  context.circuit_ends.retire(circuit_end);
  receiver.on_ended(circuit_end, may_move, now);
  pipes.on_circuit_ended(circuit_end, why, now);
  sender.on_ended(circuit_end, why, now);
  if (circuit_end.is_source()) sender.pool().on_ended(circuit_end, why, failed_hop, now);
}

std::size_t Messages::Impl::reclaim(std::size_t bytes, Now now) {
  std::vector<std::pair<std::size_t, CircuitEnd*>> holding;
  context.circuit_ends.for_each([&](CircuitEnd& one) {
    if (one.control.empty() || now.mono - one.last_sent < kTakesNothing) return;
    if (context.port.sendable(one.circuit) > 0) return;
    holding.emplace_back(one.control.reserved_bytes() + context.port.held(one.circuit), &one);
  });
  std::ranges::sort(holding, std::greater{}, [](const auto& one) { return one.first; });
  std::size_t freed = receiver.drop_left(bytes);
  for (const auto& [held, circuit_end] : holding) {
    if (freed >= bytes) break;
    if (circuit_end->dead) continue;
    freed += held;
    context.port.give_up(circuit_end->circuit, now);
    on_ended(*circuit_end, {Errc::refused_memory, "memory is short"}, false, now);
  }
  return freed;
}

/// As if the network had ended them: what was under way goes on over others.
void Messages::Impl::end_silent(Flow& flow, Now now) {
  while (CircuitEnd* const silent = sender.pool().find_silent(flow, now)) {
    context.port.close(silent->circuit, now);
    on_ended(*silent, {Errc::circuit_failed, "the other end does not answer"}, true, now);
  }
}

void Messages::Impl::on_time(Now now) {
  context.deadlines.expire(now.mono, [&](Timed& due) {
    switch (due.kind) {
      case TimedKind::envelope:
        sender.on_expired(static_cast<Envelope&>(due), now);
        break;
      case TimedKind::assembly:
        receiver.on_expired(static_cast<Assembly&>(due), now);
        break;
      case TimedKind::owed:
        receiver.on_due(static_cast<Owed&>(due), now);
        break;
      case TimedKind::left:
        receiver.on_left_due(now);
        break;
      case TimedKind::flow:
        end_silent(static_cast<Flow&>(due), now);
        sender.pool().serve(static_cast<Flow&>(due), now);
        break;
      case TimedKind::pipe:
        pipes.on_due(static_cast<PipeRecord&>(due), now);
        break;
    }
  });
}

void Messages::Impl::shutdown(Now now) {
  context.stopping = true;
  sender.shutdown(now);
  pipes.stop(now);
  pipes.clear(now);
  while (CircuitEnd* circuit_end = context.circuit_ends.any()) {
    context.circuit_ends.retire(*circuit_end);
    receiver.on_ended(*circuit_end, false, now);
    context.port.close(circuit_end->circuit, now);
  }
  sender.pool().clear();
  receiver.drop_left(SIZE_MAX);
}

// ---- the interface ------------------------------------------------------------------------------

Messages::Messages(MessagesOptions options, circuit::Circuits& circuits, Routes& routes,
                   memory::BlockPool& pool, memory::Budget& budget, Rng& rng,
                   const crypto::Identity* identity, message::MessageEvents& events) {
  auto port = std::make_unique<CircuitsPort>(circuits);
  Port& use = *port;
  impl_ = std::make_unique<Impl>(options, std::move(port), use, routes, pool, budget, rng, identity,
                                 events);
}

Messages::Messages(MessagesOptions options, Port& port, Routes& routes, memory::BlockPool& pool,
                   memory::Budget& budget, Rng& rng, const crypto::Identity* identity,
                   message::MessageEvents& events)
    : impl_(std::make_unique<Impl>(options, nullptr, port, routes, pool, budget, rng, identity,
                                   events)) {}

Messages::~Messages() = default;

Result<SendId> Messages::send(const NodeId& destination, memory::Chain payload,
                              memory::Reservation reservation, const SendOptions& options, Now now,
                              const std::optional<MessageId>& id) {
  return impl_->sender.send(destination, std::move(payload), std::move(reservation), options, now,
                            id);
}

Result<SendId> Messages::reply(const ReplyPath& to, memory::Chain payload,
                               memory::Reservation reservation, std::chrono::milliseconds ttl,
                               Now now, const std::optional<MessageId>& id) {
  CircuitEnd* circuit_end = impl_->context.circuit_ends.find(to.circuit);
  if (circuit_end == nullptr) return fail(Errc::circuit_failed, "the circuit has ended");
  return impl_->sender.reply(*circuit_end, to.ref, std::move(payload), std::move(reservation), ttl,
                             now, id);
}

void Messages::cancel(SendId id, Now now) {
  const Visit visit(*impl_, now);
  impl_->sender.cancel(id, now);
}

void Messages::cancel(const MessageId& id, Now now) {
  const Visit visit(*impl_, now);
  impl_->sender.cancel(id, now);
}

bool Messages::settle(const Handed& handed, Taken taken, Now now) {
  const Visit visit(*impl_, now);
  return impl_->receiver.settle(handed, taken, now);
}

std::size_t Messages::shed(Priority priority, std::size_t count, const Error& why, Now now) {
  const Visit visit(*impl_, now);
  return impl_->sender.shed(priority, count, why, now);
}

std::size_t Messages::reclaim(std::size_t bytes, Now now) {
  const Visit visit(*impl_, now);
  return impl_->reclaim(bytes, now);
}

Duration Messages::waiting_time(Priority priority, Now now) const {
  return impl_->sender.pool().waiting_time(priority, now);
}

void Messages::on_built(circuit::CircuitId circuit, Duration took, Now now) {
  const Visit visit(*impl_, now);
  impl_->sender.pool().on_built(circuit, took, now);
}

void Messages::on_incoming(circuit::CircuitId circuit, Priority priority, Now now) {
  const Visit visit(*impl_, now);
  if (impl_->context.stopping) return impl_->context.port.close(circuit, now);
  Context& context = impl_->context;
  CircuitEnd& added =
      context.circuit_ends.add(circuit, priority, context.options.credit_bytes, now);
  added.ready = true;
  added.link = context.port.link_of(circuit);
  added.payload_bytes = context.port.payload_bytes(circuit, priority);
  added.receiver = context.port.receiver_of(circuit);
  added.letter = context.port.is_letter(circuit);
}

std::size_t Messages::on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) {
  const Visit visit(*impl_, now);
  CircuitEnd* circuit_end = impl_->context.circuit_ends.find(circuit);
  if (circuit_end == nullptr) return 0;
  const Bytes whole = payload.bytes();
  return impl_->on_payload(*circuit_end, whole, &payload, now);
}

/// Small, and its memory is not of the pool: what a message has of it is copied.
std::size_t Messages::on_rider(circuit::CircuitId circuit, Bytes rider, Now now) {
  const Visit visit(*impl_, now);
  CircuitEnd* circuit_end = impl_->context.circuit_ends.find(circuit);
  return circuit_end == nullptr ? 0 : impl_->on_payload(*circuit_end, rider, nullptr, now);
}

void Messages::on_draining(circuit::CircuitId circuit, bool stops, Now now) {
  CircuitEnd* circuit_end = impl_->context.circuit_ends.find(circuit);
  if (circuit_end != nullptr && circuit_end->is_source())
    impl_->sender.pool().wear(*circuit_end, stops, now);
}

void Messages::on_sendable(circuit::CircuitId circuit, Now now) {
  const Visit visit(*impl_, now);
  CircuitEnd* circuit_end = impl_->context.circuit_ends.find(circuit);
  if (circuit_end != nullptr) impl_->context.circuit_ends.mark(*circuit_end);
}

void Messages::on_ended(circuit::CircuitId circuit, const Error& why, Now now) {
  const Visit visit(*impl_, now);
  CircuitEnd* circuit_end = impl_->context.circuit_ends.find(circuit);
  if (circuit_end == nullptr) return impl_->sender.pool().on_ended_early(circuit, why);
  impl_->on_ended(*circuit_end, why, why.code != Errc::refused_memory, now);
}

void Messages::pump(Now now) {
  const Visit visit(*impl_, now);
  impl_->receiver.pump(now);
  impl_->sender.pump(now);
}

void Messages::on_time(Now now) {
  const Visit visit(*impl_, now);
  impl_->on_time(now);
}

TimePoint Messages::next_deadline() const {
  return std::min(
      {impl_->context.deadlines.next(), impl_->sender.retry_at(), impl_->receiver.retry_at()});
}

void Messages::shutdown(Now now) {
  const Visit visit(*impl_, now);
  if (!impl_->context.stopping) impl_->shutdown(now);
}

Pipes& Messages::pipes() { return impl_->pipes; }
const Pipes& Messages::pipes() const { return impl_->pipes; }
void Messages::pipes_are_tight(bool tight) { impl_->pipes.set_tight(tight); }
Messages::PipesVisit::PipesVisit(Messages& messages, Now now) : messages_(messages), now_(now) {
  ++messages_.impl_->depth;
}
Messages::PipesVisit::~PipesVisit() {
  --messages_.impl_->depth;
  const Visit visit(*messages_.impl_, now_);
}

MessagesStats Messages::stats() const {
  MessagesStats stats = impl_->context.stats;
  stats.flows = impl_->sender.pool().flows();
  stats.pipes_parked = impl_->pipes.parked();
  return stats;
}

void Messages::report(BoundedList& out, Now now) const {
  using Kind = Bounded::Kind;
  const Context& context = impl_->context;
  impl_->sender.report(out, now);
  impl_->receiver.report(out);
  out.push_back(bounded(Kind::table, "flows", "refuse new", impl_->sender.pool().flows(),
                        context.options.flows_max, sizeof(Flow)));
  context.circuit_ends.report(out);
  impl_->pipes.report(out);
  out.push_back(bounded(Kind::table, "deadlines of messages", "with their records",
                        context.deadlines.size(),
                        context.options.sends_max() + context.options.flows_max + kAssembliesMax +
                            kOwedMax + context.options.pipes_max + 1));
}

}  // namespace qudag::message
