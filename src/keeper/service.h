// The keeper's ends of circuits, of one shard (docs/reference/protocol.md, 14): receivers register
// and wait, callers join, payloads pass between two of them.
//
// A frame or payload -> its event in the table of states.h -> what follows. What the table does not
// allow ends the circuit. A splice is joined by Ops (splice.h), applied at once where both halves
// are on this shard.
//
// Owned by a shard, used on its thread only; the Registry is shared by all. Nothing of a message is
// read here, nor could it be.
#pragma once

#include "base/deadline_heap.h"
#include "base/rng.h"
#include "circuit/circuits.h"
#include "keeper/letters/letter_room.h"
#include "keeper/registry.h"
#include "keeper/splice.h"
#include "keeper/states.h"
#include "memory/budget.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

namespace qudag::keeper {

struct ServiceStats {
  std::uint64_t ends = 0;
  std::uint64_t registered = 0, refused_registrations = 0;
  std::uint64_t joined = 0, offered = 0, knocks = 0, crossings = 0;
  std::uint64_t refused_no_inbox = 0, refused_away = 0, refused_busy = 0, refused_declined = 0,
                refused_fast = 0, refused_ended = 0;
  std::uint64_t payloads_passed = 0, payloads_dropped = 0;
  std::uint64_t cards_put = 0, cards_given = 0, cards_missing = 0;
  std::uint64_t broke_rules = 0, timed_out = 0, refused_ends = 0;
  // Of letters.
  std::uint64_t letters_stored = 0, letters_slow = 0, letters_known = 0, letters_sent = 0,
                letters_taken = 0, refused_room = 0, refused_disk = 0, deposits = 0;
};

class Service {
 public:
  struct Parts {
    unsigned shard = 0;
    std::shared_ptr<Registry> registry;  // owners: the services of all shards
    circuit::Circuits& circuits;
    Rng& rng;
    std::size_t ends_max = 1'024;
    memory::Budget* memory = nullptr;  // of ends; null: no bound
    /// Runs that on the service of another shard; false: its mailbox is full, ask again.
    std::function<bool(unsigned shard, std::function<void(Service&, Now)>)> post;
    std::shared_ptr<LetterRoom> letters = nullptr;  // owners: the same; null: none are kept
  };
  explicit Service(Parts parts) : parts_(std::move(parts)), memory_(parts_.memory) {}

  // Of circuits that others built to this keeper, from circuit::CircuitEvents.
  void on_incoming(circuit::CircuitId circuit, Priority priority, Now now);
  std::size_t on_rider(circuit::CircuitId circuit, Bytes rider, Now now);
  std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now now);
  void on_sent(circuit::CircuitId circuit, std::size_t bytes, Now now);
  void on_ended(circuit::CircuitId circuit, Now now);
  bool has(circuit::CircuitId circuit) const { return ends_.contains(circuit.value); }

  void on_time(Now now);
  TimePoint next_deadline() const;
  /// Callers and receivers hear that this keeper stops; nothing is taken any more.
  void stop(Now now);

  ServiceStats stats() const;
  void report(BoundedList& out) const;

 private:
  /// A letter that comes, or goes to the disk: a hail that may become one, or a deposit.
  struct Incoming {
    wire::InboxId inbox{};
    LetterBox box{};
    wire::LetterId id{};
    bool deposit = false;   // in pieces: the answer is STORED, else NO
    bool reserved = false;  // in LetterRoom, for `size`
    bool arriving = false;  // one of those
    std::size_t size = 0;
    TimePoint since{};
    std::vector<std::byte> sealed;
  };
  /// What a control circuit is sent of its letters.
  struct Outgoing {
    std::uint64_t credit = 0;                  // bytes that may come
    std::map<LetterBox, std::uint64_t> after;  // the last one that was sent, by inbox
    std::set<LetterBox> empty;                 // nothing more was found there
    bool reading = false;                      // the store looks for one
    std::optional<KeptLetter> letter;
    std::size_t sent = 0;  // bytes of it
    TimePoint since{};
  };
  struct End {
    circuit::CircuitId circuit;
    Priority priority = Priority::normal;
    EndState state = EndState::fresh;
    wire::KeeperStream stream;
    std::size_t held = 0;            // by the stream, and counted
    std::shared_ptr<Splice> splice;  // while it is offered, waits, or passes payloads
    std::size_t skip = 0;            // bytes of our own that leave before passed ones do
    std::size_t dropped = 0;         // of a conversation that is over
    bool counted = false;            // the splice counts against its inbox until this half ends
    unsigned joins = 0;              // and look-ups, since then
    TimePoint minute{}, asked{};
    std::unique_ptr<Incoming> letter;  // of a caller that has one for us
    DeadlineHook deadline_hook;
  };

