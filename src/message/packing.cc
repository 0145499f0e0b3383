// Steps: pack -> put_control -> put_messages -> (take a turn) put_fragment -> copy_bytes; padding.
#include "message/packing.h"

#include <algorithm>
#include <cstring>

namespace qudag::message {
namespace {

/// No fragment is made for fewer bytes, unless it completes its message: its header costs 8 to 51.
constexpr std::size_t kFragmentBytesMin = 16;
/// One place stays free, so that a small message always gets past 255 large ones.
constexpr std::size_t kPartialMax = wire::kInterleavedMessagesMax - 1;
/// A mark for on_progress about so often, for messages over kProgressFrom.
constexpr std::uint32_t kProgressStep = limits::kProgressStepBytes;
constexpr std::uint32_t kProgressFrom = 1 << 20;

bool credit_is_due(const Channel& channel, const Context& context) {
  const std::uint64_t window = context.options.credit_bytes;
  return channel.received + window - channel.announced >= window / 4;
}

const EnvelopeOrder& waiting_of(const Channel& channel) {
  return channel.is_source() ? channel.flow->waiting : channel.replies;
}

bool may_start(const Channel& channel) {
  if (!channel.takes_new() || channel.started.size() >= kUnackedMax) return false;
  const EnvelopeOrder& waiting = waiting_of(channel);
  if (waiting.empty()) return false;
  return waiting.front()->size == 0 || channel.sent < channel.credit;
}

bool may_continue(const Channel& channel) {
  return !channel.turns.empty() && channel.sent < channel.credit;
}

// ---- frames that are not DATA -------------------------------------------------------------------

std::size_t size_of(const ControlFrame& frame) {
  switch (frame.type) {
    case wire::FrameType::ack:
      return wire::kAckFrameBytes;
    case wire::FrameType::cancel:
      return wire::kCancelFrameBytes;
    default:
      return wire::kPongFrameBytes;
  }
}

void append(ByteWriter& out, const ControlFrame& frame) {
  switch (frame.type) {
    case wire::FrameType::ack:
      return wire::append(out, wire::AckFrame{frame.ref, frame.status});
    case wire::FrameType::cancel:
      return wire::append(out, wire::CancelFrame{frame.ref});
    default:
      return wire::append(out, wire::PongFrame{frame.token});
  }
}

void put_control(Channel& channel, ByteWriter& out, const Context& context) {
  if (credit_is_due(channel, context)) {
    channel.announced = channel.received + context.options.credit_bytes;
    wire::append(out, wire::CreditFrame{channel.announced});
  }
  while (!channel.control.empty() && size_of(channel.control.front()) <= out.remaining()) {
    append(out, channel.control.pop_front());
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
          .cls = envelope.cls,
          .is_signed = envelope.is_signed,
          .in_reply_to = envelope.in_reply_to,
          .channel = envelope.to_channel};
}

/// A message that was sent before keeps the scope under which the destination may know it.
const wire::Scope& scope_of(const Channel& channel, const Envelope& envelope) {
  return envelope.scope ? *envelope.scope : channel.scope;
}

void start(Channel& channel, Envelope& envelope, Context& context, Now now) {
  if (envelope.waited == Duration{}) envelope.waited = now.mono - envelope.accepted;
  waiting_for(channel).erase(envelope);
  envelope.channel = &channel;
  envelope.ref = channel.next_ref++;
  envelope.started = true;
  envelope.sent = 0;
  if (channel.is_source() && !envelope.scope) envelope.scope = channel.scope;
  envelope.at = envelope.bytes.front();
  envelope.at_offset = 0;
  channel.started.push_back(envelope);
  channel.by_ref.insert(envelope);
  --context.stats.waiting;
  ++context.stats.in_flight;
}

void count_sent(Channel& channel, Envelope& envelope, std::size_t n, Context& context) {
  const std::uint32_t before = envelope.sent;
  channel.sent += n;
  envelope.sent += static_cast<std::uint32_t>(n);
  context.stats.bytes_copied += n;
  if (envelope.sent > envelope.sent_before) {
    context.stats.bytes_sent += envelope.sent - std::max(before, envelope.sent_before);
  }
  const bool step = envelope.sent / kProgressStep != before / kProgressStep;
  if (envelope.size > kProgressFrom && (step || envelope.sent == envelope.size)) {
    const std::size_t prefix = envelope.prefix_bytes();
    channel.marks.push_back({.position = channel.sent,
                             .send = envelope.handle.value,
                             .done = std::max<std::size_t>(envelope.sent, prefix) - prefix,
                             .all = envelope.size - prefix});
  }
}

/// Writes as much of the message as fits and may be sent. False if that is nothing.
bool put_fragment(Channel& channel, Envelope& envelope, ByteWriter& out, Context& context,
                  Now now) {
  const bool first = !envelope.started;
  const bool tells = first && channel.is_source() && channel.told != scope_of(channel, envelope);
  const std::size_t header =
      wire::data_header_bytes(first, envelope.in_reply_to.has_value(), envelope.to_channel != 0) +
      (tells ? wire::kScopeFrameBytes : 0);
  const std::size_t left = first ? envelope.size : envelope.size - envelope.sent;
  if (out.remaining() < header + std::min(left, kFragmentBytesMin)) return false;
  std::size_t n = std::min(left, out.remaining() - header);
  n = static_cast<std::size_t>(std::min<std::uint64_t>(n, channel.credit - channel.sent));
  const bool last = n == left;
  if (first && !last && channel.turns.size() >= kPartialMax) return false;

  if (tells) {
    channel.told = envelope.scope = scope_of(channel, envelope);
    wire::append(out, wire::ScopeFrame{*channel.told});
  }
  if (first) start(channel, envelope, context, now);
  wire::DataFrame frame;
  frame.ref = envelope.ref;
  frame.last = last;
  if (first) frame.start = start_of(envelope);
  copy_bytes(envelope, wire::append_data_header(out, frame, n));
  count_sent(channel, envelope, n, context);

  // Its turn is over: to the end of the round, or out of it. A message that was cut only because
  // the payload ended goes on first in the next one, so that small messages keep their order.
  if (EnvelopeTurns::contains(envelope)) channel.turns.erase(envelope);
  if (last) return true;
  if (first && left - n <= onion::payload_bytes(channel.cls) - header) {
    channel.turns.push_front(envelope);
    channel.cut = true;
  } else {
    channel.turns.push_back(envelope);
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

void put_messages(Channel& channel, ByteWriter& out, Context& context, Now now) {
  const bool new_first = channel.new_first;
  bool any = false;
  channel.cut = false;
  for (;;) {
    const bool fresh = may_start(channel);
    const bool partial = may_continue(channel);
    bool put = false;
    if (fresh && (new_first || !partial)) {
      fetch_ahead(*waiting_for(channel).front());
      put = put_fragment(channel, *waiting_for(channel).front(), out, context, now);
      if (!put && partial) {
        put = put_fragment(channel, *channel.turns.front(), out, context, now);
      }
    } else if (partial) {
      put = put_fragment(channel, *channel.turns.front(), out, context, now);
    }
    if (!put) break;
    any = true;
  }
  if (any) channel.new_first = !new_first && !channel.cut;
}

}  // namespace

bool has_something_to_send(const Channel& channel, const Context& context) {
  if (!channel.ready || channel.dead) return false;
  if (!channel.control.empty() || credit_is_due(channel, context)) return true;
  if (may_continue(channel)) return true;
  if (!may_start(channel)) return false;
  // The one case that may_start does not see: 255 partial ones, and a next one that is large.
  const std::size_t whole =
      onion::payload_bytes(channel.cls) - wire::kDataHeaderBytesMax - wire::kScopeFrameBytes;
  const Envelope& next = *waiting_of(channel).front();
  return channel.turns.size() < kPartialMax ||
         (next.size <= whole && next.size <= channel.credit - channel.sent);
}

bool pack(Channel& channel, MutableBytes payload, Context& context, Now now) {
  ByteWriter out(payload);
  put_control(channel, out, context);
  put_messages(channel, out, context, now);
  const bool any = out.written() > 0;
  wire::append_padding(out);
  return any;
}

}  // namespace qudag::message
