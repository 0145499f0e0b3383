// Letters on a keeper's disk: idempotent, bounded, deleted by their receiver alone, there after a
// restart with the registrations; and what a receiver took.
#include "letters/disk.h"
#include "node/letters/taken_letters.h"

#include <gtest/gtest.h>

#include <atomic>

namespace qudag::node::test {
namespace {

using keeper::LetterEnd;

TEST(LetterRecords, ARepeatedLetterIsOneAndHasTheSameAnswer) {
  const Scratch scratch;
  Disk disk(scratch.path);
  disk.register_inbox(1);
  EXPECT_EQ(disk.put_now(1, letter_id(7)), LetterEnd::stored);
  EXPECT_EQ(disk.put_now(1, letter_id(7)), LetterEnd::known);
  EXPECT_EQ(disk.waiting(1), 1u);
  const auto letter = disk.next(1, 0);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->sealed, letter_bytes(letter_id(7), wire::kHailBytes));
  disk.take_all(1);
  EXPECT_EQ(disk.waiting(1), 0u);
  // It was taken: a sender that has not heard so hears it, and the receiver does not have it again.
  EXPECT_EQ(disk.put_now(1, letter_id(7)), LetterEnd::known);
  EXPECT_FALSE(disk.next(1, 0));
}

TEST(LetterRecords, AnotherReceiverDeletesNothing) {
  const Scratch scratch;
  Disk disk(scratch.path);
  disk.register_inbox(1);
  disk.register_inbox(2);
  EXPECT_EQ(disk.put_now(1, letter_id(1)), LetterEnd::stored);
  const auto letter = disk.next(1, 0);
  ASSERT_TRUE(letter);
  disk.take(2, {letter->number});
  disk.take(2, {letter->number});
  EXPECT_TRUE(disk.next(1, 0));  // behind both in the thread's line
  EXPECT_EQ(disk.waiting(1), 1u);
}

TEST(LetterRecords, EveryBoundSaysNo) {
  const Scratch scratch;
  keeper::LetterBounds bounds;
  bounds.node_bytes = 200 * (wire::kHailBytes + keeper::kLetterCost);
  bounds.inboxes = 4;
  Disk disk(scratch.path, bounds);
  disk.register_inbox(1, {.letters = 3});
  disk.register_inbox(2, {.letter_bytes = 20'000});
  disk.register_inbox(3);
  EXPECT_EQ(disk.put_now(9, letter_id(1)), LetterEnd::full);  // nobody has registered it
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(disk.put_now(1, letter_id(i)), LetterEnd::stored);
  EXPECT_EQ(disk.put_now(1, letter_id(4)), LetterEnd::full);
  EXPECT_EQ(disk.put_now(2, letter_id(5), 16'384), LetterEnd::stored);
  EXPECT_EQ(disk.put_now(2, letter_id(6)), LetterEnd::full);  // its bytes
  std::size_t stored = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    stored += disk.put_now(3, letter_id(100 + i)) == LetterEnd::stored ? 1 : 0;
  }
  const auto now = disk.room.stats();
  EXPECT_LE(now.bytes, bounds.node_bytes);
  EXPECT_GE(stored, 90u);
  EXPECT_EQ(now.under_way, 0u);
  // A place that is free again is used again.
  disk.take_all(1);
  EXPECT_EQ(disk.put_now(1, letter_id(900)), LetterEnd::stored);
}

TEST(LetterRecords, ARestartKnowsLettersAndWhoIsAway) {
  const Scratch scratch;
  {
    Disk disk(scratch.path);
    disk.register_inbox(1, {.letters = 5, .joins_per_second = 2});
    disk.register_inbox(2);
    EXPECT_EQ(disk.put_now(1, letter_id(1)), LetterEnd::stored);
    EXPECT_EQ(disk.put_now(1, letter_id(2), 65'536), LetterEnd::stored);
    disk.records->drop_registered(inbox_of(2));
  }
  Disk disk(scratch.path);
  ASSERT_EQ(disk.kept.registered.size(), 1u);
  const keeper::RegisteredRow& row = disk.kept.registered.front().row;
  EXPECT_EQ(row.inbox, inbox_of(1));
  EXPECT_EQ(row.limits.letters, 5);
  EXPECT_EQ(row.limits.joins_per_second, 2);
  EXPECT_EQ(disk.waiting(1), 2u);
  EXPECT_EQ(disk.room.stats().bytes, wire::kHailBytes + 65'536 + 2 * keeper::kLetterCost);
  disk.take_all(1);
  EXPECT_EQ(disk.room.stats().bytes, 0u);
}

TEST(LetterRecords, SevenDaysAndItIsGone) {
  const Scratch scratch;
  std::atomic<UnixSeconds> wall{1'800'000'000};
  const auto clock = [&] {
    return Now{TimePoint(std::chrono::steady_clock::now().time_since_epoch()), wall.load()};
  };
  {
    Disk disk(scratch.path, {}, clock);
    disk.register_inbox(1);
    EXPECT_EQ(disk.put_now(1, letter_id(1)), LetterEnd::stored);
    wall += 7 * 24 * 3600 - 1;
    EXPECT_TRUE(disk.next(1, 0));
    wall += 2;
    EXPECT_FALSE(disk.next(1, 0));
  }
  Disk disk(scratch.path, {}, clock);  // its sweep deletes them when it opens
  EXPECT_EQ(disk.waiting(1), 0u);
  EXPECT_EQ(disk.records->report().records, 1u);  // the registration, which has 14 days
}

TEST(LetterRecords, WhatAReceiverTookIsKnownAfterARestart) {
  const Scratch scratch;
  Log log{{.level = LogLevel::off, .sink = {}}};
  const keeper::LetterKey key{std::byte{5}}, other{std::byte{6}};
  for (int life = 0; life < 2; ++life) {
    std::promise<void> told;
    TakenLetters taken(
        scratch.path, wall_now,
        [&](unsigned, std::function<void(Now)> task) {
          task({});
          return true;
        },
        log);
    ASSERT_TRUE(taken.open());
    TakenLetters::On seen(taken, 0);
    EXPECT_EQ(seen.has(key), life > 0);
    EXPECT_FALSE(seen.has(other));
    if (life > 0) continue;
    seen.add({&key, 1}, [&](Now) { told.set_value(); });
    told.get_future().get();
    EXPECT_TRUE(seen.has(key));
  }
}

}  // namespace
}  // namespace qudag::node::test
