// Where a message is counted while it waits: in its flow's queue, which the door of a shard and the
// sender behind it name alike.
#pragma once

#include "message/flow.h"
#include "message/queue/flow_queues.h"
#include "shard/request.h"

namespace qudag::shard {

/// Replies go with the circuit that asked, and have no queue of a flow. `queues` may be null.
inline message::FlowQueues::Id queue_of(const SendRequest& request,
                                        const message::FlowQueues* queues) {
  if (queues == nullptr || request.reply_to) return message::FlowQueues::kNone;
  const SendOptions& options = request.options;
  const message::FlowKey key{.destination = request.destination,
                             .isolation = options.isolation,
                             .priority = options.priority,
                             .relays = options.relays,
                             .sign = options.sign,
                             .if_away = options.if_away};
  return queues->of(message::FlowKeyHash{}(key), options.priority);
}

}  // namespace qudag::shard
