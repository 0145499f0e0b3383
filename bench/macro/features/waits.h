// Where time goes in a running network: what histograms of its nodes got between two looks at
// their pages. The buckets end at powers of two, and so do the percentiles.
#pragma once

#include "net.h"
#include "result.h"

#include "telemetry/metric.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace qudag::app::bench {

/// One histogram, of all relays or of the source.
struct WaitOf {
  std::string_view what;    ///< in the results
  std::string_view family;  ///< a histogram in seconds
  std::string_view label;   ///< that the row must have; may be empty
  bool relays = true;
};

class Waits {
 public:
  Waits(const Net& net, std::vector<WaitOf> of);

  /// What is counted from now on.
  Status begin();
  /// Notes what came since begin().
  Status end();
  /// Rows "<prefix>/<what>_p50" and "_p99" in microseconds: the ends of their buckets.
  void add_rows(std::string_view prefix, Results& out) const;

 private:
  static constexpr std::size_t kBuckets = telemetry::kBucketLast - telemetry::kBucketFirst + 1;
  using Counts = std::array<double, kBuckets + 1>;  // the last: all

  Result<std::vector<Counts>> look() const;
  static double percentile(const Counts& counts, double part);

  const Net& net_;
  std::vector<WaitOf> of_;
  std::vector<Counts> before_, came_;
};

}  // namespace qudag::app::bench
