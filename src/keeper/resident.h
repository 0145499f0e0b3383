// A receiver of this node: keeps a control circuit and standbys at its keepers, takes calls, and
// gives each conversation to messages as a tunnel (Ports).
//
//   keeper drawn -> control circuit (REGISTER in its build) -> REGISTERED: the card is told
//   -> standbys (STANDBY in their builds) -> OFFER -> a tunnel -> PART -> STANDBY again
//
// Who it is, its keepers and its inbox keys last over a restart (KeptReceiver): what changes of
// them is written before it is told. The card is signed then, told to this node's program, and put
// at the keepers for who has an invitation (resident_cards.cc).
//
// What a keeper or a caller does makes it build at most a few circuits to that keeper at once and
// then one in ten seconds (kBuildsBurst, kBuildEvery): who breaks circuits to see others gets no
// more than that, and takes nothing from the builds to other keepers. Callers that come and go one
// after the other make it build nothing.
//
// Owned by a shard, used on its thread only; all circuits of a receiver are there.
#pragma once

#include "base/rng.h"
#include "crypto/kem.h"
#include "keeper/card/card.h"
#include "keeper/card/kept_receiver.h"
#include "keeper/ends.h"
#include "keeper/hail.h"
#include "keeper/letters/letter_intake.h"
#include "keeper/ports.h"
#include "keeper/states.h"
#include "keeper/ways.h"
#include "sync/token_bucket.h"

#include <qudag/receiver.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace qudag::keeper {

struct ResidentStats {
  std::uint64_t builds = 0, registered = 0, offers = 0, taken = 0, declined = 0, replayed = 0,
                knocks = 0, replaced = 0;
  std::uint64_t letters_taken = 0;
  std::uint64_t keepers = 0, standbys = 0, tunnels = 0;  // now
};

class Resident final : private Owner, private TunnelHost {
 public:
  struct Setup {
    NodeId id;  // of the receiver
    std::string name{};
    bool hidden = true;
    std::size_t keepers = 2;
    std::vector<NodeId> at;  // empty: drawn
    CardHandler on_card;
    /// Signs its cards; null: they are given by hand alone. Owners: this, who opened it.
    std::shared_ptr<const crypto::Identity> identity{};
    /// Of an earlier life, and where this one is kept: calls `done` on this shard, with true when
    /// it is on the disk, or false when it cannot be; false: not now, ask again. Null: nothing is
    /// kept.
    std::optional<KeptReceiver> kept{};
    std::function<bool(std::vector<std::byte> body, std::function<void(bool saved, Now)> done)>
        save{};
  };
  struct Parts {
    Ends& ends;
    Ports& ports;
    Ways& ways;
    Rng& rng;
    std::function<void(LinkId, Now)> ask{};  // whoever is there is to show that it lives
    SeenLetters* seen = nullptr;             // letters taken, over restarts; null: none
  };
  static Result<std::unique_ptr<Resident>> make(Setup setup, const Parts& parts, Now now);
  ~Resident() override = default;

  const NodeId& id() const { return setup_.id; }
  void on_time(Now now);
  TimePoint next_deadline() const;
  /// All its circuits end.
  void close(Now now);
  ResidentStats stats() const;
  ReceiverStatus status() const;
  const IntakeStats& letters() const { return intake_.stats(); }

 private:
  struct Standby {
    StandbyState state = StandbyState::building;
    Priority priority = Priority::normal;
    wire::KeeperStream stream;
    circuit::CircuitId tunnel;  // while it is joined
    std::vector<onion::RouteHop> route;
    TimePoint asked{}, ping_at{}, old_at{};
    TimePoint parted_by = kNever;  // the keeper's PART, after ours
    unsigned pings = 0;            // that have no answer
    bool worn = false;             // its first link goes, or it is old: it does not wait again
  };
  /// The letters of one keeper (letters/letter_resident.cc).
  struct Letters {
    std::optional<wire::LetterFrame> head;  // of one that comes in pieces
    std::vector<std::byte> sealed;
    std::uint64_t may_come = 0;                  // bytes that were asked for and have not come
    std::map<std::uint64_t, std::uint32_t> out;  // with the application: sizes, by number
    std::uint64_t out_bytes = 0;
    std::uint64_t passed = 0;         // bytes not taken, and gone on behind, in this round
    std::uint64_t owed = 0;           // bytes that are asked for when the round is over
    TimePoint round_at = kNever;      // then it is over
    sync::TokenBucket bad{0, 0, {}};  // such as do not open
  };
  /// What is at one keeper.
  struct Post {
    NodeId keeper;
    wire::OwnerSecret owner{};
    wire::InboxId inbox{};
    ControlState state = ControlState::none;
    circuit::CircuitId control;
    wire::KeeperStream stream;
    std::vector<onion::RouteHop> route;
    wire::Binding binding{};
    std::size_t standbys_max = 0;
    std::size_t knocked[2] = {};  // normal, low: wanted beside those that are
    bool listed = false;          // in the card
    bool doubted = false;         // a standby broke: it has to answer before there are others
    sync::TokenBucket builds{0, 0, {}};
    sync::TokenBucket hails{0, 0, {}};
    unsigned failures = 0;  // in a row
    TimePoint asked{}, retry_at{}, ping_at{}, pong_by = kNever;
    std::deque<TimePoint> lost;  // lately
    TimePoint away_since{};
    std::uint32_t number = 0;
    UnixSeconds until = 0;                      // another takes its place then; 0: never
    bool has_card = false;                      // the keeper keeps what was put there last
    TimePoint put_at{};                         // the next time
    std::map<std::uint64_t, Standby> standbys;  // by circuit
    Letters letters;
    UnixSeconds left_until = 0;  // another took its place: until then letters may be there
    bool left() const { return left_until != 0; }
  };

