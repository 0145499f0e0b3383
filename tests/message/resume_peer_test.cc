// The question RESUME and its answer HELD, frame by frame, and what strangers can do with them.
#include "message/known/delivered.h"
#include "message/known/unfinished.h"
#include "peer.h"

#include <atomic>
#include <thread>

namespace qudag::message::testing {
namespace {

constexpr std::uint32_t kSize = 100'000;
constexpr std::uint8_t kId = 7;

class ResumePeer : public Peer {
 protected:
  ResumePeer() {
    priority = Priority::low;
    make_with({});
  }
  void make_with(const UnfinishedOptions& unfinished, MessagesOptions options = {}) {
    store_ = std::make_shared<Unfinished>(unfinished, rng);
    options.unfinished = store_;
    messages.reset();
    make(std::move(options));
  }
  static circuit::CircuitId number(std::uint64_t i) { return {1'000 + i}; }
  /// So many bytes of a message on a circuit of its own.
  void part(circuit::CircuitId circuit, std::uint8_t scope, std::size_t bytes = 80'000,
            std::uint32_t size = kSize) {
    come(circuit, scope);
    std::size_t n = std::min<std::size_t>(bytes, 8'000);
    arrive({frame({.ref = 0, .size = size, .bytes = n, .id = kId})}, circuit);
    for (bytes -= n; bytes > 0; bytes -= n) {
      n = std::min<std::size_t>(bytes, 8'000);
      arrive({frame({.ref = 0, .bytes = n})}, circuit);
    }
  }
  void end(circuit::CircuitId circuit) { messages->on_ended(circuit, Errc::circuit_failed, now); }
  /// What HELD says to one who asks; none: there was no such answer.
  std::optional<std::uint32_t> ask(circuit::CircuitId circuit, std::uint8_t scope, Data data) {
    come(circuit, scope);
    helds.clear(), acks.clear();
    data.resumes = true;
    if (!data.size) data.size = kSize;
    if (data.id == 0) data.id = kId;
    arrive({frame(data)}, circuit);
    const auto at = helds.find(data.ref);
    return at == helds.end() ? std::nullopt : std::optional(at->second);
  }
  std::optional<std::uint32_t> ask(circuit::CircuitId circuit, std::uint8_t scope) {
    return ask(circuit, scope, {});
  }
  void finish(circuit::CircuitId circuit, std::size_t from, std::uint32_t size = kSize) {
    acks.clear();
    while (from < size) {
      const std::size_t n = std::min<std::size_t>(size - from, 8'000);
      from += n;
      arrive({frame({.ref = 0, .bytes = n, .last = from == size})}, circuit);
    }
  }

  std::shared_ptr<Unfinished> store_;
};

TEST_F(ResumePeer, TheAnswerIsWhatIsHeld) {
  part(number(1), 9);
  end(number(1));
  EXPECT_EQ(ask(number(2), 9), 80'000u);
  EXPECT_TRUE(acks.empty());
  finish(number(2), 80'000);
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], kSize);
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ResumePeer, WhoeverAsksAgainHearsTheSame) {
  part(number(1), 9);
  end(number(1));
  for (std::uint64_t i = 2; i < 10; ++i) {
    EXPECT_EQ(ask(number(i), 9), 80'000u);
    if (i % 2 == 0) end(number(i));  // else: it has not ended, as far as is known here
  }
  acks.clear();
  finish(number(9), 80'000);
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  EXPECT_EQ(got.size(), 1u);
}

TEST_F(ResumePeer, TheFormerCircuitIsToldAndItsRestIsCounted) {
  part(number(1), 9);
  acks.clear();
  EXPECT_EQ(ask(number(2), 9), 80'000u);
  EXPECT_EQ(acks.at(0), AckStatus::cancelled) << "on the former one";
  finish(number(1), 80'000);  // it was under way
  EXPECT_FALSE(ended(number(1)));
  EXPECT_TRUE(got.empty());
  finish(number(2), 80'000);
  EXPECT_EQ(got.size(), 1u);
}

TEST_F(ResumePeer, ADifferentMessageOfThatNameBeginsAnew) {
  const auto differs = [&](Data data, std::uint64_t i) {
    part(number(i), 9);
    end(number(i));
    EXPECT_EQ(ask(number(i + 1), 9, data), 0u);
    end(number(i + 1));
    EXPECT_EQ(budget.used(), 0u) << "and the former one is dropped";
  };
  differs({.size = kSize + 1}, 10);
  differs({.is_signed = true}, 20);
  differs({.channel = 3}, 30);
}

TEST_F(ResumePeer, ABeginningReplacesWhatIsHeld) {
  part(number(1), 9);
  end(number(1));
  part(number(2), 9, 70'000);
  end(number(2));
  EXPECT_EQ(ask(number(3), 9), 70'000u);
}

TEST_F(ResumePeer, WithoutBytesToComeItIsWhole) {
  part(number(1), 9);
  end(number(1));
  EXPECT_EQ(ask(number(2), 9), 80'000u);
  arrive({frame({.ref = 0, .bytes = 8'000}), wire::PingFrame{1}}, number(2));
  arrive({frame({.ref = 0, .bytes = 8'000})}, number(2));
  arrive({frame({.ref = 0, .bytes = 4'000, .last = true})}, number(2));
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
}

TEST_F(ResumePeer, MoreThanIsMissingEndsTheCircuit) {
  part(number(1), 9, 96'000);
  end(number(1));
  EXPECT_EQ(ask(number(2), 9), 96'000u);
  arrive({frame({.ref = 0, .bytes = 4'001})}, number(2));
  EXPECT_TRUE(ended(number(2)));
  EXPECT_EQ(budget.used(), 0u) << "who breaks the protocol leaves nothing";
}

TEST_F(ResumePeer, LittleIsNotKept) {
  part(number(1), 9, 60'000);
  end(number(1));
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(ask(number(2), 9), 0u);
}

TEST_F(ResumePeer, AtASourceItIsRefused) {
  ASSERT_TRUE(send(5));
  messages->pump(now);
  messages->on_built(kBuilt, 1ms, now);
  messages->pump(now);
  arrive({frame({.ref = 0, .size = kSize, .id = kId, .resumes = true})}, kBuilt);
  EXPECT_EQ(acks.at(0), AckStatus::no_receiver);
  EXPECT_TRUE(helds.empty());
}

// ---- two shards
// -------------------------------------------------------------------------------------

TEST_F(ResumePeer, AnotherShardFindsItBeforeItsCircuitEndsAndAfter) {
  const auto delivered = std::make_shared<Delivered>(1'000, rng);
  make_with({}, {.delivered = delivered});
  auto first = std::move(messages);
  make({.delivered = delivered, .unfinished = store_, .shard = 1});
  auto second = std::move(messages);
  const auto on = [&](std::unique_ptr<Messages>& which, const auto& what) {
    std::swap(messages, which);
    what();
    std::swap(messages, which);
  };
  on(first, [&] { part(number(1), 9); });
  on(second, [&] {
    EXPECT_EQ(ask(number(2), 9), 80'000u);
    arrive({frame({.ref = 0, .bytes = 8'000})}, number(2));
  });
  acks.clear();
  on(first, [&] { arrive({frame({.ref = 0, .bytes = 8'000})}, number(1)); });
  EXPECT_EQ(acks.at(0), AckStatus::cancelled);
  on(first, [&] { finish(number(1), 88'000); });
  EXPECT_FALSE(ended(number(1)));
  on(second, [&] { end(number(2)); });
  EXPECT_EQ(store_->size().messages, 1u);
  on(first, [&] {
    EXPECT_EQ(ask(number(3), 9), 88'000u);
    finish(number(3), 88'000);
  });
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  EXPECT_EQ(got.size(), 1u);
  EXPECT_EQ(budget.used(), 0u);
}

/// A signed message is with a worker of one shard when its sender asks another one.
class LentPeer : public ResumePeer {
 protected:
  LentPeer() {
    const auto delivered = std::make_shared<Delivered>(1'000, rng);
    const auto offload = [this](const std::function<void()>&,
                                std::function<void(WorkEnd, Now)> done) {
      jobs_.push_back(std::move(done));
      return true;
    };
    make_with({}, {.delivered = delivered, .offload = offload});
    other_ = std::move(messages);
    make({.delivered = delivered, .unfinished = store_, .shard = 1, .offload = offload});
    swap();
  }
  void swap() { std::swap(messages, other_); }
  void bring_whole(circuit::CircuitId circuit) {
    come(circuit, 9);
    arrive({frame({.ref = 0, .size = kSize, .bytes = 8'000, .id = kId, .is_signed = true})},
           circuit);
    finish(circuit, 8'000);
    ASSERT_EQ(jobs_.size(), 1u);
  }
  /// The work was never begun.
  void end_work() {
    auto jobs = std::exchange(jobs_, {});
    for (auto& done : jobs) done(WorkEnd::expired, now);
  }

  std::unique_ptr<Messages> other_;
  std::vector<std::function<void(WorkEnd, Now)>> jobs_;
};

TEST_F(LentPeer, WhoAsksForItHearsWhenTheWorkerIsDone) {
  bring_whole(number(1));
  swap();
  EXPECT_EQ(ask(number(2), 9, {.is_signed = true}), std::nullopt);
  EXPECT_TRUE(acks.empty());
  swap();
  end(number(1));
  end_work();
  swap();
  let_pass(100ms);
  EXPECT_EQ(helds.at(0), kSize);
  arrive({frame({.ref = 0, .last = true})}, number(2));
  EXPECT_EQ(jobs_.size(), 1u) << "it is verified here";
}

TEST_F(LentPeer, ThereItIsAlsoIfTheFormerCircuitLives) {
  bring_whole(number(1));
  swap();
  EXPECT_EQ(ask(number(2), 9, {.is_signed = true}), std::nullopt);
  swap();
  end_work();  // and it waits for a worker again
  EXPECT_EQ(jobs_.size(), 0u);
  swap();
  let_pass(100ms);
  EXPECT_EQ(helds.at(0), kSize);
  swap();
  acks.clear();
  messages->pump(now);
  EXPECT_EQ(jobs_.size(), 0u) << "it has moved";
  EXPECT_EQ(acks.at(0), AckStatus::cancelled);
}

TEST_F(LentPeer, BytesBeforeTheAnswerAreNoMessage) {
  bring_whole(number(1));
  swap();
  EXPECT_EQ(ask(number(2), 9, {.is_signed = true}), std::nullopt);
  arrive({frame({.ref = 0, .bytes = 1})}, number(2));
  EXPECT_TRUE(ended(number(2)));
}

TEST_F(LentPeer, WhoAsksMayTakeItBackAndItsTimeRunsOut) {
  bring_whole(number(1));
  swap();
  EXPECT_EQ(ask(number(2), 9, {.ttl = 1'024, .is_signed = true}), std::nullopt);
  let_pass(2s);
  EXPECT_EQ(acks.at(0), AckStatus::expired);
  EXPECT_EQ(ask(number(3), 9, {.is_signed = true}), std::nullopt);
  arrive({wire::CancelFrame{0}}, number(3));
  EXPECT_EQ(acks.at(0), AckStatus::cancelled);
  end_work();
}

// ---- what a source makes of the answer
// ----------------------------------------------------------------

class ResumeSource : public ResumePeer {
 protected:
  ResumeSource() {
    priority = Priority::low;
    room_now = 20;
  }
  /// A message of which some bytes were sent over a circuit that ended, and which asks over
  /// another.
  void ask_first() {
    ASSERT_TRUE(send(1'000'000));
    messages->pump(now);
    messages->on_built(kBuilt, 1ms, now);
    messages->pump(now);
    sent_before_ = data_bytes;
    ASSERT_GT(sent_before_, limits::kResumeFromBytes);
    data_frames.clear();
    messages->on_ended(kBuilt, Errc::circuit_failed, now);
    room_now = 1'000;
    messages->pump(now);
    let_pass(1s);
    messages->on_built(kSecond, 1ms, now);
    messages->pump(now);
    ASSERT_EQ(data_frames.size(), 1u);
    ASSERT_TRUE(data_frames[0].start->resumes);
    data_frames.clear();
    data_bytes = 0;
  }
  static constexpr circuit::CircuitId kSecond{kBuilt.value + 1};
  std::uint64_t sent_before_ = 0;
};

TEST_F(ResumeSource, ItGoesOnFromThere) {
  ask_first();
  arrive({wire::HeldFrame{0, 100'000}}, kSecond);
  EXPECT_EQ(data_bytes, 900'000u);
  EXPECT_TRUE(data_frames.back().last);
  EXPECT_EQ(messages->stats().resumed, 1u);
  arrive({wire::AckFrame{0, AckStatus::delivered}}, kSecond);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].outcome, Outcome::delivered);
}

TEST_F(ResumeSource, OrFromTheBeginning) {
  ask_first();
  arrive({wire::HeldFrame{0, 0}}, kSecond);
  EXPECT_EQ(data_bytes, 1'000'000u);
  EXPECT_EQ(messages->stats().resumed, 0u);
}

TEST_F(ResumeSource, MoreThanWasSentIsALie) {
  ask_first();
  arrive({wire::HeldFrame{0, static_cast<std::uint32_t>(sent_before_) + 1}}, kSecond);
  EXPECT_TRUE(ended(kSecond));
}

TEST_F(ResumeSource, AnAnswerComesOnce) {
  ask_first();
  arrive({wire::HeldFrame{0, 100'000}, wire::HeldFrame{0, 100'000}}, kSecond);
  EXPECT_TRUE(ended(kSecond));
}

TEST_F(ResumeSource, NobodyAskedIsAnError) {
  ASSERT_TRUE(send(1'000));
  messages->pump(now);
  messages->on_built(kBuilt, 1ms, now);
  messages->pump(now);
  arrive({wire::HeldFrame{0, 0}}, kBuilt);
  EXPECT_TRUE(ended(kBuilt));
  arrive({wire::HeldFrame{0, 0}});  // at a destination
  EXPECT_TRUE(ended(kCircuit));
}

TEST_F(ResumeSource, ARefusalEndsItToo) {
  ask_first();
  arrive({wire::AckFrame{0, AckStatus::refused_memory}}, kSecond);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].outcome, Outcome::refused);
  EXPECT_EQ(cancels, std::vector<std::uint32_t>{0}) << "the destination need not count on";
  EXPECT_FALSE(ended(kSecond));
}

TEST_F(ResumeSource, WhileItAsksOthersAreServed) {
  ask_first();
  ASSERT_TRUE(send(500));
  messages->pump(now);
  ASSERT_EQ(data_frames.size(), 1u);
  EXPECT_EQ(data_frames[0].ref, 1u);
  EXPECT_TRUE(data_frames[0].last);
}

// ---- strangers
// ----------------------------------------------------------------------------------------

TEST_F(ResumePeer, AStrangerWhoKnowsTheIdHearsWhatItHearsOfAnyOther) {
  part(number(1), 9);
  end(number(1));
  const std::size_t held = budget.used();
  // 255 scopes that are not the sender's, the message's own id, and an id that nobody has.
  for (std::uint64_t i = 0; i < 255; ++i) {
    const auto scope = static_cast<std::uint8_t>(i < 9 ? i : i + 1);
    EXPECT_EQ(ask(number(10 + i), scope), 0u);
    EXPECT_EQ(ask(number(500 + i), scope, {.id = 77}), 0u);
    end(number(10 + i));
    end(number(500 + i));
  }
  EXPECT_EQ(budget.used(), held);
  EXPECT_EQ(ask(number(2), 9), 80'000u) << "of which the sender notices nothing";
}

TEST_F(ResumePeer, NorDoesOneWhileItArrives) {
  part(number(1), 9);
  EXPECT_EQ(ask(number(2), 8), 0u);
  EXPECT_EQ(ask(number(3), 8, {.id = 77}), 0u);
  finish(number(2), 0);
  EXPECT_EQ(got.size(), 1u) << "under its own scope it is a message like any other";
  finish(number(1), 80'000);
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  EXPECT_EQ(got.size(), 2u);
}

TEST_F(ResumePeer, ThousandsOfPartsThatNobodyBringsAreBounded) {
  const UnfinishedOptions bounds{.bytes_max = 20 << 20};
  make_with(bounds);
  part(number(1), 9);
  end(number(1));
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    part(number(100 + i), static_cast<std::uint8_t>(10 + i % 200), 70'000, 60 << 20);
    end(number(100 + i));
    ASSERT_LE(store_->size().bytes, bounds.bytes_max);
    ASSERT_LE(budget.used(), bounds.bytes_max + (1 << 20));
  }
  EXPECT_GT(store_->size().dropped, 0u);
  // Honest ones: a small one, a large one that needs the memory, and one that moves.
  come(number(20'000), 9);
  acks.clear();
  arrive({frame({.ref = 0, .size = 5, .bytes = 5, .last = true})}, number(20'000));
  EXPECT_EQ(acks.at(0), AckStatus::delivered);
  come(number(20'001), 9);
  acks.clear();
  arrive({frame({.ref = 0, .size = 60 << 20, .bytes = 8'000, .id = 20})}, number(20'001));
  EXPECT_TRUE(acks.empty()) << "not refused";
  part(number(20'002), 3);
  end(number(20'002));
  EXPECT_EQ(ask(number(20'003), 3), 80'000u);
  end(number(20'001));
  end(number(20'003));
  let_pass(limits::kUnfinishedFor + 1s);
  EXPECT_EQ(store_->size().messages, 0u);
}

TEST_F(ResumePeer, QuestionsThatNobodyReadsTheAnswersOfEndTheCircuit) {
  room_now = 0;  // nothing leaves
  come(number(1), 9);
  std::uint32_t ref = 0;
  for (; ref < 2'000 && !ended(number(1)); ++ref) {
    arrive({frame({.ref = ref, .size = kSize, .resumes = true}), wire::CancelFrame{ref}},
           number(1));
  }
  EXPECT_LE(ref, wire::kInterleavedMessagesMax + 1);
  EXPECT_EQ(budget.used(), 0u);
}

// ---- the table
// ----------------------------------------------------------------------------------------

class UnfinishedTable : public ::testing::Test {
 protected:
  static wire::MessageStart start() { return {.id = {std::byte{1}}, .size = 1'000}; }
  static wire::MessageId key(std::size_t i) {
    wire::MessageId key{};
    std::memcpy(key.data(), &i, sizeof i);
    return key;
  }
  Body body(std::size_t bytes) {
    Body out;
    out.bytes = chain_of(pool_, pattern(1, bytes), memory::BlockSize::bulk);
    out.reservation =
        memory::Reservation::take(budget_, 1'000 + bytes + Unfinished::record_bytes());
    return out;
  }
  bool leave(std::size_t i, std::size_t link, std::size_t bytes = 100) {
    Unfinished::Hold hold = table_.begin(key(i), start(), kEnd, body(bytes));
    return table_.leave(hold, {0, {static_cast<std::uint32_t>(link), 1}}, kStart);
  }
  bool has(std::size_t i) { return table_.take(key(i), start(), kStart).has_value(); }

  static constexpr TimePoint kStart{1h}, kEnd{1h + 10min};
  memory::BlockPool pool_;
  memory::Budget budget_{"test", 100 << 20};
  TestRng rng_{1};
  std::size_t each_ = 100 + Unfinished::record_bytes();
  Unfinished table_{
      {.bytes_max = 16 * (100 + Unfinished::record_bytes()), .messages_max = 40, .bytes_min = 50},
      rng_};
};

TEST_F(UnfinishedTable, ALinkHasAHalfOfTheBytesAndAQuarterOfTheMessages) {
  for (std::size_t i = 0; i < 30; ++i) EXPECT_TRUE(leave(i, 1));
  EXPECT_EQ(table_.size().messages, 8u);
  EXPECT_EQ(table_.size().bytes, 8 * each_);
  EXPECT_FALSE(has(21));
  EXPECT_TRUE(has(22)) << "the oldest go";
}

TEST_F(UnfinishedTable, TheLinkWithMostGivesWay) {
  EXPECT_TRUE(leave(1'000, 7));
  for (std::size_t i = 0; i < 300; ++i) EXPECT_TRUE(leave(i, 1 + i % 3));
  EXPECT_EQ(table_.size().messages, 16u);
  EXPECT_TRUE(has(1'000)) << "older than all of them";
}

TEST_F(UnfinishedTable, OneThatIsLargerThanItsShareIsNotKept) {
  EXPECT_FALSE(leave(1, 1, 9 * each_));
  EXPECT_EQ(table_.size().messages, 0u);
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(UnfinishedTable, ByPriorityWhenMemoryIsShort) {
  EXPECT_TRUE(leave(1, 1));  // of normal priority
  EXPECT_FALSE(table_.drop_oldest(Priority::low));
  EXPECT_TRUE(table_.drop_oldest(Priority::normal));
  EXPECT_TRUE(leave(1, 1));
  EXPECT_TRUE(table_.drop_oldest(Priority::high));
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(UnfinishedTable, WhenMemoryIsShortTheLinkWithMostGivesWayToo) {
  EXPECT_TRUE(leave(1'000, 7));
  for (std::size_t i = 0; i < 12; ++i) EXPECT_TRUE(leave(i, 1 + i % 2));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(table_.drop_oldest(Priority::high));
  EXPECT_TRUE(has(1'000)) << "older than all of them";
}

TEST_F(UnfinishedTable, EndsByItsTime) {
  EXPECT_TRUE(leave(1, 1));
  EXPECT_EQ(table_.next_deadline(), kStart + limits::kUnfinishedFor);
  EXPECT_EQ(table_.expire(kStart + limits::kUnfinishedFor - 1ns), 0u);
  EXPECT_EQ(table_.expire(kStart + limits::kUnfinishedFor), 1u);
  EXPECT_EQ(table_.next_deadline(), kNever);
  EXPECT_EQ(budget_.used(), 0u);
}

/// Four shards, of which each takes what another one has; whoever has it last finds all of it. For
/// ThreadSanitizer.
TEST_F(UnfinishedTable, ShardsTakeFromEachOther) {
  constexpr int kShards = 4, kTurns = 2'000;
  memory::BlockPool pool(memory::PoolOptions{.shared = true});
  std::atomic<std::size_t> whole{0};
  const auto shard = [&](std::uint32_t number) {
    Unfinished::Hold hold;
    for (int turn = 0; turn < kTurns; ++turn) {
      auto found = table_.take(key(1), start(), kStart);
      Body mine = found ? std::move(found->body) : Body{};
      if (mine.size() >= 600) {
        whole.fetch_add(1);
        mine = {};
      }
      hold = table_.begin(key(1), start(), kEnd, std::move(mine));
      for (int fragment = 0; fragment < 10; ++fragment) {
        const auto access = Unfinished::access(hold);
        if (access.body == nullptr) break;
        memory::Block block = pool.take(memory::BlockSize::small);
        block.append(20);
        access.body->bytes.push_back(std::move(block));
      }
      if (turn % 3 == 0) {
        table_.leave(hold, {number, {}}, kStart);
      } else if (turn % 7 == 0) {
        static_cast<void>(table_.finish(hold));
      }
      static_cast<void>(table_.expire(kStart));
    }
    if (hold) table_.end(hold);
  };
  std::vector<std::thread> shards;
  for (std::uint32_t i = 0; i < kShards; ++i) shards.emplace_back(shard, i);
  for (std::thread& one : shards) one.join();
  EXPECT_GT(whole, 0u);
  static_cast<void>(table_.drop(SIZE_MAX));
  EXPECT_EQ(table_.size().messages, 0u);
}

}  // namespace
}  // namespace qudag::message::testing
