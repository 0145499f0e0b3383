// A letter, sealed and opened: golden, bound to its receiver and inbox, of one age; and what it may
// have inside.
#include "keeper/letters/letter_seal.h"
#include "crypto/kdf.h"
#include "keeper/letters/letter_intake.h"
#include "vectors/vectors.h"
#include "wire/message_frames.h"

#include <gtest/gtest.h>

namespace qudag::keeper {
namespace {

constexpr UnixSeconds kNow = 1'800'000'007;
constexpr UnixSeconds kDay = 24 * 3600;

struct Ends {
  crypto::KemKeyPair key = *crypto::KemKeyPair::generate();
  crypto::KemPublicKey card = *crypto::KemPublicKey::import(key.public_bytes());
  Called called{.receiver = {}, .inbox = {std::byte{9}}};
  HailFields fields{.kind = HailKind::letter, .expiry_minutes = hail_expiry(kNow)};

  std::vector<std::byte> seal(std::uint32_t size) const {
    const std::vector<std::byte> frames(letter_frames_bytes(size), std::byte{4});
    return *seal_letter(called, card, fields, frames);
  }
  Result<OpenedLetter> open(std::vector<std::byte>& letter, UnixSeconds now = kNow) const {
    const LetterKeyPair keys[] = {{&key, kNow + kDay}};
    return open_letter(called, keys, now, letter);
  }
};

TEST(Letter, EverySizeIsOpenedByItsReceiver) {
  const Ends ends;
  for (const std::uint32_t size : {16'384u, 65'536u, 262'144u}) {
    auto letter = ends.seal(size);
    ASSERT_EQ(letter.size(), size);
    const auto opened = ends.open(letter);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->fields, ends.fields);
    EXPECT_EQ(opened->frames.size(), letter_frames_bytes(size));
  }
  // A hail too, if its sender let it be kept, and only then.
  for (const HailKind kind : {HailKind::live, HailKind::letter, HailKind::either}) {
    Hail hail;
    ASSERT_TRUE(make_hail(ends.called, ends.card,
                          {.kind = kind, .expiry_minutes = hail_expiry(kNow)}, {}, hail));
    std::vector<std::byte> letter(hail.begin(), hail.end());
    EXPECT_EQ(ends.open(letter).has_value(), kind == HailKind::either);
  }
}

TEST(Letter, IsForOneInboxAndOfOneTime) {
  Ends ends;
  auto letter = ends.seal(16'384);
  for (const std::size_t at : {0u, 1'119u, 1'120u, 1'136u, 16'383u}) {
    auto changed = letter;
    changed[at] ^= std::byte{1};
    EXPECT_FALSE(ends.open(changed)) << at;
  }
  auto other = letter;
  ends.called.inbox.front() = std::byte{8};
  EXPECT_FALSE(ends.open(other));
  ends.called.inbox.front() = std::byte{9};
  auto late = letter, in_time = letter;
  EXPECT_FALSE(ends.open(in_time, kNow + 7 * kDay)->early);
  EXPECT_EQ(ends.open(late, kNow + 9 * kDay).error(), Errc::expired);
}

/// A clock that is behind is no reason to throw away what a keeper said that it has. Who seals for
/// a time when nobody seals to that key has a wrong clock himself.
TEST(Letter, IsReadByAClockThatIsBehind) {
  Ends ends;
  auto letter = ends.seal(16'384), again = letter;
  EXPECT_TRUE(ends.open(letter, kNow - 3'600)->early);
  EXPECT_TRUE(ends.open(again, 0)->early);
  ends.fields.expiry_minutes = hail_expiry(kNow + 2 * kDay);
  auto ahead = ends.seal(16'384);
  EXPECT_EQ(ends.open(ahead, kNow).error(), Errc::expired);
}

TEST(Letter, Vectors) {
  const test::Vectors v(QUDAG_VECTORS "/tunnel.txt");
  const auto key =
      crypto::KemKeyPair::from_seed(test::unhex_array<crypto::kKemSeedSize>(v.text("inbox_seed")));
  ASSERT_TRUE(key);
  const auto card = crypto::KemPublicKey::import(key->public_bytes());
  const auto first = card->encapsulate_from(
      test::unhex_array<crypto::kKemEncapsulationSeedSize>(v.text("first_seed")));
  Called called;
  called.receiver.bytes = test::unhex_array<32>(v.text("receiver"));
  called.inbox = test::unhex_array<32>(v.text("inbox"));
  auto letter = detail::seal_letter_with(
      called, {.kind = HailKind::letter, .expiry_minutes = hail_expiry(kNow)},
      v.bytes("letter_frames"), *first);
  EXPECT_EQ(test::hex(Bytes(letter).subspan(1'120, 16)), v.text("letter_tag"));
  EXPECT_EQ(test::hex(crypto::sha256(letter)), v.text("letter_sha256"));
  EXPECT_EQ(test::hex(Bytes(crypto::sha256(Bytes(letter).first(1'120))).first(16)),
            v.text("letter_id"));
  const LetterKeyPair keys[] = {{&*key, kNow}};
  EXPECT_TRUE(open_letter(called, keys, kNow, letter));
}

// ---- what is inside -----------------------------------------------------------------------------

struct Frames {
  Frames() : room(70'000), out(room) {}
  Bytes bytes() const { return Bytes(room).first(out.written()); }
  Frames& scope() {
    wire::append(out, wire::ScopeFrame{});
    return *this;
  }
  Frames& data(std::uint32_t ref, std::size_t bytes, bool last, std::optional<std::uint32_t> size,
               bool resumes = false) {
    const std::vector<std::byte> body(bytes);
    wire::DataFrame frame{.ref = ref, .last = last, .bytes = body};
    if (size) frame.start = wire::MessageStart{.size = *size, .resumes = resumes};
    wire::append(out, frame);
    return *this;
  }
  std::vector<std::byte> room;
  ByteWriter out;
};

TEST(Letter, HasWholeMessagesAndNothingElse) {
  const NodeId receiver{};
  Frames two;
  two.scope().data(0, 10, true, 10).data(1, 60'000, false, 60'004).data(1, 4, true, std::nullopt);
  const auto messages = split_letter(receiver, two.bytes());
  ASSERT_TRUE(messages);
  ASSERT_EQ(messages->size(), 2u);
  EXPECT_EQ(messages->front().key, messages->back().key);  // one id under one scope
  // Each is what a new circuit would bring: its scope, and ref 0.
  wire::FrameReader reader((*messages)[1].frames);
  wire::Frame frame;
  ASSERT_TRUE(reader.read(frame));
  EXPECT_TRUE(std::holds_alternative<wire::ScopeFrame>(frame));
  ASSERT_TRUE(reader.read(frame));
  EXPECT_EQ(std::get<wire::DataFrame>(frame).ref, 0u);
  EXPECT_TRUE(split_letter(receiver, Bytes{}));  // of padding alone: nothing is in it

  const auto refused = [&](Frames& frames) { return !split_letter(receiver, frames.bytes()); };
  Frames no_scope, cut, gap, resumes, asks, too_much, scope_inside;
  EXPECT_TRUE(refused(no_scope.data(0, 1, true, 1)));
  EXPECT_TRUE(refused(cut.scope().data(0, 5, false, 10)));
  EXPECT_TRUE(refused(gap.scope().data(1, 1, true, 1)));
  EXPECT_TRUE(refused(resumes.scope().data(0, 0, false, 10, true)));
  wire::append(asks.scope().out, wire::PingFrame{1});
  EXPECT_TRUE(refused(asks));
  EXPECT_TRUE(refused(too_much.scope().data(0, 11, true, 10)));
  EXPECT_TRUE(refused(scope_inside.scope().data(0, 5, false, 10).scope().data(0, 5, true, {})));
  Frames many;
  many.scope();
  for (std::uint32_t i = 0; i <= kMessagesOfLetter; ++i) many.data(i, 0, true, 0);
  EXPECT_TRUE(refused(many));
}

}  // namespace
}  // namespace qudag::keeper
