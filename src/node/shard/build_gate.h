// Whether a stream that somebody opened may become a circuit: rates for the link and for the shard,
// and the overload manager's refusals. What is refused is reset unread, with the reason as its code
// (docs/protocol.md, 3.2): it costs nothing here, and the source may try another relay at once.
//
// Pure. Owned by LinkJoint. Limits: one entry for each link that opened a stream.
#pragma once

#include "base/rng.h"
#include "link/endpoint.h"
#include "queue/token_bucket.h"

#include <cstdint>
#include <map>
#include <optional>

namespace qudag::node {

struct BuildGateOptions {
  std::uint64_t per_second = 0;           // of the shard; 0: no bound; bursts of twice as many
  std::uint64_t per_link_per_second = 0;  // the same for one link
};

struct BuildGateStats {
  std::uint64_t refused_link_rate = 0;
  std::uint64_t refused_rate = 0;
  std::uint64_t refused_overload = 0;
};

class BuildGate {
 public:
  BuildGate(BuildGateOptions options, Rng& rng) : options_(options), rng_(rng) {}

  /// The chance with which the overload manager refuses, 0 to 1.
  void set_refusal(double chance) { refusal_ = chance; }

  /// Code::none: welcome.
  link::Code ask(link::LinkId link, Now now) {
    // The flooder pays first, so that it is no reason to refuse others.
    if (options_.per_link_per_second != 0 && !bucket_of(link, now).take(1, now.mono)) {
      ++stats_.refused_link_rate;
      return link::Code::rate;
    }
    if (refusal_ > 0 && rng_.unit() < refusal_) {
      ++stats_.refused_overload;
      return link::Code::overload;
    }
    if (options_.per_second != 0) {
      if (!all_) all_.emplace(options_.per_second, options_.per_second * 2, now.mono);
      if (!all_->take(1, now.mono)) {
        ++stats_.refused_rate;
        return link::Code::overload;
      }
    }
    return link::Code::none;
  }
  void forget(link::LinkId link) { links_.erase(link); }

  const BuildGateStats& stats() const { return stats_; }
  std::size_t links() const { return links_.size(); }

 private:
  queue::TokenBucket& bucket_of(link::LinkId link, Now now) {
    const std::uint64_t rate = options_.per_link_per_second;
    return links_.try_emplace(link, rate, rate * 2, now.mono).first->second;
  }

  const BuildGateOptions options_;
  Rng& rng_;
  double refusal_ = 0;
  std::optional<queue::TokenBucket> all_;
  std::map<link::LinkId, queue::TokenBucket> links_;
  BuildGateStats stats_;
};

}  // namespace qudag::node
