// Connection ids: how ours are made, and the table that finds a link by the id in a datagram.
//
// Ours are 12 bytes, random but for the first, which names the shard: first % shards == shard.
// The ids that dialers choose for their first packets (8 to 20 bytes) are in the table too, so its
// hash is keyed: nobody outside can choose ids that collide.
#pragma once

#include "base/bytes.h"
#include "base/rng.h"

#include <ngtcp2/ngtcp2.h>

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace qudag::link {

class Connection;

inline constexpr std::size_t kCidBytes = 12;

struct Cid {
  std::array<std::uint8_t, NGTCP2_MAX_CIDLEN> bytes{};  // unused bytes are zero
  std::uint8_t size = 0;

  bool operator==(const Cid&) const = default;

  static Cid of(const std::uint8_t* data, std::size_t size);
  static Cid of(const ngtcp2_cid& cid) { return of(cid.data, cid.datalen); }
};

/// A fresh id of ours that names the shard.
ngtcp2_cid make_cid(Rng& rng, std::uint8_t shard, std::uint8_t shards);

/// The shard that a destination connection id names.
inline std::uint8_t shard_of(std::uint8_t first_byte, std::uint8_t shards) {
  return static_cast<std::uint8_t>(first_byte % shards);
}

struct CidHash {
  explicit CidHash(Rng& rng) : multiplier(rng.u64() | 1), seed(rng.u64()) {}
  std::size_t operator()(const Cid& cid) const;

  std::uint64_t multiplier;
  std::uint64_t seed;
};

class Routes {
 public:
  explicit Routes(Rng& rng) : table_(0, CidHash(rng)) {}

  Connection* find(const std::uint8_t* cid, std::size_t size);
  /// False if the id is taken by another link.
  bool add(const Cid& cid, Connection& link);
  void remove(const Cid& cid);
  std::size_t size() const { return table_.size(); }

 private:
  std::unordered_map<Cid, Connection*, CidHash> table_;
  Cid last_;  // trains of one link come in runs
  Connection* last_link_ = nullptr;
};

/// The ids that lead to one link, until it is gone.
class LinkRoutes {
 public:
  LinkRoutes(Routes& all, Connection& link) : all_(all), link_(link) {}
  ~LinkRoutes() {
    for (const Cid& cid : own_) all_.remove(cid);
  }
  LinkRoutes(const LinkRoutes&) = delete;
  LinkRoutes& operator=(const LinkRoutes&) = delete;

  /// False if the id is taken by another link.
  bool add(const ngtcp2_cid& cid);
  void remove(const ngtcp2_cid& cid);

 private:
  Routes& all_;
  Connection& link_;
  std::vector<Cid> own_;
};

}  // namespace qudag::link
