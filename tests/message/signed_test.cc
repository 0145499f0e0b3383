// What a signature binds, and for how long: docs/reference/protocol.md, 7.1.
#include "message/known/delivered.h"
#include "message/signing.h"
#include "peer.h"

namespace qudag::message::testing {
namespace {

class Signed : public Peer {
 protected:
  Signed() {
    priority = Priority::low;  // a prefix in one cell
    MessagesOptions options;
    options.self = kSelf;
    make(std::move(options));
  }

  static const crypto::Identity& alice() {
    static const auto identity = [] {
      std::array<std::byte, crypto::kIdentitySeedSize> seed{};
      return crypto::Identity::from_seed(seed);
    }();
    return *identity;
  }
  SignedFields fields() const {
    return {.destination = kSelf,
            .id = {std::byte{1}},
            .minute = minute_of(now.unix_seconds),
            .ttl_ms = 65'536,
            .priority = Priority::low};
  }
  /// The whole message as its sender signed it.
  std::vector<std::byte> sealed(const SignedFields& as, std::size_t payload = 20) {
    auto chain = make_signed(chain_of(pool, pattern(1, payload), memory::BlockSize::cell), pool);
    EXPECT_TRUE(sign_in_place(alice(), as, *chain));
    std::vector<std::byte> bytes(chain->bytes());
    chain->copy_out(bytes);
    return bytes;
  }
  /// What is answered when it comes on a new circuit with a scope of its own.
  AckStatus bring(const SignedFields& as, const std::vector<std::byte>& bytes) {
    const circuit::CircuitId circuit{100 + ++brought_};
    come(circuit, static_cast<std::uint8_t>(brought_));
    wire::MessageStart start{.id = as.id,
                             .size = static_cast<std::uint32_t>(bytes.size()),
                             .ttl_ms = as.ttl_ms,
                             .priority = as.priority,
                             .is_signed = true,
                             .channel = as.channel};
    acks.clear();
    arrive({wire::DataFrame{.ref = 0, .start = start, .last = true, .bytes = bytes}}, circuit);
    EXPECT_TRUE(acks.contains(0));
    return acks[0];
  }

  static constexpr NodeId kSelf{};
  std::uint64_t brought_ = 0;
};

TEST_F(Signed, IsForItsChannelOnly) {
  auto as = fields();
  as.channel = 7;
  const auto bytes = sealed(as);
  auto elsewhere = as;
  elsewhere.channel = 8;
  EXPECT_EQ(bring(elsewhere, bytes), AckStatus::bad_signature);
  elsewhere.channel = 0;
  EXPECT_EQ(bring(elsewhere, bytes), AckStatus::bad_signature);
  EXPECT_EQ(bring(as, bytes), AckStatus::delivered);
}

TEST_F(Signed, OnceWhoeverBringsIt) {
  const auto as = fields();
  const auto bytes = sealed(as);
  EXPECT_EQ(bring(as, bytes), AckStatus::delivered);
  EXPECT_EQ(bring(as, bytes), AckStatus::duplicate);
  // To the last second in which it is not too old, and afterwards.
  const std::uint64_t end = too_old_at(as.minute, as.ttl_ms);
  const auto at = [&](std::uint64_t unix) {
    now.mono += std::chrono::seconds(unix - now.unix_seconds);
    now.unix_seconds = unix;
    return bring(as, bytes);
  };
  EXPECT_EQ(at(end - 1), AckStatus::duplicate);
  EXPECT_EQ(at(end), AckStatus::wrong_time);
  EXPECT_EQ(at(end + 86'400), AckStatus::wrong_time);
  EXPECT_EQ(got.size(), 1u);
}

TEST_F(Signed, ClocksMayDiffer) {
  auto as = fields();
  // 1,800,000,000 is the beginning of a minute; 60 s of its minute, 66 to live and 300 are 7
  // minutes.
  for (const auto& [minutes, good] : {std::pair(-8, false), {-7, true}, {5, true}, {6, false}}) {
    as.id[1] = static_cast<std::byte>(minutes);
    as.minute = minute_of(now.unix_seconds) + static_cast<std::uint32_t>(minutes);
    const auto said = bring(as, sealed(as));
    EXPECT_EQ(said, good ? AckStatus::delivered : AckStatus::wrong_time) << minutes;
  }
}

TEST_F(Signed, EveryFieldIsBound) {
  const auto as = fields();
  const auto bytes = sealed(as);
  const auto changed = [&](auto&& change) {
    SignedFields other = as;
    change(other);
    return bring(other, bytes);
  };
  EXPECT_EQ(changed([](SignedFields& f) { f.id[15] = std::byte{1}; }), AckStatus::bad_signature);
  EXPECT_EQ(changed([](SignedFields& f) { f.ttl_ms *= 2; }), AckStatus::bad_signature);
  EXPECT_EQ(changed([](SignedFields& f) { f.priority = Priority::high; }),
            AckStatus::bad_signature);
  auto elsewhere = as;
  elsewhere.destination.bytes[0] = std::byte{1};
  EXPECT_EQ(bring(as, sealed(elsewhere)), AckStatus::bad_signature);
  for (const std::size_t at : {std::size_t{0}, std::size_t{2000}, wire::kSignedPrefixBytes - 1,
                               wire::kSignedPrefixBytes}) {  // key, signature, minute, payload
    auto broken = bytes;
    broken[at] ^= std::byte{1};
    EXPECT_EQ(bring(as, broken), AckStatus::bad_signature) << at;
  }
  auto shorter = bytes;
  shorter.pop_back();
  EXPECT_EQ(bring(as, shorter), AckStatus::bad_signature);
  EXPECT_EQ(bring(as, bytes), AckStatus::delivered);
}

TEST_F(Signed, ARefusedOneMayComeAgain) {
  const auto as = fields();
  const auto bytes = sealed(as);
  take = Taken::queue_full;
  EXPECT_EQ(bring(as, bytes), AckStatus::refused_queue);
  take = Taken::yes;
  EXPECT_EQ(bring(as, bytes), AckStatus::delivered);
}

TEST(DeliveredWindow, FullOfSignedOnesItRefusesWhatItMayHaveForgotten) {
  TestRng rng(1);
  constexpr std::size_t kMax = 1'024;
  Delivered window(kMax * 4, rng);
  Now now{TimePoint(1h), 1'800'000'000};
  const auto key = [](std::uint64_t n) {
    wire::MessageId id{};
    std::memcpy(id.data(), &n, sizeof(n));
    return id;
  };
  const auto claim = [&](std::uint64_t n, std::uint64_t signed_at) {
    return window.claim_signed(key(n), signed_at, now.mono + 1h, now);
  };
  std::vector<std::uint64_t> at(5 * kMax);
  for (std::uint64_t n = 0; n < at.size(); ++n, now.mono += 1s, ++now.unix_seconds) {
    at[n] = now.unix_seconds;
    ASSERT_EQ(claim(n, at[n]), Delivered::Signed::first) << "who signed just now is not refused";
  }
  for (std::uint64_t n = 0; n < at.size(); ++n) {
    ASSERT_NE(claim(n, at[n]), Delivered::Signed::first) << n << " a second time";
  }
  // What it certainly knows is not refused for its age.
  EXPECT_EQ(claim(1 << 20, at[at.size() - kMax + kMax / 32]), Delivered::Signed::first);
}

}  // namespace
}  // namespace qudag::message::testing
