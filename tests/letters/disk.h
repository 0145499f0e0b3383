// A keeper's disk without a keeper: LetterRecords, a LetterRoom, and letters of numbers.
#pragma once

#include "keeper/registry.h"
#include "node/letters/letter_records.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <set>
#include <string>

namespace qudag::node::test {

struct Scratch {
  Scratch() {
    std::string name = "/tmp/qudag-letters-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

inline Now wall_now() {
  return {TimePoint(std::chrono::steady_clock::now().time_since_epoch()), 1'800'000'000};
}

inline wire::LetterId letter_id(std::uint64_t number) {
  wire::LetterId out{};
  store_be(out.data() + 8, number);
  return out;
}
inline wire::InboxId inbox_of(std::uint64_t number) {
  wire::InboxId out{};
  out.fill(std::byte{3});
  store_be(out.data(), number);
  return out;
}
/// Bytes that follow from the id.
inline std::vector<std::byte> letter_bytes(const wire::LetterId& id, std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = id[8 + i % 8] ^ static_cast<std::byte>(i);
  return out;
}

class Disk {
 public:
  explicit Disk(const std::filesystem::path& directory, keeper::LetterBounds bounds = {},
                std::function<Now()> clock = wall_now)
      : clock_(std::move(clock)), room(bounds, 1, nullptr) {
    auto opened = LetterRecords::open(
        {.directory = directory, .bytes = bounds.node_bytes, .inboxes = 4'096, .clock = clock_},
        room, log_);
    EXPECT_TRUE(opened) << opened.error().message();
    records = std::move(*opened);
    kept = records->take_kept();
    for (const auto& one : kept.registered) {
      room.restore(keeper::box_of(one.row.inbox), one.row.limits, one.row.until);
    }
    for (const auto& one : kept.letters) room.restore(one.box, one.letters, one.bytes);
    room.attach(*records, [](unsigned) { return true; });
  }
  ~Disk() { records->stop(); }

  void register_inbox(std::uint64_t inbox, wire::InboxEntry limits = {}) {
    if (!room.registered(keeper::box_of(inbox_of(inbox)), limits, clock_().unix_seconds)) return;
    records->put(keeper::RegisteredRow{.inbox = inbox_of(inbox),
                                       .limits = limits,
                                       .until = clock_().unix_seconds + 14 * 24 * 3600});
  }
  /// False: no place, and nothing happens.
  bool put(std::uint64_t inbox, const wire::LetterId& id, std::size_t bytes,
           std::function<void(keeper::LetterEnd)> done) {
    const keeper::LetterBox box = keeper::box_of(inbox_of(inbox));
    if (room.reserve(box, bytes) != keeper::LetterRoom::Place::ok) return false;
    const UnixSeconds now = clock_().unix_seconds;
    return records->put({.box = box,
                         .id = id,
                         .expires = now + 7 * 24 * 3600,
                         .resent = now + 1'200,
                         .sealed = letter_bytes(id, bytes)},
                        [this, box, bytes, done = std::move(done)](keeper::LetterEnd end) {
                          room.ended(box, bytes, end);
                          done(end);
                        });
  }
  keeper::LetterEnd put_now(std::uint64_t inbox, const wire::LetterId& id,
                            std::size_t bytes = wire::kHailBytes) {
    std::promise<keeper::LetterEnd> end;
    const bool taken = put(inbox, id, bytes, [&](keeper::LetterEnd how) { end.set_value(how); });
    return taken ? end.get_future().get() : keeper::LetterEnd::full;
  }
  std::optional<keeper::KeptLetter> next(std::uint64_t inbox, std::uint64_t after) {
    std::promise<std::optional<keeper::KeptLetter>> found;
    EXPECT_TRUE(records->next(keeper::box_of(inbox_of(inbox)), after,
                              [&](auto letter) { found.set_value(std::move(letter)); }));
    return found.get_future().get();
  }
  /// The ids in that inbox; `changed` counts letters whose bytes are not theirs.
  std::set<wire::LetterId> all(std::uint64_t inbox, std::size_t& changed) {
    std::set<wire::LetterId> out;
    numbers_.clear();
    for (auto one = next(inbox, 0); one; one = next(inbox, one->number)) {
      changed += one->sealed == letter_bytes(one->id, one->sealed.size()) ? 0 : 1;
      out.insert(one->id);
      numbers_.push_back(one->number);
    }
    return out;
  }
  /// Returns when they are not on the disk.
  void take_all(std::uint64_t inbox) {
    std::size_t changed = 0;
    static_cast<void>(all(inbox, changed));
    take(inbox, numbers_);
    while (next(inbox, 0)) continue;
  }
  void take(std::uint64_t inbox, std::vector<std::uint64_t> numbers) {
    if (!numbers.empty()) records->take({keeper::box_of(inbox_of(inbox))}, std::move(numbers));
  }
  std::size_t waiting(std::uint64_t inbox) const {
    return room.waiting(keeper::box_of(inbox_of(inbox)));
  }

 private:
  Log log_{{.level = LogLevel::off, .sink = {}}};
  std::function<Now()> clock_;
  std::vector<std::uint64_t> numbers_;

 public:
  keeper::LetterRoom room;
  std::unique_ptr<LetterRecords> records;
  KeptRows kept;
};

}  // namespace qudag::node::test
