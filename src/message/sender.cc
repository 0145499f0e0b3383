// Steps: send -> accept (limits, id, deadline) -> (to_sign_ -> a worker ->) flow; pump -> serve
// flows, write marked circuit ends; on_ack, on_expired, cancel, on_ended -> detach -> finish ->
// flush tells the application.
#include "message/sender.h"

#include "message/packing.h"
#include "message/queue/flow_queues.h"
#include "message/signing.h"

#include <algorithm>
#include <string>
#include <utility>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

/// After a pool had no block, or the workers no room.
constexpr Duration kRetry = 1ms;
/// Signatures at the workers at a time, so that their other work waits for no more than these:
/// 20 ms of one worker.
constexpr std::size_t kSigningMax = 16;

/// What a message takes is measured with those up to this size: larger ones take what they take.
constexpr std::size_t kTimedBytes = 64 * 1024;

Error lost(const Error& last) {
  return {Errc::circuit_failed, "attempts used up, last: " + last.message()};
}

/// Acknowledgements come in order, nearly always, and thousands of messages are under way: the
/// record that comes after the next one is fetched now, and the block of the next one.
void fetch_ahead(const Envelope& envelope) {
  const Envelope* const next = EnvelopeOrder::next(envelope);
  if (next == nullptr) return;
  __builtin_prefetch(next->bytes.front(), 1);
  const auto* after = reinterpret_cast<const std::byte*>(EnvelopeOrder::next(*next));
  if (after == nullptr) return;
  constexpr std::size_t kLine = 64;
  for (std::size_t at = 0; at < sizeof(Envelope); at += kLine) __builtin_prefetch(after + at, 1);
}

struct Ending {
  Outcome outcome;
  Error reason;
};

Ending ending_of(wire::AckStatus status) {
  switch (status) {
    case wire::AckStatus::delivered:
    case wire::AckStatus::duplicate:
      return {Outcome::delivered, Errc::ok};
    case wire::AckStatus::no_receiver:
      return {Outcome::refused, {Errc::refused_by_peer, "no receiver"}};
    case wire::AckStatus::refused_memory:
      return {Outcome::refused, {Errc::refused_by_peer, "memory"}};
    case wire::AckStatus::refused_queue:
      return {Outcome::refused, {Errc::refused_by_peer, "queue full"}};
    case wire::AckStatus::expired:
      return {Outcome::expired, {Errc::expired, "at the destination"}};
    case wire::AckStatus::bad_signature:
      return {Outcome::failed, {Errc::authentication_failed, "bad signature"}};
    case wire::AckStatus::cancelled:
      return {Outcome::refused, {Errc::refused_by_peer, "cancelled"}};
    case wire::AckStatus::wrong_time:
      return {Outcome::failed,
              {Errc::authentication_failed, "signed at another time, by its clock"}};
  }
  return {Outcome::failed, Errc::internal};  // wire/ lets no other through
}

sync::Ledger books_of(const MessagesOptions& options, std::size_t priority) {
  return sync::Ledger({options.waiting_max[priority], options.waiting_bytes_max[priority],
                       limits::kTtlMax, sync::WhenFull::refuse_new});
}

std::size_t bytes_of(const Envelope& envelope) { return envelope.size - envelope.prefix_bytes(); }

void count_other(Envelope& envelope) {
  if (envelope.others < UINT8_MAX) ++envelope.others;
}

}  // namespace

Sender::Sender(Context& context)
    : context_(context),
      pool_(context, *this),
      envelopes_(context.options.sends_max()),
      books_{books_of(context.options, 0), books_of(context.options, 1),
             books_of(context.options, 2)} {}

// ---- accepting ----------------------------------------------------------------------------------

