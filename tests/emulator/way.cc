#include "way.h"

#include <algorithm>

namespace qudag::emulator {
namespace {

/// SplitMix64's finisher: every bit of the input reaches every bit of the output.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

enum Die : std::uint64_t { kLoss, kJitter, kReorder, kDup, kDice };

}  // namespace

double Way::unit(std::uint64_t packet, std::uint64_t die) const {
  return static_cast<double>(mixed(seed_ ^ mixed(packet * kDice + die)) >> 11) * 0x1.0p-53;
}

bool Way::lost(std::uint64_t packet) {
  const double die = unit(packet, kLoss);
  if (settings_.burst <= 1) return die < settings_.loss;
  // Gilbert: bursts end with 1/burst and begin so often that the mean is `loss`.
  if (settings_.loss >= 1) return true;
  const double end = 1 / settings_.burst;
  const double begin = std::min(1.0, end * settings_.loss / (1 - settings_.loss));
  in_burst_ = in_burst_ ? die >= end : die < begin;
  return in_burst_;
}

Fate Way::offer(Nanos now, std::size_t bytes) {
  const std::uint64_t packet = counters_.packets++;
  counters_.bytes += bytes;
  if (cut_) {
    ++counters_.dropped_partition;
    return {.drop = Drop::partition};
  }
  while (!queue_.empty() && queue_.front().gone <= now) {
    queued_bytes_ -= queue_.front().bytes;
    queue_.pop_front();
  }
  Nanos gone = now;
  Nanos waited{};
  if (settings_.rate > 0) {
    // The one on the wire has left the queue: a queue of one packet is not a wire without one.
    const std::size_t in_queue = queue_.empty() ? 0 : queue_.size() - 1;
    const std::size_t in_queue_bytes = queue_.empty() ? 0 : queued_bytes_ - queue_.front().bytes;
    if (!queue_.empty() && (in_queue + 1 > settings_.queue_packets ||
                            in_queue_bytes + bytes > settings_.queue_bytes)) {
      ++counters_.dropped_queue;
      return {.drop = Drop::queue};
    }
    const Nanos start = std::max(now, free_at_);
    const double seconds = static_cast<double>(bytes) * 8 / settings_.rate;
    gone = start + Nanos(static_cast<Nanos::rep>(seconds * 1e9));
    waited = start - now;
    free_at_ = gone;
    queue_.push_back({gone, bytes});
    queued_bytes_ += bytes;
  }
  counters_.waited_ns.record(static_cast<std::uint64_t>(waited.count()));
  if (lost(packet)) {
    ++counters_.dropped_loss;
    return {.drop = Drop::loss, .waited = waited};
  }
  Nanos due = gone + settings_.delay;
  const auto share = [&](Nanos of, std::uint64_t die) {
    return Nanos(static_cast<Nanos::rep>(static_cast<double>(of.count()) * unit(packet, die)));
  };
  if (unit(packet, kReorder) < settings_.reorder) {
    ++counters_.reordered;
    due += settings_.reorder_by;
  } else {
    due = std::max(due + share(settings_.jitter, kJitter), last_due_);
    last_due_ = due;
  }
  const bool twice = unit(packet, kDup) < settings_.dup;
  counters_.duplicated += twice ? 1U : 0U;
  ++counters_.delivered;
  counters_.delivered_bytes += bytes;
  return {.due = due, .twice = twice, .waited = waited};
}

}  // namespace qudag::emulator
