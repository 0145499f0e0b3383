// Letters at a keeper, frame by frame: nothing is said to be stored before it is, each bound says
// no, and what strangers do costs no more than those bounds.
#include "keeper/letters/letter_room.h"
#include "keeper/place.h"

#include "crypto/kdf.h"

#include <algorithm>
#include <map>

namespace qudag::keeper::test {
namespace {

using wire::NoReason;
using wire::StoredStatus;

/// A disk that commits when the test says so.
class Disk final : public LetterStore {
 public:
  bool put(LetterRow letter, std::function<void(LetterEnd)> done) override {
    if (stuck) return false;
    waiting.emplace_back(std::move(letter), std::move(done));
    return true;
  }
  bool next(const LetterBox& box, std::uint64_t after,
            std::function<void(std::optional<KeptLetter>)> done) override {
    ++reads;
    for (const auto& [number, letter] : rows) {
      if (letter.box == box && number > after) {
        done(KeptLetter{number, letter.id, letter.sealed});
        return true;
      }
    }
    done(std::nullopt);
    return true;
  }
  void take(std::vector<LetterBox> boxes, std::vector<std::uint64_t> numbers) override {
    for (const std::uint64_t number : numbers) {
      const auto at = rows.find(number);
      if (at == rows.end() || std::ranges::find(boxes, at->second.box) == boxes.end()) continue;
      room->on_gone(at->second.box, at->second.sealed.size());
      rows.erase(at);
    }
  }
  void drop(const LetterBox& box) override {
    std::erase_if(rows, [&](const auto& row) {
      if (row.second.box == box) room->on_gone(box, row.second.sealed.size());
      return row.second.box == box;
    });
  }
  void put(const RegisteredRow& row) override { registered[row.inbox] = row.until; }
  void drop_registered(const wire::InboxId& inbox) override { registered.erase(inbox); }

  void commit() {
    for (auto& [letter, done] : std::exchange(waiting, {})) {
      const bool known =
          std::ranges::any_of(rows, [&](const auto& row) { return row.second.id == letter.id; });
      if (full) {
        done(LetterEnd::failed);
      } else if (known) {
        done(LetterEnd::known);
      } else {
        rows.emplace(++number_, std::move(letter));
        done(LetterEnd::stored);
      }
    }
  }

  LetterRoom* room = nullptr;
  bool full = false, stuck = false;
  std::size_t reads = 0;
  std::vector<std::pair<LetterRow, std::function<void(LetterEnd)>>> waiting;
  std::map<std::uint64_t, LetterRow> rows;
  std::map<wire::InboxId, UnixSeconds> registered;

 private:
  std::uint64_t number_ = 0;
};

struct Kept {
  explicit Kept(LetterBounds bounds = {}, unsigned shards = 1, memory::Budget* memory = nullptr)
      : room(std::make_shared<LetterRoom>(bounds, shards, memory)) {
    room->attach(disk, [](unsigned) { return true; });
    disk.room = room.get();
    place.emplace(shards, KeeperBounds{.joins_per_second = 1'000, .joins_burst = 100'000}, nullptr,
                  room);
  }
  void commit() {
    disk.commit();
    place->run();
  }
  CircuitId join(std::uint8_t mark = 1, unsigned shard = 0) {
    Data hail(kHailBytes, std::byte{mark});
    const CircuitId out = place->caller->build(
        place->route(shard), wire::JoinFrame{.inbox = place->inbox(), .store = true, .hail = hail});
    place->run();
    return out;
  }
  NoReason refusal(CircuitId caller) { return place->caller->last<wire::NoFrame>(caller).reason; }

