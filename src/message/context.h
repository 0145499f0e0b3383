// What every part of this room works with, in one place. Owned by Messages.
#pragma once

#include "message/channel.h"
#include "message/deadlines.h"
#include "message/messages.h"
#include "message/port.h"

namespace qudag::message {

struct Context {
  const MessagesOptions options;
  Port& port;
  Routes& routes;
  memory::BlockPool& pool;
  memory::Budget& budget;
  Rng& rng;
  const crypto::Identity* identity;
  Events& events;
  Offload offload;  // null, or the options' within a visit of Messages

  Channels channels;
  Deadlines deadlines;
  MessagesStats stats;
  bool stopping = false;

  memory::Budget& budget_of(Class cls) const {
    memory::Budget* const claim = options.claims[static_cast<std::size_t>(cls)];
    return claim == nullptr ? budget : *claim;
  }
};

inline std::size_t index(Class cls) { return static_cast<std::size_t>(cls); }

}  // namespace qudag::message
