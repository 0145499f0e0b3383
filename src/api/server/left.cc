#include "api/server/left.h"

#include "api/server/hub.h"

namespace qudag::api {
namespace {

/// A subscriber that was full may have room.
constexpr std::chrono::seconds kTryAgain{1};

}  // namespace

void Left::put(std::shared_ptr<Message> message, std::chrono::milliseconds delay) {
  if (ended_) return;
  const std::uint64_t bytes = message->payload.size();
  const bool room = entries_.empty() || bytes_ + bytes <= hub_.options.queue_bytes;
  if (entries_.size() >= hub_.options.queue_messages || !room) {
    static_cast<void>(hub_.node.acknowledge(message->receipt, Accept::queue_full));
    return;
  }
  bytes_ += bytes;
  const Clock::time_point due = Clock::now() + delay;
  entries_.push_back({std::move(message), due, due + kKept});
  offer();
}

/// Whether the entry is over.
bool Left::give(Entry& entry, Clock::time_point now) {
  if (now < entry.due || entry.message.use_count() > 1) return false;
  const Receipt receipt = entry.message->receipt;
  const std::uint64_t bytes = entry.message->payload.size();
  Accept answer = hub_.subscribers.offer(*entry.message);
  const bool given = answer == Accept::taken || answer == Accept::later;
  if (!given && now < entry.until) return false;
  bytes_ -= bytes;
  if (answer != Accept::later) static_cast<void>(hub_.node.acknowledge(receipt, answer));
  return true;
}

void Left::offer() {
  if (ended_) return;
  const Clock::time_point now = Clock::now();
  std::erase_if(entries_, [&](Entry& entry) { return give(entry, now); });
  wait();
}

void Left::wait() {
  if (entries_.empty()) return;
  Clock::time_point next = Clock::time_point::max();
  const Clock::time_point now = Clock::now();
  for (const Entry& entry : entries_) {
    next = std::min(next, entry.due > now ? entry.due : now + kTryAgain);
  }
  timer_.expires_at(next);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) offer();
  });
}

void Left::end() {
  ended_ = true;
  timer_.cancel();
  entries_.clear();
}

void Left::report(std::vector<QueueStatus>& rows) const {
  QueueStatus row;
  row.kind = QueueKind::queue;
  row.name = "messages in hand without a client";
  row.when_full = "refuse";
  row.items = entries_.size();
  row.items_max = hub_.options.queue_messages;
  row.bytes = bytes_;
  row.bytes_max = std::max<std::uint64_t>(hub_.options.queue_bytes, kMessageBytesMax);
  row.age_max = kKept;
  rows.push_back(std::move(row));
}

}  // namespace qudag::api
