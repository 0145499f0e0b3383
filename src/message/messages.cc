// The room's front: every call comes in here, is given to the half it concerns, and ends in Visit,
// which hands out outcomes and frees what ended, once the outermost call is over.
#include "message/messages.h"

#include "message/context.h"
#include "message/receiver.h"
#include "message/sender.h"

#include <algorithm>
#include <cstring>
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
                .shares = {memory::Share(claim(options, Class::high, budget)),
                           memory::Share(claim(options, Class::normal, budget)),
                           memory::Share(claim(options, Class::low, budget))},
                .channels = {},
                .deadlines = {},
                .stats = {}},
        sender(context),
        receiver(context) {}

  void on_payload(Channel& channel, memory::Block payload, Now now);
  void on_ended(Channel& channel, const Error& why, Now now);
  void on_time(Now now);
  void shutdown(Now now);

 private:
  std::unique_ptr<Port> own_port_;  // the adapter, if we were given Circuits

 public:
  Context context;
  Sender sender;
  Receiver receiver;
  unsigned depth = 0;

 private:
  Offload wrap(Offload offload);
  bool on_frame(Channel& channel, const wire::Frame& frame, memory::Block* payload, Now now);
  bool read(Channel& channel, memory::Block payload, Now now);

  std::shared_ptr<int> alive_ = std::make_shared<int>();  // what comes back late must see its end
};

