#include "sim/letters/sim_letters.h"

#include <fstream>
#include <utility>

namespace qudag::testing {

using keeper::LetterEnd;

SimLetters::SimLetters(World& world, Host& host, const std::filesystem::path& file,
                       keeper::LetterRoom& room)
    : world_(world), host_(host), room_(room) {
  std::ofstream(file, std::ios::app).close();
  auto opened = store::RecordFile::open(
      file, {.records_max = 100'000, .bytes_max = room.bounds().node_bytes, .seen_max = 65'536});
  QUDAG_ASSERT(opened.has_value());
  file_ = std::move(*opened);
}

node::KeptRows SimLetters::load() {
  auto kept = node::load_rows(*file_, host_.now().unix_seconds);
  QUDAG_ASSERT(kept.has_value());
  for (const auto& one : kept->registered) registered_[node::name_of(one.row).key] = one.number;
  return std::move(*kept);
}

/// The group is written when its commit would end: what a crash in between loses was not committed.
void SimLetters::add(Job job) {
  jobs_.push_back(std::move(job));
  if (std::exchange(committing_, true)) return;
  world_.at(world_.now().mono + kCommit, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) commit();
  });
}

void SimLetters::commit() {
  committing_ = false;
  const std::vector<Job> group = std::exchange(jobs_, {});
  QUDAG_ASSERT(file_->begin().has_value());
  std::vector<std::function<void()>> after;
  for (const Job& job : group) after.push_back(job());
  QUDAG_ASSERT(file_->commit().has_value());
  for (const auto& one : after) {
    if (one) one();
  }
  world_.wake(host_);
}

bool SimLetters::put(keeper::LetterRow letter, std::function<void(LetterEnd)> done) {
  const auto shared = std::make_shared<const keeper::LetterRow>(std::move(letter));
  add([this, shared, done = std::move(done)]() -> std::function<void()> {
    if (full_) return [done] { done(LetterEnd::failed); };
    const Bytes body(shared->sealed);
    const auto added = file_->add(node::name_of(*shared), {&body, 1}, host_.now().unix_seconds);
    QUDAG_ASSERT(added.has_value());
    const LetterEnd end = *added == store::Added::stored  ? LetterEnd::stored
                          : *added == store::Added::known ? LetterEnd::known
                                                          : LetterEnd::full;
    return [done, end] { done(end); };
  });
  return true;
}

bool SimLetters::next(const keeper::LetterBox& box, std::uint64_t after,
                      std::function<void(std::optional<keeper::KeptLetter>)> done) {
  add([this, box, after, done = std::move(done)]() -> std::function<void()> {
    std::vector<std::uint64_t> unreadable;
    auto letter = node::read_next(*file_, box, after, host_.now().unix_seconds, unreadable);
    QUDAG_ASSERT(letter.has_value() && unreadable.empty());
    return [done, letter = std::move(*letter)] { done(letter); };
  });
  return true;
}

void SimLetters::take(std::vector<keeper::LetterBox> boxes, std::vector<std::uint64_t> numbers) {
  add([this, boxes = std::move(boxes), numbers = std::move(numbers)]() -> std::function<void()> {
    std::vector<store::RecordHead> gone;
    const UnixSeconds now = host_.now().unix_seconds;
    for (const std::uint64_t number : numbers) {
      const auto head = node::find_letter(*file_, boxes, number, now);
      if (!head || !*head) continue;
      QUDAG_ASSERT(file_->remove(number, now).has_value());
      gone.push_back(**head);
    }
    return [this, gone] {
      for (const store::RecordHead& head : gone) {
        room_.on_gone(*node::letter_box_of(head), static_cast<std::size_t>(head.bytes));
      }
    };
  });
}

void SimLetters::drop(const keeper::LetterBox& box) {
  add([this, box]() -> std::function<void()> {
    const auto heads = file_->list(box, 0, 128, 0);
    QUDAG_ASSERT(heads.has_value());
    for (const store::RecordHead& head : *heads) {
      QUDAG_ASSERT(file_->remove(head.number, host_.now().unix_seconds).has_value());
    }
    return [this, box, heads = *heads] {
      for (const store::RecordHead& head : heads) {
        room_.on_gone(box, static_cast<std::size_t>(head.bytes));
      }
    };
  });
}

void SimLetters::put(const keeper::RegisteredRow& row) {
  drop_registered(row.inbox);
  add([this, row]() -> std::function<void()> {
    const auto raw = node::encode(row);
    const Bytes body(raw);
    const auto added = file_->add(node::name_of(row), {&body, 1}, host_.now().unix_seconds);
    QUDAG_ASSERT(added.has_value());
    if (*added == store::Added::stored) {
      registered_[node::name_of(row).key] = file_->next() - 1;
    }
    return {};
  });
}

void SimLetters::drop_registered(const wire::InboxId& inbox) {
  add([this,
       key = node::name_of(keeper::RegisteredRow{inbox, {}, 0}).key]() -> std::function<void()> {
    const auto at = registered_.find(key);
    if (at == registered_.end()) return {};
    QUDAG_ASSERT(file_->remove(at->second, host_.now().unix_seconds).has_value());
    registered_.erase(at);
    return {};
  });
}

void SimSeen::add(std::span<const keeper::LetterKey> keys, std::function<void(Now)> done) {
  keys_.insert(keys.begin(), keys.end());
  world_.at(world_.now().mono + SimLetters::kCommit, [this, done = std::move(done)] {
    done(host_.now());
    world_.wake(host_);
  });
}

}  // namespace qudag::testing
