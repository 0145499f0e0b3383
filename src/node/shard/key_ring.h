// A node's onion keys over time, and the descriptor that announces them.
//
// Owned by shard 0. Two keys overlap: a new one is made at half of the lifetime, the old one is
// accepted until its end, so that a source with an older descriptor still gets through. Making a
// key and signing a descriptor are slow (0.1 and 1.2 ms): both run on the worker pool.
#pragma once

#include "base/time.h"
#include "crypto/identity.h"
#include "netmap/descriptor.h"
#include "onion/build.h"

#include <qudag/options.h>

#include <vector>

namespace qudag::node {

struct Announcement {
  std::vector<onion::OnionKey> keys;  // what every shard accepts builds for
  std::vector<std::byte> descriptor;  // signed, for the netmap
  UnixSeconds renew_at = 0;           // when the next announcement is due, or a key ends
};

struct AnnouncementInput {
  const crypto::Identity* identity = nullptr;
  std::vector<onion::OnionKey> keys;  // those of the announcement before
  std::vector<SocketAddress> addresses;
  bool relay = true;
  std::uint64_t descriptor_lifetime_s = 0;
  std::uint64_t onion_key_lifetime_s = 0;
  UnixSeconds now = 0;
  UnixSeconds published_before = 0;  // by an earlier run of this identity, as gossip has it
};

/// Drops keys that have ended, makes a new one when the newest is past half of its life, and signs
/// a descriptor over the result. Pure but for OpenSSL's randomness; for a worker thread.
Result<Announcement> announce(const AnnouncementInput& input);

}  // namespace qudag::node
