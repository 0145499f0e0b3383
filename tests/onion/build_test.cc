// The build handshake as it should go, and what hops refuse.
#include "onion/build.h"

#include "crypto/kdf.h"
#include "onion/record.h"
#include "onion/support.h"

#include <algorithm>
#include <map>

namespace qudag::onion {
namespace {

using namespace test;

std::size_t zero_bytes(Bytes bytes) {
  return static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), std::byte{0}));
}

class BuildOfHops : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Hops, BuildOfHops, ::testing::Range<std::size_t>(1, 7));

TEST_P(BuildOfHops, RoundTripGivesBothSidesTheSameKeys) {
  const std::size_t n = GetParam();
  for (const Priority priority : {Priority::high, Priority::normal, Priority::low}) {
    TestRoute route(n, 100 + n);
    const Built built = build_circuit(route, priority);
    ASSERT_EQ(built.source.size(), n);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_TRUE(same(built.source[i], built.accepted[i].secrets)) << "hop " << i;
      for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(same(built.source[i], built.source[j]));
    }
  }
}

TEST_P(BuildOfHops, PublicStartDrawsItsOwnKeys) {
  TestRoute route(GetParam(), 7);
  BuildMessage message;
  auto pending = start_build(route.hops(), Priority::normal, kNow, route.rng, message);
  ASSERT_TRUE(pending.has_value());
  std::vector<AcceptedBuild> accepted;
  for (std::size_t i = 0; i < GetParam(); ++i) {
    accepted.push_back(route.accept(i, message).value());
  }
  ReplyMessage reply;
  seal_reply(accepted.back(), BuildStatus::ready, reply);
  for (std::size_t i = GetParam() - 1; i-- > 0;) relay_reply(accepted[i], reply);
  const auto result = finish_build(std::move(*pending), reply);
  ASSERT_TRUE(result.has_value());
  for (std::size_t i = 0; i < GetParam(); ++i) {
    EXPECT_TRUE(same(result->hops[i], accepted[i].secrets));
  }
}

TEST_P(BuildOfHops, AHopLearnsItsRoleAndTheNextHopOnly) {
  const std::size_t n = GetParam();
  TestRoute route(n, 200 + n);
  const Built built = build_circuit(route);
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_EQ(built.accepted[i].role, i + 1 == n ? Role::destination : Role::relay);
    EXPECT_EQ(built.accepted[i].next, i + 1 == n ? NodeId{} : route.nodes[i + 1].id);
    // Nobody's id is on a link in clear, and no other hop's key opens this hop's layer.
    for (std::size_t j = 0; j < n; ++j) {
      const auto& seen = built.build_on_link[i];
      const auto& id = route.nodes[j].id.bytes;
      EXPECT_EQ(std::search(seen.begin(), seen.end(), id.begin(), id.end()), seen.end());
      if (j == i) continue;
      BuildMessage copy = seen;
      const auto other = route.accept(j, copy);
      ASSERT_FALSE(other.has_value());
      EXPECT_EQ(other.error().code, Errc::authentication_failed);
    }
  }
}

TEST_P(BuildOfHops, EveryLinkShowsFreshRandomBytes) {
  const std::size_t n = GetParam();
  TestRoute route(n, 300 + n);
  const Built a = build_circuit(route);
  // The same route again, with a rider of zeros where one may be.
  const std::vector<std::byte> rider(rider_room(n));
  const Built b = build_circuit(route, Priority::normal, rider);
  std::vector<Bytes> builds, replies;
  for (const Built* built : {&a, &b}) {
    for (const auto& m : built->build_on_link) builds.emplace_back(m);
    for (const auto& m : built->reply_on_link) replies.emplace_back(m);
  }
  for (const auto& units : {builds, replies}) {
    for (std::size_t i = 0; i < units.size(); ++i) {
      // Every 1152 bytes look random: about 4.5 zeros in each; a constant region would show.
      for (std::size_t at = 0; at + 1152 <= units[i].size(); at += 1152) {
        EXPECT_LT(zero_bytes(units[i].subspan(at, 1152)), 24u) << "unit " << i << " at " << at;
      }
      for (std::size_t j = 0; j < i; ++j) {
        std::size_t equal = 0;
        for (std::size_t k = 0; k < units[i].size(); ++k) equal += units[i][k] == units[j][k];
        EXPECT_LT(equal, units[i].size() / 256 * 2) << "units " << i << " and " << j;
      }
    }
  }
}

