// A node's onion keys over time, and the descriptor that announces them.
//
// Owned by shard 0. Two keys overlap: a new one is made at half of the lifetime, the old one is
// accepted until its end, so that a source with an older descriptor still gets through. Making a
// key and signing a descriptor are slow (0.1 and 1.2 ms): both run on the worker pool.
//
// Two clocks judge. A key ends by the monotonic clock only: when somebody sets the wall clock,
// peers still hold the descriptor of before, and build with its keys. What is announced must be
// right by the wall clock: a key whose time lies ahead, or is over, is none.
#pragma once

#include "base/time.h"
#include "crypto/identity.h"
#include "netmap/map/descriptor.h"
#include "onion/build.h"

#include <qudag/options.h>

#include <vector>

namespace qudag::shard {

/// An onion key, and when it was made by the clock that nobody sets.
struct HeldKey {
  onion::OnionKey key;
  TimePoint made{};
};

/// Two in turn, and two that were made while the wall clock was elsewhere.
inline constexpr std::size_t kOnionKeysHeldMax = 2 * limits::kDescriptorOnionKeysMax;

struct Announcement {
  std::vector<HeldKey> keys;          // what every shard accepts builds for, the announced first
  std::vector<std::byte> descriptor;  // signed, for the netmap
  UnixSeconds published = 0;
  Duration renew_in{};  // when the next announcement is due, or a key ends
};

struct AnnouncementInput {
  const crypto::Identity* identity = nullptr;
  std::vector<HeldKey> keys;  // those of the announcement before
  std::vector<SocketAddress> addresses;
  bool relay = true;
  bool keeper = false;
  std::uint64_t descriptor_lifetime_s = 0;
  std::uint64_t onion_key_lifetime_s = 0;
  Now now;
  UnixSeconds published_before = 0;  // the latest that peers may hold, as far as we know
};

/// Drops keys that have ended, makes a new one when the newest is past half of its life, and signs
/// a descriptor over the result. Pure but for OpenSSL's randomness; for a worker thread.
Result<Announcement> announce(const AnnouncementInput& input);

/// The descriptor of a node that stops, signed (1.2 ms): it takes the place of the one before, and
/// lasts as long.
Result<std::vector<std::byte>> withdrawal(const crypto::Identity& identity,
                                          std::uint64_t descriptor_lifetime_s, Now now,
                                          UnixSeconds published_before);

/// What a shard accepts builds for.
std::vector<onion::OnionKey> onion_keys(const std::vector<HeldKey>& held);

/// After `before`, if peers can hold that one; else, when it lies further ahead than a right clock
/// accepts, the present (docs/reference/protocol.md, 8.1).
UnixSeconds published_at(UnixSeconds now, UnixSeconds before);

}  // namespace qudag::shard
