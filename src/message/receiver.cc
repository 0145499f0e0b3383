// Steps of a fragment: credit -> its assembly (begin: order, duplicate, reservation) -> store ->
// complete: (to_verify -> a worker ->) application -> acknowledgement.
#include "message/receiver.h"

#include "message/signing.h"

#include <algorithm>
#include <cstring>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

/// Larger messages that come in small cells are copied into bulk blocks: 1 KiB blocks would hold a
/// third more memory than was reserved, and a message of 64 MiB needs more than a pool has.
constexpr std::size_t kKeepSmallBlocksUpTo = 64 * 1024;
/// Whole messages that wait for their signature to be verified: half a second of two workers.
constexpr std::size_t kToVerifyMax = 4'096;
/// One circuit's: more than its credit allows to be under way.
constexpr std::size_t kToVerifyPerChannelMax = 1'024;
/// At the workers at a time, so that their other work waits for no more than these: 7 ms of one.
constexpr std::size_t kVerifyingMax = 32;
/// After the workers had no room.
constexpr Duration kRetry = 1ms;
/// An id is remembered for so long beyond its message's time to live.
constexpr auto kRememberedAfter = 2min;

Duration ttl_of(const wire::MessageStart& start) {
  return std::min<Duration>(std::chrono::milliseconds(start.ttl_ms), limits::kTtlMax);
}

/// May `bytes`, a part of the payload's block, stay in it?
bool may_keep(Class cls, std::size_t message_bytes, Bytes bytes, const memory::Block* payload) {
  const bool fits_blocks = cls == Class::low || message_bytes <= kKeepSmallBlocksUpTo;
  return payload != nullptr && fits_blocks && bytes.size() * 2 >= payload->size();
}

void keep(Bytes bytes, memory::Block& payload, memory::Chain& out) {
  const auto front = static_cast<std::size_t>(bytes.data() - payload.data());
  payload.drop_back(payload.size() - front - bytes.size());
  payload.drop_front(front);
  out.push_back(std::move(payload));
}

IdHash draw_hash(Rng& rng) { return {rng.u64() | 1, rng.u64() | 1}; }

}  // namespace

Receiver::Receiver(Context& context)
    : context_(context),
      assemblies_(kAssembliesMax),
      by_id_(AssemblyId{draw_hash(context.rng)}),
      delivered_(context.options.delivered
                     ? context.options.delivered
                     : std::make_shared<Delivered>(context.options.duplicates_max, context.rng)) {}

// ---- frames -------------------------------------------------------------------------------------

bool Receiver::on_data(Channel& channel, const wire::DataFrame& frame, memory::Block* payload,
                       Now now) {
  const std::size_t n = frame.bytes.size();
  if (n > channel.announced - channel.received) {
    ++context_.stats.credit_violations;
    return false;
  }
  channel.received += n;
  context_.channels.mark(channel);  // credit may be due, whatever becomes of the bytes
  if (frame.start) return begin(channel, frame, payload, now);

  Assembly* assembly = channel.arriving_by_ref.find(frame.ref);
  if (assembly == nullptr || n > assembly->start.size - assembly->received) return false;
  assembly->received += static_cast<std::uint32_t>(n);
  if (frame.last != (assembly->received == assembly->start.size)) return false;
  if (!assembly->answered && !store(*assembly, frame.bytes, payload)) {
    ++context_.stats.refused_memory;
    return refuse(*assembly, wire::AckStatus::refused_memory);
  }
  come_on(*assembly, now);
  if (!frame.last) return true;
  if (!assembly->answered) return deliver(*assembly, now);
  erase(*assembly);
  return true;
}

