// The record of a message while it is in the sender's hands.
//
//   unsigned  in Sender's list of those to be signed, or with a worker, which then has its bytes
//   waiting   in the list of its flow (or, a reply, of its circuit end); nothing of it is sent, or
//             it rides in builds (circuit_end.h): the first that is ready starts it
//   started   in circuit_end->started and circuit_end->by_ref; `sent` of `size` bytes are out
//   asking    started, and the destination has not said yet from where it goes on; nothing is sent
//   partial   started and sent < size: also in circuit_end->turns
//   ended     erased; its outcome is queued
#pragma once

#include "base/slot_map.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "message/deadlines.h"
#include "sync/intrusive.h"
#include "wire/message_frames.h"

#include <qudag/address.h>
#include <qudag/message.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

namespace qudag::message {

using sync::Index, sync::Links, sync::List;

struct Flow;
struct CircuitEnd;
struct Unsigned;

struct Envelope : Timed {
  Envelope() : Timed(TimedKind::envelope) {}

  SlotHandle handle;  // its value is the SendId

  wire::MessageId message{};
  std::optional<wire::Scope> scope;          // of the circuit that it was first sent on
  std::optional<std::uint32_t> in_reply_to;  // a reply: to that ref, bound to its circuit end
  ChannelNumber to_channel = 0;              // at the destination; 0 of a reply
  Priority priority = Priority::normal;
  bool is_signed = false;
  std::uint8_t attempts = 0;  // circuits that it waited for or was sent on, and ended; 255: or more
  TimePoint accepted{};
  Duration waited{};  // until its first byte was packed
  TimePoint expires{};
  std::uint32_t ttl_ms = 0;  // as the receiver hears it

  memory::Chain bytes;  // all that DATA carries: signed prefix, then payload
  memory::Reservation reservation;
  std::uint32_t size = 0;            // bytes.bytes()
  std::uint32_t queue = UINT32_MAX;  // of its flow (queue/flow_queues.h), if it is counted there:
  std::uint32_t standing = 0;        // so much of it

  std::shared_ptr<Unsigned> to_sign;  // until it is signed. Owners: this, the worker

  Flow* flow = nullptr;               // null for a reply, and until it is signed
  CircuitEnd* circuit_end = nullptr;  // set while started; for a reply always

  // This transmission.
  bool started = false;
  bool asks = false;
  std::uint32_t ref = 0;
  std::uint32_t sent = 0;
  memory::BlockHeader* at = nullptr;  // the block that byte `sent` is in, and its offset there
  std::size_t at_offset = 0;
  std::uint32_t sent_before = 0;  // the most that an earlier transmission sent, or that rode
  // Other copies of it that may come to the destination: in builds, over circuits that ended. Each
  // may take the place of this one there, once.
  std::uint8_t others = 0;
  bool rode = false;     // in a build; when that left nobody knows
  std::size_t told = 0;  // the application, by on_progress

  Links<Envelope> order;  // to be signed, waiting, or started
  Links<Envelope> turn;   // partial
  Envelope* same_ref = nullptr;
  Envelope* same_id = nullptr;

  std::size_t prefix_bytes() const { return is_signed ? wire::kSignedPrefixBytes : 0; }
};

using EnvelopeOrder = List<Envelope, &Envelope::order>;
using EnvelopeTurns = List<Envelope, &Envelope::turn>;

struct EnvelopeRef {
  static const std::uint32_t& key(const Envelope& e) { return e.ref; }
  std::uint64_t hash(std::uint32_t ref) const { return ref; }  // refs are numbered in order
};
using EnvelopesByRef = Index<Envelope, &Envelope::same_ref, EnvelopeRef>;

struct EnvelopeId {
  static const wire::MessageId& key(const Envelope& e) { return e.message; }
  /// They are random, and ours.
  std::uint64_t hash(const wire::MessageId& id) const {
    std::uint64_t value = 0;
    std::memcpy(&value, id.data(), sizeof value);
    return value;
  }
};
using EnvelopesById = Index<Envelope, &Envelope::same_id, EnvelopeId>;

}  // namespace qudag::message
