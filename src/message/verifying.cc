// The receiver's part for signed messages: whole -> to_verify -> a worker -> verified: signature,
// time, and whether it came before -> hand_out.
#include "message/receiver.h"

#include <algorithm>

namespace qudag::message {
namespace {

using namespace std::chrono_literals;

/// A letter may be so old (docs/reference/protocol.md, 14.6).
constexpr UnixSeconds kLetterAge_s = 8 * 24 * 3600;
/// Whole messages that wait for their signature to be verified: half a second of two workers.
constexpr std::size_t kToVerifyMax = 4'096;
/// One circuit's: more than its credit allows to be under way.
constexpr std::size_t kToVerifyPerCircuitMax = 1'024;
/// At the workers at a time, so that their other work waits for no more than these: 7 ms of one.
constexpr std::size_t kVerifyingMax = 32;
/// After the workers had no room.
constexpr Duration kRetry = 1ms;

}  // namespace

SignedFields Receiver::fields_of(const Assembly& assembly) const {
  return {.destination = assembly.circuit_end->receiver.value_or(context_.options.self),
          .id = assembly.start.id,
          .minute = 0,
          .ttl_ms = assembly.start.ttl_ms,
          .priority = assembly.start.priority,
          .channel = assembly.start.channel};
}

/// The message is whole, its ref is over; it keeps its place until the worker's word, its time to
/// live or the end of its circuit.
bool Receiver::verify_later(Assembly& assembly) {
  CircuitEnd& circuit_end = *assembly.circuit_end;
  // No more than there are places left: so few circuits cannot take all, and who has none gets one.
  const std::size_t most = std::min(kToVerifyPerCircuitMax, kToVerifyMax - to_verify_);
  if (circuit_end.to_verify.size() >= most) {
    ++context_.stats.refused_queue;
    return refuse(assembly, wire::AckStatus::refused_queue);
  }
  circuit_end.arriving.erase(assembly);
  circuit_end.arriving_by_ref.erase(assembly);
  forget_progress(assembly);
  assembly.stage = Stage::to_verify;
  circuit_end.to_verify.push_back(assembly);
  ++to_verify_;
  if (!circuit_end.verify_turn.linked) verify_turns_.push_back(circuit_end);
  context_.deadlines.set(assembly, assembly.expires);
  return true;
}

/// CircuitEnds take turns, so that one that floods waits for itself.
void Receiver::pump(Now now) {
  retry_at_ = kNever;
  while (!verify_turns_.empty() && verifying_ < kVerifyingMax) {
    CircuitEnd& circuit_end = *verify_turns_.front();
    Assembly& next = *circuit_end.to_verify.front();
    if (!lend(next)) continue;
    if (!submit(next)) {
      ++context_.stats.signatures_put_off;
      retry_at_ = now.mono + kRetry;
      return take_back(next);
    }
    verify_turns_.erase(circuit_end);
    circuit_end.to_verify.erase(next);
    --to_verify_;
    next.stage = Stage::being_verified;
    circuit_end.being_verified.push_back(next);
    if (!circuit_end.to_verify.empty()) verify_turns_.push_back(circuit_end);
  }
}

/// To a worker, if it is a large one. False: another circuit has taken it over, and it is refused.
bool Receiver::lend(Assembly& assembly) {
  if (!assembly.hold) return true;
  auto whole = unfinished_->lend(assembly.hold);
  if (!whole) {
    // A peer that lets answers pile up gets none; its circuit ends by the next frame.
    static_cast<void>(refuse_moved(assembly));
    return false;
  }
  assembly.body = std::move(*whole);
  assembly.lent = true;
  return true;
}

/// The worker had no room.
void Receiver::take_back(Assembly& assembly) {
  if (!assembly.lent) return;
  const wire::MessageId key = assembly.key;
  if (!keep_again(assembly)) static_cast<void>(refuse_moved(assembly));
  unfinished_->bring_back(key);
}

/// No worker has it: where others find it. False: its sender has begun anew elsewhere.
bool Receiver::keep_again(Assembly& assembly) {
  if (!std::exchange(assembly.lent, false)) return true;
  auto hold =
      unfinished_->begin_if_new(assembly.key, assembly.start, assembly.expires, assembly.body);
  if (hold) assembly.hold = std::move(*hold);
  return hold.has_value();
}

bool Receiver::submit(Assembly& assembly) {
  if (assembly.body.tail) assembly.body.bytes.push_back(std::move(assembly.body.tail));
  const auto job = std::make_shared<Unverified>();  // owners: the worker's two steps
  job->body = std::move(assembly.body);
  job->key = assembly.key;
  job->start = assembly.start;
  job->expires = assembly.expires;
  job->link = {context_.options.shard, assembly.circuit_end->link};
  job->lent = assembly.lent;
  const bool taken = context_.offload(
      [job, fields = fields_of(assembly)] { job->signer = verify_signed(fields, job->body.bytes); },
      [this, job, handle = assembly.handle](WorkEnd, Now now) { on_verified(handle, *job, now); });
  if (taken) {
    ++verifying_;
  } else {
    assembly.body = std::move(job->body);
  }
  return taken;
}

void Receiver::on_verified(SlotHandle handle, Unverified& job, Now now) {
  --verifying_;
  Assembly* assembly = assemblies_.find(handle);
  if (assembly == nullptr) {
    leave_verified(job, now);
  } else {
    assembly->body = std::move(job.body);
    // A peer that lets answers pile up gets none for this one; its circuit ends by the next frame.
    if (job.signer) {
      ++context_.stats.verified_off_loop;
      static_cast<void>(verified(*assembly, *job.signer, now));
    } else if (!keep_again(*assembly)) {
      static_cast<void>(refuse_moved(*assembly));
    } else {
      verify_again(*assembly);
    }
  }
  if (job.lent) bring_back(job, now);
}

/// Who asked for it meanwhile hears what became of it; on other shards when it looks again.
void Receiver::bring_back(const Unverified& job, Now now) {
  unfinished_->bring_back(job.key);
  Assembly* const waits = by_key_.find(job.key);
  if (waits != nullptr && waits->asks) look_again(*waits, now);
}

/// It ended meanwhile. If that was because its circuit did, its sender may go on with it over
/// another one: it is whole, and a signature that was right is so again.
void Receiver::leave_verified(Unverified& job, Now now) {
  if (context_.stopping || (job.signer && !*job.signer)) return;
  if (delivered_->state(job.key, now.mono) != Delivered::State::unknown) return;
  if (!unfinished_->leave(job.key, job.start, job.expires, std::move(job.body), job.link, now.mono))
    return;
  ++context_.stats.unfinished_kept;
  watch_left();
}

/// The work was never begun: nobody knows yet who signed.
void Receiver::verify_again(Assembly& assembly) {
  CircuitEnd& circuit_end = *assembly.circuit_end;
  ++context_.stats.signatures_put_off;
  circuit_end.being_verified.erase(assembly);
  assembly.stage = Stage::to_verify;
  circuit_end.to_verify.push_front(assembly);
  ++to_verify_;
  if (!circuit_end.verify_turn.linked) verify_turns_.push_back(circuit_end);
}

bool Receiver::verified(Assembly& assembly, const Result<Signer>& signer, Now now) {
  if (!signer) {
    ++context_.stats.signatures_bad;
    return refuse(assembly, wire::AckStatus::bad_signature);
  }
  drop_prefix(assembly.body.bytes);
  return hand_out(assembly, *signer, now);
}

/// Whoever brings a signed message again: within its time it is known, and later it is too old.
std::optional<wire::AckStatus> Receiver::refusal_of_signed(const Assembly& assembly,
                                                           const Signer& signer, Now now) {
  const wire::MessageStart& start = assembly.start;
  auto claimed = Delivered::Signed::too_old;
  // A letter was signed when it was sent; its receiver remembers it for longer than it may lie.
  const UnixSeconds when =
      assembly.circuit_end->letter
          ? std::clamp<UnixSeconds>(UnixSeconds{signer.minute} * 60,
                                    now.unix_seconds - std::min(now.unix_seconds, kLetterAge_s),
                                    now.unix_seconds)
          : now.unix_seconds;
  if (is_of_now(signer.minute, start.ttl_ms, when)) {
    const std::uint64_t left = too_old_at(signer.minute, start.ttl_ms) - when;
    claimed = delivered_->claim_signed(
        key_at(assembly.circuit_end->receiver, key_of(signer, start.id)),
        std::uint64_t{signer.minute} * 60, now.mono + std::chrono::seconds(left + 1), now);
  }
  if (claimed == Delivered::Signed::first) return std::nullopt;
  delivered_->give_back(assembly.key, now.mono);
  handing_.over();
  if (claimed == Delivered::Signed::again) {
    ++context_.stats.duplicates;
    return wire::AckStatus::duplicate;
  }
  ++context_.stats.signatures_old;
  return wire::AckStatus::wrong_time;
}

}  // namespace qudag::message
