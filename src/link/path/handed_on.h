// Handshakes that another shard of this node has: by the id that the dialer chose, with which its
// packets come here until it knows an id of ours, and that shard's ids lead them there.
//
// Pure: time is an argument. One owner. Limits: `kMax` ids; they end in the order in which they
// came, and while there is no place nothing more is handed on.
#pragma once

#include "base/time.h"
#include "link/path/cid.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

namespace qudag::link {

class HandedOn {
 public:
  static constexpr std::size_t kMax = 1'024;

  /// `for_so_long`: as a handshake may take.
  HandedOn(Rng& rng, Duration for_so_long) : for_so_long_(for_so_long), table_(0, CidHash(rng)) {}

  std::optional<std::uint8_t> find(const Cid& cid) const {
    const auto found = table_.find(cid);
    return found == table_.end() ? std::nullopt : std::optional(found->second);
  }
  /// False: there is no place.
  bool add(const Cid& cid, std::uint8_t shard, TimePoint now) {
    while (!order_.empty() && order_.front().until <= now) {
      table_.erase(order_.front().cid);
      order_.pop_front();
    }
    if (order_.size() >= kMax || !table_.try_emplace(cid, shard).second) return false;
    order_.push_back({cid, now + for_so_long_});
    return true;
  }
  std::size_t size() const { return order_.size(); }

 private:
  struct Entry {
    Cid cid;
    TimePoint until;
  };

  const Duration for_so_long_;
  std::unordered_map<Cid, std::uint8_t, CidHash> table_;
  std::deque<Entry> order_;
};

}  // namespace qudag::link