  Disk disk;
  std::shared_ptr<LetterRoom> room;
  std::optional<Place> place;
};

/// A letter that is whole, of that size.
struct Deposit {
  explicit Deposit(const wire::InboxId& inbox, std::uint32_t size, std::uint8_t mark = 1)
      : sealed(size, std::byte{mark}) {
    for (std::size_t i = 0; i < size; ++i) sealed[i] ^= static_cast<std::byte>(i);
    const crypto::Digest digest = crypto::sha256(Bytes(sealed).first(crypto::kKemCiphertextSize));
    head = {.inbox = inbox, .size = size};
    std::copy_n(digest.begin(), head.id.size(), head.id.begin());
  }
  void send(Place& place, CircuitId circuit, std::size_t from = 0, std::size_t to = SIZE_MAX) {
    for (std::size_t at = from; at < std::min(to, sealed.size());) {
      const std::size_t n = std::min(wire::kPieceBytesMax, std::min(to, sealed.size()) - at);
      place.caller->tell(circuit, wire::PieceFrame{Bytes(sealed).subspan(at, n)});
      at += n;
      place.run();
    }
  }
  wire::DepositFrame head;
  Data sealed;
};

TEST(KeeperLetters, AnAwayReceiversHailIsStoredAfterTheCommitAndNotBefore) {
  Kept kept;
  Place& place = *kept.place;
  const CircuitId control = place.register_inbox();
  EXPECT_EQ(kept.disk.registered.size(), 1u);
  place.receiver->ends.close(control, place.net.now());
  place.run();
  const CircuitId caller = kept.join();
  EXPECT_EQ(place.caller->count<wire::NoFrame>(caller), 0u);
  kept.commit();
  EXPECT_EQ(kept.refusal(caller), NoReason::stored);
  EXPECT_EQ(kept.disk.rows.size(), 1u);
  // The same blob again, over another circuit: the same answer, and one letter.
  const CircuitId again = kept.join();
  kept.commit();
  EXPECT_EQ(kept.refusal(again), NoReason::stored);
  EXPECT_EQ(kept.disk.rows.size(), 1u);
  EXPECT_EQ(kept.room->stats().letters, 1u);
  // The receiver is back: it hears how many wait, asks, has it, and it is deleted.
  const CircuitId back = place.register_inbox();
  EXPECT_EQ(place.receiver->last<wire::RegisteredFrame>(back).inboxes.front().letters_waiting, 1);
  EXPECT_EQ(place.receiver->count<wire::LetterFrame>(back), 0u);
  place.receiver->tell(back, wire::FetchFrame{wire::kLetterSizeMax});
  place.run();
  const auto head = place.receiver->last<wire::LetterFrame>(back);
  EXPECT_EQ(head.size, kHailBytes);
  EXPECT_EQ(place.receiver->count<wire::LetterFrame>(back), 1u);
  place.receiver->tell(back, wire::TakenFrame{{head.number}});
  place.run();
  EXPECT_TRUE(kept.disk.rows.empty());
  EXPECT_EQ(kept.room->stats().letters, 0u);
  EXPECT_EQ(kept.room->stats().sending, 0u);
}

TEST(KeeperLetters, WithoutAStandbyInTwoSecondsItIsStoredAndPushed) {
  Kept kept;
  Place& place = *kept.place;
  const CircuitId control = place.register_inbox();
  place.receiver->tell(control, wire::FetchFrame{wire::kLetterSizeMax});
  const CircuitId caller = kept.join();
  place.pass(1900ms);
  EXPECT_TRUE(kept.disk.waiting.empty());
  place.pass(200ms);
  kept.commit();
  EXPECT_EQ(kept.refusal(caller), NoReason::stored);
  EXPECT_EQ(place.receiver->count<wire::LetterFrame>(control), 1u);
  // One that is offered and never answered: only when its time is over.
  const CircuitId standby = place.standby();
  const CircuitId other = kept.join(2);
  EXPECT_EQ(place.receiver->count<wire::OfferFrame>(standby), 1u);
  place.pass(8s);
  EXPECT_TRUE(kept.disk.waiting.empty());
  place.pass(3s);
  kept.commit();
  EXPECT_EQ(kept.refusal(other), NoReason::stored);
}

TEST(KeeperLetters, AJoinedOrDeclinedCallLeavesNothing) {
  Kept kept;
  Place& place = *kept.place;
  place.register_inbox();
  const CircuitId standby = place.standby();
  const CircuitId caller = kept.join();
  place.accept(standby);
  EXPECT_EQ(place.caller->count<wire::JoinedFrame>(caller), 1u);
  const CircuitId other = place.standby();
  const CircuitId declined = kept.join(2);
  place.receiver->tell(other, wire::DeclineFrame{});
  place.run();
  EXPECT_EQ(kept.refusal(declined), NoReason::declined);
  EXPECT_TRUE(kept.disk.waiting.empty());
  EXPECT_EQ(kept.room->stats().under_way, 0u);
}

TEST(KeeperLetters, ADepositComesInPiecesAndGoesAsItCame) {
  for (const std::uint32_t size : {16'384u, 65'536u, 262'144u}) {
    Kept kept({}, 2);
    Place& place = *kept.place;
    const CircuitId control = place.register_inbox(0);
    Deposit deposit(place.inbox(), size);
    const CircuitId caller = place.caller->build(place.route(1), deposit.head);
    place.run();
    deposit.send(place, caller);
    EXPECT_EQ(place.caller->count<wire::StoredFrame>(caller), 0u);
    EXPECT_EQ(kept.room->stats().arriving, 0u);
    kept.commit();
    EXPECT_EQ(place.caller->last<wire::StoredFrame>(caller).status, StoredStatus::stored);
    // Not before so much may come.
    place.receiver->tell(control, wire::FetchFrame{size - 1});
    place.run();
    EXPECT_EQ(place.receiver->count<wire::LetterFrame>(control), 0u);
    place.receiver->tell(control, wire::FetchFrame{1});
    place.run();
    Data came;
    for (const auto& frame : place.receiver->said[control]) {
      if (const auto* piece = std::get_if<wire::PieceFrame>(&frame)) {
        came.insert(came.end(), piece->bytes.begin(), piece->bytes.end());
      }
    }
    EXPECT_EQ(came, deposit.sealed);
    EXPECT_EQ(kept.room->stats().sending, 0u);
  }
}

TEST(KeeperLetters, AFullDiskSaysSoAndHoldsNothing) {
  memory::Budget memory("letters", 64 << 20);
  {
    Kept kept({}, 1, &memory);
    Place& place = *kept.place;
    const CircuitId control = place.register_inbox();
    place.receiver->ends.close(control, place.net.now());
    place.run();
    kept.disk.full = true;
    for (std::uint8_t i = 0; i < 20; ++i) {
      const CircuitId caller = kept.join(i);
      EXPECT_GT(memory.used(), 0u);
      kept.commit();
      EXPECT_EQ(kept.refusal(caller), NoReason::no_room);
      EXPECT_EQ(memory.used(), 0u);
    }
    kept.disk.stuck = true;  // its line is full
    EXPECT_EQ(kept.refusal(kept.join(77)), NoReason::no_room);
    EXPECT_EQ(kept.room->stats().letters, 0u);
    kept.disk.full = kept.disk.stuck = false;
    const CircuitId caller = kept.join(1);
    kept.commit();
    EXPECT_EQ(kept.refusal(caller), NoReason::stored);
  }
  EXPECT_EQ(memory.used(), 0u);
}

TEST(KeeperLetters, AFloodFillsAnInboxAndNoMore) {
  Kept kept({.letters = 10});
  Place& place = *kept.place;
  const CircuitId control = place.register_inbox();
  place.receiver->ends.close(control, place.net.now());
  place.run();
  std::size_t stored = 0, refused = 0;
  for (std::uint8_t i = 0; i < 100; ++i) {
    const CircuitId caller = kept.join(i);
    kept.commit();
    ++(kept.refusal(caller) == NoReason::stored ? stored : refused);
    place.caller->ends.close(caller, place.net.now());
    place.run();
  }
  EXPECT_EQ(stored, 10u);
  EXPECT_EQ(refused, 90u);
  EXPECT_EQ(kept.disk.rows.size(), 10u);
  EXPECT_EQ(kept.room->stats().under_way, 0u);
}

TEST(KeeperLetters, DepositsThatNeverFinishHoldTheirPlacesForAMinute) {
  memory::Budget memory("letters", 64 << 20);
  Kept kept({.arriving = 8}, 1, &memory);
  Place& place = *kept.place;
  place.register_inbox();
  std::vector<CircuitId> open;
  for (std::uint8_t i = 0; i < 20; ++i) {
    Deposit deposit(place.inbox(), 16'384, i);
    const CircuitId caller = place.caller->build(place.route(), deposit.head);
    place.run();
    deposit.send(place, caller, 0, 8'192);
    open.push_back(caller);
  }
  EXPECT_EQ(kept.room->stats().arriving, 8u);
  EXPECT_LE(memory.used(), 8u * 16'384);
  EXPECT_EQ(place.caller->last<wire::StoredFrame>(open[19]).status, StoredStatus::no_room);
  // A byte now and then makes it no longer.
  place.pass(59s);
  place.caller->tell(open[0], wire::PieceFrame{Data(1)});
  place.run();
  EXPECT_EQ(kept.room->stats().arriving, 8u);
  place.pass(2s);
  EXPECT_EQ(kept.room->stats().arriving, 0u);
  EXPECT_EQ(memory.used(), 0u);
  EXPECT_EQ(kept.room->stats().letters, 0u);
  EXPECT_TRUE(place.caller->ended.contains(open[0]));
}

/// Strangers that take every place and bring nothing: who brings a letter gets one of theirs.
TEST(KeeperLetters, DepositsThatDoNotComeGiveTheirPlaces) {
  for (const unsigned shards : {1u, 2u}) {
    Kept kept({.arriving = 8}, shards);
    Place& place = *kept.place;
    place.register_inbox();
    for (std::uint8_t i = 0; i < 8; ++i) {
      const Deposit slow(place.inbox(), 16'384, i);
      place.caller->build(place.route(shards - 1), slow.head);
    }
    place.run();
    EXPECT_EQ(kept.room->stats().arriving, 8u);
    place.pass(3s);
    std::size_t stored = 0;
    for (std::uint8_t i = 0; i < 4; ++i) {
      Deposit deposit(place.inbox(), 16'384, static_cast<std::uint8_t>(100 + i));
      const CircuitId caller = place.caller->build(place.route(0), deposit.head);
      place.run();
      deposit.send(place, caller);
      kept.commit();
      const auto said = place.caller->last<wire::StoredFrame>(caller).status;
      stored += said == StoredStatus::stored ? 1 : 0;
      place.pass(100ms);
    }
    // Of another shard a place is given a moment after it was asked for.
    EXPECT_GE(stored, shards == 1 ? 4u : 3u);
    EXPECT_LE(kept.room->stats().arriving, 7u);
  }
}

/// An inbox that is full is its senders' business: it costs nobody else his place.
TEST(KeeperLetters, AFullInboxTakesNoPlaces) {
  Kept kept({.letters = 4});
  Place& place = *kept.place;
  place.register_inbox();
  for (std::uint8_t i = 0; i < 4; ++i) {
    place.caller->build(place.route(), Deposit(place.inbox(), 16'384, i).head);
  }
  place.run();
  place.pass(3s);
  for (std::uint8_t i = 10; i < 30; ++i) {
    place.caller->build(place.route(), Deposit(place.inbox(), 16'384, i).head);
    place.pass(100ms);
  }
  EXPECT_EQ(kept.room->stats().arriving, 4u);
}

/// Who has inboxes of his own and fills them takes half of the disk, and no letter of others.
TEST(KeeperLetters, WhoFillsTheDiskLeavesOthersTheirShare) {
  LetterRoom room({.letters = 1'000, .bytes = 1 << 20, .node_bytes = 2 << 20, .inboxes = 16}, 1,
                  nullptr);
  const std::size_t letter = kHailBytes;
  const auto fill = [&](std::uint8_t mark) {
    LetterBox box{std::byte{mark}};
    static_cast<void>(room.registered(box, {}, 1));
    std::size_t kept = 0;
    for (; room.reserve(box, letter) == LetterRoom::Place::ok; ++kept) {
      room.ended(box, letter, LetterEnd::stored);
    }
    return kept;
  };
  const std::size_t share = (1 << 20) / 16 / (letter + kLetterCost);
  EXPECT_GT(fill(1), 8 * share);
  for (std::uint8_t i = 2; i <= 16; ++i) EXPECT_GE(fill(i), share - 1) << int{i};
  EXPECT_LE(room.stats().bytes, 2u << 20);
}

/// Receivers that ask for their letters and do not read: others have theirs.
TEST(KeeperLetters, ReceiversThatDoNotReadGiveTheirPlaces) {
  Kept kept({.sending = 1});
  Place& place = *kept.place;
  const CircuitId slow = place.register_inbox();
  wire::OwnerSecret other = place.owner();
  other.front() ^= std::byte{1};
  const CircuitId honest =
      place.caller->build(place.route(), wire::RegisterFrame{{wire::InboxEntry{.owner = other}}});
  place.run();
  std::uint8_t mark = 0;
  for (const auto& inbox : {place.inbox(), inbox_id(place.keeper_id, other)}) {
    Deposit deposit(inbox, 262'144, ++mark);
    const CircuitId caller = place.caller->build(place.route(), deposit.head);
    place.run();
    deposit.send(place, caller);
    kept.commit();
  }
  place.receiver->node.window_shut = true;
  place.receiver->tell(slow, wire::FetchFrame{wire::kLetterSizeMax});
  place.run();
  place.pass(15s);  // what has left fills a window: until then it may be fast
  EXPECT_EQ(kept.room->stats().sending, 1u);
  place.caller->tell(honest, wire::FetchFrame{wire::kLetterSizeMax});
  place.run();
  place.pass(2s);
  std::size_t came = 0;
  for (const auto& frame : place.caller->said[honest]) {
    if (const auto* piece = std::get_if<wire::PieceFrame>(&frame)) came += piece->bytes.size();
  }
  EXPECT_EQ(came, 262'144u);
  EXPECT_TRUE(place.receiver->ended.contains(slow));
  EXPECT_EQ(kept.room->stats().letters, 2u) << "it has not gone with its circuit";
}

TEST(KeeperLetters, WhatADepositDoesNotAllowEndsTheCircuit) {
  Kept kept;
  Place& place = *kept.place;
  place.register_inbox();
  const auto ends = [&](auto&& doing) {
    Deposit deposit(place.inbox(), 16'384);
    const CircuitId caller = place.caller->build(place.route(), deposit.head);
    place.run();
    doing(deposit, caller);
    place.run();
    EXPECT_TRUE(place.caller->ended.contains(caller));
    EXPECT_EQ(kept.room->stats().arriving, 0u);
    EXPECT_EQ(kept.room->stats().letters, 0u);
  };
  ends([&](Deposit& deposit, CircuitId caller) {  // too long
    deposit.send(place, caller, 0, 16'000);
    place.caller->tell(caller, wire::PieceFrame{Data(400)});
  });
  ends([&](Deposit& deposit, CircuitId caller) {  // another one's id
    deposit.sealed[3] ^= std::byte{1};
    deposit.send(place, caller);
  });
  ends([&](Deposit&, CircuitId caller) { place.caller->tell(caller, place.join_frame()); });
  ends([&](Deposit&, CircuitId caller) { place.caller->pass(caller, 1); });
  ends([&](Deposit&, CircuitId caller) { place.caller->tell(caller, wire::FetchFrame{1}); });
  EXPECT_EQ(kept.disk.waiting.size(), 0u);
}

TEST(KeeperLetters, RevokeForgetsTheInboxAndIfWantedItsLetters) {
  Kept kept;
  Place& place = *kept.place;
  const CircuitId control = place.register_inbox();
  Deposit deposit(place.inbox(), 16'384);
  const CircuitId caller = place.caller->build(place.route(), deposit.head);
  place.run();
  deposit.send(place, caller);
  kept.commit();
  EXPECT_EQ(kept.disk.rows.size(), 1u);
  place.receiver->tell(control, wire::RevokeFrame{.owner = place.owner(), .drop_letters = true});
  place.run();
  EXPECT_TRUE(kept.disk.rows.empty());
  EXPECT_TRUE(kept.disk.registered.empty());
  Deposit other(place.inbox(), 16'384, 2);
  const CircuitId late = place.caller->build(place.route(), other.head);
  place.run();
  EXPECT_EQ(place.caller->last<wire::StoredFrame>(late).status, StoredStatus::no_inbox);
}

}  // namespace
}  // namespace qudag::keeper::test
