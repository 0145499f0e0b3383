// The destination of a benchmark as a process: `qudag-bench end`, started by `qudag-bench`.
//
// It takes every message and counts it. First byte kEcho: the message comes back as a reply;
// kCount: the reply is the count so far (messages of neither kind), 8 bytes.
#pragma once

#include "args.h"

#include <qudag/options.h>

namespace qudag::app::bench {

inline constexpr std::byte kEcho{'E'};
inline constexpr std::byte kCount{'C'};

/// The options of both ends of a benchmark.
Options end_options(unsigned shards, std::vector<PeerAddress> bootstrap);

}  // namespace qudag::app::bench
