// A workload whose demand shifts: what warm links bring, and what they cost (M8, N12).
//
// One source opens circuits to destinations, a few of them much more often than others (Zipf), one
// every so many seconds; half way other destinations are the favourites. Directly, so that the
// source's own links are what is asked for; or through relays, where each hop asks for the next.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>

namespace qudag::testing {

struct ShiftOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 40;  // besides the source
  std::size_t warm_links = 16;
  unsigned relays = 0;
  Duration lasts = std::chrono::minutes(60);
  Duration gap = std::chrono::seconds(15);         // mean, between circuits
  Duration delay = std::chrono::milliseconds(50);  // one way
};

/// Of the source when direct; of all nodes through relays.
struct ShiftResult {
  std::uint64_t requests = 0, ready = 0;              // for links, by circuits
  std::uint64_t shift_requests = 0, shift_ready = 0;  // of them in five minutes after the shift
  std::uint64_t opened = 0, used = 0, unused = 0, evicted = 0;
  std::uint64_t messages = 0, delivered = 0;
  double links_mean = 0;  // held, by each node that counts
  double message_ms_mean = 0;

  ShiftResult& operator+=(const ShiftResult& other);
  double hit_ratio() const { return static_cast<double>(ready) / static_cast<double>(requests); }
  double shift_hit_ratio() const {
    return static_cast<double>(shift_ready) / static_cast<double>(shift_requests);
  }
};

ShiftResult run_shift(const ShiftOptions& options);

}  // namespace qudag::testing
