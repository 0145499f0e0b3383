// What the shards' reports become: metrics, and rows of the status.
#pragma once

#include "base/bounded.h"
#include "memory/bound.h"
#include "node/inbox/stats.h"
#include "shard/report.h"

#include <qudag/metrics.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace qudag::node {

/// The metrics table over all shards' reports.
std::vector<MetricSample> to_metrics(const std::vector<shard::ShardReport>& reports,
                                     const memory::Bound& bound, const InboxStats& inbox,
                                     const QuotaStatus& quota);

/// Rows as the public interface has them; no shard: they are the node's.
std::vector<QueueStatus> to_status(const BoundedList& rows, std::optional<unsigned> shard);

}  // namespace qudag::node
