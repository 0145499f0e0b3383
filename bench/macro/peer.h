// The same work over other libraries: programs of bench/peers/, built where their libraries are.
#pragma once

#include <optional>
#include <string_view>

namespace qudag::app::bench {

struct PeerResult {
  double rate = 0;  ///< messages/s
  double rtt_p50_us = 0;
  double rtt_p99_us = 0;
  double cpu_s_per_gb = 0;
};

/// Nothing if the program is not there or fails.
std::optional<PeerResult> run_peer(std::string_view name, std::size_t bytes, double seconds);

}  // namespace qudag::app::bench
