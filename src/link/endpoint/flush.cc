// The end of a turn:
//   1. links that are about to close: write CONNECTION_CLOSE, free the QUIC state, tell the owner;
//   2. trains that the socket refused last time, or nothing else;
//   3. every dirty link in turn, the urgent ones first, up to its quantum and the turn's budget of
//      its level; the owner hears what left;
//   4. again, a few times, for links that became dirty by what the owner did then;
//   5. the turn's scratch memory is taken back.
#include "link/endpoint/endpoint_impl.h"

#include <algorithm>

namespace qudag::link {
namespace {

constexpr int kRoundsMax = 3;
constexpr std::uint8_t kSampledLevels = (1u << kLevelCount) - 1 - (1u << kControlLevel);
constexpr auto kRetiredFor = std::chrono::milliseconds(300);

}  // namespace

bool Endpoint::Impl::flush(runtime::DatagramSocket& socket, Now now) {
  shared_.now = now;
  absorb_greeted();
  end_closing();
  accepted_this_turn_ = handed_on_this_turn_ = 0;
  write_left_ = kWriteBytesPerTurn;
  shared_.levels_to_sample = kSampledLevels;
  blocked_ = !send_queue_.send(socket);
  for (int round = 0; !blocked_ && round < kRoundsMax && !shared_.dirty.empty(); ++round) {
    blocked_ = !write_dirty(socket);
  }
  end_closing();
  if (!blocked_) blocked_ = !send_queue_.send(socket);
  start_steps();  // of links that were dialed in this turn
  shared_.scratch.reset();
  tell_places();
  return !blocked_;
}

bool Endpoint::Impl::write_dirty(runtime::DatagramSocket& socket) {
  writing_.clear();
  writing_.swap(shared_.dirty);
  for (Connection* const link : writing_) link->dirty = false;
  bool room_left = true;
  for (std::uint8_t level = 0; room_left && level < kLevelCount; ++level) {
    room_left = write_level(level, socket);
  }
  for (Connection* const link : writing_) {  // the socket or the budget is used up: later
    if (link == nullptr || link->dirty) continue;
    link->dirty = true;
    shared_.dirty.push_back(link);
  }
  return send_queue_.send(socket);
}

/// Links whose most urgent data is of that level. False if the socket is full.
bool Endpoint::Impl::write_level(std::uint8_t level, runtime::DatagramSocket& socket) {
  const bool last = level + 1u == kLevelCount;
  for (Connection*& link : writing_) {
    // By the time of the last level a link may have lost what it had at an earlier one.
    if (link == nullptr || (link->urgency() != level && !last)) continue;
    if (write_left_[level] == 0) {
      if (level != kControlLevel) ++shared_.stats.turns_writes_used_up[level - 1u];
      return true;
    }
    const bool room_left = write(*link, level, socket);
    if (!room_left) return false;
    link = nullptr;
  }
  return true;
}

bool Endpoint::Impl::write(Connection& link, std::uint8_t level, runtime::DatagramSocket& socket) {
  const std::size_t packet_max = shared_.options.packet_bytes_max;
  std::size_t budget = link.begin_writing();
  bool room_left = true;
  while (budget > 0) {
    MutableBytes room = send_queue_.train_room();
    if (room.empty()) {
      room_left = send_queue_.send(socket);
      if (!room_left) break;
      continue;
    }
    TrainInfo train;
    room = room.first(std::min(room.size(), std::max(budget, packet_max)));
    if (!link.write_train(room, train)) break;
    send_queue_.add(train);
    budget -= std::min(budget, train.bytes);
    write_left_[level] -= std::min(write_left_[level], train.bytes);
  }
  link.end_writing(budget == 0);
  link.report_sent();
  shared_.deadlines.set(link, link.deadline());
  return room_left;
}

void Endpoint::Impl::end_closing() {
  while (!shared_.closing_soon.empty()) end(*shared_.closing_soon.back());
}

void Endpoint::Impl::end(Connection& link) {
  const LinkId id = link.id();
  const bool was_ready = link.was_ready();
  const bool tell = link.dialer() || was_ready;
  if (!was_ready) ++shared_.stats.handshakes_failed;
  TrainInfo close;
  const MutableBytes room = send_queue_.packet_room(shared_.options.packet_bytes_max);
  if (!room.empty() && link.write_close(room, close)) send_queue_.add(close);

  if (link.dialer() && !was_ready && !stopping_ && !link.for_others()) {
    redial_.failed(*link.peer(), link.dialed_at(), shared_.now.mono, shared_.rng);
  }
  const Error why = link.retire();
  forget_peer(link);
  Slot& slot = slots_[id.slot];
  shared_.deadlines.remove(link);
  if (retired_.size() < kRetiredMax) {
    shared_.deadlines.set(link, shared_.now.mono + kRetiredFor);
    retired_.push_back(std::move(slot.link));
  }
  slot.link.reset();
  ++slot.generation;
  free_.push_back(id.slot);
  --live_;
  if (tell) shared_.events.on_link_closed(id, why, shared_.now);
}

}  // namespace qudag::link
