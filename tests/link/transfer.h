// A bulk transfer over a long path, for tests of windows and of congestion control.
#pragma once

#include "net.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace qudag::link::testing {

/// A transfer from a to b over a long path, with more waiting than any window holds.
struct Transfer {
  explicit Transfer(const EndpointOptions& b = {}, const EndpointOptions& a = {},
                    Duration latency = 50ms)
      : pair(5, a, b) {
    pair.net.faults.latency = latency;
    pair.connect();
    pair.a.events.keep_data = pair.b.events.keep_data = false;
    pair.b.events.when_data = [this](StreamId id, Bytes data) {
      taken[id] += data.size();
      if (!consume) return;
      for (std::size_t n = 0; n < data.size(); n += piece) {
        pair.b->consume(id, std::min(piece, data.size() - n));
      }
    };
  }

  void fill(StreamId stream) {
    const std::vector<std::byte> bytes = pattern(8'000, 1);
    while (pair.a->queued_bytes(stream) < 1'000'000) pair.a->write(stream, pair.a.block(bytes));
  }
  /// What `streams` brought in so long.
  std::size_t run(const std::vector<StreamId>& streams, Duration time) {
    const std::size_t before = pair.b.events.bytes_in;
    const TimePoint end = pair.net.now().mono + time;
    while (pair.net.now().mono < end) {
      for (const StreamId stream : streams) fill(stream);
      pair.net.run_for(5ms);
    }
    return pair.b.events.bytes_in - before;
  }
  /// Over one link of b.
  std::size_t taken_from(LinkId link) const {
    std::size_t out = 0;
    for (const auto& [stream, bytes] : taken) out += stream.link == link ? bytes : 0;
    return out;
  }
  std::size_t grown() { return pair.b->stats().windows_grown_bytes; }

  Pair pair;
  std::map<StreamId, std::size_t> taken;
  bool consume = true;
  std::size_t piece = SIZE_MAX / 2;
};

}  // namespace qudag::link::testing
