// Steps of a fragment: credit -> its assembly (begin: order, duplicate, what is held of it,
// reservation) -> store -> complete: (signed: verifying.cc ->) application -> acknowledgement.
#include "message/receiver.h"

#include "crypto/kdf.h"

#include <algorithm>
#include <cstring>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

/// Larger messages that come in small cells are copied into bulk blocks: 1 KiB blocks would hold a
/// third more memory than was reserved, and a message of 64 MiB needs more than a pool has.
constexpr std::size_t kKeepSmallBlocksUpTo = 64 * 1024;
/// An id is remembered for so long beyond its message's time to live.
constexpr auto kRememberedAfter = 2min;

Duration ttl_of(const wire::MessageStart& start) {
  return std::min<Duration>(std::chrono::milliseconds(start.ttl_ms), limits::kTtlMax);
}

/// May `bytes`, a part of the payload's block, stay in it?
bool may_keep(Priority priority, std::size_t message_bytes, Bytes bytes,
              const memory::Block* payload) {
  const bool fits_blocks = priority == Priority::low || message_bytes <= kKeepSmallBlocksUpTo;
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
      by_key_(AssemblyKey{draw_hash(context.rng)}),
      owed_(draw_hash(context.rng)),
      delivered_(context.options.delivered
                     ? context.options.delivered
                     : std::make_shared<Delivered>(context.options.duplicates_max, context.rng)),
      handing_(*delivered_),
      unfinished_(context.options.unfinished
                      ? context.options.unfinished
                      : std::make_shared<Unfinished>(UnfinishedOptions{}, context.rng)) {}

// ---- frames -------------------------------------------------------------------------------------

bool Receiver::on_data(CircuitEnd& circuit_end, const wire::DataFrame& frame,
                       memory::Block* payload, Now now) {
  const std::size_t n = frame.bytes.size();
  if (n > circuit_end.announced - circuit_end.received) {
    ++context_.stats.credit_violations;
    return false;
  }
  circuit_end.received += n;
  context_.circuit_ends.mark(circuit_end);  // credit may be due, whatever becomes of the bytes
  if (frame.start) return begin(circuit_end, frame, payload, now);

  Assembly* assembly = circuit_end.arriving_by_ref.find(frame.ref);
  if (assembly == nullptr)
    return frame.ref < circuit_end.next_ref_in && circuit_end.rests.count(frame);
  if (assembly->asks || n > assembly->start.size - assembly->received) return false;
  assembly->received += static_cast<std::uint32_t>(n);
  if (frame.last != (assembly->received == assembly->start.size)) return false;
  switch (store(*assembly, frame.bytes, payload)) {
    case Stored::elsewhere:
      return refuse_moved(*assembly);
    case Stored::no_memory:
      ++context_.stats.refused_memory;
      return refuse(*assembly, wire::AckStatus::refused_memory);
    case Stored::yes:
      break;
  }
  come_on(*assembly, now);
  return !frame.last || deliver(*assembly, now);
}

/// At a destination what the message is remembered by. At a source our message that it answers;
/// none if nothing was taken there under that ref.
std::optional<Receiver::Named> Receiver::name_of_new(const CircuitEnd& circuit_end,
                                                     const wire::MessageStart& start) const {
  if (!circuit_end.is_source()) {
    return Named{key_at(circuit_end.receiver, key_of(*circuit_end.told, start.id)), start.channel};
  }
  if (!start.in_reply_to) return std::nullopt;
  if (const Envelope* sent = circuit_end.by_ref.find(*start.in_reply_to)) {
    return Named{sent->message, sent->to_channel};
  }
  const Asked* taken = circuit_end.taken.find(*start.in_reply_to);
  return taken != nullptr ? std::optional(*taken) : std::nullopt;
}

bool Receiver::begin(CircuitEnd& circuit_end, const wire::DataFrame& frame, memory::Block* payload,
                     Now now) {
  if (frame.ref != circuit_end.next_ref_in) return false;
  if (!frame.last &&
      circuit_end.arriving.size() + circuit_end.rests.size() >= wire::kInterleavedMessagesMax) {
    return false;
  }
  const wire::MessageStart& start = *frame.start;
  if (!circuit_end.is_source() && !circuit_end.told) return false;
  if (circuit_end.is_source() && start.in_reply_to >= circuit_end.next_ref)
    return false;  // never sent
  ++circuit_end.next_ref_in;
  const auto named = name_of_new(circuit_end, start);
  const bool wanted = named && circuit_end.is_source() == start.in_reply_to.has_value();
  if (frame.last && wanted && !start.is_signed) {
    return take_whole(circuit_end, frame, *named, payload, now);
  }
  if (named && !circuit_end.is_source() && delivered_->held(named->id)) {
    const auto came = static_cast<std::uint32_t>(frame.bytes.size());
    if (!frame.last) circuit_end.rests.add(frame.ref, start.size - came, context_.tables());
    return wait_with(circuit_end, frame.ref, named->id, now.mono + ttl_of(start), now);
  }
  if (const auto status = refusal_of(circuit_end, start, named, now)) {
    if (*status == wire::AckStatus::duplicate) ++context_.stats.duplicates;
    return refuse(circuit_end, frame, *status);
  }
  if (start.resumes) return ask(circuit_end, frame, *named, now);
  replace_older(circuit_end, named->id);

  Body body;
  Assembly* assembly = nullptr;
  if (reserve(body.reservation, start, now)) assembly = open(circuit_end, frame, *named, now);
  if (assembly == nullptr) {
    ++context_.stats.refused_memory;
    return refuse(circuit_end, frame, wire::AckStatus::refused_memory);
  }
  assembly->body = std::move(body);
  assembly->received = static_cast<std::uint32_t>(frame.bytes.size());
  assembly->progress_at = assembly->received;
  assembly->progressed = now.mono;
  coming_[index(start.priority)].push_back(*assembly);
  if (store(*assembly, frame.bytes, payload) != Stored::yes) {
    ++context_.stats.refused_memory;
    return refuse(*assembly, wire::AckStatus::refused_memory);
  }
  if (frame.last) return deliver(*assembly, now);
  if (moves(circuit_end, start)) {
    assembly->hold =
        unfinished_->begin(named->id, start, assembly->expires, std::move(assembly->body));
  }
  context_.deadlines.set(*assembly, assembly->expires);
  return true;
}

/// The records count too, or a peer could have them for nothing.
bool Receiver::reserve(memory::Reservation& reservation, const wire::MessageStart& start, Now now) {
  const std::size_t records =
      sizeof(Assembly) + (unfinished_->may_move(start.size) ? Unfinished::record_bytes() : 0);
  const std::size_t bytes = start.size + records;
  const auto take = [&] {
    if (reservation) return reservation.grow(bytes - std::min(bytes, reservation.bytes()));
    reservation = memory::Reservation::take(context_.budget_of(start.priority), bytes);
    return static_cast<bool>(reservation);
  };
  bool taken = take();
  while (!taken && make_room(start.priority, now)) taken = take();
  return taken;
}

void Receiver::expect(const CircuitEnd& circuit_end, const std::byte* id) const {
  if (circuit_end.is_source() || !circuit_end.told) return;
  wire::MessageId copy;
  std::memcpy(copy.data(), id, copy.size());
  delivered_->fetch_ahead(key_at(circuit_end.receiver, key_of(*circuit_end.told, copy)));
}

/// A message in one fragment, as most are: it needs no record.
bool Receiver::take_whole(CircuitEnd& circuit_end, const wire::DataFrame& frame, const Named& named,
                          memory::Block* payload, Now now) {
  const wire::MessageId& key = named.id;
  const wire::MessageStart& start = *frame.start;
  const std::uint32_t ref = frame.ref;
  Received message;
  memory::Allowance& allowance = context_.allowances[index(start.priority)];
  message.reservation = allowance.hand_out(start.size);
  while (!message.reservation && make_room(start.priority, now)) {
    message.reservation = allowance.hand_out(start.size);
  }
  if (!message.reservation ||
      !keep_whole(circuit_end.priority, frame.bytes, payload, message.payload)) {
    const auto state =
        circuit_end.is_source() ? Delivered::State::unknown : delivered_->state(key, now.mono);
    if (state == Delivered::State::in_hand) {
      return wait_with(circuit_end, ref, key, now.mono + ttl_of(start), now);
    }
    const bool known = state == Delivered::State::delivered;
    ++(known ? context_.stats.duplicates : context_.stats.refused_memory);
    return answer(circuit_end, ref,
                  known ? wire::AckStatus::duplicate : wire::AckStatus::refused_memory);
  }
  const auto before = claim(circuit_end, start, key, now);
  if (before != Delivered::State::unknown) {
    allowance.take_back(std::move(message.reservation));
    if (before == Delivered::State::in_hand) {  // of this shard or another one
      return wait_with(circuit_end, ref, key, now.mono + ttl_of(start), now);
    }
    ++context_.stats.duplicates;
    return answer(circuit_end, ref, wire::AckStatus::duplicate);
  }
  replace_older(circuit_end, key);
  return hand_out(circuit_end, ref, start, named, std::nullopt, std::move(message), now);
}

/// Unless unknown it came before, over this circuit or another one of its sender.
Delivered::State Receiver::claim(const CircuitEnd& circuit_end, const wire::MessageStart& start,
                                 const wire::MessageId& key, Now now) {
  if (circuit_end.is_source()) return Delivered::State::unknown;
  return delivered_->claim(handing_, key, now.mono + ttl_of(start) + kRememberedAfter, now.mono);
}

bool Receiver::keep_whole(Priority priority, Bytes bytes, memory::Block* payload,
                          memory::Chain& out) {
  if (bytes.empty()) return true;
  if (may_keep(priority, bytes.size(), bytes, payload)) {
    keep(bytes, *payload, out);
    return true;
  }
  context_.stats.bytes_copied += bytes.size();
  return memory::Chain::copy_in(context_.pool, memory::block_size_for(bytes.size()), bytes, out);
}

/// What speaks against a message before any memory is given to it.
std::optional<wire::AckStatus> Receiver::refusal_of(const CircuitEnd& circuit_end,
                                                    const wire::MessageStart& start,
                                                    const std::optional<Named>& named,
                                                    Now now) const {
  // Sources send messages and destinations send replies to those that were taken there; nobody here
  // waits for anything else.
  if (!named || circuit_end.is_source() != start.in_reply_to.has_value()) {
    return wire::AckStatus::no_receiver;
  }
  // What is in hand is looked at again when it is whole.
  if (!circuit_end.is_source() &&
      delivered_->state(named->id, now.mono) == Delivered::State::delivered) {
    return wire::AckStatus::duplicate;
  }
  return std::nullopt;
}

bool Receiver::on_cancel(CircuitEnd& circuit_end, const wire::CancelFrame& frame) {
  if (frame.ref >= circuit_end.next_ref_in) return false;
  Assembly* assembly = circuit_end.arriving_by_ref.find(frame.ref);
  if (assembly == nullptr) {  // it crossed our acknowledgement
    circuit_end.rests.cancel(frame.ref);
    return true;
  }
  ++context_.stats.assemblies_dropped;
  erase(*assembly);
  return answer(circuit_end, frame.ref, wire::AckStatus::cancelled);
}

void Receiver::on_ended(CircuitEnd& circuit_end, bool may_move, Now now) {
  leave_owed(circuit_end);
  for (AssemblyOrder* list :
       {&circuit_end.arriving, &circuit_end.to_verify, &circuit_end.being_verified}) {
    while (Assembly* assembly = list->front()) {
      if (may_move) leave(*assembly, now);
      ++context_.stats.assemblies_dropped;
      erase(*assembly);
    }
  }
}

void Receiver::on_expired(Assembly& assembly, Now now) {
  if (assembly.asks && now.mono < assembly.expires) return look_again(assembly, now);
  ++context_.stats.assemblies_dropped;
  // A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
  static_cast<void>(refuse(assembly, wire::AckStatus::expired));
}

// ---- answers ------------------------------------------------------------------------------------

bool Receiver::answer(CircuitEnd& circuit_end, std::uint32_t ref, wire::AckStatus status) {
  return context_.circuit_ends.queue(
      circuit_end, {.type = wire::FrameType::ack, .status = status, .ref = ref}, context_.tables());
}

/// Answers a message from its first fragment.
bool Receiver::refuse(CircuitEnd& circuit_end, const wire::DataFrame& frame,
                      wire::AckStatus status) {
  const auto came = static_cast<std::uint32_t>(frame.bytes.size());
  if (!frame.last) {
    circuit_end.rests.add(frame.ref, frame.start->size - came, context_.tables());
  }
  return answer(circuit_end, frame.ref, status);
}

/// Answers a message of which something is stored; the rest of its bytes is only counted.
bool Receiver::refuse(Assembly& assembly, wire::AckStatus status) {
  CircuitEnd& circuit_end = *assembly.circuit_end;
  const std::uint32_t ref = assembly.ref;
  const std::uint32_t rest = assembly.start.size - assembly.received;
  erase(assembly);
  if (rest > 0) circuit_end.rests.add(ref, rest, context_.tables());
  return answer(circuit_end, ref, status);
}

// ---- assemblies ---------------------------------------------------------------------------------

/// Null if there is no place.
Assembly* Receiver::open(CircuitEnd& circuit_end, const wire::DataFrame& frame, const Named& named,
                         Now now) {
  if (!frame.last && circuit_end.arriving.size() >= context_.options.assemblies_max) return nullptr;
  SlotHandle handle = assemblies_.insert();
  while (assemblies_.find(handle) == nullptr) {
    if (!end_stalled(frame.start->priority, now)) return nullptr;
    handle = assemblies_.insert();
  }
  Assembly* const assembly = assemblies_.find(handle);
  assembly->handle = handle;
  assembly->circuit_end = &circuit_end;
  assembly->ref = frame.ref;
  assembly->start = *frame.start;
  assembly->expires = now.mono + ttl_of(*frame.start);
  assembly->key = named.id;
  assembly->to_channel = named.channel;
  circuit_end.arriving.push_back(*assembly);
  circuit_end.arriving_by_ref.insert(*assembly);
  if (!circuit_end.is_source()) by_key_.insert(*assembly);
  return assembly;
}

void Receiver::come_on(Assembly& assembly, Now now) {
  const std::uint32_t since = assembly.received - assembly.progress_at;
  if (since < assembly.start.size / kStalledShare) return;
  AssembliesByProgress& coming = coming_[index(assembly.start.priority)];
  assembly.progress_at = assembly.received;
  assembly.progressed = now.mono;
  coming.erase(assembly);
  coming.push_back(assembly);
}

void Receiver::forget_progress(Assembly& assembly) {
  if (AssembliesByProgress::contains(assembly))
    coming_[index(assembly.start.priority)].erase(assembly);
}

/// Memory is short for a message of that priority: what nobody brings any more goes first.
bool Receiver::make_room(Priority priority, Now now) {
  return unfinished_->drop_oldest(priority) || end_stalled(priority, now);
}

/// Of those that arrive, one that has its memory, is worth no more and
/// does not come on makes room. False: there is none.
bool Receiver::end_stalled(Priority priority, Now now) {
  for (std::size_t worth = kPriorityCount; worth-- > index(priority);) {
    Assembly* slowest = coming_[worth].front();
    if (slowest == nullptr || now.mono - slowest->progressed < kStalledAfter) continue;
    ++context_.stats.assemblies_stalled;
    // A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
    static_cast<void>(refuse(*slowest, wire::AckStatus::refused_memory));
    return true;
  }
  return false;
}

void Receiver::erase(Assembly& assembly) {
  context_.deadlines.clear(assembly);
  forget_progress(assembly);
  CircuitEnd& circuit_end = *assembly.circuit_end;
  switch (assembly.stage) {
    case Stage::arriving:
      circuit_end.arriving.erase(assembly);
      circuit_end.arriving_by_ref.erase(assembly);
      break;
    case Stage::to_verify:
      circuit_end.to_verify.erase(assembly);
      --to_verify_;
      if (circuit_end.to_verify.empty()) verify_turns_.erase(circuit_end);
      break;
    case Stage::being_verified:
      circuit_end.being_verified.erase(assembly);
      break;
  }
  if (!circuit_end.is_source()) by_key_.erase(assembly);
  if (assembly.hold) unfinished_->end(assembly.hold);
  assemblies_.erase(assembly.handle);
}

/// The sender has moved the message to another circuit: what came over the former one is void.
void Receiver::replace_older(const CircuitEnd& circuit_end, const wire::MessageId& key) {
  Assembly* older = circuit_end.is_source() ? nullptr : by_key_.find(key);
  if (older == nullptr) return;
  ++context_.stats.assemblies_dropped;
  static_cast<void>(refuse(*older, wire::AckStatus::cancelled));
}

Receiver::Stored Receiver::store(Assembly& assembly, Bytes bytes, memory::Block* payload) {
  if (!assembly.hold) {
    return store(assembly.body, assembly, bytes, payload) ? Stored::yes : Stored::no_memory;
  }
  const auto access = Unfinished::access(assembly.hold);
  if (access.body == nullptr) return Stored::elsewhere;
  return store(*access.body, assembly, bytes, payload) ? Stored::yes : Stored::no_memory;
}

bool Receiver::store(Body& body, const Assembly& assembly, Bytes bytes, memory::Block* payload) {
  if (!may_keep(assembly.circuit_end->priority, assembly.start.size, bytes, payload)) {
    return copy(body, assembly.start, bytes);
  }
  if (body.tail) body.bytes.push_back(std::move(body.tail));
  keep(bytes, *payload, body.bytes);
  return true;
}

bool Receiver::copy(Body& body, const wire::MessageStart& start, Bytes bytes) {
  while (!bytes.empty()) {
    if (!body.tail) {
      const std::size_t left = start.size - body.bytes.bytes();
      const bool high = start.priority == Priority::high;
      body.tail = context_.pool.take(memory::block_size_for(left),
                                     high ? memory::For::high : memory::For::all);
      if (!body.tail) return false;
    }
    memory::Block& tail = body.tail;
    const std::size_t n = std::min(bytes.size(), tail.capacity() - tail.size());
    tail.append(n);
    std::memcpy(tail.bytes().last(n).data(), bytes.data(), n);
    context_.stats.bytes_copied += n;
    bytes = bytes.subspan(n);
    if (tail.size() == tail.capacity()) body.bytes.push_back(std::move(tail));
  }
  return true;
}

// ---- the application ----------------------------------------------------------------------------

bool Receiver::deliver(Assembly& assembly, Now now) {
  if (now.mono >= assembly.expires) {
    ++context_.stats.assemblies_dropped;
    return refuse(assembly, wire::AckStatus::expired);
  }
  if (assembly.start.is_signed && context_.offload) return verify_later(assembly);
  if (!take_body(assembly)) return refuse_moved(assembly);
  if (!assembly.start.is_signed) return hand_out(assembly, std::nullopt, now);
  return verified(assembly, verify_signed(fields_of(assembly), assembly.body.bytes), now);
}

bool Receiver::hand_out(Assembly& assembly, const std::optional<Signer>& signer, Now now) {
  const wire::MessageStart start = assembly.start;
  Received message;
  // Another shard may have handed it out since its first fragment came.
  const auto before = claim(*assembly.circuit_end, start, assembly.key, now);
  if (before != Delivered::State::unknown) {
    if (before == Delivered::State::in_hand) {
      CircuitEnd& circuit_end = *assembly.circuit_end;
      const std::uint32_t ref = assembly.ref;
      const wire::MessageId key = assembly.key;
      const TimePoint expires = assembly.expires;
      erase(assembly);
      return wait_with(circuit_end, ref, key, expires, now);
    }
    ++context_.stats.duplicates;
    return refuse(assembly, wire::AckStatus::duplicate);
  }
  if (const auto status = signer ? refusal_of_signed(assembly, *signer, now) : std::nullopt) {
    return refuse(assembly, *status);
  }
  CircuitEnd& circuit_end = *assembly.circuit_end;
  const std::uint32_t ref = assembly.ref;
  const Named named{assembly.key, assembly.to_channel};
  message.payload = std::move(assembly.body.bytes);
  message.reservation = std::move(assembly.body.reservation);
  message.reservation.shrink(message.reservation.bytes() - message.payload.bytes());
  erase(assembly);
  return hand_out(circuit_end, ref, start, named, signer, std::move(message), now);
}

/// Gives the message, of which the payload is there, to the application, and answers what it says.
bool Receiver::hand_out(CircuitEnd& circuit_end, std::uint32_t ref, const wire::MessageStart& start,
                        const Named& named, const std::optional<Signer>& signer, Received&& message,
                        Now now) {
  const wire::MessageId& key = named.id;
  const bool is_reply = circuit_end.is_source();
  message.handed = {circuit_end.circuit.value, ref};
  message.expires = now.mono + ttl_of(start);
  if (signer) message.sender = signer->id;
  message.id = start.id;
  message.priority = start.priority;
  message.channel = named.channel;
  message.receiver = circuit_end.receiver;
  if (is_reply) {
    message.in_reply_to = key;
  } else {
    message.reply_to = {circuit_end.circuit, ref};
    message.key = key;
  }

  // From here on the application may have done anything to us but free us.
  const std::size_t bytes = message.payload.bytes();
  const bool room = !owed_.full();  // the application may say `later`
  const Taken taken =
      room ? context_.events.on_message(std::move(message), now) : Taken::queue_full;
  if (taken == Taken::later) {
    const auto signed_key =
        signer ? std::optional(key_at(circuit_end.receiver, key_of(*signer, start.id)))
               : std::nullopt;
    owe(circuit_end, ref,
        {.key = key,
         .signed_key = signed_key,
         .expires = now.mono + ttl_of(start),
         .bytes = bytes,
         .priority = start.priority});
    handing_.over();
    return true;
  }
  if (taken != Taken::yes && !is_reply) delivered_->give_back(key, now.mono);
  if (taken != Taken::yes && signer)
    delivered_->give_back_signed(key_at(circuit_end.receiver, key_of(*signer, start.id)), now.mono);
  handing_.over();
  count(taken, start.priority, bytes);
  return circuit_end.dead || answer(circuit_end, ref, static_cast<wire::AckStatus>(taken));
}

void Receiver::count(Taken taken, Priority priority, std::size_t bytes) {
  MessagesStats& stats = context_.stats;
  switch (taken) {
    case Taken::yes:
      ++stats.received[index(priority)];
      stats.received_bytes[index(priority)] += bytes;
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
    case Taken::later:
      break;
  }
}

void Receiver::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  out.push_back(bounded(Kind::table, "messages arriving", "refuse: memory", assemblies_.size(),
                        assemblies_.capacity(), sizeof(Assembly)));
  out.push_back(bounded(Kind::table, "messages in hand", "refuse: queue", owed_.size(), kOwedMax,
                        sizeof(Owed)));
  if (context_.options.shard != 0) return;  // what all shards have together is told once
  out.push_back(bounded(Kind::table, "ids of delivered messages", "forget the oldest",
                        delivered_->size(), delivered_->ids_max(), kDuplicateBytes));
  out.push_back(bounded(Kind::table, "ids of signed messages", "refuse what may be one of them",
                        delivered_->signed_size(), delivered_->signed_max(), kDuplicateBytes));
  out.push_back(bounded(Kind::table, "unfinished messages", "the oldest of the link with most goes",
                        unfinished_->size().messages, unfinished_->options().messages_max,
                        Unfinished::record_bytes()));
}

}  // namespace qudag::message
