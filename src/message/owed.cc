// Messages that an application has in hand, and what it says of them in the end.
#include "message/owed.h"

#include "message/receiver.h"

namespace qudag::message {

// ---- the table ----------------------------------------------------------------------------------

Owed* OwedTable::add(const Handed& handed) {
  const auto [at, is_new] = records_.try_emplace(handed);
  if (!is_new) return nullptr;
  at->second.handed = handed;
  return &at->second;
}

Owed* OwedTable::find(const Handed& handed) {
  const auto at = records_.find(handed);
  return at == records_.end() ? nullptr : &at->second;
}

void OwedTable::erase(Owed& owed) {
  if (owed.is_copy) copies_.erase(owed);
  records_.erase(Handed(owed.handed));
}

void OwedTable::make_room(memory::Budget& budget) {
  constexpr std::size_t kRecordBytes = sizeof(Owed) + 64;  // with its node and its bucket
  if (!full() || places_ >= kOwedMax) return;
  constexpr std::size_t kMore = kOwedStep * kRecordBytes;
  if (!reserved_) {
    reserved_ = memory::Reservation::take(budget, kMore);
    if (!reserved_) return;
  } else if (!reserved_.grow(kMore)) {
    return;
  }
  places_ += kOwedStep;
}

// ---- owing --------------------------------------------------------------------------------------

/// The application said `later`, inside the call or before its circuit ended in there.
void Receiver::owe(CircuitEnd& circuit_end, std::uint32_t ref, const HandedOut& message) {
  Owed* const owed = owed_.add({circuit_end.circuit.value, ref});
  QUDAG_ASSERT(owed != nullptr);  // a number is used once on a circuit
  owed->is_reply = circuit_end.is_source();
  owed->signed_key = message.signed_key;
  owed->expires = message.expires;
  owed->bytes = message.bytes;
  owed->priority = message.priority;
  if (!owed->is_reply) {
    owed->key = message.key;
    delivered_->hold(message.key);
  }
  if (!circuit_end.dead) {
    owed->circuit_end = &circuit_end;
    circuit_end.owed.push_back(*owed);
  }
  context_.deadlines.set(*owed, owed->expires);
  owed_.make_room(context_.tables());
}

/// A message that the application has in hand has come again: the copy waits for the same answer,
/// in the place of the one before, which its sender has given up.
bool Receiver::wait_with(CircuitEnd& circuit_end, std::uint32_t ref, const wire::MessageId& key,
                         TimePoint expires, Now now) {
  ++context_.stats.duplicates;
  if (Owed* const before = owed_.find_copy(key)) end(*before, wire::AckStatus::cancelled);
  Owed* const copy = owed_.add({circuit_end.circuit.value, ref});
  if (copy == nullptr) return answer(circuit_end, ref, wire::AckStatus::refused_queue);
  copy->expires = expires;
  copy->circuit_end = &circuit_end;
  circuit_end.owed.push_back(*copy);
  owed_.name_copy(*copy, key);
  context_.deadlines.set(*copy, std::min(copy->expires, now.mono + kLookEvery));
  return true;
}

// ---- the answer ---------------------------------------------------------------------------------

bool Receiver::settle(const Handed& handed, Taken taken, Now now) {
  Owed* const owed = owed_.find(handed);
  if (owed == nullptr || owed->is_copy || taken == Taken::later) return false;
  count(taken, owed->priority, owed->bytes);
  if (owed->is_reply) {
    end(*owed, static_cast<wire::AckStatus>(taken));
    return true;
  }
  const wire::MessageId key = owed->key;
  if (taken != Taken::yes && owed->signed_key) {
    delivered_->give_back_signed(*owed->signed_key, now.mono);
  }
  // Given back first: who finds it claimed and in nobody's hand takes it for delivered.
  if (taken != Taken::yes) delivered_->give_back(key, now.mono);
  delivered_->let_go(key);
  end_all(*owed, static_cast<wire::AckStatus>(taken));
  return true;
}

/// What was handed out here, and a copy of it.
void Receiver::end_all(Owed& owed, wire::AckStatus status) {
  const wire::MessageId key = owed.key;
  end(owed, status);
  if (Owed* const copy = owed_.find_copy(key)) end(*copy, status);
}

/// A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
void Receiver::end(Owed& owed, wire::AckStatus status) {
  CircuitEnd* const circuit_end = owed.circuit_end;
  const std::uint32_t ref = owed.handed.ref;
  forget(owed);
  if (circuit_end != nullptr) static_cast<void>(answer(*circuit_end, ref, status));
}

void Receiver::forget(Owed& owed) {
  context_.deadlines.clear(owed);
  if (owed.circuit_end != nullptr) owed.circuit_end->owed.erase(owed);
  owed_.erase(owed);
}

/// Time to look: it is over, or a copy asks whether another shard's application has answered.
void Receiver::on_due(Owed& owed, Now now) {
  if (now.mono >= owed.expires && (owed.is_copy || owed.is_reply)) {
    return end(owed, wire::AckStatus::expired);
  }
  if (!owed.is_copy) {
    const wire::MessageId key = owed.key;
    delivered_->give_back(key, now.mono);
    delivered_->let_go(key);
    return end_all(owed, wire::AckStatus::expired);
  }
  const auto state = delivered_->state(owed.key, now.mono);
  if (state == Delivered::State::in_hand) {
    return context_.deadlines.set(owed, std::min(owed.expires, now.mono + kLookEvery));
  }
  const bool taken = state == Delivered::State::delivered;
  end(owed, taken ? wire::AckStatus::duplicate : wire::AckStatus::refused_queue);
}

/// The application keeps what it has in hand: its sender may come back over another circuit.
void Receiver::leave_owed(CircuitEnd& circuit_end) {
  while (Owed* const owed = circuit_end.owed.front()) {
    if (owed->is_copy || owed->is_reply) {
      forget(*owed);
      continue;
    }
    circuit_end.owed.erase(*owed);
    owed->circuit_end = nullptr;
  }
}

}  // namespace qudag::message
