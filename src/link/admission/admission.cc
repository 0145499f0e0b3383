// The order of the questions: what is full for everybody, then the proof of address, then the
// shares of the block of addresses, and the rates last, so that a refused stranger pays nothing.
#include "link/admission/admission.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace qudag::link {
namespace {

constexpr std::array<std::string_view, kRefusalCount> kReasons = {
    "",
    "stopping",
    "links",
    "half-open",
    "handshake rate",
    "links of your network",
    "half-open of your network",
    "handshake rate of your network",
    "memory",
};

constexpr Duration kSweepEvery = std::chrono::seconds(1);

sync::TokenBucket bucket(std::uint64_t per_second, TimePoint now) {
  return {per_second, per_second * 2, now};
}

}  // namespace

static_assert(std::size(kRefusalNames) == kRefusalCount - 1);  // without `none`

std::string_view reason_of(Refusal refusal) { return kReasons[static_cast<std::size_t>(refusal)]; }

Refusal refusal_of(std::string_view reason) {
  const auto* const found = std::find(kReasons.begin(), kReasons.end(), reason);
  return found == kReasons.end() ? Refusal::none : static_cast<Refusal>(found - kReasons.begin());
}

std::uint64_t prefix_of(const SocketAddress& address) {
  const auto number = [&](std::size_t from, std::size_t to) {
    std::uint64_t out = 0;
    for (std::size_t i = from; i < to; ++i) out = out << 8 | address.ip[i];
    return out;
  };
  // IPv4 is apart from IPv6, whose first 48 bits leave the top ones free.
  return address.is_v4() ? std::uint64_t{1} << 63 | number(12, 15) : number(0, 6);
}

std::size_t Admission::Hash::operator()(std::uint64_t key) const {
  // splitmix64, salted: a stranger chooses its key.
  std::uint64_t z = (key ^ salt) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::size_t>(z ^ (z >> 31));
}

Admission::Admission(const AdmissionOptions& options, Rng& rng)
    : options_(options),
      blocks_(0, Hash{rng.u64()}),
      others_(fresh({})),
      unproven_(bucket(options.handshakes_per_second, {})),
      proven_(bucket(options.handshakes_per_second, {})) {}

Admission::Verdict Admission::ask(const SocketAddress& from, bool proven, Load load,
                                  TimePoint now) {
  const auto refuse = [](Refusal why) { return Verdict{Answer::refuse, why}; };
  constexpr Verdict kRetry{Answer::retry, Refusal::none};

  if (load.links >= options_.links_max) return refuse(Refusal::links);
  if (load.half_open >= options_.half_open_max) return refuse(Refusal::half_open);
  if (!proven && (proof_required_ || load.half_open >= options_.half_open_max / 2)) return kRetry;

  Block& block = block_of(from, now);
  const auto reached = [](std::size_t count, std::size_t bound) {
    return bound != 0 && count >= bound;
  };
  if (reached(block.links, options_.prefix_links_max)) {
    return proven ? refuse(Refusal::prefix_links) : kRetry;
  }
  const std::size_t half_open_max =
      proven ? options_.prefix_half_open_max : (options_.prefix_half_open_max + 1) / 2;
  if (reached(block.half_open, half_open_max)) {
    return proven ? refuse(Refusal::prefix_half_open) : kRetry;
  }
  if (options_.prefix_handshakes_per_second != 0 &&
      !(proven ? block.proven : block.unproven).take(1, now)) {
    return proven ? refuse(Refusal::prefix_rate) : kRetry;
  }
  if (options_.handshakes_per_second != 0 && !(proven ? proven_ : unproven_).take(1, now)) {
    return proven ? refuse(Refusal::rate) : kRetry;
  }
  return {};
}

Admission::Block& Admission::add(const SocketAddress& from, TimePoint now) {
  Block& block = block_of(from, now);
  ++block.links;
  ++block.half_open;
  return block;
}

double Admission::rate_used(TimePoint now) {
  if (options_.handshakes_per_second == 0) return 0;
  const auto burst = static_cast<double>(options_.handshakes_per_second * 2);
  const auto left = std::min(unproven_.available(now), proven_.available(now));
  return 1 - static_cast<double>(left) / burst;
}

// ---- The table -------------------------------------------------------------------------------

Admission::Block Admission::fresh(TimePoint now) const {
  return {.unproven = bucket(options_.prefix_handshakes_per_second, now),
          .proven = bucket(options_.prefix_handshakes_per_second, now)};
}

Admission::Block& Admission::block_of(const SocketAddress& from, TimePoint now) {
  const std::uint64_t key = prefix_of(from);
  if (const auto found = blocks_.find(key); found != blocks_.end()) return found->second;
  if (blocks_.size() >= options_.links_max + kBlocksMax) forget_quiet(now);
  if (blocks_.size() >= options_.links_max + kBlocksMax) return others_;
  return blocks_.emplace(key, fresh(now)).first->second;
}

void Admission::forget_quiet(TimePoint now) {
  if (now - swept_at_ < kSweepEvery) return;
  swept_at_ = now;
  const std::uint64_t full = options_.prefix_handshakes_per_second * 2;
  for (auto at = blocks_.begin(); at != blocks_.end();) {
    Block& block = at->second;
    const bool quiet = block.links == 0 && block.unproven.available(now) == full &&
                       block.proven.available(now) == full;
    at = quiet ? blocks_.erase(at) : std::next(at);
  }
}

}  // namespace qudag::link
