// Rows of bounded things, as the public interface shows them.
#include "node/report.h"

#include <string>

namespace qudag::node {
namespace {

QueueStatus to_status(const Bounded& row, std::optional<unsigned> shard) {
  QueueStatus out;
  out.kind = name_of(row.kind);
  out.name = row.name;
  out.level = row.level;
  out.shard = shard;
  out.when_full = row.when_full;
  out.items = row.items;
  out.items_max = row.items_max;
  out.bytes = row.bytes;
  out.bytes_max = row.bytes_max;
  out.age_max = row.age_max;
  out.oldest = row.oldest;
  out.waited_p50 = row.waited_p50;
  out.waited_p99 = row.waited_p99;
  out.waited_max = row.waited_max;
  out.entered = row.entered;
  out.left = row.left;
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    if (row.drops[i] == 0) continue;
    out.drops.push_back({std::string(kDropReasonNames[i]), row.drops[i]});
  }
  return out;
}

}  // namespace

std::vector<QueueStatus> to_status(const BoundedList& rows, std::optional<unsigned> shard) {
  std::vector<QueueStatus> out;
  out.reserve(rows.size());
  for (const Bounded& row : rows) out.push_back(to_status(row, shard));
  return out;
}

}  // namespace qudag::node