Result<Envelope*> Sender::accept(memory::Chain payload, memory::Reservation reservation,
                                 Priority priority, std::chrono::milliseconds ttl, Now now,
                                 const std::optional<MessageId>& id) {
  if (context_.stopping) return fail(Errc::shutting_down);
  if (index(priority) >= kPriorityCount) return fail(Errc::invalid_argument, "priority");
  if (ttl < 1ms || ttl > limits::kTtlMax) return fail(Errc::invalid_argument, "ttl");
  if (payload.bytes() > limits::kMessageBytesMax) return fail(Errc::too_large);
  sync::Ledger& books = books_[index(priority)];
  if (const auto refusal = books.refusal(payload.bytes())) {
    books.refuse(*refusal);
    ++context_.stats.refused_queue;
    return fail(Errc::refused_queue_full, std::string(name_of(*refusal)));
  }
  const SlotHandle handle = envelopes_.insert();
  Envelope* envelope = envelopes_.find(handle);
  QUDAG_ASSERT(envelope != nullptr);  // its capacity is the sum of waiting_max
  envelope->handle = handle;
  envelope->message = id ? id->bytes : ids_.next(context_.rng);
  by_id_.insert(*envelope);
  envelope->priority = priority;
  envelope->accepted = now.mono;
  envelope->expires = now.mono + ttl;
  envelope->ttl_ms = wire::ttl_on_wire(ttl);
  envelope->bytes = std::move(payload);
  envelope->reservation = std::move(reservation);
  envelope->size = static_cast<std::uint32_t>(envelope->bytes.bytes());
  books.enter(envelope->size);
  return envelope;
}

/// Accepted, and yet it cannot be sent.
void Sender::forget(Envelope& envelope) {
  books_[index(envelope.priority)].drop(bytes_of(envelope), DropReason::purged);
  by_id_.erase(envelope);
  envelopes_.erase(envelope.handle);
}

Result<SendId> Sender::send(const NodeId& destination, memory::Chain payload,
                            memory::Reservation reservation, const SendOptions& options, Now now,
                            const std::optional<MessageId>& id) {
  if (options.relays > limits::kRelaysMax) return fail(Errc::invalid_argument, "relays");
  if (options.sign && context_.identity == nullptr) {
    return fail(Errc::invalid_argument, "no identity to sign with");
  }
  auto accepted =
      accept(std::move(payload), std::move(reservation), options.priority, options.ttl, now, id);
  if (!accepted) return std::unexpected(accepted.error());
  Envelope& envelope = **accepted;
  envelope.to_channel = options.channel;
  const std::size_t bytes = envelope.size;
  const FlowKey key{destination,    options.isolation, options.priority,
                    options.relays, options.sign,      options.if_away};
  if (options.sign) {
    if (auto ok = sign(envelope, key, now); !ok) {
      forget(envelope);
      return std::unexpected(ok.error());
    }
  }
  stand(envelope, key, bytes);
  context_.deadlines.set(envelope, envelope.expires);
  ++context_.stats.accepted[index(options.priority)];
  ++context_.stats.waiting;
  const SendId send{envelope.handle.value};
  if (envelope.to_sign == nullptr) queue(envelope, key, now);
  return send;
}

/// The door has counted it (queue/flow_queues.h); from here on it is ours to count out.
void Sender::stand(Envelope& envelope, const FlowKey& key, std::size_t bytes) {
  FlowQueues* const queues = context_.options.queues;
  if (queues == nullptr) return;
  envelope.queue = queues->of(FlowKeyHash{}(key), key.priority);
  envelope.standing = FlowQueues::counted(bytes);
  queues->arrived(envelope.queue);
}

/// It was sent, in part or whole, and waits again.
void Sender::stand_again(Envelope& envelope) {
  FlowQueues* const queues = context_.options.queues;
  if (queues == nullptr || envelope.queue == FlowQueues::kNone) return;
  const std::uint32_t all = FlowQueues::counted(bytes_of(envelope));
  queues->again(envelope.queue, all - envelope.standing);
  envelope.standing = all;
}

