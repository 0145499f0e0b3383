// What must hold of every node at any time, and what must be left of it when all is quiet.
#pragma once

#include "sim/sim_network.h"

#include <functional>
#include <string>

namespace qudag::testing {

/// Told in words what does not hold.
using Broke = std::function<void(std::string)>;

/// No queue, pool, table or budget of the node is beyond its cap.
void check_caps(SimNode& node, const Broke& broke);
bool holds_no_block(SimNode& node);
/// Nothing of traffic is left: no circuit, message, flow, or block of a pool, no reserved byte.
void check_quiet(SimNode& node, const Broke& broke);

}  // namespace qudag::testing
