// The tables: a row for each state, in the order of the enumeration; a cell for each event.
#include "keeper/states.h"

#include <utility>

namespace qudag::keeper {
namespace {

using namespace std::chrono_literals;

template <class State, std::size_t kStates, std::size_t kEvents>
using Table = std::array<std::array<std::optional<State>, kEvents>, kStates>;

template <class Enum>
constexpr std::size_t at(Enum value) {
  return static_cast<std::size_t>(value);
}

constexpr auto nope = std::nullopt;  // refused

constexpr Table<EndState, kEndStates, kEndEvents> ends() {
  using enum EndState;
  // clang-format off
  return {{
      // REGISTER REVOKE   STANDBY JOIN     ACCEPT   DECLINE PART    PING     payload  PUT      GET     FETCH    TAKEN    DEPOSIT     PIECE       offer    answered refused other_ended kept
      {control, nope,    idle,   waiting, nope,    nope,   nope,   nope,    nope,    nope,    caller, nope,    nope,    depositing, nope,       nope,    nope,    nope,   nope,       nope},  // fresh
      {control, control, nope,   nope,    nope,    nope,   nope,   control, nope,    control, nope,   control, control, nope,       nope,       nope,    nope,    nope,   nope,       nope},  // control
      {nope,    nope,    nope,   nope,    nope,    nope,   nope,   idle,    nope,    nope,    nope,   nope,    nope,    nope,       nope,       offered, nope,    nope,   nope,       nope},  // idle
      {nope,    nope,    nope,   nope,    spliced, idle,   nope,   offered, nope,    nope,    nope,   nope,    nope,    nope,       nope,       nope,    nope,    nope,   nope,       nope},  // offered
      {nope,    nope,    nope,   nope,    nope,    nope,   parted, nope,    spliced, nope,    nope,   nope,    nope,    nope,       nope,       nope,    nope,    nope,   parting,    nope},  // spliced
      {nope,    nope,    nope,   nope,    nope,    nope,   parted, nope,    parting, nope,    nope,   nope,    nope,    nope,       nope,       nope,    nope,    nope,   nope,       nope},  // parting
      {nope,    nope,    idle,   nope,    nope,    nope,   nope,   nope,    nope,    nope,    nope,   nope,    nope,    nope,       nope,       nope,    nope,    nope,   nope,       nope},  // parted
      {nope,    nope,    nope,   waiting, nope,    nope,   nope,   caller,  nope,    nope,    caller, nope,    nope,    depositing, nope,       nope,    nope,    nope,   nope,       nope},  // caller
      {nope,    nope,    nope,   nope,    nope,    nope,   caller, nope,    nope,    nope,    nope,   nope,    nope,    nope,       nope,       nope,    joined,  caller, nope,       storing},  // waiting
      {nope,    nope,    nope,   nope,    nope,    nope,   caller, nope,    joined,  nope,    nope,   nope,    nope,    nope,       nope,       nope,    nope,    nope,   leaving,    nope},  // joined
      {nope,    nope,    nope,   nope,    nope,    nope,   caller, nope,    leaving, nope,    nope,   nope,    nope,    nope,       nope,       nope,    nope,    nope,   nope,       nope},  // leaving
      {nope,    nope,    nope,   nope,    nope,    nope,   nope,   nope,    nope,    nope,    nope,   nope,    nope,    nope,       depositing, nope,    nope,    turned, nope,       storing},  // depositing
      {nope,    nope,    nope,   nope,    nope,    nope,   caller, nope,    nope,    nope,    nope,   nope,    nope,    nope,       nope,       nope,    nope,    caller, nope,       nope},  // storing
      {nope,    nope,    nope,   nope,    nope,    nope,   nope,   nope,    nope,    nope,    nope,   nope,    nope,    nope,       turned,     nope,    nope,    nope,   nope,       nope},  // turned
  }};
  // clang-format on
}

constexpr Table<StandbyState, kStandbyStates, kStandbyEvents> standbys() {
  using enum StandbyState;
  // clang-format off
  return {{
      // built  offer    refused  payload  part     pong     leave
      {waiting, nope,    nope,    nope,    nope,    nope,    nope},     // building
      {nope,    joined,  waiting, nope,    nope,    waiting, nope},     // waiting
      {nope,    nope,    nope,    joined,  waiting, joined,  parting},  // joined
      {nope,    nope,    nope,    parting, waiting, parting, nope},     // parting
  }};
  // clang-format on
}

constexpr Table<ControlState, kControlStates, kControlEvents> controls() {
  using enum ControlState;
  // clang-format off
  return {{
      // build     built        registered  knock       letter      pong        ended retry               kept
      {building, nope,        nope,       nope,       nope,       nope,       nope, nope,               nope},  // none
      {nope,     registering, nope,       nope,       nope,       nope,       lost, nope,               nope},  // building
      {nope,     nope,        registered, nope,       nope,       nope,       lost, nope,               nope},  // registering
      {nope,     nope,        registered, registered, registered, registered, lost, nope,               registered},  // registered
      {nope,     nope,        nope,       nope,       nope,       nope,       nope, ControlState::none, nope},  // lost
  }};
  // clang-format on
}

constexpr Table<CallState, kCallStates, kCallEvents> calls() {
  using enum CallState;
  // clang-format off
  return {{
      // built    joined  no    payload  part  pong  stored join     leave    card
      {waiting, nope,   nope, nope,    nope, nope, nope,  nope,    nope,    nope},  // building
      {nope,    joined, over, nope,    nope, nope, over,  nope,    nope,    nope},  // waiting
      {nope,    nope,   nope, joined,  over, nope, nope,  nope,    parting, nope},  // joined
      {nope,    nope,   nope, parting, over, nope, nope,  nope,    nope,    nope},  // parting
      {nope,    nope,   nope, nope,    nope, over, nope,  waiting, nope,    nope},  // over
      {looking, nope,   nope, nope,    nope, nope, nope,  nope,    nope,    nope},  // seeking
      {nope,    nope,   over, nope,    nope, nope, nope,  nope,    nope,    over},  // looking
  }};
  // clang-format on
}

constexpr auto kEnds = ends();
constexpr auto kStandbys = standbys();
constexpr auto kControls = controls();
constexpr auto kCalls = calls();

}  // namespace

std::optional<EndState> after(EndState state, EndEvent event) {
  return kEnds[at(state)][at(event)];
}
std::optional<StandbyState> after(StandbyState state, StandbyEvent event) {
  return kStandbys[at(state)][at(event)];
}
std::optional<ControlState> after(ControlState state, ControlEvent event) {
  return kControls[at(state)][at(event)];
}
std::optional<CallState> after(CallState state, CallEvent event) {
  return kCalls[at(state)][at(event)];
}

Duration time_in(EndState state) {
  switch (state) {
    case EndState::fresh:
    case EndState::offered:
    case EndState::waiting:
      return 10s;
    case EndState::control:
      return 150s;
    case EndState::idle:
      return 12h;
    case EndState::parting:
    case EndState::parted:
    case EndState::caller:
    case EndState::leaving:
    case EndState::turned:
    case EndState::storing:  // its own clock: a disk that answers nothing
      return 30s;
    case EndState::depositing:
      return 60s;
    case EndState::spliced:
    case EndState::joined:
      break;
  }
  return kForever;
}

std::string_view name_of(EndState state) {
  constexpr std::string_view kNames[kEndStates] = {
      "fresh",  "control", "idle",   "offered", "spliced",    "parting", "parted",
      "caller", "waiting", "joined", "leaving", "depositing", "storing", "turned"};
  return kNames[at(state)];
}
std::string_view name_of(StandbyState state) {
  constexpr std::string_view kNames[kStandbyStates] = {"building", "waiting", "joined", "parting"};
  return kNames[at(state)];
}
std::string_view name_of(ControlState state) {
  constexpr std::string_view kNames[kControlStates] = {"none", "building", "registering",
                                                       "registered", "lost"};
  return kNames[at(state)];
}
std::string_view name_of(CallState state) {
  constexpr std::string_view kNames[kCallStates] = {"building", "waiting", "joined", "parting",
                                                    "over",     "seeking", "looking"};
  return kNames[at(state)];
}

}  // namespace qudag::keeper
