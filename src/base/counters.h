// Metrics as a table: what exists, in which unit and what it means stands in one constexpr array;
// the values are one array of atomics per shard, indexed by the same enum.
//
//   enum class RelayMetric { cells, circuits_open, kCount };
//   inline constexpr MetricTable<RelayMetric> kRelayMetrics{{
//       {"relay_cells", "cells", "Cells passed on, both directions", MetricKind::counter},
//       {"relay_circuits_open", "circuits", "Circuits held now", MetricKind::gauge},
//   }};
//   static_assert(metric_table_is_valid(kRelayMetrics));
//
// Threads: any thread may change and read any value (relaxed: a snapshot is not one instant). A
// set belongs to one shard, so that increments do not share cache lines between threads.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qudag {

enum class MetricKind : std::uint8_t {
  counter,  ///< only grows; shards are added
  gauge,    ///< the value now; shards are added
  peak,     ///< the highest value so far; of shards the highest counts
};

struct MetricInfo {
  std::string_view name;  // snake_case, unique, without the unit
  std::string_view unit;  // "bytes", "cells", "ns", ...
  std::string_view help;  // one line
  MetricKind kind = MetricKind::counter;
  /// False for what could help to follow one circuit or user; shown only to the local operator.
  bool safe_to_export = true;
};

template <class Id>
inline constexpr std::size_t kMetricCount = static_cast<std::size_t>(Id::kCount);
template <class Id>
using MetricTable = std::array<MetricInfo, kMetricCount<Id>>;
template <class Id>
using MetricValues = std::array<std::uint64_t, kMetricCount<Id>>;

/// For static_assert: every row is filled, names are snake_case and unique.
template <std::size_t N>
constexpr bool metric_table_is_valid(const std::array<MetricInfo, N>& table) {
  for (std::size_t i = 0; i < N; ++i) {
    if (table[i].name.empty() || table[i].unit.empty() || table[i].help.empty()) return false;
    for (const char c : table[i].name) {
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    for (std::size_t k = 0; k < i; ++k) {
      if (table[k].name == table[i].name) return false;
    }
  }
  return true;
}

template <class Id>
class alignas(64) Counters {
 public:
  void add(Id id, std::uint64_t n = 1) { at(id).fetch_add(n, std::memory_order_relaxed); }
  void sub(Id id, std::uint64_t n = 1) { at(id).fetch_sub(n, std::memory_order_relaxed); }
  void set(Id id, std::uint64_t value) { at(id).store(value, std::memory_order_relaxed); }
  /// Keeps the higher value.
  void raise(Id id, std::uint64_t value) {
    std::uint64_t held = at(id).load(std::memory_order_relaxed);
    while (value > held && !at(id).compare_exchange_weak(held, value, std::memory_order_relaxed)) {
    }
  }
  std::uint64_t get(Id id) const {
    return values_[static_cast<std::size_t>(id)].load(std::memory_order_relaxed);
  }

  MetricValues<Id> snapshot() const {
    MetricValues<Id> out{};
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = values_[i].load(std::memory_order_relaxed);
    }
    return out;
  }

 private:
  std::atomic<std::uint64_t>& at(Id id) { return values_[static_cast<std::size_t>(id)]; }

  std::array<std::atomic<std::uint64_t>, kMetricCount<Id>> values_{};
};

/// Adds the snapshot of one more shard to a total, as each metric's kind asks.
template <class Id>
void merge_metrics(const MetricTable<Id>& table, MetricValues<Id>& total,
                   const MetricValues<Id>& shard) {
  for (std::size_t i = 0; i < total.size(); ++i) {
    if (table[i].kind == MetricKind::peak) {
      if (shard[i] > total[i]) total[i] = shard[i];
    } else {
      total[i] += shard[i];
    }
  }
}

}  // namespace qudag
