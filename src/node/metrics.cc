// The metrics page: the tables of all modules over the records of all shards.
#include "crypto/openssl_memory.h"
#include "node/process/usage.h"
#include "node/report.h"
#include "telemetry/page.h"

#include <qudag/node.h>

#include <fmt/format.h>

#include <map>

namespace qudag::node {
namespace {

using shard::ShardReport;
using telemetry::each, telemetry::Kind, telemetry::no_label;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// ---- queues, by name and level ------------------------------------------------------------------

constexpr telemetry::Metric<Bounded> kQueue[] = {
    {{"qudag_queue_items", "Items that wait in a queue.", Kind::gauge}, no_label, &Bounded::items},
    {{"qudag_queue_items_max", "The bound of a queue in items.", Kind::gauge},
     no_label,
     &Bounded::items_max},
    {{"qudag_queue_bytes", "Bytes that wait in a queue.", Kind::gauge}, no_label, &Bounded::bytes},
    {{"qudag_queue_bytes_max", "The bound of a queue in bytes.", Kind::gauge},
     no_label,
     &Bounded::bytes_max},
    {{"qudag_queue_bytes_bound",
      "Of queues whose bound follows how fast they drain: the least of a flow, now; else 0.",
      Kind::gauge},
     no_label,
     &Bounded::bytes_bound},
    {{"qudag_queue_drain_bytes",
      "Of queues whose bound follows it: bytes that drain in a second, of flows that wait.",
      Kind::gauge},
     no_label,
     &Bounded::bytes_per_second},
    {{"qudag_queue_oldest_seconds", "How long the first item of a queue has waited.", Kind::gauge},
     no_label,
     [](const Bounded& q) { return seconds(q.oldest); }},
    {{"qudag_queue_waited_seconds", "How long items of a queue waited for their turn.",
      Kind::seconds},
     no_label,
     &Bounded::waited},
    {{"qudag_queue_entered_total", "Items that came into a queue."}, no_label, &Bounded::entered},
    {{"qudag_queue_left_total", "Items of a queue that had their turn."}, no_label, &Bounded::left},
    {{"qudag_queue_drops_total", "Items that a queue refused or dropped, by the reason."},
     each("reason", kDropReasonNames),
     [](const Bounded& q, std::size_t i) { return static_cast<double>(q.drops[i]); }},
};
static_assert(telemetry::valid(kQueue));

/// What shards have in common: counts are added, the oldest item is the oldest of all.
void merge(Bounded& into, const Bounded& row) {
  into.items += row.items;
  if (!row.of_all_shards) into.items_max += row.items_max;
  into.bytes += row.bytes;
  if (!row.of_all_shards) into.bytes_max += row.bytes_max;
  if (row.bytes_bound > 0) into.bytes_bound = std::min(into.bytes_bound, row.bytes_bound);
  into.bytes_per_second += row.bytes_per_second;
  into.oldest = std::max(into.oldest, row.oldest);
  into.waited.merge(row.waited);
  into.entered += row.entered;
  into.left += row.left;
  for (std::size_t i = 0; i < kDropReasonCount; ++i) into.drops[i] += row.drops[i];
}

void add_queues(const std::vector<ShardReport>& reports, telemetry::Page& page) {
  std::map<std::pair<std::string_view, std::string_view>, Bounded> queues;
  for (const ShardReport& report : reports) {
    for (const Bounded& row : report.bounded) {
      if (row.kind != Bounded::Kind::queue) continue;
      const auto [at, first] = queues.try_emplace({row.name, row.level}, row);
      if (!first) merge(at->second, row);
    }
  }
  for (const auto& [key, queue] : queues) {
    page.add(kQueue, queue, fmt::format("queue=\"{}\",level=\"{}\"", queue.name, queue.level));
  }
}

// ---- memory -------------------------------------------------------------------------------------

constexpr telemetry::Metric<memory::Budget> kBudget[] = {
    {{"qudag_memory_bytes", "Memory reserved, by part; claims are messages in the blocks.",
      Kind::gauge},
     no_label,
     [](const memory::Budget& b) { return static_cast<double>(b.used()); }},
    {{"qudag_memory_kept_bytes", "Memory kept for a part or a priority alone.", Kind::gauge},
     no_label,
     [](const memory::Budget& b) { return static_cast<double>(b.kept()); }},
    {{"qudag_memory_refused_total", "Requests for memory that the bound refused."},
     no_label,
     [](const memory::Budget& b) { return static_cast<double>(b.refused()); }},
};
static_assert(telemetry::valid(kBudget));

constexpr telemetry::Metric<memory::Bound> kBound[] = {
    {{"qudag_memory_reserved_bytes", "Memory reserved under the bound, kept shares included.",
      Kind::gauge},
     no_label,
     [](const memory::Bound& b) { return static_cast<double>(b.node().used()); }},
    {{"qudag_memory_limit_bytes", "The bound of memory (limits.memory).", Kind::gauge},
     no_label,
     [](const memory::Bound& b) { return static_cast<double>(b.node().bytes_max()); }},
};
static_assert(telemetry::valid(kBound));

constexpr telemetry::Metric<crypto::OpenSslMemory> kTls[] = {
    {{"qudag_tls_memory_bytes",
      "Memory held by OpenSSL; it lies in the parts handshakes, links and circuits.", Kind::gauge},
     no_label,
     [](const crypto::OpenSslMemory& m) { return static_cast<double>(m.bytes); }},
    {{"qudag_tls_allocations_total", "Allocations of OpenSSL in this process."},
     no_label,
     [](const crypto::OpenSslMemory& m) { return static_cast<double>(m.allocations); }},
};
static_assert(telemetry::valid(kTls));

// ---- the quota ----------------------------------------------------------------------------------

constexpr std::string_view kStageNames[] = {"open", "leaving", "closed", "spent"};

constexpr telemetry::Metric<QuotaStatus> kQuota[] = {
    {{"qudag_quota_bandwidth_bytes",
      "Bytes a second that are passed on for others at most (limits.bandwidth); 0: no bound.",
      Kind::gauge},
     no_label,
     &QuotaStatus::bandwidth},
    {{"qudag_quota_month_bytes",
      "Bytes of a month for others, in and out (limits.month); 0: no bound.", Kind::gauge},
     no_label,
     &QuotaStatus::month},
    {{"qudag_quota_month_used_bytes", "Of them, those that are used; 0 without a bound.",
      Kind::gauge},
     no_label,
     &QuotaStatus::used},
    {{"qudag_quota_month_left_bytes", "Of them, those that are left; 0 without a bound.",
      Kind::gauge},
     no_label,
     [](const QuotaStatus& q) { return static_cast<double>(q.month - std::min(q.month, q.used)); }},
    {{"qudag_quota_turn_seconds", "Until the month turns, in UTC; 0 without a quota.", Kind::gauge},
     no_label,
     [](const QuotaStatus& q) { return static_cast<double>(q.turns.count()); }},
    {{"qudag_quota_stage",
      "How far the month's bytes are used up: 1 for the stage that it is, 0 for the others.",
      Kind::gauge},
     telemetry::each("stage", kStageNames),
     [](const QuotaStatus& q, std::size_t i) {
       return q.stage == static_cast<QuotaStage>(i) ? 1.0 : 0.0;
     }},
};
static_assert(telemetry::valid(kQuota));

// ---- whether others come
// -------------------------------------------------------------------------

// `qudag_reachable` is 0 on a node of which it is not known, too: one that is no relay, or dialed
// all others itself.
constexpr telemetry::Metric<ShardReport> kReach[] = {
    {{"qudag_unreachable",
      "Whether nobody reaches the node: 1 when relays that know its address had ten minutes to "
      "come "
      "and none came; 0 also while that is not known.",
      Kind::gauge},
     no_label,
     [](const ShardReport& s) { return s.reachable == false ? 1.0 : 0.0; }},
};
static_assert(telemetry::valid(kReach));

// ---- the process, by the names that Prometheus gives these everywhere ---------------------------

constexpr telemetry::Metric<ProcessUsage> kProcess[] = {
    {{"process_cpu_seconds_total", "CPU time of the process, user and system."},
     no_label,
     [](const ProcessUsage& u) { return u.cpu_seconds; }},
    {{"process_open_fds", "Open file descriptors.", Kind::gauge},
     no_label,
     &ProcessUsage::files_open},
    {{"process_max_fds", "File descriptors that the process may open.", Kind::gauge},
     no_label,
     &ProcessUsage::files_max},
    {{"qudag_sockets_open", "Open sockets, a part of process_open_fds.", Kind::gauge},
     no_label,
     &ProcessUsage::sockets_open},
    {{"process_resident_memory_bytes", "Resident memory of the process.", Kind::gauge},
     no_label,
     &ProcessUsage::resident_bytes},
    {{"process_start_time_seconds", "When the process started, in seconds since 1970.",
      Kind::gauge},
     no_label,
     [](const ProcessUsage& u) { return u.started; }},
};
static_assert(telemetry::valid(kProcess));

struct BuildInfo {};
constexpr telemetry::Metric<BuildInfo> kBuildInfo[] = {
    {{"qudag_build_info", "Always 1; its labels say which program runs.", Kind::gauge},
     no_label,
     [](const BuildInfo&) { return 1.0; }},
};
static_assert(telemetry::valid(kBuildInfo));

}  // namespace

std::vector<MetricSample> to_metrics(const std::vector<ShardReport>& reports,
                                     const memory::Bound& bound, const InboxStats& inbox,
                                     const QuotaStatus& quota) {
  telemetry::Page page;
  const auto of = [&](auto& table, auto member) {
    page.add(
        table, reports, [member](const ShardReport& r) -> const auto& { return r.*member; });
  };
  page.add(shard::metrics::kShard, reports,
           [](const ShardReport& r) -> const ShardReport& { return r; });
  page.add(kReach, reports, [](const ShardReport& r) -> const ShardReport& { return r; });
  of(runtime::metrics::kSocket, &ShardReport::socket);
  of(memory::metrics::kPool, &ShardReport::pool);
  of(link::metrics::kEndpoint, &ShardReport::endpoint);
  of(link::metrics::kDials, &ShardReport::dials);
  of(circuit::metrics::kCircuits, &ShardReport::circuit);
  of(circuit::metrics::kHops, &ShardReport::hops);
  of(message::metrics::kMessages, &ShardReport::message);
  of(netmap::metrics::kNetmap, &ShardReport::netmap);
  of(shard::metrics::kGossip, &ShardReport::gossip);
  of(shard::metrics::kWarm, &ShardReport::warm);
  of(shard::metrics::kRoutes, &ShardReport::routes);
  of(shard::metrics::kLinkRequests, &ShardReport::link_requests);
  of(shard::metrics::kBuildLimiter, &ShardReport::limiter);
  of(shard::metrics::kLoadReports, &ShardReport::loads);
  of(shard::metrics::kProtection, &ShardReport::protection);
  add_queues(reports, page);
  for (std::size_t i = 0; i < memory::kPartCount; ++i) {
    const memory::Budget& part = bound.part(static_cast<memory::Part>(i));
    page.add(kBudget, part, fmt::format("part=\"{}\"", part.name()));
  }
  for (std::size_t i = 0; i < memory::kClaimCount; ++i) {
    page.add(kBudget, bound.claim(i), fmt::format("claim=\"{}\"", bound.claim(i).name()));
  }
  page.add(kBound, bound);
  page.add(metrics::kInbox, inbox);
  page.add(kQuota, quota);
  if (const crypto::OpenSslMemory tls = crypto::openssl_memory(); tls.counted) page.add(kTls, tls);
  page.add(kProcess, process_usage());
  page.add(kBuildInfo, BuildInfo{},
           fmt::format("version=\"{}\",openssl=\"{}\"", version(), crypto::openssl_version()));
  return page.take();
}

// ---- rows of bounded things, as the public interface shows them ---------------------------------

namespace {

QueueStatus to_status(const Bounded& row, std::optional<unsigned> shard) {
  QueueStatus out;
  out.kind = static_cast<QueueKind>(row.kind);
  out.name = row.name;
  out.level = row.level;
  out.shard = shard;
  out.when_full = row.when_full;
  out.items = row.items;
  out.items_max = row.items_max;
  out.bytes = row.bytes;
  out.bytes_max = row.bytes_max;
  out.bytes_bound = row.bytes_bound;
  out.bytes_per_second = row.bytes_per_second;
  out.age_max = row.age_max;
  out.oldest = row.oldest;
  out.waited_p50 = row.waited.percentile(50);
  out.waited_p99 = row.waited.percentile(99);
  out.waited_max = row.waited.max();
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

namespace qudag {
bool count_tls_memory() noexcept { return crypto::count_openssl_memory(); }
}  // namespace qudag