bool Receiver::begin(Channel& channel, const wire::DataFrame& frame, memory::Block* payload,
                     Now now) {
  if (frame.ref != channel.next_ref_in) return false;
  if (!frame.last && channel.arriving.size() >= wire::kInterleavedMessagesMax) return false;
  ++channel.next_ref_in;
  const wire::MessageStart& start = *frame.start;
  const bool wanted = channel.is_source() == start.in_reply_to.has_value() && start.ttl_ms > 0;
  if (frame.last && wanted && !start.is_signed) return take_whole(channel, frame, payload, now);
  if (const auto status = refusal_of(channel, start, now)) {
    if (*status == wire::AckStatus::duplicate) ++context_.stats.duplicates;
    return refuse(channel, frame, *status);
  }
  replace_older(start.id);

  // The record counts too, or a peer could have them for nothing.
  const auto take = [&] {
    return memory::Reservation::take(context_.budget_of(start.cls), start.size + sizeof(Assembly));
  };
  memory::Reservation reservation = take();
  while (!reservation && end_stalled(start.cls, now)) reservation = take();
  Assembly* assembly = nullptr;
  if (reservation && (frame.last || channel.arriving.size() < context_.options.assemblies_max)) {
    assembly = open(channel, frame, false, now);
  }
  if (assembly == nullptr) {
    ++context_.stats.refused_memory;
    return refuse(channel, frame, wire::AckStatus::refused_memory);
  }
  assembly->reservation = std::move(reservation);
  assembly->received = static_cast<std::uint32_t>(frame.bytes.size());
  assembly->progress_at = assembly->received;
  assembly->progressed = now.mono;
  coming_[index(start.cls)].push_back(*assembly);
  if (!store(*assembly, frame.bytes, payload)) {
    ++context_.stats.refused_memory;
    return refuse(*assembly, wire::AckStatus::refused_memory);
  }
  if (frame.last) return deliver(*assembly, now);
  context_.deadlines.set(*assembly, assembly->expires);
  return true;
}

void Receiver::expect(const std::byte* id) const {
  wire::MessageId copy;
  std::memcpy(copy.data(), id, copy.size());
  delivered_->fetch_ahead(copy);
}

/// A message in one fragment, as most are: it needs no record.
bool Receiver::take_whole(Channel& channel, const wire::DataFrame& frame, memory::Block* payload,
                          Now now) {
  const wire::MessageStart& start = *frame.start;
  const std::uint32_t ref = frame.ref;
  Received message;
  memory::Share& share = context_.shares[index(start.cls)];
  message.reservation = share.take(start.size);
  while (!message.reservation && end_stalled(start.cls, now)) {
    message.reservation = share.take(start.size);
  }
  if (!message.reservation || !keep_whole(channel.cls, frame.bytes, payload, message.payload)) {
    const bool known = delivered_->contains(start.id, now.mono);
    ++(known ? context_.stats.duplicates : context_.stats.refused_memory);
    return answer(channel, ref,
                  known ? wire::AckStatus::duplicate : wire::AckStatus::refused_memory);
  }
  if (!delivered_->claim(start.id, now.mono + ttl_of(start) + kRememberedAfter, now.mono)) {
    share.give(std::move(message.reservation));
    ++context_.stats.duplicates;
    return answer(channel, ref, wire::AckStatus::duplicate);
  }
  replace_older(start.id);
  return hand_out(channel, ref, start, std::move(message), now);
}

bool Receiver::keep_whole(Class cls, Bytes bytes, memory::Block* payload, memory::Chain& out) {
  if (bytes.empty()) return true;
  if (may_keep(cls, bytes.size(), bytes, payload)) {
    keep(bytes, *payload, out);
    return true;
  }
  context_.stats.bytes_copied += bytes.size();
  return memory::Chain::copy_in(context_.pool, memory::block_size_for(bytes.size()), bytes, out);
}

/// What speaks against a message before any memory is given to it.
std::optional<wire::AckStatus> Receiver::refusal_of(const Channel& channel,
                                                    const wire::MessageStart& start,
                                                    Now now) const {
  if (delivered_->contains(start.id, now.mono)) return wire::AckStatus::duplicate;
  // Sources send messages and destinations send replies; nobody here waits for anything else.
  if (channel.is_source() != start.in_reply_to.has_value()) return wire::AckStatus::no_receiver;
  if (start.ttl_ms == 0) return wire::AckStatus::expired;
  return std::nullopt;
}