void Sender::queue(Envelope& envelope, const FlowKey& key, Now now) {
  Flow* flow = pool_.flow(key, now);
  if (flow == nullptr) {
    return finish(envelope, Outcome::refused, {Errc::refused_queue_full, "flows"}, now);
  }
  envelope.flow = flow;
  flow->waiting.push_back(envelope);
  pool_.mark(*flow);
}

Result<SendId> Sender::reply(CircuitEnd& circuit_end, std::uint32_t in_reply_to,
                             memory::Chain payload, memory::Reservation reservation,
                             std::chrono::milliseconds ttl, Now now,
                             const std::optional<MessageId>& id) {
  if (circuit_end.is_source()) return fail(Errc::invalid_argument, "not a circuit that came to us");
  if (in_reply_to >= circuit_end.next_ref_in)
    return fail(Errc::invalid_argument, "no such message");
  if (circuit_end.closing) return fail(Errc::circuit_failed, "the peer is closing the circuit");
  auto accepted =
      accept(std::move(payload), std::move(reservation), circuit_end.priority, ttl, now, id);
  if (!accepted) return std::unexpected(accepted.error());
  Envelope& envelope = **accepted;
  envelope.in_reply_to = in_reply_to;
  envelope.circuit_end = &circuit_end;
  circuit_end.replies.push_back(envelope);
  context_.circuit_ends.mark(circuit_end);
  context_.deadlines.set(envelope, envelope.expires);
  ++context_.stats.accepted[index(circuit_end.priority)];
  ++context_.stats.waiting;
  return SendId{envelope.handle.value};
}

// ---- signing ------------------------------------------------------------------------------------

/// Now, or, with workers, by the next pumps.
Status Sender::sign(Envelope& envelope, const FlowKey& key, Now now) {
  auto whole = make_signed(std::move(envelope.bytes), context_.pool);
  if (!whole) return std::unexpected(whole.error());
  envelope.bytes = std::move(*whole);
  envelope.size = static_cast<std::uint32_t>(envelope.bytes.bytes());
  envelope.is_signed = true;
  const SignedFields fields{.destination = key.destination,
                            .id = envelope.message,
                            .minute = minute_of(now.unix_seconds),
                            .ttl_ms = envelope.ttl_ms,
                            .priority = envelope.priority,
                            .channel = envelope.to_channel};
  if (!context_.offload) return sign_in_place(*context_.identity, fields, envelope.bytes);
  envelope.to_sign = std::make_shared<Unsigned>(key, fields);
  to_sign_.push_back(envelope);
  return {};
}

void Sender::start_signing(Now now) {
  while (!to_sign_.empty() && signing_ < kSigningMax) {
    Envelope& envelope = *to_sign_.front();
    const std::shared_ptr<Unsigned> job = envelope.to_sign;
    job->bytes = std::move(envelope.bytes);
    job->reservation = std::move(envelope.reservation);
    const bool taken = context_.offload(
        [job, identity = context_.identity] {
          job->result = sign_in_place(*identity, job->fields, job->bytes);
        },
        [this, job, handle = envelope.handle](WorkEnd, Now then) {
          on_signed(handle, *job, then);
        });
    if (!taken) {
      envelope.bytes = std::move(job->bytes);
      envelope.reservation = std::move(job->reservation);
      ++context_.stats.signatures_put_off;
      retry_at_ = now.mono + kRetry;
      return;
    }
    to_sign_.erase(envelope);
    ++signing_;
  }
}

/// The message may have ended meanwhile: then what the worker had ends here. If the work was never
/// begun there is no signature: the message is the next to be signed.
void Sender::on_signed(SlotHandle handle, Unsigned& job, Now now) {
  --signing_;
  Envelope* envelope = envelopes_.find(handle);
  if (envelope == nullptr) return;
  envelope->bytes = std::move(job.bytes);
  envelope->reservation = std::move(job.reservation);
  if (!job.result) {
    ++context_.stats.signatures_put_off;
    return to_sign_.push_front(*envelope);
  }
  ++context_.stats.signed_off_loop;
  envelope->to_sign.reset();
  if (!*job.result) return finish(*envelope, Outcome::failed, job.result->error(), now);
  queue(*envelope, job.flow, now);
}

