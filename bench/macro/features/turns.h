// Two ways of doing the same, timed in turns, so that a machine that is busy now and idle then is
// so for both.
#pragma once

#include "machine.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace qudag::app::bench {

/// Medians of `runs` after one warm-up.
template <class On, class Off>
std::pair<double, double> in_turns(unsigned runs, On on, Off off) {
  std::vector<double> with, without;
  for (unsigned i = 0; i <= runs; ++i) {
    const double a = on();
    const double b = off();
    if (i == 0) continue;
    with.push_back(a);
    without.push_back(b);
  }
  return {median_of(with), median_of(without)};
}

/// CPU time of this thread for one piece of work, of which `work` does `batch`.
template <class Work>
double ns_per(double seconds, std::size_t batch, Work work) {
  const double begin = cpu_of_this_thread();
  double now = begin;
  std::uint64_t count = 0;
  for (; now - begin < seconds; now = cpu_of_this_thread()) {
    work();
    count += batch;
  }
  return (now - begin) * 1e9 / static_cast<double>(count);
}

}  // namespace qudag::app::bench
