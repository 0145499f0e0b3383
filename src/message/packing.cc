// Steps: pack -> put_control -> put_messages -> (take a turn) put_fragment -> copy_bytes; padding.
// pack_rider has nothing else to say than messages, and each is whole.
#include "message/packing.h"

#include "message/pipe/pipes.h"
#include "message/queue/flow_queues.h"

#include <algorithm>
#include <cstring>

namespace qudag::message {
namespace {

/// No fragment is made for fewer bytes, unless it completes its message: its header costs 8 to 51.
constexpr std::size_t kFragmentBytesMin = 16;
/// The length of a fragment is 16 bits.
constexpr std::size_t kFragmentBytesMax = 0xffff;
/// One place stays free, so that a small message always gets past 255 large ones.
constexpr std::size_t kPartialMax = wire::kInterleavedMessagesMax - 1;
/// A mark for on_progress about so often.
constexpr std::uint32_t kProgressStep = limits::kProgressStepBytes;

bool credit_is_due(const CircuitEnd& circuit_end, const Context& context) {
  const std::uint64_t window = context.options.credit_bytes;
  return circuit_end.received + window - circuit_end.announced >= window / 4;
}

const EnvelopeOrder& waiting_of(const CircuitEnd& circuit_end) {
  return circuit_end.is_source() ? circuit_end.flow->waiting : circuit_end.replies;
}

bool may_start(const CircuitEnd& circuit_end) {
  if (!circuit_end.takes_new() || circuit_end.started.size() >= kUnackedMax) return false;
  const EnvelopeOrder& waiting = waiting_of(circuit_end);
  if (waiting.empty()) return false;
  return waiting.front()->size == 0 || circuit_end.sent < circuit_end.credit;
}

bool may_continue(const CircuitEnd& circuit_end) {
  return !circuit_end.turns.empty() && circuit_end.sent < circuit_end.credit;
}

// ---- frames that are not DATA -------------------------------------------------------------------

std::size_t size_of(const ControlFrame& frame) {
  switch (frame.type) {
    case wire::FrameType::ack:
      return wire::kAckFrameBytes;
    case wire::FrameType::cancel:
      return wire::kCancelFrameBytes;
    case wire::FrameType::held:
      return wire::kHeldFrameBytes;
    case wire::FrameType::opened:
      return wire::kOpenedFrameBytes;
    case wire::FrameType::moved:
      return wire::kMovedFrameBytes;
    case wire::FrameType::reset:
      return wire::kResetFrameBytes;
    default:
      static_assert(wire::kPingFrameBytes == wire::kPongFrameBytes);
      return wire::kPongFrameBytes;
  }
}

void append(ByteWriter& out, const ControlFrame& frame) {
  switch (frame.type) {
    case wire::FrameType::ack:
      return wire::append(out, wire::AckFrame{frame.ref, frame.status});
    case wire::FrameType::cancel:
      return wire::append(out, wire::CancelFrame{frame.ref});
    case wire::FrameType::held:
      return wire::append(out, wire::HeldFrame{frame.ref, static_cast<std::uint32_t>(frame.token)});
    case wire::FrameType::opened:
      return wire::append(out, wire::OpenedFrame{frame.ref, frame.code, 0});
    case wire::FrameType::moved:
      return wire::append(out, wire::MovedFrame{.pipe = frame.ref, .status = frame.code});
    case wire::FrameType::reset:
      return wire::append(out, wire::ResetFrame{frame.ref, frame.code});
    case wire::FrameType::ping:
      return wire::append(out, wire::PingFrame{frame.token});
    default:
      return wire::append(out, wire::PongFrame{frame.token});
  }
}

void put_control(CircuitEnd& circuit_end, ByteWriter& out, const Context& context) {
  if (credit_is_due(circuit_end, context)) {
    circuit_end.announced = circuit_end.received + context.options.credit_bytes;
    wire::append(out, wire::CreditFrame{circuit_end.announced});
  }
  while (!circuit_end.control.empty() && size_of(circuit_end.control.next()) <= out.remaining()) {
    append(out, circuit_end.control.pop_front());
  }
}

// ---- DATA ---------------------------------------------------------------------------------------

void copy_bytes(Envelope& envelope, MutableBytes out) {
  while (!out.empty()) {
    const MutableBytes view = memory::Chain::view(envelope.at);
    const std::size_t n = std::min(out.size(), view.size() - envelope.at_offset);
    if (n > 0) std::memcpy(out.data(), view.data() + envelope.at_offset, n);
    out = out.subspan(n);
    envelope.at_offset += n;
    if (envelope.at_offset == view.size()) {
      envelope.at = envelope.at->next;
      envelope.at_offset = 0;
    }
  }
}

wire::MessageStart start_of(const Envelope& envelope) {
  return {.id = envelope.message,
          .size = envelope.size,
          .ttl_ms = envelope.ttl_ms,
          .priority = envelope.priority,
          .is_signed = envelope.is_signed,
          .in_reply_to = envelope.in_reply_to,
          .channel = envelope.to_channel};
}

/// A message that was sent before keeps the scope under which the destination may know it.
const wire::Scope& scope_of(const wire::Scope& of_circuit, const Envelope& envelope) {
  return envelope.scope ? *envelope.scope : of_circuit;
}

void count_sent(CircuitEnd& circuit_end, Envelope& envelope, std::size_t n, Context& context) {
  const std::uint32_t before = envelope.sent;
  circuit_end.sent += n;
  envelope.sent += static_cast<std::uint32_t>(n);
  context.stats.bytes_copied += n;
  count_bytes(envelope, before, envelope.sent, context);
  if (envelope.standing > 0) count_standing(envelope, context);
  const bool step = envelope.sent / kProgressStep != before / kProgressStep;
  if (envelope.size > kProgressFrom && (step || envelope.sent == envelope.size)) {
    const std::size_t prefix = envelope.prefix_bytes();
    circuit_end.marks.push_back({.position = circuit_end.sent,
                                 .send = envelope.handle.value,
                                 .done = std::max<std::size_t>(envelope.sent, prefix) - prefix,
                                 .all = envelope.size - prefix});
  }
}

/// So much of it was sent that the destination may have kept some.
bool asks_first(const Envelope& envelope) {
  return envelope.flow != nullptr && envelope.sent_before >= limits::kResumeFromBytes;
}

/// Writes as much of the message as fits and may be sent. False if that is nothing.
bool put_fragment(CircuitEnd& circuit_end, Envelope& envelope, ByteWriter& out, Context& context,
                  Now now) {
  const bool first = !envelope.started;
  const bool tells =
      first && circuit_end.is_source() && circuit_end.told != scope_of(circuit_end.scope, envelope);
  const std::size_t header =
      wire::data_header_bytes(first, envelope.in_reply_to.has_value(), envelope.to_channel != 0) +
      (tells ? wire::kScopeFrameBytes : 0);
  const bool asks = first && asks_first(envelope);
  const std::size_t left = first ? envelope.size : envelope.size - envelope.sent;
  if (out.remaining() < header + std::min(left, kFragmentBytesMin)) return false;
  std::size_t n = asks ? 0 : std::min(left, out.remaining() - header);
  n = static_cast<std::size_t>(std::min<std::uint64_t>(n, circuit_end.credit - circuit_end.sent));
  const bool last = n == left;
  if (first && !last && circuit_end.partial() >= kPartialMax) return false;

  if (tells) {
    circuit_end.told = envelope.scope = scope_of(circuit_end.scope, envelope);
    wire::append(out, wire::ScopeFrame{*circuit_end.told});
  }
  if (first) start(circuit_end, envelope, circuit_end.next_ref++, context, now);
  wire::DataFrame frame;
  frame.ref = envelope.ref;
  frame.last = last;
  if (first) frame.start = start_of(envelope);
  if (asks) {  // it goes on when the destination has said from where
    frame.start->resumes = true;
    wire::append_data_header(out, frame, 0);
    envelope.asks = true;
    ++circuit_end.asking;
    return true;
  }
  copy_bytes(envelope, wire::append_data_header(out, frame, n));
  count_sent(circuit_end, envelope, n, context);

  // Its turn is over: to the end of the round, or out of it. A message that was cut only because
  // the payload ended goes on first in the next one, so that small messages keep their order.
  if (EnvelopeTurns::contains(envelope)) circuit_end.turns.erase(envelope);
  if (last) return true;
  if (first && left - n <= circuit_end.payload_bytes - header) {
    circuit_end.turns.push_front(envelope);
    circuit_end.cut = true;
  } else {
    circuit_end.turns.push_back(envelope);
  }
  return true;
}

/// The bytes of the message after this one, which another thread wrote.
void fetch_ahead(const Envelope& envelope) {
  const Envelope* const next = EnvelopeOrder::next(envelope);
  if (next == nullptr || next->bytes.empty()) return;
  memory::BlockHeader* const block = next->bytes.front();
  __builtin_prefetch(block);
  __builtin_prefetch(block->data() + memory::kHeadroomBytes);
}

void put_messages(CircuitEnd& circuit_end, ByteWriter& out, Context& context, Now now) {
  const bool new_first = circuit_end.new_first;
  bool any = false;
  circuit_end.cut = false;
  for (;;) {
    const bool fresh = may_start(circuit_end);
    const bool partial = may_continue(circuit_end);
    bool put = false;
    if (fresh && (new_first || !partial)) {
      fetch_ahead(*waiting_for(circuit_end).front());
      put = put_fragment(circuit_end, *waiting_for(circuit_end).front(), out, context, now);
      if (!put && partial) {
        put = put_fragment(circuit_end, *circuit_end.turns.front(), out, context, now);
      }
    } else if (partial) {
      put = put_fragment(circuit_end, *circuit_end.turns.front(), out, context, now);
    }
    if (!put) break;
    any = true;
  }
  if (any) circuit_end.new_first = !new_first && !circuit_end.cut;
}

/// Pipes and messages fill a payload first in turns; what one leaves the other gets.
void put_with_pipes(CircuitEnd& circuit_end, ByteWriter& out, Context& context, Now now) {
  Pipes& pipes = *context.pipes;
  const auto put_pipes = [&] {
    bool any = false;
    while (pipes.put_bytes(circuit_end, out)) any = true;
    return any;
  };
  pipes.put_signals(circuit_end, out, now);
  const bool first = circuit_end.pipes_first;
  if (first && put_pipes()) circuit_end.pipes_first = false;
  const std::size_t before = out.written();
  put_messages(circuit_end, out, context, now);
  if (out.written() > before) circuit_end.pipes_first = true;
  if (!first) static_cast<void>(put_pipes());
}

}  // namespace

void start(CircuitEnd& circuit_end, Envelope& envelope, std::uint32_t ref, Context& context,
           Now now) {
  if (envelope.waited == Duration{}) envelope.waited = now.mono - envelope.accepted;
  waiting_for(circuit_end).erase(envelope);
  envelope.circuit_end = &circuit_end;
  envelope.ref = ref;
  envelope.started = true;
  envelope.sent = 0;
  if (circuit_end.is_source() && !envelope.scope) envelope.scope = circuit_end.scope;
  envelope.at = envelope.bytes.front();
  envelope.at_offset = 0;
  circuit_end.started.push_back(envelope);
  circuit_end.by_ref.insert(envelope);
  --context.stats.waiting;
  ++context.stats.in_flight;
}

void count_bytes(const Envelope& envelope, std::uint32_t from, std::uint32_t to, Context& context) {
  const std::uint32_t known = std::max(from, envelope.sent_before);
  const std::uint32_t first_time = to > known ? to - known : 0;
  context.stats.sent_bytes[index(envelope.priority)] += first_time;
  context.stats.bytes_again += to - from - first_time;
}

/// Of a large one its first 64 KiB count (queue/flow_queues.h).
void count_standing(Envelope& envelope, Context& context) {
  if (envelope.standing == 0) return;
  const std::uint32_t all = FlowQueues::counted(envelope.size - envelope.prefix_bytes());
  const std::uint32_t left =
      envelope.sent >= std::min(all, envelope.size) ? 0 : all - envelope.sent;
  if (left >= envelope.standing) return;
  context.options.queues->sent(envelope.queue, envelope.standing - left);
  envelope.standing = left;
}

bool has_something_to_send(const CircuitEnd& circuit_end, const Context& context) {
  if (!circuit_end.ready || circuit_end.dead) return false;
  if (!circuit_end.control.empty() || credit_is_due(circuit_end, context)) return true;
  if (circuit_end.pipes != nullptr && circuit_end.pipes->has_something()) return true;
  if (may_continue(circuit_end)) return true;
  if (!may_start(circuit_end)) return false;
  // The one case that may_start does not see: 255 partial ones, and a next one that is large.
  const std::size_t whole =
      circuit_end.payload_bytes - wire::kDataHeaderBytesMax - wire::kScopeFrameBytes;
  const Envelope& next = *waiting_of(circuit_end).front();
  return circuit_end.partial() < kPartialMax ||
         (next.size <= whole && next.size <= circuit_end.credit - circuit_end.sent);
}

bool pack(CircuitEnd& circuit_end, MutableBytes payload, Context& context, Now now) {
  ByteWriter out(payload);
  put_control(circuit_end, out, context);
  if (circuit_end.pipes == nullptr) {
    put_messages(circuit_end, out, context, now);
  } else {
    put_with_pipes(circuit_end, out, context, now);
  }
  const bool any = out.written() > 0;
  wire::append_padding(out);
  return any;
}

/// Pipes first, since they wait for an answer; with no more than half of the place if messages
/// wait.
void put_pipes_that_ride(Flow& flow, ByteWriter& out, Context& context, Rider& rider) {
  if (flow.pipes_waiting.empty()) return;
  const std::size_t part = flow.waiting.empty() ? out.remaining() : out.remaining() / 2;
  std::array<std::byte, onion::kRiderBytes> place;
  ByteWriter of_pipes(MutableBytes(place).first(part));
  static_cast<void>(context.pipes->ride(flow, of_pipes, rider.pipes));
  out.put(Bytes(place).first(of_pipes.written()));
}

/// Of the fragments after the first one.
std::size_t more_headers(std::size_t bytes) {
  return bytes <= kFragmentBytesMax
             ? 0
             : (bytes - 1) / kFragmentBytesMax * wire::data_header_bytes(false, false);
}

std::size_t whole_bytes(const Envelope& envelope) {
  return wire::kScopeFrameBytes + wire::data_header_bytes(true, false, true) +
         more_headers(envelope.size) + envelope.size;
}

/// A message that does not fit whole gains nothing by a part of it that rides: its last byte comes
/// when the circuit is ready. So small ones go past it, and it keeps its secrecy.
Rider pack_rider(Flow& flow, const wire::Scope& scope, MutableBytes place, Context& context,
                 bool whole) {
  constexpr std::size_t kLooksAt = 256;
  Rider rider;
  ByteWriter out(place);
  put_pipes_that_ride(flow, out, context, rider);
  std::size_t asking = 0;
  std::size_t looked = 0;
  for (Envelope* one = flow.waiting.front(); one != nullptr && looked < kLooksAt; ++looked) {
    Envelope& envelope = *std::exchange(one, EnvelopeOrder::next(*one));
    const wire::Scope& its = scope_of(scope, envelope);
    const bool asks = !whole && asks_first(envelope);
    if (asks && asking >= kPartialMax) continue;
    const bool tells = rider.told != its;
    const std::size_t n = asks ? 0 : envelope.size;
    const std::size_t header = wire::data_header_bytes(true, false, envelope.to_channel != 0) +
                               more_headers(n) + (tells ? wire::kScopeFrameBytes : 0);
    if (out.remaining() < header + n) continue;
    if (tells) {
      rider.told = its;
      wire::append(out, wire::ScopeFrame{its});
    }
    wire::DataFrame frame{.ref = static_cast<std::uint32_t>(rider.ridden.size())};
    frame.start = start_of(envelope);
    frame.start->resumes = asks;
    envelope.at = envelope.bytes.front();
    envelope.at_offset = 0;
    for (std::size_t left = n, first = true; first != 0 || left > 0; first = 0) {
      const std::size_t here = std::min(left, kFragmentBytesMax);
      left -= here;
      frame.last = left == 0 && !asks;
      copy_bytes(envelope, wire::append_data_header(out, frame, here));
      frame.start.reset();
    }
    context.stats.bytes_copied += n;
    rider.bytes += n;
    rider.ridden.push_back({.envelope = envelope.handle, .asks = asks});
    if (asks) ++asking;
  }
  wire::append_padding(out);
  return rider;
}

}  // namespace qudag::message