// ---- sending ------------------------------------------------------------------------------------

void Sender::pump(Now now) {
  retry_at_ = kNever;
  start_signing(now);
  pool_.serve_marked(now);
  for (std::size_t n = context_.circuit_ends.marked(); n > 0; --n) {
    CircuitEnd* circuit_end = context_.circuit_ends.take_marked();
    if (circuit_end == nullptr) break;
    write(*circuit_end, now);
  }
}

/// How long the first transmission of a message was under way, smoothed for its flow: up faster
/// than down, so that most take less.
void Sender::note_time(Envelope& envelope, Duration took) {
  if (envelope.flow == nullptr || envelope.attempts > 0 || envelope.rode) return;
  if (envelope.size > kTimedBytes) return;
  Duration& takes = envelope.flow->takes;
  takes = takes == Duration{} ? took : takes + (took - takes) / (took > takes ? 4 : 32);
}

// When a flow has more than its circuit takes, its queue grows until messages end by their time to
// live in it, and the first in line are those with hardly any left: sent, they would come too late,
// one after the other, and nothing would arrive at all. One is always under way, so that it shows
// when the way is free again.
void Sender::drop_late(CircuitEnd& circuit_end, Now now) {
  if (circuit_end.flow == nullptr || circuit_end.started.empty()) return;
  Flow& flow = *circuit_end.flow;
  while (Envelope* const first = flow.waiting.front()) {
    const bool stands = now.mono - first->accepted >= flow.takes;
    if (!stands || first->expires - now.mono >= flow.takes) return;
    flow.waiting.erase(*first);
    finish(*first, Outcome::expired, {Errc::expired, "too late to arrive in time"}, now);
  }
}

void Sender::write(CircuitEnd& circuit_end, Now now) {
  drop_late(circuit_end, now);
  while (has_something_to_send(circuit_end, context_)) {
    const std::size_t room = context_.port.sendable(circuit_end.circuit);
    if (room == 0) {  // on_sendable marks it again
      if (circuit_end.flow != nullptr && context_.options.circuits_per_flow_max > 1) {
        pool_.mark(*circuit_end.flow);  // it may want another circuit beside this one
      }
      return;
    }
    for (std::size_t n = room; n > 0 && has_something_to_send(circuit_end, context_); --n) {
      memory::Block block =
          context_.port.payload_block_of(circuit_end.circuit, circuit_end.priority);
      if (!block) {
        context_.circuit_ends.mark(circuit_end);
        retry_at_ = now.mono + kRetry;
        return;
      }
      if (!pack(circuit_end, block.bytes(), context_, now)) return;
      drop_late(circuit_end, now);
      circuit_end.active = circuit_end.last_sent = now.mono;
      context_.port.send(circuit_end.circuit, std::move(block), now);
      if (circuit_end.is_source() && circuit_end.answering.sent(now.mono)) {
        pool_.await_answer(circuit_end);
      }
    }
  }
}

// ---- what the peer says -------------------------------------------------------------------------

