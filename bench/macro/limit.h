// What this machine allows: bare AEAD passes and bare UDP for the same bytes, in CPU time per byte.
//
// A payload byte over h relays meets, with AES-256-GCM:
//   source       h + 1 onion layers sealed, 1 packet sealed, 1 UDP send
//   each relay   1 packet opened, 1 layer opened, 1 packet sealed, 1 UDP receive, 1 UDP send
//   destination  1 packet opened, 1 layer opened, 1 UDP receive
// limit = 1 / max(slowest process, sum of all / cores): processes work at the same time, and no
// faster than the cores allow. Headers, framing, acknowledgements, copies and TLS are not in it.
#pragma once

#include "result.h"

#include <span>

namespace qudag::app::bench {

struct Limit {
  double small_cell = 0;  ///< ns per byte and pass, 1,008 bytes at a time
  double bulk_cell = 0;   ///< 8,176 bytes
  double packet = 0;      ///< 1,400 bytes
  double udp_send = 0;    ///< ns of CPU per byte with GSO and GRO
  double udp_receive = 0;

  double mb_per_s(unsigned relays, std::size_t message_bytes) const;
  /// CPU seconds per GB over all processes.
  double cpu_s_per_gb(unsigned relays, std::size_t message_bytes) const;
};

struct UdpRate {
  double mb_per_s = 0;
  double send_ns_per_byte = 0;
  double receive_ns_per_byte = 0;
};

inline constexpr std::size_t kPacketBytes = 1'452;

/// ns of CPU per byte of one pass over pieces of so many bytes; seal and open averaged.
double aead_ns_per_byte(std::size_t piece, double seconds, bool only_open = false);
/// One socket to another over loopback, two threads, at most 1 MiB under way.
Result<UdpRate> udp_rate(bool merge, double seconds);

/// The mean of several short measurements.
Result<Limit> measure_limit(double seconds);
Status limit_scenario(const BenchArgs& args, Results& out, Limit& limit);

/// Cores that the processes of this machine share.
double cores();

}  // namespace qudag::app::bench
