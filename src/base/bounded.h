// What every bounded thing of the program tells of itself: queues, pools, tables, buffers.
//
// Modules report theirs as rows of this one form; node gathers the rows of all shards. `qudag
// status
// --queues` and the metrics show them, and a test fails on a row without a bound or beyond it.
#pragma once

#include "base/time.h"
#include "base/time_histogram.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace qudag {

/// Why an item did not get through a queue.
enum class DropReason : std::uint8_t {
  items_full,  ///< refused: the bound in number
  bytes_full,  ///< refused: the bound in bytes
  too_large,   ///< refused: larger than the bound in bytes, it could never fit
  oldest,      ///< dropped to make room for a newer item
  expired,     ///< dropped: its time, or the age that the queue allows, was over
  purged,      ///< dropped by its owner
};
inline constexpr std::size_t kDropReasonCount = 6;
inline constexpr std::string_view kDropReasonNames[kDropReasonCount] = {
    "items_full", "bytes_full", "too_large", "oldest", "expired", "purged"};
constexpr std::string_view name_of(DropReason reason) {
  return kDropReasonNames[static_cast<std::size_t>(reason)];
}

struct Bounded {
  enum class Kind : std::uint8_t {
    queue,   ///< items that wait for their turn
    pool,    ///< pieces of memory for reuse
    table,   ///< records that are looked up
    buffer,  ///< bytes on their way
    budget,  ///< bytes that others reserve; no items
  };

  Kind kind = Kind::queue;
  std::string_view name;       // static text, as in docs/reference/limits.md
  std::string_view level;      // of a queue with several
  std::string_view when_full;  // what then happens, in a few words
  bool of_all_shards = false;  // the bounds are of all shards together: they lend each other
  std::uint64_t items = 0;
  std::uint64_t items_max = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_max = 0;
  std::uint64_t bytes_bound =
      0;  // at most bytes_max: a bound that moves, as it is now; 0: it stays
  std::uint64_t bytes_per_second = 0;  // that such a queue drains
  Duration age_max{};  // zero: its consumer takes everything in every turn, so nothing gets old

  // Of queues.
  Duration oldest{};     // how long the first item has waited
  TimeHistogram waited;  // of those that left
  std::uint64_t entered = 0;
  std::uint64_t left = 0;
  std::array<std::uint64_t, kDropReasonCount> drops{};
};

using BoundedList = std::vector<Bounded>;

constexpr std::string_view name_of(Bounded::Kind kind) {
  switch (kind) {
    case Bounded::Kind::queue:
      return "queue";
    case Bounded::Kind::pool:
      return "pool";
    case Bounded::Kind::table:
      return "table";
    case Bounded::Kind::buffer:
      return "buffer";
    case Bounded::Kind::budget:
      return "budget";
  }
  return "";
}

/// A row of a table, pool or buffer.
constexpr Bounded bounded(Bounded::Kind kind, std::string_view name, std::string_view when_full,
                          std::uint64_t items, std::uint64_t items_max,
                          std::uint64_t bytes_each = 0) {
  Bounded out;
  out.kind = kind;
  out.name = name;
  out.when_full = when_full;
  out.items = items;
  out.items_max = items_max;
  out.bytes = items * bytes_each;
  out.bytes_max = items_max * bytes_each;
  return out;
}

}  // namespace qudag