bool Sender::on_ack(CircuitEnd& circuit_end, const wire::AckFrame& ack, Now now) {
  Envelope* envelope = circuit_end.by_ref.find(ack.ref);
  if (envelope == nullptr) {
    if (circuit_end.answers_owed == 0 || ack.ref >= circuit_end.next_ref) return false;
    --circuit_end.answers_owed;
    return true;
  }
  fetch_ahead(*envelope);
  prove(circuit_end);
  const bool taken =
      ack.status == wire::AckStatus::delivered || ack.status == wire::AckStatus::duplicate;
  if (taken && circuit_end.is_source()) {
    circuit_end.taken.add(ack.ref, {envelope->message, envelope->to_channel}, context_.tables());
  }
  if (goes_again(circuit_end, *envelope, ack.status)) return true;
  note_time(*envelope, now.mono - envelope->accepted - envelope->waited);
  const bool partial = EnvelopeTurns::contains(*envelope) || envelope->asks;
  detach(*envelope);
  // Answered early: what is left of it is not wanted, and the peer may forget it.
  if (partial &&
      !context_.circuit_ends.queue(circuit_end, {.type = wire::FrameType::cancel, .ref = ack.ref},
                                   context_.tables())) {
    return false;
  }
  Ending ending = ending_of(ack.status);
  if (ack.status == wire::AckStatus::no_receiver && envelope->to_channel != 0) {
    ending.reason.detail = "no receiver on that channel";
  }
  finish(*envelope, ending.outcome, std::move(ending.reason), now);
  // A place among kUnackedMax or among the partial ones is free.
  context_.circuit_ends.mark(circuit_end);
  return true;
}

/// "Cancelled", and not by us: another copy of it came there after this one and has taken its
/// place, over a circuit that we have no more. So we ask once more what became of the message.
bool Sender::goes_again(CircuitEnd& circuit_end, Envelope& envelope, wire::AckStatus status) {
  if (status != wire::AckStatus::cancelled || envelope.flow == nullptr || envelope.others == 0) {
    return false;
  }
  --envelope.others;
  const bool partial = EnvelopeTurns::contains(envelope) || envelope.asks;
  const ControlFrame cancel{.type = wire::FrameType::cancel, .ref = envelope.ref};
  detach(envelope);
  if (partial) {
    static_cast<void>(context_.circuit_ends.queue(circuit_end, cancel, context_.tables()));
  }
  circuit_end.flow->waiting.push_front(envelope);
  stand_again(envelope);
  ++context_.stats.resent;
  pool_.mark(*circuit_end.flow);
  return true;
}

bool Sender::on_credit(CircuitEnd& circuit_end, const wire::CreditFrame& credit) {
  if (credit.offset < circuit_end.credit) return false;  // it never falls
  circuit_end.credit = credit.offset;
  const std::uint64_t taken = credit.offset - context_.options.credit_bytes;
  while (!circuit_end.marks.empty() && circuit_end.marks.front().position <= taken) {
    const ProgressMark mark = circuit_end.marks.pop_front();
    const bool newer = !circuit_end.marks.empty() && circuit_end.marks.front().position <= taken &&
                       circuit_end.marks.front().send == mark.send;
    Envelope* const envelope = envelopes_.find(SlotHandle(mark.send));
    if (!newer && envelope != nullptr) tell_progress(*envelope, mark.done);
  }
  context_.circuit_ends.mark(circuit_end);
  return true;
}

/// What was told stays told: while bytes are sent again, nothing is.
void Sender::tell_progress(Envelope& envelope, std::size_t done) {
  if (done <= envelope.told) return;
  envelope.told = done;
  Event event;
  event.id = SendId{envelope.handle.value};
  event.is_progress = true;
  event.done = done;
  event.all = bytes_of(envelope);
  events_.push_back(std::move(event));
}

/// The destination says how much it holds of a message that moved here: it goes on from there.
bool Sender::on_held(CircuitEnd& circuit_end, const wire::HeldFrame& held) {
  if (!circuit_end.is_source()) return false;
  Envelope* const envelope = circuit_end.by_ref.find(held.ref);
  if (envelope == nullptr) {  // it crossed our CANCEL
    return circuit_end.answers_owed > 0 && held.ref < circuit_end.next_ref;
  }
  if (!envelope->asks || held.offset > envelope->sent_before) return false;
  envelope->asks = false;
  --circuit_end.asking;
  envelope->sent = held.offset;
  count_standing(*envelope, context_);
  for (std::size_t left = held.offset; left > 0;) {
    const std::size_t here = memory::Chain::view(envelope->at).size();
    if (left < here) {
      envelope->at_offset = left;
      break;
    }
    left -= here;
    envelope->at = envelope->at->next;
  }
  circuit_end.turns.push_back(*envelope);
  context_.circuit_ends.mark(circuit_end);
  if (held.offset == 0) return true;
  ++context_.stats.resumed;
  const std::size_t prefix = envelope->prefix_bytes();
  if (held.offset > prefix && bytes_of(*envelope) > kProgressFrom) {
    tell_progress(*envelope, held.offset - prefix);
  }
  return true;
}

