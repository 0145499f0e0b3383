#include "node/process/notices.h"

#include "base/lines/log_lines.h"

#include <fmt/format.h>

namespace qudag::node {

using namespace std::chrono_literals;

bool Notices::due(TimePoint now) {
  if (now < look_at_) return false;
  look_at_ = now + kLookEvery;
  return true;
}

void Notices::look(const Totals& totals, TimePoint now) {
  said_.resize(totals.refusals.size());
  for (std::size_t i = 0; i < said_.size(); ++i) look_at(totals.refusals[i], said_[i], now);

  const bool lost = totals.guards > 0 && totals.guards_there == 0;
  if (lost && !guards_lost_) log_.warn(lines::kGuardsLost, totals.guards);
  if (!lost && guards_lost_) log_.info(lines::kGuardsBack, totals.guards_there, totals.guards);
  guards_lost_ = lost;

  if (now < beat_at_) return;
  beat_at_ = now + kHeartbeat;
  log_.info(lines::kHeartbeat, span_text(now - started_), totals.links, totals.circuits,
            totals.nodes, totals.relays, bytes_text(totals.bytes_in), bytes_text(totals.bytes_out),
            bytes_text(totals.bytes_relayed), bytes_text(totals.memory_used),
            bytes_text(totals.memory_limit));
}

void Notices::look_at(const Refusals& refusals, Said& said, TimePoint now) {
  if (said.at && now - *said.at < kSayEvery) return;
  said.counts.resize(refusals.by_reason.size());
  std::uint64_t all = 0;
  std::string reasons;
  for (std::size_t i = 0; i < said.counts.size(); ++i) {
    const auto& [reason, count] = refusals.by_reason[i];
    const std::uint64_t more = count - said.counts[i];
    if (more == 0) continue;
    all += more;
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", reason, more);
  }
  if (all < kRefusedLeast) return;
  for (std::size_t i = 0; i < said.counts.size(); ++i) {
    said.counts[i] = refusals.by_reason[i].second;
  }
  log_.warn(lines::kRefused, all, refusals.what, span_text(now - said.at.value_or(started_)),
            reasons);
  said.at = now;
}

std::string span_text(Duration span) {
  const auto part = [span](auto unit) { return static_cast<long>(span / unit); };
  if (span >= 24h) return fmt::format("{} d {} h", part(24h), part(1h) % 24);
  if (span >= 1h) return fmt::format("{} h {} min", part(1h), part(1min) % 60);
  if (span >= 1min) return fmt::format("{} min", part(1min));
  return fmt::format("{} s", part(1s));
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", value, unit == 0 || value >= 100 ? 0 : 1, kUnits[unit]);
}

}  // namespace qudag::node
