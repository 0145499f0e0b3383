// The receiving half: fragments -> assemblies -> the application, and what is answered.
//
// Nothing that came on one circuit changes an answer on another, but for a message that its sender
// moved there: what is remembered of messages to this node is kept under a secret of their sender
// (key_of), and replies, which never change circuit, are remembered nowhere.
//
// Memory: a message is reserved by its announced size before its first byte is kept. What is
// refused is answered at once, and the bytes of it that still come are only counted. When memory is
// short, messages that nobody brings any more end first (unfinished.h), then those that hold theirs
// and do not come on (kStalledAfter). Copies: a
// fragment that fills at least half of its payload stays in the payload's own block, which becomes
// part of the message; smaller ones are copied together.
#pragma once

#include "message/context.h"
#include "message/known/delivered.h"
#include "message/known/unfinished.h"
#include "message/signing.h"

#include <optional>

namespace qudag::message {

/// Messages that may be arriving at a time, on all circuits.
inline constexpr std::size_t kAssembliesMax = 1 << 18;
/// Stalled: less than so much of the announced size came in so long.
inline constexpr auto kStalledAfter = std::chrono::seconds(10);
inline constexpr std::uint32_t kStalledShare = 256;

class Receiver {
 public:
  explicit Receiver(Context& context);

  /// A fragment. `payload` is the block that frame.bytes points into, or null if that may not be
  /// taken; when it was taken it is empty afterwards. False: the peer broke the protocol.
  /// The application may run inside: look the circuit end up again.
  [[nodiscard]] bool on_data(CircuitEnd& circuit_end, const wire::DataFrame& frame,
                             memory::Block* payload, Now now);
  /// A message with that id begins next in the payload.
  void expect(const CircuitEnd& circuit_end, const std::byte* id) const;
  [[nodiscard]] bool on_cancel(CircuitEnd& circuit_end, const wire::CancelFrame& frame);
  /// The circuit end is out of the table: what was arriving on it is dropped, but for large
  /// messages if `may_move`: their sender may go on over another circuit.
  void on_ended(CircuitEnd& circuit_end, bool may_move, Now now);
  /// Time to look at messages that nobody brings any more.
  void on_left_due(Now now);
  /// Memory is short: those are dropped until so many bytes are free. How many they were.
  std::size_t drop_left(std::size_t bytes);
  void on_expired(Assembly& assembly, Now now);

  // Of messages that the application has in hand (owed.cc).
  bool settle(const Handed& handed, Taken taken, Now now);
  void on_due(Owed& owed, Now now);
  void report(BoundedList& out) const;

  /// Gives workers what is to be verified.
  void pump(Now now);
  /// The workers had no room: try again then.
  TimePoint retry_at() const { return retry_at_; }

 private:
  /// A signed message with a worker, which has its bytes and their reservation.
  struct Unverified {
    Body body;
    std::optional<Result<Signer>> signer;  // the worker's; none until it has verified
    // If its circuit ends meanwhile.
    wire::MessageId key{};
    wire::MessageStart start;
    TimePoint expires{};
    NodeLink link;
    bool lent = false;
  };