void Sender::on_ended(CircuitEnd& circuit_end, const Error& why, Now now) {
  EnvelopeOrder again;
  while (Envelope* envelope = circuit_end.started.front()) {
    detach(*envelope);
    if (envelope->flow == nullptr) {
      finish(*envelope, Outcome::failed, {Errc::circuit_failed, why.detail}, now);
    } else if (!attempt_failed(*envelope, why, now)) {
      again.push_back(*envelope);
      stand_again(*envelope);
      count_other(*envelope);
      ++context_.stats.resent;
    }
  }
  if (circuit_end.flow != nullptr) circuit_end.flow->waiting.splice_front(again);
  while (Envelope* envelope = circuit_end.replies.pop_front()) {
    finish(*envelope, Outcome::failed, {Errc::circuit_failed, why.detail}, now);
  }
}

// ---- ends ---------------------------------------------------------------------------------------

/// Takes a started message off its circuit end; its record is as if nothing had been sent.
void Sender::detach(Envelope& envelope) {
  CircuitEnd& circuit_end = *envelope.circuit_end;
  circuit_end.started.erase(envelope);
  circuit_end.by_ref.erase(envelope);
  if (EnvelopeTurns::contains(envelope)) circuit_end.turns.erase(envelope);
  if (std::exchange(envelope.asks, false)) --circuit_end.asking;
  envelope.sent_before = std::max(envelope.sent_before, envelope.sent);
  envelope.sent = 0;
  envelope.started = false;
  envelope.circuit_end = nullptr;
  --context_.stats.in_flight;
  ++context_.stats.waiting;
}

/// Ends our part in a message, wherever it is, without waiting for the peer.
void Sender::give_up(Envelope& envelope) {
  if (envelope.to_sign != nullptr) {  // in the list, or with a worker
    if (EnvelopeOrder::contains(envelope)) to_sign_.erase(envelope);
    return;
  }
  if (!envelope.started) {
    (envelope.flow != nullptr ? envelope.flow->waiting : envelope.circuit_end->replies)
        .erase(envelope);
    return;
  }
  CircuitEnd& circuit_end = *envelope.circuit_end;
  const ControlFrame cancel{.type = wire::FrameType::cancel, .ref = envelope.ref};
  const bool partial = EnvelopeTurns::contains(envelope) || envelope.asks;
  detach(envelope);
  ++circuit_end.answers_owed;
  // A full queue means that the peer reads nothing; it then ends the message by its own deadline.
  if (partial)
    static_cast<void>(context_.circuit_ends.queue(circuit_end, cancel, context_.tables()));
  context_.circuit_ends.mark(circuit_end);  // a place is free
}

void Sender::finish(Envelope& envelope, Outcome outcome, Error reason, Now now) {
  MessagesStats& stats = context_.stats;
  const std::size_t priority = index(envelope.priority);
  switch (outcome) {
    case Outcome::delivered:
      ++stats.delivered[priority];
      break;
    case Outcome::expired:
      ++stats.expired[priority];
      break;
    case Outcome::refused:
      ++stats.refused[priority];
      break;
    case Outcome::failed:
      ++stats.failed[priority];
      break;
    case Outcome::stored:
      ++stats.stored[priority];
      break;
  }
  --stats.waiting;
  context_.deadlines.clear(envelope);
  if (envelope.flow != nullptr) {
    envelope.flow->active = now.mono;
    pool_.mark(*envelope.flow);
  }
  Event event;
  event.id = SendId{envelope.handle.value};
  event.delivery = {outcome, std::move(reason), now.mono - envelope.accepted,
                    MessageId{envelope.message}};
  events_.push_back(std::move(event));
  if (outcome == Outcome::expired) {
    books_[priority].drop(bytes_of(envelope), DropReason::expired);
  } else {
    books_[priority].leave(bytes_of(envelope), envelope.waited);
  }
  if (envelope.standing > 0) context_.options.queues->gone(envelope.queue, envelope.standing);
  context_.allowances[priority].take_back(std::move(envelope.reservation));
  by_id_.erase(envelope);
  envelopes_.erase(envelope.handle);
}

