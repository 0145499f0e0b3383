// Where messages meet tunnels: a message::Port of which some circuits are this shard's own and some
// are tunnels over a keeper, which look to messages like circuits with smaller payloads.
//
// A route whose last hop is a receiver of a known card is a call: build() makes a hail of the
// messages that ride, joins at the keeper before it, and says that the tunnel is built when the
// answer has opened. If the card is not known, or no good any more, the build asks the keeper for
// it and the JOIN follows on the same circuit. Tunnels of receivers of this node come in by open().
//
// A tunnel has an id of its own that no circuit has (bit 31, which is free in those) and that is
// never used again. So a reply to what came over a standby never reaches the standby's next caller.
//
// Owned by a shard, used on its thread only.
#pragma once

#include "keeper/cards.h"
#include "keeper/ends.h"
#include "keeper/hail.h"
#include "keeper/states.h"
#include "message/port.h"
#include "wire/message_frames.h"

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace qudag::keeper {

/// What a message of a letter is known by, as long as the letter may come: nobody else can guess
/// it.
using LetterKey = std::array<std::byte, 16>;

/// Who has the standbys of a tunnel that came to this node.
class TunnelHost {
 public:
  virtual ~TunnelHost() = default;
  /// These of its hail were taken.
  virtual void taken(std::span<const LetterKey> keys) = 0;
  /// Messages want no more of it.
  virtual void leave(circuit::CircuitId standby, Now now) = 0;
};

/// Who has given a message of a letter to messages.
class LetterHost {
 public:
  virtual ~LetterHost() = default;
  /// What became of it. Not inside open_letter().
  virtual void answered(std::uint64_t token, wire::AckStatus status, Now now) = 0;
};

struct PortsStats {
  std::uint64_t deposits = 0, stored = 0;
  std::uint64_t calls = 0, joined = 0, calls_refused = 0, answers_bad = 0, payloads_bad = 0,
                looked_up = 0, cards_bad = 0;
  std::uint64_t tunnels = 0;  // now
};

class Ports final : public message::Port, private Owner {
 public:
  Ports(Ends& ends, std::shared_ptr<Cards> cards, crypto::Cipher cipher)
      : ends_(ends), plain_(ends.circuits()), cards_(std::move(cards)), cipher_(cipher) {}

  /// Who hears of tunnels as of circuits: messages. Before the first of them.
  void attach(circuit::CircuitEvents& above) { above_ = &above; }

  static bool is_tunnel(circuit::CircuitId id) { return (id.value & kTunnelBit) != 0; }

  // Of a receiver.
  /// A tunnel over that standby, and then its first frames. `hailed`: of the messages that are in
  /// its hail, by ref, if its keeper may keep that as a letter too.
  circuit::CircuitId open(TunnelHost& host, const NodeId& receiver, circuit::CircuitId standby,
                          Priority priority, Tunnel keys, std::vector<LetterKey> hailed = {});
  void begin(circuit::CircuitId tunnel, Bytes frames, Now now);
  /// A payload of it; false: it is not the next one of the caller, and the tunnel is over.
  [[nodiscard]] bool take(circuit::CircuitId tunnel, memory::Block payload, std::size_t& work,
                          Now now);
  void sendable_again(circuit::CircuitId tunnel, Now now);
  /// It has ended, and messages hear of it.
  void ended(circuit::CircuitId tunnel, const Error& why, Now now);

  // Letters of a receiver (letters/letter_ports.cc).
  /// Its frames are those of one message, to messages as if they had come over a circuit; what they
  /// answer comes to the host.
  void open_letter(LetterHost& host, std::uint64_t token, const NodeId& receiver, Priority priority,
                   Bytes frames, Now now);
  /// Nothing comes to it any more.
  void forget(LetterHost& host, Now now);

  // message::Port
  bool may_be_away(std::span<const onion::RouteHop> route) const override;
  std::size_t deposit_room(std::size_t bytes) const override;
  Result<circuit::CircuitId> build_kept(std::span<const onion::RouteHop> route, Priority priority,
                                        Now now, Bytes rider, Keep keep) override;
  KeptEnd kept_end() const override { return kept_end_; }
  bool is_letter(circuit::CircuitId circuit) const override;
  Result<circuit::CircuitId> build(std::span<const onion::RouteHop> route, Priority priority,
                                   Now now, Bytes rider) override;
  std::size_t rider_room(std::size_t hops) const override { return plain_.rider_room(hops); }
  std::size_t rider_room_of(std::span<const onion::RouteHop> route) const override;
  std::size_t payload_bytes(circuit::CircuitId circuit, Priority priority) const override;
  memory::Block payload_block(Priority priority) override { return plain_.payload_block(priority); }
  memory::Block payload_block_of(circuit::CircuitId circuit, Priority priority) override;
  std::optional<NodeId> receiver_of(circuit::CircuitId circuit) const override;
  unsigned legs(circuit::CircuitId circuit) const override;
  bool has_left(circuit::CircuitId circuit) const override;
  bool is_first_link_silent(circuit::CircuitId circuit, Now now) const override;
  std::size_t sendable(circuit::CircuitId circuit) const override;
  void send(circuit::CircuitId circuit, memory::Block payload, Now now) override;
  LinkId link_of(circuit::CircuitId circuit) const override;
  std::size_t held(circuit::CircuitId circuit) const override;
  std::size_t failed_hop() const override;
  void close(circuit::CircuitId circuit, Now now) override { close(circuit, How::close, now); }
  void give_up(circuit::CircuitId circuit, Now now) override { close(circuit, How::give_up, now); }
  void lost_race(circuit::CircuitId circuit, Now now) override {
    close(circuit, How::lost_race, now);
  }

  void on_time(Now now);
  TimePoint next_deadline() const {
    return letter_answers_.empty() ? deadlines_.earliest() : TimePoint::min();
  }
  PortsStats stats() const;

 private:
  static constexpr std::uint64_t kTunnelBit = std::uint64_t{1} << 31;
  enum class How : std::uint8_t { close, give_up, lost_race };

  struct Line {
    circuit::CircuitId tunnel;
    circuit::CircuitId circuit;
    Priority priority = Priority::normal;
    NodeId receiver;
    std::optional<Tunnel> keys;     // once it is joined
    TunnelHost* host = nullptr;     // of a receiver of ours; else it is a call
    std::vector<LetterKey> hailed;  // of such a one: what its hail brought
    // Of a call.
    CallState state = CallState::building;
    NodeId keeper;
    std::size_t hops = 0;  // of its route, the receiver included
    Call call;
    bool looked = false;            // the card was not known when it was built
    std::vector<std::byte> frames;  // of the hail, until it is
    wire::KeeperStream stream;
    TimePoint asked{};
    DeadlineHook deadline_hook;
    // Of a deposit: what has not left of it.
    bool deposits = false, last = false;
    bool kept = false;  // its hail is to be kept, if nobody answers
    wire::LetterId letter{};
    std::vector<std::byte> sealed;
    std::size_t sent = 0;
    // Of a message of a letter that came.
    LetterHost* letters = nullptr;
    std::uint64_t token = 0;
    bool answered = false;
  };

  circuit::CircuitId next_id();
  Line* find(circuit::CircuitId tunnel) const;
  Line* line_of(circuit::CircuitId circuit) const;
  circuit::CircuitId inner(circuit::CircuitId circuit) const;
  Result<circuit::CircuitId> call(const KnownCard& known, std::span<const onion::RouteHop> route,
                                  Priority priority, Bytes frames, Keep keep, Now now);
  Result<circuit::CircuitId> deposit(const KnownCard& known, std::span<const onion::RouteHop> route,
                                     Priority priority, Bytes frames, Now now);
  struct LetterAnswer {
    circuit::CircuitId tunnel;
    wire::AckStatus said = wire::AckStatus::delivered;
  };
  void send_pieces(Line& line, Now now);
  bool on_stored(Line& line, const wire::StoredFrame& frame, Now now);
  bool note_kept(Line& line, wire::NoReason reason, Now now);
  void end_kept(Line& line, KeptEnd end, Now now);
  void read_answers(Line& line, Bytes payload);
  void note_taken(const Line& line, Bytes payload);
  void answer_letter(Line& line, wire::AckStatus status);
  void tell_letter_answers(Now now);
  void close(circuit::CircuitId circuit, How how, Now now);
  void erase(Line& line);
  void end_call(Line& line, const Error& why, std::size_t failed_hop, Now now);

  // Owner: the circuits of calls.
  void on_built(circuit::CircuitId circuit, Duration took, Now now) override;
  std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) override;
  void on_sendable(circuit::CircuitId circuit, Now now) override;
  void on_draining(circuit::CircuitId circuit, bool stops, Now now) override;
  void on_ended(circuit::CircuitId circuit, const Error& why, Now now) override;
  bool on_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now);
  bool on_joined(Line& line, const wire::JoinedFrame& frame, Now now);
  bool on_no(Line& line, const wire::NoFrame& frame, Now now);
  bool on_card(Line& line, const wire::CardFrame& frame, Now now);
  KnownCardPtr learn(Line& line, const wire::CardFrame& frame, Now now);
  bool join(Line& line, const KnownCard& known, Now now);
  bool refuse(Line& line, const char* why, Now now);

  Ends& ends_;
  message::CircuitsPort plain_;
  const std::shared_ptr<Cards> cards_;  // owners: all shards
  const crypto::Cipher cipher_;         // of the tunnels of our calls
  circuit::CircuitEvents* above_ = nullptr;
  std::unordered_map<std::uint64_t, std::unique_ptr<Line>> lines_;  // by tunnel
  std::unordered_map<std::uint64_t, Line*> calls_;                  // by circuit
  DeadlineHeap<Line> deadlines_;                                    // of calls without an answer
  std::uint64_t ids_ = 0;
  std::optional<std::size_t> failed_hop_;     // of the call whose end is being told
  KeptEnd kept_end_ = KeptEnd::none;          // the same
  std::vector<LetterAnswer> letter_answers_;  // told by the next on_time
  std::size_t deposits_ = 0;                  // now
  PortsStats stats_;
};

}  // namespace qudag::keeper
