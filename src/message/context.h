// What every part of this module works with, in one place. Owned by Messages.
#pragma once

#include "memory/budget.h"
#include "message/circuit_end.h"
#include "message/deadlines.h"
#include "message/messages.h"
#include "message/port.h"

namespace qudag::message {

/// What messages of the priority reserve from.
inline memory::Budget& claim(const MessagesOptions& options, Priority priority,
                             memory::Budget& budget) {
  memory::Budget* const own = options.claims[static_cast<std::size_t>(priority)];
  return own == nullptr ? budget : *own;
}

class Pipes;

struct Context {
  const MessagesOptions options;
  Port& port;
  Routes& routes;
  memory::BlockPool& pool;
  memory::Budget& budget;
  Rng& rng;
  const crypto::Identity* identity;
  MessageEvents& events;
  Offload offload;  // null, or the options' within a visit of Messages

  /// Of what messages reserve, by priority; settled when the outermost call returns.
  std::array<memory::Allowance, kPriorityCount> allowances;
  CircuitEnds circuit_ends;
  MessageDeadlines deadlines;
  MessagesStats stats;
  Pipes* pipes = nullptr;  // set by Messages
  bool stopping = false;

  memory::Budget& budget_of(Priority priority) const { return claim(options, priority, budget); }
  memory::Budget& tables() const { return options.tables == nullptr ? budget : *options.tables; }
};

inline std::size_t index(Priority priority) { return static_cast<std::size_t>(priority); }

}  // namespace qudag::message