bool Receiver::on_cancel(Channel& channel, const wire::CancelFrame& frame) {
  if (frame.ref >= channel.next_ref_in) return false;
  Assembly* assembly = channel.arriving_by_ref.find(frame.ref);
  if (assembly == nullptr) return true;  // it crossed our acknowledgement
  const bool open = !assembly->answered;
  if (open) ++context_.stats.assemblies_dropped;
  erase(*assembly);
  return !open || answer(channel, frame.ref, wire::AckStatus::cancelled);
}

void Receiver::on_ended(Channel& channel) {
  for (AssemblyOrder* list : {&channel.arriving, &channel.to_verify, &channel.being_verified}) {
    while (Assembly* assembly = list->front()) {
      if (!assembly->answered) ++context_.stats.assemblies_dropped;
      erase(*assembly);
    }
  }
}

void Receiver::on_expired(Assembly& assembly) {
  ++context_.stats.assemblies_dropped;
  // A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
  static_cast<void>(refuse(assembly, wire::AckStatus::expired));
}

// ---- answers ------------------------------------------------------------------------------------

bool Receiver::answer(Channel& channel, std::uint32_t ref, wire::AckStatus status) {
  return context_.channels.queue(channel,
                                 {.type = wire::FrameType::ack, .status = status, .ref = ref});
}

/// Answers a message from its first fragment.
bool Receiver::refuse(Channel& channel, const wire::DataFrame& frame, wire::AckStatus status) {
  if (!frame.last) {
    Assembly* rest = open(channel, frame, true, {});
    if (rest == nullptr) return false;  // kAssembliesMax
    rest->received = static_cast<std::uint32_t>(frame.bytes.size());
  }
  return answer(channel, frame.ref, status);
}

/// Answers a message of which something is stored; the rest of its bytes is only counted.
bool Receiver::refuse(Assembly& assembly, wire::AckStatus status) {
  Channel& channel = *assembly.channel;
  const std::uint32_t ref = assembly.ref;
  if (assembly.received == assembly.start.size) {
    erase(assembly);
  } else {
    by_id_.erase(assembly);
    forget_progress(assembly);
    assembly.answered = true;
    drop_bytes(assembly);
    context_.deadlines.clear(assembly);
  }
  return answer(channel, ref, status);
}

// ---- assemblies
// -----------------------------------------------------------------------------------

Assembly* Receiver::open(Channel& channel, const wire::DataFrame& frame, bool answered, Now now) {
  const SlotHandle handle = assemblies_.insert();
  Assembly* assembly = assemblies_.find(handle);
  if (assembly == nullptr) return nullptr;
  assembly->handle = handle;
  assembly->channel = &channel;
  assembly->ref = frame.ref;
  assembly->start = *frame.start;
  assembly->expires = now.mono + ttl_of(*frame.start);
  assembly->answered = answered;
  channel.arriving.push_back(*assembly);
  channel.arriving_by_ref.insert(*assembly);
  if (!answered) by_id_.insert(*assembly);
  return assembly;
}

void Receiver::come_on(Assembly& assembly, Now now) {
  const std::uint32_t since = assembly.received - assembly.progress_at;
  if (assembly.answered || since < assembly.start.size / kStalledShare) return;
  AssembliesByProgress& coming = coming_[index(assembly.start.cls)];
  assembly.progress_at = assembly.received;
  assembly.progressed = now.mono;
  coming.erase(assembly);
  coming.push_back(assembly);
}

void Receiver::forget_progress(Assembly& assembly) {
  if (AssembliesByProgress::contains(assembly)) coming_[index(assembly.start.cls)].erase(assembly);
}

/// Memory is short for a message of that class: one that has its memory, is worth no more and does
/// not come on makes room. False: there is none.
bool Receiver::end_stalled(Class cls, Now now) {
  for (std::size_t worth = kClassCount; worth-- > index(cls);) {
    Assembly* slowest = coming_[worth].front();
    if (slowest == nullptr || now.mono - slowest->progressed < kStalledAfter) continue;
    ++context_.stats.assemblies_stalled;
    // A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
    static_cast<void>(refuse(*slowest, wire::AckStatus::refused_memory));
    return true;
  }
  return false;
}

void Receiver::drop_bytes(Assembly& assembly) {
  assembly.bytes.clear();
  assembly.tail.reset();
  assembly.reservation.reset();
}