TEST_P(BuildOfHops, TheDestinationSeesRandomBytesWhateverTheLengthOfTheRoute) {
  TestRoute route(GetParam(), 350);
  const Built built = build_circuit(route);
  BuildMessage message = built.build_on_link.back();
  route.nodes.back().window = std::make_unique<ReplayWindow>();
  ASSERT_TRUE(route.accept(GetParam() - 1, message).has_value());
  // What was behind its record is now at the front, in clear to it.
  for (std::size_t at = 0; at < message.size(); at += 1200) {
    EXPECT_LT(zero_bytes(Bytes(message).subspan(at, 1200)), 24u) << "at " << at;
  }
}

/// The destination has it, of one size whatever the length of the route, and behind it the same
/// random bytes as without one.
TEST_P(BuildOfHops, ARiderReachesTheDestinationAndNobodyElse) {
  const std::size_t n = GetParam();
  TestRoute route(n, 360);
  const auto rider = route.rng.bytes<kRiderBytes>();
  BuildMessage message;
  if (n > kRiderHopsMax) {
    EXPECT_EQ(rider_room(n), 0u);
    EXPECT_EQ(start_build(route.hops(), Priority::normal, kNow, route.rng, message, nullptr, rider)
                  .error()
                  .code,
              Errc::invalid_argument);
    return;
  }
  EXPECT_EQ(start_build(route.hops(), Priority::normal, kNow, route.rng, message, nullptr,
                        Bytes(rider).first(100))
                .error()
                .code,
            Errc::invalid_argument);
  ASSERT_TRUE(
      start_build(route.hops(), Priority::normal, kNow, route.rng, message, nullptr, rider));
  for (std::size_t i = 0; i < n; ++i) {
    const auto accepted = route.accept(i, message);
    ASSERT_TRUE(accepted.has_value());
    EXPECT_EQ(accepted->rider, i + 1 == n);
    const bool there = std::search(message.begin(), message.end(), rider.begin(),
                                   rider.begin() + 16) != message.end();
    EXPECT_EQ(there, i + 1 == n) << "hop " << i;
  }
  EXPECT_TRUE(same(Bytes(message).first(rider.size()), rider));
  for (std::size_t at = rider.size(); at < message.size(); at += 1200) {
    EXPECT_LT(zero_bytes(Bytes(message).subspan(at, 1200)), 24u) << "at " << at;
  }
}

TEST_P(BuildOfHops, ASecondAcceptanceIsReplayed) {
  const std::size_t n = GetParam();
  TestRoute route(n, 400 + n);
  const Built built = build_circuit(route);
  for (std::size_t i = 0; i < n; ++i) {
    BuildMessage again = built.build_on_link[i];
    const auto second = route.accept(i, again);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Errc::replayed);
  }
}

