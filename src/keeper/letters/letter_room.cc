#include "keeper/letters/letter_room.h"

#include "crypto/kdf.h"

#include <algorithm>
#include <utility>

namespace qudag::keeper {
namespace {

/// A row that says for how long the inbox is registered is written again after so long.
constexpr UnixSeconds kRowAge = 24 * 3600;
constexpr UnixSeconds kLife = std::chrono::seconds(kRegisteredLife).count();

std::uint64_t within(std::uint64_t wanted, std::uint64_t most) {
  return wanted == 0 ? most : std::min(wanted, most);
}

std::uint64_t cost(std::size_t bytes) { return bytes + kLetterCost; }

}  // namespace

LetterBox box_of(const wire::InboxId& inbox) {
  return crypto::sha256({as_bytes("qudag/1 letter box"), inbox});
}

// ---- inboxes ------------------------------------------------------------------------------------

void LetterRoom::set(Inbox& inbox, const wire::InboxEntry& limits) const {
  inbox.letters_max = static_cast<std::size_t>(within(limits.letters, bounds_.letters));
  inbox.bytes_max = within(limits.letter_bytes, bounds_.bytes);
  inbox.limits = limits;
  inbox.limits.owner = {};
  inbox.registered = true;
}

bool LetterRoom::registered(const LetterBox& box, const wire::InboxEntry& limits, UnixSeconds now) {
  const std::lock_guard lock(mutex_);
  Inbox& inbox = inboxes_[box];
  wire::InboxEntry without = limits;
  without.owner = {};
  const bool same = inbox.registered && inbox.limits == without;
  set(inbox, limits);
  if (same && inbox.row_until + kRowAge > now + kLife) return false;
  inbox.row_until = now + kLife;
  return true;
}

void LetterRoom::restore(const LetterBox& box, const wire::InboxEntry& limits, UnixSeconds until) {
  const std::lock_guard lock(mutex_);
  Inbox& inbox = inboxes_[box];
  set(inbox, limits);
  inbox.row_until = until;
}

void LetterRoom::restore(const LetterBox& box, std::size_t letters, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  Inbox& inbox = inboxes_[box];
  inbox.letters += letters;
  inbox.bytes += bytes;
  stats_.letters += letters;
  stats_.bytes += bytes;
}

void LetterRoom::forget(const LetterBox& box) {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(box);
  if (at == inboxes_.end()) return;
  at->second.registered = false;
  if (at->second.letters == 0) inboxes_.erase(at);
}

std::size_t LetterRoom::waiting(const LetterBox& box) const {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(box);
  return at == inboxes_.end() ? 0 : at->second.letters;
}

// ---- letters ------------------------------------------------------------------------------------

LetterRoom::Place LetterRoom::reserve(const LetterBox& box, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto at = inboxes_.find(box);
  if (at == inboxes_.end() || !at->second.registered) return Place::inbox;
  Inbox& inbox = at->second;
  if (inbox.letters >= inbox.letters_max || cost(bytes) > inbox.bytes_max ||
      inbox.bytes > inbox.bytes_max - cost(bytes)) {
    return Place::inbox;
  }
  if (cost(bytes) > bounds_.node_bytes || stats_.bytes > bounds_.node_bytes - cost(bytes)) {
    return Place::node;
  }
  const std::uint64_t half = bounds_.node_bytes / 2;
  const std::uint64_t share = half / std::max<std::size_t>(bounds_.inboxes, 1);
  if (stats_.bytes + cost(bytes) > half && inbox.bytes + cost(bytes) > share) return Place::node;
  // One of any size goes where nothing else is under way.
  if (stats_.under_way > 0 && stats_.under_way + bytes > bounds_.under_way) return Place::memory;
  if (memory_ != nullptr && !memory_->reserve(bytes)) return Place::memory;
  ++inbox.letters;
  inbox.bytes += cost(bytes);
  ++stats_.letters;
  stats_.bytes += cost(bytes);
  stats_.under_way += bytes;
  return Place::ok;
}

void LetterRoom::ended(const LetterBox& box, std::size_t bytes, LetterEnd end) {
  if (memory_ != nullptr) memory_->release(bytes);
  const std::lock_guard lock(mutex_);
  stats_.under_way -= bytes;
  if (end != LetterEnd::stored) give(box, bytes);
}

void LetterRoom::give(const LetterBox& box, std::size_t bytes) {
  const auto at = inboxes_.find(box);
  if (at == inboxes_.end() || at->second.letters == 0) return;
  --at->second.letters;
  at->second.bytes -= std::min(at->second.bytes, cost(bytes));
  --stats_.letters;
  stats_.bytes -= std::min(stats_.bytes, cost(bytes));
  if (at->second.letters == 0 && !at->second.registered) inboxes_.erase(at);
}

void LetterRoom::on_gone(const LetterBox& box, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  give(box, bytes);
}

bool LetterRoom::begin_arriving() {
  const std::lock_guard lock(mutex_);
  if (stats_.arriving >= bounds_.arriving) return false;
  ++stats_.arriving;
  return true;
}

void LetterRoom::end_arriving() {
  const std::lock_guard lock(mutex_);
  --stats_.arriving;
}

bool LetterRoom::begin_sending(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (stats_.sending >= bounds_.sending) return false;
  if (memory_ != nullptr && !memory_->reserve(bytes)) return false;
  ++stats_.sending;
  return true;
}

void LetterRoom::end_sending(std::size_t bytes) {
  if (memory_ != nullptr) memory_->release(bytes);
  const std::lock_guard lock(mutex_);
  --stats_.sending;
}

// ---- mail of shards
// -----------------------------------------------------------------------------------

void LetterRoom::post(unsigned shard, Task task) {
  Mail& out = mail_[shard];
  {
    const std::lock_guard lock(out.mutex);
    out.tasks.push_back(std::move(task));
    if (out.any.exchange(true, std::memory_order_acq_rel)) return;  // it is woken already
  }
  // A mailbox that is full has turns to come: each of them looks here (Service::next_deadline).
  if (wake_) static_cast<void>(wake_(shard));
}

std::vector<LetterRoom::Task> LetterRoom::take_mail(unsigned shard) {
  Mail& out = mail_[shard];
  const std::lock_guard lock(out.mutex);
  out.any.store(false, std::memory_order_release);
  return std::exchange(out.tasks, {});
}

LetterRoomStats LetterRoom::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void LetterRoom::report(BoundedList& out) const {
  using Kind = Bounded::Kind;
  const LetterRoomStats now = stats();
  Bounded disk = bounded(Kind::table, "letters on the disk", "NO: no room", now.letters,
                         static_cast<std::size_t>(bounds_.node_bytes / wire::kHailBytes));
  disk.bytes = now.bytes;
  disk.bytes_max = bounds_.node_bytes;
  out.push_back(disk);
  out.push_back(bounded(Kind::table, "letters that come in pieces", "STORED: no room", now.arriving,
                        bounds_.arriving, wire::kLetterSizeMax));
  out.push_back(bounded(Kind::table, "letters on their way to receivers", "wait", now.sending,
                        bounds_.sending, wire::kLetterSizeMax));
}

}  // namespace qudag::keeper
