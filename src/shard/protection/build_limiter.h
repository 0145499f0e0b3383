// Whether a stream that somebody opened may become a circuit: rates for the link and for the shard.
//
//   1. a link has a rate of its own;
//   2. all links together have the shard's. Half of what it has saved up is for links that ask for
//      less than an equal share of the rate, so that a flood by some is no reason to refuse others.
//
// The shard's rate is also what the replay window is sized for (limits::replay_entries): what this
// lets in fits there.
// What is refused is reset unread, with the reason as its code (docs/reference/protocol.md, 3.2):
// it costs nothing here, and the source may try another relay at once. The overload manager's
// refusals come two bytes later, when the priority is known (circuit/incoming.cc).
//
// Pure. Owned by CircuitTransport. Limits: one entry for each link that opened a stream.
#pragma once

#include "link/endpoint.h"
#include "sync/token_bucket.h"
#include "telemetry/metric.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

namespace qudag::shard {

struct BuildLimiterOptions {
  std::uint64_t per_second = 0;           // of the shard; 0: no bound; bursts of twice as many
  std::uint64_t per_link_per_second = 0;  // the same for one link
};

struct BuildLimiterStats {
  std::uint64_t refused_link_rate = 0;
  std::uint64_t refused_rate = 0;
};

namespace metrics {

using telemetry::each, telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<BuildLimiterStats> kBuildLimiter[] = {
    {{"qudag_circuits_refused_total", "Build messages refused, by the reason.", Kind::counter},
     label("reason", "link_rate"),
     &BuildLimiterStats::refused_link_rate},
    {same, label("reason", "rate"), &BuildLimiterStats::refused_rate},
};
static_assert(telemetry::valid(kBuildLimiter));

}  // namespace metrics

class BuildLimiter {
 public:
  explicit BuildLimiter(BuildLimiterOptions options) : options_(options) {}

  /// Code::none: welcome.
  wire::EndCode ask(link::LinkId link, Now now) {
    // The flooder pays first, so that it is no reason to refuse others.
    if (options_.per_link_per_second != 0 && !bucket_of(link, now).take(1, now.mono)) {
      ++stats_.refused_link_rate;
      return wire::EndCode::rate;
    }
    if (options_.per_second != 0) {
      if (!all_) all_.emplace(options_.per_second, options_.per_second * kBurst, now.mono);
      const std::uint64_t kept = takes_fair_part(link, now) ? 0 : options_.per_second;
      if (all_->available(now.mono) <= kept || !all_->take(1, now.mono)) {
        ++stats_.refused_rate;
        return wire::EndCode::overload;
      }
    }
    return wire::EndCode::none;
  }
  void forget(link::LinkId link) {
    links_.erase(link);
    parts_.erase(link);
  }

  const BuildLimiterStats& stats() const { return stats_; }
  std::size_t links() const { return links_.size(); }

  static constexpr std::uint64_t kBurst = 2;  // seconds

 private:
  /// An equal share of the rate for each link that asked lately, with a burst; at least so many.
  struct Part {
    double left = kPartLeast;
    TimePoint at{};
  };
  static constexpr double kPartLeast = 8;
  static constexpr Duration kLately = std::chrono::seconds(10);
  static constexpr Duration kCountEvery = std::chrono::seconds(1);

  bool takes_fair_part(link::LinkId link, Now now) {
    if (now.mono >= count_at_) {
      count_at_ = now.mono + kCountEvery;
      asking_ = static_cast<std::size_t>(std::ranges::count_if(
          parts_, [&](const auto& part) { return now.mono - part.second.at < kLately; }));
    }
    const double rate = static_cast<double>(options_.per_second) /
                        static_cast<double>(std::max<std::size_t>(1, asking_));
    Part& part = parts_[link];
    const std::chrono::duration<double> since = now.mono - part.at;
    part.left = std::min(part.left + since.count() * rate, std::max(kPartLeast, rate * kBurst));
    part.at = now.mono;
    if (part.left < 1) return false;
    part.left -= 1;
    return true;
  }

  sync::TokenBucket& bucket_of(link::LinkId link, Now now) {
    const std::uint64_t rate = options_.per_link_per_second;
    return links_.try_emplace(link, rate, rate * 2, now.mono).first->second;
  }

  const BuildLimiterOptions options_;
  std::optional<sync::TokenBucket> all_;
  std::map<link::LinkId, sync::TokenBucket> links_;
  std::map<link::LinkId, Part> parts_;
  std::size_t asking_ = 0;  // links that asked lately
  TimePoint count_at_{};
  BuildLimiterStats stats_;
};

}  // namespace qudag::shard