  /// Of a new message: what it is known by (Assembly::key), and which handler it is for.
  using Named = Asked;
  std::optional<Named> name_of_new(const CircuitEnd& circuit_end,
                                   const wire::MessageStart& start) const;
  bool begin(CircuitEnd& circuit_end, const wire::DataFrame& frame, memory::Block* payload,
             Now now);
  bool take_whole(CircuitEnd& circuit_end, const wire::DataFrame& frame, const Named& named,
                  memory::Block* payload, Now now);
  bool keep_whole(Priority priority, Bytes bytes, memory::Block* payload, memory::Chain& out);
  std::optional<wire::AckStatus> refusal_of(const CircuitEnd& circuit_end,
                                            const wire::MessageStart& start,
                                            const std::optional<Named>& named, Now now) const;
  Delivered::State claim(const CircuitEnd& circuit_end, const wire::MessageStart& start,
                         const wire::MessageId& key, Now now);
  bool answer(CircuitEnd& circuit_end, std::uint32_t ref, wire::AckStatus status);
  bool refuse(CircuitEnd& circuit_end, const wire::DataFrame& frame, wire::AckStatus status);
  bool refuse(Assembly& assembly, wire::AckStatus status);
  enum class Stored : std::uint8_t { yes, no_memory, elsewhere };
  Stored store(Assembly& assembly, Bytes bytes, memory::Block* payload);
  bool store(Body& body, const Assembly& assembly, Bytes bytes, memory::Block* payload);
  bool copy(Body& body, const wire::MessageStart& start, Bytes bytes);
  bool deliver(Assembly& assembly, Now now);
  bool verify_later(Assembly& assembly);
  bool submit(Assembly& assembly);
  bool lend(Assembly& assembly);
  void take_back(Assembly& assembly);
  void bring_back(const Unverified& job, Now now);
  bool keep_again(Assembly& assembly);
  SignedFields fields_of(const Assembly& assembly) const;
  void on_verified(SlotHandle handle, Unverified& job, Now now);
  void leave_verified(Unverified& job, Now now);
  void verify_again(Assembly& assembly);
  bool verified(Assembly& assembly, const Result<Signer>& signer, Now now);
  std::optional<wire::AckStatus> refusal_of_signed(const Assembly& assembly, const Signer& signer,
                                                   Now now);
  bool hand_out(Assembly& assembly, const std::optional<Signer>& signer, Now now);
  bool hand_out(CircuitEnd& circuit_end, std::uint32_t ref, const wire::MessageStart& start,
                const Named& named, const std::optional<Signer>& signer, Received&& message,
                Now now);
  /// What is remembered of a message for which the application said `later`.
  struct HandedOut {
    wire::MessageId key{};
    std::optional<wire::MessageId> signed_key;
    TimePoint expires{};
    std::size_t bytes = 0;
    Priority priority = Priority::normal;
  };
  void owe(CircuitEnd& circuit_end, std::uint32_t ref, const HandedOut& message);
  bool wait_with(CircuitEnd& circuit_end, std::uint32_t ref, const wire::MessageId& key,
                 TimePoint expires, Now now);
  void end_all(Owed& owed, wire::AckStatus status);
  void end(Owed& owed, wire::AckStatus status);
  void forget(Owed& owed);
  void leave_owed(CircuitEnd& circuit_end);
  void count(Taken taken, Priority priority, std::size_t bytes);
  void replace_older(const CircuitEnd& circuit_end, const wire::MessageId& key);
  bool ask(CircuitEnd& circuit_end, const wire::DataFrame& frame, const Named& named, Now now);
  void look_again(Assembly& assembly, Now now);
  bool go_on(Assembly& assembly, std::optional<Unfinished::Found> held, Now now);
  bool take_body(Assembly& assembly);
  std::optional<Unfinished::Found> held_of(const wire::MessageId& key,
                                           const wire::MessageStart& start, Now now);
  bool reserve(memory::Reservation& reservation, const wire::MessageStart& start, Now now);
  bool refuse_moved(Assembly& assembly);
  bool moves(const CircuitEnd& circuit_end, const wire::MessageStart& start) const;
  void leave(Assembly& assembly, Now now);
  void watch_left();
  Assembly* open(CircuitEnd& circuit_end, const wire::DataFrame& frame, const Named& named,
                 Now now);
  void come_on(Assembly& assembly, Now now);
  void forget_progress(Assembly& assembly);
  bool make_room(Priority priority, Now now);
  bool end_stalled(Priority priority, Now now);
  void erase(Assembly& assembly);

  Context& context_;
  SlotMap<Assembly> assemblies_;
  AssembliesByKey by_key_;                                   // those at destinations
  std::array<AssembliesByProgress, kPriorityCount> coming_;  // with memory; stalled ones in front
  List<CircuitEnd, &CircuitEnd::verify_turn> verify_turns_;  // each has one to verify
  std::size_t to_verify_ = 0;                                // of all circuit ends
  std::size_t verifying_ = 0;                                // with workers
  TimePoint retry_at_ = kNever;
  OwedTable owed_;
  const std::shared_ptr<Delivered> delivered_;  // owners: the receivers of all shards
  Delivered::Handing handing_;
  const std::shared_ptr<Unfinished> unfinished_;  // owners: the same
  Timed left_due_{TimedKind::left};               // the first of them that is nobody's ends then
};

}  // namespace qudag::message
