// Proofs of address that last (NEW_TOKEN, RFC 9000, 8.1.3), so that a peer who comes again need not
// be asked by Retry, and costs no round trip more when many strangers come.
//
// The acceptor (AddressKeys) keeps nothing: a token is the time, sealed with a key for the dialer's
// IP address. Keys follow from the identity and the date, so all shards know them, and a restarted
// node too; a key seals for kKeyLife and opens for one more, so a token lives for one to two.
//
// The dialer (AddressTokens) keeps the last token of each node that it dialed, and shows it once. A
// node that does not say who it is keeps none: they would tell that it is the same again. Nor does
// any survive a change of address.
//
// Limits: kTokensMax of kTokenBytesMax; the oldest goes first. Threads: the shard's.
#pragma once

#include "base/bounded.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/identity.h"

#include <qudag/address.h>

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

namespace qudag::link {

class AddressKeys {
 public:
  static constexpr std::chrono::seconds kKeyLife{12 * 3600};

  explicit AddressKeys(const crypto::Identity& identity);

  /// Whether it is a token of this kind at all: others are from Retry.
  static bool is_token(Bytes token);
  std::vector<std::byte> seal(const sockaddr_in6& peer, Now now);
  bool open(Bytes token, const sockaddr_in6& peer, Now now);

 private:
  Key256& key_of(std::uint64_t period);

  Key256 root_;
  struct Kept {
    std::uint64_t period = UINT64_MAX;
    Key256 key;
  };
  std::array<Kept, 2> kept_;  // of this period and of the one before, by parity
};

class AddressTokens {
 public:
  static constexpr std::size_t kTokensMax = 256;
  static constexpr std::size_t kTokenBytesMax = 128;

  void put(const NodeId& peer, Bytes token);
  /// Takes it out; empty if there is none.
  std::vector<std::byte> take(const NodeId& peer);
  void clear();
  std::size_t size() const { return tokens_.size(); }
  void report(BoundedList& out) const;

 private:
  struct Token {
    std::uint64_t number;
    std::vector<std::byte> bytes;
  };
  std::unordered_map<NodeId, Token> tokens_;
  std::deque<std::pair<std::uint64_t, NodeId>> order_;  // also of some that were taken
  std::uint64_t put_ = 0;
};

}  // namespace qudag::link
