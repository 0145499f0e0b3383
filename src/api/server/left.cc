#include "api/server/left.h"

#include "api/server/hub.h"

#include <algorithm>
#include <iterator>

namespace qudag::api {
namespace {

/// A subscriber that was full may have room.
constexpr std::chrono::seconds kTryAgain{1};

}  // namespace

void Left::put(std::shared_ptr<Message> message, std::chrono::milliseconds delay) {
  // The inbox has it still, in its place.
  if (message->kept && delay == delay.zero()) {
    static_cast<void>(hub_.node.acknowledge(message->receipt, Accept::queue_full));
    return;
  }
  const Clock::time_point now = Clock::now();
  const Clock::time_point due = now + delay;
  if (ended_ || delay >= message->time_left()) return;  // its sender hears `expired`
  const std::uint64_t bytes = message->payload.size();
  const ChannelNumber channel = message->channel;
  if (!make_room(channel, bytes)) {
    static_cast<void>(hub_.node.acknowledge(message->receipt, Accept::queue_full));
    return;
  }
  ++count_;
  bytes_ += bytes;
  channels_[channel].emplace(due, std::move(message));
  if (delay > delay.zero()) return wake_at(due);
  offer(channel);
}

/// For one more of that channel, by those of the channel that has most: its last ones.
bool Left::make_room(ChannelNumber channel, std::uint64_t bytes) {
  const auto fits = [&] {
    return count_ < hub_.options.queue_messages &&
           (count_ == 0 || bytes_ + bytes <= hub_.options.queue_bytes);
  };
  const auto own = channels_.find(channel);
  const std::size_t after = (own == channels_.end() ? 0 : own->second.size()) + 1;
  while (!fits()) {
    const auto most =
        std::ranges::max_element(channels_, {}, [](const auto& one) { return one.second.size(); });
    if (most == channels_.end() || most->second.size() <= after) return false;
    const auto last = std::prev(most->second.end());
    static_cast<void>(hub_.node.acknowledge(last->second->receipt, Accept::queue_full));
    drop(most->second, last, last->second->payload.size());
  }
  return true;
}

Left::Waiting::iterator Left::drop(Waiting& waiting, Waiting::iterator at, std::uint64_t bytes) {
  --count_;
  bytes_ -= bytes;
  return waiting.erase(at);
}

Left::Given Left::give(Message& message, Clock::time_point due, Clock::time_point now) {
  const Receipt receipt = message.receipt;
  if (message.time_left().count() == 0) return Given::over;
  const Accept answer = hub_.subscribers.offer(message);
  if (answer == Accept::later) return Given::yes;
  if (answer != Accept::taken && now < due + kKept) return Given::no;
  static_cast<void>(hub_.node.acknowledge(receipt, answer));
  return answer == Accept::taken ? Given::yes : Given::over;
}

/// Gives what is due until nobody takes it. When to look again.
Left::Clock::time_point Left::serve(Waiting& waiting, Clock::time_point now) {
  for (auto at = waiting.begin(); at != waiting.end();) {
    if (at->first > now) return at->first;
    if (at->second.use_count() > 1) {  // it is still being written to the client that gave it back
      ++at;
      continue;
    }
    const std::uint64_t bytes = at->second->payload.size();
    if (give(*at->second, at->first, now) == Given::no) break;
    at = drop(waiting, at, bytes);
  }
  return waiting.empty() ? Clock::time_point::max() : now + kTryAgain;
}

void Left::offer(ChannelNumber channel) {
  const auto at = channels_.find(channel);
  if (ended_ || at == channels_.end()) return;
  wake_at(serve(at->second, Clock::now()));
  if (at->second.empty()) channels_.erase(at);
}

void Left::on_time() {
  const Clock::time_point now = Clock::now();
  next_ = Clock::time_point::max();
  Clock::time_point next = next_;
  for (auto at = channels_.begin(); at != channels_.end();) {
    next = std::min(next, serve(at->second, now));
    at = at->second.empty() ? channels_.erase(at) : std::next(at);
  }
  wake_at(next);
}

void Left::wake_at(Clock::time_point when) {
  if (ended_ || when >= next_) return;
  next_ = when;
  timer_.expires_at(when);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) on_time();
  });
}

void Left::end() {
  ended_ = true;
  timer_.cancel();
  channels_.clear();
}

void Left::report(std::vector<QueueStatus>& rows) const {
  QueueStatus row;
  row.kind = QueueKind::queue;
  row.name = "messages in hand without a client";
  row.when_full = "refuse";
  row.items = count_;
  row.items_max = hub_.options.queue_messages;
  row.bytes = bytes_;
  row.bytes_max = std::max<std::uint64_t>(hub_.options.queue_bytes, kMessageBytesMax);
  row.age_max = kKept;
  rows.push_back(std::move(row));
}

}  // namespace qudag::api