void Receiver::erase(Assembly& assembly) {
  context_.deadlines.clear(assembly);
  forget_progress(assembly);
  Channel& channel = *assembly.channel;
  switch (assembly.stage) {
    case Stage::arriving:
      channel.arriving.erase(assembly);
      channel.arriving_by_ref.erase(assembly);
      break;
    case Stage::to_verify:
      channel.to_verify.erase(assembly);
      --to_verify_;
      if (channel.to_verify.empty()) verify_turns_.erase(channel);
      break;
    case Stage::being_verified:
      channel.being_verified.erase(assembly);
      break;
  }
  if (!assembly.answered) by_id_.erase(assembly);
  assemblies_.erase(assembly.handle);
}

/// The sender has moved the message to another circuit: what came over the former one is void.
void Receiver::replace_older(const wire::MessageId& id) {
  Assembly* older = by_id_.find(id);
  if (older == nullptr) return;
  ++context_.stats.assemblies_dropped;
  static_cast<void>(refuse(*older, wire::AckStatus::cancelled));
}

bool Receiver::store(Assembly& assembly, Bytes bytes, memory::Block* payload) {
  if (!may_keep(assembly.channel->cls, assembly.start.size, bytes, payload)) {
    return copy(assembly, bytes);
  }
  if (assembly.tail) assembly.bytes.push_back(std::move(assembly.tail));
  keep(bytes, *payload, assembly.bytes);
  return true;
}

bool Receiver::copy(Assembly& assembly, Bytes bytes) {
  while (!bytes.empty()) {
    if (!assembly.tail) {
      const std::size_t left = assembly.start.size - assembly.bytes.bytes();
      const bool high = assembly.start.cls == Class::high;
      assembly.tail = context_.pool.take(memory::block_size_for(left),
                                         high ? memory::For::high : memory::For::all);
      if (!assembly.tail) return false;
    }
    memory::Block& tail = assembly.tail;
    const std::size_t n = std::min(bytes.size(), tail.capacity() - tail.size());
    tail.append(n);
    std::memcpy(tail.bytes().last(n).data(), bytes.data(), n);
    context_.stats.bytes_copied += n;
    bytes = bytes.subspan(n);
    if (tail.size() == tail.capacity()) assembly.bytes.push_back(std::move(tail));
  }
  return true;
}

// ---- signatures
// -----------------------------------------------------------------------------------

/// The message is whole, its ref is over; it keeps its place until the worker's word, its time to
/// live or the end of its circuit.
bool Receiver::verify_later(Assembly& assembly) {
  Channel& channel = *assembly.channel;
  if (to_verify_ >= kToVerifyMax || channel.to_verify.size() >= kToVerifyPerChannelMax) {
    ++context_.stats.refused_queue;
    return refuse(assembly, wire::AckStatus::refused_queue);
  }
  channel.arriving.erase(assembly);
  channel.arriving_by_ref.erase(assembly);
  forget_progress(assembly);
  assembly.stage = Stage::to_verify;
  channel.to_verify.push_back(assembly);
  ++to_verify_;
  if (!channel.verify_turn.linked) verify_turns_.push_back(channel);
  context_.deadlines.set(assembly, assembly.expires);
  return true;
}

/// Channels take turns, so that one that floods waits for itself.
void Receiver::pump(Now now) {
  retry_at_ = kNever;
  while (!verify_turns_.empty() && verifying_ < kVerifyingMax) {
    Channel& channel = *verify_turns_.front();
    Assembly& next = *channel.to_verify.front();
    if (!submit(next)) {
      ++context_.stats.signatures_put_off;
      retry_at_ = now.mono + kRetry;
      return;
    }
    verify_turns_.erase(channel);
    channel.to_verify.erase(next);
    --to_verify_;
    next.stage = Stage::being_verified;
    channel.being_verified.push_back(next);
    if (!channel.to_verify.empty()) verify_turns_.push_back(channel);
  }
}

