// Onion keys and descriptors by two clocks, and over two days: at every moment whoever holds a
// descriptor that has not expired can build, and a key that has ended is gone.
#include "shard/key_ring.h"

#include "netmap/map/descriptor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace qudag::shard {
namespace {

using namespace std::chrono_literals;

constexpr UnixSeconds kStart = 1'700'000'000;
constexpr UnixSeconds kHour = 3'600;

/// Both clocks go on as they should.
struct Days {
  Days(UnixSeconds key, UnixSeconds descriptor)
      : identity(crypto::Identity::generate().value()), key_s(key), descriptor_s(descriptor) {}

  void announce(UnixSeconds now) {
    auto made = shard::announce({.identity = &identity,
                                 .keys = current.keys,
                                 .addresses = {SocketAddress::v4(127, 0, 0, 1, 4'433)},
                                 .descriptor_lifetime_s = descriptor_s,
                                 .onion_key_lifetime_s = key_s,
                                 .now = at(now)});
    ASSERT_TRUE(made.has_value());
    current = std::move(*made);
    renew_at = now + static_cast<UnixSeconds>(current.renew_in / 1s);
    auto parsed = netmap::parse(current.descriptor, now);
    ASSERT_TRUE(parsed.has_value());
    published.push_back(std::move(*parsed));
  }
  static Now at(UnixSeconds now) {
    return {.mono = TimePoint{} + std::chrono::seconds(now - kStart), .unix_seconds = now};
  }
  bool takes(const netmap::OnionKeyPublic& key, UnixSeconds now) const {
    return std::ranges::any_of(current.keys, [&](const HeldKey& own) {
      return at(now).mono < own.made + std::chrono::seconds(key_s) &&
             own.key.pair->public_bytes() == key.key;
    });
  }

  crypto::Identity identity;
  const UnixSeconds key_s, descriptor_s;
  Announcement current;
  UnixSeconds renew_at = 0;
  std::vector<netmap::Descriptor> published;
};

void expect_overlap(UnixSeconds key, UnixSeconds descriptor) {
  Days ring(key, descriptor);
  UnixSeconds made_last = 0;
  std::vector<std::byte> newest;
  for (UnixSeconds now = kStart; now < kStart + 48 * kHour; now += 60) {
    if (now >= ring.renew_at) {
      ring.announce(now);
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
      ASSERT_LE(ring.current.keys.size(), limits::kDescriptorOnionKeysMax);
      for (const HeldKey& own : ring.current.keys) EXPECT_GT(own.key.not_after, now);
      const auto front = ring.current.keys.front().key.pair->public_bytes();
      if (!std::ranges::equal(front, newest)) {
        newest.assign(front.begin(), front.end());
        if (made_last != 0) {
          EXPECT_NEAR(static_cast<double>(now - made_last), static_cast<double>(key) / 2, 120.0);
        }
        made_last = now;
      }
    }
    // A key is in memory until its end, and not longer.
    for (const HeldKey& own : ring.current.keys) {
      ASSERT_LE(Days::at(now).mono, own.made + std::chrono::seconds(key) + 60s);
    }
    for (const netmap::Descriptor& held : ring.published) {
      if (held.expires <= now) continue;
      const bool some = std::ranges::any_of(held.onion_keys, [&](const auto& one) {
        return one.not_before <= now && now < one.not_after && ring.takes(one, now);
      });
      ASSERT_TRUE(some) << "a descriptor of " << now - held.published << " s without a key";
    }
  }
}

TEST(KeyRing, DefaultsOverlap) {
  const Options options;
  expect_overlap(static_cast<UnixSeconds>(options.onion_key_lifetime.count()),
                 static_cast<UnixSeconds>(options.descriptor_lifetime.count()));
  EXPECT_GE(options.onion_key_lifetime, 2 * options.descriptor_lifetime);
  EXPECT_LE(options.onion_key_lifetime, std::chrono::hours(4));
}

TEST(KeyRing, ADescriptorDoesNotOutliveItsKeyWhateverIsSet) {
  Days ring(kHour, 24 * kHour);
  ring.announce(kStart);
  EXPECT_EQ(ring.published.back().expires, kStart + kHour);
  expect_overlap(2 * kHour, kHour);
  expect_overlap(24 * kHour, 3 * kHour);
}

constexpr UnixSeconds kToday = 1'800'000'000;
constexpr UnixSeconds kDay = 86'400;
constexpr UnixSeconds kKeyLife = 4 * 3600;

struct Ring {
  Ring() : identity(std::move(*crypto::Identity::generate())) {}
  /// One announcement, `by` after the last one by both clocks, and the wall clock set so.
  const Announcement& announce_after(std::chrono::seconds by, std::int64_t wall_ahead = 0) {
    mono += by;
    const auto passed = static_cast<UnixSeconds>((mono - TimePoint{}) / 1s);
    wall = kToday + passed + static_cast<UnixSeconds>(wall_ahead);
    auto made = announce({.identity = &identity,
                          .keys = last.keys,
                          .addresses = {SocketAddress::v4(10, 0, 0, 1, 4433)},
                          .descriptor_lifetime_s = 3 * 3600,
                          .onion_key_lifetime_s = kKeyLife,
                          .now = {.mono = mono, .unix_seconds = wall},
                          .published_before = last.published});
    EXPECT_TRUE(made);
    if (made) last = std::move(*made);
    return last;
  }
  /// As a peer whose clock is right sees it.
  Result<netmap::Descriptor> at(UnixSeconds now) const {
    return netmap::parse_and_verify(last.descriptor, now);
  }

  crypto::Identity identity;
  TimePoint mono{};
  UnixSeconds wall = 0;
  Announcement last;
};

TEST(KeyRing, TwoKeysOverlap) {
  Ring ring;
  ring.announce_after(0s);
  ASSERT_EQ(ring.last.keys.size(), 1u);
  EXPECT_EQ(ring.last.renew_in, 90min) << "the descriptor's half is sooner";
  const auto first = ring.last.keys[0].key.pair;
  ring.announce_after(90min);
  EXPECT_EQ(ring.last.keys.size(), 1u);
  ring.announce_after(45min);
  ASSERT_EQ(ring.last.keys.size(), 2u) << "past half of the first";
  EXPECT_NE(ring.last.keys[0].key.pair, first);
  EXPECT_EQ(ring.last.keys[1].key.pair, first);
  EXPECT_EQ(ring.at(ring.wall)->onion_keys.size(), 2u);
  ring.announce_after(2h);
  for (const HeldKey& held : ring.last.keys) EXPECT_NE(held.key.pair, first) << "it is over";
}

/// The wall clock goes ahead by a day, and back.
TEST(KeyRing, AKeyWhoseTimeLiesAheadIsNotAnnouncedAndOldOnesAreKept) {
  Ring ring;
  ring.announce_after(0s);
  const auto today = ring.last.keys[0].key.pair;
  ring.announce_after(1min, kDay);
  ASSERT_EQ(ring.last.keys.size(), 2u) << "peers have the old descriptor, and build with its key";
  EXPECT_EQ(ring.last.keys[1].key.pair, today);
  EXPECT_EQ(ring.at(ring.wall)->onion_keys.size(), 1u) << "announced is what is right by the clock";
  ring.announce_after(1min, 0);
  const auto back = ring.at(ring.wall);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->published, ring.wall) << "not after what nobody has taken";
  ASSERT_EQ(back->onion_keys.size(), 1u);
  EXPECT_EQ(back->onion_keys[0].key, today->public_bytes());
}

TEST(KeyRing, AWallClockThatGoesBackAnnouncesNothingOfTheFuture) {
  for (const std::int64_t back : {-600, -1200, -86'400, -31'536'000}) {
    SCOPED_TRACE(back);
    Ring ring;
    ring.announce_after(0s);
    ring.announce_after(1min, back);
    const auto seen = ring.at(ring.wall);
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_LE(seen->published, ring.wall + netmap::kPublishedAheadMax);
    ASSERT_GE(seen->onion_keys.size(), 1u);
    EXPECT_LE(seen->onion_keys[0].not_before, ring.wall);
    EXPECT_GE(seen->onion_keys[0].not_after, ring.wall + kKeyLife / 2);
  }
}

TEST(KeyRing, PublishedIsAfterWhatPeersCanHold) {
  EXPECT_EQ(published_at(1'000, 0), 1'000u);
  EXPECT_EQ(published_at(1'000, 999), 1'000u);
  EXPECT_EQ(published_at(1'000, 1'000), 1'001u);
  EXPECT_EQ(published_at(1'000, 1'300), 1'301u) << "a clock of before was five minutes ahead";
  EXPECT_EQ(published_at(1'000, 1'599), 1'600u) << "as far ahead as is valid";
  EXPECT_EQ(published_at(1'000, 1'600), 1'000u) << "one more would be valid nowhere";
  EXPECT_EQ(published_at(1'000, 1'000'000), 1'000u);
}

TEST(KeyRing, ManyJumpsKeepABoundedNumberOfKeys) {
  Ring ring;
  for (int i = 0; i < 20; ++i) ring.announce_after(1min, i % 2 == 0 ? 0 : (i + 1) * 86'400);
  EXPECT_EQ(ring.last.keys.size(), kOnionKeysHeldMax);
}

}  // namespace
}  // namespace qudag::shard