void Sender::on_expired(Envelope& envelope, Now now) {
  // Under way it was too slow, who knows by how much.
  if (envelope.started)
    note_time(envelope, (now.mono - envelope.accepted - envelope.waited) * 3 / 2);
  Error why(Errc::expired);
  const Flow* const flow = envelope.flow;
  if (flow != nullptr && flow->failures > 0) {
    why.detail = "no circuit held: " + flow->last_failure.message();
  }
  give_up(envelope);
  finish(envelope, Outcome::expired, std::move(why), now);
}

void Sender::cancel(SendId id, Now now) { cancel(envelopes_.find(SlotHandle(id.value)), now); }

void Sender::cancel(const MessageId& id, Now now) { cancel(by_id_.find(id.bytes), now); }

void Sender::cancel(Envelope* envelope, Now now) {
  if (envelope == nullptr) return;
  give_up(*envelope);
  finish(*envelope, Outcome::failed, {Errc::cancelled, "cancelled"}, now);
}

std::size_t Sender::shed(Priority priority, std::size_t count, const Error& why, Now now) {
  std::size_t ended = 0;
  pool_.for_each([&](Flow& flow) {
    Envelope* next = flow.key.priority == priority ? flow.waiting.front() : nullptr;
    while (next != nullptr && ended < count) {
      Envelope& envelope = *next;
      next = EnvelopeOrder::next(envelope);
      // The network has work in it already, and may have delivered it.
      if (envelope.sent_before > 0 || envelope.others > 0) continue;
      flow.waiting.erase(envelope);
      finish(envelope, Outcome::refused, why, now);
      ++ended;
    }
  });
  return ended;
}

/// A message tries until its time to live is over, unless attempts are limited. True if that was
/// its last one; then it has failed.
bool Sender::attempt_failed(Envelope& envelope, const Error& why, Now now) {
  const unsigned most = context_.options.attempts_max;
  if (envelope.attempts < UINT8_MAX) ++envelope.attempts;
  if (most == 0 || envelope.attempts < most) return false;
  finish(envelope, Outcome::failed, lost(why), now);
  return true;
}

void Sender::on_build_failed(Flow& flow, const Error& why, Now now) {
  for (Envelope* envelope = flow.waiting.front(); envelope != nullptr;) {
    Envelope* next = EnvelopeOrder::next(*envelope);
    const unsigned most = context_.options.attempts_max;
    if (most != 0 && envelope->attempts + 1u >= most) flow.waiting.erase(*envelope);
    attempt_failed(*envelope, why, now);
    envelope = next;
  }
}

void Sender::on_ridden(CircuitEnd& circuit_end, Now now) {
  for (const Ridden& one : circuit_end.ridden) {
    Envelope* const envelope = envelopes_.find(one.envelope);
    if (envelope == nullptr) continue;  // its time ended in the call that built
    if (envelope->waited == Duration{}) envelope->waited = now.mono - envelope->accepted;
    if (!envelope->scope) envelope->scope = circuit_end.scope;
    envelope->rode = true;
    count_other(*envelope);
    ++context_.stats.ridden;
    if (one.asks) continue;
    count_bytes(*envelope, 0, envelope->size, context_);
    envelope->sent_before = std::max(envelope->sent_before, envelope->size);
  }
}

