// Names of the states in include/qudag/metrics.h.
#include "base/bounded.h"

#include <qudag/metrics.h>

namespace qudag {

static_assert(static_cast<int>(QueueKind::queue) == static_cast<int>(Bounded::Kind::queue) &&
              static_cast<int>(QueueKind::pool) == static_cast<int>(Bounded::Kind::pool) &&
              static_cast<int>(QueueKind::table) == static_cast<int>(Bounded::Kind::table) &&
              static_cast<int>(QueueKind::buffer) == static_cast<int>(Bounded::Kind::buffer) &&
              static_cast<int>(QueueKind::budget) == static_cast<int>(Bounded::Kind::budget));

std::string_view name_of(PeerState state) noexcept {
  switch (state) {
    case PeerState::dialing:
      return "dialing";
    case PeerState::handshaking:
      return "handshaking";
    case PeerState::ready:
      return "ready";
    case PeerState::draining:
      return "draining";
    case PeerState::closed:
      return "closed";
  }
  return "unknown";
}

std::string_view name_of(CircuitRole role) noexcept {
  switch (role) {
    case CircuitRole::source:
      return "source";
    case CircuitRole::relay:
      return "relay";
    case CircuitRole::destination:
      return "destination";
  }
  return "unknown";
}

std::string_view name_of(QuotaStage stage) noexcept {
  switch (stage) {
    case QuotaStage::open:
      return "open";
    case QuotaStage::leaving:
      return "leaving";
    case QuotaStage::closed:
      return "closed";
    case QuotaStage::spent:
      return "spent";
  }
  return "unknown";
}

std::string_view name_of(QueueKind kind) noexcept {
  switch (kind) {
    case QueueKind::queue:
      return "queue";
    case QueueKind::pool:
      return "pool";
    case QueueKind::table:
      return "table";
    case QueueKind::buffer:
      return "buffer";
    case QueueKind::budget:
      return "budget";
  }
  return "unknown";
}

}  // namespace qudag
