// Numbered messages, one every so often, and the book of those that arrived: which were lost, which
// came twice, how long each took, and the longest time in which none came.
//
// Threads: one that offers; arrivals and outcomes come on the nodes'.
#pragma once

#include "nodes.h"

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace qudag::traffic {

using Clock = std::chrono::steady_clock;

struct Percentiles {
  double p50 = 0, p90 = 0, p99 = 0, max = 0;
};
Percentiles percentiles(std::vector<double> values);
json::object to_json(const Percentiles& values);

/// What a destination has taken of all streams.
class Book {
 public:
  /// Becomes the node's handler.
  void keep(Node& destination);

  struct Stream {
    std::vector<std::uint8_t> times;  // by number: how often it arrived
    std::vector<Clock::time_point> at;
    std::vector<double> took_ms;  // from the call of send
  };
  Stream stream(std::uint32_t id) const;
  std::uint64_t bytes() const;

 private:
  Accept take(const Message& message);

  mutable std::mutex mutex_;
  std::vector<Stream> streams_;
  std::uint64_t bytes_ = 0;
};

struct Offer {
  std::uint32_t stream = 0;
  double per_second = 1'000;
  std::size_t bytes = 100;
  SendOptions how;
};

/// Sends from construction on, until stop().
class Numbered {
 public:
  Numbered(Node& source, const NodeId& to, const Offer& offer);
  ~Numbered() { stop(); }
  /// No more; waits for every outcome.
  void stop();
  std::uint64_t sent() const { return sent_; }
  std::uint64_t delivered() const { return delivered_.load(); }
  /// From the call to the acknowledgement.
  std::vector<double> round_trips_ms() const;

 private:
  void run(const std::stop_token& stopped);
  void send_one();

  Node& source_;
  const NodeId to_;
  const Offer offer_;
  std::uint64_t sent_ = 0;  // of the thread; read after stop()
  std::atomic<std::uint64_t> ended_{0}, delivered_{0};
  mutable std::mutex mutex_;
  std::vector<double> round_trips_ms_;
  std::jthread thread_;
};

/// Lost, doubled, times and gaps of one stream, of which `sent` were sent.
json::object summary(const Book::Stream& stream, std::uint64_t sent);
/// The longest time between two arrivals of which the later is in [from, to).
double longest_gap_ms(const Book::Stream& stream, Clock::time_point from, Clock::time_point to);

/// Messages of low priority of `bytes`, `window` of them under way at any time.
class Bulk {
 public:
  Bulk(Node& source, const NodeId& to, std::size_t bytes, std::size_t window, SendOptions how);
  ~Bulk();
  /// No new ones.
  void stop() { stopping_ = true; }
  std::uint64_t delivered_bytes() const { return delivered_bytes_.load(); }
  std::uint64_t failed() const { return failed_.load(); }

 private:
  void next();

  Node& source_;
  const NodeId to_;
  const std::vector<std::byte> payload_;
  const SendOptions how_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> delivered_bytes_{0}, failed_{0}, under_way_{0};
};

}  // namespace qudag::traffic
