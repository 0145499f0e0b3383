// Every cell of the three tables, against a second list of what is allowed.
#include "keeper/states.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace qudag::keeper {
namespace {

/// All cells: the listed ones lead where they say, the others nowhere.
template <class State, class Event>
void expect_only(const std::map<std::pair<State, Event>, State>& allowed, std::size_t states,
                 std::size_t events) {
  std::size_t found = 0;
  for (std::size_t s = 0; s < states; ++s) {
    for (std::size_t e = 0; e < events; ++e) {
      const auto state = static_cast<State>(s);
      const auto event = static_cast<Event>(e);
      const auto next = after(state, event);
      const auto at = allowed.find({state, event});
      ASSERT_EQ(next.has_value(), at != allowed.end()) << name_of(state) << ", event " << e;
      if (!next) continue;
      EXPECT_EQ(*next, at->second) << name_of(state) << ", event " << e;
      ++found;
    }
  }
  EXPECT_EQ(found, allowed.size());
}

TEST(KeeperStates, EveryCellOfTheKeepersEnd) {
  using S = EndState;
  using E = EndEvent;
  expect_only<S, E>({{{S::fresh, E::register_inboxes}, S::control},
                     {{S::fresh, E::standby}, S::idle},
                     {{S::fresh, E::join}, S::waiting},
                     {{S::fresh, E::get}, S::caller},
                     {{S::control, E::put}, S::control},
                     {{S::caller, E::get}, S::caller},
                     {{S::fresh, E::deposit}, S::depositing},
                     {{S::control, E::register_inboxes}, S::control},
                     {{S::control, E::revoke}, S::control},
                     {{S::control, E::fetch}, S::control},
                     {{S::control, E::taken}, S::control},
                     {{S::control, E::ping}, S::control},
                     {{S::idle, E::ping}, S::idle},
                     {{S::idle, E::offer}, S::offered},
                     {{S::offered, E::ping}, S::offered},
                     {{S::offered, E::accept}, S::spliced},
                     {{S::offered, E::decline}, S::idle},
                     {{S::spliced, E::payload}, S::spliced},
                     {{S::spliced, E::part}, S::parted},
                     {{S::spliced, E::other_ended}, S::parting},
                     {{S::parting, E::payload}, S::parting},
                     {{S::parting, E::part}, S::parted},
                     {{S::parted, E::standby}, S::idle},
                     {{S::caller, E::join}, S::waiting},
                     {{S::caller, E::deposit}, S::depositing},
                     {{S::caller, E::ping}, S::caller},
                     {{S::waiting, E::part}, S::caller},
                     {{S::waiting, E::answered}, S::joined},
                     {{S::waiting, E::refused}, S::caller},
                     {{S::waiting, E::kept}, S::storing},
                     {{S::storing, E::part}, S::caller},
                     {{S::storing, E::refused}, S::caller},
                     {{S::depositing, E::piece}, S::depositing},
                     {{S::depositing, E::kept}, S::storing},
                     {{S::depositing, E::refused}, S::turned},
                     {{S::turned, E::piece}, S::turned},
                     {{S::joined, E::payload}, S::joined},
                     {{S::joined, E::part}, S::caller},
                     {{S::joined, E::other_ended}, S::leaving},
                     {{S::leaving, E::payload}, S::leaving},
                     {{S::leaving, E::part}, S::caller}},
                    kEndStates, kEndEvents);
}

TEST(KeeperStates, EveryCellOfAStandby) {
  using S = StandbyState;
  using E = StandbyEvent;
  expect_only<S, E>({{{S::building, E::built}, S::waiting},
                     {{S::waiting, E::offer}, S::joined},
                     {{S::waiting, E::refused}, S::waiting},
                     {{S::waiting, E::pong}, S::waiting},
                     {{S::joined, E::payload}, S::joined},
                     {{S::joined, E::part}, S::waiting},
                     {{S::joined, E::pong}, S::joined},
                     {{S::joined, E::leave}, S::parting},
                     {{S::parting, E::payload}, S::parting},
                     {{S::parting, E::part}, S::waiting},
                     {{S::parting, E::pong}, S::parting}},
                    kStandbyStates, kStandbyEvents);
}

TEST(KeeperStates, EveryCellOfAControlCircuit) {
  using S = ControlState;
  using E = ControlEvent;
  expect_only<S, E>({{{S::none, E::build}, S::building},
                     {{S::building, E::built}, S::registering},
                     {{S::building, E::ended}, S::lost},
                     {{S::registering, E::registered}, S::registered},
                     {{S::registering, E::ended}, S::lost},
                     {{S::registered, E::registered}, S::registered},
                     {{S::registered, E::knock}, S::registered},
                     {{S::registered, E::letter}, S::registered},
                     {{S::registered, E::pong}, S::registered},
                     {{S::registered, E::ended}, S::lost},
                     {{S::registered, E::kept}, S::registered},
                     {{S::lost, E::retry}, S::none}},
                    kControlStates, kControlEvents);
}

TEST(KeeperStates, EveryCellOfACall) {
  using S = CallState;
  using E = CallEvent;
  expect_only<S, E>({{{S::building, E::built}, S::waiting},
                     {{S::waiting, E::joined}, S::joined},
                     {{S::waiting, E::no}, S::over},
                     {{S::waiting, E::stored}, S::over},
                     {{S::joined, E::payload}, S::joined},
                     {{S::joined, E::part}, S::over},
                     {{S::joined, E::leave}, S::parting},
                     {{S::parting, E::payload}, S::parting},
                     {{S::parting, E::part}, S::over},
                     {{S::over, E::pong}, S::over},
                     {{S::over, E::join}, S::waiting},
                     {{S::seeking, E::built}, S::looking},
                     {{S::looking, E::no}, S::over},
                     {{S::looking, E::card}, S::over}},
                    kCallStates, kCallEvents);
}

/// Whatever is said, an end that waits for its peer waits for a bounded time.
TEST(KeeperStates, OnlyASpliceLastsAsLongAsItsCircuits) {
  for (std::size_t s = 0; s < kEndStates; ++s) {
    const auto state = static_cast<EndState>(s);
    const bool spliced = state == EndState::spliced || state == EndState::joined;
    EXPECT_EQ(time_in(state) == kForever, spliced) << name_of(state);
  }
}

}  // namespace
}  // namespace qudag::keeper
