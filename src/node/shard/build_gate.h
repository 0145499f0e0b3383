// Whether a stream that somebody opened may become a circuit: rates for the link and for the shard.
// What is refused is reset unread, with the reason as its code (docs/protocol.md, 3.2): it costs
// nothing here, and the source may try another relay at once. The overload manager's refusals come
// two bytes later, when the class is known (circuit/incoming.cc).
//
// Pure. Owned by LinkJoint. Limits: one entry for each link that opened a stream.
#pragma once

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
};

class BuildGate {
 public:
  explicit BuildGate(BuildGateOptions options) : options_(options) {}

  /// Code::none: welcome.
  link::Code ask(link::LinkId link, Now now) {
    // The flooder pays first, so that it is no reason to refuse others.
    if (options_.per_link_per_second != 0 && !bucket_of(link, now).take(1, now.mono)) {
      ++stats_.refused_link_rate;
      return link::Code::rate;
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
  std::optional<queue::TokenBucket> all_;
  std::map<link::LinkId, queue::TokenBucket> links_;
  BuildGateStats stats_;
};

}  // namespace qudag::node