namespace {

/// One call from outside. Channels that end inside stay until the outermost one is over.
class Visit {
 public:
  Visit(Messages::Impl& impl, Now now) : impl_(impl), now_(now) { ++impl_.depth; }
  ~Visit() {
    if (impl_.depth == 1) {
      impl_.sender.flush(now_);
      for (memory::Share& share : impl_.context.shares) share.settle();
      impl_.context.channels.bury();
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

bool Messages::Impl::on_frame(Channel& channel, const wire::Frame& frame, memory::Block* payload,
                              Now now) {
  if (const auto* data = std::get_if<wire::DataFrame>(&frame)) {
    return receiver.on_data(channel, *data, payload, now);
  }
  if (const auto* ack = std::get_if<wire::AckFrame>(&frame)) {
    return sender.on_ack(channel, *ack, now);
  }
  if (const auto* credit = std::get_if<wire::CreditFrame>(&frame)) {
    return sender.on_credit(channel, *credit);
  }
  if (const auto* ping = std::get_if<wire::PingFrame>(&frame)) {
    return context.channels.queue(channel, {.type = wire::FrameType::pong, .token = ping->token},
                                  context.tables());
  }
  if (std::holds_alternative<wire::CloseFrame>(frame)) {
    channel.closing = true;
    if (channel.flow != nullptr) sender.pool().mark(*channel.flow);
    return true;
  }
  if (const auto* cancel = std::get_if<wire::CancelFrame>(&frame)) {
    return receiver.on_cancel(channel, *cancel);
  }
  if (const auto* told = std::get_if<wire::ScopeFrame>(&frame)) {
    if (channel.is_source()) return false;
    channel.told = told->scope;
    return true;
  }
  return true;  // PONG: we asked nothing
}

/// The frames of a payload, in order. A message may keep the block that they are in; then what
/// follows, less than half of it, is read from a copy.
bool Messages::Impl::read(Channel& channel, memory::Block payload, Now now) {
  std::array<std::byte, limits::kBulkPayloadBytes / 2> aside;
  Bytes whole = payload.bytes();
  wire::FrameReader frames(whole);
  wire::Frame frame;
  memory::Block* takable = &payload;
  while (frames.read(frame)) {
    if (const std::byte* next = frames.peek_message_id()) receiver.expect(channel, next);
    const auto* data = std::get_if<wire::DataFrame>(&frame);
    if (data == nullptr || takable == nullptr || data->bytes.size() * 2 < whole.size()) {
      if (!on_frame(channel, frame, nullptr, now)) return false;
      if (channel.dead) return true;
      continue;
    }
    const std::byte* end = whole.data() + whole.size();
    const auto rest_bytes =
        static_cast<std::size_t>(end - (data->bytes.data() + data->bytes.size()));
    QUDAG_ASSERT(rest_bytes <= aside.size());
    const Bytes rest = whole.last(rest_bytes);
    const bool goes_on = !rest.empty() && rest.front() != std::byte{0};
    if (goes_on) std::memcpy(aside.data(), rest.data(), rest.size());
    if (!on_frame(channel, frame, takable, now)) return false;
    if (channel.dead || !goes_on) return true;
    whole = Bytes(aside).first(rest_bytes);
    frames = wire::FrameReader(whole);
    takable = nullptr;
  }
  return !frames.malformed();
}

void Messages::Impl::on_payload(Channel& channel, memory::Block payload, Now now) {
  channel.active = now.mono;
  if (read(channel, std::move(payload), now) || channel.dead) return;
  ++context.stats.frames_malformed;
  context.port.close(channel.circuit, now);
  on_ended(channel, {Errc::circuit_failed, "the peer broke the protocol"}, now);
}

// ---- ends ---------------------------------------------------------------------------------------

void Messages::Impl::on_ended(Channel& channel, const Error& why, Now now) {
  const std::size_t failed_hop = channel.ready ? SIZE_MAX : context.port.failed_hop();
  context.channels.retire(channel);
  receiver.on_ended(channel);
  sender.on_ended(channel, why, now);
  if (channel.is_source()) sender.pool().on_ended(channel, why, failed_hop, now);
}

void Messages::Impl::on_time(Now now) {
  context.deadlines.expire(now.mono, [&](Timed& due) {
    switch (due.kind) {
      case TimedKind::envelope:
        sender.on_expired(static_cast<Envelope&>(due), now);
        break;
      case TimedKind::assembly:
        receiver.on_expired(static_cast<Assembly&>(due));
        break;
      case TimedKind::flow:
        sender.pool().serve(static_cast<Flow&>(due), now);
        break;
    }
  });
}

void Messages::Impl::shutdown(Now now) {
  context.stopping = true;
  sender.shutdown(now);
  while (Channel* channel = context.channels.any()) {
    context.channels.retire(*channel);
    receiver.on_ended(*channel);
    context.port.close(channel->circuit, now);
  }
  sender.pool().clear();
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
  Channel* channel = impl_->context.channels.find(to.circuit);
  if (channel == nullptr) return fail(Errc::circuit_failed, "the circuit has ended");
  return impl_->sender.reply(*channel, to.ref, std::move(payload), std::move(reservation), ttl, now,
                             id);
}

void Messages::cancel(SendId id, Now now) {
  const Visit visit(*impl_, now);
  impl_->sender.cancel(id, now);
}

void Messages::cancel(const MessageId& id, Now now) {
  const Visit visit(*impl_, now);
  impl_->sender.cancel(id, now);
}

std::size_t Messages::shed(Class cls, std::size_t count, const Error& why, Now now) {
  const Visit visit(*impl_, now);
  return impl_->sender.shed(cls, count, why, now);
}

Duration Messages::waiting_time(Class cls, Now now) const {
  return impl_->sender.pool().waiting_time(cls, now);
}

void Messages::on_built(circuit::CircuitId circuit, Duration took, Now now) {
  const Visit visit(*impl_, now);
  impl_->sender.pool().on_built(circuit, took, now);
}

void Messages::on_incoming(circuit::CircuitId circuit, Class cls, Now now) {
  const Visit visit(*impl_, now);
  if (impl_->context.stopping) return impl_->context.port.close(circuit, now);
  Context& context = impl_->context;
  context.channels.add(circuit, cls, context.options.credit_bytes, now).ready = true;
}

void Messages::on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) {
  const Visit visit(*impl_, now);
  Channel* channel = impl_->context.channels.find(circuit);
  if (channel != nullptr) impl_->on_payload(*channel, std::move(payload), now);
}

void Messages::on_draining(circuit::CircuitId circuit, bool stops, Now now) {
  Channel* channel = impl_->context.channels.find(circuit);
  if (channel != nullptr && channel->is_source()) impl_->sender.pool().wear(*channel, stops, now);
}

void Messages::on_sendable(circuit::CircuitId circuit, Now now) {
  const Visit visit(*impl_, now);
  Channel* channel = impl_->context.channels.find(circuit);
  if (channel != nullptr) impl_->context.channels.mark(*channel);
}

void Messages::on_ended(circuit::CircuitId circuit, const Error& why, Now now) {
  const Visit visit(*impl_, now);
  Channel* channel = impl_->context.channels.find(circuit);
  if (channel == nullptr) return impl_->sender.pool().on_ended_early(circuit, why);
  impl_->on_ended(*channel, why, now);
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

MessagesStats Messages::stats() const {
  MessagesStats stats = impl_->context.stats;
  stats.flows = impl_->sender.pool().flows();
  return stats;
}

void Messages::report(BoundedList& out, Now now) const {
  using Kind = Bounded::Kind;
  const Context& context = impl_->context;
  impl_->sender.report(out, now);
  impl_->receiver.report(out);
  out.push_back(bounded(Kind::table, "flows", "refuse new", impl_->sender.pool().flows(),
                        context.options.flows_max, sizeof(Flow)));
  context.channels.report(out);
  out.push_back(bounded(Kind::table, "deadlines of messages", "with their records",
                        context.deadlines.size(),
                        context.options.sends_max() + context.options.flows_max + kAssembliesMax));
}

}  // namespace qudag::message
