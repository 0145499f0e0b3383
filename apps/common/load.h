// Messages from one node to another through their local APIs: sent in a bounded window, every byte
// checked, every message counted once, one-way latency measured.
//
// Latency is from the moment the sending process queues a message to the moment the receiving end
// has it, on one clock (CLOCK_MONOTONIC, same host), the local API on both sides included. The
// offered pattern is a closed loop: at most `window` messages are under way at any time, that is
// sent and not yet both received and acknowledged.
#pragma once

#include "api/client/stream_client.h"
#include "base/histogram.h"

#include <qudag/message.h>

#include <functional>

namespace qudag::app {

struct LoadSpec {
  NodeId destination;
  SendOptions options;
  std::uint64_t count = 0;             ///< messages to send; 0: as many as `lasts` allows
  std::chrono::milliseconds lasts{0};  ///< stop offering after this time, if count is 0
  std::size_t bytes = 256;             ///< at least kLoadHeadBytes
  std::size_t window = 1'024;
  std::chrono::milliseconds patience{60'000};
  bool isolate = false;        ///< each message on a circuit of its own
  bool explicit_acks = false;  ///< the receiver acknowledges each message; not with `echo`
  bool echo = false;           ///< the receiver replies, and the latency is that of the round trip
};
inline constexpr std::size_t kLoadHeadBytes = 24;  // run, number, time

struct LoadResult {
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;  ///< outcomes
  std::uint64_t received = 0;   ///< distinct messages with the right content
  std::uint64_t wrong = 0;      ///< changed, unknown or seen twice
  std::uint64_t other = 0;      ///< outcomes that are not delivered
  Error first_other;
  double seconds = 0;  ///< from the first send to the last outcome
  Histogram latency_ns;

  bool perfect() const { return sent > 0 && delivered == sent && received == sent && wrong == 0; }
  double per_second() const { return seconds > 0 ? static_cast<double>(delivered) / seconds : 0; }
};

/// Runs one load; `stop` ends it early. Errors: a connection to a node ended.
Result<LoadResult> run_load(const std::filesystem::path& from, const std::filesystem::path& to,
                            const LoadSpec& spec, const std::function<bool()>& stop);

}  // namespace qudag::app
