// The scenarios of `qudag-bench`, a file each. All measure into `out`; errors end the program.
#pragma once

#include "common/interrupt.h"
#include "limit.h"

namespace qudag::app::bench {

/// direct (0 relays) or onion (3): rates, round trips, bulk, CPU.
Status messages_scenario(const BenchArgs& args, bool onion, const Limit& limit, Results& out,
                         Interrupt& interrupt);
/// Receiving over the WebSocket of the local API, with acknowledgements and without.
Status api_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);
/// Bytes over pipes against as many in messages; echoes; a thousand pipes at once.
Status pipes_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);
/// Builds per second, their time, and CPU per build and role.
Status circuit_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);
/// One relay's work on a cell, QUIC apart, against the bare AEAD; in this process.
Status relay_scenario(const BenchArgs& args, Results& out);
/// RSS of `qudag node` with nothing, with links, with circuits, and after a burst.
/// A part of idle_scenario.
Status burst_part(const BenchArgs& args, Results& out, Interrupt& interrupt);
Status idle_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);
/// Calls of malloc and bytes copied in steady traffic.
Status alloc_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);
/// On against off. Queues, records, chains and scratch are a file of their own.
void features_of_records(const BenchArgs& args, Results& out);
Status features_of_priorities(const BenchArgs& args, Results& out, Interrupt& interrupt);
Status features_of_queues(const BenchArgs& args, Results& out, Interrupt& interrupt);
Status features_of_shards(const BenchArgs& args, Results& out, Interrupt& interrupt);
Status features_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);

/// Half to four times the capacity offered, memory bound at 64 MB: outcomes, latency, shares, RSS.
Status overload_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);
/// How open the choice of each hop is, on the map that nodes really have and on maps with liars;
/// what second guards cost. In this process; nothing is timed.
Status paths_scenario(const BenchArgs& args, Results& out);
/// RSS of a relay while circuits are opened, used and closed on it.
Status soak_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);

/// A hidden receiver: bulk over a keeper beside three relays, a keeper that is killed, letters over
/// circuits, what a hail costs.
Status keepers_scenario(const BenchArgs& args, Results& out, Interrupt& interrupt);
/// Letters on a keeper's disk: a second, and until one is said to be stored. In this process.
Status letters_scenario(const BenchArgs& args, Results& out);

}  // namespace qudag::app::bench