  End* find(circuit::CircuitId circuit);
  EndRef ref(const End& end) const { return {parts_.shard, end.circuit}; }
  static Half half_of(EndState state);
  void set_state(End& end, EndState state, Now now);
  void set_deadline(End& end, Now now);
  bool step(End& end, EndEvent event, Now now);
  bool tell(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now);
  void no(circuit::CircuitId circuit, wire::NoReason reason, Now now, std::uint16_t wait = 0);

  std::size_t take_frames(circuit::CircuitId circuit, Bytes bytes, Now now);
  bool keep_stream(End& end, wire::KeeperStream&& stream, bool begins, Now now);
  bool on_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now);
  bool on_register(End& end, const wire::RegisterFrame& frame, Now now);
  bool on_standby(End& end, const wire::StandbyFrame& frame, Now now);
  bool on_join(End& end, const wire::JoinFrame& frame, Now now);
  bool on_accept(End& end, const wire::AcceptFrame& frame, Now now);
  bool on_decline(End& end, Now now);
  bool on_put(End& end, const wire::PutFrame& frame, Now now);
  bool on_get(End& end, const wire::GetFrame& frame, Now now);
  std::optional<std::uint16_t> too_often(End& end, Now now);
  bool on_part(End& end, wire::PartReason reason, Now now);
  bool on_ping(End& end, const wire::KeeperPing& frame, Now now);
  void look_for(Join&& join, Now now);
  void refuse(End& end, wire::NoReason reason, Now now, std::uint16_t wait = 0);

  // Of letters (letter_service.cc).
  void may_keep(End& end, const wire::JoinFrame& frame);
  bool keeps_instead(End& end, wire::NoReason reason, Now now);
  bool on_deposit(End& end, const wire::DepositFrame& frame, Now now);
  bool on_piece(End& end, const wire::PieceFrame& frame, Now now);
  bool on_fetch(End& end, const wire::FetchFrame& frame, Now now);
  bool on_taken(End& end, const wire::TakenFrame& frame, Now now);
  void note_registered(std::span<const wire::InboxEntry> inboxes, wire::RegisteredFrame& answer,
                       Now now);
  void note_revoked(const wire::RevokeFrame& frame);
  void store(End& end, Now now);
  void on_stored(circuit::CircuitId circuit, const Incoming& letter, LetterEnd end, Now now);
  void say_stored(circuit::CircuitId circuit, const Incoming& letter, wire::StoredStatus status,
                  Now now);
  void turn_away(End& end, wire::StoredStatus status, Now now);
  void drop_letter(End& end);
  void letters_came(circuit::CircuitId control, const LetterBox& box, Now now);
  void send_letters(circuit::CircuitId control, Now now);
  void on_read(circuit::CircuitId control, const LetterBox& box, std::optional<KeptLetter> letter,
               Now now);
  void send_pieces(circuit::CircuitId control, Now now);
  void end_sending(circuit::CircuitId control);
  void letters_on_time(Now now);
  bool reads_too_slowly(circuit::CircuitId control, Now now) const;
  LetterRoom::Place take_place(Incoming& letter);
  void make_letter_room(bool incoming, Now now);
  void end_slowest(bool incoming, Now now);
  void offer(Join&& join, const EndRef& standby, Now now);
  void knock(const EndRef& control, const wire::KnockFrame& frame, Now now);
  void begin_passing(End& end);
  void end_passing(End& end, Now now);
  void leave_splice(End& end);

  void to(const std::shared_ptr<Splice>& splice, Half half, Op op, Now now);
  void cross(const std::shared_ptr<Splice>& splice, Half half, Now now);
  void drain(const std::shared_ptr<Splice>& splice, Half half, Now now);
  void apply(const std::shared_ptr<Splice>& splice, Half half, Op op, Now now);
  void apply_offer(End& end, const std::shared_ptr<Splice>& splice, Op op, Now now);
  void apply_payload(End& end, Half half, Op op, Now now);
  void on_shard(unsigned shard, std::function<void(Service&, Now)> task, Now now);

  void end_bad(circuit::CircuitId circuit, Now now);
  void end(circuit::CircuitId circuit, Now now);
  void forget(End& end, Now now);
  void due(End& end, Now now);

  const Parts parts_;
  memory::Allowance memory_;
  std::unordered_map<std::uint64_t, std::unique_ptr<End>> ends_;
  DeadlineHeap<End> deadlines_;
  ServiceStats stats_;
  bool stopping_ = false;
  std::unordered_map<std::uint64_t, Outgoing> outgoing_;  // by control circuit
  std::set<std::uint64_t> stalled_;                       // of them: no place to read one into
  TimePoint stalled_at_ = kNever;
  std::set<std::uint64_t> depositing_;  // callers whose pieces come
  TimePoint slowest_at_{};              // when one was looked for last
  // What found a mailbox full: at most one for each way of a splice, and one for each circuit of
  // another shard that is to be told something.
  std::vector<std::pair<std::shared_ptr<Splice>, Half>> owed_;
  std::vector<std::pair<unsigned, std::function<void(Service&, Now)>>> tasks_owed_;
};

}  // namespace qudag::keeper