TEST_P(BuildOfHops, AnyHopCanRefuseAndTheSourceLearnsWhich) {
  const std::size_t n = GetParam();
  for (std::size_t failing = 0; failing < n; ++failing) {
    for (const BuildStatus status :
         {BuildStatus::refused, BuildStatus::unknown_next, BuildStatus::unreachable}) {
      TestRoute route(n, 500 + n);
      BuildMessage message;
      PendingBuild pending = route.start(message);
      std::vector<AcceptedBuild> accepted;
      for (std::size_t i = 0; i <= failing; ++i) {
        accepted.push_back(route.accept(i, message).value());
      }
      ReplyMessage reply;
      seal_reply(accepted[failing], status, reply);
      for (std::size_t i = failing; i-- > 0;) relay_reply(accepted[i], reply);
      const auto result = finish_build(std::move(pending), reply);
      ASSERT_TRUE(result.has_value()) << failing;
      EXPECT_EQ(result->status, status);
      EXPECT_EQ(result->failed_hop, failing);
      EXPECT_TRUE(result->hops.empty());
    }
  }
}

TEST_P(BuildOfHops, AHopBeforeTheDestinationCannotEndTheRouteAsReady) {
  const std::size_t n = GetParam();
  for (std::size_t early = 0; early + 1 < n; ++early) {
    TestRoute route(n, 600 + n);
    BuildMessage message;
    PendingBuild pending = route.start(message);
    std::vector<AcceptedBuild> accepted;
    for (std::size_t i = 0; i <= early; ++i) accepted.push_back(route.accept(i, message).value());
    ReplyMessage reply;
    seal_reply(accepted[early], BuildStatus::ready, reply);
    for (std::size_t i = early; i-- > 0;) relay_reply(accepted[i], reply);
    const auto result = finish_build(std::move(pending), reply);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Errc::authentication_failed);
  }
}

TEST(Build, RefusesRoutesOutOfBounds) {
  TestRoute route(7, 1);
  BuildMessage message;
  EXPECT_EQ(start_build({}, Priority::normal, kNow, route.rng, message).error().code,
            Errc::invalid_argument);
  EXPECT_EQ(start_build(route.hops(), Priority::normal, kNow, route.rng, message).error().code,
            Errc::invalid_argument);
}

TEST(Build, WrongPriorityAndWrongKeyAreRefused) {
  TestRoute route(2, 2);
  BuildMessage message;
  const PendingBuild pending = route.start(message, Priority::low);
  BuildMessage copy = message;
  EXPECT_EQ(route.accept(0, copy, Priority::normal).error().code, Errc::malformed);
  copy = message;
  EXPECT_EQ(route.accept(1, copy, Priority::low).error().code, Errc::authentication_failed);
  EXPECT_EQ(route.nodes[0].window->size(), 0u);
  EXPECT_TRUE(route.accept(0, message, Priority::low).has_value());
}

TEST(Build, ExpiresAndIsNotTakenTooFarAhead) {
  TestRoute route(1, 3);
  BuildMessage message;
  const PendingBuild pending = route.start(message);
  // Drawn: the first minute at which it has expired says when.
  route.nodes[0].onion_key.not_before = 0;
  route.nodes[0].onion_key.not_after = 2 * kNow;
  const auto at = [&](UnixSeconds now) {
    route.nodes[0].window = std::make_unique<ReplayWindow>();
    BuildMessage copy = message;
    const auto accepted = route.accept(0, copy, Priority::normal, now);
    return accepted ? Errc::ok : accepted.error().code;
  };
  UnixSeconds expiry = (kNow + 59) / 60 * 60;
  while (expiry < kNow + 1'000 && at(expiry) == Errc::ok) expiry += 60;
  EXPECT_GE(expiry, kNow + 180);
  EXPECT_LE(expiry, kNow + 420);
  EXPECT_EQ(at(expiry - 1), Errc::ok);
  EXPECT_EQ(at(expiry), Errc::expired);
  EXPECT_EQ(at(expiry - 600), Errc::ok);
  EXPECT_EQ(at(expiry - 601), Errc::expired);
}

// What hops learn of the source's clock, and of being on one circuit: each record's expiry is drawn
// for itself from three minutes, and a hop whose clock is three minutes ahead or behind takes it.
TEST(Build, EachRecordExpiresAtATimeOfItsOwn) {
  TestRng rng(7);
  std::map<std::uint32_t, int> drawn;
  int equal = 0;
  constexpr int kDraws = 30'000;
  constexpr UnixSeconds kStart = kNow / 60 * 60;
  std::uint32_t last = 0;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint32_t minute = detail::draw_expiry(kStart + 30, rng);
    equal += minute == last;
    last = minute;
    ++drawn[minute - static_cast<std::uint32_t>(kStart / 60)];
    const UnixSeconds expires = UnixSeconds{minute} * 60;
    ASSERT_GE(expires, kStart + 30 + 180) << "a hop three minutes ahead takes it";
    ASSERT_LE(expires + 180, kStart + 30 + 600) << "and one three minutes behind";
  }
  // 3.5 to 6.5 minutes ahead of the minute: half of minute 4, all of 5 and 6, half of 7.
  ASSERT_EQ(drawn.size(), 4u);
  EXPECT_NEAR(drawn[4], kDraws / 6.0, kDraws / 60.0);
  EXPECT_NEAR(drawn[5], kDraws / 3.0, kDraws / 60.0);
  EXPECT_NEAR(drawn[6], kDraws / 3.0, kDraws / 60.0);
  EXPECT_NEAR(drawn[7], kDraws / 6.0, kDraws / 60.0);
  EXPECT_LT(equal, kDraws / 3) << "two records of a build agree no more often than by chance";
}