/// What rode is under way on that circuit from now on. An answer comes to all of it, so also to
/// what has ended meanwhile.
void Sender::on_ready(CircuitEnd& circuit_end, Now now) {
  std::uint32_t ref = 0;
  for (const Ridden& one : std::exchange(circuit_end.ridden, {})) {
    Envelope* const envelope = envelopes_.find(one.envelope);
    if (envelope != nullptr && !envelope->started) {
      start(circuit_end, *envelope, ref, context_, now);
      --envelope->others;
      if (one.asks) {
        envelope->asks = true;
        ++circuit_end.asking;
      } else {
        envelope->sent = envelope->size;
        count_standing(*envelope, context_);
      }
    } else {
      ++circuit_end.answers_owed;
      const ControlFrame cancel{.type = wire::FrameType::cancel, .ref = ref};
      if (one.asks) {
        static_cast<void>(context_.circuit_ends.queue(circuit_end, cancel, context_.tables()));
      }
    }
    ++ref;
  }
}

void Sender::on_kept(CircuitEnd& circuit_end, Port::KeptEnd end, Now now) {
  for (const Ridden& one : std::exchange(circuit_end.ridden, {})) {
    Envelope* const envelope = envelopes_.find(one.envelope);
    if (envelope == nullptr || envelope->started || one.asks) continue;
    circuit_end.flow->waiting.erase(*envelope);
    if (end == Port::KeptEnd::stored) {
      finish(*envelope, Outcome::stored, Errc::ok, now);
    } else {
      finish(*envelope, Outcome::refused,
             {Errc::refused_by_peer, "the keeper has no room for letters"}, now);
    }
  }
}

void Sender::on_no_way(Flow& flow, const Error& why, Now now) {
  const Outcome outcome = why == Errc::away ? Outcome::refused : Outcome::failed;
  while (Envelope* envelope = flow.waiting.pop_front()) {
    finish(*envelope, outcome, why, now);
  }
}

void Sender::shutdown(Now now) {
  envelopes_.for_each([&](SlotHandle, Envelope& envelope) {
    give_up(envelope);
    finish(envelope, Outcome::failed, Errc::shutting_down, now);
  });
}

// ---- telling ------------------------------------------------------------------------------------

void Sender::flush(Now now) {
  if (flushing_) return;
  flushing_ = true;
  while (!events_.empty()) {
    const Event event = events_.pop_front();
    if (event.is_progress) {
      context_.events.on_progress(event.id, event.done, event.all, now);
    } else {
      context_.events.on_outcome(event.id, event.delivery, now);
    }
  }
  flushing_ = false;
}

void Sender::report(BoundedList& out, Now now) const {
  for (std::size_t priority = 0; priority < kPriorityCount; ++priority) {
    const Duration oldest = pool_.oldest_waiting(static_cast<Priority>(priority), now);
    out.push_back(books_[priority].report("messages to be sent",
                                          name_of(static_cast<Priority>(priority)), oldest));
    out.back().of_all_shards = context_.options.of_all_shards;
    if (context_.options.queues == nullptr) continue;
    const FlowQueues::Stats flows = context_.options.queues->stats(static_cast<Priority>(priority));
    out.back().bytes_bound = std::min(flows.bound, out.back().bytes_max);
    out.back().bytes_per_second = static_cast<std::uint64_t>(flows.rate);
  }
  out.push_back(bounded(Bounded::Kind::queue, "messages to be signed", "the message waits",
                        to_sign_.size() + signing_, context_.options.sends_max()));
  out.back().age_max = limits::kTtlMax;
  // Each message has one outcome, and progress is told in the turn in which credit came.
  out.push_back(bounded(Bounded::Kind::queue, "outcomes to be told", "one for each message",
                        events_.size(), 2 * context_.options.sends_max(), sizeof(Event)));
}

}  // namespace qudag::message
