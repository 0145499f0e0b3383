#include "numbered.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

namespace qudag::traffic {
namespace {

using namespace std::chrono_literals;

/// In front of every numbered message.
struct Head {
  std::uint32_t magic = kMagic;
  std::uint32_t stream = 0;
  std::uint64_t number = 0;
  std::int64_t sent_ns = 0;
  static constexpr std::uint32_t kMagic = 0x71756431;
};

double ms(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double rounded(double value) { return std::round(value * 100) / 100; }

}  // namespace

Percentiles percentiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[std::min(values.size() - 1,
                           static_cast<std::size_t>(share * static_cast<double>(values.size())))];
  };
  return {.p50 = at(0.5), .p90 = at(0.9), .p99 = at(0.99), .max = values.back()};
}

json::object to_json(const Percentiles& values) {
  return {{"p50", rounded(values.p50)},
          {"p90", rounded(values.p90)},
          {"p99", rounded(values.p99)},
          {"max", rounded(values.max)}};
}

// ---- What arrived -------------------------------------------------------------------------------

void Book::keep(Node& destination) {
  destination.on_message([this](Message&& message) { return take(message); });
}

Accept Book::take(const Message& message) {
  const auto now = Clock::now();
  Head head;
  head.magic = 0;
  if (message.payload.piece(0).size() >= sizeof head) {
    std::memcpy(&head, message.payload.piece(0).data(), sizeof head);
  }
  const std::lock_guard lock(mutex_);
  bytes_ += message.payload.size();
  if (head.magic != Head::kMagic) return Accept::taken;
  if (streams_.size() <= head.stream) streams_.resize(head.stream + 1);
  Stream& stream = streams_[head.stream];
  if (stream.times.size() <= head.number) stream.times.resize(head.number + 1);
  ++stream.times[head.number];
  stream.at.push_back(now);
  stream.took_ms.push_back(ms(now - Clock::time_point(std::chrono::nanoseconds(head.sent_ns))));
  return Accept::taken;
}

Book::Stream Book::stream(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  return id < streams_.size() ? streams_[id] : Stream{};
}

std::uint64_t Book::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

double longest_gap_ms(const Book::Stream& stream, Clock::time_point from, Clock::time_point to) {
  std::vector<Clock::time_point> at = stream.at;
  std::ranges::sort(at);
  double longest = 0;
  for (std::size_t i = 1; i < at.size(); ++i) {
    if (at[i] >= from && at[i] < to) longest = std::max(longest, ms(at[i] - at[i - 1]));
  }
  return rounded(longest);
}

json::object summary(const Book::Stream& stream, std::uint64_t sent) {
  const auto once = [](std::uint8_t times) { return times > 0; };
  const auto twice = [](std::uint8_t times) { return times > 1; };
  const auto arrived = static_cast<std::uint64_t>(std::ranges::count_if(stream.times, once));
  return {{"sent", sent},
          {"lost", sent - arrived},
          {"doubled", std::ranges::count_if(stream.times, twice)},
          {"one_way_ms", to_json(percentiles(stream.took_ms))},
          {"longest_gap_ms",
           longest_gap_ms(stream, Clock::time_point::min(), Clock::time_point::max())}};
}

// ---- What is sent -------------------------------------------------------------------------------

Numbered::Numbered(Node& source, const NodeId& to, const Offer& offer)
    : source_(source),
      to_(to),
      offer_(offer),
      thread_([this](const std::stop_token& stopped) { run(stopped); }) {}

void Numbered::run(const std::stop_token& stopped) {
  const auto begin = Clock::now();
  while (!stopped.stop_requested()) {
    const double passed = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto due = static_cast<std::uint64_t>(passed * offer_.per_second);
    while (sent_ < due) send_one();
    std::this_thread::sleep_for(500us);
  }
}

void Numbered::send_one() {
  std::vector<std::byte> payload(std::max(offer_.bytes, sizeof(Head)));
  const Head head{.stream = offer_.stream,
                  .number = sent_++,
                  .sent_ns = Clock::now().time_since_epoch() / std::chrono::nanoseconds(1)};
  std::memcpy(payload.data(), &head, sizeof head);
  const auto taken = source_.send(to_, payload, offer_.how, [this](const Delivery& end) {
    if (end.outcome == Outcome::delivered) {
      const std::lock_guard lock(mutex_);
      round_trips_ms_.push_back(ms(end.elapsed));
      ++delivered_;
    }
    ++ended_;
  });
  if (!taken) ++ended_;
}

void Numbered::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  while (ended_.load() < sent_) std::this_thread::sleep_for(5ms);
}

std::vector<double> Numbered::round_trips_ms() const {
  const std::lock_guard lock(mutex_);
  return round_trips_ms_;
}

Bulk::Bulk(Node& source, const NodeId& to, std::size_t bytes, std::size_t window, SendOptions how)
    : source_(source), to_(to), payload_(bytes), how_(how) {
  under_way_ = window;
  for (std::size_t i = 0; i < window; ++i) next();
}

Bulk::~Bulk() {
  stop();
  while (under_way_.load() > 0) std::this_thread::sleep_for(5ms);
}

void Bulk::next() {
  const auto counted = std::make_shared<std::size_t>(0);  // owners: the two callbacks of a message
  const auto count = [this, counted](std::size_t bytes) {
    delivered_bytes_ += bytes - std::exchange(*counted, bytes);
  };
  const auto taken = source_.send(
      to_, std::span<const std::byte>(payload_), how_,
      [this, count](const Delivery& end) {
        const bool good = end.outcome == Outcome::delivered;
        if (good) count(payload_.size());
        if (!good) ++failed_;
        if (stopping_.load() || !good) {
          --under_way_;
        } else {
          next();
        }
      },
      [count](const SendProgress& now) { count(now.bytes_done); });
  if (taken) return;
  ++failed_;
  --under_way_;
}

}  // namespace qudag::traffic
