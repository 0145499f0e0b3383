// The network that is measured: relays are `qudag node` processes, the destination is a process
// with the library and a handler that counts (`qudag-bench-end`), the source is the library in this
// process. No local API is on the way of a measured message.
//
// Threads: start() before anything else runs threads here (it forks); the rest on one thread.
#pragma once

#include "common/network.h"

#include "base/histogram.h"

#include <qudag/node.h>

#include <optional>
#include <string>
#include <vector>

namespace qudag::app::bench {

struct NetSpec {
  unsigned relays = 3;
  unsigned shards = 1;
  unsigned first_relay_shards = 0;  ///< 0: as the others
  std::uint64_t memory = 0;  ///< limits.memory of every node; 0: 1 GiB at the ends, else default
  std::optional<unsigned> queue_delay_ms{};  ///< of the source
  std::vector<std::string> arguments{};      ///< of each relay, besides
};

/// One load: as many messages as `seconds` allows, at most `window` without an outcome.
struct LoadSpec {
  std::size_t bytes = 256;
  std::size_t window = 1'024;
  unsigned relays = 3;
  unsigned circuits = 1;  ///< messages take turns on so many circuits
  double seconds = 2;
  std::uint64_t count = 0;  ///< end after so many; 0: by time
  bool isolate = false;     ///< each message on a circuit of its own
};

struct LoadResult {
  std::uint64_t delivered = 0;
  double seconds = 0;
  double cpu_seconds = 0;  ///< of all processes
  Histogram latency_ns;    ///< from send to the outcome known

  double per_second() const { return static_cast<double>(delivered) / seconds; }
};

class Net {
 public:
  static Result<std::unique_ptr<Net>> start(const NetSpec& spec, Interrupt& interrupt);
  ~Net();

  /// Errors: a message was not delivered, or the destination counted others than were sent.
  Result<LoadResult> load(const LoadSpec& spec);
  /// A message and its reply, one at a time.
  Result<LoadResult> round_trips(std::size_t bytes, unsigned relays, double seconds);
  /// `circuits` messages of `bytes` at once, low priority, each on its own circuit.
  Result<LoadResult> bulk(std::size_t bytes, unsigned relays, unsigned circuits);

  /// Messages that the destination's application has taken so far.
  Result<std::uint64_t> counted();

  Node& source() { return *source_; }
  const NodeId& destination() const { return destination_id_; }
  double cpu_source() const;
  double cpu_relays() const;
  double cpu_destination() const;
  double cpu_all() const { return cpu_source() + cpu_relays() + cpu_destination(); }
  /// Of all relays, summed over labels that contain `label`.
  Result<double> relay_metric(std::string_view name, std::string_view label = "") const;
  double source_metric(std::string_view name, std::string_view label = "") const;
  /// The metrics page of each relay.
  Result<std::vector<std::string>> relay_pages() const;
  std::vector<int> relay_pids() const;
  int destination_pid() const { return end_->pid(); }

 private:
  Net() = default;
  Result<std::vector<std::byte>> ask(std::span<const std::byte> payload, unsigned relays);

  std::unique_ptr<Network> relays_;
  std::filesystem::path log_;
  std::optional<Child> end_;
  std::unique_ptr<Node> source_;
  NodeId destination_id_;
  std::uint64_t isolation_ = 1'000;
};

/// Window that fills a pipe, and not more than 8 MB.
std::size_t window_for(std::size_t bytes);

}  // namespace qudag::app::bench
