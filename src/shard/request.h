// What a send becomes on its way from the application's thread to a shard.
#pragma once

#include "base/time.h"
#include "memory/block.h"
#include "memory/budget.h"
#include "message/queue/flow_queues.h"

#include <qudag/message.h>

#include <optional>

namespace qudag::shard {

/// Something to send: a message to a destination, or a reply on a circuit.
struct SendRequest {
  NodeId destination;
  std::optional<ReplyTo> reply_to;
  memory::Chain payload;
  memory::Reservation reservation;
  SendOptions options;
  std::optional<MessageId> id{};  // as the caller was told; none: drawn with its outcome
  Completion done;
  Progress progress;
  /// Where it is counted in its flow's queue; kNone: nowhere, as a reply.
  message::FlowQueues::Id queue = message::FlowQueues::kNone;
  TimePoint put{};  // into the shard's intake
};

/// What a sender is told of a message that was not accepted: refused by a limit, or failed.
Delivery refusal(const Error& error, const MessageId& id = {});

}  // namespace qudag::shard