bool Receiver::submit(Assembly& assembly) {
  const auto job = std::make_shared<Unverified>();  // owners: the worker's two steps
  job->bytes = std::move(assembly.bytes);
  job->reservation = std::move(assembly.reservation);
  const bool taken = context_.offload(
      [job, self = context_.options.self, id = assembly.start.id] {
        job->sender = verify_signed(self, id, job->bytes);
      },
      [this, job, handle = assembly.handle](Now now) { on_verified(handle, *job, now); });
  if (taken) {
    ++verifying_;
  } else {
    assembly.bytes = std::move(job->bytes);
    assembly.reservation = std::move(job->reservation);
  }
  return taken;
}

void Receiver::on_verified(SlotHandle handle, Unverified& job, Now now) {
  --verifying_;
  ++context_.stats.verified_off_loop;
  Assembly* assembly = assemblies_.find(handle);
  if (assembly == nullptr) return;  // it ended meanwhile, and now its bytes do
  assembly->bytes = std::move(job.bytes);
  assembly->reservation = std::move(job.reservation);
  // A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
  static_cast<void>(verified(*assembly, job.sender, now));
}

// ---- the application
// ------------------------------------------------------------------------------

bool Receiver::deliver(Assembly& assembly, Now now) {
  if (now.mono >= assembly.expires) {
    ++context_.stats.assemblies_dropped;
    return refuse(assembly, wire::AckStatus::expired);
  }
  if (assembly.tail) assembly.bytes.push_back(std::move(assembly.tail));
  if (!assembly.start.is_signed) return hand_out(assembly, std::nullopt, now);
  if (context_.offload) return verify_later(assembly);
  return verified(assembly, verify_signed(context_.options.self, assembly.start.id, assembly.bytes),
                  now);
}

bool Receiver::verified(Assembly& assembly, const Result<NodeId>& sender, Now now) {
  if (!sender) {
    ++context_.stats.signatures_bad;
    return refuse(assembly, wire::AckStatus::bad_signature);
  }
  drop_prefix(assembly.bytes);
  return hand_out(assembly, *sender, now);
}

bool Receiver::hand_out(Assembly& assembly, const std::optional<NodeId>& sender, Now now) {
  const wire::MessageStart start = assembly.start;
  Received message;
  message.sender = sender;
  // Another shard may have delivered it since its first fragment came.
  if (!delivered_->claim(start.id, now.mono + ttl_of(start) + kRememberedAfter, now.mono)) {
    ++context_.stats.duplicates;
    return refuse(assembly, wire::AckStatus::duplicate);
  }
  Channel& channel = *assembly.channel;
  const std::uint32_t ref = assembly.ref;
  message.payload = std::move(assembly.bytes);
  message.reservation = std::move(assembly.reservation);
  message.reservation.shrink(message.reservation.bytes() - message.payload.bytes());
  erase(assembly);
  return hand_out(channel, ref, start, std::move(message), now);
}

/// Gives the message, of which the payload is there, to the application, and answers what it says.
bool Receiver::hand_out(Channel& channel, std::uint32_t ref, const wire::MessageStart& start,
                        Received&& message, Now now) {
  message.id = start.id;
  message.cls = start.cls;
  message.in_reply_to = start.in_reply_to;
  if (!channel.is_source()) message.reply_circuit = channel.circuit;

  // From here on the application may have done anything to us but free us.
  const std::size_t bytes = message.payload.bytes();
  const Taken taken = context_.events.on_message(std::move(message), now);
  MessagesStats& stats = context_.stats;
  if (taken != Taken::yes) delivered_->give_back(start.id, now.mono);
  switch (taken) {
    case Taken::yes:
      ++stats.received[index(start.cls)];
      stats.bytes_received += bytes;
      break;
    case Taken::no_receiver:
      ++stats.refused_no_receiver;
      break;
    case Taken::memory:
      ++stats.refused_memory;
      break;
    case Taken::queue_full:
      ++stats.refused_queue;
      break;
  }
  return channel.dead || answer(channel, ref, static_cast<wire::AckStatus>(taken));
}

void Receiver::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "messages arriving", "refuse: memory", assemblies_.size(),
                        assemblies_.capacity(), sizeof(Assembly)));
  out.push_back(bounded(Kind::table, "ids of delivered messages", "forget the oldest",
                        delivered_->size(), delivered_->ids_max(), kDuplicateBytes));
}

}  // namespace qudag::message
