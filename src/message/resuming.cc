// Large messages that go on over another circuit: what is left of them when a circuit ends, and
// what the next one is told (HELD).
//
// ask: the message is known already -> as for any copy; it is with a worker -> look_again, until
// the worker has brought it back; else go_on: its bytes, from whichever circuit they came, go on
// here.
#include "message/receiver.h"

#include <algorithm>

namespace qudag::message {
namespace {

/// How often a sender that asks for a message that is with a worker of another shard is looked
/// after.
constexpr auto kLookAtWorkersEvery = std::chrono::milliseconds(20);

}  // namespace

bool Receiver::moves(const CircuitEnd& circuit_end, const wire::MessageStart& start) const {
  return !circuit_end.is_source() && unfinished_->may_move(start.size);
}

// ---- a circuit ends -----------------------------------------------------------------------------

/// Its bytes wait for the next circuit of its sender, if it is one that moves.
void Receiver::leave(Assembly& assembly, Now now) {
  const CircuitEnd& circuit_end = *assembly.circuit_end;
  if (!moves(circuit_end, assembly.start)) return;
  const NodeLink link{context_.options.shard, circuit_end.link};
  const bool kept = [&] {
    if (assembly.hold) return unfinished_->leave(assembly.hold, link, now.mono);
    if (assembly.stage != Stage::to_verify) return false;  // leave_verified() has the bytes
    return unfinished_->leave(assembly.key, assembly.start, assembly.expires,
                              std::move(assembly.body), link, now.mono);
  }();
  if (!kept) return;
  ++context_.stats.unfinished_kept;
  watch_left();
}

void Receiver::watch_left() {
  const TimePoint next = unfinished_->next_deadline();
  if (next != kNever) context_.deadlines.set(left_due_, next);
}

void Receiver::on_left_due(Now now) {
  context_.stats.unfinished_expired += unfinished_->expire(now.mono);
  watch_left();
}

std::size_t Receiver::drop_left(std::size_t bytes) { return unfinished_->drop(bytes); }

// ---- the next one asks --------------------------------------------------------------------------

/// The first fragment of a message that resumes, which has no bytes.
bool Receiver::ask(CircuitEnd& circuit_end, const wire::DataFrame& frame, const Named& named,
                   Now now) {
  const bool lent = unfinished_->is_lent(named.id);
  auto held = lent ? std::nullopt : held_of(named.id, *frame.start, now);
  replace_older(circuit_end, named.id);
  Assembly* const assembly = open(circuit_end, frame, named, now);
  if (assembly == nullptr) {
    ++context_.stats.refused_memory;
    return refuse(circuit_end, frame, wire::AckStatus::refused_memory);
  }
  assembly->asks = true;
  if (!lent) return go_on(*assembly, std::move(held), now);
  context_.deadlines.set(*assembly, std::min(assembly->expires, now.mono + kLookAtWorkersEvery));
  return true;
}

/// What came of it over another circuit, ended or not.
std::optional<Unfinished::Found> Receiver::held_of(const wire::MessageId& key,
                                                   const wire::MessageStart& start, Now now) {
  Assembly* const older = by_key_.find(key);
  if (older != nullptr && older->stage == Stage::to_verify && !older->hold) leave(*older, now);
  auto held = unfinished_->take(key, start, now.mono);
  if (held) ++context_.stats.unfinished_resumed;
  return held;
}

/// It has waited for a worker to bring the message back.
void Receiver::look_again(Assembly& assembly, Now now) {
  if (unfinished_->is_lent(assembly.key)) {
    return context_.deadlines.set(assembly,
                                  std::min(assembly.expires, now.mono + kLookAtWorkersEvery));
  }
  // A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
  switch (delivered_->state(assembly.key, now.mono)) {
    case Delivered::State::delivered:
      ++context_.stats.duplicates;
      static_cast<void>(refuse(assembly, wire::AckStatus::duplicate));
      return;
    case Delivered::State::in_hand: {
      CircuitEnd& circuit_end = *assembly.circuit_end;
      const std::uint32_t ref = assembly.ref, size = assembly.start.size;
      const wire::MessageId key = assembly.key;
      const TimePoint expires = assembly.expires;
      erase(assembly);
      circuit_end.rests.add(ref, size, context_.tables());
      static_cast<void>(wait_with(circuit_end, ref, key, expires, now));
      return;
    }
    case Delivered::State::unknown:
      static_cast<void>(go_on(assembly, held_of(assembly.key, assembly.start, now), now));
  }
}

/// The sender hears from where. What it sends before it did is no message of the protocol.
bool Receiver::go_on(Assembly& assembly, std::optional<Unfinished::Found> held, Now now) {
  Body body = held ? std::move(held->body) : Body{};
  if (!reserve(body.reservation, assembly.start, now)) {
    ++context_.stats.refused_memory;
    return refuse(assembly, wire::AckStatus::refused_memory);
  }
  if (held) assembly.expires = std::min(assembly.expires, held->expires);
  const auto before = static_cast<std::uint32_t>(body.size());
  assembly.asks = false;
  assembly.received = before;
  assembly.progress_at = before;
  assembly.progressed = now.mono;
  coming_[index(assembly.start.priority)].push_back(assembly);
  if (moves(*assembly.circuit_end, assembly.start)) {
    assembly.hold =
        unfinished_->begin(assembly.key, assembly.start, assembly.expires, std::move(body));
  } else {
    assembly.body = std::move(body);
  }
  context_.deadlines.set(assembly, assembly.expires);
  return context_.circuit_ends.queue(
      *assembly.circuit_end, {.type = wire::FrameType::held, .ref = assembly.ref, .token = before},
      context_.tables());
}

/// The bytes of a whole message. False: another circuit has taken them over.
bool Receiver::take_body(Assembly& assembly) {
  if (assembly.hold) {
    auto whole = unfinished_->finish(assembly.hold);
    if (!whole) return false;
    assembly.body = std::move(*whole);
  }
  Body& body = assembly.body;
  if (body.tail) body.bytes.push_back(std::move(body.tail));
  return true;
}

/// Another circuit has taken the message over, on another shard.
bool Receiver::refuse_moved(Assembly& assembly) {
  ++context_.stats.assemblies_dropped;
  return refuse(assembly, wire::AckStatus::cancelled);
}

}  // namespace qudag::message
