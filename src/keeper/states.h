// Who may say what, and when, on circuits that end at a keeper: three tables, one for each end.
// Pure: they see no frame and no clock. What a table does not allow ends the circuit when it came
// from the peer: words that are silently dropped would be a signal to a guard that watches.
//
// A PART is answered by a PART, always: so each end knows from where on nothing of the former
// conversation can come, and a standby waits again without a payload that is nobody's.
//
// The keeper's end of a circuit that somebody built to it:
//
//   fresh     REGISTER -> control   STANDBY -> idle   JOIN -> waiting   DEPOSIT -> depositing
//             GET -> caller
//   control   REGISTER, REVOKE, PUT, FETCH, TAKEN, PING                  (ends with its circuit)
//   idle      PING                                   offer -> offered
//   offered   PING, ACCEPT -> spliced, DECLINE -> idle
//   spliced   payload, PART -> parted (answered)     other half ended -> parting
//   parting   payload (dropped), PART -> parted
//   parted    STANDBY -> idle
//   caller    JOIN -> waiting, DEPOSIT -> depositing, GET, PING
//   waiting   PART -> caller (answered)              answered -> joined, refused -> caller,
//                                                    kept -> storing
//   joined    payload, PART -> caller (answered)     other half ended -> leaving
//   leaving   payload (dropped), PART -> caller
//
// Of letters (letter_service.cc):
//
//   depositing   PIECE                               kept -> storing, refused -> turned
//   storing      PART -> caller (answered)           refused -> caller (NO, STORED: it is on disk)
//   turned       PIECE (dropped), until the peer ends it
#pragma once

#include "base/time.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qudag::keeper {

// ---- the keeper's end ---------------------------------------------------------------------------

enum class EndState : std::uint8_t {
  fresh,
  control,
  idle,
  offered,
  spliced,
  parting,
  parted,
  caller,
  waiting,
  joined,
  leaving,
  depositing,  // a letter comes in pieces
  storing,     // the letter is on its way to the disk
  turned,      // a deposit was refused: what is under way of it is dropped
};
inline constexpr std::size_t kEndStates = 14;
std::string_view name_of(EndState state);

enum class EndEvent : std::uint8_t {
  // of the peer
  register_inboxes,
  revoke,
  standby,
  join,
  accept,
  decline,
  part,
  ping,
  payload,
  put,
  get,  // CARD goes out
  fetch,
  taken,
  deposit,
  piece,
  // of this node
  offer,        // an OFFER goes out
  answered,     // JOINED goes out
  refused,      // NO goes out, or STORED
  other_ended,  // the other half of the splice has parted or ended: PART goes out
  kept,         // the letter is whole, and goes to the disk
};
inline constexpr std::size_t kEndEvents = 20;

/// The state after that event; nothing if it may not happen there.
std::optional<EndState> after(EndState state, EndEvent event);

/// How long the keeper lets an end stay in a state: without a cell of it in control, idle and
/// caller, else altogether. kForever: as long as its circuit lives.
inline constexpr Duration kForever = Duration::max();
Duration time_in(EndState state);

// ---- the receiver: its end of a standby ---------------------------------------------------------

enum class StandbyState : std::uint8_t {
  building,  // the build has STANDBY in its rider
  waiting,   // for an OFFER
  joined,    // ACCEPT went out: payloads of a tunnel
  parting,   // our PART went out, the keeper's has not come
};
inline constexpr std::size_t kStandbyStates = 4;
std::string_view name_of(StandbyState state);

enum class StandbyEvent : std::uint8_t {
  built,
  // of the keeper
  offer,    // taken: ACCEPT goes out
  refused,  // an OFFER that is not: DECLINE goes out
  payload,  // of a tunnel
  part,     // PART (unless ours went out before) and STANDBY go out
  pong,
  // of this node
  leave,  // PART goes out
};
inline constexpr std::size_t kStandbyEvents = 7;
std::optional<StandbyState> after(StandbyState state, StandbyEvent event);

/// And of its control circuit.
enum class ControlState : std::uint8_t { none, building, registering, registered, lost };
inline constexpr std::size_t kControlStates = 5;
std::string_view name_of(ControlState state);
enum class ControlEvent : std::uint8_t {
  build,       // a build goes out, with REGISTER in its rider
  built,       // and is there
  registered,  // REGISTERED came
  knock,
  letter,  // LETTER, and PIECE
  pong,
  ended,  // the circuit, or its build
  retry,  // its wait is over
  kept,   // what became of our PUT
};
inline constexpr std::size_t kControlEvents = 9;
std::optional<ControlState> after(ControlState state, ControlEvent event);

// ---- the caller: its circuit to a keeper --------------------------------------------------------

enum class CallState : std::uint8_t {
  building,  // the build has JOIN in its rider
  waiting,   // for JOINED or NO
  joined,    // payloads of a tunnel
  parting,   // our PART went out, the keeper's has not come
  over,      // may JOIN again, or goes
  seeking,   // the build has GET in its rider: the card is not known
  looking,   // for CARD
};
inline constexpr std::size_t kCallStates = 7;
std::string_view name_of(CallState state);
enum class CallEvent : std::uint8_t {
  built,
  // of the keeper
  joined,
  no,
  payload,
  part,
  pong,
  stored,  // the deposit that it was built for, or why it was not
  // of this node
  join,   // JOIN goes out once more
  leave,  // PART goes out
  card,   // of the keeper: the answer to GET
};
inline constexpr std::size_t kCallEvents = 10;
std::optional<CallState> after(CallState state, CallEvent event);

}  // namespace qudag::keeper
