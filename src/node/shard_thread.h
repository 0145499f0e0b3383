// One shard and all that runs it: socket, loop, thread, and the ways in.
#pragma once

#include "node/intake.h"
#include "node/message_ids.h"
#include "node/send_limiter.h"
#include "node/settlements.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/udp_socket.h"
#include "shard/shard.h"

#include <memory>
#include <thread>

namespace qudag::node {

/// Members end in reverse order: the shard before its socket.
struct ShardThread {
  std::unique_ptr<runtime::UdpSocket> socket;
  std::unique_ptr<runtime::Loop> loop;
  std::unique_ptr<SendLimiter> limiter;
  std::unique_ptr<message::FlowQueues> queues;  // null: limits.queue_delay_ms is 0
  std::unique_ptr<Intake> intake;
  std::unique_ptr<MessageIds> ids;
  std::unique_ptr<Settlements> settlements = std::make_unique<Settlements>();
  std::unique_ptr<shard::Shard> shard;
  std::thread thread;

  /// The part of the time since the last call that its loop was busy. On the shard's thread.
  double busy_share(TimePoint now) {
    const Duration busy = loop->busy();
    const Duration since = now - busy_at;
    const double share =
        since > Duration{} ? std::chrono::duration<double>(busy - busy_before) / since : 0;
    busy_before = busy;
    busy_at = now;
    return share;
  }
  Duration busy_before{};
  TimePoint busy_at{};

  /// Of priorities, and of single flows.
  SendLimiter::ByPriority pauses() const {
    SendLimiter::ByPriority out = limiter->pauses();
    for (std::size_t i = 0; queues && i < out.size(); ++i) {
      out[i] += queues->stats(static_cast<Priority>(i)).pauses;
    }
    return out;
  }

  /// On the shard's thread.
  BoundedList bounded() const {
    BoundedList out;
    intake->report(out);
    loop->report(out);
    shard->report(out, runtime::system_now());
    return out;
  }
};

}  // namespace qudag::node
