// The sending half: from send() to exactly one outcome.
//
// An accepted message is signed by a worker, if it is to be; waits in its flow, is packed into
// payloads of the flow's circuit, and ends by its acknowledgement, its time to live, cancel(),
// shutdown(), or when limited attempts are used up. When its circuit ends first it goes back to the
// front of its flow. Over the next circuit it is sent again from its first byte, or, if much of it
// was sent, from where the destination says that it has it. Outcomes are queued and handed out by
// flush(), so that no caller is called back from inside its own call.
#pragma once

#include "message/circuit_pool.h"
#include "message/context.h"
#include "message/envelope.h"
#include "message/id_stock.h"
#include "message/signing.h"
#include "sync/fifo.h"
#include "sync/ledger.h"

#include <array>
#include <optional>

namespace qudag::message {

using sync::Fifo;

/// A message that is to be signed. While a worker signs, it has the bytes and their reservation, so
/// that the message may end without waiting for it.
struct Unsigned {
  Unsigned(const FlowKey& key, const SignedFields& f) : flow(key), fields(f) {}
  FlowKey flow;
  SignedFields fields;
  memory::Chain bytes;
  memory::Reservation reservation;
  std::optional<Status> result;  // the worker's; none until it has signed
};

class Sender final : private CircuitPool::Listener {
 public:
  explicit Sender(Context& context);

  Result<SendId> send(const NodeId& destination, memory::Chain payload,
                      memory::Reservation reservation, const SendOptions& options, Now now,
                      const std::optional<MessageId>& id);
  Result<SendId> reply(CircuitEnd& circuit_end, std::uint32_t in_reply_to, memory::Chain payload,
                       memory::Reservation reservation, std::chrono::milliseconds ttl, Now now,
                       const std::optional<MessageId>& id);
  void cancel(SendId id, Now now);
  void cancel(const MessageId& id, Now now);
  std::size_t shed(Priority priority, std::size_t count, const Error& why, Now now);

  /// False: the peer broke the protocol.
  [[nodiscard]] bool on_ack(CircuitEnd& circuit_end, const wire::AckFrame& ack, Now now);
  [[nodiscard]] bool on_credit(CircuitEnd& circuit_end, const wire::CreditFrame& credit);
  [[nodiscard]] bool on_held(CircuitEnd& circuit_end, const wire::HeldFrame& held);
  /// The circuit end is out of the table: its messages wait again, or have failed.
  void on_ended(CircuitEnd& circuit_end, const Error& why, Now now);
  void on_expired(Envelope& envelope, Now now);

  /// Everything that can be sent now is.
  void pump(Now now);
  /// Hands queued outcomes and progress to the application.
  void flush(Now now);
  void shutdown(Now now);

  CircuitPool& pool() { return pool_; }
  const CircuitPool& pool() const { return pool_; }
  void report(BoundedList& out, Now now) const;
  /// A pool of blocks was empty, or the workers had no room: try again then.
  TimePoint retry_at() const { return retry_at_; }

 private:
  struct Event {
    SendId id;
    bool is_progress = false;
    std::uint64_t done = 0, all = 0;
    Delivery delivery;
  };

  Status sign(Envelope& envelope, const FlowKey& key, Now now);
  void start_signing(Now now);
  void on_signed(SlotHandle handle, Unsigned& job, Now now);
  void queue(Envelope& envelope, const FlowKey& key, Now now);
  Result<Envelope*> accept(memory::Chain payload, memory::Reservation reservation,
                           Priority priority, std::chrono::milliseconds ttl, Now now,
                           const std::optional<MessageId>& id);
  void cancel(Envelope* envelope, Now now);
  void forget(Envelope& envelope);
  void write(CircuitEnd& circuit_end, Now now);
  void note_time(Envelope& envelope, Duration took);
  void stand(Envelope& envelope, const FlowKey& key, std::size_t bytes);
  void stand_again(Envelope& envelope);
  void drop_late(CircuitEnd& circuit_end, Now now);
  void detach(Envelope& envelope);
  void tell_progress(Envelope& envelope, std::size_t done);
  void give_up(Envelope& envelope);
  void finish(Envelope& envelope, Outcome outcome, Error reason, Now now);
  bool attempt_failed(Envelope& envelope, const Error& why, Now now);

  void on_build_failed(Flow& flow, const Error& why, Now now) override;
  void on_no_way(Flow& flow, const Error& why, Now now) override;
  void on_ridden(CircuitEnd& circuit_end, Now now) override;
  void on_ready(CircuitEnd& circuit_end, Now now) override;
  void on_kept(CircuitEnd& circuit_end, Port::KeptEnd end, Now now) override;
  bool goes_again(CircuitEnd& circuit_end, Envelope& envelope, wire::AckStatus status);

  Context& context_;
  CircuitPool pool_;
  SlotMap<Envelope> envelopes_;
  EnvelopesById by_id_;  // all of them
  IdStock ids_;
  std::array<sync::Ledger, kPriorityCount> books_;  // of messages that have not ended
  EnvelopeOrder to_sign_;
  std::size_t signing_ = 0;  // with workers
  Fifo<Event> events_;
  bool flushing_ = false;
  TimePoint retry_at_ = kNever;
};

}  // namespace qudag::message