  Resident(Setup setup, const Parts& parts, Now now);
  Status restore(KeptReceiver kept, Now now);
  Post& add_post(const NodeId& keeper, std::uint32_t number, Now now);

  // Owner
  void on_built(circuit::CircuitId circuit, Duration took, Now now) override;
  std::size_t on_payload(circuit::CircuitId circuit, memory::Block payload, Now now) override;
  void on_sendable(circuit::CircuitId circuit, Now now) override;
  void on_draining(circuit::CircuitId circuit, bool stops, Now now) override;
  void on_ended(circuit::CircuitId circuit, const Error& why, Now now) override;
  // TunnelHost
  void taken(std::span<const LetterKey> keys) override { intake_.note(keys); }
  void leave(circuit::CircuitId standby, Now now) override;

  struct Place {
    Post* post = nullptr;
    Standby* standby = nullptr;  // null: its control circuit
    explicit operator bool() const { return post != nullptr; }
  };
  Place find(circuit::CircuitId circuit);

  void fill_posts(Now now);
  void replace_lost(Now now);
  void look_after(Post& post, Now now);
  void keep_signs_of_life(Post& post, Now now);
  void build_control(Post& post, Now now);
  bool build_standby(Post& post, Priority priority, Now now);
  std::size_t wanted(const Post& post) const;
  void on_build_ended(Post& post, std::span<const onion::RouteHop> route, const Error& why,
                      std::size_t failed_hop, Now now);
  void doubt(Post& post, Now now);
  void ask_first_hops(Now now);
  void ask_due(Now now);
  void lose(Post& post, Now now);
  void drop(Post& post, Now now);

  // resident_cards.cc
  void rotate_keys(Now now);
  void retire_posts(Now now);
  bool leaves(const Post& post, Now now) const;
  void renew_card(Now now);
  void tell_card(Now now);
  void put_card(Post& post, Now now);
  bool on_kept(Post& post, const wire::KeptFrame& frame, Now now);
  KeptReceiver to_keep() const;
  Card card_now(Now now) const;

  bool on_control_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now);
  bool on_registered(Post& post, const wire::RegisteredFrame& frame, Now now);
  bool on_standby_frame(circuit::CircuitId circuit, const wire::KeeperFrame& frame, Now now);
  bool on_offer(circuit::CircuitId circuit, const wire::OfferFrame& frame, Now now);
  bool on_part(circuit::CircuitId circuit, Now now);
  bool decline(circuit::CircuitId circuit, Standby& standby, Now now);
  bool tell(circuit::CircuitId circuit, Priority priority, const wire::KeeperFrame& frame, Now now);
  void end(circuit::CircuitId circuit, Now now);
  void forget(circuit::CircuitId circuit, const Error& why, std::size_t failed_hop, Now now);

  // Letters (letters/letter_resident.cc).
  void leave_post(Post& post, Now now);
  void end_left(Now now);
  void fetch_letters(Post& post, Now now);
  void fetch_again(Post& post, Now now);
  bool fetch(Post& post, std::uint64_t bytes, Now now);
  void pass_over(Post& post, std::uint32_t size, bool wait, Now now);
  bool on_letter(Post& post, const wire::LetterFrame& frame);
  bool on_letter_piece(circuit::CircuitId circuit, const wire::PieceFrame& frame, Now now);
  void read_letter(Post& post, const wire::LetterFrame& head, MutableBytes sealed, Now now);
  enum class LetterEnding : std::uint8_t { taken, not_taken, bad };
  void letter_ended(const NodeId& keeper, std::uint64_t number, LetterEnding how, Now now);
  Duration about(Duration time);

  Setup setup_;
  Parts parts_;
  Secret<32> master_;  // owner secrets follow from it
  struct InboxKey {
    crypto::KemKeyPair pair;
    UnixSeconds made = 0;
  };
  std::deque<InboxKey> keys_;  // the newest first
  onion::ReplayWindow seen_;
  std::deque<Post> posts_;    // they do not move
  std::uint32_t number_ = 0;  // of the next inbox
  std::size_t tunnels_ = 0;
  // The most conversations at once, in the ten minutes that began then and in those before.
  std::size_t peak_ = 0, peak_before_ = 0;
  TimePoint peak_at_{};
  UnixSeconds replaced_ = 0;  // when one that was lost was replaced; 0: never
  TimePoint look_at_{};
  struct Ask {
    TimePoint at{};
    LinkId link;
  };
  std::vector<Ask> asks_;  // of first hops, to come: one for each
  TimePoint ask_at_ = kNever, ask_again_{};
  bool closed_ = false;
  Pin pin_{};
  Card pending_, told_;  // the newest, which may be on its way to the disk; what callers have
  std::vector<std::byte> signed_;          // the told one; empty: none is, or nobody signs
  bool saving_ = false, changed_ = false;  // meanwhile
  TimePoint save_again_{};                 // the disk could not be written: not before
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // owners: this; saves ask for it
  LetterIntake intake_;
  ResidentStats stats_;
};

}  // namespace qudag::keeper
