// Onion keys over two days: at every moment whoever holds a descriptor that has not expired can
// build, and a key that has ended is gone.
#include "node/shard/key_ring.h"

#include "netmap/descriptor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace qudag::node {
namespace {

constexpr UnixSeconds kStart = 1'700'000'000;
constexpr UnixSeconds kHour = 3'600;

struct Ring {
  Ring(UnixSeconds key, UnixSeconds descriptor)
      : identity(crypto::Identity::generate().value()), key_s(key), descriptor_s(descriptor) {}

  void announce(UnixSeconds now) {
    auto made = node::announce({.identity = &identity,
                                .keys = current.keys,
                                .addresses = {SocketAddress::v4(127, 0, 0, 1, 4'433)},
                                .descriptor_lifetime_s = descriptor_s,
                                .onion_key_lifetime_s = key_s,
                                .now = now});
    ASSERT_TRUE(made.has_value());
    current = std::move(*made);
    auto parsed = netmap::parse(current.descriptor, now);
    ASSERT_TRUE(parsed.has_value());
    published.push_back(std::move(*parsed));
  }
  bool takes(const netmap::OnionKeyPublic& key, UnixSeconds now) const {
    return std::ranges::any_of(current.keys, [&](const onion::OnionKey& own) {
      return own.not_before <= now && now < own.not_after && own.pair->public_bytes() == key.key;
    });
  }

  crypto::Identity identity;
  const UnixSeconds key_s, descriptor_s;
  Announcement current;
  std::vector<netmap::Descriptor> published;
};

void expect_overlap(UnixSeconds key, UnixSeconds descriptor) {
  Ring ring(key, descriptor);
  UnixSeconds made_last = 0;
  std::vector<std::byte> newest;
  for (UnixSeconds now = kStart; now < kStart + 48 * kHour; now += 60) {
    if (now >= ring.current.renew_at) {
      ring.announce(now);
      ASSERT_FALSE(testing::Test::HasFatalFailure());
      ASSERT_LE(ring.current.keys.size(), limits::kDescriptorOnionKeysMax);
      for (const onion::OnionKey& own : ring.current.keys) EXPECT_GT(own.not_after, now);
      const auto front = ring.current.keys.front().pair->public_bytes();
      if (!std::ranges::equal(front, newest)) {
        newest.assign(front.begin(), front.end());
        if (made_last != 0) {
          EXPECT_NEAR(static_cast<double>(now - made_last), static_cast<double>(key) / 2, 120.0);
        }
        made_last = now;
      }
    }
    // A key is in memory until its end, and not longer.
    for (const onion::OnionKey& own : ring.current.keys) ASSERT_LE(now, own.not_after + 60);
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
  Ring ring(kHour, 24 * kHour);
  ring.announce(kStart);
  EXPECT_EQ(ring.published.back().expires, kStart + kHour);
  expect_overlap(2 * kHour, kHour);
  expect_overlap(24 * kHour, 3 * kHour);
}

}  // namespace
}  // namespace qudag::node
