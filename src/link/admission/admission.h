// Which strangers may become links: caps and rates for the endpoint and for each block of addresses
// (/24 of IPv4, /48 of IPv6).
//
// An address that is only written on a packet proves nothing, so what is done in its name must not
// hurt its owner: a stranger without a Retry token is never refused for a share of its block, it is
// asked to prove its address, which keeps no state here. Proven strangers have shares of their own,
// which nobody else can use up, and are refused, with the reason, beyond them.
//
// Pure: time is an argument. One owner. Limits: `kBlocksMax` blocks of addresses besides those that
// have links; the blocks beyond it share one entry.
#pragma once

#include "base/rng.h"
#include "base/time.h"
#include "sync/token_bucket.h"

#include <qudag/address.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace qudag::link {

/// Why a stranger is refused. The texts of reason_of() go to the peer
/// (docs/reference/protocol.md, 3.2).
enum class Refusal : std::uint8_t {
  none,
  stopping,
  links,             // of the endpoint
  half_open,         // of the endpoint
  rate,              // handshakes per second, of the endpoint
  prefix_links,      // of the block of addresses
  prefix_half_open,  // "
  prefix_rate,       // "
  memory,            // no room for another link
};
inline constexpr std::size_t kRefusalCount = 9;
/// In their order, without `none`.
inline constexpr std::string_view kRefusalNames[] = {
    "stopping",         "links",       "half_open", "rate", "prefix_links",
    "prefix_half_open", "prefix_rate", "memory"};
std::string_view reason_of(Refusal refusal);
/// Refusal::none for a text that is none of ours.
Refusal refusal_of(std::string_view reason);

struct AdmissionOptions {
  std::size_t links_max = 1024;
  std::size_t half_open_max = 256;
  std::uint64_t handshakes_per_second = 0;  // 0: no bound; bursts of twice as many
  // For each block of addresses; 0: no bound.
  std::size_t prefix_links_max = 0;
  std::size_t prefix_half_open_max = 0;
  std::uint64_t prefix_handshakes_per_second = 0;
};

class Admission {
 public:
  /// Blocks of addresses that are remembered for their rates alone.
  static constexpr std::size_t kBlocksMax = 1'024;

  struct Block {
    std::size_t links = 0;
    std::size_t half_open = 0;
    sync::TokenBucket unproven;
    sync::TokenBucket proven;
  };

  enum class Answer : std::uint8_t { admit, retry, refuse };
  struct Verdict {
    Answer answer = Answer::admit;
    Refusal why = Refusal::none;
  };
  /// How full the endpoint is: dialed links count, and all that are half open.
  struct Load {
    std::size_t links = 0;
    std::size_t half_open = 0;
  };

  Admission(const AdmissionOptions& options, Rng& rng);

  /// `proven`: the packet carries a token that we gave to this address. An admitted stranger has
  /// paid for its handshake; add() must follow if a link is made.
  Verdict ask(const SocketAddress& from, bool proven, Load load, TimePoint now);
  /// From now on nobody is admitted without a proof of address.
  void require_proof(bool required) { proof_required_ = required; }

  /// A link of that address was made: its block, which stays as long as it has links.
  Block& add(const SocketAddress& from, TimePoint now);
  /// The handshake of one of its links was completed.
  static void completed(Block& block) { --block.half_open; }
  /// One of its links is gone, maybe before its handshake was complete.
  static void remove(Block& block, bool half_open) {
    --block.links;
    if (half_open) --block.half_open;
  }

  /// Share of the rate of handshakes that was used lately, 0 to 1.
  double rate_used(TimePoint now);
  std::size_t blocks() const { return blocks_.size(); }

 private:
  struct Hash {
    std::uint64_t salt;
    std::size_t operator()(std::uint64_t key) const;
  };

  Block fresh(TimePoint now) const;
  Block& block_of(const SocketAddress& from, TimePoint now);
  void forget_quiet(TimePoint now);

  const AdmissionOptions options_;
  std::unordered_map<std::uint64_t, Block, Hash> blocks_;
  Block others_;  // of all blocks beyond the bound
  sync::TokenBucket unproven_;
  sync::TokenBucket proven_;
  TimePoint swept_at_{};
  bool proof_required_ = false;
};

/// The block of addresses that an address is in: equal for equal blocks.
std::uint64_t prefix_of(const SocketAddress& address);

}  // namespace qudag::link
