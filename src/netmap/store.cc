// What is held. Everything iterates by id, so that two nodes with the same input do the same.
#include "netmap/store.h"

#include "base/assert.h"

#include <numeric>
#include <utility>

namespace qudag::netmap {
namespace {

// One place in every byte is kept for ourselves.
constexpr std::size_t kPerByteMax = wire::kDigestEntriesMax - 1;

// A descriptor with its onion keys as OpenSSL holds them, its places in the views and digests.
constexpr std::uint64_t kEntryBytes = 18 * 1024;

std::uint8_t first_byte(const NodeId& id) { return std::to_integer<std::uint8_t>(id.bytes[0]); }

}  // namespace

Store::Store(const NodeId& self, std::size_t descriptors_max, memory::Budget* memory)
    : self_(self),
      descriptors_max_(descriptors_max),
      memory_(memory),
      view_(std::make_shared<const View>()) {}

Store::Judgement Store::judge(const NodeId& id, UnixSeconds published) const {
  const Held* held = find(id);
  if (held != nullptr) return published > held->published() ? Judgement::newer : Judgement::old;
  if (id == self_) return Judgement::newcomer;
  const bool room =
      held_.size() < descriptors_max_ && per_byte_[first_byte(id)] < kPerByteMax && has_room();
  return room ? Judgement::newcomer : Judgement::full;
}

// What is free after this is there for the put() that follows.
bool Store::has_room() const {
  if (!memory_.take(kEntryBytes)) return false;
  memory_.give(kEntryBytes);
  return true;
}

Held* Store::find(const NodeId& id) {
  const auto at = held_.find(id);
  return at == held_.end() ? nullptr : &at->second;
}

const Held* Store::find(const NodeId& id) const {
  const auto at = held_.find(id);
  return at == held_.end() ? nullptr : &at->second;
}

Held& Store::put(EntryPtr entry) {
  const NodeId& id = entry->descriptor.id;
  const auto [at, is_new] = held_.try_emplace(id);
  QUDAG_ASSERT(is_new || at->second.published() < entry->descriptor.published);
  if (is_new) {
    ++per_byte_[first_byte(id)];
    memory_.take_anyway(kEntryBytes);  // our own is never refused
  }
  // What links were known to have, or were owed, was the old one.
  at->second = Held{std::move(entry), {}, {}, {}};
  changed();
  return at->second;
}

std::size_t Store::expire(UnixSeconds now) {
  const std::size_t removed = std::erase_if(held_, [&](const auto& item) {
    const Descriptor& d = item.second.entry->descriptor;
    if (d.expires > now) return false;
    --per_byte_[first_byte(d.id)];
    memory_.give(kEntryBytes);
    return true;
  });
  if (removed > 0) changed();
  return removed;
}

void Store::forget_slot(std::size_t slot) {
  for (auto& [id, held] : held_) {
    held.has.erase(slot);
    held.owed.erase(slot);
    held.sent.erase(slot);
  }
}

std::size_t Store::count_range(std::uint8_t lo, std::uint8_t hi) const {
  return std::accumulate(per_byte_.begin() + lo, per_byte_.begin() + hi + 1, std::size_t{0});
}

const std::vector<std::vector<std::byte>>& Store::digests() {
  if (digests_version_ != version_) {
    digests_.clear();
    append_digests(0, 255);
    digests_version_ = version_;
  }
  return digests_;
}

void Store::append_digests(std::uint8_t lo, std::uint8_t hi) {
  if (count_range(lo, hi) > wire::kDigestEntriesMax) {
    QUDAG_ASSERT(lo < hi);  // kPerByteMax
    const auto middle = static_cast<std::uint8_t>((lo + hi) / 2);
    append_digests(lo, middle);
    append_digests(static_cast<std::uint8_t>(middle + 1), hi);
    return;
  }
  std::vector<wire::DigestEntry> entries;
  for_range(lo, hi, [&](const Held& held) {
    entries.push_back({held.entry->descriptor.id, held.published()});
  });
  digests_.push_back(wire::encode_digest(lo, hi, entries));
}

ViewPtr Store::view() {
  if (view_version_ != version_) {
    std::vector<EntryPtr> entries;
    entries.reserve(held_.size());
    for (const auto& [id, held] : held_) entries.push_back(held.entry);
    view_ = std::make_shared<const View>(std::move(entries));
    view_version_ = version_;
  }
  return view_;
}

}  // namespace qudag::netmap