TEST(Build, AnOnionKeyCountsOnlyWhileItIsValid) {
  TestRoute route(1, 4);
  BuildMessage message;
  const PendingBuild pending = route.start(message);
  TestNode& node = route.nodes[0];
  const auto other = std::make_shared<const crypto::KemKeyPair>(
      crypto::KemKeyPair::from_seed(route.rng.bytes<crypto::kKemSeedSize>()).value());
  const auto with = [&](std::vector<OnionKey> keys) {
    BuildMessage copy = message;
    const auto accepted = accept_build(node.id, keys, *node.window, Priority::normal, kNow, copy);
    return accepted ? Errc::ok : accepted.error().code;
  };
  const auto pair = node.onion_key.pair;
  EXPECT_EQ(with({}), Errc::authentication_failed);
  EXPECT_EQ(with({{pair, kNow + 1, kNow + 9}}), Errc::authentication_failed);
  EXPECT_EQ(with({{pair, kNow - 9, kNow}}), Errc::authentication_failed);
  EXPECT_EQ(with({{other, 0, kNow + 9}}), Errc::authentication_failed);
  EXPECT_EQ(with({{other, 0, kNow + 9}, {pair, kNow, kNow + 1}}), Errc::ok);  // previous key
  EXPECT_EQ(with({{pair, kNow, kNow + 1}, {other, 0, kNow + 9}}), Errc::replayed);
}

TEST(Build, AFullWindowRefuses) {
  TestRoute route(1, 5);
  route.nodes[0].window = std::make_unique<ReplayWindow>(0);
  BuildMessage message;
  const PendingBuild pending = route.start(message);
  EXPECT_EQ(route.accept(0, message).error().code, Errc::refused_overload);
}

