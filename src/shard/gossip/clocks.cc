#include "shard/gossip/clocks.h"

#include "base/reach.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace qudag::shard {
namespace {

std::int64_t whole_seconds(TimePoint at) {
  return std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
}

std::int64_t apart(UnixSeconds wall, Now now) {
  return static_cast<std::int64_t>(wall) - whole_seconds(now.mono);
}

}  // namespace

bool ClockWatch::moved(Now now) {
  const std::int64_t is = apart(now.unix_seconds, now);
  const bool first = !apart_;
  if (!first && std::abs(is - *apart_) < kMovedSeconds) return false;
  apart_ = is;
  return !first;
}

std::uint64_t PeerClocks::voice_of(const SocketAddress& address) {
  if (!is_loopback(address)) return network_prefix(address);
  std::uint64_t out = 1;  // above all prefixes
  for (std::size_t i = 12; i < 16; ++i) out = out << 8 | address.ip[i];
  return out << 16 | address.port;
}

void PeerClocks::heard(const SocketAddress& from, UnixSeconds theirs, Now now) {
  constexpr UnixSeconds kLast = 253'402'300'799;  // of the year 9999
  if (theirs > kLast) return;
  const std::uint64_t network = voice_of(from);
  if (voices_.size() >= kNetworksMax && !voices_.contains(network)) {
    voices_.erase(std::ranges::min_element(
        voices_, [](const auto& a, const auto& b) { return a.second.at < b.second.at; }));
  }
  voices_[network] = {.apart = apart(theirs, now), .at = now.mono};
}

std::optional<PeerClocks::Off> PeerClocks::off(Now now) const {
  std::vector<std::int64_t> said;
  for (const auto& [network, voice] : voices_) {
    if (now.mono - voice.at < kKept) said.push_back(voice.apart);
  }
  if (said.size() < kNetworksLeast) return std::nullopt;
  const auto middle = said.begin() + static_cast<std::ptrdiff_t>(said.size() / 2);
  std::ranges::nth_element(said, middle);
  return Off{.seconds = apart(now.unix_seconds, now) - *middle, .networks = said.size()};
}

std::optional<PeerClocks::Off> PeerClocks::to_tell(Now now) {
  const auto is = off(now);
  if (!is) return std::nullopt;
  const bool wrong = std::abs(is->seconds) > kOffSeconds;
  const bool was_wrong = std::abs(told_) > kOffSeconds;
  const bool other = wrong && std::abs(is->seconds - told_) > kOffSeconds;
  if (wrong == was_wrong && !other) return std::nullopt;
  told_ = is->seconds;
  return is;
}

void PeerClocks::report(BoundedList& out) const {
  out.push_back(bounded(Bounded::Kind::table, "clocks of peers", "the oldest goes", voices_.size(),
                        kNetworksMax, sizeof(std::uint64_t) + sizeof(Voice)));
}

}  // namespace qudag::shard
