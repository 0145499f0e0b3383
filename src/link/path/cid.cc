#include "link/path/cid.h"

#include <algorithm>
#include <cstring>

namespace qudag::link {

Cid Cid::of(const std::uint8_t* data, std::size_t size) {
  Cid out;
  out.size = static_cast<std::uint8_t>(std::min(size, out.bytes.size()));
  if (out.size > 0) std::memcpy(out.bytes.data(), data, out.size);
  return out;
}

ngtcp2_cid make_cid(Rng& rng, std::uint8_t shard, std::uint8_t shards) {
  std::array<std::byte, kCidBytes> raw;
  rng.fill(raw);
  // Uniform over the bytes that name this shard: a step of `shards` from `shard`.
  const unsigned choices = (255u - shard) / shards + 1;
  const unsigned first = shard + shards * (std::to_integer<unsigned>(raw[0]) % choices);
  raw[0] = static_cast<std::byte>(first);
  ngtcp2_cid out;
  ngtcp2_cid_init(&out, reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size());
  return out;
}

std::size_t CidHash::operator()(const Cid& cid) const {
  std::uint64_t value = seed ^ cid.size;
  for (std::size_t at = 0; at < cid.bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, cid.bytes.data() + at, std::min<std::size_t>(8, cid.bytes.size() - at));
    value = (value ^ word) * multiplier;
    value ^= value >> 29;
  }
  return static_cast<std::size_t>(value ^ (value >> 32));
}

Connection* Routes::find(const std::uint8_t* cid, std::size_t size) {
  if (last_link_ != nullptr && last_.size == size &&
      std::memcmp(last_.bytes.data(), cid, size) == 0) {
    return last_link_;
  }
  if (size > NGTCP2_MAX_CIDLEN) return nullptr;
  const Cid key = Cid::of(cid, size);
  const auto found = table_.find(key);
  if (found == table_.end()) return nullptr;
  last_ = key;
  last_link_ = found->second;
  return last_link_;
}

bool Routes::add(const Cid& cid, Connection& link) { return table_.try_emplace(cid, &link).second; }

void Routes::remove(const Cid& cid) {
  if (last_ == cid) last_link_ = nullptr;
  table_.erase(cid);
}

bool LinkRoutes::add(const ngtcp2_cid& cid) {
  const Cid key = Cid::of(cid);
  if (!all_.add(key, link_)) return false;
  own_.push_back(key);
  return true;
}

void LinkRoutes::remove(const ngtcp2_cid& cid) {
  const Cid key = Cid::of(cid);
  if (std::erase(own_, key) > 0) all_.remove(key);
}

}  // namespace qudag::link