TEST(Record, EveryByteOutsideTheFieldsMustBeZero) {
  TestRng rng(6);
  const auto ephemeral = rng.bytes<limits::kKemPublicBytes>();
  BuildRecord record{
      .role = Role::relay, .expiry_minutes = 77, .next = {rng.bytes<32>()}, .ephemeral = ephemeral};
  std::array<std::byte, limits::kBuildRecordBytes> raw;
  write_build_record(record, raw);
  ASSERT_TRUE(parse_build_record(raw).has_value());
  // version, role, priority, reserved, no rider for a relay, and the zeros at the end
  for (const std::size_t at : {0, 1, 2, 3, 1256, 1257, 1258, 1259, 1260, 1261, 1262, 1263}) {
    auto bad = raw;
    bad[at] ^= std::byte{0x80};
    EXPECT_FALSE(parse_build_record(bad).has_value()) << at;
  }
  record.role = Role::destination;  // with a next hop
  write_build_record(record, raw);
  EXPECT_FALSE(parse_build_record(raw).has_value());
  record.role = Role::relay;
  record.next = {};
  write_build_record(record, raw);
  EXPECT_FALSE(parse_build_record(raw).has_value());

  record.role = Role::destination;
  record.rider = true;
  write_build_record(record, raw);
  EXPECT_TRUE(parse_build_record(raw)->rider);
  for (const unsigned value : {2u, 3u, 0x81u}) {
    raw[1256] = static_cast<std::byte>(value);
    EXPECT_FALSE(parse_build_record(raw).has_value()) << value;
  }
  record.role = Role::keeper;  // as a destination
  write_build_record(record, raw);
  ASSERT_TRUE(parse_build_record(raw).has_value());
  EXPECT_EQ(parse_build_record(raw)->role, Role::keeper);
  raw[1] = std::byte{4};
  EXPECT_FALSE(parse_build_record(raw).has_value()) << "no such role";
  record.next = {rng.bytes<32>()};
  write_build_record(record, raw);
  EXPECT_FALSE(parse_build_record(raw).has_value()) << "a keeper with a next hop";
  record.role = Role::relay;
  record.next = {rng.bytes<32>()};
  write_build_record(record, raw);
  EXPECT_FALSE(parse_build_record(raw).has_value()) << "nothing rides to a relay";

  std::array<std::byte, limits::kReplyRecordBytes> reply;
  const HopTimes times{.kept_ms = 25, .waited_ms = 40'000};
  write_reply_record(rng.bytes<limits::kKemCiphertextBytes>(), BuildStatus::unreachable, times,
                     reply);
  ASSERT_TRUE(parse_reply_record(reply).has_value());
  EXPECT_EQ(parse_reply_record(reply)->times, times);
  constexpr std::size_t kTimesAt = limits::kKemCiphertextBytes + 1;
  for (std::size_t at = limits::kKemCiphertextBytes; at < reply.size(); ++at) {
    if (at >= kTimesAt && at < kTimesAt + 4) continue;  // any time is one
    auto bad = reply;
    bad[at] ^= std::byte{0x80};
    EXPECT_FALSE(parse_reply_record(bad).has_value()) << at;
  }
}

TEST(Window, RemembersUntilExpiryWithinItsBound) {
  ReplayWindow window(1000);
  TestRng rng(8);
  std::vector<crypto::Digest> digests;
  for (int i = 0; i < 1000; ++i) digests.push_back(crypto::sha256(rng.bytes<16>()));
  using enum ReplayWindow::Verdict;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    // Half of them end at minute 10, half at 11.
    EXPECT_EQ(window.check_and_add(digests[i], i % 2 ? 600 : 660, 30), fresh);
  }
  EXPECT_EQ(window.size(), 1000u);
  for (const auto& digest : digests) {
    EXPECT_EQ(window.check_and_add(digest, 600, 599), replayed);
    EXPECT_EQ(window.check_and_add(digest, 720, 599), replayed);  // another expiry, same build
  }
  const auto one_more = crypto::sha256(rng.bytes<16>());
  EXPECT_EQ(window.check_and_add(one_more, 660, 599), full);
  EXPECT_EQ(window.check_and_add(one_more, 660, 600), fresh);
  EXPECT_EQ(window.size(), 501u);
  // The clock went back: what was forgotten is not fresh again.
  EXPECT_EQ(window.check_and_add(digests[1], 600, 30), replayed);
  EXPECT_EQ(window.check_and_add(digests[0], 660, 30), replayed);
  EXPECT_EQ(window.check_and_add(crypto::sha256(rng.bytes<16>()), 720, 660), fresh);
  EXPECT_EQ(window.size(), 1u);
}

}  // namespace
}  // namespace qudag::onion
