// open_loop: every millisecond, whatever is due by then. The window in which goodput counts starts
// after a quarter of the time, when queues have filled, and ends with the offering.
#include "offered.h"

#include <fmt/format.h>

#include <thread>

namespace qudag::app::bench {
namespace {

using namespace std::chrono_literals;

std::chrono::nanoseconds in_time(double seconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

std::size_t index(Priority priority) { return static_cast<std::size_t>(priority); }

std::string words(const Delivery& delivery) {
  return fmt::format("{}: {}", name_of(delivery.outcome), delivery.reason.message());
}

}  // namespace

Priority mixed_priority(std::uint64_t number) {
  if (number % 20 == 0) return Priority::high;
  return number % 4 == 1 ? Priority::normal : Priority::low;
}

std::size_t mixed_bytes(Priority priority) {
  static constexpr std::array<std::size_t, kPriorityCount> kBytes{256, 1'024, 4'096};
  return kBytes[index(priority)];
}

std::uint64_t Tally::accounted() const {
  std::uint64_t sum = delivered;
  for (const auto& [what, count] : told) sum += count;
  return sum;
}

std::uint64_t Books::offered() const {
  std::uint64_t sum = 0;
  for (const Tally& tally : classes) sum += tally.offered;
  return sum;
}

std::uint64_t Books::delivered() const {
  std::uint64_t sum = 0;
  for (const Tally& tally : classes) sum += tally.delivered;
  return sum;
}

double Books::goodput(Priority priority) const {
  const auto bytes = classes[index(priority)].delivered_in_window * mixed_bytes(priority);
  return static_cast<double>(bytes) / window_seconds;
}

double Books::goodput() const {
  return goodput(Priority::high) + goodput(Priority::normal) + goodput(Priority::low);
}

Offered::Offered(Node& source, const NodeId& to, unsigned relays, std::chrono::milliseconds ttl)
    : source_(source),
      to_(to),
      relays_(relays),
      ttl_(ttl),
      slots_{Slot{this, Priority::high}, Slot{this, Priority::normal}, Slot{this, Priority::low}} {
  for (const Slot& slot : slots_)
    payloads_[index(slot.priority)].resize(mixed_bytes(slot.priority));
}

void Offered::begin(double seconds) {
  begin_ = Clock::now();
  end_ = begin_ + in_time(seconds);
  const std::lock_guard lock(mutex_);
  books_ = {};
  books_.window_seconds = seconds * 0.75;
  window_begin_ = begin_ + in_time(seconds * 0.25);
  window_end_ = end_;
}

void Offered::send_next() {
  const Priority priority = mixed_priority(sent_++);
  {
    const std::lock_guard lock(mutex_);
    ++books_.classes[index(priority)].offered;
    ++under_way_;
  }
  const Slot* slot = &slots_[index(priority)];
  const auto accepted = source_.send(
      to_, payloads_[index(priority)], {.priority = priority, .ttl = ttl_, .relays = relays_},
      [slot](const Delivery& d) { slot->owner->told(slot->priority, d); });
  // Refused at once is an answer too.
  if (!accepted) told(priority, {.outcome = Outcome::refused, .reason = accepted.error()});
}

void Offered::told(Priority priority, const Delivery& delivery) {
  const std::lock_guard lock(mutex_);
  Tally& tally = books_.classes[index(priority)];
  if (delivery.outcome == Outcome::delivered) {
    ++tally.delivered;
    tally.latency_ns.record(static_cast<std::uint64_t>(delivery.elapsed.count()));
    const auto now = Clock::now();
    if (now >= window_begin_ && now < window_end_) ++tally.delivered_in_window;
  } else {
    ++tally.told[words(delivery)];
    if (delivery.reason == Errc::ok) ++tally.without_reason;
  }
  if (--under_way_ <= wake_at_) changed_.notify_one();
}

void Offered::closed_loop(double seconds, std::size_t under_way) {
  begin(seconds);
  while (Clock::now() < end_) {
    std::size_t room = 0;
    {
      std::unique_lock lock(mutex_);
      wake_at_ = under_way / 2;
      changed_.wait_for(lock, 100ms, [&] { return under_way_ <= wake_at_; });
      room = under_way - std::min(under_way, under_way_);
    }
    for (; room > 0; --room) send_next();
  }
  books_.offered_seconds = seconds;
}

void Offered::open_loop(double seconds, double per_second) {
  begin(seconds);
  const auto all = static_cast<std::uint64_t>(seconds * per_second);
  std::uint64_t offered = 0;
  // Who cannot offer so much does not go on for ever: twice the time, and the books say so.
  const auto late = begin_ + in_time(2 * seconds);
  while (offered < all && Clock::now() < late) {
    const std::chrono::duration<double> passed = Clock::now() - begin_;
    const auto due = std::min(all, static_cast<std::uint64_t>(passed.count() * per_second));
    for (; offered < due; ++offered) send_next();
    std::this_thread::sleep_for(1ms);
  }
  const std::lock_guard lock(mutex_);
  books_.offered_seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
}

bool Offered::settle(std::chrono::seconds patience) {
  std::unique_lock lock(mutex_);
  wake_at_ = 0;
  return changed_.wait_for(lock, patience, [&] { return under_way_ == 0; });
}

Books Offered::books() {
  const std::lock_guard lock(mutex_);
  return books_;
}

}  // namespace qudag::app::bench
