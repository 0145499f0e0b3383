// What we saw fall silent comes first. Links that brought newcomers, or doubts, take turns; of one
// the relay that is due first.
#include "netmap/reached/tries.h"

#include "netmap/map/store.h"

#include <algorithm>
#include <array>

namespace qudag::netmap {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSoon = 50ms;
constexpr Duration kLaterPerRelay = 10s;   // every relay is tried about six times a minute by all
constexpr Duration kLaterPerPair = 200ms;  // in small networks sooner
constexpr Duration kLaterMax = 6h;
constexpr Duration kAgainMin = 2h;
constexpr Duration kWait = 250ms;  // for a rate
// A handshake takes 5 s at most.
constexpr std::array<Duration, 6> kRetry{6s, 15s, 60s, 5min, 30min, 60min};

}  // namespace

bool Tries::Rate::take(double per_second, double at_once, TimePoint now) {
  const std::chrono::duration<double> passed = std::max(now, at) - at;
  tokens = std::min(at_once, tokens + passed.count() * per_second);
  at = std::max(now, at);
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

Duration Tries::random_below(Duration most) {
  return Duration(static_cast<Duration::rep>(rng_.unit() * static_cast<double>(most.count())));
}

void Tries::put(const NodeId& id, NodeLink source, TimePoint due, unsigned failed) {
  forget(id);
  waiting_[id] = {.source = source, .due = due, .failed = failed};
  sources_[source].due.emplace(due, id);
  if (next_) next_ = std::min(*next_, due);
}

void Tries::newcomer(const NodeId& id, NodeLink source, bool soon, std::size_t relays, Now now) {
  const auto many = static_cast<Duration::rep>(relays);
  const Duration most = soon ? std::min<Duration>(kSoon * many / 8, 5s) : spread(relays);
  put(id, source, now.mono + random_below(most), 0);
}

void Tries::reached(const NodeId& id, std::size_t relays, Now now) {
  const auto many = static_cast<Duration::rep>(relays);
  const Duration least = std::clamp<Duration>(kLaterPerRelay * many, kAgainMin, kLaterMax);
  const auto at = waiting_.find(id);
  const NodeLink source = at == waiting_.end() ? kOwnSource : at->second.source;
  put(id, source, now.mono + least + random_below(least), 0);
}

Duration Tries::spread(std::size_t relays) {
  const auto many = static_cast<Duration::rep>(relays);
  return std::min<Duration>({kLaterPerPair * many * many, kLaterPerRelay * many, kLaterMax});
}

bool Tries::sooner(const NodeId& id, NodeLink source, Duration within, TimePoint earliest,
                   Now now) {
  const auto at = waiting_.find(id);
  if (at == waiting_.end() || at->second.failed > 0) return false;
  const TimePoint from = std::max(earliest, now.mono);
  // One that is due waits for its source's rate, which may be a liar's: what we saw takes it over.
  const bool ours = source == kSeen && at->second.source != kSeen;
  if (at->second.due > from + within || ours) put(id, source, from + random_below(within), 0);
  return true;
}

void Tries::forget(const NodeId& id) {
  const auto at = waiting_.find(id);
  if (at == waiting_.end()) return;
  const auto source = sources_.find(at->second.source);
  source->second.due.erase({at->second.due, id});
  if (next_ == at->second.due) next_.reset();
  // One that is empty keeps its rate until its link is gone.
  waiting_.erase(at);
}

void Tries::source_gone(NodeLink key) {
  const auto at = sources_.find(key);
  if (at == sources_.end()) return;
  Source gone = std::move(at->second);
  sources_.erase(at);
  for (const auto& [due, id] : gone.due) {
    waiting_[id].source = kOwnSource;
    sources_[kOwnSource].due.emplace(due, id);
  }
}

void Tries::keep_if(const std::function<bool(const NodeId&)>& is_held) {
  for (auto& [key, source] : sources_) {
    std::erase_if(source.due, [&](const auto& one) { return !is_held(one.second); });
  }
  std::erase_if(waiting_, [&](const auto& one) { return !is_held(one.first); });
  next_.reset();
}

std::optional<Tries::Try> Tries::next(
    const std::function<std::optional<std::uint64_t>(const NodeId&, unsigned)>& network_of,
    Now now) {
  if (next_deadline() > now.mono) return std::nullopt;
  for (std::size_t looked = 0; looked <= sources_.size(); ++looked) {
    auto at = sources_.find(kSeen);
    if (looked > 0 || at == sources_.end()) {
      at = sources_.upper_bound(last_served_);
      if (at == sources_.end()) at = sources_.begin();
      if (at == sources_.end()) break;
      last_served_ = at->first;
    }
    Source& source = at->second;
    if (source.due.empty() || source.due.begin()->first > now.mono) continue;
    const NodeId id = source.due.begin()->second;
    const unsigned failed = waiting_[id].failed;
    const auto later = [&](Duration wait) { put(id, at->first, now.mono + wait, failed); };
    if (!all_.take(kPerSecond, kAtOnce, now.mono)) {
      later(kWait);
      return std::nullopt;
    }
    if (!source.rate.take(kPerSecondOfSource, kAtOnceOfSource, now.mono)) {
      all_.tokens += 1;
      later(kWait);
      continue;
    }
    if (const auto network = network_of(id, failed)) {
      if (networks_.size() >= kNetworksMax && !networks_.contains(*network)) {
        std::erase_if(networks_, [&](const auto& one) { return now.mono - one.second.at > 1min; });
        if (networks_.size() >= kNetworksMax) networks_.erase(networks_.begin());
      }
      auto& rate = networks_.try_emplace(*network, Rate{kAtOnceOfNetwork, now.mono}).first->second;
      if (!rate.take(kPerSecondOfNetwork, kAtOnceOfNetwork, now.mono)) {
        all_.tokens += 1;
        source.rate.tokens += 1;
        later(2s);
        continue;
      }
    }
    put(id, at->first, now.mono + kRetry[std::min<std::size_t>(failed, kRetry.size() - 1)],
        failed + 1);
    return Try{id, failed};
  }
  return std::nullopt;
}

void Tries::put_off(const NodeId& id, Duration wait, Now now) {
  const auto at = waiting_.find(id);
  if (at == waiting_.end()) return;
  const Waiting waiting = at->second;
  put(id, waiting.source, now.mono + wait, waiting.failed > 0 ? waiting.failed - 1 : 0);
}

TimePoint Tries::next_deadline() const {
  if (next_) return *next_;
  TimePoint next = kNever;
  for (const auto& [key, source] : sources_) {
    if (!source.due.empty()) next = std::min(next, source.due.begin()->first);
  }
  next_ = next;
  return next;
}

}  // namespace qudag::netmap
