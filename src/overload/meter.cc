#include "overload/meter.h"

#include <algorithm>
#include <cmath>

namespace qudag::overload {
namespace {

constexpr double kLeaves = 0.75;  // of a step

double held(double share) { return std::isnan(share) ? 1.0 : std::clamp(share, 0.0, 1.0); }
double from_half(double share) { return std::max(0.0, 2 * held(share) - 1); }

}  // namespace

double load_of(const LoadSample& sample) {
  return std::max({held(sample.busy), held(sample.circuits), from_half(sample.memory),
                   held(sample.queue_delay), held(sample.loop_lag), from_half(sample.descriptors),
                   held(sample.quota)});
}

void LoadMeter::add(const LoadSample& sample, TimePoint now) {
  const std::chrono::duration<double> since = std::max(now - last_, Duration{});
  const bool first = last_ == TimePoint{};
  last_ = std::max(last_, now);
  if (first) return;  // how busy it was is known from now on
  const double kept = std::exp(-(since / std::chrono::duration<double>(kSmoothedOver)));
  smoothed_ = kept * smoothed_ + (1 - kept) * load_of(sample);
  const double steps = smoothed_ * kSteps;
  if (std::abs(steps - step_) > kLeaves) step_ = static_cast<unsigned>(std::lround(steps));
}

std::uint16_t LoadMeter::load() const {
  return static_cast<std::uint16_t>(std::min(65'535u, step_ * (65'536 / kSteps)));
}

}  // namespace qudag::overload
