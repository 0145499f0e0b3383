// No relay is more likely than so many times its equal share, whatever it is better at than others,
// and whatever is said of those.
//
// All that makes one relay likelier than another (speed, load, claims, failures) can be brought
// about by somebody: by being fast on purpose, by telling no load, by making others fail. So the
// chances are cut at a height that leaves each at most `share_max / n` of their sum.
#pragma once

#include <vector>

namespace qudag::netmap {

/// The height; at most the highest chance. `chances` are above 0, share_max above 1.
double chance_cap(std::vector<double> chances, double share_max);

}  // namespace qudag::netmap
