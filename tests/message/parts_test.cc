// The containers of this room: deadlines, duplicates, lists, tables, fifo.
#include "message/assembly.h"
#include "message/deadlines.h"
#include "message/known/delivered.h"
#include "sync/fifo.h"
#include "sync/intrusive.h"
#include "world.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace qudag::message::testing {

using sync::Fifo;

namespace {

TEST(MessageDeadlines, GivesWhatIsDueInOrderLikeAMultimap) {
  TestRng rng(5);
  struct Thing : Timed {
    Thing() : Timed(TimedKind::envelope) {}
  };
  std::deque<Thing> things(500);
  std::set<std::pair<TimePoint, Thing*>> model;
  MessageDeadlines deadlines;
  TimePoint now{};
  for (int step = 0; step < 20'000; ++step) {
    Thing& thing = things[rng.below(things.size())];
    switch (rng.below(4)) {
      case 0:
      case 1: {
        if (thing.timed()) model.erase({thing.deadline, &thing});
        const TimePoint at =
            now + MessageDeadlines::kResolution * static_cast<int>(rng.below(1000));
        deadlines.set(thing, at);
        model.insert({at, &thing});
        break;
      }
      case 2:
        if (thing.timed()) model.erase({thing.deadline, &thing});
        deadlines.clear(thing);
        break;
      default: {
        now += MessageDeadlines::kResolution * static_cast<int>(rng.below(20));
        // What was set to the present moment comes first; the rest in the order of time.
        deadlines.expire(now, [&](Timed& due) {
          EXPECT_LE(due.deadline, now);
          EXPECT_FALSE(due.timed());
          ASSERT_EQ(model.erase({due.deadline, static_cast<Thing*>(&due)}), 1u);
        });
        if (!model.empty()) {
          EXPECT_GT(model.begin()->first, now);
        }
      }
    }
    ASSERT_EQ(deadlines.size(), model.size());
    if (model.empty()) {
      ASSERT_EQ(deadlines.next(), kNever);
    } else {
      ASSERT_LE(deadlines.next(), std::max(now, model.begin()->first));
    }
  }
}

// 100,000 wait; the few that are due are found without a look at the others, and told in order.
TEST(MessageDeadlines, AreExactAmongAHundredThousand) {
  std::deque<Timed> things;
  MessageDeadlines deadlines;
  for (int i = 0; i < 100'000; ++i) {
    deadlines.set(things.emplace_back(TimedKind::envelope), TimePoint{} + 1h + i * 1ms);
  }
  for (std::size_t i = 0; i < 100; ++i)
    deadlines.set(things[i * 1'000], TimePoint{} + (100 - i) * 1s);
  std::size_t told = 0;
  TimePoint before{};
  while (told < 100) {
    deadlines.expire(deadlines.next(), [&](Timed& due) {
      EXPECT_GT(due.deadline, before);
      before = due.deadline;
      ++told;
    });
  }
  EXPECT_EQ(before, TimePoint{} + 100s);
  EXPECT_EQ(deadlines.size(), 99'900u);
  for (Timed& thing : things) deadlines.clear(thing);
}

TEST(MessageDeadlines, NeverIsNoDeadline) {
  Timed thing(TimedKind::flow);
  MessageDeadlines deadlines;
  deadlines.set(thing, TimePoint{} + 5s);
  deadlines.set(thing, kNever);
  EXPECT_EQ(deadlines.size(), 0u);
  EXPECT_EQ(deadlines.next(), kNever);
}

wire::MessageId id_of(std::uint64_t n) {
  wire::MessageId id{};
  store_be(id.data(), n);
  return id;
}

TEST(Duplicates, TheOldestGoesWhenItIsFull) {
  Duplicates window(1000, {3, 5});
  const TimePoint now{};
  for (std::uint64_t n = 0; n < 5000; ++n) {
    EXPECT_FALSE(window.contains(id_of(n), now));
    window.add(id_of(n), now + 1h, now);
    EXPECT_TRUE(window.contains(id_of(n), now));
    EXPECT_LE(window.size(), 1000u);
  }
  for (std::uint64_t n = 0; n < 5000; ++n) {
    ASSERT_EQ(window.contains(id_of(n), now), n >= 4000) << n;
  }
}

TEST(Duplicates, ForgetsByTime) {
  Duplicates window(1000, {3, 5});
  TimePoint now{};
  for (std::uint64_t n = 0; n < 100; ++n) window.add(id_of(n), now + 10s, now);
  EXPECT_TRUE(window.contains(id_of(50), now + 10s - 1ns));
  EXPECT_FALSE(window.contains(id_of(50), now + 10s));
  window.add(id_of(1000), now + 20s, now + 10s);
  EXPECT_EQ(window.size(), 1u);
}

TEST(Duplicates, AgreesWithASet) {
  // A small window of colliding hashes, so that the table is full of runs that wrap around.
  for (const std::uint64_t key : {1u, 3u, 0u}) {
    TestRng rng(key);
    Duplicates window(60, {key, 0});
    std::deque<std::pair<std::uint64_t, TimePoint>> model;
    TimePoint now{};
    for (int step = 0; step < 20'000; ++step) {
      now += Duration(static_cast<int>(rng.below(3)));
      const std::uint64_t n = rng.below(500);
      const auto held = std::ranges::find_if(
          model, [&](const auto& entry) { return entry.first == n && entry.second > now; });
      ASSERT_EQ(window.contains(id_of(n), now), held != model.end());
      if (held != model.end()) {
        if (rng.below(3) > 0) continue;
        window.forget(id_of(n), now);  // its place is kept
        held->second = TimePoint::min();
        ASSERT_FALSE(window.contains(id_of(n), now));
        continue;
      }
      const TimePoint expires = now + Duration(static_cast<int>(1 + rng.below(100)));
      window.add(id_of(n), expires, now);
      while (!model.empty() && model.front().second <= now) model.pop_front();
      if (model.size() == 60) model.pop_front();
      model.emplace_back(n, expires);
      ASSERT_EQ(window.size(), model.size());
    }
  }
}

TEST(Duplicates, OneIdThatIsForgottenAgainAndAgainIsFoundAtOnce) {
  Duplicates window(262'144, {3, 5});
  const TimePoint now{};
  window.add(id_of(1), now + 1h, now);  // so that no place behind it is free before its time
  const auto began = std::chrono::steady_clock::now();
  for (int n = 0; n < 200'000; ++n) {
    window.add(id_of(2), now + 1h, now);
    window.forget(id_of(2), now);
  }
  // A tenth of a second; a minute if all that were forgotten stand in the way.
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
  EXPECT_TRUE(window.contains(id_of(1), now));
  EXPECT_FALSE(window.contains(id_of(2), now));
}

TEST(Delivered, OneClaimWinsAndCanBeGivenBack) {
  TestRng rng(1);
  Delivered window(100, rng);
  const TimePoint now{1s};
  const wire::MessageId id{std::byte{1}};
  using enum Delivered::State;
  Delivered::Handing mine(window), other(window);
  EXPECT_EQ(window.state(id, now), unknown);
  EXPECT_EQ(window.claim(mine, id, now + 10s, now), unknown);
  EXPECT_EQ(window.state(id, now), in_hand) << "nobody knows yet what the application says";
  EXPECT_EQ(window.claim(other, id, now + 10s, now), in_hand);
  mine.over();
  EXPECT_EQ(window.state(id, now), delivered);
  EXPECT_EQ(window.claim(other, id, now + 10s, now + 5s), delivered);
  window.give_back(id, now + 6s);
  EXPECT_EQ(window.state(id, now + 6s), unknown);
  EXPECT_EQ(window.claim(mine, id, now + 20s, now + 6s), unknown);
  mine.over();
  EXPECT_EQ(window.claim(mine, id, now + 40s, now + 20s), unknown) << "the one before has expired";
  window.hold(id);
  mine.over();
  EXPECT_EQ(window.state(id, now + 20s), in_hand);
  window.let_go(id);
  EXPECT_EQ(window.state(id, now + 20s), delivered);
}

TEST(Duplicates, WithoutRoomRemembersNothing) {
  Duplicates window(0, {});
  window.add(id_of(1), TimePoint{} + 1h, {});
  EXPECT_FALSE(window.contains(id_of(1), {}));
}

struct Item {
  std::uint32_t number = 0;
  Links<Item> links;
  Item* next_in_bucket = nullptr;
};
struct ItemTraits {
  static const std::uint32_t& key(const Item& item) { return item.number; }
  std::uint64_t hash(std::uint32_t n) const { return n % 7; }  // collisions on purpose
};

TEST(Intrusive, IndexFindsWhatIsInIt) {
  Index<Item, &Item::next_in_bucket, ItemTraits> index;
  std::deque<Item> items(300);
  for (std::uint32_t i = 0; i < 300; ++i) items[i].number = i;
  EXPECT_EQ(index.find(0u), nullptr);
  for (Item& item : items) index.insert(item);
  for (Item& item : items) {
    if (item.number % 3 == 0) index.erase(item);
  }
  EXPECT_EQ(index.size(), 200u);
  for (Item& item : items) {
    EXPECT_EQ(index.find(item.number), item.number % 3 == 0 ? nullptr : &item);
  }
}

TEST(Intrusive, ListsSpliceInFront) {
  using ItemList = List<Item, &Item::links>;
  std::deque<Item> items(6);
  for (std::uint32_t i = 0; i < 6; ++i) items[i].number = i;
  ItemList front, back;
  back.push_back(items[3]);
  back.push_back(items[4]);
  back.push_back(items[5]);
  front.push_back(items[1]);
  front.push_back(items[2]);
  front.push_front(items[0]);
  back.splice_front(front);
  EXPECT_TRUE(front.empty());
  EXPECT_EQ(back.size(), 6u);
  back.erase(items[2]);
  back.erase(items[5]);
  back.push_back(items[5]);
  ItemList none;
  back.splice_front(none);
  std::vector<std::uint32_t> order;
  while (Item* item = back.pop_front()) order.push_back(item->number);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 1, 3, 4, 5}));
  EXPECT_FALSE(ItemList::contains(items[0]));
  back.push_back(items[0]);
  EXPECT_EQ(back.front(), &items[0]);
}

TEST(Intrusive, FifoKeepsTheOrderWhileItGrows) {
  Fifo<int> fifo;
  int in = 0;
  int out = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < round; ++i) fifo.push_back(in++);
    for (int i = 0; i < round / 2; ++i) ASSERT_EQ(fifo.pop_front(), out++);
  }
  while (!fifo.empty()) ASSERT_EQ(fifo.pop_front(), out++);
  EXPECT_EQ(in, out);
}

}  // namespace
}  // namespace qudag::message::testing
